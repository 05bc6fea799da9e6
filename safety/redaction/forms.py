"""Secrets that are recognised by what stands around them on one line.

`FORMS` lists them: each has the lower-case words without which it cannot occur, and a function that gives the places of
the secret itself, never of its name. Every pattern here is linear: repeats are bounded or cannot overlap.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from safety.redaction.names import (
    decodes_to_credentials,
    has_password_look,
    is_harmless,
    is_small_number,
    looks_random,
    may_name_secret,
    names_secret,
    parts,
)
from safety.redaction.shapes import Span


@dataclass(frozen=True, kw_only=True)
class Form:
    """One way to write a secret."""

    needles: tuple[str, ...]  # at least one of them stands in the lower-case line
    find: Callable[[str], Iterator[Span]]
    wakes: tuple[str, ...] | None = None  # rarer words, one of which a line must have to be looked at at all

    @property
    def rare(self) -> tuple[str, ...]:
        """What the first look at a line asks for."""
        return self.needles if self.wakes is None else self.wakes


# Values.

_OPENING = re.compile(r"[bruBRUfFN@$]{0,2}(?P<quote>\\{0,3}[\"'`])")
_BARE = re.compile(
    r"(?:\\.|[^\s\"'`,;&)\]}>|\\<]"
    r"|[,](?![,;&)\]}>|]{0,4}(?:[\s\"'`\\]|\Z)|[\"'A-Za-z_][\w.\"'-]{0,40}[ ]?[=:])"
    r"|[;&](?![,;&)\]}>|]{0,4}(?:[\s\"'`\\<]|\Z)|(?:amp;)?[A-Za-z_][\w .%-]{0,40}=)"
    r"|[)\]}>|](?![,;&)\]}>|.:]{0,4}(?:[\s\"'`\\]|\Z))"
    r"|<(?![/A-Za-z!])|[\"'](?=[^\s\"',;:&)\]}>|\\]))+"
)
_ARGUMENT = re.compile(r"(?:\\.|[^\s\"'`\\\x00]|[\"'](?=[^\s\"',;:)\]}|]))+")
_CLOSERS = {
    '"': re.compile(r'(?:[^"\\]|\\.)*+'),
    "'": re.compile(r"(?:[^'\\]|\\.|'\\''|'\"'\"'|'')*+"),
    "`": re.compile(r"[^`]*+"),
}


def _value(line: str, start: int, *, bare: re.Pattern[str] = _BARE) -> tuple[Span, bool]:
    """The place of the value that begins at `start`, without its quotes, and whether it is quoted."""
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


def _without_stop(line: str, span: Span) -> Span:
    """The full stop, comma or semicolon that ends a sentence isn't part of the value."""
    begin, end = span
    if end - begin > 1 and line[end - 1] in ".,;" and (end == len(line) or line[end].isspace()):
        return begin, end - 1
    return span


# Assignments: `DB_PASSWORD=x`, `"secret": "x"`, `password => 'x'`, `Password=x;`, `?token=x&`.

_ASSIGNMENT = re.compile(
    r"(?<![\w.])(?P<name>[A-Za-z_][\w.-]{1,100}+)(?P<close>\\{0,3}[\"'`]?\]?)"
    r"(?P<gap>[ \t]{0,40})(?P<sep>=>|->|:=|={1,2}(?!>)|:(?![:/]{1,2}[^\s])"
    r"(?![ \t]{0,4}(?:str|string|String|SecretStr|bytes)[ \t]{0,4}=)"
    r"|:[ \t]{0,4}(?:str|string|String|SecretStr|bytes)[ \t]{0,4}=|\|)[ \t]{0,40}"
)
_SPACED = re.compile(
    r"(?i)\b(?:api|access|secret|private|unseal|recovery"
    r"|encryption|master|licen[cs]e|account|auth|signing"
    r"|client|root|initial|"
    r"shared|session|bearer|new|temporary|current|admin)[ -](?:key|token|secret|password|passphrase|credentials?)"
    r"(?:[ ]#?\d{1,2})?[ \t]{0,8}(?P<sep>[:=|])[ \t]{0,40}"
)


def _assignments(line: str) -> Iterator[Span]:
    seen = (
        0  # the end of the last long value: what stands in it is not read again, or a line of `a=a=a=` takes for ever
    )
    for match in _ASSIGNMENT.finditer(line):
        name = match["name"]
        if match.start() < seen:
            continue
        if (
            match["sep"] == ":"
            and not match["gap"]
            and line[max(0, match.start() - 2) : match.start()].endswith((":", "//"))
        ):
            continue  # one of many parts, as in `arn:…:secret:name`
        if not names_secret(name) and not (may_name_secret(name) and match["sep"] != "|"):
            continue
        span, quoted = _value(line, match.end())
        if not quoted:
            span = _rest_of_quotes(line, _rest_of_line(line, span, match), match)
        if _is_assigned_secret(line, span, match, quoted=quoted):
            seen = span[1]
            yield span if quoted else _without_stop(line, span)
        elif span[1] - span[0] > _LONG:
            seen = span[1]
    if " " in line:
        yield from _spaced_assignments(line)


_LONG = 200  # characters of a value, beyond which it is read once


