"""echo and printf, and the backslashes they know."""

import re

from bot.playground.machine.system import Call

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "'": "'"}


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
    await call.put(1, (unescape(" ".join(words)) + end).encode("utf-8", "surrogateescape"))
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
        pieces = []
        for literal, flags, kind in re.findall(
            r"((?:[^%]|%%)+)|%([-+ 0#]*(?:\d{1,4}|\*)?(?:\.\d{1,4})?)([sdiuxXocbqfg])", form
        ):
            if literal:
                pieces.append(unescape(literal.replace("%%", "%")))
                continue
            if "*" in flags:
                flags = flags.replace("*", rest.pop(0)[:4] if rest else "0")
            value = rest.pop(0) if rest else None
            if kind in "sbcq":
                text = unescape(value or "") if kind == "b" else (value or "")[:1] if kind == "c" else value or ""
                pieces.append(f"%{flags}s" % text)
            elif kind in "fg":
                pieces.append(f"%{flags}{kind}" % float(value or 0))
            else:
                try:
                    pieces.append(f"%{flags}{'d' if kind in 'iu' else kind}" % int(value or "0", 0))
                except ValueError:
                    status = await call.complain(f"printf: {value}: expected numeric value")
                    pieces.append("0")
        await call.put(1, "".join(pieces).encode("utf-8", "surrogateescape"))
        if not rest or len(rest) == before:
            return status
