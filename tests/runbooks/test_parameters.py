"""The door of every parameter: what is let in, what is not and how that is said, and that no value is ever more than
one word of a command."""

import asyncio
import os
import re
import subprocess
import unicodedata
from collections.abc import Sequence
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

import runbooks
from bot.request import RunCommand, parse_runbook
from runbooks import (
    AbsolutePath,
    CommandLine,
    Danger,
    Expect,
    Facts,
    Glob,
    HostAddress,
    HostName,
    HttpAddress,
    Parallel,
    Parameters,
    Pattern,
    Percent,
    Pid,
    Plan,
    Port,
    Probe,
    Require,
    Run,
    Runbook,
    Seconds,
    Secret,
    ServiceName,
    Size,
    Text,
    UserName,
    Word,
    positional,
)
from runbooks.catalog import bind
from runbooks.commands import fault_of, shell_line
from runbooks.definition import Step
from runbooks.parameters import TEN_YEARS, Accepts, is_hidden, shown, unsaid, what_is_wrong
from runbooks.planning import Planner
from safety.command_guard import CommandGuard
from safety.command_guard.shell import Env, Invocation, ShellReader, _tilde
from safety.sealing import checked_name
from storage.errors import DefinitionError, Invalid, OperatorError, PlanningFailed
from tests.builders import catalog_with, hosts
from tests.fakes import FakeRemote, Reply
from tests.needs import a_part

FUZZ = settings(max_examples=int(os.environ.get("HANDRAIL_FUZZ_EXAMPLES", "200")), deadline=None)
SHELLS = ("sh", "dash", "bash")


class Colour(Enum):
    """Some."""

    RED = "red"
    BLUE = "Light-Blue"


class Show(Runbook):
    """Says every value that it was given."""

    name, danger = "show-all", Danger.LOW

    class Params(Parameters):
        """One of each."""

        service: ServiceName | None = None
        path: AbsolutePath | None = None
        url: HttpAddress | None = None
        host: HostName | None = None
        address: HostAddress | None = None
        user: UserName | None = None
        word: Word | None = None
        text: Text | None = None
        command: CommandLine | None = None
        glob: Glob | None = None
        pattern: Pattern | None = None
        pid: Pid | None = None
        port: Port | None = None
        percent: Percent | None = None
        size: Size | None = None
        length: Seconds | None = None
        plain: str | None = None
        number: int | None = None
        negative: int | None = Field(None, ge=-20, le=19)
        share: float | None = None
        really: bool | None = None
        colour: Colour | None = None
        either: Literal["this", "that"] | None = None

    def plan(self, params: Params, facts: Facts) -> Plan:
        """One step with all of them."""
        return Plan(Run("Say it", "printf", "--", "%s\\0", *words_of(params)))


def words_of(params: Parameters) -> list[str]:
    """The words that the values become."""
    values = [value.value if isinstance(value, Enum) else value for _, value in params if value is not None]
    return [str(value) for value in values]


ENTRY = catalog_with(Show).get("show-all")
KINDS = [*Show.Params.model_fields]
NUMBERS = ["pid", "port", "percent", "size", "length", "number", "negative", "share"]
LOOSE = ["text", "command", "pattern", "glob", "plain", "url"]
"""These take shell text as text: what matters is that it stays one word."""


def let_in(name: str, value: Any) -> Any:
    """A value as it comes out of the door."""
    return getattr(Show.Params.model_validate({name: value}), name)


def refused(name: str, value: Any) -> str:
    """What is said when it does not get in."""
    with pytest.raises(Invalid) as error:
        bind(ENTRY, [], {name: value})
    said = error.value.message
    assert said.startswith(f"'{name}': "), said
    assert said.endswith("Example: `/runbook show-all on web-01`"), said
    return said


