"""A second, much simpler reader of shell text: where does something begin that runs or expands?

It knows quotes, escapes, comments and here-documents and nothing else. The tree must show an expansion wherever this
reader sees one start; where they differ, one of them does not read as bash does, and the command is refused.
"""

from dataclasses import dataclass, field


@dataclass
class _Scan:
    text: str
    at: int = 0
    starts: list[int] = field(default_factory=list)
    waiting: list[tuple[str, bool, bool]] = field(default_factory=list)  # delimiter, quoted, tabs stripped
    disputed: bool = False


def expansion_starts(text: str) -> list[int] | None:
    """Offsets of every `` ` `` that opens, `$(`, `${`, `<(` and `>(` bash would act on.

    None if the text does not end where a command may end (an open quote, an open backtick) or holds `$"`, which the
    tree reads differently from bash.
    """
    scan = _Scan(text)
    _commands(scan, closing="")
    return None if scan.disputed or scan.waiting else scan.starts


def _commands(scan: _Scan, closing: str, depth: int = 0) -> None:
    """Read up to `closing` (`)`, `}` or a backtick; nothing: to the end)."""
    text = scan.text
    if depth > 60:
        scan.disputed = True
        return
    open_round = 0
    while scan.at < len(text):
        char = text[scan.at]
        if char == closing and not open_round:
            return
        if char == "\\":
            scan.at += 2
        elif char == "'":
            _skip_to(scan, "'", escapes=False)
        elif char == '"':
            _double(scan, depth + 1)
        elif char == "\n":
            scan.at += 1
            _documents(scan, depth + 1)
        elif char == "#" and closing != "}" and (scan.at == 0 or text[scan.at - 1] in " \t\n;&|()"):
            while scan.at < len(text) and text[scan.at] != "\n":
                scan.at += 1
        elif text.startswith("<<", scan.at) and closing != "}":
            _document_start(scan)
        elif _expansion(scan, depth, quoted=False):
            pass
        else:
            open_round += {"(": 1, ")": -1}.get(char, 0) if closing == ")" else 0
            scan.at += 1
    if closing:
        scan.disputed = True


def _expansion(scan: _Scan, depth: int, *, quoted: bool) -> bool:
    """Consume an expansion that starts here, if one does."""
    text, start = scan.text, scan.at
    two = text[start : start + 2]
    if text[start] == "`":
        scan.starts.append(start)
        scan.at += 1
        _commands(scan, "`", depth + 1)
        scan.at += 1
        return True
    if two in ("$(", "${") or (two in ("<(", ">(") and not quoted):
        scan.starts.append(start)
        scan.at += 2
        _commands(scan, "}" if two == "${" else ")", depth + 1)
        scan.at += 1
        return True
    if two == "$'" and not quoted:
        scan.at += 1
        _skip_to(scan, "'", escapes=True)
        return True
    if two == '$"' and not quoted:
        scan.disputed = True
    return False


def _double(scan: _Scan, depth: int) -> None:
    scan.at += 1
    while scan.at < len(scan.text):
        char = scan.text[scan.at]
        if char == '"':
            scan.at += 1
            return
        if char == "\\":
            scan.at += 2
        elif not _expansion(scan, depth, quoted=True):
            scan.at += 1
    scan.disputed = True


def _skip_to(scan: _Scan, end: str, *, escapes: bool) -> None:
    scan.at += 1
    while scan.at < len(scan.text):
        char = scan.text[scan.at]
        scan.at += 2 if escapes and char == "\\" else 1
        if char == end:
            return
    scan.disputed = True


def _document_start(scan: _Scan) -> None:
    text = scan.text
    if text.startswith("<<<", scan.at):
        scan.at += 3
        return
    scan.at += 2
    strip = text.startswith("-", scan.at)
    scan.at += strip
    while scan.at < len(text) and text[scan.at] in " \t":
        scan.at += 1
    begin = scan.at
    while scan.at < len(text) and text[scan.at] not in " \t\n;&|<>()":
        scan.at += 1
    word = text[begin : scan.at]
    if not word or word.isdigit():
        return  # an arithmetic shift, not a document
    scan.waiting.append((word.translate({34: None, 39: None, 92: None}), any(c in word for c in "\"'\\"), strip))


def _documents(scan: _Scan, depth: int) -> None:
    """Right after a newline: the bodies of the documents announced on the line above."""
    waiting, scan.waiting = scan.waiting, []
    for delimiter, quoted, strip in waiting:
        while True:
            if scan.at >= len(scan.text):
                return  # bash takes the end of the text as the end of the document
            end = scan.text.find("\n", scan.at)
            end = len(scan.text) if end < 0 else end
            line = scan.text[scan.at : end]
            if (line.lstrip("\t") if strip else line) == delimiter:
                scan.at = min(end + 1, len(scan.text))
                break
            if quoted:
                scan.at = min(end + 1, len(scan.text))
            else:
                _body_line(scan, end, depth)


def _body_line(scan: _Scan, end: int, depth: int) -> None:
    while scan.at < end:
        if scan.text[scan.at] == "\\":
            scan.at += 2
        elif not _expansion(scan, depth, quoted=True):
            scan.at += 1
    if scan.at == end:
        scan.at = min(end + 1, len(scan.text))