def _is_assigned_secret(line: str, span: Span, match: re.Match[str], *, quoted: bool) -> bool:
    name, value = match["name"], line[span[0] : span[1]]
    if is_harmless(value, name=name, quoted=quoted):
        return False
    if not names_secret(name):
        random = looks_random(value, length=16) and not value.startswith(("http", "/"))
        return random or decodes_to_credentials(value)
    if not quoted and _is_prose(line, span, match, name):
        return False
    in_table = match["sep"] == "|"
    return not in_table or looks_random(value, length=12) or (value.islower() and has_password_look(value))


def _rest_of_line(line: str, span: Span, match: re.Match[str]) -> Span:
    """A passphrase has spaces: if the line begins with its name, it goes on to the end."""
    if parts(match["name"])[-1] == "passphrase" and match.start() <= 40 and not line[: match.start()].strip(" \t-"):
        return span[0], len(line.rstrip())
    return span


def _rest_of_quotes(line: str, span: Span, match: re.Match[str]) -> Span:
    """In `-e 'DB_PASSWORD=two words'` the quotes hold the assignment, and the value goes on to the last of them."""
    quote = line[match.start() - 1 : match.start()]
    if not quote or quote not in "\"'" or match["sep"] != "=" or match["close"] or match["gap"]:
        return span
    end = line.find(quote, match.end(), match.end() + 2 * _LONG)
    return (span[0], end) if end > span[1] and "=" not in line[span[1] : end] else span


def _spaced_assignments(line: str) -> Iterator[Span]:
    for match in _SPACED.finditer(line):
        span, quoted = _value(line, match.end())
        value = line[span[0] : min(span[1], span[0] + 4 * _LONG)]
        if not is_harmless(value, quoted=quoted) and (quoted or has_password_look(value)):
            yield _without_stop(line, span)


def _words_after(line: str, position: int) -> list[str]:
    """The next few words."""
    return line[position : position + 80].split()


def _ends(line: str, position: int) -> bool:
    """Whether nothing but a few spaces follows."""
    return not line[position : position + 40].strip()


_NAME_OF_A_SECRET = re.compile(
    r"[a-z0-9]+(?:[-/][a-z0-9]+)*-(?:tls|certs?|secrets?|creds|config|token|keys?|auth|credentials|ssl|ca)"
)


def _is_prose(line: str, span: Span, match: re.Match[str], name: str) -> bool:
    """`passwd: all tokens updated`, `tests pass: 12`, `unexpected token: end`, `secret: web-tls`, `PWD=/home/Ops`."""
    value, words = line[span[0] : span[1]], parts(name)
    last = words[-1]
    colon = match["sep"] == ":"
    if last == "credential" and "aws4_request" in value:
        return True  # the key's id in it has a shape of its own
    if words == ("pwd",) and value.startswith(("/", "~")):
        return True
    if last in {"token", "secret", "credentials", "jwt"} or words == ("pass",):
        if is_small_number(value):
            return True
        lone = colon and len(words) == 1 and last != "secret"
        if lone and value.isalpha() and value[1:].islower() and len(value) < 20:
            return True
    if words == ("pass",) and name == "PASS" and colon:
        return True
    if colon and value.isdigit() and line[span[1] : span[1] + 6].startswith((" byte", " char")):
        return True
    if value == name.rpartition(".")[2] and not name.isupper():
        return True  # `self.token = token`
    if colon and value.isalpha() and line[span[1] : span[1] + 1] not in {",", ";", "}"}:
        following = _words_after(line, span[1])
        return len(following) >= 3 or (name in {"passwd", "sshpass", "htpasswd"} and len(following) >= 1)
    return last == "secret" and _NAME_OF_A_SECRET.fullmatch(value) is not None


# Options: `--password x`, `"--token", "x"`, `/p:x`.

_OPTION = re.compile(
    r"(?<![\w-])--?(?P<name>[A-Za-z][\w.-]{1,60}+)(?P<gap>[ \t\x00]{1,8}|[\"'],[ \t]{0,4}(?=[\"']))(?!-)"
)
_SET = re.compile(
    r"\b(?i:config[ \t]{1,4}set|setx?|config|env|arg)[ \t]{1,4}(?:--?[\w-]{1,30}[ \t]{1,4}){0,3}"
    r"(?P<name>[\w./:@-]{2,120}+)[ \t]{1,4}(?=\S)"
)


def _options(line: str) -> Iterator[Span]:
    for match in _OPTION.finditer(line):
        if names_secret(match["name"]):
            span, quoted = _value(line, match.end(), bare=_ARGUMENT)
            value = line[span[0] : span[1]]
            if value.startswith("pass:") and match["name"].startswith("pass"):
                continue  # openssl's own way, one of the idioms
            if not is_harmless(value, name=match["name"], quoted=quoted) and not _describes(line, match, span, quoted):
                if match["name"].endswith("creds") and ":" in value:
                    span = span[0] + value.index(":") + 1, span[1]
                yield span if quoted else _without_stop(line, span)
    for match in _SET.finditer(line):
        if names_secret(match["name"]) and not match["name"].startswith(("set-", "get-", "create-", "delete-")):
            span, quoted = _value(line, match.end(), bare=_ARGUMENT)
            value = line[span[0] : span[1]]
            if not is_harmless(value, quoted=quoted) and (quoted or not _goes_on(line, span)):
                yield span


