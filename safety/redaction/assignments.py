"""Secrets behind a name: assignments and calls, also within structures and within what was encoded for an address."""

import re
from collections.abc import Iterator

from safety.redaction.names import (
    MASK,
    decodes_to_credentials,
    has_password_look,
    is_harmless,
    is_small_number,
    is_word,
    is_word_of_prose,
    looks_random,
    may_name_secret,
    names_secret,
    parts,
)
from safety.redaction.shapes import Span
from safety.redaction.tables import with_bars
from safety.redaction.values import value_at, without_stop, words_after

# Assignments: `DB_PASSWORD=x`, `"secret": "x"`, `password => 'x'`, `Password=x;`, `?token=x&`.

_ASSIGNMENT = re.compile(
    r"(?:(?<![\w.])|(?<=%5[Bb]))(?P<name>[A-Za-z_][\w.-]{1,100}+)"
    r"(?P<close>\\{0,3}[\"'`]?\]?|&quot;|&#3[49];|\\{1,2}u002[27]|%5[Dd])"
    r"(?P<gap>[ \t]{0,40})(?P<sep>=>|->|:=|={1,3}(?!>)|::(?=[ \t]{0,2}[A-Za-z0-9+/=]{4,}\s*\Z)|:(?![:/]{1,2}[^\s])"
    r"(?![ \t]{0,4}(?:&?(?:'static )?str|string|String|SecretStr|bytes)[ \t]{0,4}=)"
    r"|:[ \t]{0,4}(?:&?(?:'static )?str|string|String|SecretStr|bytes)[ \t]{0,4}=|\|)[ \t]{0,40}"
    r"(?:(?:!!(?:str|binary)|!unsafe|!vault-encrypted)[ \t]{1,4})?"
)
_SPACED = re.compile(
    r"(?i)\b(?:(?:api|access|secret|private|unseal|recovery|encryption|master|licen[cs]e|account|auth|signing|client"
    r"|root|"
    r"initial|shared|pre-?shared|session|bearer|new|temporary|current|admin|app|application|deploy|webhook"
    r"|subscription|"
    r"storage|consumer|integration|bot|device|product|security|wi-?fi)[ -](?:key|token|secret|password|passphrase|"
    r"credentials?)|key content|mot de passe|(?P<words>pass phrase))(?:[ ]#?\d{1,2})?"
    r"[ \t]{0,20}(?P<sep>[:=|])[ \t]{0,40}"
)
# A password in languages other than ours. What follows as prose is of letters, or not of ASCII alone.
_FOREIGN = re.compile(
    r"(?i)(?:\b(?:contraseña|senha|пароль)|密码|密碼|パスワード)[\"'`]?"
    r"[ \t]{0,20}(?:=>|[:=：])[ \t]{0,40}"
)
_LONG = 200  # characters of a value, beyond which it is read once


def assignments(line: str) -> Iterator[Span]:
    """Values behind names of secrets."""
    # The end of the last long value: what stands in it is not read again, or a line of `a=a=a=` takes for ever.
    seen = 0
    line = with_bars(line)
    for match in _ASSIGNMENT.finditer(line):
        name = match["name"]
        if match.start() < seen or _is_one_of_many_parts(line, match):
            continue
        if name == "token" and line[max(0, match.start() - 80) : match.start()].rpartition(" ")[2].startswith(
            "pkcs11:"
        ):
            continue  # the label of a device
        opens = line[match.end() : match.end() + 1]
        if name.lower().endswith("passwords") and opens == "[":
            inner, seen = _structure(line, match.end(), seen)
            yield from inner
            continue
        if not names_secret(name) and not (may_name_secret(name) and match["sep"] != "|"):
            continue
        if line.startswith(MASK, match.end()) or _closes_a_quote(line, match):
            continue
        if opens in {"{", "["}:
            inner, seen = _structure(line, match.end(), seen)
            yield from inner
            if inner or not _is_braced(line, match):
                continue
            span, quoted = _in_braces(line, match.end()), False
        else:
            span, quoted = value_at(line, match.end())
        if not quoted:
            span = _rest_of_quotes(line, _passphrase(line, span, match), match)
        elif _is_substitution(line, span, match):
            continue
        if _is_assigned_secret(line, span, match, quoted=quoted):
            if not quoted:
                span = _rest_of_line(line, span, match)
            seen = span[1]
            yield span if quoted else without_stop(line, span)
            yield from _after_the_arrow(line, span, match)
        elif span[1] - span[0] > _LONG:
            seen = span[1]
    if " " in line:
        yield from _spaced_assignments(line)


