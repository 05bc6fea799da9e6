"""Secrets in SQL, XML, JSON and files with a format of their own."""

import re
from collections.abc import Iterator

from safety.redaction.names import has_password_look, is_harmless, looks_random, names_secret
from safety.redaction.shapes import Span
from safety.redaction.values import unquoted, value_at

# SQL, XML and JSON.

_SQL = re.compile(
    r"(?i)(?<![\w.\"'-])(?:identified[ \t]{1,4}(?:with[ \t]{1,4}\S{1,64}[ \t]{1,4})?"
    r"(?:by|as)(?:[ \t]{1,4}(?:password|values))?|password|secret|replace)"
    r"(?=[ \t=(])(?:[ \t]{1,4}for[ \t]{1,4}\S{1,128}[ \t]{0,4}(?==))?[ \t]{0,4}"
    r"(?:=[ \t]{0,4})?(?:(?:old_)?password[ \t]{0,4})?\(?[ \t]{0,4}[NE]?"
    r"(?=[\"'])"
)
# What comes before `identified by` in a statement; in prose, problems are identified by people.
_STATEMENT = re.compile(
    r"(?i)(?:\b(?:alter|create|grant|connect to|user|role)\b.{0,400}?\s|\A[\s\"'`]{0,40})identified\s"
)
_CHANGES = re.compile(r"(?i)\b(?:alter|create|grant|connect to)\b")
_INSERT = re.compile(
    r"(?i)\b(?:insert|replace)[ \t]+into[ \t]+\S{1,128}[ \t]*\((?P<columns>[^()]{1,500})\)[ \t]*values[ \t]*"
)
_ROW = re.compile(r"[ \t,]{0,4}\((?P<row>(?:'(?:[^'\\]|\\.|'')*+'|[^()']|\([^()]{0,100}\))*+)\)")
_CELL = re.compile(r"\s*(?:N?'(?P<text>(?:[^'\\]|\\.|'')*+)'|[^,']*)\s*(?:,|\Z)")
_ORACLE = re.compile(
    r"(?i)\bidentified[ \t]{1,4}by[ \t]{1,4}(?!values\b|password\b"
    r"|externally\b)(?P<value>[^\s\"';]+)"
)
_LOGIN_PROCEDURE = re.compile(
    r"(?i)\bsp_(?:addlogin|password|addlinkedsrvlogin\b(?:[^,]{0,80},){3})[^,]{0,80},[ \t]{0,4}N?'(?P<value>[^']+)'"
)
_DATABASE_KEY = re.compile(
    r"(?i)\b(?:pragma[ \t]+(?:re)?key[ \t]*=|attach\b.{1,200}\bkey)[ \t]*'(?P<value>[^']{1,200})'"
)
_ELEMENT = re.compile(r"<(?P<name>[A-Za-z_][\w.:-]{0,80}+)(?:[ \t][^<>]{0,200})?>")
_TAG = re.compile(r"</?[A-Za-z][\w:.-]*[^<>]*>|<!")  # in a value: it holds elements of its own
_VALUE_FIRST = re.compile(
    r"(?i)\"(?:value|parametervalue)\"[ \t]{0,4}:[ \t]{0,4}\"(?P<value>(?:[^\"\\]|\\.){1,2000})\"[ \t]{0,4},"
    r"[^{}\r\n]{0,80}?\"(?:name|key|parameterkey)\"[ \t]{0,4}:[ \t]{0,4}\"(?P<name>[\w.-]{1,100})\""
)
_PARTS_OF_A_KEY = frozenset({"D", "P", "Q", "DP", "DQ", "InverseQ"})
_ATTRIBUTES = re.compile(
    r"(?i)\b(?:\w{0,20}name|key|id|property|parameterkey|variable)\\?[\"']?[ \t]{0,4}[=:][ \t]{0,4"
    r"}\\?[\"'](?P<name>[\w.-]{1,100}+)\\?[\"'][^<>{}\r\n]{0,80}?\b"
    r"(?:value|val|parametervalue|defaultvalue)\\?[\"']?[ \t]{0,4}[=:][ \t]{0,4}"
    r"(?=\\?[\"'])"
)
_ENTRY = re.compile(
    r"\b(?:key|name)=[\"'](?P<name>[\w.-]{1,100}+)[\"'][^<>]{0,80}>(?P<value>(?:[^<\r\n]|<(?!/)){1,2000})</"
)
_NESTED = re.compile(
    r"\b(?:key|name)=[\"'](?P<name>[\w.-]{1,100}+)[\"'][^<>]{0,80}>\s{0,8}<(?P<tag>value|string)>"
    r"(?P<value>[^<>\r\n]{1,2000})</(?P=tag)>"
)
_ATTRIBUTE_BEFORE = re.compile(
    r"<[\w.:-]{1,60}[ \t](?:[^<>]{0,100}[ \t])?value=(?P<quote>[\"'])(?P<value>(?:(?!(?P=quote))[^<>\r\n]){1,500})"
    r"(?P=quote)[^<>]{0,80}[ \t](?:key|name)=[\"'](?P<name>[\w.-]{1,100}+)[\"']"
)
# A map on one line of YAML, whose values need no quotes: they end at a comma with a space, or at the bracket.
_FLOW_KEY = r"(?<=[{,\s])[\"']?(?:name|key|Name|Key)[\"']?[ \t]{0,4}:[ \t]{1,4}[\"']?(?P<name>[\w.-]{1,100}+)[\"']?"
_FLOW_VALUE = (
    r"[\"']?(?:value|Value)[\"']?[ \t]{0,4}:[ \t]{1,4}"
    r"(?P<value>\"(?:[^\"\\]|\\.){1,500}\"|'(?:[^']|''){1,500}'|(?![\s{\[\"'])(?:[^,}\]\r\n]|,(?!\s)){1,500})"
)
_FLOW_BETWEEN = r"[ \t]{0,4},[ \t]{0,4}(?:[\"']?\w{1,40}[\"']?:[ \t][^,{}\[\]]{0,80},[ \t]{1,4}){0,3}"
_FLOW_MAPS = (
    re.compile(_FLOW_KEY + _FLOW_BETWEEN + _FLOW_VALUE),
    re.compile(r"(?<=[{,\s])" + _FLOW_VALUE + _FLOW_BETWEEN + _FLOW_KEY),
)
_KEY_AND_VALUE = re.compile(
    r"<(?P<tag>(?:\w{1,20}-)?(?:key|name)|string)>(?P<name>[\w .-]{1,100})</(?P=tag)>"
    r"\s{0,8}<(?P<kind>(?:\w{1,20}-)?value|string|data)>"
    r"(?P<value>[^<>\r\n]{1,2000})</(?P=kind)>"
)
# What Azure's Key Vault answers, and what Terraform keeps of a password that it has made up.
_TEXT = r"\"(?P<value>(?:[^\"\\\r\n]|\\.){1,2000})\""
_OF_ORIGIN = tuple(
    re.compile(pattern.replace("TEXT", _TEXT))
    for pattern in (
        r"\.vault\.azure\.net/secrets/[^\"\s]{1,200}\"[^\r\n]{0,400}?\"value\": ?TEXT",
        r"\"value\": ?TEXT,[^{}\r\n]{0,200}?\"id\": ?\"[^\"\s]{1,80}\.vault\.azure\.net/secrets/",
        r"\"random_password\"[^\r\n]{0,800}?\"result\": ?TEXT",
    )
)
_JWK = re.compile(r"\"(?:d|p|q|dp|dq|qi|k)\"[ \t]{0,4}:[ \t]{0,4}\"(?P<value>[A-Za-z0-9_-]{16,})\"")


