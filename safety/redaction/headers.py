"""Secrets in headers and in addresses."""

import re
from collections.abc import Iterator

from safety.redaction.names import MASK, decodes_to_credentials, is_harmless, is_word, looks_random, parts
from safety.redaction.shapes import Span

# Headers.

_AUTHORIZATION = re.compile(
    r"(?i)(?<![\w])(?:proxy-|http_|x-)?authorization\\{0,3}[\"']?[ \t]{0,8}"
    r"(?:=>|[:=])[ \t]{0,8}(?P<quote>\\{0,3}[\"'\[]?[\"']?)"
    r"(?P<rest>[^\"'\r\n\\]*)"
)
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9_-]{1,30})[ \t]{1,4}(?P<value>[^\s,;]+)")
_PAIR_OF_SCHEME = re.compile(r"(?i)\b(?:signature|response|token|key|oauth_\w{1,20})=\"?(?P<value>[^\s,\"'&;]{3,})")
_SCHEMES_OF_PAIRS = re.compile(r"(?i)digest|aws4|hawk|oauth|sharedaccess|signature")
_SCHEMES = re.compile(r"(?i)basic|bearer|negotiate|ntlm|aws|\w*token|[\w-]*key")
_FIRST_PAIR = re.compile(r"(?i)(?:token|key|id|username|credential|signature|apikey)=")
_ONE_WORD = re.compile(r"[^\s,;\"'}]+")
# Vault's accessor of a way to log in, `auth_token_1f3c9a2b`, is none.
_BEARER = re.compile(
    r"(?i)\b(?:bearer|token)[ \t]{1,4}(?!auth_\w{1,20}_[0-9a-f]{8}\b)(?P<value>[A-Za-z0-9._~+/=-]{12,})"
)
_NEGOTIATED = re.compile(r"\b(?:Negotiate|NTLM)[ \t](?P<value>[A-Za-z0-9+/]{20,}={0,2})")
_BASIC = re.compile(r"(?i)\bbasic[ \t]{1,4}(?P<value>[A-Za-z0-9+/_-]{6,}={0,2})")


def authorization(line: str) -> Iterator[Span]:
    """What stands behind `Authorization`, or alone behind the name of a scheme."""
    for match in _AUTHORIZATION.finditer(line):
        start, end = match.span("rest")
        if line.startswith("{", start):
            continue
        scheme = _SCHEME.match(line, start, end)
        if scheme and re.match(r"(?i)realm=", scheme["value"]):
            continue
        if (
            scheme
            and "=" in scheme["value"]
            and (_SCHEMES_OF_PAIRS.match(scheme["scheme"]) or _FIRST_PAIR.match(scheme["value"]))
        ):
            yield from (pair.span("value") for pair in _PAIR_OF_SCHEME.finditer(line, start, start + 800))
        elif scheme:
            known = _SCHEMES.fullmatch(scheme["scheme"]) is not None
            if is_word(scheme["value"]) and (not known or scheme["scheme"].lower() == "basic"):
                continue
            if not is_harmless(scheme["value"], quoted=True) and not _more_words(line, scheme.end(), end):
                yield scheme.span("value")
        elif (
            (word := _ONE_WORD.match(line, start, end))
            and not is_harmless(word[0], quoted=True)
            and not word[0].isalpha()
        ):
            yield word.span()
    yield from (match.span("value") for match in _NEGOTIATED.finditer(line))
    for match in _BEARER.finditer(line):
        if looks_random(match["value"], length=12) or (
            len(match["value"]) >= 16 and any(char.isdigit() for char in match["value"]) and "/" not in match["value"]
        ):
            yield match.span("value")
    for match in _BASIC.finditer(line):
        if decodes_to_credentials(match["value"]):
            yield match.span("value")


def _more_words(line: str, start: int, end: int) -> bool:
    """A sentence goes on; a header's value ends with its token, or a comma, or another option."""
    rest = line[start : min(end, start + 80)].split()
    return len(rest) >= 2 and all(word.isalpha() for word in rest[:2])


_COOKIE = re.compile(
    r"(?i)(?<![\w])(?P<set>set-)?cookie2?\\{0,3}[\"']?[ \t]{0,4}:[ \t]{0,4}[\"'\[]{0,2}(?P<rest>[^\"'\r\n\\]*)"
)
_COOKIE_PAIR = re.compile(r"(?P<name>[\w.%:$-]{1,128}+)=(?P<value>[^;\s,\"']*)")
# Cookies that remember a taste, not a person.
_TASTES = frozenset(
    {
        "lang",
        "language",
        "locale",
        "theme",
        "tz",
        "timezone",
        "currency",
        "country",
        "region",
        "consent",
        "mode",
        "layout",
    }
)
_COOKIE_OPTION = re.compile(
    r"\s(?:-b|--cookie)[ =]{1,2}(?P<quote>[\"']?)(?P<rest>[\w.%-]{1,64}=[^\"'\s]*"
    r"(?:;[ ]?[\w.%-]{1,64}=[^\"'\s;]*){0,20})"
)


