"""Secrets in the arguments of programs, and in what is piped into them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from safety.redaction.names import has_password_look, is_harmless
from safety.redaction.shapes import Span
from safety.redaction.values import ARGUMENT, unquoted, value_at

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
    _program(
        "rabbitmqadmin twine psexec doveadm smbmap evil-winrm crackmapexec netexec hydra medusa security certutil",
        r"rabbitmqadmin|twine|psexec(?:64)?|doveadm[ \t]+\S+|smbmap|evil-winrm|crackmapexec|netexec|hydra|medusa"
        r"|certutil"
        r"|security[ \t]+unlock-keychain",
        r"[ \t\x00]-p(?:[ \t\x00]+|(?=[^\s\x00-]))",
    ),
    _program("mosquitto hydra tsql", "mosquitto_(?:pub|sub|rr)|tsql", r"[ \t\x00]-P[ \t\x00]+"),
    _program("security", r"security[ \t]+(?:add|set)-\S+", r"[ \t]-w[ \t]+"),
    _program("slappasswd", "slappasswd", r"[ \t]-s[ \t]+"),
    _program("nsupdate dig", "nsupdate|dig", r"[ \t]-y[ \t]+", mark=":"),
    _program("iscsiadm", r"iscsiadm(?=.{0,200}password)", r"[ \t](?:-v|--value)[ \t=]+"),
    _program(
        "mkpasswd openssl",
        r"mkpasswd|openssl[ \t]+passwd",
        r"\A(?:[ \t]+(?:-(?:m|S|R|salt)[ \t]+\S+|-{1,2}[\w=-]+)){0,5}[ \t]+(?=[^-\s|<>&;])",
    ),
    _program("encrypt_string", r"ansible-vault[ \t]+encrypt_string", r"\A[ \t]+(?=[\"'])"),
    _program("http-basic", r"composer[ \t].{0,40}http-basic\.\S{1,100}", r"\A[ \t]+\S{1,100}[ \t]+"),
    _program(
        "mc alias", r"mc[ \t]+(?:alias[ \t]+set|config[ \t]+host[ \t]+add)", r"\A[ \t]+\S+[ \t]+\S+[ \t]+\S+[ \t]+"
    ),
    _program("rclone", "rclone", r"[ \t](?:pass|password|secret_access_key|token)[ \t=]+"),
    _program("nuget", r"nuget[ \t]+setapikey", r"\A[ \t]+"),
    _program("put-parameter", r"ssm[ \t]+put-parameter(?=.{0,400}SecureString)", r"[ \t]--value[ \t=]+"),
    _program("addauth", r"addauth[ \t]+digest", r"\A[ \t]+", mark=":"),
    _program("set-", r"(?:neo4j-admin|cypher-shell).{0,40}set-(?:initial|default)-password", r"\A[ \t]+"),
    _program("virsh", r"virsh[ \t].{0,80}secret-set-value", r"\A[ \t]+(?:--secret[ \t]+)?\S+[ \t]+(?:--base64[ \t]+)?"),
    _program("signtool", "signtool", r"(?i)[ \t]/p[ \t]+"),
    _program("dscl", r"dscl[ \t].{0,60}-passwd", r"\A[ \t]+\S+[ \t]+"),
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
        r"[ \t\x00]-[xZLn]*(?:[wsa][ \t\x00]+|w(?=[^\s\x00]))(?!sub\b|base\b|one\b"
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
        "doctl vultr-cli linode-cli tea gh glab influx",
        "doctl|vultr-cli|linode-cli|tea|gh|glab|influx",
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
        "vault heroku wandb snyk railway doppler",
        "(?:wandb|railway|doppler)[ \t]+login|snyk[ \t]+auth|vault[ \t]+(?:login|unwrap|token[ \t]+(?:lookup|revoke"
        "|renew))|heroku[ \t]+auth:token|vault[ \t]+operator[ \t]+unseal",
        r"\A[ \t]+(?=[\w.+/=-]{16})",
    ),
    _program(
        "using", r"connect[ \t]+to[ \t]+\S{1,64}[ \t]+user[ \t]+\S{1,64}[ \t]+using", r"\A[ \t]+(?=\S*[\d!@#$%^&*])"
    ),
    _program("wpa_passphrase", "wpa_passphrase", r"\A[ \t]+\S{1,64}[ \t]+"),
    _program(
        "rabbitmqctl ejabberdctl",
        "rabbitmqctl[ \t]+(?:add_user|change_password|authenticate_user)|ejabberdctl[ \t]+(?:register|change_password)",
        r"\A[ \t]+(?:--[\w-]+[ \t]+)?\S{1,64}[ \t]+",
    ),
    _program("net NET Net", "(?i:net1?[ \t]+user)", r"\A[ \t]+[^\s/]{1,64}[ \t]+(?=[^/\s])"),
    _program(
        "net NET Net",
        "(?i:net1?[ \t]+use)",
        r"\A[ \t]+(?:(?:\S{1,3}:|\*)[ \t]+)?(?:\\\\\S{1,128}|\"[^\"]{1,128}\")[ \t]+"
        r"(?:/(?i:user|persistent|savecred):?\S{0,100}[ \t]+){0,3}(?=[^/\s])",
    ),
    _program("schtasks SCHTASKS", "(?i:schtasks)", r"[ \t]/(?i:rp)[ \t]+"),
    _program("keytool", r"keytool(?=[ \t].{0,200}-(?:store|key)passwd)", r"[ \t]-new[ \t]+"),
    _program("wbinfo", "wbinfo", r"[ \t](?:-a|--authenticate)[ \t=]+", mark="%"),
    _program(
        "htpasswd htdigest",
        "htpasswd|htdigest",
        r"\A[ \t]+(?:-[a-zA-Z0-9]{1,12}[ \t]+(?:\d{1,2}[ \t]+)?){0,4}-[a-zA-Z]{0,12}b[a-zA-Z]{"
        r"0,12}[ \t]+(?:-[a-zA-Z]+[ \t]+|\d{1,2}[ \t]+){0,6}"
        r"(?:[^\s-]\S{0,256}[ \t]+){1,2}(?=\S+[ \t]*(?:\Z|[|;&>]))",
    ),
    _program("AUTH", "AUTH", r"\A[ \t]+(?:[\w-]{1,64}[ \t]+)?(?=[^\s/]{0,100}[\d=!@#$%^&*])(?=[^\s]{6,}[ \t]*\Z)"),
)

# A program nobody listed here: `-u NAME -p VALUE` side by side, and `--auth NAME:VALUE`.
_PAIR_OF_OPTIONS = re.compile(
    r"[ \t\x00](?:-u|-U|-user|--user|--username|-l|--login)(?:[ \t=\x00]{1,4}"
    r"|(?=[A-Za-z]))[\w.@\\-]{1,64}[ \t\x00]{1,4}"
    r"-(?:p|P|pw)(?:[ \t\x00]{1,4}|(?=[^\s\x00]))(?=[^\s\x00-])"
)
_NOT_A_PASSWORD = re.compile(r"[\d:.,-]+|\d+\.\.\w+|[a-z]+\.\.[a-z]+|[./~].*|\w+[./]\w+/.*|\{.*")
_PAIR_IN_OPTION = re.compile(
    r"(?:\A|[ \t\x00\"'])--?(?:[\w.-]{1,40}[-_])?(?:auth|credentials?|creds|userpass|user-pass|userpwd"
    r"|userinfo)[ \t=\x00]{1,4}[\"']?"
    r"[\w.@\\-]{1,64}:(?P<value>[^\s\"'\x00]{1,200})"
)

# `-u NAME:VALUE` of any program. Those that start something for a user take a group there, and others a word of theirs.
_USER_OPTION = re.compile(
    r"[ \t\x00\"'](?:-u|-U|-A|--user|--username|--login)[\"']?[ \t=\x00,]{1,4}[\"']?"
    r"(?P<user>[A-Za-z][\w.@\\-]{0,63})(?P<mark>[:%])(?P<value>[^\s\"'\x00]{1,200})"
)
_CLIENTS = re.compile(
    r"(?:etcd|curl|wget|http|elastic|opensearch|kibana|logstash|mongo|influx|cql|cassandra|nats|artifactory|jf|jfrog|couch"
    r"|solr|neo4j|cypher|grafana|rabbit|redis|clickhouse|presto|trino|ksql|kafka|consul|nexus|jenkins|sonar|gitea|smb"
    r"|rpcclient|ab|siege|wrk|hey|skopeo|twine|ldap|mysql|psql|nomad|curator|webdav|cadaver|ncat|wbinfo|ftp|imap|swaks)[\w.-]*"
)
_NO_USERS = re.compile(
    r"(?:sort|diff|cp|mv|git|date|journalctl|systemctl|systemd-run|gunicorn|uvicorn|rsync|ssh|scp|nmap|chown|install|tar|chroot"
    r"|sudo|ps|ip|mount|uniq|ls|ss|id|go|pip|npm|patch|unzip|gosu|setpriv|uwsgi|start-stop-daemon)"
)
_IMPACKET = re.compile(
    r"(?i)(?:\bimpacket-\w+|\b(?:psexec|secretsdump|wmiexec|smbexec|atexec|dcomexec|getuserspns|getnpusers|gettgt|lookupsid"
    r"|mssqlclient|samrdump|smbclient|ticketer)\.py)[ \t](?:\S{1,60}[ \t]{1,4}){0,6}?[\"']?(?:[\w.-]{1,100}/)?"
    r"[\w.-]{1,64}:[\"']?(?P<value>[^\s:\"']{1,128})[\"']?@[\w.-]"
)


def _is_a_users_password(line: str, match: re.Match[str]) -> bool:
    """Not `docker run --user app:app`: unless the program is a client, the value must look like a password."""
    user, value = match["user"], match["value"]
    if user == "system":
        return False  # Kubernetes's own users: `system:node`
    before = re.split(r"[|;&]", line[max(0, match.start() - 160) : match.start()])[-1]
    words = [word.strip("\"'").rpartition("/")[2] for word in before.split()]
    if match["mark"] == "%" or any(_CLIENTS.fullmatch(word) for word in words):
        return True
    if any(_NO_USERS.fullmatch(word) for word in words):
        return False
    strong = len(value) >= 6 and has_password_look(value) and any(char.isdigit() or char.isupper() for char in value)
    return strong and not value.startswith(user)


def _user_and_password(line: str) -> Iterator[Span]:
    for match in _USER_OPTION.finditer(line):
        value = match["value"]
        if is_harmless(value, quoted=True) or _NOT_A_PASSWORD.fullmatch(value) or value == match["user"]:
            continue
        if _is_a_users_password(line, match):
            yield match.span("value")
    yield from (match.span("value") for match in _IMPACKET.finditer(line))
    for match in _PAIR_OF_OPTIONS.finditer(line):
        span, quoted = value_at(line, match.end(), bare=ARGUMENT)
        value = line[span[0] : span[1]]
        sure = quoted or (has_password_look(value) and not _NOT_A_PASSWORD.fullmatch(value))
        if sure and not is_harmless(value, quoted=True):
            yield span
    for match in _PAIR_IN_OPTION.finditer(line):
        if not is_harmless(match["value"], quoted=True) and not _NOT_A_PASSWORD.fullmatch(match["value"]):
            yield match.span("value")


_END_OF_COMMAND = re.compile(r"[ \t](?:\|{1,2}|&&|;)[ \t]|;[ \t]")
_PORTS = re.compile(r"\d{1,5}(?::\d{1,5})+\Z")


def commands(line: str) -> Iterator[Span]:
    """What programs take as a secret in an option of their own."""
    yield from _user_and_password(line)
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
        (begin, stop), _ = value_at(segment, option.end(), bare=ARGUMENT)
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


_OPENSSL = re.compile(r"(?<![\w.:-])(?:pass|PASS):(?P<value>\"[^\"]+\"|'[^']+'|[^\s\"']+)")
_READS_ONE = (  # programs and options that read a secret from standard input
    r"(?:sudo[ \t][^|]{0,40}-[A-Za-z]{0,4}S[A-Za-z]{0,4}\b|--?\w{0,20}pass\w{0,10}-stdin|--passphrase-fd|chpasswd"
    r"|smbpasswd|cryptsetup"
    r"|--with-token|passwd\b|kinit\b|su\b|vncpasswd|luks\w{1,10}|load-key)"
)
_PIPED = re.compile(
    r"\b(?:echo|printf|yes|cat[ \t]*<<<)[ \t]+(?:-[neE]+[ \t]+|[\"']?(?:%s(?:\\n)?){1,3}[\"']?[ \t]+)?"
    r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s|\"']+)(?:[ \t]+(?P<again>\"[^\"]*\"|'[^']*'"
    r"|[^\s|\"']+))?[ \t]*\|[ \t]*(?=[^|]{0,120}" + _READS_ONE + ")"
)
_HERE_PASSWORD = re.compile(
    r"(?:chpasswd|smbpasswd|pass\w{0,10}-stdin|--with-token|kinit|login|luks\w{1,10}"
    r"|-[A-Za-z]{0,4}S)\b[^<|]{0,80}<<<[ \t]*"
    r"(?P<value>\"[^\"]*\"|'[^']*'|\S+)"
)
_WINDOWS = re.compile(r"(?i)[ \t]/(?:p|pass|password|pw|rp|passwd):(?P<value>\"[^\"]+\"|\S+)")
_PROPERTY = re.compile(r"[A-Z][A-Za-z]{1,40}=\S")  # of msbuild, behind its own `/p:`
_SECURE_STRING = re.compile(r"(?i)ConvertTo-SecureString[ \t]+(?:-String[ \t]+)?(?P<value>\"[^\"]+\"|'[^']+')")
_LITERAL = re.compile(
    r"(?:(?:--from-literal[= ]|secrets[ \t]+set[ \t]+)[\"']?[\w.-]{1,128}=|secret[ \t]+set[ \t].{0,80}--body[ =]"
    r"|--secret-string[ =])"
    r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s\"']+)"
)


def idioms(line: str) -> Iterator[Span]:
    """What is handed to a program in a way of its own: `pass:x`, a pipe, a here-string, `/p:x`."""
    if "openssl" in line or "keytool" in line or "-pass" in line:
        for match in _OPENSSL.finditer(line):
            span = unquoted(line, match.span("value"))
            if not is_harmless(line[span[0] : span[1]], quoted=True):
                yield span
    for pattern in (_PIPED, _HERE_PASSWORD, _WINDOWS, _SECURE_STRING, _LITERAL):
        for match in pattern.finditer(line):
            if match.re is _PIPED and match["again"] is not None:
                yield unquoted(line, match.span("again"))
            begin, end = unquoted(line, match.span("value"))
            before, mark, _ = line[begin:end].partition(":")
            if pattern in (_PIPED, _HERE_PASSWORD):
                if mark and re.fullmatch(r"[\w.-]{1,64}", before):
                    begin += len(before) + 1
                while line[begin:end].endswith(("\\n", "\\r")):
                    end -= 2
            if not is_harmless(line[begin:end], quoted=True) and not (
                pattern is _WINDOWS and _PROPERTY.match(line[begin:end])
            ):
                yield begin, end
