"""Programs that read text: cat, head, tail, tee, wc, grep, sort, uniq, cut."""

import itertools
import re
from collections.abc import Sequence

from bot.playground.machine.programs.options import options
from bot.playground.machine.streams import PIPE_LIMIT, decoded
from bot.playground.machine.system import Call

GREP_OPTIONS = frozenset("EFPacehimnoqsvwx") | {"color"}


async def texts(call: Call, names: Sequence[str]) -> list[bytes] | None:
    """The bytes of these files, `-` or none being standard input; None after a complaint."""
    found: list[bytes] = []
    for name in names or ["-"]:
        if name == "-":
            found.append(await call.input())
            continue
        try:
            found.append(call.system.files.read(call.path(name), call.process.user))
        except OSError as problem:
            await call.complain(f"{call.name}: {name}: {problem}")
            return None
    return found


async def lines_of(call: Call, names: Sequence[str]) -> list[str] | None:
    """The lines of these files, without their ends; None after a complaint."""
    found = await texts(call, names)
    if found is None:
        return None
    return decoded(b"".join(found)).removesuffix("\n").split("\n") if any(found) else []


async def cat(call: Call) -> int:
    """Files, one after the other; standard input as it comes."""
    status = 0
    for name in [word for word in call.words[1:] if word == "-" or not word.startswith("-")] or ["-"]:
        if name == "-":
            while 0 in call.process.files and (chunk := await call.process.files[0].read(PIPE_LIMIT)):
                await call.put(1, chunk)
            continue
        found = await texts(call, [name])
        if found is None:
            status = 1
        else:
            await call.put(1, found[0])
    return status


async def head(call: Call) -> int:
    """The first lines (-n), or bytes (-c)."""
    found, names = options(numbered(call.words), "nc")
    wanted = found.get("n", found.get("lines", "10"))
    if not names and "c" not in found and not wanted.startswith("-"):
        return await head_of_input(call, int(wanted))
    contents = await texts(call, names)
    if contents is None:
        return 1
    data = b"".join(contents)
    if "c" in found:
        await call.put(1, data[: int(found["c"])])
        return 0
    rows = data.splitlines(keepends=True)
    await call.put(1, b"".join(rows[: int(wanted)]))
    return 0


async def tail(call: Call) -> int:
    """The last lines (-n), those from a line on (-n +N), or the last bytes (-c)."""
    found, names = options(numbered(call.words), "nc")
    contents = await texts(call, names)
    if contents is None:
        return 1
    data = b"".join(contents)
    if "c" in found:
        await call.put(1, data[max(0, len(data) - int(found["c"])) :])
        return 0
    wanted = found.get("n", found.get("lines", "10"))
    rows = data.splitlines(keepends=True)
    start = int(wanted) - 1 if wanted.startswith("+") else len(rows) - abs(int(wanted))
    await call.put(1, b"".join(rows[max(0, start) :]))
    return 0


def numbered(words: Sequence[str]) -> list[str]:
    """`-20` in the first place as `-n20`."""
    first = [f"-n{word[1:]}" if re.fullmatch(r"-\d+", word) else word for word in words[1:2]]
    return [*words[:1], *first, *words[2:]]


async def head_of_input(call: Call, count: int) -> int:
    """The first lines of standard input, and no more: whoever writes on is told by the closed pipe."""
    while count > 0 and 0 in call.process.files and (chunk := await call.process.files[0].read(PIPE_LIMIT)):
        rows = chunk.splitlines(keepends=True)
        await call.put(1, b"".join(rows[:count]))
        count -= chunk.count(b"\n")
    return 0


async def tee(call: Call) -> int:
    """Standard input to standard output and to files."""
    found, names = options(call.words)
    data = await call.input()
    status = 0
    for name in names:
        try:
            stream = call.system.files.open(call.path(name), ">>" if "a" in found else ">", call.process.user).hold()
            try:
                await stream.write(data)
            finally:
                stream.release()
        except OSError as problem:
            status = await call.complain(f"tee: {name}: {problem}")
    await call.put(1, data)
    return status