# --- what is let in, and as what --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "typed", "kept"),
    [
        ("service", "nginx", "nginx"),
        ("service", "nginx.service", "nginx"),
        ("service", "celery@1", "celery@1"),
        ("service", "celery@1.service", "celery@1"),
        ("service", "getty@tty1", "getty@tty1"),
        ("service", "autossh@me@db-1", "autossh@me@db-1"),
        ("service", "logrotate.timer", "logrotate.timer"),
        ("service", "timer.service", "timer"),
        ("service", "café@".replace("é", r"\xc3\xa9") + "1", r"caf\xc3\xa9@1"),
        ("service", "docker.socket", "docker.socket"),
        ("service", r"system-systemd\x2dcryptsetup.slice", r"system-systemd\x2dcryptsetup.slice"),
        ("service", r"openvpn@a\x2db.service", r"openvpn@a\x2db"),
        ("service", r"\x2ehidden", r"\x2ehidden"),
        ("service", "dbus-org.freedesktop.login1", "dbus-org.freedesktop.login1"),
        ("service", "dev-sda1.device", "dev-sda1.device"),
        ("service", "a" * 247, "a" * 247),
        ("path", "/", "/"),
        ("path", "/var/log/", "/var/log"),
        ("path", "/srv/a b/-x", "/srv/a b/-x"),
        ("path", "/srv/..hidden", "/srv/..hidden"),
        ("path", "/etc/nginx/nginx.conf~", "/etc/nginx/nginx.conf~"),
        ("path", "/dev/disk/by-path/pci-0000:00:1f.2", "/dev/disk/by-path/pci-0000:00:1f.2"),
        ("path", "/" + "a" * 255, "/" + "a" * 255),
        ("host", "web-01", "web-01"),
        ("host", "DB-1.Example.COM", "db-1.example.com"),
        ("host", "db-1.example.com.", "db-1.example.com"),
        ("host", "1a", "1a"),
        ("host", "xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("host", ".".join(["a" * 63] * 3 + ["a" * 61]), ".".join(["a" * 63] * 3 + ["a" * 61])),
        ("address", "web-01", "web-01"),
        ("address", "192.0.2.10", "192.0.2.10"),
        ("address", "2001:DB8::10", "2001:db8::10"),
        ("address", "::1", "::1"),
        ("user", "deploy", "deploy"),
        ("user", "www-data", "www-data"),
        ("user", "_apt", "_apt"),
        ("user", "first.last", "first.last"),
        ("word", "release-42", "release-42"),
        ("word", "2.4.1+deb12", "2.4.1+deb12"),
        ("text", "Größe: 5 € (don't panic)", "Größe: 5 € (don't panic)"),
        ("text", "- first", "- first"),
        ("command", "df -h /var | tail -1", "df -h /var | tail -1"),
        ("glob", "*.log", "*.log"),
        ("glob", "access-[0-9]?.gz", "access-[0-9]?.gz"),
        ("pattern", "^ERROR .*(timeout|refused)$", "^ERROR .*(timeout|refused)$"),
        ("pattern", r"(?:ab)+\.(log|gz)", r"(?:ab)+\.(log|gz)"),
        ("pattern", "[)(*+]+", "[)(*+]+"),
        ("pattern", "^[[:digit:]]+ ms$", "^[[:digit:]]+ ms$"),
        ("pid", "2", 2),
        ("pid", "4194304", 4_194_304),
        ("pid", 7, 7),
        ("port", "443", 443),
        ("port", "65535", 65_535),
        ("percent", "85", 85),
        ("percent", "85%", 85),
        ("percent", "0", 0),
        ("percent", "100", 100),
        ("size", "512", 512),
        ("size", "100M", 100 * 2**20),
        ("size", "2G", 2 * 2**30),
        ("size", "1.5GiB", 1.5 * 2**30),
        ("size", "10kb", 10_000),
        ("size", "5MB", 5_000_000),
        ("size", "1T", 2**40),
        ("size", "0.5k", 512),
        ("size", "7b", 7),
        ("length", "0", 0),
        ("length", "30", 30),
        ("length", "90s", 90),
        ("length", "5m", 300),
        ("length", "1h30m", 5400),
        ("length", "1H30M", 5400),
        ("length", "2d", 172_800),
        ("length", "1w", 604_800),
        ("length", 12, 12),
        ("plain", "2.4.1", "2.4.1"),
        ("plain", "two words", "two words"),
        ("number", "0", 0),
        ("number", "999999999999999999", 10**18 - 1),
        ("negative", "-20", -20),
        ("share", "0.5", 0.5),
        ("share", "5", 5.0),
        ("share", 2, 2.0),
        ("really", "yes", True),
        ("really", "TRUE", True),
        ("really", "On", True),
        ("really", "no", False),
        ("really", "false", False),
        ("really", "off", False),
        ("really", True, True),
        ("colour", "red", Colour.RED),
        ("colour", "light-BLUE", Colour.BLUE),
        ("colour", Colour.RED, Colour.RED),
        ("either", "That", "that"),
    ],
)
def test_a_value_is_kept_as_its_type_has_it(name: str, typed: Any, kept: Any) -> None:
    found = let_in(name, typed)
    assert found == kept
    assert type(found) is type(kept) or isinstance(kept, float)


@pytest.mark.parametrize("name", KINDS)
def test_what_is_kept_comes_back_from_its_json_as_the_same(name: str) -> None:
    samples = {"negative": "-3", "share": "0.5", "really": "no", "colour": "red", "either": "this", "number": "5"}
    known = {name: accepts.like for name, accepts in accepted_by_type().items()}
    for typed in known.get(name, (samples.get(name, "nginx"),)):
        params = Show.Params.model_validate({name: typed})
        assert Show.Params.model_validate(params.model_dump(mode="json")) == params


def accepted_by_type() -> dict[str, Accepts]:
    """What each of our own types says about itself, by the name of its parameter here."""
    metadata = {
        "service": ServiceName, "path": AbsolutePath, "host": HostName, "address": HostAddress, "user": UserName,
        "url": HttpAddress,
        "word": Word, "text": Text, "command": CommandLine, "glob": Glob, "pattern": Pattern, "pid": Pid, "port": Port,
        "percent": Percent, "size": Size, "length": Seconds,
    }  # fmt: skip
    found: dict[str, Accepts] = {}
    for name, annotated in metadata.items():
        found[name] = next(one for one in annotated.__metadata__ if isinstance(one, Accepts))
    return found


@pytest.mark.parametrize("name", [*accepted_by_type()])
def test_every_example_in_a_complaint_is_accepted(name: str) -> None:
    accepts = accepted_by_type()[name]
    assert accepts.like
    for typed in accepts.like:
        assert let_in(name, typed) is not None