_ARROW = re.compile(r"[\"'`]?[ \t]{1,4}(?:->|=>|→)[ \t]{1,4}(?=\S)")


def _after_the_arrow(line: str, span: Span, match: re.Match[str]) -> Iterator[Span]:
    """`password = "old" -> "new"`, as a change is shown: the new one, too."""
    arrow = _ARROW.match(line, span[1]) if names_secret(match["name"]) else None
    if arrow:
        new, quoted = value_at(line, arrow.end())
        value = line[new[0] : new[1]]
        if not is_harmless(value, quoted=quoted) and (
            quoted or (has_password_look(value) and not is_small_number(value))
        ):
            yield new


def _is_one_of_many_parts(line: str, match: re.Match[str]) -> bool:
    """As in `arn:…:secret:name`; not `:password: x`, a symbol of Ruby in YAML."""
    before = line[max(0, match.start() - 2) : match.start()]
    if before.endswith(":") and line[match.end() - 1] == " " and not line[: match.start() - 1].strip(" \t-"):
        return False
    of_a_module = before == "::" and line[match.end() - 1] == " "  # `profile::db::password: x`
    return match["sep"] == ":" and not match["gap"] and before.endswith((":", "//")) and not of_a_module


def _closes_a_quote(line: str, match: re.Match[str]) -> bool:
    """`read -p "Password: " PW`: what looks like the value's quote ends the text before it."""
    quote = line[match.end() : match.end() + 1]
    if not quote or quote not in "\"'" or match["close"]:
        return False
    after = line[match.end() + 1 : match.end() + 2]
    return (not after or after in " \t),;]}") and line.count(quote, 0, match.end()) % 2 == 1


def _is_assigned_secret(line: str, span: Span, match: re.Match[str], *, quoted: bool) -> bool:
    name, value = match["name"], line[span[0] : span[1]]
    if is_harmless(value, name=name, quoted=quoted) or _is_known_otherwise(line, value, match):
        return False
    if not names_secret(name):
        random = looks_random(value, length=16) and not value.startswith(("http", "/"))
        return (random and not _is_an_id(value, name)) or (parts(name)[-1] != "key" and decodes_to_credentials(value))
    if parts(name)[-1] == "secret" and NAME_OF_A_SECRET.fullmatch(value):
        return False
    if not quoted and _is_prose(line, span, match, name):
        return False
    if match["sep"] != "|" or looks_random(value, length=12):
        return True
    return line.lstrip().startswith("|") and value.islower() and has_password_look(value)


# Half of a login to Vault, all of one to Consul and Nomad. Elsewhere it names a secret, and is no UUID.
_SECRET_ID = re.compile(
    r"(?i)(?<![a-z])secret[ _-]?id\\{0,3}[\"']?[ \t]{0,40}[:=|]?[ \t]{0,40}\\{0,3}[\"']?"
    r"(?P<value>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![\w-])"
)


def secret_ids(line: str) -> Iterator[Span]:
    """`SecretID: 6a94…`, `secret_id    6a94…`, `Secret ID = 6a94…`."""
    yield from (match.span("value") for match in _SECRET_ID.finditer(line))


_KEPT_UNDER = re.compile(r"[a-z]+(?:[-_.][a-z]+)*")  # `passwordKey: admin-password`, the key under which it is kept
_MANUAL_PAGE = re.compile(r"\w+\.[1-9]")


def _is_known_otherwise(line: str, value: str, match: re.Match[str]) -> bool:
    """Signs that look like an assignment of a secret: `accesskey="n"`, `PASS: test`, `PWD='/srv'`, `a == b_token`."""
    name, sign = match["name"], match["sep"]
    colon = sign == ":"
    if colon and not match["gap"] and _ARCHITECTURE.fullmatch(value):
        return True  # `libsecret-1-0:amd64`
    if colon and not match["gap"] and parts(name)[-1] in {"token", "session"} and _KEY_OF_A_CACHE.fullmatch(value):
        return True
    if colon and line[max(0, match.start() - 1) : match.start()] == "/" and _LINE_NUMBER.match(value):
        return True  # `/etc/pam.d/common-password:25:password …`, as grep prints it
    if colon and _TYPE.match(line, match.end()):
        return True
    if sign == "=" and line[max(0, match.start() - 1) : match.start()] == "$" and _CMDLET.match(line, match.end()):
        return True
    if sign == "=" and match["gap"] and value.isdigit() and _FIELD_OF_A_MESSAGE.match(line, 0, match.start()):
        return True
    if parts(name)[-1] == "key" and names_secret(value) and _KEPT_UNDER.fullmatch(value):
        return True
    if name.lower() == "accesskey":
        return len(value) <= 2
    if name.upper() == "PWD" and value.startswith(("/", "~")):
        return True
    if name == "PASS" and colon:
        return True
    if name == "Private-Key" and value.startswith("("):
        return True  # its size
    if name == "PSK" and colon and not match["gap"] and value.startswith("-"):
        return True  # a list of ciphers
    if colon and _MANUAL_PAGE.fullmatch(name):
        return True
    if sign == "->" and (line.startswith("l") or not has_password_look(value)):
        return True  # where a link points to
    after = line[match.end() + len(value) : match.end() + len(value) + 1]
    if sign in {"==", "==="} or (after in {",", ")"} and "(" in line[: match.start()]):
        return _VARIABLE.fullmatch(value) is not None and line[match.end()] not in "\"'`"
    return False