async def wc(call: Call) -> int:
    """Counts of lines, words and bytes."""
    found, names = options(call.words)
    contents = await texts(call, names)
    if contents is None:
        return 1
    data = b"".join(contents)
    counts = {"l": data.count(b"\n"), "w": len(data.split()), "c": len(data)}
    wanted = [letter for letter in "lwc" if letter in found] or list("lwc")
    numbers = " ".join(str(counts[letter]) for letter in wanted)
    await call.say(f"{numbers} {names[0]}" if names else numbers)
    return 0


async def grep(call: Call) -> int:
    """Lines that match: 0 if any, 1 if none, 2 on trouble."""
    found, operands = options(call.words, "emABC")
    if unknown := sorted(found.keys() - GREP_OPTIONS):
        return await call.complain(f"grep: -{unknown[0]} is not simulated", 2)
    pattern = found.get("e") or (operands.pop(0) if operands else "")
    if "F" in found:
        pattern = re.escape(pattern)
    elif "E" not in found and "P" not in found:
        pattern = basic_pattern(pattern)
    pattern = posix_classes(pattern)
    pattern = rf"\b(?:{pattern})\b" if "w" in found else rf"^(?:{pattern})$" if "x" in found else pattern
    matcher = re.compile(pattern, re.IGNORECASE if "i" in found else 0)
    rows = await lines_of(call, operands)
    if rows is None:
        return 2
    hits = [(number, row) for number, row in enumerate(rows, 1) if bool(matcher.search(row)) != ("v" in found)]
    hits = hits[: int(found["m"])] if "m" in found else hits
    if "c" in found:
        await call.say(str(len(hits)))
    elif "q" not in found:
        for number, row in hits:
            for text in [each.group() for each in matcher.finditer(row)] if "o" in found else [row]:
                await call.say(f"{number}:{text}" if "n" in found else text)
    return 0 if hits else 1


def basic_pattern(pattern: str) -> str:
    """A basic regular expression in Python's words."""
    return re.sub(r"\\([(){}|+?])|([(){}|+?])", lambda found: found.group(1) or "\\" + found.group(2), pattern)


def posix_classes(pattern: str) -> str:
    """[:digit:] and friends in Python's words."""
    classes = {"digit": "0-9", "alpha": "a-zA-Z", "alnum": "a-zA-Z0-9", "space": r"\s", "upper": "A-Z", "lower": "a-z"}
    return re.sub(r"\[:(\w+):\]", lambda found: classes.get(found.group(1), ""), pattern)


async def sort(call: Call) -> int:
    """Lines in order: -n, -r, -u, -k COLUMN, -t SEPARATOR."""
    found, names = options(call.words, "kt")
    rows = await lines_of(call, names)
    if rows is None:
        return 2
    column = re.match(r"\d*", found.get("k", ""))
    first = int(column.group() or 1) - 1 if column else 0

    def key(row: str) -> tuple[float, str]:
        text = " ".join(row.split(found.get("t"))[first:]) if "k" in found else row
        number = re.match(r"\s*(-?\d+\.?\d*)", text) if "n" in found else None
        return (float(number.group(1)) if number else 0.0, text)

    for row in sorted(set(rows) if "u" in found else rows, key=key, reverse="r" in found):
        await call.say(row)
    return 0


async def uniq(call: Call) -> int:
    """Lines without repetitions, with -c counted."""
    found, names = options(call.words)
    rows = await lines_of(call, names)
    if rows is None:
        return 1
    for row, run in itertools.groupby(rows):
        await call.say(f"{sum(1 for _ in run):7} {row}" if "c" in found else row)
    return 0


async def cut(call: Call) -> int:
    """Fields (-f, by -d) or characters (-c) of lines."""
    found, names = options(call.words, "dfc")
    rows = await lines_of(call, names)
    if rows is None:
        return 1
    wanted = found.get("f") or found.get("c", "1")

    def chosen(parts: Sequence[str]) -> list[str]:
        numbers: list[int] = []
        for piece in wanted.split(","):
            low, dash, high = piece.partition("-")
            numbers += range(int(low or 1), (int(high or len(parts)) if dash else int(low)) + 1)
        return [parts[number - 1] for number in sorted(set(numbers)) if number <= len(parts)]

    mark = found.get("d", "\t")
    for row in rows:
        parts = row.split(mark)
        await call.say("".join(chosen(row)) if "c" in found else mark.join(chosen(parts)) if len(parts) > 1 else row)
    return 0
