"""Secrets that run over several lines: YAML and JSON of Kubernetes secrets, block scalars, netrc files, names in one "
"line
and their values in the next, here-documents, tables. Private keys are in `keys`.

`Blocks` is fed the lines of one text in order and gives, for each, the places owed to lines before it. It keeps a few
words of state, of a line at most what is needed to know its value when it comes.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator

from safety.redaction.keys import Keys, begins_a_key, inner
from safety.redaction.names import has_password_look, is_harmless, looks_random, names_secret
from safety.redaction.shapes import Span
from safety.redaction.tables import Table

_API_VERSION = re.compile(r"\s*(?:- )?\"?apiVersion\"?: ?\"?v1\"?,?\s*\Z")
_KIND = re.compile(r"\s*(?:- )?\"?kind\"?: ?[\"']?(?P<kind>\w+)[\"']?,?\s*\Z")
_DATA = re.compile(r"(?P<indent>[ ]{0,60})(?:- )?\"?(?P<name>data|stringData)\"?: ?(?P<brace>\{?)\s*\Z")
_ENTRY = re.compile(
    r"(?P<indent>[ ]{0,60})[\"']?(?P<key>[\w.-]{1,253}+)[\"']?: ?(?P<quote>[\"']?)(?P<value>[^\"'\r\n]*)[\"']?,?\s*\Z"
)
_SCALAR = re.compile(
    r"(?P<indent>[ ]{0,60})(?:- )?[\"']?(?P<name>[\w.-]{1,100}+)[\"']?: ?(?:![\w!]+ )?[|>][+-]?\d?\s*(?:#[^\n]*)?\Z"
)
_NAME = re.compile(
    r"[ \t]{0,60}(?:- ?)?(?:\{ ?)?(?:[\"']?(?:name|key|Name|Key|ParameterKey)[\"']?[ \t]?[:=][ \t]"
    r"{0,8}[\"']?(?P<name>[\w./-]{1,100}+)[\"']?,?"
    r"|<[\w.:-]{1,60}[ \t](?:[^<>]{0,200}[ \t])?(?:name|key)=[\"'](?P<attribute>[\w.-]{1,100}+)[\"']"
    r"(?:[^<>/]{0,80}>)?)\s*\Z"
)
_VALUE = re.compile(
    r"[ \t]{0,60}[\"']?(?:value|Value|ParameterValue)[\"']?[ \t]?[:=][ \t]{0,8}"
    r"(?P<quote>[\"']?)(?P<value>[^\r\n]+?)[\"']?(?:[ \t]?\}|[ \t]?/?>)?,?\s*\Z"
)
_BETWEEN = re.compile(r"\s*(?:#|[\"']?(?:description|type|Type|sensitive|secret|category)\b)")
_MACHINE = re.compile(r"\s*machine\s+\S+\s*\Z|\s*machine\s+\S+\s+login\s+\S+\s*\Z")
_NETRC_WORD = re.compile(r"\s*(?:login|account|macdef|port)\s+\S+\s*\Z")
_NETRC_PASSWORD = re.compile(r"\s*(?:login\s+\S+\s+)?password\s+(?P<value>\S+)\s*\Z")
# A name at the end of a line, with or without a sign; its value begins the next.
_NAME_AT_END = re.compile(
    r"(?P<item>[ \t]*-[ \t]+)?(?:[^\n]{0,200}[^\w.-])?(?P<name>[A-Za-z_-][\w.-]{1,80}+)"
    r"(?P<close>[\"'\])]{0,3}(?:</(?:key|name)>)?)"
    r"[ \t]{0,4}(?P<sign>=>|:=|[=:,\\])?[ \t]{0,4}\\?[ \t\r]*\Z"
)
_QUOTED_ALONE = re.compile(
    r"[ \t]*(?:string\(\d{1,6}\)[ \t]|(?P<number>\d{1,4}\)[ \t]))?(?P<quote>[\"'])"
    r"(?P<value>(?:(?!(?P=quote))[^\r\n\\]|\\.){1,2000})(?P=quote)"
    r"[ \t,;)\\]*\r?\Z"
)
_STATEMENT = re.compile(r"(?i)\b(?:alter|create|set|identified)\b")
_ELEMENT_ALONE = re.compile(r"[ \t]*<(?P<kind>string|value|data)>(?P<value>[^<>\r\n]{1,2000})</(?P=kind)>[ \t\r]*\Z")
_ITEM_ALONE = re.compile(r"[ \t]*-[ \t]+[\"']?(?P<value>[^\s\"']{1,500})[\"']?[ \t\r]*\Z")
# `1) "requirepass"`, as Redis answers what one of its settings is; other names may be keys of what it stores.
_SETTING = re.compile(r"[ \t]*\d{1,4}\)[ \t]\"(?:requirepass|masterauth|tls-(?:client-)?key-file-pass)\"")
# An argument on a line of its own, below its option: as `kubectl describe` shows what a container is started with.
_ARGUMENT_ALONE = re.compile(r"[ \t]*(?P<value>[^\s\"'-][^\s\"']{3,500})[ \t\r]*\Z")
_WORD_ALONE = re.compile(r"[ \t]+(?P<value>[^\s:=({\"'][^\s:=({]{0,500})[ \t]*\\?[ \t\r]*\Z")
_SCOPE = re.compile(
    r"(?:[^\n]{0,200}[^\w.-])?(?P<name>[A-Za-z_][\w.-]{1,80}+)[\"']?[ \t]{0,4}[:=]?[ \t]{0,4}\{[ \t\r]*\Z"
)
_SCOPED_VALUE = re.compile(
    r"[ \t]*[\"']?(?:default|value|plaintext|plain|secret_?value)[\"']?[ \t]{0,20}[:=][ \t]{0,4}(?P<quote>[\"'])"
    r"(?P<value>[^\r\n]{0,2000}?)(?P=quote)[ \t,;]*\r?\Z"
)
_SCOPE_LINES = 12
# What names a secret's value further down: its id in Azure's Key Vault, and Terraform's resource that makes one up.
_ORIGIN = re.compile(
    r"[^\n]{0,40}\"(?:id\"[ \t]?:[ \t]?\"[^\"\s]{1,80}\.vault\.azure\.net/secrets/|(?P<made>random_password\"))"
)
_OF_ORIGIN = re.compile(
    r"[ \t]*\"?(?P<name>value|result|bcrypt_hash)\"?[ \t]{0,20}[:=][ \t]{0,4}"
    r"\"(?P<value>(?:[^\"\\\r\n]|\\.){1,2000})\"[ \t,]*\r?\Z"
)
_ORIGIN_LINES = 24
_LENGTH = re.compile(r"V \d{1,4}[ \t\r]*")
_HERE_DOCUMENT = re.compile(
    r"[^\n]{0,400}(?:(?P<pairs>chpasswd)|-stdin"
    r"|[ \t]-[A-Za-z]{0,4}S)\b[^\n]{0,200}<<-?[ \t]{0,4}[\"']?(?P<mark>\w{1,40})[\"']?"
)
_PAIR = re.compile(r"[ \t]*[\w.@-]{1,64}:(?P<value>[^\r\n]+?)[ \t\r]*\Z")
# A sentence that ends in a colon, or a command that prints nothing else: what follows alone on a line is the secret.
_ANNOUNCES = re.compile(
    r"(?i)\b(?:password|passphrase|passwort|kennwort|token|secret|api key|access key)\b[^\n:]{0,200}:[ \t\r]*\Z"
)
_SAYS_SO = re.compile(r"(?i)\b(?:following|below|generated|initial|temporary|created)\b")
_PRINTS = re.compile(
    r"(?:get-login-password|initial-password|print-\w{1,20}-token|kubeadm token (?:create|generate)"
    r"|\b(?:gopass|pass|lpass) show|\bop read|\bbw get password|jsonpath=[^\n]{0,80}(?:password|token|secret))"
    r"(?![\w-])[^\n]{0,200}\Z"
)
# `Password:` in Base64, as a mail server asks for it (RFC 4954); the answer is in Base64, too.
_ASKS_IN_BASE64 = re.compile(r"(?i)(?:\A|[ \t])(?:334|\+)[ \t]UGFzc3dvcmQ6[ \t\r]*\Z")
_ANSWER = re.compile(r"(?P<before>.{0,80}?)(?P<value>[A-Za-z0-9+/]{4,400}={0,2})[ \t\r]*\Z")
_ALONE = re.compile(r"[ \t]{0,40}(?P<value>[^\s\"']{8,4000})[ \t\r]*\Z")
_BOOTSTRAP_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_CHAP_HEAD = re.compile(r"[ \t]*#[ \t]*client[ \t]+server[ \t]+secret\b")
_CHAP_ROW = re.compile(
    r"[ \t]*(?:\"[^\"]{1,100}\"|[^\s#\"]\S{0,100})[ \t]+(?:\"[^\"]{1,100}\"|\S{1,100})[ \t]+"
    r"(?:\"(?P<quoted>[^\"]{1,200})\"|(?P<bare>[^\s\"]{1,200}))(?:[ \t]+\S{1,100}){0,4}[ \t\r]*\Z"
)
_INLINE_SECRET = re.compile(r"\"kind\": ?\"Secret\"")
_INLINE_DATA = re.compile(r"\"(?:data|stringData)\": ?\{")
_INLINE_ENTRY = re.compile(r"[ ,]{0,8}\"[^\"\\]{1,253}\" ?: ?\"(?P<value>(?:[^\"\\]|\\.)*+)(?:\"|\Z)")


class Blocks:
    """What the lines so far say about the next one."""

    def __init__(self) -> None:
        self._keys = Keys()
        self._table = Table()
        self._kind = ""  # of the Kubernetes object, as far as known
        self._data_indent = -1
        self._scalar_indent = -1
        self._pending_name = 0  # lines in which the value of a secret's name may still come
        self._netrc = False
        self._name_before: re.Match[str] | None = None  # a secret's name that ended the line before
        self._scope = 0  # lines in which an object named for a secret may still give its value
        self._origin: re.Match[str] | None = None  # tells that a value, or what was made up, is a secret
        self._origin_lines = 0  # in which it may still come
        self._counted = 0  # 1 below `password` in a file of Subversion, 2 below the length of the value
        self._here = ""  # the word that ends a here-document of passwords
        self._here_pairs = False
        self._announced = 0  # lines in which a secret that was announced may stand alone
        self._dialogue = False  # a mail server has just asked for the password
        self._asked = False  # what announced it may have been a question
        self._list_indent = -1  # of cloud-init's `chpasswd:`, or of the `list: |` in it
        self._in_list = False
        self._chap = False  # below the head of a file of PPP's secrets
        self._follow = (
            self._scalar,
            self._kubernetes,
            self._pairs,
            self._login_file,
            self._next_line,
            self._scoped,
            self._of_origin,
            self._counted_value,
            self._here_document,
            self._chap_secrets,
            self._cloud_list,
            self._alone,
            self._mail_login,
            self._table.spans,
        )
        self.waiting = False  # whether the next line can hold a secret because of the lines before it

    def spans(self, line: str) -> list[Span]:
        """The secrets of this line that the lines before it explain, and those that a private key's marks enclose."""
        inside = self._keys.inside
        found = list(self._keys.spans(line))
        if not inside and not begins_a_key(line):
            for follow in self._follow:
                found.extend(follow(line))
        self.waiting = self._waits()
        return found

    def _waits(self) -> bool:
        return (
            self._keys.waiting
            or self._table.waiting
            or self._data_indent >= 0
            or self._scalar_indent >= 0
            or self._pending_name > 0
            or self._netrc
            or self._name_before is not None
            or self._scope > 0
            or self._origin_lines > 0
            or self._counted > 0
            or self._here != ""
            or self._chap
            or self._list_indent >= 0
            or self._announced > 0
            or self._dialogue
            or self._kind in {"Secret", "v1"}
        )

    def _scalar(self, line: str) -> Iterator[Span]:
        """`password: |` and the deeper lines that follow it."""
        if self._scalar_indent >= 0:
            if not line.strip():
                return
            if _indent(line) > self._scalar_indent:
                yield inner(line)
                return
            self._scalar_indent = -1
        if (line.rstrip()[-1:] in "|>+-0123456789") and (match := _SCALAR.match(line)):
            inside_secret = (
                self._data_indent >= 0 and self._kind == "Secret" and len(match["indent"]) > self._data_indent
            )
            if names_secret(match["name"]) or inside_secret:
                self._scalar_indent = len(match["indent"])

    def _kubernetes(self, line: str) -> Iterator[Span]:
        """Values under `data:` of a Secret. Sorted output names the kind last: till then, base64 is masked."""
        if line.startswith("---") or _API_VERSION.match(line):
            self._kind, self._data_indent = "v1" if _API_VERSION.match(line) else "", -1
            return
        if kind := _KIND.match(line):
            self._kind, self._data_indent = kind["kind"], -1
            return
        if self._data_indent >= 0 and line.strip() and _indent(line) <= self._data_indent:
            self._data_indent = -1
        if self._data_indent >= 0:
            yield from self._data_entry(line)
        elif self._kind in {"Secret", "v1"} and (match := _DATA.match(line)):
            self._data_indent = len(match["indent"])
        if "Secret" in line and _INLINE_SECRET.search(line):
            yield from _inline_data(line)

    def _data_entry(self, line: str) -> Iterator[Span]:
        match = _ENTRY.match(line)
        if not match or not match["value"].strip() or match["value"].strip() in {"|", ">", "|-", ">-", "{}"}:
            return
        value = match["value"].strip()
        if self._kind == "Secret" or (self._kind == "v1" and _is_base64(value)):
            begin = match.start("value")
            yield begin, begin + len(match["value"].rstrip())

    def _pairs(self, line: str) -> Iterator[Span]:
        """`name: DB_PASSWORD` and then `value: x`."""
        if self._pending_name > 0:
            self._pending_name = self._pending_name - 1 if _BETWEEN.match(line) else 0
            match = _VALUE.match(line) or _ELEMENT_ALONE.match(line)
            if match and not is_harmless(match["value"], quoted=True):
                self._pending_name = 0
                yield match.span("value")
                return
        if "ame" in line or "ey" in line:
            match = _NAME.match(line)
            if match and names_secret(match["name"] or match["attribute"]):
                self._pending_name = 3

    def _login_file(self, line: str) -> Iterator[Span]:
        """A netrc entry with a word per line."""
        if self._netrc:
            if match := _NETRC_PASSWORD.match(line):
                self._netrc = False
                yield match.span("value")
            elif not _NETRC_WORD.match(line):
                self._netrc = False
        if not self._netrc and _MACHINE.match(line):
            self._netrc = True

    def _next_line(self, line: str) -> Iterator[Span]:
        """`"--password",` and then `"x",`; `password =` and then `'x'`; `<key>password</key>` and then "
        "`<string>x</string>`."""
        before, self._name_before = self._name_before, None
        if before is not None and (match := _value_after(before, line)):
            if not is_harmless(match["value"], quoted=True):
                yield match.span("value")
            return
        match = _NAME_AT_END.match(line) if len(line) <= 400 else None
        if match and names_secret(match["name"].lstrip("-")):
            self._name_before = match

    def _scoped(self, line: str) -> Iterator[Span]:
        """`variable "db_password" {` and, a few lines later, `default = "x"`."""
        if self._scope > 0:
            self._scope = 0 if line.lstrip().startswith("}") else self._scope - 1
            match = _SCOPED_VALUE.match(line)
            if match and not is_harmless(match["value"], quoted=True):
                yield match.span("value")
        if line.rstrip().endswith("{") and len(line) <= 400:
            match = _SCOPE.match(line)
            if match and names_secret(match["name"]):
                self._scope = _SCOPE_LINES

    def _of_origin(self, line: str) -> Iterator[Span]:
        """`"id": "https://ops.vault.azure.net/secrets/db/1a2b",` and, some lines later, `"value": "x"`."""
        if self._origin is not None and self._origin_lines > 0:
            closes = line.lstrip().startswith("}") and _indent(line) < max(1, _indent(self._origin[0]))
            self._origin_lines = 0 if closes else self._origin_lines - 1
            match = _OF_ORIGIN.match(line)
            owed = match is not None and (match["name"] == "value") == (self._origin["made"] is None)
            if match and owed and not is_harmless(match["value"], quoted=True):
                yield match.span("value")
        if ("random_password" in line or "azure.net" in line) and (origin := _ORIGIN.match(line)):
            self._origin, self._origin_lines = origin, _ORIGIN_LINES

    def _counted_value(self, line: str) -> Iterator[Span]:
        """`password`, then `V 9`, then the value."""
        before, self._counted = self._counted, 0
        if before == 2:
            yield inner(line)
        elif before == 1 and _LENGTH.fullmatch(line):
            self._counted = 2
        elif line.rstrip() in {"password", "passphrase"}:
            self._counted = 1

    def _alone(self, line: str) -> Iterator[Span]:
        """`Please use the following password:` and, perhaps behind an empty line, `f3a9…`."""
        if self._announced > 0:
            self._announced = self._announced - 1 if not line.strip() else 0
            match = _ALONE.match(line)
            apart = not self._asked or line.startswith("  ")
            if match and apart and _is_a_lone_secret(match["value"]):
                yield match.span("value")
                return
        if len(line) > 400:
            return
        if _PRINTS.search(line):
            self._announced, self._asked = 1, False
        elif line.rstrip().endswith(":") and _ANNOUNCES.search(line):
            # `Password:` may be a question, behind which comes what a program says next.
            self._asked = _SAYS_SO.search(line) is None
            self._announced = 1 if self._asked else 2

    def _mail_login(self, line: str) -> Iterator[Span]:
        """`334 UGFzc3dvcmQ6`, and the answer below it."""
        if self._dialogue and len(line) <= 500 and (match := _ANSWER.match(line)):
            yield match.span("value")
        self._dialogue = len(line) <= 200 and _ASKS_IN_BASE64.search(line) is not None

    def _cloud_list(self, line: str) -> Iterator[Span]:
        """`chpasswd:`, in it `list: |`, and deeper `user:password`."""
        if self._list_indent >= 0 and line.strip():
            if _indent(line) <= self._list_indent:
                self._list_indent, self._in_list = -1, False
            elif self._in_list:
                match = _PAIR.match(line)
                if match and not is_harmless(match["value"], quoted=True):
                    yield match.span("value")
            elif line.strip() in {"list: |", "list: |-", "list: >", "list:"}:
                self._list_indent, self._in_list = _indent(line), True
        if line.strip() == "chpasswd:":
            self._list_indent, self._in_list = _indent(line), False

    def _chap_secrets(self, line: str) -> Iterator[Span]:
        """`# client server secret`, and below it `ana * "x" *`."""
        if self._chap and line.strip() and not line.lstrip().startswith("#"):
            match = _CHAP_ROW.match(line)
            self._chap = match is not None
            if match and not is_harmless(match[match.lastgroup or 0], quoted=True):
                yield match.span(match.lastgroup or 0)
        elif _CHAP_HEAD.match(line):
            self._chap = True

    def _here_document(self, line: str) -> Iterator[Span]:
        """Lines of `user:password` for chpasswd, or a password's own line, up to the word that ends them."""
        if self._here:
            if line.strip() == self._here:
                self._here = ""
                return
            match = _PAIR.match(line) if self._here_pairs else None
            span = match.span("value") if match else inner(line)
            if not is_harmless(line[span[0] : span[1]], quoted=True):
                yield span
        elif "<<" in line and "<<<" not in line and (found := _HERE_DOCUMENT.match(line)):
            self._here, self._here_pairs = found["mark"], found["pairs"] is not None


