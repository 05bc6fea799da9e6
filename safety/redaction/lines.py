"""Secrets behind a name without a sign between them: options, lines of configuration, sentences."""

import re
from collections.abc import Iterator

from safety.redaction.assignments import NAME_OF_A_SECRET, PROGRAMS
from safety.redaction.names import (
    has_password_look,
    is_harmless,
    is_small_number,
    is_word,
    looks_random,
    names_secret,
    option_names_secret,
    parts,
)
from safety.redaction.shapes import Span
from safety.redaction.values import (
    ARGUMENT,
    ends,
    goes_on,
    unquoted,
    value_at,
    without_comma,
    without_stop,
    words_after,
)

# Options: `--password x`, `"--token", "x"`, `/p:x`.

_OPTION = re.compile(
    r"(?<![\w-])[-\u2013\u2014\u2212]{1,2}(?P<name>[A-Za-z][\w.-]{1,60}+)"
    r"(?P<gap>[ \t\x00]{1,8}|[\"'],?[ \t]{1,4}(?=[\"'])"
    r"|[\"'],(?=[\"']))(?!-[-A-Za-z])"
)
_SET = re.compile(
    r"\b(?i:config(?:ure)?[ \t]{1,4}set|config:set|add_header|(?:request)?header[ \t]{1,4}set|setx?"
    r"|setenv|consul[ \t]{1,4}kv[ \t]{1,4}put|config|env|arg|credential)[ \t]{1,4}(?:--?[\w-]{1,30}[ \t]{1,4}){0,3}"
    r"(?P<name>[\w./:@-]{2,120}+)[ \t]{1,4}(?=\S)"
)
# A line of nginx ends in a semicolon, and what begins with a dollar in it is a variable.
_PARAM = re.compile(
    r"\b(?:(?:fastcgi|uwsgi|scgi)_param|(?:grpc|proxy)_set_header)[ \t]{1,40}(?P<q>[\"']?)(?P<name>[\w-]{2,120}+)(?P=q)"
    r"[ \t]{1,40}(?=[^\s$])"
)


_PIN = re.compile(
    r"(?i)(?<![\w-])--?(?:[a-z0-9]{1,30}[-_]){0,3}p(?:in|uk)[ \t\x00=:]{1,4}[\"']?(?P<value>\d{4,12})(?!\w)"
)
# Names no setting would have: `--targetpass=x`, `/SAPWD:x`. The others are read as assignments.
_SHORT_OPTION = re.compile(
    r"(?i)(?<=[ \t\x00])(?:--?(?P<dashed>[a-z][\w.-]{1,60}+)=|/(?P<name>[a-z]\w{1,40}+)[:=](?=\S{4}))"
    r"(?P<value>\"[^\"]+\"|'[^']+'|[^\s\"']+)"
)
_DOTTED = re.compile(
    r"(?<![\w./-])[\w-]{1,60}(?:\.[\w-]{1,60}){0,5}\.(?:psk|password|passwd"
    r"|pass)[ \t]{1,4}(?P<value>[^\s=:;,(){}\"']{4,200})"
)