def _goes_on(line: str, span: Span) -> bool:
    return line[span[0] : span[1]].isalpha() and len(_words_after(line, span[1])) >= 2


def _describes(line: str, match: re.Match[str], span: Span, quoted: bool) -> bool:
    """`--token  Token for the registry`: the text of a help page."""
    value = line[span[0] : span[1]]
    if quoted or not value.strip(".,:;").isalpha():
        return False
    return len(_words_after(line, span[1])) >= 1 and (
        len(match["gap"]) > 1 or (value[0].isupper() and len(_words_after(line, span[1])) >= 2)
    )


# Lines of configuration: `requirepass x`, `bindpw x`, `password 7 0822…`, `machine h login u password x`.

_TWO_WORDS = re.compile(
    r"[ \t]{0,40}(?:[-#;!*][ \t]{0,4})?(?P<name>[A-Za-z_][\w.-]{1,80}+)(?P<gap>[ \t]{1,80})(?P<value>\S+)[ \t\r]*\Z"
)
_TYPED = re.compile(
    r"(?i)\b(?:password|secret|key)[ \t]+(?:0|5|7|8|9|encrypted|plaintext)[ \t]+(?P<value>[^\s\"']{4,})"
)
_ACCOUNT = re.compile(r"(?i)\b(?:machine|login|default|username|user|connect|enable|neighbor|account)\b")
_ACCOUNT_PASSWORD = re.compile(r"(?i)(?<![\w-])(?:password|secret)[ \t]+(?P<value>\S+)")
_DEVICE = re.compile(
    r"(?i)(?<![\w-])(?:(?:ro|rw|snmp-server )?community6?|stats auth \S{1,64}:|(?:private|preshared)-key"
    r"|message-digest-key \d{1,3} md5|key-string|authentication-key(?: \d{1,3} md5)?)"
    r"[ \t]{0,4}(?<=[ \t:])(?P<value>[^\s:=/\"'][^\s\"']{0,200})"
)
_PAM_WORDS = re.compile(
    r"(?:requisite|required|sufficient|optional|include|substack|\[\w+=.*|authentication|authenticated|for|is|was)\Z"
)


def _config_lines(line: str) -> Iterator[Span]:
    match = _TWO_WORDS.match(line)
    if match and names_secret(match["name"]):
        span = _unquoted(line, _without_comma(line, match.span("value")))
        value = line[span[0] : span[1]]
        plain = len(match["name"]) == len(parts(match["name"])[-1]) and match["name"].lower() in {
            "password",
            "passwd",
            "secret",
            "token",
            "pass",
            "credentials",
            "pw",
            "pwd",
        }
        aligned = len(match["gap"]) > 1 or "\t" in match["gap"]
        sure = (
            (not plain and value[0] not in "=:|")
            or (aligned and (not value.isalpha() or value.islower()))
            or has_password_look(value)
        )
        if (
            sure
            and not is_harmless(value)
            and not value.startswith(("=", ":", "|", "pam_", "-"))
            and not value.endswith(":")
        ):
            yield span
    for match in _DEVICE.finditer(line):
        if not is_harmless(match["value"]) and (":" in match[0] or not _goes_on(line, match.span("value"))):
            yield match.span("value")
    for match in _TYPED.finditer(line):
        yield match.span("value")
    if "password" in line.lower() or "secret" in line.lower():
        yield from _accounts(line)


def _accounts(line: str) -> Iterator[Span]:
    context = _ACCOUNT.search(line)
    if not context or not (
        line[:12]
        .lstrip()
        .lower()
        .startswith(("machine", "login", "default", "username", "user", "enable", "neighbor", "nmcli"))
        or " wifi " in line
    ):
        return
    for match in _ACCOUNT_PASSWORD.finditer(line, context.start()):
        span = _unquoted(line, match.span("value"))
        value = line[span[0] : span[1]]
        netrc = line.lstrip().lower().startswith(("machine", "login", "default"))
        if (
            not is_harmless(value)
            and not _PAM_WORDS.match(value)
            and (netrc or has_password_look(value) or _ends(line, match.end()))
        ):
            yield span


def _without_comma(line: str, span: Span) -> Span:
    return (span[0], span[1] - 1) if line[span[1] - 1] in ",;" and span[1] - span[0] > 1 else span


def _unquoted(line: str, span: Span) -> Span:
    begin, end = span
    if end - begin >= 2 and line[begin] in "\"'" and line[end - 1] == line[begin]:
        return begin + 1, end - 1
    return span


# Sentences: `A temporary password is generated for root@localhost: x`.

_SENTENCE = re.compile(
    r"(?i)\b(?:password|passphrase|passwort|token|secret|api key|access key|secret key)\b[^:=\n]{0,60}?"
    r"(?:\bis\b:?|\bset to\b|\breset to\b|\bchanged to\b"
    r"|\bgenerated for \S{1,64}:|\bfor \S{1,64}:|\b(?:of"
    r"|to) \S{1,64}:|\):|\bbelow:)[ \t]{1,4}"
    r"(?P<value>\S{1,200})(?=[ \t]*\Z|[ \t]+[(\[-])"
)