# --- what is not ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("url", "ftp://h/", "without a login"),
        ("url", "http://u:p@h/", "without a login"),
        ("url", "http://169.254.169.254/latest", "hands out a host's credentials"),
        ("url", "http://[fd00:ec2::254]/", "hands out a host's credentials"),
        ("service", "-H", "starts with a dash could be taken for an option"),
        ("service", "-.mount", "starts with a dash"),
        ("service", "nginx redis", "it holds ' '"),
        ("service", "nginx/../sshd", "it holds '/'"),
        ("service", "celery@", "is a template: name an instance of it, like celery@1."),
        ("service", "celery@.service", "is a template: name an instance of it, like celery@1."),
        ("service", "getty@.timer", "is a template: name an instance of it, like getty@1.timer."),
        ("service", "app@%i", "it holds '%'"),
        ("service", "@1", "no empty part"),
        ("service", "a@@1", "no empty part"),
        ("service", ".service", "no empty part"),
        ("service", "a..b", "no empty part"),
        ("service", ".hidden", "no empty part"),
        ("service", "nginx.", "no empty part"),
        ("service", "nginx.service.service", "two kinds of unit"),
        ("service", "nginx.socket.service", "two kinds of unit"),
        ("service", r"a\x2Db", r"it holds '\'"),
        ("service", r"a\b", r"it holds '\'"),
        ("service", r"ngin\x78", "no escape that systemd-escape makes"),
        ("service", r"a\x0ab", "no escape that systemd-escape makes"),
        ("service", r"a\x2fb", "no escape that systemd-escape makes"),
        ("service", "a" * 248, "longer than 255"),
        ("service", "a" * 256, "at most 255"),
        ("path", "var/log", "must start with /"),
        ("path", "~/log", "must start with /"),
        ("path", "~root/log", "must start with /"),
        ("path", "file:///etc", "must start with /"),
        ("path", "-rf", "starts with a dash"),
        ("path", "/var/../etc", "goes up"),
        ("path", "/..", "goes up"),
        ("path", "/var/log/..", "goes up"),
        ("path", "/var/log/../", "goes up"),
        ("path", "//etc", "empty or a '.' part"),
        ("path", "/var//log", "empty or a '.' part"),
        ("path", "/var/./log", "empty or a '.' part"),
        ("path", "/var/.", "empty or a '.' part"),
        ("path", "/var//", "empty or a '.' part"),
        ("path", "//", "empty or a '.' part"),
        ("path", "/var/%2e%2e/etc", "it holds '%'"),
        ("path", "/var/..%2fetc", "it holds '%'"),
        ("path", "/var/%252e", "it holds '%'"),
        ("path", r"/var/..\etc", r"it holds '\'"),
        ("path", "/var/．．/etc", "no plain ASCII"),
        ("path", "/var∕log", "no plain ASCII"),
        ("path", "/srv/ü", "no plain ASCII"),
        ("path", "/var/ /x", "white space"),
        ("path", "/var/log /x", "white space"),
        ("path", "/var/*", "it holds '*'"),
        ("path", "/" + "a" * 256, "more than 255"),
        ("path", "/a" * 501, "at most 1,000"),
        ("host", "a_b", "it holds '_'"),
        ("host", "-a", "starts with a dash"),
        ("host", "a-", "no dash at its start or end"),
        ("host", "a.-b", "no dash at its start or end"),
        ("host", "a..b", "each part"),
        ("host", ".", "each part"),
        ("host", "a" * 64, "each part"),
        ("host", ".".join(["a" * 63] * 4), "at most 254"),
        ("host", ".".join(["a" * 63] * 3 + ["a" * 62]), "more than 253"),
        ("host", "192.0.2.10", "does not end in a number"),
        ("host", "127.1", "does not end in a number"),
        ("host", "2130706433", "does not end in a number"),
        ("host", "0x7f000001", "does not end in a number"),
        ("host", "web.0x", "does not end in a number"),
        ("host", "user@web-01", "it holds '@'"),
        ("host", "web-01:22", "it holds ':'"),
        ("address", "192.0.2.010", "no IPv4 or IPv6"),
        ("address", "192.0.2", "no IPv4 or IPv6"),
        ("address", "192.0.2.256", "no IPv4 or IPv6"),
        ("address", "192.0.2.1/24", "it holds '/'"),
        ("address", "0300.0.2.1", "no IPv4 or IPv6"),
        ("address", "0x7f.0.0.1", "does not end in a number"),
        ("address", "fe80::1%eth0", "no IPv4 or IPv6"),
        ("address", "::1%;reboot", "no IPv4 or IPv6"),
        ("address", "[::1]", "no IPv4 or IPv6"),
        ("address", "192.0.2.1:22", "no IPv4 or IPv6"),
        ("address", "１９２.0.2.1", "no plain ASCII"),
        ("user", "0", "starts with a letter"),
        ("user", "a:b", "starts with a letter"),
        ("user", "root ", "white space"),
        ("user", "DOMAIN\\root", "starts with a letter"),
        ("user", "a" * 33, "at most 32"),
        ("word", "a/b", "starts with a letter"),
        ("word", "..", "starts with a letter"),
        ("word", "a..b", "starts with a letter"),
        ("word", "a b", "starts with a letter"),
        ("word", "a=b", "starts with a letter"),
        ("text", "a" * 501, "at most 500"),
        ("command", "-c ls", "starts with a dash"),
        ("command", "l\u0455", "no plain ASCII"),
        ("glob", "a/b", "it holds '/'"),
        ("glob", "..", "names no file"),
        ("glob", "[a", "without its partner"),
        ("glob", "a]", "without its partner"),
        ("glob", "$(id)*", "it holds '$'"),
        ("glob", "-*", "starts with a dash"),
        ("pattern", "(", "no regular expression"),
        ("pattern", "*", "no regular expression"),
        ("pattern", "[[", "no regular expression"),
        ("pattern", r"(a)\1", "without references"),
        ("pattern", "(?=a)", "without references and looking around"),
        ("pattern", "(?<!a)b", "without references and looking around"),
        ("pattern", "a{1000}{1000}", "no regular expression"),
        ("pattern", "(a+)+$", "may take for ever"),
        ("pattern", "(a*)*", "may take for ever"),
        ("pattern", "(a|aa)+", "may take for ever"),
        ("pattern", "(.*a){20}", "may take for ever"),
        ("pattern", "((ab)*c)*", "may take for ever"),
        ("pattern", "(?:a+b?)+", "may take for ever"),
        ("pattern", "(?P<x>a?){9,}", "may take for ever"),
        ("pattern", "a" * 201, "at most 200"),
        ("pid", "0", "1 is the system itself"),
        ("pid", "1", "1 is the system itself"),
        ("pid", "-1", "below zero"),
        ("pid", "-0", "below zero"),
        ("pid", "0042", "without a leading zero"),
        ("pid", "4194305", "from 2 to 4194304"),
        ("pid", 1, "1 is the system itself"),
        ("pid", 0, "1 is the system itself"),
        ("pid", -7, "1 is the system itself"),
        ("port", "0", "from 1 to 65535"),
        ("port", "65536", "from 1 to 65535"),
        ("percent", "101", "from 0 to 100"),
        ("percent", "%", "only the digits"),
        ("percent", "50%%", "only the digits"),
        ("percent", "8.5%", "only the digits"),
        ("size", "1.5", "no parts of a byte"),
        ("size", "5iB", "one is a number and K, M, G or T"),
        ("size", "5 M", "one is a number and K, M, G or T"),
        ("size", "M", "one is a number and K, M, G or T"),
        ("size", "5P", "one is a number and K, M, G or T"),
        ("size", "999999999999T", "sizes go from 0"),
        ("size", -1, "sizes go from 0"),
        ("length", "soon", "Write it like 30, 90s, 5m or 1h30m"),
        ("length", "5 minutes", "Write it like 30, 90s, 5m or 1h30m"),
        ("length", "30m1h", "largest first"),
        ("length", "1.5s", "one is a number of seconds"),
        ("length", "500ms", "one is a number of seconds"),
        ("length", "-5s", "below zero"),
        ("length", "99999d", "ten years"),
        ("length", TEN_YEARS + 1, "ten years"),
        ("length", "05", "without a leading zero"),
        ("plain", "größe", "no plain ASCII"),
        ("plain", "-f", "starts with a dash"),
        ("plain", "x" * 1001, "at most 1,000"),
        ("number", "-1", "below zero"),
        ("number", -1, "below zero"),
        ("number", "1000000000000000000", "at most 18"),
        ("number", 10**18, "nobody means that much"),
        pytest.param("number", 10**5000, "'a very large number' is not a whole number: nobody means", id="enormous"),
        ("negative", "-21", "'-21' is too little: at least -20."),
        ("negative", "20", "'20' is too much: at most 19."),
        ("share", "nan", "only the digits"),
        ("share", "inf", "only the digits"),
        ("share", float("nan"), "nobody means that much"),
        ("share", float("inf"), "nobody means that much"),
        ("share", ".5", "only the digits"),
        ("share", "-0.5", "below zero"),
        ("really", "1", "yes, true and on mean yes"),
        ("really", "y", "yes, true and on mean yes"),
        ("really", 1, "yes, true and on mean yes"),
        ("colour", "green", "'green' is none of the choices: red or Light-Blue."),
        ("colour", "-red", "none of the choices"),
        ("colour", 1, "none of the choices"),
        ("either", ["this"], "none of the choices"),
        ("either", True, "none of the choices"),
    ],
)  # fmt: skip
def test_what_is_refused_is_refused_with_why(name: str, typed: Any, said: str) -> None:
    assert said in refused(name, typed)