def options(line: str) -> Iterator[Span]:
    """Values behind options named for secrets."""
    for match in _OPTION.finditer(line):
        if option_names_secret(match["name"]) and match["name"] != "Pw" and match["name"][-1] != ".":
            span, quoted = value_at(line, match.end(), bare=ARGUMENT)
            value = line[span[0] : span[1]]
            if value.startswith(("pass:", "file:", "env:", "fd:")) and match["name"].startswith("pass"):
                continue  # openssl's own way, one of the idioms
            if (match["name"] == "pass" and value in {"1", "2", "3"}) or value.startswith("id="):
                continue  # which pass of an encoder; the id of a secret that a build mounts
            if match["name"] == "setcookie" and value == "Cookie":
                continue  # as the manual calls it
            if match["name"] == "secret" and not quoted and NAME_OF_A_SECRET.fullmatch(value):
                continue  # `gcloud … --secret=db-password`
            if not is_harmless(value, name=match["name"], quoted=quoted) and not _describes(line, match, span, quoted):
                if match["name"].endswith("creds") and ":" in value:
                    span = span[0] + value.index(":") + 1, span[1]
                yield span if quoted else without_stop(line, span)
        elif match["name"].lower().endswith("auth"):
            span, _ = value_at(line, match.end(), bare=ARGUMENT)
            if looks_random(line[span[0] : span[1]], length=32):
                yield span
    for match in _SET.finditer(line):
        if names_secret(match["name"]) and line[match.end()] != "-" and not _COMMAND_OF_A_PROGRAM.match(match["name"]):
            before = line[: match.start()].rstrip()
            if (
                before
                and not before.endswith(("RequestHeader", "Header"))
                and before[-1] not in ";&|$>#%({`\"'❯»›"
                and not match[0].startswith(("setenv", "consul"))
                and not match[0].lower().startswith("config")
            ):
                continue  # a sentence about setting something
            span, quoted = value_at(line, match.end(), bare=ARGUMENT)
            value = line[span[0] : span[1]]
            goes_on = is_word(value) and len(words_after(line, span[1])) >= 1
            if not is_harmless(value.rstrip(";"), quoted=quoted) and (quoted or not goes_on):
                yield span

    for match in _PARAM.finditer(line) if "_param" in line or "_set_header" in line else ():
        if names_secret(match["name"]):
            span, quoted = value_at(line, match.end(), bare=ARGUMENT)
            span = span if quoted else without_comma(line, span)
            value = line[span[0] : span[1]]
            sure = quoted or has_password_look(value) or line.startswith(";", span[1])
            if sure and not value.startswith("$") and not is_harmless(value, quoted=quoted):
                yield span

    yield from (match.span("value") for match in _PIN.finditer(line))
    for match in _SHORT_OPTION.finditer(line):
        name, (begin, end) = match["name"] or match["dashed"], unquoted(line, match.span("value"))
        if option_names_secret(name) and not names_secret(name) and not is_harmless(line[begin:end], quoted=True):
            yield begin, end
    for match in _DOTTED.finditer(line):
        if has_password_look(match["value"]) and not is_harmless(match["value"]):
            yield without_stop(line, match.span("value"))


_COMMAND_OF_A_PROGRAM = re.compile(r"(?:set|get|create|delete|rotate|reset|change|update|list|show|generate)-")


def _describes(line: str, match: re.Match[str], span: Span, quoted: bool) -> bool:
    """`--token  Token for the registry`: the text of a help page."""
    value = line[span[0] : span[1]]
    if quoted or not is_word(value):
        return False
    if value[-1] in ".,;:" and ends(line, span[1]):
        return True  # a sentence that names the option
    following = words_after(line, span[1])
    if value.islower() and len(following) >= 2 and all(is_word(text) and text[0].islower() for text in following[:2]):
        return True
    return len(following) >= 1 and (len(match["gap"]) > 1 or (value[0].isupper() and len(following) >= 2))


# Lines of configuration: `requirepass x`, `bindpw x`, `password 7 0822…`, `machine h login u password x`.

