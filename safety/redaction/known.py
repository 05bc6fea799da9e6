"""Exact values we hold, in every form in which a program might print them.

A value is looked for as it is, in base64 (its three alignments, both alphabets), URL-encoded, JSON-escaped,
shell-quoted, XML-escaped and in hexadecimal; of a value with several lines, each line.
"""

import json
import re
import shlex
from base64 import b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

SHORTEST = 6  # characters; shorter values would mask half of every text


class Known:
    """The values we hold. More may come while texts are being read; they count from then on."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._values = set(secrets)
        self.pattern = pattern_of(self._values)

    def add(self, secret: str) -> None:
        """One more."""
        if secret not in self._values:
            self._values.add(secret)
            self.pattern = pattern_of(self._values)


def pattern_of(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """One pattern that finds every form of every value, longest first; None if there is nothing to look for."""
    found = {form for secret in secrets for form in forms(secret)}
    return re.compile(_alternatives(sorted(found))) if found else None


def forms(secret: str) -> frozenset[str]:
    """Every text that gives this value away."""
    values = {secret, secret.strip()}
    values |= {line.strip() for line in secret.splitlines() if not line.strip().startswith("-----")}
    long_enough = {value for value in values if len(value) >= SHORTEST}
    written = {form for value in long_enough for form in _written(value)}
    return frozenset(form for form in written if len(form) >= SHORTEST and "\n" not in form)


def _written(value: str) -> Iterator[str]:
    yield value
    yield from _base64_forms(value.encode("utf-8", "surrogatepass"))
    digits = value.encode("utf-8", "surrogatepass").hex()
    yield from (digits, digits.upper())
    yield from _url_forms(value)
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield from (text, text.replace("/", "\\/"), json.dumps(text)[1:-1])
    yield from _shell_forms(value)
    yield escape(value, {'"': "&quot;", "'": "&apos;"})
    yield escape(value, {'"': "&#34;", "'": "&#39;"})
    yield repr(value)[1:-1]
    yield from (value.replace("'", "''"), value.replace('"', '""'))  # SQL and YAML


def _base64_forms(raw: bytes) -> Iterator[str]:
    """The characters that depend on the value alone, whatever stands around it."""
    for shift in range(3):
        text = b64encode(b"\0" * shift + raw).decode()
        first = (shift * 8 + 5) // 6
        core = text[first : (shift + len(raw)) * 8 // 6]
        yield from (core, core.replace("+", "-").replace("/", "_"))


def _url_forms(value: str) -> Iterator[str]:
    for text in (
        quote(value, safe="", errors="replace"),
        quote(value, errors="replace"),
        quote_plus(value, errors="replace"),
    ):
        yield text
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), text)


def _shell_forms(value: str) -> Iterator[str]:
    yield shlex.quote(value).strip("'")
    yield value.replace("'", "'\\''")
    yield re.sub(r'([$`"\\])', r"\\\1", value)
    yield re.sub(r"([^\w@%+=:,./-])", r"\\\1", value)


def _alternatives(words: list[str], depth: int = 0) -> str:
    """Alternatives by common first characters: a plain list would be tried one by one at each position."""
    if len(words) < 3 or depth > 8:
        return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    branches: dict[str, list[str]] = {}
    ends_here = False
    for word in words:
        if word:
            branches.setdefault(word[0], []).append(word[1:])
        else:
            ends_here = True
    inner = "|".join(
        re.escape(first) + (f"(?:{_alternatives(rest, depth + 1)})" if len(rest) > 1 else re.escape(rest[0]))
        for first, rest in branches.items()
    )
    return f"(?:{inner})?" if ends_here else inner
