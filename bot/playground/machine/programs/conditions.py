"""true, false and test."""

import re
from collections.abc import Callable, Mapping

from bot.playground.machine.system import Call


async def true(call: Call) -> int:
    """Succeed."""
    return 0


async def false(call: Call) -> int:
    """Fail."""
    return 1


async def test(call: Call) -> int:
    """Conditions: 0 if true, 1 if not, 2 if garbled."""
    words = call.words[1:]
    if call.words[0] == "[":
        if words[-1:] != ["]"]:
            return await call.complain("[: missing ]", 2)
        words = words[:-1]
    try:
        return int(not truth(call, words))
    except ValueError as problem:
        return await call.complain(f"{call.words[0]}: {problem}", 2)


def truth(call: Call, words: list[str]) -> bool:
    """What an expression of `test` is; raises ValueError."""
    match words:
        case []:
            return False
        case [word]:
            return word != ""
        case ["!", *rest] if len(words) != 3 or words[1] not in ("=", "!="):
            return not truth(call, rest)
        case [flag, word] if flag.startswith("-"):
            return unary_truth(call, flag, word)
        case [left, operator, right] if operator in COMPARISONS:
            return COMPARISONS[operator](left, right)
        case ["(", *inner, ")"]:
            return truth(call, inner)
    for joint, both in (("-o", any), ("-a", all)):
        if joint in words[1:-1]:
            place = words.index(joint, 1)
            return both([truth(call, words[:place]), truth(call, words[place + 1 :])])
    raise ValueError(f"{words[1] if len(words) > 1 else words[0]}: unexpected operator")


def unary_truth(call: Call, flag: str, word: str) -> bool:
    """`-f FILE` and its like."""
    if flag in ("-n", "-z"):
        return (word != "") == (flag == "-n")
    if flag == "-t":
        return False
    path, files = call.path(word), call.system.files
    node = files.nodes.get(path)
    if flag in ("-r", "-w", "-x"):
        bit = {"-r": 4, "-w": 2, "-x": 1}[flag]
        if node is None:
            return files.exists(path) and flag != "-w"
        return files.may(call.process.user, path, bit)
    if flag == "-d":
        return bool(node and node.directory) or files.proc.text(path) == ""
    if flag in ("-f", "-s"):
        if node is None:
            return bool(files.proc.text(path))
        return not node.directory and (flag == "-f" or node.size > 0)
    if flag in ("-e", "-a"):
        return files.exists(path)
    if flag in ("-L", "-h", "-p", "-S", "-b", "-c"):
        return False
    raise ValueError(f"{flag}: unexpected operator")


def whole(text: str) -> int:
    """A number of `test`."""
    if not re.fullmatch(r"\s*[-+]?\d+\s*", text):
        raise ValueError(f"Illegal number: {text}")
    return int(text)


COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "=": lambda left, right: left == right,
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "-eq": lambda left, right: whole(left) == whole(right),
    "-ne": lambda left, right: whole(left) != whole(right),
    "-lt": lambda left, right: whole(left) < whole(right),
    "-le": lambda left, right: whole(left) <= whole(right),
    "-gt": lambda left, right: whole(left) > whole(right),
    "-ge": lambda left, right: whole(left) >= whole(right),
}