_LINE_NUMBER = re.compile(r"\d{1,6}[:-]")
_KEY_OF_A_CACHE = re.compile(r"[a-z_]+(?::[a-z0-9_*-]{1,12})+")
_ARCHITECTURE = re.compile(r"amd64|arm64|armhf|armel|i[3-6]86|x86_64|aarch64|ppc64e?l?e?|s390x|riscv64|mips\w*|noarch")
# A declaration's type: `secret: &[u8]`, `token: Option<&str>`, `password: Promise<string>`.
_TYPE = re.compile(
    r"(?:&(?:'\w+ )?(?:mut )?|\*(?:const |mut )?)*(?:\[(?:u8|byte|char)\b|\[\](?:byte|string)\b"
    r"|(?:c_char|u8|str|String|string|bytes)\b(?=[ \t]*[>,)=;|?\]]|[ \t]*\Z)"
    r"|(?:Option|Optional|Vec|Box|Arc|Rc|Mutex|RwLock|Cow|Secret|SecretBox|Zeroizing|Result|Promise|Future|Observable"
    r"|Array|List|Set|Map|Dict|Mono|Flux|Maybe|Nullable|Ref|Annotated|Union|Literal)[<\[]"
    r"|[A-Z][A-Za-z]{2,30}<[\w<>&\[\]', :]{1,80}>|[A-Z](?=[,)>])"
    r"|(?:Buffer|Uint8Array|ByteArray|ByteString|SecretString|SecureString|CString|OsString|Bytes|NSString)"
    r"(?=[ \t]*[;,)?=|}]|[ \t]*\Z))"
)
_CMDLET = re.compile(
    r"\(?(?:Get|Read|New|Import|Export|Invoke|Select|Convert|ConvertTo|ConvertFrom|Join|Resolve|Find|Request|Protect"
    r"|Unprotect|Unlock|Where|Sort|Use)-[A-Z][A-Za-z]{2,40}(?![\w-])"
)
# `string password = 2;` of Protocol Buffers: the number is the field's.
_FIELD_OF_A_MESSAGE = re.compile(
    r"[ \t]*(?:(?:optional|required|repeated)[ \t]+)?(?:string|bytes|bool|double|float|s?u?int(?:32|64)"
    r"|s?fixed(?:32|64)|map<[\w ,.]{1,80}>|(?:[a-z]\w*\.){1,6}[A-Z]\w*|[A-Z][a-z]\w*)[ \t]+\Z"
)
_VARIABLE = re.compile(
    r"(?:[a-z]+_)*(?:password|passwd|token|secret|key)|[a-z]+(?:[A-Z][a-z]+)*(?:Password|Token|Secret|Key)"
)


def _is_an_id(value: str, name: str) -> bool:
    """A fingerprint or an address behind a name that only may be a secret's."""
    words = parts(name)
    if words[-2:] in (("primary", "key"), ("secondary", "key")):
        return value.islower() or value.isupper()  # the digest that is a row's name
    return words[-1] == "key" and (":" in value or "/" in value or value.startswith(("SHA256", "AAAA", "pk_")))


def _begins_the_line(line: str, match: re.Match[str]) -> bool:
    return match.start() <= 40 and not line[: match.start()].strip(" \t-")


_WORDS_OF_A_PASSPHRASE = re.compile(r"[^\s=:(\[{|<>\"',]+(?:[ \t][^\s#;=:(\[{|<>\"',]+){2,8}[ \t]*\r?\Z")
_KEYWORDS = ("await ", "new ", "not ", "yield ", "None ", "if ")