_TWO_WORDS = re.compile(
    r"(?:[\w~-]{0,60}[./][\w./~-]{1,120}:(?:\d{1,6}:)?)?"  # the file, where grep found it
    r"[ \t]{0,40}(?:[-#;!*][ \t]{0,4})?(?P<name>[A-Za-z_][\w.-]{1,80}+)(?P<gap>[ \t]{1,80})"
    r"(?P<value>\"[^\"]{1,200}\"|'[^']{1,200}'|\S+);?[ \t\r]*(?:#[^\n]*)?\Z"
)
_TYPED = re.compile(
    r"(?i)\b(?:password|secret|key|passphrase)[ \t]+(?P<kind>\d|encrypted|plaintext|ascii|cleartext|simple|cipher"
    r"|hashed)"
    r"(?:[ \t]+\d)?[ \t]+(?P<value>[^\s\"']{4,})"
)
_ACCOUNT = re.compile(r"(?i)\b(?:machine|login|default|username|user|connect|enable|neighbor|account)\b")
_ACCOUNT_PASSWORD = re.compile(r"(?i)(?<![\w-])(?:password|secret)[ \t]+(?P<value>\S+)")
_DEVICE = re.compile(
    r"(?i)(?<![\w-])(?:r[ow]community6?|snmp-server community"
    r"|\A[ \t]{0,20}(?:set[ \t]+)?community(?=[ \t]+\S+[ \t]*\Z)|stats auth \S{1,64}:|(?:private|preshared)-key"
    r"|message-digest-key \d{1,3} md5|key-string|authentication-key(?: \d{1,3} md5)?|isakmp key"
    r"|(?:tacacs|radius)(?:-server)?(?: host \S{1,64})? key|wpa-psk ascii|insecure-password|encrypted-password"
    r"|plaintext-password|set_password (?:vnc|spice)"
    r"|pre-shared-key (?:ascii-text|hexadecimal|address \S{1,64} key|local|remote)|acl setuser [^>\n]{0,80}?>"
    r"|acl setuser [^#\n]{0,80}?#(?=[0-9a-f]{64}(?!\w))"
    r"|user \w{1,64} on (?:[^>\s]\S{0,40} ){0,4}(?:>|#(?=[0-9a-f]{64}(?!\w)))"
    r"|set_network \d{1,3} psk|sentinel auth[-_]pass \S{1,100}"
    r"|\bauth (?:md5|sha[-\d]*)(?= \S+ priv)"
    r"|\bpriv (?:des|3des|aes)(?: \d{1,3})?)"
    r"[ \t]{0,4}[\"']{0,2}(?<=[ \t:>#\"'])(?P<value>[^\s:=/\"'][^\s\"']{0,200})"
)
_SNMP_USER = re.compile(
    r"(?i)\bcreateUser[ \t]+(?:-e \S{1,100}[ \t]+)?\S{1,64}[ \t]+(?:MD5"
    r"|SHA[-\d]*)[ \t]+[\"']?(?P<first>[^\s\"']{1,200})[\"']?"
    r"(?:[ \t]+(?:AES|DES)[-\d]*[ \t]+[\"']?(?P<second>[^\s\"']{1,200}))?"
)
_LOGIN = re.compile(r"\A(?:[CS]: ?)?[A-Za-z]?\d{1,6} LOGIN \S{1,100} (?P<value>\S{1,200})[ \t\r]*\Z")
_PROTOCOL = re.compile(r"(?:-> |>> |\A> |\bC: |[Ss]ending |send: )PASS (?P<value>\S{1,200})[ \t\r]*\Z")
_PAM_WORDS = re.compile(
    r"(?:requisite|required|sufficient|optional|include|substack|\[\w+=.*|authentication|authenticated|for|is|was)\Z"
)


_CONSTANT = re.compile(r"[A-Z]+(?:_[A-Z]+)+\.?")


# A mail server's own logins at others: `[smtp.example.com]:587  ana:x`.
_RELAY = re.compile(
    r"[ \t]{0,8}(?:\[[\w.:-]{3,120}\](?::\w{2,12})?|[\w.-]{3,120}:(?:25|465|587|2525|smtps?|submissions?))"
    r"[ \t]{1,20}[^\s:]{1,120}:(?P<value>[^\s:]{4,120})[ \t\r]*"
)