EVERYWHERE = [
    "", " ", "\t", "\n", "\x00", "-", "--", "-rf", "--now", "-", "\ufeff", "\u200b",
    "{}\n", "{}\r", "{}\r\n", "{}\nreboot", "\n{}", "{}\x00", "{}\x00.txt", "\x00{}", "{}\x1b[2J", "{}\x07", "{}\x08",
    "{}\x7f", "{}\x85", "{}\x0b", "{}\x0c", "{}\u2028reboot", "{}\u2029", " {}", "{} ", "\t{}", "{}\t", "{}\u00a0",
    "\u00a0{}", "{}\u3000", "{}\u202f", "{}\u2003", "{}\u202e", "\u202e{}", "{}\u202dx", "{}\u2066x\u2069",
    "{}\u200b", "{}\u200cx",
    "{}\u200d", "{}\u200e", "{}\u200f", "{}\u2060", "{}\u00ad", "{}\ufeff", "{}\u034f", "{}\u115f", "{}\u3164",
    "{}\uffa0", "{}\u2800", "{}\ufe0f", "{}\U000e0041", "{}\U000e0100", "{}\ue000", "{}\ud800", "{}\udfff", "{}\uffff",
    "-{}", "--{}", "-o{}", "--x={}", "-\t{}", "\u2212\u200b{}",
]  # fmt: skip
"""No type takes these; `{}` is a good value. (`-` in front is what `Text` alone takes.)"""
SHELL = [
    "{};reboot", "{} ; reboot", "{}|sh", "{}||reboot", "{}&", "{}&&reboot", "{}$(reboot)", "$({})", "{}`reboot`",
    "`{}`",
    "{}$HOME", "{}${{IFS}}x", "${{x:-{}}}", "{}>x", "{}>>x", "{}<x", "{}<(id)", "{}>&2", "({})", "{}(", "{})",
    "{{{},x}}",
    "{}{{1..9}}", "{}*", "*{}", "{}?", "{}[a-z]", "{}!", "!{}", "{}!!", "{}#", "# {}", "{} #", "'{}'", "{}'", "\"{}\"",
    "{}\"", "{}'\"'\"'", "{}\\", "\\{}", "{}\\n", "{}\\x0a", "{}\\u000a", "{}$'\\n'", "{}$((1+1))", "{}^x", "~{}",
    "{} -rf /",
    "{} --now", "{} && rm -rf /", "{}\\;reboot", "{}%0areboot", "{}%00", "{}%20x", "%{}", "{}%s%n", "{}\\0", "{}@{{u}}",
    "<{}>", "{}<@U1>", "<!here>{}", "{}&amp;", "{{{{{}}}}}", "{}{{0}}", "{}${{jndi:x}}",
]  # fmt: skip
PATHS = [
    "../{}", "../../etc/passwd", "{}/..", "{}/../..", "{}/../../etc/shadow", "./{}", "{}/./x", "{}//x", "//{}",
    "{}/..;/x",
    "..\\{}", "{}\\..\\x", "%2e%2e/{}", "%2e%2e%2f{}", "..%2f{}", "..%5c{}", "%252e%252e%252f{}", "..%c0%af{}",
    "%c0%ae%c0%ae/{}",
    "..;/{}", "~/{}", "~root/{}", "~", "~+", "~-", "$HOME/{}", "${{HOME}}/{}", "file:///{}", "\\\\host\\{}", "C:\\{}",
    "/proc/self/../{}", ".../{}", "{}/%2e%2e/x", "{}/．．/x", "{}／..", "{}∕x", "{}⁄x",
]  # fmt: skip
LOOKALIKES = [
    "{}１", "ａ{}", "{}ａ", "{}\u0430", "{}\u03bf", "{}\u0131", "{}\u017f", "{}\u212a", "{}é", "{}e\u0301", "{}ß",
    "{}\u0660", "{}²",
    "{}①", "{}Ⅳ", "{}𝟙", "{}𝐚", "\uff0d{}", "\u2014{}", "\u2013{}", "\u2212{}", "\u2010{}", "\ufe63{}", "{}\u2024x",
    "{}\uff0ex", "{}\uff20x",
    "{}\uff1breboot", "{}\uff5csh", "{}\uff04(id)", "{}\u037ex", "{}😀", "{}“x”", "{}’x",
]  # fmt: skip
NUMERALS = [
    "１２", "٣", "1e3", "1E3", "0x10", "0b1", "0o7", "010", "+5", "++5", "--5", "5-", "1_000", "1,000", "1.000,5",
    "5 5", "5.", ".5", "5..5",
    "five", "NaN", "Infinity", "-inf", "1/2", "5j", "5L", "5u", "\u00bd", "5\u0660", "9" * 40, "9" * 5000, "5;",
    "5$(id)", "0" * 30,
    "١٢", "1\u200b2", "0x", "1e", "e1", "True", "None", "null", "[5]", "{5}", "5\\n", "'5'", '"5"', "`5`", "$5",
    "~5", "5*", "5?", "<5",
]  # fmt: skip
GOOD = {
    "service": "nginx", "path": "/var/log", "host": "web-01", "address": "web-01", "user": "deploy", "word": "release",
    "text": "a text", "command": "df -h", "glob": "*.log", "pattern": "ERROR", "pid": "4711", "port": "443",
    "percent": "85", "url": "http://web-01/health",
    "size": "100M", "length": "90s", "plain": "nginx", "number": "5", "negative": "5", "share": "0.5", "really": "yes",
    "colour": "red", "either": "this",
}  # fmt: skip
TAKEN = {"path": {"{} --now", "{} -rf /"}}
"""A path may have spaces in it; what looks like an option is still the same word."""