def _passphrase(line: str, span: Span, match: re.Match[str]) -> Span:
    """A passphrase has spaces: if the line begins with its name, it goes on to the end."""
    name = parts(match["name"])[-1]
    if not _begins_the_line(line, match) or name not in {"passphrase", "password", "passwd"}:
        return span
    of_words = match["sep"] == "=" and match["gap"] and _WORDS_OF_A_PASSPHRASE.match(line, span[0])
    if name == "passphrase" or (of_words and not line.startswith(_KEYWORDS, span[0])):
        return span[0], max(span[1], len(line.rstrip()))
    return span


def _is_substitution(line: str, span: Span, match: re.Match[str]) -> bool:
    """``TOKEN=`cat x` ``: a shell runs it."""
    if line[span[0] - 1] != "`" or match["sep"] != "=" or match["gap"] or line[match.end() - 1] != "=":
        return False
    value = line[span[0] : span[1]]
    return " " in value or value.isalpha()


# What may follow the first word of a bare value and still belong to it.
_MORE_WORDS = re.compile(r"(?:[ \t]{1,3}[^\s#;=:(\[{|<>\"',&][^\s=:(\[{|<>\"',]{0,60}){1,8}[ \t]*\r?\Z")


def _rest_of_line(line: str, span: Span, match: re.Match[str]) -> Span:
    """Bare words of a configuration's line belong to one value, if the line begins with its name."""
    if not _begins_the_line(line, match) or match["sep"] not in {"=", ":"}:
        return span
    if match["sep"] == "=" and not match["gap"]:
        return span
    more = _MORE_WORDS.match(line, span[1])
    if more and not is_word_of_prose(more[0].split()[0]) and line[span[1] - 1 : span[1]] not in {",", ";"}:
        return span[0], len(line.rstrip())
    return span


def _rest_of_quotes(line: str, span: Span, match: re.Match[str]) -> Span:
    """In `-e 'DB_PASSWORD=two words'` the quotes hold the assignment, and the value goes on to the last of them."""
    quote = line[match.start() - 1 : match.start()]
    if not quote or quote not in "\"'" or match["sep"] != "=" or match["close"] or match["gap"]:
        return span
    end = line.find(quote, match.end(), match.end() + 2 * _LONG)
    return (span[0], end) if end > span[1] and "=" not in line[span[1] : end] else span


_INNER_VALUE = re.compile(
    r"[\"']?\b(?:value|default|plaintext|plain|current|raw|secret_?value)\b[\"']?[ \t]{0,4}(?:=>"
    r"|[:=])[ \t]{0,4}(?=[\"'])"
)
_LIST_ITEM = re.compile(r"[ \t]{0,4}[\[,][ \t]{0,4}(?=[\"'])")


def _structure(line: str, start: int, seen: int) -> tuple[list[Span], int]:
    """`"password": {"value": "x"}` and `"password": ["x"]`; and up to where the line needs no second look."""
    limit = start + 4 * _LONG
    if line[start] == "{":
        stop = line.find("}", start, limit)
        found = _INNER_VALUE.search(line, start, stop) if stop >= 0 else None
        places = [found.end()] if found else []
    else:
        places, stop = _items(line, start, limit)
    if stop < 0:
        return [], max(seen, start if limit < len(line) else len(line))
    spans: list[Span] = []
    for place in places:
        span, _ = value_at(line, place)
        words = line[span[0] : span[1]].split()
        if len(words) > 1 and all(is_word(word) for word in words):
            continue  # what a form answers: `"password": ["is too short"]`
        if not is_harmless(line[span[0] : span[1]], quoted=True):
            spans.append(span)
    return spans, max(seen, stop if spans else start)


def _items(line: str, start: int, limit: int) -> tuple[list[int], int]:
    """Where the quoted items of a list begin, and where the list ends; -1 if it isn't seen to."""
    places: list[int] = []
    position = start
    while position < limit and (match := _LIST_ITEM.match(line, position)):
        places.append(match.end())
        (_, end), _ = value_at(line, match.end())
        position = end + 1
    return places, position if position < len(line) else -1


_BRACED = re.compile(r"\{[^{}\s\"':]{1,200}\}?|\[[^\[\]\s\"':,]{1,200}\]?")


def _is_braced(line: str, match: re.Match[str]) -> bool:
    """`PWD={a;b};` as ODBC has it, or a password that happens to begin with a bracket."""
    return match["sep"] == "=" and _BRACED.match(line, match.end()) is not None