def _sentences(line: str) -> Iterator[Span]:
    if len(line) > 2_000:
        return  # no sentence
    for match in _SENTENCE.finditer(line):
        span = _unquoted(line, _without_stop(line, match.span("value")))
        value = line[span[0] : span[1]]
        if (
            (has_password_look(value) or (line[match.start("value") - 2] == ":" and _ends(line, match.end())))
            and not is_harmless(value)
            and not value.startswith(("/", "http", "("))
            and not is_small_number(value)
        ):
            yield span


# Headers.

_AUTHORIZATION = re.compile(
    r"(?i)(?<![\w])(?:proxy-|http_|x-)?authorization\\{0,3}[\"']?[ \t]{0,8}"
    r"(?:=>|[:=])[ \t]{0,8}(?P<quote>\\{0,3}[\"'\[]?[\"']?)"
    r"(?P<rest>[^\"'\r\n\\]*)"
)
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9_-]{1,30})[ \t]{1,4}(?P<value>[^\s,;]+)")
_PAIR_OF_SCHEME = re.compile(r"(?i)\b(?:signature|response|token|key|oauth_\w{1,20})=\"?(?P<value>[^\s,\"&;]{6,})")
_ONE_WORD = re.compile(r"[^\s,;\"'}]+")
_BEARER = re.compile(r"(?i)\b(?:bearer|token)[ \t]{1,4}(?P<value>[A-Za-z0-9._~+/=-]{12,})")
_BASIC = re.compile(r"(?i)\bbasic[ \t]{1,4}(?P<value>[A-Za-z0-9+/_-]{6,}={0,2})")


def _authorization(line: str) -> Iterator[Span]:
    for match in _AUTHORIZATION.finditer(line):
        start, end = match.span("rest")
        scheme = _SCHEME.match(line, start, end)
        if scheme and re.match(r"(?i)realm=", scheme["value"]):
            continue
        if (
            scheme
            and "=" in scheme["value"]
            and re.match(r"(?i)digest|aws4|hawk|oauth|sharedaccess|signature", scheme["scheme"])
        ):
            yield from (pair.span("value") for pair in _PAIR_OF_SCHEME.finditer(line, start, start + 800))
        elif scheme:
            if not is_harmless(scheme["value"], quoted=True) and not _more_words(line, scheme.end(), end):
                yield scheme.span("value")
        elif (
            (word := _ONE_WORD.match(line, start, end))
            and not is_harmless(word[0], quoted=True)
            and not word[0].isalpha()
        ):
            yield word.span()
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
_COOKIE_PAIR = re.compile(r"(?P<name>[\w.%:$-]{1,128}+)=(?P<value>[^;\s,\"']+)")
_COOKIE_OPTION = re.compile(
    r"\s(?:-b|--cookie)[ =]{1,2}(?P<quote>[\"']?)(?P<rest>[\w.%-]{1,64}=[^\"'\s]*"
    r"(?:;[ ]?[\w.%-]{1,64}=[^\"'\s;]*){0,20})"
)


def _cookies(line: str) -> Iterator[Span]:
    for match in _COOKIE.finditer(line):
        for number, pair in enumerate(_COOKIE_PAIR.finditer(line, *match.span("rest"))):
            if number == 0 or not match["set"]:
                yield pair.span("value")
    for match in _COOKIE_OPTION.finditer(line) if "curl" in line or "--cookie" in line else ():
        yield from (pair.span("value") for pair in _COOKIE_PAIR.finditer(line, *match.span("rest")))


# Addresses.

_USERINFO = re.compile(
    r"(?<=[A-Za-z0-9]):(?:\\?/){2}(?P<user>[^\s/?#:@\"'<>\\,]{0,128}):(?!\d{1,5};)(?P<value>[^\s/?#\"'<>\\]{1,500})@(?=[^\s@])"
)
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


def _userinfo(line: str) -> Iterator[Span]:
    for pattern in (_USERINFO, _LOOSE_USERINFO, _ORACLE_ADDRESS):
        for match in pattern.finditer(line):
            if not is_harmless(match["value"], quoted=True):
                yield match.span("value")
                if pattern is _USERINFO and looks_random(match["user"], length=20) and "." not in match["user"]:
                    yield match.span("user")
    for match in _TOKEN_AS_USER.finditer(line):
        if looks_random(match["value"], length=16) and "." not in match["value"]:
            yield match.span("value")


def _queries(line: str) -> Iterator[Span]:
    for match in _QUERY.finditer(line):
        words = parts(match["name"])
        if not words or is_harmless(match["value"], quoted=True):
            continue
        if words[-1] in _SIGNATURES or (
            match["name"].lower() in _LOOSE_KEYS and looks_random(match["value"], length=12)
        ):
            yield match.span("value")


# Commands with options of their own.


@dataclass(frozen=True, kw_only=True)
class _Program:
    """Where a program takes a secret. `part` says which part of the argument: all of it, or what follows a mark."""

    words: tuple[str, ...]  # at least one of them is in the line
    name: re.Pattern[str]
    option: re.Pattern[str]
    mark: str = ""
    once: bool = False


def _program(words: str, name: str, option: str, *, mark: str = "", once: bool = False) -> _Program:
    return _Program(
        name=re.compile(rf"(?:(?<![\w./-])|(?<=bin/))(?:{name})(?:\.exe)?(?=[ \t\x00\"'])"),
        words=tuple(words.split()),
        option=re.compile(option),
        mark=mark,
        once=once,
    )