def hostile(name: str, *tables: Sequence[str]) -> list[str]:
    """The tables, made of a good value of this type."""
    forms = dict.fromkeys(form for table in tables for form in table if form not in TAKEN.get(name, ()))
    return [form.format(GOOD[name]) if "{}" in form or "{{" in form else form for form in forms]


def got_in(name: str, values: Sequence[str]) -> dict[str, Any]:
    """Which of these passed the door; every refusal is looked at by `refused`."""
    found: dict[str, Any] = {}
    for value in values:
        try:
            found[value] = getattr(bind(ENTRY, [], {name: value}), name)
        except Invalid:
            assert_said_well(name, value)
    return found


JARGON = re.compile(
    r"input should|value error|validation|pydantic|assertion|traceback|type=|\bstr\b|\bint\b", re.IGNORECASE
)


def assert_said_well(name: str, value: Any) -> None:
    """A refusal names the parameter, shows the value shortened, hides nothing, and has no jargon."""
    said = refused(name, value)
    assert not JARGON.search(said.replace(shown(value), "")), said
    assert not any(map(is_hidden, said)), said
    assert len(said) < 400, said
    assert "<@" not in said
    assert "<!" not in said


@pytest.mark.parametrize("name", KINDS)
def test_no_type_takes_what_hides_breaks_the_line_or_starts_with_a_dash(name: str) -> None:
    values = [value for value in hostile(name, EVERYWHERE) if not (name == "text" and value.startswith("-"))]
    if name == "negative":
        values = [value for value in values if value != "-5"]
    assert got_in(name, values) == {}


@pytest.mark.parametrize("name", [name for name in KINDS if name not in LOOSE])
def test_no_strict_type_takes_shell_text_paths_or_look_alikes(name: str) -> None:
    values = hostile(name, SHELL, PATHS, LOOKALIKES)
    assert len(values) > 120
    assert got_in(name, values) == {}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_plain_digits(name: str) -> None:
    assert got_in(name, hostile(name, NUMERALS)) == {}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("value", [[], ["nginx"], {}, {"a": 1}, (), b"nginx", object(), timedelta(5), 1.5, 5j])
def test_what_is_neither_text_nor_of_its_type_is_refused(name: str, value: Any) -> None:
    if name == "share" and value == 1.5:
        assert let_in(name, value) == 1.5
    else:
        assert_said_well(name, value)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "really"])
def test_yes_is_no_number_and_no_text(name: str) -> None:
    assert_said_well(name, True)
    assert_said_well(name, False)


@pytest.mark.parametrize("name", [name for name in KINDS if name not in NUMBERS])
def test_a_number_is_no_text(name: str) -> None:
    assert_said_well(name, 5)


@pytest.mark.parametrize("name", ["service", "pid", "plain", "number", "really", "colour"])
def test_nothing_is_no_value_where_one_is_asked_for(name: str) -> None:
    kinds = {"service": ServiceName, "pid": Pid, "plain": str, "number": int, "really": bool, "colour": Colour}
    made: Any = type("Asks", (Parameters,), {"__annotations__": {name: kinds[name]}})
    with pytest.raises(ValidationError) as error:
        made.model_validate({name: None})
    assert "it needs a value" in what_is_wrong(made, error.value, {})[0]
    assert let_in(name, None) is None


def test_a_long_value_is_shown_shortened_and_a_hidden_one_spelled_out() -> None:
    assert f"'{'x' * 60}…' is not" in refused("plain", "x" * 5000)
    assert r"'a\u202eb' is not a usable value: it holds a hidden character (U+202E, right-to-left override)" in refused(
        "plain", "a\u202eb"
    )
    assert "'< @U1>'" in refused("service", "<@U1>")


# --- declaring --------------------------------------------------------------------------------------------------------


def test_parameters_do_not_change_and_unknown_ones_are_refused() -> None:
    found: Any = Show.Params.model_validate({"service": "nginx"})
    with pytest.raises(ValidationError, match="frozen"):
        found.service = "sshd"
    with pytest.raises(ValidationError) as error:
        Show.Params.model_validate({"servise": "nginx"})
    assert what_is_wrong(Show.Params, error.value, {}) == ["There is no parameter 'servise'."]


def declare(annotation: Any, default: Any = ...) -> type[Parameters]:
    """Parameters with one of this type."""
    body = {"__annotations__": {"it": annotation}} | ({} if default is ... else {"it": default})
    return type("Ours", (Parameters,), body)