def sql(line: str) -> Iterator[Span]:
    """Passwords in statements."""
    identified = _STATEMENT.search(line) is not None
    for match in _SQL.finditer(line):
        span, _ = value_at(line, match.end())
        value = line[span[0] : span[1]]
        ends = line[span[1] + 1 : span[1] + 2] == ";"
        if (match[0].lower().startswith("secret") and not ends and not looks_random(value)) or (
            match[0].lower().startswith(("replace", "identified")) and not identified
        ):
            continue
        if not is_harmless(value, quoted=True) and (
            len(value.split()) == 1 or has_password_look(value) or match[0].isupper()
        ):
            yield span
    for match in _DATABASE_KEY.finditer(line):
        yield match.span("value")
    yield from (match.span("value") for match in _LOGIN_PROCEDURE.finditer(line))
    changes = _CHANGES.search(line) if identified else None
    for match in _ORACLE.finditer(line) if changes else ():
        if not is_harmless(match["value"]) and changes and changes.end() <= match.start():
            yield match.span("value")
    for match in _INSERT.finditer(line):
        yield from _inserted(line, match)


def _inserted(line: str, match: re.Match[str]) -> Iterator[Span]:
    """The values that stand where the columns of secrets do, in every row."""
    columns = [name.strip(' \t`"[]') for name in match["columns"].split(",")]
    wanted = {index for index, name in enumerate(columns) if names_secret(name)}
    position = match.end()
    while wanted and (row := _ROW.match(line, position)):
        for index, value in enumerate(_CELL.finditer(line, row.start("row"), row.end("row"))):
            if index in wanted and value["text"] is not None and not is_harmless(value["text"], quoted=True):
                yield value.span("text")
        position = row.end()