def _in_braces(line: str, start: int) -> Span:
    found = _BRACED.match(line, start)
    return (start, found.end()) if found else (start, start)


def _spaced_assignments(line: str) -> Iterator[Span]:
    for match in _SPACED.finditer(line):
        span, quoted = value_at(line, match.end())
        value = line[span[0] : min(span[1], span[0] + 4 * _LONG)]
        if _is_of_words(line, span, match):
            yield span[0], len(line.rstrip())
        elif not is_harmless(value, quoted=quoted) and (quoted or (has_password_look(value) and value[0] != "(")):
            yield without_stop(line, span)


def _is_of_words(line: str, span: Span, match: re.Match[str]) -> bool:
    """`pass phrase: four words or more`, where the line says nothing else."""
    if match["words"] is None or not _begins_the_line(line, match):
        return False
    words = line[span[0] : span[0] + _LONG].split()
    return len(words) >= 4 and all(is_word(word) and not is_word_of_prose(word) for word in words)


def foreign_assignments(line: str) -> Iterator[Span]:
    """`contraseña: x`, `пароль=x`."""
    seen = 0  # as above: what stands in a value is not read again
    for match in _FOREIGN.finditer(line):
        if match.start() < seen:
            continue
        span, quoted = value_at(line, match.end())
        seen = span[1]
        value = line[span[0] : min(span[1], span[0] + _LONG)]
        mixed = len(value) >= 8 and not value[1:].islower() and not value.isupper()
        looks_so = value.isascii() and " " not in value and (mixed or has_password_look(value))
        if looks_so and not is_harmless(value, quoted=quoted):
            yield without_stop(line, span)


NAME_OF_A_SECRET = re.compile(
    r"[a-z0-9]+(?:[-/_.][a-z0-9]+)*-(?:tls|certs?|secrets?|creds|config|token|keys?|auth|credentials|ssl|ca|password"
    r"|env)"
    r"|[a-z]+(?:-[a-z]+)*(?:/[a-z]+(?:-[a-z]+)*)+"
)
PROGRAMS = frozenset(
    {"passwd", "sshpass", "htpasswd", "chpasswd", "smbpasswd", "gpasswd", "systemd-ask-password", "mkpasswd"}
)
_VERBS = frozenset(
    {"set", "get", "derive", "allocate", "free", "init", "test", "parse", "load", "read", "check", "null"}
)
_STATES = frozenset(
    {"invalid", "expired", "missing", "unexpected", "bad", "wrong", "unknown", "incorrect", "malformed"}
)


_SEEN = re.compile(
    r"(?i)\b(?:un)?(?:expected|known|valid|recogni[sz]ed)[ \t]+\Z|\b(?:invalid|illegal|near|bad)[ \t]+\Z"
)


def _is_prose(line: str, span: Span, match: re.Match[str], name: str) -> bool:
    """`passwd: all tokens updated`, `tests pass: 12`, `unexpected token: end`, `PWD=/home/Ops`, `InvalidToken: too "
    "old`."""
    value, words = line[span[0] : span[1]], parts(name)
    last = words[-1]
    colon = match["sep"] == ":"
    if last == "credential" and "aws4_request" in value:
        return True  # the key's id in it has a shape of its own
    if words == ("pwd",) and colon and is_word(value) and words_after(line, span[1]):
        return True  # a list of programs and their authors
    if last in {"token", "secret", "credentials", "jwt"} or last == "pass":
        if is_small_number(value):
            return True
        lone = colon and len(words) == 1 and last != "secret"
        if lone and is_word(value) and _SEEN.search(line, max(0, match.start() - 20), match.start()):
            return True  # `unexpected token: IDENTIFIER`
        if lone and value.isalpha() and value[1:].islower() and len(value) < 20:
            return True
    if words == ("pass",) and colon and line[: match.start()].rstrip().endswith("):"):
        return True
    if colon and value.isdigit() and line[span[1] : span[1] + 6].startswith((" byte", " char")):
        return True
    if value == name.rpartition(".")[2] and not name.isupper():
        return True  # `self.token = token`
    word = is_word(value)
    following = words_after(line, span[1]) if word else []
    if match["sep"] == "=" and word:
        loose = line[match.end() - 1] in " \t"
        if loose and not match["gap"]:
            return True  # `Password= sets it`: a sentence that names the setting
        return loose and len(following) >= 2 and any(mark in line[span[1] - 1 :] for mark in (",", ". ", "; "))
    if colon and word and line[span[1] : span[1] + 1] not in {",", ";", "}"}:
        if name in PROGRAMS or _STATES.intersection(words) or (len(words) >= 3 and _VERBS.intersection(words)):
            return True
        plain = all(is_word(text) for text in following[:2])
        return len(following) >= (2 if plain and last not in {"password", "passwd"} else 3)
    return False