def _is_a_lone_secret(value: str) -> bool:
    """Random, and no path, address or id."""
    if is_harmless(value, quoted=True) or value[0] in "/~.<" or "://" in value or value.startswith(("SHA256:", "sha")):
        return False
    return looks_random(value, length=12) or _BOOTSTRAP_TOKEN.fullmatch(value) is not None


def _value_after(before: re.Match[str], line: str) -> re.Match[str] | None:
    """The value in this line, if it is what the name at the end of the line before waits for."""
    if before["close"].endswith(">"):
        return _ELEMENT_ALONE.match(line)
    option = before["name"].startswith("-")
    if before["item"] and option:
        return _ITEM_ALONE.match(line)
    quoted = _QUOTED_ALONE.match(line)
    if quoted and (_SETTING.match(before[0]) if quoted["number"] else before["sign"] or _STATEMENT.search(before[0])):
        return quoted
    if option and before[0].strip() == before["name"] and _indent(line) == _indent(before[0]):
        match = _ARGUMENT_ALONE.match(line)
        return match if match and has_password_look(match["value"].replace("_", "")) else None
    bare = before["sign"] == "\\" and option
    yaml = before["sign"] == ":" and _indent(line) > _indent(before[0])
    match = _WORD_ALONE.match(line) if bare or yaml else None
    return match if match and (bare or any(char.isdigit() for char in match["value"])) else None


def _inline_data(line: str) -> Iterator[Span]:
    """The values of an object on one line; what was read is not read again."""
    position = 0
    while start := _INLINE_DATA.search(line, position):
        position = start.end()
        while entry := _INLINE_ENTRY.match(line, position):
            yield entry.span("value")
            position = entry.end()


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_base64(value: str) -> bool:
    """Padded base64 with both cases or a digit: not `true`, `info` or `prod`."""
    if (
        len(value) < 4
        or len(value) % 4
        or not (value.endswith("=") or (not value.islower() and not value.isdigit() and len(value) >= 8))
    ):
        return False
    try:
        b64decode(value, validate=True)
    except (Base64Error, ValueError):
        return False
    return True