_MYSQL = (
    "(?:mysql|mariadb|mycli|mytop|mydumper|myloader|xtrabackup"
    "|mariabackup|innobackupex|pt-[a-z-]+)(?:dump|admin"
    "|import|check|show|slap|pump|binlog|_upgrade|sh|-dump"
    "|-admin|-import|-check|-show|-binlog|-backup)?"
)
_MONGO = "mongo(?:sh|dump|restore|export|import|stat|top|files)?"
_LDAP = "ldap(?:search|modify|add|delete|passwd|whoami|compare|modrdn|exop)"
_LOGIN = (
    r"(?:docker|podman|nerdctl|buildah|skopeo|oras|crane"
    r"|helm registry|az|az acr|oc|cf|kubelogin|ibmcloud|argocd"
    r"|gcloud)[ \t]{1,4}login"
)

_PROGRAMS = (
    _program(
        "my maria pt- xtrabackup innobackupex",
        _MYSQL,
        r"(?:[ \t\x00]-p(?=[^\s\x00])|[\"']-p(?=[^\s\x00\"',]))(?!assword|rotocol|ort|ager"
        r"|lugin|rint|rompt|ipe)",
    ),
    _program("sshpass", "sshpass", r"[ \t\x00]-p[ \t\x00]*(?=[^\s\x00])", once=True),
    _program(
        "curl wget xh http aria2c",
        "curl|wget|xh|http|https|httpie|aria2c",
        r"[ \t\x00](?:-[a-zA-Z]{0,12}[uUax]|--user|--proxy-user"
        r"|--auth|--proxy|--oauth2-user)(?:[ \t=\x00]{1,4}|(?=[\w.-]{1,64}:))",
        mark=":",
    ),
    _program("curl", "curl", r"[ \t\x00](?:-E|--cert)[ \t=\x00]{1,4}", mark=":"),
    _program("redis valkey keydb", "(?:redis|valkey|keydb)-(?:cli|benchmark)", r"[ \t\x00](?:-a|--pass)[ \t\x00]+"),
    _program("login", _LOGIN, r"[ \t\x00]-p(?:[ \t=\x00]+|(?=[^\s\x00])(?!assword))"),
    _program("creds", "skopeo|podman|buildah", r"[ \t\x00]--(?:src-|dest-)?creds[ \t=\x00]+", mark=":"),
    _program(
        "mongo cqlsh influx lftp ncftp rdesktop arangosh couchbase nodetool",
        f"{_MONGO}|cqlsh|influx|lftp|ncftp|rdesktop|arangosh|couchbase-cli|nodetool",
        r"[ \t\x00]-(?:p|pw)[ \t\x00]+",
    ),
    _program(
        "ldap",
        _LDAP,
        r"[ \t\x00]-[xZLn]*[wsa][ \t\x00]+(?!sub\b|base\b|one\b"
        r"|children\b|never\b|always\b|search\b|find\b)",
    ),
    _program(
        "ipmi sql bcp zip ssh-keygen xfreerdp",
        "ipmitool|sqlcmd|bcp|osql|isql|zip|unzip|zipcloak|ssh-keygen|xfreerdp|ipmiconsole",
        r"[ \t\x00]-[PN](?:[ \t\x00]+)(?!\"\"|'')",
    ),
    _program("7z rar", "7z[azr]?|rar|unrar", r"[ \t\x00]-(?:p|hp)(?=[^\s\x00-])"),
    _program(
        "snmp onesixtyone",
        "snmp(?:walk|get|set|bulkwalk|bulkget|table|trap|getnext|status|df)|onesixtyone",
        r"[ \t\x00]-[cAX][ \t\x00]+",
    ),
    _program(
        "smb rpcclient winexe wmic net pth-",
        "smbclient|rpcclient|winexe|smbmap|wmic|net|smbget|pth-\\w+",
        r"[ \t\x00](?:-U|--user)[ \t=\x00]*",
        mark="%",
    ),
    _program("lftp sftp plink pscp", "lftp|sftp|plink|pscp|psftp", r"[ \t\x00]-pw[ \t\x00]+"),
    _program("lftp", "lftp", r"[ \t\x00]-u[ \t\x00]+", mark=","),
    _program("openssl", "openssl", r"[ \t\x00]-(?:k|K)[ \t\x00]+"),
    _program("useradd usermod adduser", "useradd|usermod|adduser", r"[ \t\x00](?:-p|--password)[ \t=\x00]+"),
    _program(
        "doctl vultr-cli linode-cli tea gh glab",
        "doctl|vultr-cli|linode-cli|tea|gh|glab",
        r"[ \t\x00]-t[ \t\x00]+(?=[\w-]{16})",
    ),
    _program(
        "sql exp imp rman tnsping",
        "sqlplus|sqlldr|expdp|impdp|exp|imp|rman|tnsping|sql",
        r"[ \t\x00](?:-[a-zA-Z]{1,20}[ \t]{1,4}){0,4}(?:target[ \t]+)?"
        r"(?:userid=)?['\"]?(?=[\w$#-]{1,64}/[^\s/@][^\s@]*@)",
        mark="/",
    ),
    _program(
        "vault heroku",
        "vault[ \t]+(?:login|unwrap|token[ \t]+(?:lookup|revoke"
        "|renew))|heroku[ \t]+auth:token|vault[ \t]+operator[ \t]+unseal",
        r"\A[ \t]+(?=[\w.+/=-]{16})",
    ),
    _program("wpa_passphrase", "wpa_passphrase", r"\A[ \t]+\S{1,64}[ \t]+"),
    _program(
        "rabbitmqctl ejabberdctl",
        "rabbitmqctl[ \t]+(?:add_user|change_password|authenticate_user)|ejabberdctl[ \t]+(?:register|change_password)",
        r"\A[ \t]+(?:--[\w-]+[ \t]+)?\S{1,64}[ \t]+",
    ),
    _program("net", "net1?[ \t]+user", r"\A[ \t]+[^\s/]{1,64}[ \t]+(?=[^/\s])"),
    _program("net", "net1?[ \t]+use", r"\A[ \t]+(?:\S{1,3}:[ \t]+)?\\\\\S{1,128}[ \t]+(?=[^/\s])"),
    _program(
        "htpasswd htdigest",
        "htpasswd|htdigest",
        r"\A[ \t]+(?:-[a-zA-Z0-9]{1,12}[ \t]+(?:\d{1,2}[ \t]+)?){0,4}-[a-zA-Z]{0,12}b[a-zA-Z]{"
        r"0,12}[ \t]+(?:-[a-zA-Z]+[ \t]+|\d{1,2}[ \t]+){0,6}"
        r"(?:[^\s-]\S{0,256}[ \t]+){1,2}(?=\S+[ \t]*(?:\Z|[|;&>]))",
    ),
    _program("AUTH", "AUTH", r"\A[ \t]+(?:[\w-]{1,64}[ \t]+)?(?=[^\s]{6,}[ \t]*\Z)"),
)