def config_lines(line: str) -> Iterator[Span]:
    """Values in the lines of a configuration that are words without a sign between them."""
    match = _TWO_WORDS.match(line)
    if match and names_secret(match["name"]):
        span = unquoted(line, without_comma(line, match.span("value")))
        if span[0] < span[1] and _is_set(match, line[span[0] : span[1]]):
            yield span
    # Of digits alone it is a port: two columns of addresses look the same.
    if (relay := _RELAY.fullmatch(line)) and has_password_look(relay["value"]) and not relay["value"].isdigit():
        yield relay.span("value")
    for match in _DEVICE.finditer(line):
        if "key" in match[0].lower() and is_word(match["value"]):
            continue
        if not is_harmless(match["value"]) and (match[0][-1] in ":>" or not goes_on(line, match.span("value"))):
            yield match.span("value")
    for match in _SNMP_USER.finditer(line):
        yield match.span("first")
        if match["second"] is not None:
            yield match.span("second")
    for match in _TYPED.finditer(line):
        if not is_word(match["value"]) or match["kind"].isdigit():
            yield match.span("value")
    for pattern in (_LOGIN, _PROTOCOL):
        if (spoken := pattern.search(line)) and not is_harmless(spoken["value"]):
            yield unquoted(line, spoken.span("value"))
    if "password" in line.lower() or "secret" in line.lower():
        yield from _accounts(line)


_BARE_NAMES = {"password", "passwd", "secret", "token", "pass", "credentials", "pw", "pwd"}


def _is_set(match: re.Match[str], value: str) -> bool:
    """Whether a name and a value with nothing but room between them are a setting, and not two words."""
    name, gap = match["name"], match["gap"]
    plain = len(name) == len(parts(name)[-1]) and name.lower() in _BARE_NAMES
    aligned = len(gap) > 1 or "\t" in gap
    word = is_word(value)
    sure = (
        (not plain and value[0] not in "=:|" and not (word and (value[-1] == "." or name.endswith("key"))))
        or (aligned and name.lower().startswith("pass") and (not word or value.islower()))
        or (has_password_look(value) and not _CONSTANT.fullmatch(value))
    )
    return (
        sure
        and not is_harmless(value)
        and not value.startswith(("=", ":", "|", "pam_", "REG_", "-", "*", "("))
        and not _COMMAND_OF_A_PROGRAM.match(name)
        and (name not in PROGRAMS or name == "passwd")
        and not value.endswith(":")
        and not (name.lower() == "pass" and "/" in value)
    )


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
        span = unquoted(line, match.span("value"))
        value = line[span[0] : span[1]]
        netrc = line.lstrip().lower().startswith(("machine", "login", "default"))
        if (
            not is_harmless(value)
            and not _PAM_WORDS.match(value)
            and (netrc or has_password_look(value) or ends(line, match.end()))
        ):
            yield span


# `/etc/ipsec.secrets`: whose secret, a colon, its kind and the secret, or a key's file and its passphrase.
_IPSEC = re.compile(
    r"(?:\A|[ \t]):[ \t]{1,8}(?:(?:PSK|EAP|XAUTH|NTLM)[ \t]{1,8}"
    r"(?:\"(?P<text>[^\"\n]{1,200})\"|(?P<bytes>0[sx]\S{8,200}))"
    r"|(?:RSA|ECDSA|BLISS|P12|PKCS8|PIN)[ \t]{1,8}\S{1,100}[ \t]{1,8}\"(?P<passphrase>[^\"\n]{1,200})\")"
)


def ipsec_secrets(line: str) -> Iterator[Span]:
    """`10.0.0.1 10.0.0.2 : PSK "x"`, `ana : EAP "x"`, `: RSA gw.pem "x"`."""
    yield from (match.span(match.lastgroup or 0) for match in _IPSEC.finditer(line))