def cookies(line: str) -> Iterator[Span]:
    """The values of cookies."""
    for match in _COOKIE.finditer(line):
        for number, pair in enumerate(_COOKIE_PAIR.finditer(line, *match.span("rest"))):
            if (
                (number == 0 or not match["set"])
                and not _is_a_taste(pair)
                and not is_harmless(pair["value"], quoted=True)
            ):
                yield pair.span("value")
    for match in _COOKIE_OPTION.finditer(line) if "curl" in line or "--cookie" in line else ():
        pairs = _COOKIE_PAIR.finditer(line, *match.span("rest"))
        yield from (pair.span("value") for pair in pairs if not is_harmless(pair["value"], quoted=True))


def _is_a_taste(pair: re.Match[str]) -> bool:
    return pair["name"].lower() in _TASTES and len(pair["value"]) <= 12


# Addresses.

_USERINFO = re.compile(
    r"(?<=[A-Za-z0-9]):(?:\\?/){2}(?P<user>[^\s/?#:@\"'<>\\]{0,128}):(?!\d{1,5};)(?P<value>[^\s/?#\"'<>\\]{0,500})@(?=[^\s@])"
)
_ENCODED_USERINFO = re.compile(
    r"(?i)%3a%2f%2f(?P<user>[^\s/?#:@%]{0,128})%3a(?P<value>(?:(?!%2f|%40)[^\s/?#:@&\"'<>]){1,300})%40"
)
_RELAY = re.compile(
    r"\A\[?[\w.-]{1,253}\]?(?::\d{1,5})?[ \t]+(?P<user>[^\s:@/]{1,64}@[^\s:]{1,253}):(?P<value>\S{1,200})[ \t\r]*\Z"
)
_GO_ADDRESS = re.compile(r"(?<![\w/@.:-])[\w.-]{1,64}:(?P<value>[^\s@/\"']{1,128})@(?:tcp|unix|udp)\(")
_LOOSE_USERINFO = re.compile(
    r"(?i)\b(?!http|ws|git|ssh|file)[a-z][a-z0-9+.-]{2,30}://"
    r"(?P<user>[^\s/?#:@\"'<>\\,]{0,128}):(?!\d{1,5}(?:[/?#,;]"
    r"|\Z))(?P<value>[^\s\"'<>\\]{1,500})@(?=[\w.\[-])"
)
_TOKEN_AS_USER = re.compile(r"(?<=[A-Za-z]):(?:\\?/){2}(?P<value>[^\s/?#:@\"'<>\\]{16,500})@(?=[\w\[])")
_ORACLE_ADDRESS = re.compile(r"jdbc:oracle:[a-z]{2,5}:[^/\s@]{1,64}/(?P<value>[^\s@]{1,128})@")
_QUERY = re.compile(r"(?<=[?&;#])(?:amp;)?(?P<name>[\w.%~-]{2,60}+)=(?P<value>[^&\s\"'<>#()\[\]{}|\\]{6,})")
_SIGNATURES = frozenset({"sig", "signature", "hmac", "sign", "password", "pw"})
_LOOSE_KEYS = frozenset(
    {
        "key",
        "code",
        "auth",
        "sid",
        "session",
        "session_id",
        "sessionid",
        "ticket",
        "k",
        "apikey",
        "appid",
        "sso",
        "assertion",
        "saml_response",
        "state_token",
    }
)


def userinfo(line: str) -> Iterator[Span]:
    """Passwords in front of a host's name, and tokens in the place of a user's."""
    for pattern in (_USERINFO, _LOOSE_USERINFO, _ORACLE_ADDRESS, _ENCODED_USERINFO, _GO_ADDRESS, _RELAY):
        for match in pattern.finditer(line):
            if MASK in match["value"]:
                continue  # redacted before, and its user then too
            user = match.groupdict().get("user") or ""
            if match["value"] == "password" and user in {"user", "username"}:
                continue  # how the pages of every program write such an address
            if not is_harmless(match["value"], quoted=True):
                yield match.span("value")
            if pattern is _USERINFO and looks_random(match["user"], length=20) and "." not in match["user"]:
                yield match.span("user")
    for match in _TOKEN_AS_USER.finditer(line):
        if looks_random(match["value"], length=16) and "." not in match["value"]:
            yield match.span("value")


def queries(line: str) -> Iterator[Span]:
    """Signatures and keys among the parameters of an address."""
    for match in _QUERY.finditer(line):
        words = parts(match["name"])
        if not words or is_harmless(match["value"], quoted=True):
            continue
        if words[-1] in _SIGNATURES or (
            match["name"].lower() in _LOOSE_KEYS and looks_random(match["value"], length=12)
        ):
            yield match.span("value")