_END_OF_COMMAND = re.compile(r"[ \t](?:\|{1,2}|&&|;)[ \t]|;[ \t]")
_PORTS = re.compile(r"\d{1,5}(?::\d{1,5})+\Z")


def _commands(line: str) -> Iterator[Span]:
    for program in _PROGRAMS:
        if not any(word in line for word in program.words):
            continue
        found = list(program.name.finditer(line))
        for index, match in enumerate(found):
            end = found[index + 1].start() if index + 1 < len(found) else len(line)
            stop = _END_OF_COMMAND.search(line, match.end(), end)
            yield from _arguments(line, program, match.end(), stop.start() if stop else end)


def _arguments(line: str, program: _Program, start: int, end: int) -> Iterator[Span]:
    segment = line[start:end]
    for option in program.option.finditer(segment):
        (begin, stop), _ = _value(segment, option.end(), bare=_ARGUMENT)
        value = segment[begin:stop]
        if program.mark:
            before, mark, value = value.partition(program.mark)
            begin += len(before) + len(mark)
            if program.mark == "/" and "@" in value:
                value = value.rpartition("@")[0]
                stop = begin + len(value)
        if value.startswith("//") or _PORTS.match(value) or (program.mark and value.isdigit() and len(value) <= 5):
            continue
        if value and not value.startswith("-") and not is_harmless(value, quoted=True):
            yield start + begin, start + stop
        if program.once:
            return


_CALL = re.compile(
    r"\([ \t]{0,4}(?P<quote>[\"'])(?P<name>[\w.-]{2,80}+)(?P=quote),[ \t]{0,4}(?=[\"'])"
    r"|\b(?:set|with)(?P<setter>[A-Z_]\w{2,60}+)\((?=[\"'])"
)


def _calls(line: str) -> Iterator[Span]:
    """`define('DB_PASSWORD', 'x')`, `config.setPassword("x")`."""
    for match in _CALL.finditer(line):
        if names_secret(match["name"] or match["setter"]):
            span, _ = _value(line, match.end())
            if not is_harmless(line[span[0] : span[1]], quoted=True):
                yield span


_OPENSSL = re.compile(r"(?<![\w.:-])(?:pass|PASS):(?P<value>[^\s\"']+)")
_PIPED = re.compile(
    r"\b(?:echo|printf|cat[ \t]*<<<)[ \t]+(?:-[neE]+[ \t]+|[\"']?%s(?:\\n)?[\"']?[ \t]+)?"
    r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s|\"']+)[ \t]*\|[ \t]*"
    r"(?=[^|]{0,120}(?:sudo[ \t][^|]{0,40}-S\b|--stdin\b"
    r"|--password-stdin|--passphrase-fd|chpasswd|smbpasswd"
    r"|cryptsetup|--with-token|passwd\b))"
)
_HERE_PASSWORD = re.compile(r"(?:chpasswd|smbpasswd|-S\b[^<|]{0,80})[ \t]*<<<[ \t]*(?P<value>\"[^\"]*\"|'[^']*'|\S+)")
_WINDOWS = re.compile(r"(?i)[ \t]/(?:p|pass|password|pw|rp|passwd):(?P<value>\"[^\"]+\"|\S+)")
_SECURE_STRING = re.compile(r"(?i)ConvertTo-SecureString[ \t]+(?:-String[ \t]+)?(?P<value>\"[^\"]+\"|'[^']+')")
_LITERAL = re.compile(r"--from-literal[= ][\"']?[\w.-]{1,128}=(?P<value>\"[^\"]*\"|'[^']*'|[^\s\"']+)")