# What programs show of a login that they were given or have made up: redis-cli's MONITOR, elasticsearch-reset-password,
# the file of users of PgBouncer, a stack trace of PHP.
_SHOWN = re.compile(
    r"(?i)\"AUTH\"(?:[ \t]\"[^\"\r\n]{1,64}\")?[ \t]\"(?P<monitored>[^\"\r\n]{1,200})\"[ \t]*\Z"
    r"|\"(?:requirepass|masterauth)\"[ \t]\"(?P<configured>[^\"\r\n]{1,200})\"[ \t]*\Z"
    r"|\ANew value:[ \t]+(?P<fresh>[\w!#$%&*+./?@^~-]{8,200})[ \t]*\Z"
    r"|\A\"[\w.@-]{1,64}\"[ \t]+\"(?=[^\"]*\d)(?=[^\"]*[A-Za-z])(?P<userlist>[^\"\s./:]{8,200})\"[ \t]*\Z"
    r"|(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key)\w{0,20}[\"']?[ \t]*[:=][ \t]*"
    r"(?:process\.env|os\.(?:environ|getenv)|getenv|System\.getenv|ENV|env\(|\$_ENV)[^\r\n|?,]{0,80}"
    r"(?:\|\||\?\?|\bor\b|\?:|,)[ \t]*(?P<quote>[\"'])(?P<fallback>[^\"'\r\n]{4,200})(?P=quote)"
    r"|\b(?:PDO|mysqli)->__construct\('[^'\r\n]{1,300}', '[^'\r\n]{1,64}', '(?P<trace>[^'\r\n]{1,200})'"
)


def shown_logins(line: str) -> Iterator[Span]:
    """`"AUTH" "x"`, `New value: x`, `"app" "x"`, `PDO->__construct('mysql:…', 'app', 'x')`, `process.env.PW || "x"`."""
    for match in _SHOWN.finditer(line):
        span = match.span("fallback" if match["fallback"] else match.lastgroup or 0)
        if not is_harmless(line[span[0] : span[1]], quoted=True):
            yield span


# Sentences: `A temporary password is generated for root@localhost: x`.

_SENTENCE = re.compile(
    r"(?i)\b(?:password|pass ?phrase|passwort|kennwort|passcode|passwd|pw|pwd|token|secret|api key|access key"
    r"|secret key)\b"
    r"[^:=\n]{0,60}?(?:\bis\b[ \t]?:?|\b(?:lautet|ist)\b:?|\bset to\b:?|\breset to\b:?|\bchanged to\b:?"
    r"|\bgenerated for \S{1,64}:|\bfor \S{1,64}:|\b(?:of|to) \S{1,64}:"
    r"|\b(?:generated|assigned|created|set|reset|changed)\b[^:=\n]{0,40}:|\):|\bbelow:)[ \t]{1,4}"
    r"(?P<value>\S{1,200})(?=[ \t]*\Z|[ \t]+[(\[-])"
)
_WITH_PASSWORD = re.compile(
    r"(?i)\b(?:with|using|and|the|new|initial|temporary|default|(?:user|username"
    r"|login)[ \t]{1,4}[\w.@-]{1,64})[ \t]{1,4}"
    r"(?:password|passphrase|pass|token|secret|api key)[ \t]{1,4}"
    r"(?P<value>[^\s\"',;()]{4,200})"
)
_FROM_TO = re.compile(
    r"(?i)\b(?:password|passphrase|passwort|token|secret|api key)\b[^:=\"'\n]{0,40}\bfrom[ \t]+(?P<q>[\"'])"
    r"(?P<old>[^\"'\n]{1,200})(?P=q)[ \t]+to[ \t]+(?P=q)(?P<new>[^\"'\n]{1,200})(?P=q)"
)
_CREDENTIALS = re.compile(
    r"(?i)\b(?:credentials?|creds|login"
    r"|user(?:name)?/pass(?:word)?)[ \t]{0,4}[:=][ \t]{0,4}[\w.@-]{1,64}(?:[ \t]/[ \t]|[/:])"
    r"(?P<value>[^\s\"',;()]{4,200})"
)
# `PASSWORD elastic = x`, the registry's `DefaultPassword  REG_SZ  x` and `/v Password /t REG_SZ /d x`, squid's login at
# its parent.
_OWNED_PASSWORD = re.compile(
    r"(?i)\b(?:password|passwort)[ \t]+(?:for[ \t]+)?[\w.@-]{1,64}[ \t]+=[ \t]+"
    r"(?P<value>[\w!#$%&*+./?@^~-]{4,200})[ \t]*\Z"
    r"|\b\w{0,40}password[ \t]+REG_SZ[ \t]+(?P<text>\S[^\r\n]{0,200}?)[ \t\r]*\Z"
    r"|(?:passwd|\S{1,64})/\w{0,40}-?password(?:-again|-crypted|_again)?[ \t]+password[ \t]+(?P<debconf>\S{1,200})"
    r"|\brootpw[ \t]+--(?:plaintext|iscrypted)[ \t]+(?P<kickstart>\S{1,200})"
    r"|\bSensitive(?:\.new)?\([\"'](?P<puppet>[^\"'\r\n]{1,200})[\"']\)"
    r"|\bpass(?:word|wd)[ \t]+ENC[ \t]+(?P<encrypted>[\w+/=]{8,400})"
    r"|\"username\":[ \t]?\"[^\"\r\n]{1,64}\",[ \t]?\"key\":[ \t]?\"(?P<key>[0-9a-f]{32})\""
    r"|\bcache_peer[ \t][^\r\n]{0,200}?[ \t]login=(?!NEGOTIATE:)[^\s:]{1,64}:(?P<peer>[^\s%]\S{0,200})"
    r"|/v[ \t]+\"?\w{0,40}pass(?:word|wd)?\"?[ \t][^\r\n]{0,80}/d[ \t]+(?P<data>\"[^\"]+\"|\S+)"
)
_A_HOST = re.compile(r"[a-z]+(?:-[a-z]+)*-?\d{1,3}")
_NAMED_RANDOM = re.compile(
    r"(?<![\w-])(?P<name>[A-Za-z]\w{0,60}[_-](?:secret|token|key|password)|secret|apikey)[ \t]{1,4}"
    r"(?P<value>[A-Za-z0-9+/_=-]{16,200})(?![\w.])"
)
# What sentences about passwords say after a colon: dates, times, sizes, versions, addresses.
_PLAIN_FACT = re.compile(
    r"[A-Z]+(?:_[A-Z]+)+|[a-z]+(?:/[a-z_]*)+|v?\d+(?:[.:,/-]\d+)*(?:[a-z]{1,3}|%|T[\d:.Z+-]+)?|[\w.+-]+@[\w.-]+"
    r"|(?:[a-z0-9-]+\.)+[a-z]{2,8}(?::\d+)?|#\d+"
)


