"""Where a value begins and ends, quoted or bare, and what follows it."""

import re

from safety.redaction.shapes import Span

# `"x"`, `b"x"`, `"""x"""`, `Some("x")`, `new SecureString("x")`.
_OPENING = re.compile(
    r"(?:(?:new )?(?:Some|Just|Ok|Right|Secret|SecretStr|SecretString|SecureString|Redacted|Sensitive|Zeroizing"
    r"|String|str|quote|unquote|sensitive|nonsensitive|Password|Token)\(|Just )?"
    r"[bruBRUfFN@$]{0,2}(?P<quote>\"{3}(?=[^\"\r\n]{1,500}\"{3})|'{3}(?=[^'\r\n]{1,500}'{3})"
    r"|'{2}(?=[^'\s,;)\]}][^'\s]{0,200}'{2}(?!''))"
    r"|\\{0,3}[\"'`]|&quot;|&#3[49];|\\{1,2}u002[27]|%22)"
)
# A template's reference is one piece, whatever stands in it; a comma or bracket belongs to a value unless it ends it.
_BARE = re.compile(
    r"(?:\\.|\$\{\{[^{}\r\n]{0,200}\}\}|\$\{[^{}\s\"']{0,200}\}|\$\([^()\r\n]{0,200}\)|#?\{[\w.]{1,100}\}#?"
    r"|[^\s\"'`,;&)\]}>|\\<\x00]"
    r"|[,](?![,;&)\]}>|]{0,4}(?:[\s\"'`\\]|\Z)|[\"'A-Za-z_][\w.\"'-]{0,40}[ ]?[=:])"
    r"|[;&](?![,;&)\]}>|]{0,4}(?:[\s\"'`\\<]|\Z)|(?:amp;)?[A-Za-z_][\w .%-]{0,40}=)"
    r"|[)\]}>|](?![,;&)\]}>|.:]{0,4}(?:[\s\"'`\\]|\Z))"
    r"|<(?![/A-Za-z!])|[\"'](?=[^\s\"',;:&)\]}>|\\]))+"
)
ARGUMENT = re.compile(r"(?:\\.|[^\s\"'`\\\x00]|[\"'](?=[^\s\"',;:)\]}|]))+")
_CLOSERS = {
    '"': re.compile(r'(?:[^"\\]|\\.)*+'),
    "'": re.compile(r"(?:[^'\\]|\\.|'\\''|'\"'\"'|'')*+"),
    "`": re.compile(r"[^`]*+"),
}
_DEFAULT = re.compile(r"\$\{\w{1,100}:?[-=](?P<value>[^{}$]*)\}?")


def value_at(line: str, start: int, *, bare: re.Pattern[str] = _BARE) -> tuple[Span, bool]:
    """The place of the value that begins at `start`, without its quotes, and whether it is quoted.

    Of `${NAME:-default}` it is the default alone.
    """
    span, quoted = _value_at(line, start, bare)
    if line.startswith("${", span[0]) and (match := _DEFAULT.fullmatch(line, *span)):
        return match.span("value"), quoted
    return span, quoted


def _value_at(line: str, start: int, bare: re.Pattern[str]) -> tuple[Span, bool]:
    opening = _OPENING.match(line, start)
    if opening:
        begin, quote = opening.end(), opening["quote"]
        if len(quote) > 1:
            end = line.find(quote, begin)
            return (begin, end if end >= 0 else len(line)), True
        inner = _CLOSERS[quote].match(line, begin)
        return (begin, inner.end() if inner else begin), True
    match = bare.match(line, start)
    return (start, match.end() if match else start), False


def without_stop(line: str, span: Span) -> Span:
    """The full stop, comma or semicolon that ends a sentence isn't part of the value."""
    begin, end = span
    if end - begin > 1 and line[end - 1] in ".,;" and (end == len(line) or line[end].isspace()):
        return begin, end - 1
    return span


def without_comma(line: str, span: Span) -> Span:
    """A comma or semicolon that ends a row isn't part of the value."""
    return (span[0], span[1] - 1) if line[span[1] - 1] in ",;" and span[1] - span[0] > 1 else span


def unquoted(line: str, span: Span) -> Span:
    """What stands between the quotes, if there are any."""
    begin, end = span
    if end - begin >= 2 and line[begin] in "\"'" and line[end - 1] == line[begin]:
        return begin + 1, end - 1
    return span


def words_after(line: str, position: int) -> list[str]:
    """The next few words."""
    return line[position : position + 80].split()


def ends(line: str, position: int) -> bool:
    """Whether nothing but a few spaces follows."""
    return not line[position : position + 40].strip()


def goes_on(line: str, span: Span) -> bool:
    """Whether the value is a word of a sentence."""
    return line[span[0] : span[1]].isalpha() and len(words_after(line, span[1])) >= 2