_ENCODED = re.compile(
    r"(?i)%(?:3f|26|5b|22|7b|2c|20|3b)(?P<name>[a-z_][\w.-]{1,60}?)(?:%5d|%22|\+|%20)?%3[ad](?:%22|\+|%20){0,2}"
    r"(?P<value>(?:(?!%(?:26|22|7d|2c|20|0a|3b))[^\s&\"'<>+]){1,500})"
)


def encoded_assignments(line: str) -> Iterator[Span]:
    """`next=%2Fcb%3Ftoken%3Dx%26a%3Db`: an assignment that was encoded as a whole."""
    for match in _ENCODED.finditer(line):
        if names_secret(match["name"]) and not is_harmless(match["value"], quoted=True):
            yield match.span("value")


_CALLS = (
    re.compile(r"\([ \t]{0,4}(?P<quote>[\"'])(?P<name>[\w.-]{2,80}+)(?P=quote),[ \t]{0,20}(?=[\"'])"),
    re.compile(r"(?:\b(?:set|with|Set|With)_?(?=[A-Za-z])|(?<=\.))(?P<name>[A-Za-z]\w{2,60}+)\((?=[\"'])"),
    # `{:db_password, "x"}`, `{password, <<"x">>}`, `(setq smtp-password "x")`
    re.compile(r"\{:?(?P<name>[a-z][\w-]{1,80}+),[ \t]{0,4}(?:<<)?(?=\")"),
    re.compile(r"\((?:set[qf!]|def[a-z]{0,10})[ \t]{1,4}\*?(?P<name>[a-z][\w/-]{1,80}+)\*?[ \t]{1,4}(?=\")"),
    # PHP's `s:8:"password";s:1:"x";`
    re.compile(r"\bs:\d{1,4}:(?P<quote>\\{0,3}\")(?P<name>[\w.-]{2,80}+)(?P=quote);s:\d{1,6}:(?=\\{0,3}\")"),
)
_GETTERS = re.compile(
    r"get|read|fetch|load|is|has|check|find|create|delete|prompt|ask|input|describe|verify|validate|mask"
)


def calls(line: str) -> Iterator[Span]:
    """`define('DB_PASSWORD', 'x')`, `config.setPassword("x")`."""
    for pattern in _CALLS:
        for match in pattern.finditer(line):
            name = match["name"]
            sure = names_secret(name) and not _GETTERS.match(name.lower())
            if sure or (pattern is _CALLS[0] and may_name_secret(name)):
                span, _ = value_at(line, match.end())
                value = line[span[0] : span[1]]
                if pattern is _CALLS[-1] and (" " in value or value.lower() == name.lower()):
                    continue  # what a form says
                if not is_harmless(value, quoted=True) and (sure or (len(value) >= 16 and has_password_look(value))):
                    yield span


# A call that logs in: the second of two texts, or the third, is the password.
_LOGIN_CALL = re.compile(
    r"(?P<name>[A-Za-z_][\w.]{0,60})(?:=|:[ \t]?)?\([ \t]{0,4}(?:[\w.]{1,60},[ \t]{0,4}"
    r"|(?P<q>[\"'])[^\"'\r\n]{0,200}(?P=q),[ \t]{0,4}){1,2}(?=[\"'])"
)
_LOGS_IN = re.compile(
    r"(?:\w+\.)*(?:\w*(?:BasicAuth|DigestAuth|basic_auth|BasicCredentials?|PasswordAuthentication|PasswordCredential|"
    r"UsernamePassword\w*|UserPassword)|auth|login|authenticate|mysqli_connect|mysql_connect|PDO|getConnection)"
)


def login_calls(line: str) -> Iterator[Span]:
    """`auth=("bob", "x")`, `HTTPBasicAuth("bob", "x")`, `new PDO(dsn, "bob", "x")`."""
    for match in _LOGIN_CALL.finditer(line):
        if _LOGS_IN.fullmatch(match["name"]):
            span, _ = value_at(line, match.end())
            value = line[span[0] : span[1]]
            if not is_harmless(value, quoted=True) and (has_password_look(value) or "Basic" in match["name"]):
                yield span