def sentences(line: str) -> Iterator[Span]:
    """Passwords that programs tell a person."""
    if len(line) > 2_000:
        return  # no sentence
    for match in _SENTENCE.finditer(line):
        span = unquoted(line, without_stop(line, match.span("value")))
        value = line[span[0] : span[1]]
        after_colon = line[: match.start("value")].rstrip().endswith(":")
        if (
            (has_password_look(value) or (after_colon and ends(line, match.end())))
            and not is_harmless(value)
            and not value.startswith(("/", "http", "("))
            and value != "pass"
            and not is_small_number(value)
            and (value.isdigit() or not _PLAIN_FACT.fullmatch(value))
        ):
            yield span
    for match in _OWNED_PASSWORD.finditer(line):
        span = unquoted(line, match.span(match.lastgroup or 0))
        value = line[span[0] : span[1]]
        if not is_harmless(value, quoted=True) and (match.lastgroup != "value" or any(map(str.isdigit, value))):
            yield span
    for match in _FROM_TO.finditer(line):
        yield from (match.span(which) for which in ("old", "new") if has_password_look(match[which]))
    for match in _NAMED_RANDOM.finditer(line):
        if names_secret(match["name"]) and looks_random(match["value"]) and not is_harmless(match["value"]):
            yield match.span("value")
    for match in (*_WITH_PASSWORD.finditer(line), *_CREDENTIALS.finditer(line)):
        span = without_stop(line, match.span("value"))
        value = line[span[0] : span[1]]
        sure = any(char.isdigit() for char in value) and has_password_look(value) and not is_harmless(value)
        sure = sure and not (match[0][:5].lower() == "login" and _A_HOST.fullmatch(value))
        sure = sure and not value.endswith("aws4_request")  # what follows a key's id, not its secret
        if sure and "=" not in value and ":" not in value and not _PLAIN_FACT.fullmatch(value):
            yield span
