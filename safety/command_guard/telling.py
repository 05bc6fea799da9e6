"""What a command that only reads could carry away, or show to those who should not see it.

It never allows anything, it only asks for a second pair of eyes. Gathered while the guard reads a text, from programs
and words as the shell would start them: behind wrappers, with quotes undone.
"""

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_network
from urllib.parse import unquote

from safety.command_guard.arguments import Arguments
from safety.command_guard.places import names
from safety.command_guard.programs import Case
from safety.command_guard.shell import Feed
from safety.command_guard.values import as_typed

_CLIENTS = frozenset(
    names(
        """
    curl wget http https xh nc ncat netcat nc.openbsd socat telnet dig drill delv nslookup host systemd-resolve whois
    finger ping ping6 fping arping httping traceroute traceroute6 tracepath mtr tcptraceroute paris-traceroute
    dublin-traceroute nmap nmblookup sslscan testssl testssl.sh cipherscan ssh-keyscan ssh rpcinfo showmount ntpq
    snmpwalk snmpget snmpbulkwalk snmptable snmpstatus ldapsearch ldapwhoami speedtest skopeo regctl crane
    grpc_health_probe zabbix_get memcstat kafkacat kcat
    """
    )
)
"""Programs that say their words to somebody in the network."""

_ASKING = {
    "getent": names("hosts ahosts ahostsv4 ahostsv6"),
    "git": names("ls-remote remote"),
    "openssl": names("s_client s_time ocsp"),
    "resolvectl": names("query service openpgp tlsa"),
    "docker": names("search manifest"),
    "podman": names("search manifest"),
    "npm": names("view ping outdated audit"),
    "pip": names("index search"),
    "pip3": names("index search"),
    "gem": names("search info outdated"),
    "cargo": names("search"),
    "tailscale": names("ping whois"),
}
"""Programs of which only these sub-commands do."""

_ELSEWHERE = names("--host --hostname --server --servers --addr* --endpoint* --registry* --bootstrap-server* --master")
_SHORT = {
    "-H": names(
        """
    systemctl hostnamectl timedatectl localectl loginctl busctl systemd-analyze docker podman ipmitool rabbitmqadmin
    ldap* samba-tool check_*
    """
    ),
    "-h": names(
        """
    psql pg_* mysql* mariadb* redis-cli valkey-cli keydb-cli mongo* nodetool chronyc lpstat lpq pmval ypcat sqlcmd
    clickhouse-client influx
    """
    ),
    "-s": names("kubectl oc k kubecolor rndc unbound-control nats zkCli.sh"),
    "-S": names("net wbinfo"),
    "-r": names("racadm restic borg"),
    "-c": names("virsh virt-*"),
    "-p": names("iscsiadm"),
}
"""Options that send any program elsewhere, and those that do so with some."""

_URL = re.compile(r"(\A|=|@)[a-z][\w+.-]*://|\Ahost(addr)?=|\shost(addr)?=")
_TEXT_TOOLS = frozenset(
    names(
        """
    grep egrep fgrep zgrep rg ag ack echo printf test [ sed awk gawk mawk jq yq cut tr sort uniq expr logger
    """
    )
)
"""Programs to which an address is text like any other."""

_FINDERS = frozenset(names("find fd fdfind"))
_STARTS = frozenset(names("-exec -execdir -ok -okdir -x -X --exec --exec-batch"))

_READS = {
    "curl": names(
        """
    -K --config -T --upload-file -d --data* --json -F --form -n --netrc* --variable --expand-* --url-query
    --negotiate --proxy-negotiate --delegation --etag-compare
    """
    ),
    "wget": names("-i --input-file -e --execute --config --post-file --body-file --load-cookies --use-askpass"),
    "dig": names("-f -k"),
    "drill": names("-f -k -i"),
    "fping": names("-f"),
    "mtr": names("-F --filename"),
    "nmap": names("-i -iL --excludefile --resume --script-args-file"),
    "ssh-keyscan": names("-f"),
    "openssl": names("-in -reqin -respin -sess_in -early_data"),
    "ldapsearch": names("-f -y"),
}
"""Options with which a client says what stands in a file, or in its own settings."""

_AT_A_FILE = frozenset(names("curl http https xh"))
"""Clients that read a file where a word says `@file`."""
_FETCHERS = _AT_A_FILE | {"wget"}
_ADDRESS = re.compile(
    r"[a-z]+://\S*|([\w.-]+:\d+|localhost|\d+(\.\d+){3}|\[[\da-f:.]+\](:\d+)?)(/\S*)?", re.IGNORECASE | re.ASCII
)
_KEPT = frozenset(
    names(
        """
    -o --output -O --output-document --cacert --capath --cert -E --key --ca-certificate --ca-directory --certificate
    --private-key -CAfile -CApath -cert -key --unix-socket --abstract-unix-socket -U
    """
    )
)
"""Options whose file is not said to anybody."""