@pytest.mark.parametrize(
    ("annotation", "default", "said"),
    [
        (ServiceName, "-H", "A default of Ours cannot be used: 'it': '-H' is not a unit name"),
        (int, -1, "'it': '-1' is not a whole number: it is below zero"),
        (Seconds, Field(400, le=300), "'it': '400' is too much: at most 300 seconds."),
        (list[str], ..., "which nobody can type safely"),
        (dict[str, str], ..., "which nobody can type safely"),
        (date, ..., "Ours.it is a date, which nobody can type safely"),
        (bytes, ..., "which nobody can type safely"),
        (Any, ..., "which nobody can type safely"),
        (int | str, ..., "which nobody can type safely"),
        (Literal["-f", "-n"], ..., "Ours.it offers '-f', which nobody can type as a value"),
        (Secret, ..., "Ours.it is a secret, which nobody may type: give it a default that names it."),
        (Secret, "a b", "'it': 'a b' is not"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_safely_is_refused_when_the_class_is_made(
    annotation: Any, default: Any, said: str
) -> None:
    with pytest.raises(DefinitionError, match=re.escape(said)):
        declare(annotation, default)


@pytest.mark.parametrize("name", ["deploy-token", "images/ops", "host/db-01/password", "a" * 200])
def test_a_secret_has_any_name_that_can_be_stored(name: str) -> None:
    made: Any = declare(Secret, name)
    assert made().it == checked_name(name)


@pytest.mark.parametrize("name", ["a b", "/ops", "images/../ops", "a:b", "a" * 201])
def test_a_secret_has_no_name_that_cannot_be_stored(name: str) -> None:
    with pytest.raises(DefinitionError, match=r"is not the name of a secret: it is words of letters|at most 200"):
        declare(Secret, name)


def test_a_pattern_of_an_author_holds_for_the_whole_value() -> None:
    made: Any = declare(Annotated[str, Field(pattern="[a-z]+|[0-9]+")])
    assert made.model_validate({"it": "abc"}).it == "abc"
    for typed in ("abc;reboot", "1a", "abc\n", "a b"):
        with pytest.raises(ValidationError):
            made.model_validate({"it": typed})


@pytest.mark.parametrize(
    ("annotation", "typed", "said"),
    [
        (Annotated[str, Field(min_length=3)], "ab", "'it': 'ab' is too short: at least 3 characters."),
        (Annotated[str, Field(max_length=3)], "abcd", "'it': 'abcd' is too long: at most 3 characters."),
        (Annotated[int, Field(gt=3)], "3", "'it': '3' is too little: more than 3."),
        (Annotated[float, Field(lt=1)], "1.5", "'it': '1.5' is too much: less than 1.0."),
        (Annotated[int, Field(multiple_of=5)], "3", "'it': '3' is not a multiple of 5."),
        (Annotated[Size, Field(le=2**20)], "2M", "'it': '2M' is too much: at most 1048576 bytes."),
        (Annotated[Percent, Field(ge=50)] | None, "7", "'it': '7' is too little: at least 50 %."),
    ],
)
def test_an_authors_bound_is_said_in_words(annotation: Any, typed: str, said: str) -> None:
    made = declare(annotation)
    with pytest.raises(ValidationError) as error:
        made.model_validate({"it": typed})
    assert what_is_wrong(made, error.value, {"it": typed}) == [said]


def test_an_author_may_narrow_a_type_or_bring_one() -> None:
    def even(value: int) -> int:
        if value % 2:
            raise ValueError(f"{value} is odd")
        return value

    made: Any = declare(Annotated[Port, AfterValidator(even)])
    assert made.model_validate({"it": "8080"}).it == 8080
    with pytest.raises(ValidationError) as error:
        made.model_validate({"it": "443"})
    assert what_is_wrong(made, error.value, {"it": "443"}) == ["'it': 443 is odd."]
    day: Any = declare(Annotated[date, BeforeValidator(date.fromisoformat)])
    assert day.model_validate({"it": "2026-11-20"}).it == date(2026, 11, 20)
    for typed in ("-2026-11-20", "2026-11-20\n", "２０２６-11-20"):
        with pytest.raises(ValidationError):
            day.model_validate({"it": typed})


class Deploy(Runbook):
    """Needs a secret."""

    name, danger = "deploy", Danger.LOW

    class Params(Parameters):
        """A version, and a token that nobody types."""

        version: Word = positional("which release")
        token: Secret = Field("deploy-token", description="to fetch it with")

    def plan(self, params: Params, facts: Facts) -> Plan:
        """One step."""
        return Plan(Run("Fetch", "fetch", params.version))


def test_a_secret_is_refused_on_a_command_line_with_the_next_move_and_without_being_shown() -> None:
    entry = catalog_with(Deploy).get("deploy")
    with pytest.raises(Invalid) as error:
        bind(entry, ["2.4"], {"token": "hunter2-hunter2"})
    said = error.value.message
    assert "hunter2" not in said
    assert said.startswith(
        "'token' is a secret, and what is typed stays in histories and logs. Leave it out: deploy knows it as "
        "'deploy-token'. If what you typed was real, change it now. Example: `/runbook deploy"
    )
    params: Any = bind(entry, ["2.4"], {})
    assert params.token == "deploy-token"
    assert bind(entry, [], params.model_dump(mode="json")) == params


# --- one value, one word ----------------------------------------------------------------------------------------------

ASCII = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
ANY = st.characters(exclude_categories=["Cs"])
LIKELY = {
    "service": st.from_regex(r"\A[a-z][a-z0-9:_.@\\x2d-]{0,12}\Z"),
    "path": st.from_regex(r"\A/[a-zA-Z0-9 ._@:+,=~/-]{0,16}\Z"),
    "host": st.from_regex(r"\A[a-zA-Z0-9.-]{1,12}\Z"),
    "address": st.ip_addresses().map(str) | st.from_regex(r"\A[a-z0-9.:-]{1,12}\Z"),
    "url": st.from_regex(r"\Ahttps?://[a-z0-9.-]{1,12}(:[0-9]{1,4})?(/[A-Za-z0-9._~/%?=&+-]{0,12})?\Z"),
    "user": st.from_regex(r"\A[a-z_][a-z0-9_.-]{0,8}\Z"),
    "word": st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.:@+-]{0,12}\Z"),
    "text": st.text(ANY, min_size=1, max_size=40),
    "command": st.text(ASCII, min_size=1, max_size=40),
    "glob": st.from_regex(r"\A[a-z .*?\[\]~-]{1,12}\Z"),
    "pattern": st.text(st.sampled_from("ab.*+?()[]{}|^$\\12,-\"'` "), min_size=1, max_size=20),
    "plain": st.text(ASCII, min_size=1, max_size=40),
    "pid": st.integers(-5, 5_000_000).map(str),
    "port": st.integers(-5, 70_000).map(str),
    "percent": st.from_regex(r"\A[0-9]{1,3}%?\Z"),
    "size": st.from_regex(r"\A[0-9]{1,4}(\.[0-9])?[KMGTkmgt]?i?[bB]?\Z"),
    "length": st.from_regex(r"\A([0-9]{1,3}h)?([0-9]{1,3}m)?([0-9]{1,4}s?)?\Z"),
    "number": st.integers(-5).map(str),
    "negative": st.integers(-25, 25).map(str),
    "share": st.floats(0, 1e6).map(lambda value: f"{value:.3f}"),
    "really": st.sampled_from(["yes", "NO", "on", "off"]),
    "colour": st.sampled_from(["red", "Light-blue", "blue"]),
    "either": st.sampled_from(["this", "that", "other"]),
}
PIECES = st.sampled_from(
    [
        form.format("x") if "{}" in form or "{{" in form else form
        for form in (*EVERYWHERE, *SHELL, *PATHS, *LOOKALIKES, *NUMERALS)
    ]
)
TYPED = st.sampled_from(KINDS).flatmap(
    lambda name: st.tuples(
        st.just(name), LIKELY[name] | LIKELY[name] | PIECES | st.tuples(LIKELY[name], PIECES).map("".join)
    )
)


def read_by(shell: str, line: str) -> list[str]:
    """What a real shell makes of the words after `printf -- '%s\\0'`."""
    a_part(shell, package=shell)
    done = subprocess.run([shell, "-c", line], capture_output=True, timeout=10, check=False)
    assert (done.returncode, done.stderr) == (0, b""), (line, done)
    return done.stdout.decode().split("\0")[:-1]


class Heard:
    """What the guard's reader says would be started."""

    def __init__(self) -> None:
        self.commands: list[Invocation] = []
        self.other: list[str] = []

    def command(self, reader: ShellReader, invocation: Invocation) -> None:
        """A command."""
        self.commands.append(invocation)

    def redirect(self, reader: ShellReader, operator: str, target: str, invocation: Invocation) -> None:
        """A file."""
        self.other.append(f"{operator}{target}")

    def assign(self, reader: ShellReader, name: str, value: str, invocation: Invocation) -> None:
        """A variable."""
        self.other.append(f"{name}={value}")

    def construct(self, reader: ShellReader, kind: str, span: tuple[int, int]) -> None:
        """A construct."""
        self.other.append(kind)


def read_by_the_guard(line: str) -> list[tuple[str, ...]]:
    """The commands that the guard's reader finds; nothing else may be in the line."""
    heard = Heard()
    ShellReader(heard).read(line, Env())
    assert [command.assigned for command in heard.commands] == [()] * len(heard.commands)
    return [command.argv for command in heard.commands]


def at_home(argv: Sequence[str]) -> list[tuple[str, ...]]:
    """The guard follows a `~` in front of a word even in quotes, to be careful; it is one word all the same."""
    return [tuple(_tilde(word) for word in argv)]


@FUZZ
@given(st.lists(TYPED, min_size=1, max_size=12))
@example([("text", "$(reboot)"), ("command", "a'b\"c`d`\\"), ("text", "größe '\"'\"' !! ~ * ${x} \\")])
@example([("text", "-n"), ("text", "--"), ("text", "-- -x"), ("negative", "-5")])
def test_whatever_is_let_in_is_one_word_to_every_shell_and_to_the_guard(typed: list[tuple[str, str]]) -> None:
    kept = []
    for name, value in typed:
        try:
            kept += words_of(Show.Params.model_validate({name: value}))
        except ValidationError:
            continue
    assume(kept)
    argv = Run("Say it", "printf", "--", "%s\\0", *kept).argv
    line = shell_line(argv)
    for shell in SHELLS:
        assert read_by(shell, line) == kept
    assert read_by_the_guard(line) == at_home(argv)
    assert read_by_the_guard(shell_line(argv, sudo=True)) == at_home(("sudo", "-n", *argv))


@FUZZ
@given(TYPED)
def test_whatever_is_let_in_keeps_the_rules_of_the_door(typed: tuple[str, str]) -> None:
    name, value = typed
    try:
        kept = let_in(name, value)
    except ValidationError:
        assert_said_well(name, value)
        return
    assert not any(map(is_hidden, value))
    assert value == value.strip()
    assert 0 < len(value) <= 1000
    assert not value.startswith("-") or name in {"text", "negative"}
    assert value.isascii() or name == "text"
    assert let_in(name, kept if not isinstance(kept, Enum) else kept.value) == kept
    if name == "path":
        assert os.path.normpath(kept) == kept
    if name == "pid":
        assert 1 < kept <= 4_194_304
    if name in {"service", "host", "address", "user", "word"}:
        assert not set(kept) & set(" \t/'\"`$;&|<>(){}[]*?!#~%,=")


QUOTED = TYPED.map(lambda typed: (typed[0], typed[1].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")))


def spelled(name: str, value: str) -> str:
    """As a careful person types it."""
    for mark in '"“”„‟″«»':
        value = value.replace(mark, "\\" + mark)
    return f'{name}="{value}"'


@FUZZ
@given(st.lists(QUOTED | TYPED, min_size=1, max_size=2, unique_by=lambda typed: typed[0]), st.booleans())
def test_from_the_typed_text_to_the_shell_nothing_is_ever_more_than_its_word(
    typed: list[tuple[str, str]], careful: bool
) -> None:
    spell = spelled if careful else "{}={}".format
    command = parse_runbook(f"show-all {' '.join(spell(name, value) for name, value in typed)} on web-01")
    if not isinstance(command, RunCommand) or command.runbook != "show-all":
        return
    planner = Planner(remote=FakeRemote(), guard=CommandGuard())
    try:
        params = bind(ENTRY, command.values, command.named)
        plan = asyncio.run(planner.make_plan(ENTRY, params, hosts("web-01").hosts))
    except OperatorError:
        return
    [step] = plan.hosts[0].steps
    assert isinstance(step, Run)
    line, said = shell_line(step.argv), words_of(params)
    assert list(step.argv[3:]) == said
    for shell in SHELLS:
        assert read_by(shell, line) == said
    assert read_by_the_guard(line) == at_home(step.argv)


@pytest.mark.parametrize(
    "value", [*hostile("text", SHELL, PATHS, LOOKALIKES), "-n", "--", "-e x", "a\\", "\\\\'", "''"]
)
def test_every_hostile_text_arrives_as_it_was_typed(value: str) -> None:
    kept = let_in("text", value)
    line = shell_line(("printf", "--", "%s\\0", kept, "end"))
    for shell in SHELLS:
        assert read_by(shell, line) == [value, "end"]
    assert read_by_the_guard(line) == at_home(("printf", "--", "%s\\0", value, "end"))


# --- no option, no pattern of our own ---------------------------------------------------------------------------------


class Note(Runbook):
    """Gives a text to commands in one way or another."""

    name, danger = "note", Danger.LOW
    steps: tuple[Step, ...] = ()

    class Params(Parameters):
        """A text that may start with a dash."""

        text: Text = positional("what to say")
        pattern: Pattern = "x"

    def plan(self, params: Params, facts: Facts) -> Plan:
        """What the test wants."""
        return Plan(*self.steps)


def planned(steps: Sequence[Step], text: str, **named: str) -> Plan:
    """Plan these steps for this text."""
    entry = catalog_with(Note).get("note")
    entry.runbook.steps = tuple(steps)  # type: ignore[attr-defined]
    planner = Planner(remote=FakeRemote(), guard=CommandGuard())
    plan = asyncio.run(planner.make_plan(entry, bind(entry, [text], named), hosts("web-01").hosts))
    return Plan(*plan.hosts[0].steps)


@pytest.mark.parametrize(
    "step",
    [
        Run("Log", "logger", "--file=/etc/shadow"),
        Run("Log", "logger", "-t", "x", "--file=/etc/shadow (by handrail)"),
        Run("Log", "true", undo=Run("Back", "logger", "--file=/etc/shadow")),
        Run("Log", "true", look=("logger", "--file=/etc/shadow")),
        Run("Log", "true", unless=Expect("Is it", "grep", "--file=/etc/shadow", "/tmp/x")),
        Require("Is it", "grep", "--file=/etc/shadow", "/tmp/x"),
        Expect("Is it", "grep", "--file=/etc/shadow", "/tmp/x"),
        Parallel("Both", Run("Log", "logger", "--file=/etc/shadow")),
    ],
)
def test_a_text_with_a_dash_is_never_an_option_of_the_command_it_is_given_to(step: Step) -> None:
    with pytest.raises(PlanningFailed, match=r"shadow.*' starts with a dash, and `(logger|grep)` could"):
        planned([step], "--file=/etc/shadow")
    assert planned([step], "hello").steps == (step,)


def test_a_text_with_a_dash_may_follow_two_dashes() -> None:
    step = Run("Log", "logger", "--", "-n: all is well")
    assert planned([step], "-n: all is well").steps == (step,)


async def test_a_probe_gives_no_text_with_a_dash_as_an_option_either() -> None:
    class Looks(Note):
        """Greps."""

        name = "looks"

        async def probe(self, host: Probe, params: Any) -> Facts:
            return Facts(found=await host.read("grep", "-c", params.text, "/var/log/syslog"))

    entry = catalog_with(Looks).get("looks")
    entry.runbook.steps = (Run("Log", "true"),)  # type: ignore[attr-defined]
    remote = FakeRemote(replies={"grep": Reply(out="1")})
    planner = Planner(remote=remote, guard=CommandGuard())
    with pytest.raises(PlanningFailed, match="'-f/etc/shadow' starts with a dash"):
        await planner.make_plan(entry, bind(entry, ["-f/etc/shadow"], {}), hosts("web-01").hosts)
    assert remote.count("grep") == 0
    await planner.make_plan(entry, bind(entry, ["error"], {}), hosts("web-01").hosts)
    assert remote.count("grep") == 1


def test_a_typed_pattern_is_not_searched_with_by_handrail_itself() -> None:
    greedy = "a.*b.*c"
    with pytest.raises(DefinitionError, match="searches with a typed pattern itself: give it to `grep -E` on the host"):
        planned([Expect("Is it", "uptime", pattern=f"^{greedy}$")], "x", pattern=greedy)
    step = Expect("Is it", "grep", "-E", "-e", greedy, "/var/log/syslog", pattern="^ok$")
    assert planned([step], "x", pattern=greedy).steps == (step,)


@pytest.mark.parametrize(
    ("argv", "fault"),
    [
        ((), "needs a command"),
        (("",), "not a program"),
        ((" ",), "not a program"),
        (("-x",), "not a program"),
        (("LD_PRELOAD=/tmp/x", "ls"), "not a program"),
        (("if",), "not a program"),
        (("time", "ls"), "not a program"),
        (("echo", "a\nb"), "line break"),
        (("echo", "a\rb"), "line break"),
        (("echo", "a\0b"), "NUL"),
        (("echo", "\ud800"), "half a character"),
        (("echo", 5), "each a string"),
        (("echo", None), "each a string"),
    ],
)
def test_words_that_are_no_command_never_become_shell_text(argv: Any, fault: str) -> None:
    assert fault in str(fault_of(argv))
    with pytest.raises(DefinitionError, match=fault):
        shell_line(argv)


@FUZZ
@given(st.lists(st.text(ANY, max_size=20), max_size=6))
def test_any_words_that_may_be_said_arrive_as_they_are(words: list[str]) -> None:
    argv = ("printf", "--", "%s\\0", "first", *words)
    if fault_of(argv) is not None:
        assert any(set("\0\n\r") & set(word) for word in words)
        return
    for shell in SHELLS:
        assert read_by(shell, shell_line(argv)) == ["first", *words]


# --- what the documentation says --------------------------------------------------------------------------------------

DOCS = Path(__file__).parents[2] / "docs" / "runbooks.md"
ROWS = re.findall(r"^\| `(\w+)`[^|]*\|([^|]*)\|([^|]*)\|$", DOCS.read_text(), re.MULTILINE)


def test_the_documentation_lists_every_type_with_examples_that_are_taken() -> None:
    documented = {name: re.findall(r"`([^`]+)`", examples) for name, _, examples in ROWS if name in runbooks.__all__}
    for name, examples in documented.items():
        if name == "Secret":
            continue
        made: Any = declare(getattr(runbooks, name))
        assert examples
        for typed in examples:
            made.model_validate({"it": typed})
    types = {name for name in runbooks.__all__ if hasattr(getattr(runbooks, name), "__metadata__")}
    assert types <= set(documented)


def test_hidden_characters_are_those_that_unicode_says_nobody_sees() -> None:
    assert all(is_hidden(chr(code)) for code in range(0x20))
    assert all(not is_hidden(chr(code)) for code in range(0x20, 0x7F))
    assert not any(is_hidden(char) for char in "éßжλ中😀€—“”")
    assert all(
        is_hidden(chr(code)) for code in range(0x110000) if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs"}
    )


def test_what_was_left_as_the_runbook_has_it_is_known_and_what_was_said_is_not_among_it() -> None:
    class Asked(Parameters):
        service: ServiceName = positional("unit")
        settle: Seconds = Field(5, description="how long")
        name: str = Field(default_factory=lambda: "*.log", description="which")

    assert unsaid(Asked(service="nginx")) == ("settle", "name")
    assert unsaid(Asked(service="nginx", settle=60, name="*.log")) == ("name",)