def _idioms(line: str) -> Iterator[Span]:
    if "openssl" in line or "keytool" in line or "-pass" in line:
        for match in _OPENSSL.finditer(line):
            if not is_harmless(match["value"], quoted=True):
                yield match.span("value")
    for pattern in (_PIPED, _HERE_PASSWORD, _WINDOWS, _SECURE_STRING, _LITERAL):
        for match in pattern.finditer(line):
            begin, end = _unquoted(line, match.span("value"))
            before, mark, _ = line[begin:end].partition(":")
            if pattern in (_PIPED, _HERE_PASSWORD) and mark and re.fullmatch(r"[\w.-]{1,64}", before):
                begin += len(before) + 1
            if not is_harmless(line[begin:end], quoted=True):
                yield begin, end


# SQL, XML and JSON.

_SQL = re.compile(
    r"(?i)(?<![\w.\"'-])(?:identified[ \t]{1,4}(?:with[ \t]{1,4}\S{1,64}[ \t]{1,4})?"
    r"(?:by|as)(?:[ \t]{1,4}password)?|password|secret)"
    r"(?=[ \t=(])(?:[ \t]{1,4}for[ \t]{1,4}\S{1,128})?[ \t]{0,4}"
    r"(?:=[ \t]{0,4})?(?:(?:old_)?password[ \t]{0,4})?\(?[ \t]{0,4}N?"
    r"(?=[\"'])"
)
_ORACLE = re.compile(
    r"(?i)\bidentified[ \t]{1,4}by[ \t]{1,4}(?!values\b|password\b"
    r"|externally\b)(?P<value>[^\s\"';]+)"
)
_LOGIN_PROCEDURE = re.compile(r"(?i)\bsp_(?:addlogin|password)\b[^,]{0,80},[ \t]{0,4}N?'(?P<value>[^']+)'")
_ELEMENT = re.compile(r"<(?P<name>[A-Za-z_][\w.:-]{1,80}+)(?:[ \t][^<>]{0,200})?>(?P<value>[^<>\r\n]{1,2000})</")
_ATTRIBUTES = re.compile(
    r"(?i)\b(?:name|key|id|property|parameterkey|variable)\\?[\"']?[ \t]{0,4}[=:][ \t]{0,4"
    r"}\\?[\"'](?P<name>[\w.-]{1,100}+)\\?[\"'][^<>{}\r\n]{0,80}?\b"
    r"(?:value|val|parametervalue|defaultvalue)\\?[\"']?[ \t]{0,4}[=:][ \t]{0,4}"
    r"(?=\\?[\"'])"
)
_ENTRY = re.compile(r"\b(?:key|name)=[\"'](?P<name>[\w.-]{1,100}+)[\"'][^<>]{0,80}>(?P<value>[^<>\r\n]{1,2000})<")
_JWK = re.compile(r"\"(?:d|p|q|dp|dq|qi|k)\"[ \t]{0,4}:[ \t]{0,4}\"(?P<value>[A-Za-z0-9_-]{16,})\"")


def _sql(line: str) -> Iterator[Span]:
    for match in _SQL.finditer(line):
        span, _ = _value(line, match.end())
        value = line[span[0] : span[1]]
        if match[0].startswith("secret"):
            continue
        if not is_harmless(value, quoted=True) and (
            len(value.split()) == 1 or has_password_look(value) or match[0].isupper()
        ):
            yield span
    yield from (match.span("value") for match in _LOGIN_PROCEDURE.finditer(line))
    for match in _ORACLE.finditer(line):
        if not is_harmless(match["value"]):
            yield match.span("value")


def _markup(line: str) -> Iterator[Span]:
    for pattern in (_ELEMENT, _ENTRY):
        for match in pattern.finditer(line):
            if (
                names_secret(match["name"])
                or (match["name"] in {"D", "P", "Q", "DP", "DQ", "InverseQ"} and "RSAKeyValue" in line)
            ) and not is_harmless(match["value"], quoted=True):
                yield match.span("value")
    for match in _ATTRIBUTES.finditer(line):
        if names_secret(match["name"]):
            span, _ = _value(line, match.end())
            if not is_harmless(line[span[0] : span[1]], quoted=True):
                yield span
    if '"kty"' in line:
        yield from (match.span("value") for match in _JWK.finditer(line))


# Files with a format of their own.