_PRECIOUS = re.compile(
    r"169\.254\.|\b(metadata|meta-data|instance-data)\b|/dev/(sd|hd|vd|xvd|nvme|mapper|mem|kmem|dm-)|/dev/\w?[*?\[]|/proc/\d+/environ|/shadow"
)

_CREDENTIALS = tuple(
    ip_network(one) for one in names("169.254.0.0/16 fd00:ec2::/32 100.100.100.200/32 168.63.129.16/32 192.0.0.192/32")
)
"""Where clouds hand out a host's credentials."""


@dataclass
class Telling:
    """What one text was seen to do; `too_much` is the answer once `read` was called."""

    sends: bool = False
    carries: bool = False
    opens: bool = False
    repeats: bool = False
    too_much: bool = False

    def started(self, case: Case) -> None:
        """A program starts, with these words."""
        words = [as_typed(word) for word in case.words]
        if any(_PRECIOUS.search(word) for word in words):
            self.too_much = True
        if case.program in _FINDERS and _STARTS.intersection(words):
            self.repeats = True
        if not _is_client(case, words):
            return
        self.sends = True
        if (
            _is_fed(case.invocation.feed)
            or not all(_is_literal(case, word) for word in case.words)
            or case.arguments.has(*_READS.get(case.program, ()))
            or (case.program in _CLIENTS and _names_file(case.arguments))
            or any(gives_credentials(word) for word in words)
        ):
            self.carries = True

    def opened(self, operator: str, target: str) -> None:
        """The shell opens a file."""
        if "<" in operator and as_typed(target) != "/dev/null":
            self.opens = True
        if _PRECIOUS.search(as_typed(target)):
            self.too_much = True

    def read(self, command: str, *, expands: bool) -> None:
        """All of it was read. `expands`: something in it is a variable or a substitution."""
        heard = self.carries or self.opens or self.repeats or expands
        self.too_much = self.too_much or (self.sends and heard) or _PRECIOUS.search(command) is not None


def _is_client(case: Case, words: list[str]) -> bool:
    program = case.program
    if program in _CLIENTS:
        return True
    if any(as_typed(operand) in _ASKING.get(program, ()) for operand in case.arguments.operands[:4]):
        return True
    if program in _TEXT_TOOLS:
        return False
    short = [option for option, whose in _SHORT.items() if any(fnmatchcase(program, pattern) for pattern in whose)]
    return case.arguments.has(*_ELSEWHERE, *short) or any(_URL.search(word) for word in words)


def _is_fed(feed: Feed) -> bool:
    """Whether it finds on its input what nobody typed."""
    if feed.text is not None:
        return not feed.text.isascii()
    return bool(set(feed.producers) - {("cat", "/dev/null")})


def _is_literal(case: Case, word: str) -> bool:
    """Whether it is what was typed. In an address that is fetched, `?`, `*` and `[` find no file."""
    if word.isascii():
        return True
    typed = as_typed(word)
    fetched = case.program in _FETCHERS and word in case.arguments.operands
    return fetched and typed.isascii() and _ADDRESS.fullmatch(typed) is not None


def _names_file(given: Arguments) -> bool:
    """Whether a word is a path, or says `@file` to a client that would read it."""
    for option, value in [*given.options, *(("", as_typed(operand)) for operand in given.operands)]:
        if value is None or option in _KEPT:
            continue
        if value.startswith(("/", "~", "./", "../")):
            return True
        if given.program in _AT_A_FILE and re.search(r"(\A|[=:])@", value):
            return True
        if given.program == "curl" and option in ("-b", "--cookie") and "=" not in value:
            return True
    return False


def gives_credentials(word: str) -> bool:
    """Whether an address in it is one at which a cloud hands out credentials, however it is spelt."""
    return any(address in network for address in _addresses(unquote(word)) for network in _CREDENTIALS)


def _addresses(word: str) -> Iterator[IPv4Address | IPv6Address]:
    """Every number in it that a client would take for an address, and those wrapped in a longer one."""
    for piece in re.split(r"[/@=?&#,\s]+", word):
        for text in {*piece.split(":"), *re.findall(r"[\da-fA-F:.]+", piece)}:
            if ":" in text:
                try:
                    long = IPv6Address(text)
                except AddressValueError:
                    continue
                yield from (long, IPv4Address(int(long) & 0xFFFFFFFF))
            elif re.fullmatch(r"[\da-fxA-FX.]+", text):
                try:
                    yield IPv4Address(socket.inet_aton(text))
                except OSError:
                    continue