def markup(line: str) -> Iterator[Span]:
    """Elements and attributes of XML, and the private parts of a key in JSON."""
    for pattern in (_KEY_AND_VALUE, _NESTED, _ATTRIBUTE_BEFORE) if "<" in line else ():
        for match in pattern.finditer(line):
            if names_secret(match["name"]) and not is_harmless(match["value"], quoted=True):
                yield match.span("value")
    for pattern in _FLOW_MAPS if "{" in line else ():
        for match in pattern.finditer(line):
            begin, end = unquoted(line, match.span("value"))
            end = begin + len(line[begin:end].rstrip())
            if names_secret(match["name"]) and not is_harmless(line[begin:end], quoted=True):
                yield begin, end
    for match in _ELEMENT.finditer(line) if "</" in line else ():
        name = match["name"]
        if names_secret(name) or (name in _PARTS_OF_A_KEY and "RSAKeyValue" in line):
            begin, end = match.end(), line.find(f"</{name}", match.end(), match.end() + 2_000)
            if line.startswith("<![CDATA[", begin) and line.startswith("]]>", end - 3):
                begin, end = begin + 9, end - 3
            value = line[begin:end]
            if end > begin and not _TAG.search(value) and not is_harmless(value, quoted=True):
                yield begin, end
    for match in _ENTRY.finditer(line):
        secret = names_secret(match["name"]) and not _TAG.search(match["value"])
        if secret and not is_harmless(match["value"], quoted=True):
            yield match.span("value")
    for match in _ATTRIBUTES.finditer(line):
        if names_secret(match["name"]):
            span, _ = value_at(line, match.end())
            if not is_harmless(line[span[0] : span[1]], quoted=True):
                yield span
    for match in _VALUE_FIRST.finditer(line):
        if names_secret(match["name"]) and not is_harmless(match["value"], quoted=True):
            yield match.span("value")
    for pattern in _OF_ORIGIN if "azure.net/secrets/" in line or "random_password" in line else ():
        for match in pattern.finditer(line):
            if not is_harmless(match["value"], quoted=True):
                yield match.span("value")
    for match in _JWK.finditer(line):
        if '"kty"' in line or (len(match["value"]) >= 40 and looks_random(match["value"])):
            yield match.span("value")


# Files with a format of their own.