_CRYPT = re.compile(
    r"\$(?:1|5|6)\$(?:rounds=\d{1,9}\$)?[./A-Za-z0-9]{0,16}\$[./A-Za-z0-9]{20,90}"
    r"|\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{50,60}"
    r"|\$(?:y|gy|7)\$[./A-Za-z0-9]{1,20}\$[./A-Za-z0-9]{1,90}\$[./A-Za-z0-9]{20,90}"
    r"|\$(?:apr1|md5)[$,][^\s:$]{1,40}\$[./A-Za-z0-9$]{20,90}"
    r"|\$argon2(?:id|i|d)\$v=\d+\$[\w=,]{3,60}\$[A-Za-z0-9+/]{8,90}\$[A-Za-z0-9+/]{16,180}"
    r"|\$[PHS]\$[./A-Za-z0-9]{20,90}"
    r"|\$scrypt\$[^\s:]{20,200}|\$pbkdf2(?:-sha\d+)?\$[^\s:]{20,300}"
    r"|pbkdf2_sha\d+\$\d+\$[^\s$]{1,64}\$[A-Za-z0-9+/=]{20,120}"
    r"|grub\.pbkdf2\.sha512\.\d+\.[0-9A-Fa-f.]{64,600}|SCRAM-SHA-\d+\$\d+:[A-Za-z0-9+/=]{8"
    r",60}\$[A-Za-z0-9+/=:]{40,200}"
    r"|\{(?:S?SHA(?:\d{3})?|S?MD5|CRYPT|PBKDF2[\w-]*|ARGON2)\}[^\s:\"']{12,300}"
    r"|scrypt:\d+:\d+:\d+\$[^\s$]{1,64}\$[0-9a-f]{64,128}"
)
_SHADOW = re.compile(
    r"[a-z_][\w.-]{0,64}\$?:!{0,2}(?P<value>[^:\s]{13,400}):\d{0,6}:\d{0,6}:\d{0,6}:\d{0,6}:\d{0,6}:\d{0,6}:"
)
_PWDUMP = re.compile(r"[^\s:]{1,100}:\d{1,10}:(?P<value>(?:[0-9A-Fa-f]{32}|NO PASSWORD\*+):[0-9A-Fa-f]{32}):::")
_PGPASS = re.compile(
    r"(?:[A-Za-z0-9*][A-Za-z0-9*._-]{0,253}|\[[0-9a-f:]+\]"
    r"|/[\w/.-]{1,100}):(?:\*|\d{4,5}):[^\s:/]{1,64}:[^\s:/]{1,64}:"
    r"(?P<value>(?:\\.|[^\s:\\]){1,256})\r?\Z"
)
_HTPASSWD = re.compile(r"[\w.@-]{1,64}:(?P<value>[./A-Za-z0-9]{13})\Z")


def _hashes(line: str) -> Iterator[Span]:
    yield from (match.span() for match in _CRYPT.finditer(line))


def account_files(line: str) -> Iterator[Span]:
    text = line.lstrip()
    offset = len(line) - len(text)
    for pattern in (_SHADOW, _PWDUMP, _PGPASS):
        match = pattern.match(text)
        if match and not is_harmless(match["value"], quoted=True):
            yield match.start("value") + offset, match.end("value") + offset


_NAMES = (
    "pass",
    "pw",
    "secret",
    "token",
    "key",
    "auth",
    "cred",
    "psk",
    "sess",
    "sid=",
    "jwt",
    "otp",
    "cookie",
    "signature",
    "hmac",
)
_COMMAND_WORDS = (
    "'-p",
    '"-p',
    " -p",
    " -a ",
    " -w ",
    " -u",
    " -x ",
    " -k ",
    " -hp",
    " -c ",
    " -s ",
    " -n ",
    " -t ",
    "\x00-",
    " -e ",
    " --cert",
    " --auth",
    " --proxy",
    " --user",
    "creds",
    "auth ",
    "curl",
    "wget",
    "sqlplus",
    "sqlldr",
    "expdp",
    "impdp",
    "rman ",
    "vault ",
    "heroku",
    "wpa_pass",
    "rabbitmqctl",
    "ejabberdctl",
    "net use",
    "net user",
    "htpasswd",
    "htdigest",
)

FORMS: tuple[Form, ...] = (
    Form(needles=_NAMES, find=_assignments),
    Form(
        needles=(
            "-pass",
            "-pwd",
            "token",
            "secret",
            "key",
            "set ",
            "config ",
            "setx ",
            "env ",
            "arg ",
            "-pw",
            "-psk",
            "jwt",
        ),
        find=_options,
    ),
    Form(
        needles=("community", "pass", "secret", "auth", "cred", "bindpw", "rootpw", "token", "key"), find=_config_lines
    ),
    Form(needles=("password", "passphrase", "token", "secret", "key", "passwort"), find=_sentences),
    Form(needles=("authorization", "bearer", "basic ", "token "), find=_authorization),
    Form(needles=("cookie", " -b "), find=_cookies),
    Form(needles=("@",), find=_userinfo),
    Form(
        needles=(
            "sig=",
            "signature",
            "key=",
            "code=",
            "auth=",
            "appid=",
            "sid=",
            "session=",
            "ticket=",
            "hmac=",
            "k=",
            "sso=",
            "pw=",
        ),
        find=_queries,
    ),
    Form(
        needles=(
            " -",
            "-p",
            "\x00-",
            "auth ",
            "vault ",
            "heroku",
            "ctl ",
            "sqlplus",
            "sqlldr",
            "pdp",
            "rman",
            "wpa_",
            "net use",
            "htpasswd",
        ),
        find=_commands,
        wakes=_COMMAND_WORDS,
    ),
    Form(
        needles=(
            "pass",
            "stdin",
            " -s",
            "with-token",
            "securestring",
            "from-literal",
            " /p:",
            " /pw:",
            " /rp:",
            "cryptsetup",
        ),
        find=_idioms,
    ),
    Form(needles=("identified", "password", "secret", "sp_addlogin"), find=_sql),
    Form(needles=("('", '("', "set"), find=_calls, wakes=()),
    Form(needles=("</", "value", "kty"), find=_markup, wakes=("kty",)),
    Form(needles=("$", "pbkdf2", "scram-sha", "{s", "{md5}", "{crypt", "{pbkdf2", "{argon", "scrypt:"), find=_hashes),
)
