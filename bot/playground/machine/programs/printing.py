"""echo and printf, and the backslashes they know."""

import re

from bot.playground.machine.streams import encoded
from bot.playground.machine.system import Call

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
DIRECTIVE = re.compile(r"((?:[^%]|%%)+)|%([-+ 0#]*(?:\d{1,4}|\*)?(?:\.\d{1,4})?)([sdiuxXocbqfg])")


def unescape(text: str) -> str:
    """Backslash sequences of printf."""

    def one(found: "re.Match[str]") -> str:
        code = found.group(1)
        if code[0] == "x":
            return chr(int(code[1:], 16))
        return ESCAPES.get(code) or (chr(int(code, 8) & 0xFF) if code[0] in "01234567" else "\\" + code)

    return re.sub(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", one, text, flags=re.DOTALL)


async def echo(call: Call) -> int:
    """The words; backslashes mean something, as in dash."""
    words = call.words[1:]
    end = "\n"
    if words[:1] == ["-n"]:
        words, end = words[1:], ""
    await call.put(1, encoded(unescape(" ".join(words)) + end))
    return 0


async def printf(call: Call) -> int:
    """Formatted words; the format is used again while words are left."""
    words = call.words[2:] if call.words[1:2] == ["--"] else call.words[1:]
    if not words:
        return await call.complain("printf: usage: printf format [arg ...]", 2)
    form, rest = words[0], words[1:]
    status = 0
    while True:
        before = len(rest)
        text, wrong = filled(form, rest)
        for value in wrong:
            status = await call.complain(f"printf: {value}: expected numeric value")
        await call.put(1, encoded(text))
        if not rest or len(rest) == before:
            return status


def filled(form: str, values: list[str]) -> tuple[str, list[str]]:
    """The format with values taken from the front of the list, and those among them that should be numbers."""
    pieces: list[str] = []
    wrong: list[str] = []
    for literal, flags, kind in DIRECTIVE.findall(form):
        if literal:
            pieces.append(unescape(literal.replace("%%", "%")))
            continue
        if "*" in flags:
            flags = flags.replace("*", values.pop(0)[:4] if values else "0")
        value = values.pop(0) if values else ""
        try:
            pieces.append(formatted(flags, kind, value))
        except ValueError:
            wrong.append(value)
            pieces.append(formatted(flags, kind, "0"))
    return "".join(pieces), wrong


def formatted(flags: str, kind: str, value: str) -> str:
    """One directive of printf; raises ValueError for a value that is no number."""
    match kind:
        case "s" | "q":
            return f"%{flags}s" % value
        case "b":
            return f"%{flags}s" % unescape(value)
        case "c":
            return f"%{flags}s" % value[:1]
        case "f" | "g":
            return f"%{flags}{kind}" % float(value or 0)
    return f"%{flags}{'d' if kind in 'iu' else kind}" % int(value or "0", 0)