_CRYPT = re.compile(
    r"\$(?:1|5|6)\$(?:rounds=\d{1,9}\$)?[./A-Za-z0-9]{0,16}\$[./A-Za-z0-9]{20,90}"
    r"|\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{50,60}"
    r"|\$(?:y|gy|7)\$[./A-Za-z0-9]{1,20}\$[./A-Za-z0-9]{1,90}\$[./A-Za-z0-9]{20,90}"
    r"|\$(?:apr1|md5)[$,][^\s:$]{1,40}\$[./A-Za-z0-9$]{20,90}"
    r"|\$argon2(?:id|i|d)\$v=\d+\$[\w=,]{3,60}\$[A-Za-z0-9+/]{8,90}\$[A-Za-z0-9+/]{16,180}"
    r"|\$[PHS]\$[./A-Za-z0-9]{20,90}"
    r"|-(?:pbkdf2(?::?-?sha\d+)?|hashed)-[0-9a-f]{40,128},[0-9a-f]{8,64}(?:,\d{1,7})?"
    r"|\$scrypt\$[^\s:]{20,200}|\$pbkdf2(?:-sha\d+)?\$[^\s:]{20,300}"
    r"|pbkdf2_sha\d+\$\d+\$[^\s$]{1,64}\$[A-Za-z0-9+/=]{20,120}"
    r"|grub\.pbkdf2\.sha512\.\d+\.[0-9A-Fa-f.]{64,600}|SCRAM-SHA-\d+\$\d+:[A-Za-z0-9+/=]{8"
    r",60}\$[A-Za-z0-9+/=:]{40,200}"
    r"|\$A\$\d{3}\$[^\s'\"]{40,90}|\$[89]\$[./A-Za-z0-9-]{4,20}\$?[./A-Za-z0-9-]{8,60}"
    r"|\{(?:S?SHA(?:\d{3})?|S?MD5|CRYPT|PBKDF2[\w-]*|ARGON2)\}[^\s:\"']{12,300}"
    r"|scrypt:\d+:\d+:\d+\$[^\s$]{1,64}\$[0-9a-f]{64,128}"
)
_SHADOW = re.compile(
    r"[a-z_][\w.-]{0,64}\$?:!{0,2}(?P<value>[^:\s]{13,400}):\d{0,6}:\d{0,6}:\d{0,6}:\d{0,6}:\d{0,6}:\d{0,6}:"
)
_PWDUMP = re.compile(
    r"[^\s:]{1,100}:\d{1,10}:(?P<value>(?:[0-9A-Fa-f]{32}|X{32}|NO PASSWORD\*+):[0-9A-Fa-f]{32}):(?:::|\[)"
)
_PGPASS = re.compile(
    r"(?:[A-Za-z0-9*][A-Za-z0-9*._-]{0,253}|\[[0-9a-f:]+\]"
    r"|/[\w/.-]{1,100}):(?:\*|\d{4,5}):[^\s:/]{1,64}:[^\s:/]{1,64}:"
    r"(?P<value>(?:\\.|[^\s:\\]){1,256})\r?\Z"
)
# `wg show all dump`: an interface with its own key, or a peer with the key it shares.
_KEY_OF_WIREGUARD = r"[A-Za-z0-9+/]{43}="
_WIREGUARD = re.compile(
    rf"(?:[\w.=+-]{{1,15}}\t)?(?:(?P<private>{_KEY_OF_WIREGUARD})\t{_KEY_OF_WIREGUARD}\t\d{{1,5}}\t(?:off|0x[0-9a-f]{{1,8}})"
    rf"|{_KEY_OF_WIREGUARD}\t(?P<shared>{_KEY_OF_WIREGUARD})\t\S{{1,64}}\t\S{{1,400}}(?:\t\d{{1,20}}){{3}}\t(?:off|\d{{1,5}}))\s*"
)
_CLEAR_SCHEME = re.compile(r"\{(?:PLAIN|CLEARTEXT|CLEAR|plain|cleartext)\}(?P<value>[^\s:\"']{1,200})")


def hashes(line: str) -> Iterator[Span]:
    """Passwords as password files keep them, hashed with a scheme's mark."""
    yield from (match.span("value") for match in _CLEAR_SCHEME.finditer(line))
    yield from (match.span() for match in _CRYPT.finditer(line))


def wireguard(line: str) -> Iterator[Span]:
    """The keys among the columns of `wg show … dump`."""
    if match := _WIREGUARD.fullmatch(line):
        yield match.span(match.lastgroup or 0)


def account_files(line: str) -> Iterator[Span]:
    """Lines of password files, which are known by their colons."""
    text = line.lstrip()
    offset = len(line) - len(text)
    for pattern in (_SHADOW, _PWDUMP, _PGPASS):
        match = pattern.match(text)
        if match and not is_harmless(match["value"], quoted=True):
            yield match.start("value") + offset, match.end("value") + offset
