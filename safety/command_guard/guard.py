"""The command guard: one parse, one verdict, before any connection.

A command is read by `shell`, every program it would start is unwrapped by `wrappers`, and what is left is asked of the
team's rules, the examiners of `programs`, the tables of `rules` and, if nothing stands against it, those of `routine`.
The strictest finding is the answer. What cannot be understood is refused; a program nobody knows needs approval.
"""

# Reasons stay whole sentences, tables whole rows.

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from itertools import pairwise

from safety.command_guard import code
from safety.command_guard.arguments import parse
from safety.command_guard.clusters import EXAMINERS as CLUSTER_EXAMINERS
from safety.command_guard.code import Language
from safety.command_guard.paths import Zone, normalised, zone
from safety.command_guard.patterns import matches, programs, takes_subcommand
from safety.command_guard.places import names
from safety.command_guard.policy import DEFAULT_POLICY, GuardPolicy
from safety.command_guard.programs import ENDLESS, EXAMINERS, Case, arriving, reading, writing
from safety.command_guard.routine import READ_ONLY, ROUTINE
from safety.command_guard.rules import (
    DANGEROUS_SETTINGS,
    DESTRUCTIVE_VERBS,
    DRY_RUNS,
    HARMLESS_PAGERS,
    RULES,
    Rule,
)
from safety.command_guard.shell import (
    MAX_LENGTH,
    Env,
    Feed,
    Invocation,
    ShellReader,
    Unreadable,
    printed_paths,
)
from safety.command_guard.telling import Telling
from safety.command_guard.values import (
    FIRST_ORIGIN,
    HOME,
    UNKNOWN,
    as_typed,
    has_glob,
    has_unknown,
    is_private,
    origins,
    shown,
)
from safety.command_guard.verdicts import Finding, Judgement, Severity, allow, ask, refuse
from safety.command_guard.wrappers import SHELLS, Inner, after_options, is_old, opens_shell, unwrap

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_BIN = re.compile(
    r"/(usr/)?(local/)?s?bin|/usr/lib(exec)?(/\S*)?|/snap/bin|/opt/\S+/s?bin|/usr/games|"
    r"/usr/local/\S+/s?bin|/lib(64)?|/usr/lib64"
)
_NETWORK = frozenset(
    names(
        """
    curl wget fetch nc ncat netcat socat aria2c lynx w3m links http https xh ftp tftp scp ssh dig openssl
    telnet nslookup host
    """
    )
)
_DECODERS = frozenset(
    names(
        """
    base64 base32 basenc xxd openssl gpg uudecode rev tr gunzip zcat gzip bzcat xzcat od hexdump
    """
    )
)

_UNPACKERS = frozenset({"gunzip", "zcat", "gzip", "bzcat", "xzcat"})

LANGUAGES: dict[str, tuple[Language, tuple[str, ...]]] = {
    "python": (code.PYTHON, ("-c",)),
    "pypy": (code.PYTHON, ("-c",)),
    "ipython": (code.PYTHON, ("-c",)),
    "perl": (code.PERL, ("-e", "-E")),
    "ruby": (code.RUBY, ("-e",)),
    "jruby": (code.RUBY, ("-e",)),
    "node": (code.NODE, ("-e", "-p", "--eval", "--print", "-pe")),
    "nodejs": (code.NODE, ("-e", "-p", "--eval", "--print", "-pe")),
    "deno": (code.NODE, ("eval",)),
    "bun": (code.NODE, ("-e", "--eval")),
    "php": (code.PHP, ("-r", "-B", "-R", "-E")),
    "lua": (code.LUA, ("-e",)),
    "luajit": (code.LUA, ("-e",)),
    "tclsh": (code.TCL, ("-c",)),
    "expect": (code.TCL, ("-c",)),
}
"""Interpreters, and the options after which code stands."""

_AWKS = frozenset({"awk", "gawk", "mawk", "nawk", "original-awk"})
_EDITORS = frozenset(
    names(
        """
    vi vim nvim view ex ed red emacs nano pico joe mcedit rvim vimdiff less more man info ftp lldb dc bc irb
    iex ghci scala groovy jshell R Rscript julia octave gnuplot m4 guile racket sbcl clisp erl elixir swift
    kotlin dotnet go rustc gcc cc make cmake gmake ninja ant mvn gradle rake scons just task csc tcc
    xcodebuild
    """
    )
)
_SQL = {
    "psql": ("-c", "--command"),
    "mysql": ("-e", "--execute"),
    "mariadb": ("-e", "--execute"),
    "clickhouse-client": ("-q", "--query"),
    "cqlsh": ("-e", "--execute"),
    "sqlcmd": ("-Q", "-q"),
    "duckdb": ("-c",),
    "cockroach": ("-e", "--execute"),
    "pgcli": ("-c",),
    "mycli": ("-e",),
    "isql": (),
    "vsql": ("-c",),
    "trino": ("--execute",),
    "presto": ("--execute",),
    "snowsql": ("-q",),
    "hive": ("-e",),
    "impala-shell": ("-q",),
    "beeline": ("-e",),
    "influx": ("-execute", "--execute"),
    "spark-sql": ("-e",),
    "sqlplus": (),
    "rman": (),
    "db2": (),
    "hbase": (),
    "bteq": (),
    "mclient": ("-s",),
    "osql": ("-Q", "-q"),
    "usql": ("-c",),
    "litecli": ("-e",),
    "mssql-cli": ("-Q",),
    "q": (),
    "yugabyte": (),
    "ysqlsh": ("-c",),
    "ycqlsh": ("-e",),
    "taos": ("-s",),
    "ksql": ("-e",),
    "drill-localhost": (),
}


@dataclass(frozen=True, kw_only=True)
class _Rules:
    """The tables, by program name: exact names and globs."""

    exact: dict[str, tuple[tuple[Rule, str], ...]]
    globs: tuple[tuple[str, Rule, str], ...]

    def about(self, name: str) -> Iterator[tuple[Rule, str]]:
        """Rules and patterns that speak about a program."""
        yield from self.exact.get(name, ())
        for glob, rule, pattern in self.globs:
            if fnmatchcase(name, glob):
                yield rule, pattern


def _indexed(rules: Iterable[Rule]) -> _Rules:
    exact: dict[str, list[tuple[Rule, str]]] = {}
    globs: list[tuple[str, Rule, str]] = []
    for rule in rules:
        for pattern in rule.patterns:
            for name in programs(pattern):
                if "*" in name:
                    globs.append((name, rule, pattern))
                else:
                    exact.setdefault(name, []).append((rule, pattern))
    return _Rules(exact={name: tuple(found) for name, found in exact.items()}, globs=tuple(globs))


def _allowing(id: str, patterns: tuple[str, ...]) -> Rule:
    return Rule(id=id, severity=Severity.ALLOW, reason="", patterns=patterns)


@cache
def _tables() -> tuple[_Rules, _Rules, _Rules, _Rules]:
    return (
        _indexed(RULES),
        _indexed([_allowing("routine.read", READ_ONLY)]),
        _indexed([_allowing("routine.change", ROUTINE)]),
        _indexed([_allowing("routine.dry-run", DRY_RUNS)]),
    )


KNOWN = 1_000
"""Judgements kept in memory."""
LONGEST_KNOWN = 2_000
"""Characters of a command whose judgement is."""


class CommandGuard:
    """Judges the final shell text that would reach a host. It reads nothing but its arguments and never raises."""

    def __init__(self, policy: GuardPolicy = DEFAULT_POLICY) -> None:
        self._policy = policy
        # The same runbooks send the same commands again and again, and a judgement depends on nothing else.
        self._known = lru_cache(maxsize=KNOWN)(self._judge_anew)
        self._known_looks = lru_cache(maxsize=KNOWN)(self._look_anew)

    def judge(self, command: str, *, tags: frozenset[str] = frozenset()) -> Judgement:
        """May this run on a host with these tags?"""
        for exception in self._policy.exceptions:
            if exception.covers(command, tags) and not _at_the_door(command):
                return Judgement(
                    command=command,
                    verdict=Severity.ALLOW,
                    rule="team.exception",
                    reason=f"Allowed by the team's exception '{exception.name}'.",
                    span=None,
                    exception=exception.name,
                )
        return self._judged(command, tags, read_only=False)

    def judge_read_only(self, command: str, *, tags: frozenset[str] = frozenset()) -> Judgement:
        """Does this only read? Allowed or refused, never a question; the team's exceptions do not count."""
        judgement = self._judged(command, tags, read_only=True)
        if judgement.verdict is Severity.APPROVE:
            return replace(judgement, verdict=Severity.REFUSE)
        return judgement

    def only_looks(self, command: str, *, tags: frozenset[str] = frozenset()) -> bool:
        """Whether it may run as soon as somebody types it: it only reads, and carries nothing away."""
        look = self._known_looks if len(command) <= LONGEST_KNOWN else self._look_anew
        return look(command, tags)

    def _judged(self, command: str, tags: frozenset[str], *, read_only: bool) -> Judgement:
        judge = self._known if len(command) <= LONGEST_KNOWN else self._judge_anew
        return judge(command, tags, read_only)

    def _judge_anew(self, command: str, tags: frozenset[str], read_only: bool) -> Judgement:
        return _read(command, _Judge(policy=self._policy, tags=tags, read_only=read_only))

    def _look_anew(self, command: str, tags: frozenset[str]) -> bool:
        telling = Telling()
        judgement = _read(command, _Judge(policy=self._policy, tags=tags, read_only=True, telling=telling))
        return judgement.verdict is Severity.ALLOW and not telling.too_much


def _read(command: str, judge: "_Judge") -> Judgement:
    """The judgement of one reading, of which everything the judge gathers is then there too."""
    door = _at_the_door(command)
    if door is not None:
        return _judgement(command, [door])
    if _HIDDEN_START.search(command):
        said = "A line starts with a backslash, and what follows would be read in two ways. Leave that out."
        return _judgement(command, [refuse("guard.hidden-start", said)])
    reader = ShellReader(judge)
    try:
        env = Env()
        reader.read(command, env)
        for name, value in env.variables.items():
            judge._trap_changed(reader, name, value, (0, 0))
        if judge.telling is not None:
            judge.telling.read(command, expands=reader.expands)
    except Unreadable as unreadable:
        reader.findings.append(unreadable.finding)
    except Exception:  # the door a broken guard closes: whatever a hostile text breaks, the text does not run
        reader.findings.append(refuse("guard.broken", "The guard could not finish reading this. Write it plainly."))
    return _judgement(command, reader.findings)


# tree-sitter-bash takes a line break with a backslash after it for white space: the command behind it is not seen.
_HIDDEN_START = re.compile(r"[\r\n]\s*\\")


def _at_the_door(command: str) -> Finding | None:
    if len(command) > MAX_LENGTH:
        return refuse("guard.too-long", f"A command may have {MAX_LENGTH:,} characters; this one has {len(command):,}.")
    if not command.strip():
        return refuse("guard.empty", "There is no command.")
    hidden = _HIDDEN.search(command)
    if hidden or any(is_private(char) for char in command):
        return refuse("guard.hidden", "The text holds characters nobody can see or that turn the reading direction.")
    return None


def _judgement(command: str, findings: list[Finding]) -> Judgement:
    worst = max(findings, key=lambda finding: finding.severity.rank, default=allow("routine.nothing", "Nothing runs."))
    return Judgement(
        command=command,
        verdict=worst.severity,
        rule=worst.rule,
        reason=worst.reason,
        span=_characters(command, worst.span) if worst.severity is not Severity.ALLOW else None,
        exception=worst.exception,
    )


def _characters(command: str, span: tuple[int, int]) -> tuple[int, int] | None:
    if span == (0, 0):
        return None
    if command.isascii():
        return span
    data = command.encode()
    return len(data[: span[0]].decode(errors="ignore")), len(data[: span[1]].decode(errors="ignore"))


@dataclass
class _Judge:
    """Told of every command by the reader; reports what it finds, and tells `telling` if there is one."""

    policy: GuardPolicy
    tags: frozenset[str]
    read_only: bool
    telling: Telling | None = None
    nesting: int = 0
    traps: list[tuple[str, Env]] = field(default_factory=list)

    # what the reader tells

    def redirect(self, reader: ShellReader, operator: str, target: str, invocation: Invocation) -> None:
        """A file is opened by the shell."""
        target = invocation.env.disk.followed(target, invocation.env.cwd)
        if self.telling is not None:
            self.telling.opened(operator, target)
        case = self._case(">" if ">" in operator else "<", (), invocation, reader)
        where = zone(target, invocation.env.cwd)
        if ">" not in operator:
            findings: list[Finding] = list(reading(case, [target]))
            if (
                re.fullmatch(r"/dev/(tcp|udp)/[\w.-]+/\d+", as_typed(target))
                and not invocation.argv
                and operator == "<"
            ):
                findings.append(allow("network.probe"))
            elif where is Zone.DEVICE:
                findings.append(
                    refuse("exfiltration.socket", f"`< {shown(target)}` reads from a device or the network.")
                )
        elif (
            re.fullmatch(r"/dev/(tcp|udp)/[\w.-]+/\d+", as_typed(target))
            and operator == ">"
            and _says_nothing(invocation)
        ):
            findings = [allow("network.probe")]
        elif has_glob(target):
            findings = [refuse("paths.unknown", "A redirection to whatever a pattern finds. Write the path.")]
        else:
            if where is not Zone.SINK and _never_ends(invocation):
                reader.report(
                    refuse("process.endless", f"`> {shown(target)}` of a source that never ends fills the disk."),
                    invocation.span,
                )
            program = as_typed(invocation.argv[0]) if invocation.argv else ":"
            passes_on = program == "cat" and set(invocation.feed.producers) - {("cat", "/dev/null"), ("?",)}
            fills = program not in _EMPTY_HANDED or bool(passes_on)
            findings = [writing(case, target, append=">>" in operator, what="fills" if fills else "overwrites")]
            if where is Zone.LOG and ">>" not in operator and _sifted(invocation, program):
                findings.append(
                    refuse("logs.rewrite", f"`> {shown(target)}` writes a log anew, with what was left in it.")
                )
            if self.read_only and where is not Zone.SINK:
                findings = [
                    refuse("read-only.redirect", f"`> {shown(target)}` writes a file, and this must only read.")
                ]
        for finding in findings:
            reader.report(finding, invocation.span)

    def assign(self, reader: ShellReader, name: str, value: str, invocation: Invocation) -> None:
        """A variable is set."""
        self._trap_changed(reader, name, value, invocation.span)
        if any(fnmatchcase(name, pattern) for pattern in DANGEROUS_SETTINGS) and (
            name.startswith("HIST") or as_typed(value) not in HARMLESS_PAGERS
        ):
            reason = f"`{shown(name)}` makes later programs run something else, or hides what ran."
            reader.report(refuse("shell.setting", reason), invocation.span)
        elif name == "PATH" and not _plain_path(value):
            reader.report(
                refuse("shell.path", "A changed PATH makes every later word mean another program."), invocation.span
            )

    def _trap_changed(self, reader: ShellReader, name: str, value: str, span: tuple[int, int]) -> None:
        """A trap runs at the end, with what its variables hold then; it was judged with what they held before."""
        for text, env in self.traps:
            if re.search(rf"\$\{{?{re.escape(name)}\b", text) and env.variables.get(name) not in (None, value):
                reader.report(refuse("shell.trap", f"`{shown(name)}` changes after a trap was set that uses it."), span)

    def construct(self, reader: ShellReader, kind: str, span: tuple[int, int]) -> None:
        """A function is defined; its body was judged where it stands."""
        if self.read_only:
            reader.report(refuse("read-only.function", "A function has no place in a command that only reads."), span)

    def command(self, reader: ShellReader, invocation: Invocation) -> None:
        """A program starts."""
        for finding in self._findings(reader, invocation):
            reader.report(finding, invocation.span)

    # one command

    def _findings(self, reader: ShellReader, invocation: Invocation) -> Iterator[Finding]:
        reader.count(invocation.span, len(invocation.argv))
        self.nesting += 1
        try:
            if self.nesting > 24:
                yield refuse("guard.too-deep", "Too many commands inside commands to read. Write it plainly.")
                return
            yield from self._program(reader, invocation)
        finally:
            self.nesting -= 1

    def _program(self, reader: ShellReader, invocation: Invocation) -> Iterator[Finding]:
        word = invocation.argv[0]
        typed = as_typed(word)
        if invocation.env.disk.links:
            itself = typed.rsplit("/", 1)[-1] not in _ABOUT_LINKS
            argv = tuple(_followed(invocation.env, word, itself=itself) for word in invocation.argv[1:])
            invocation = replace(invocation, argv=(word, *argv))
        if re.search(r"[\s;|&$`'\"]", typed) and not typed.startswith("/"):
            yield refuse("guard.unknown-command", f"No program is called `{shown(typed)}`. Write the command out.")
            return
        if has_unknown(word):
            yield refuse(
                "guard.unknown-command", "What runs here stands only in a variable or an output. Write the command out."
            )
            return
        if has_glob(word) and typed != "[":
            yield refuse(
                "guard.unknown-command", f"`{shown(word)}` runs whatever file the pattern finds. Write its name."
            )
            return
        if typed in ("{", "}", "") or (
            any(as_typed(w) in ("{", "}") for w in invocation.argv[1:]) and typed in ("time", "coproc")
        ):
            yield refuse("guard.unread-construct", "A group in a place the guard does not read. Write it plainly.")
            return
        name, standard = _program_name(typed, invocation.env.cwd)
        if "/" in typed and invocation.env.disk.holds_fetched(typed, invocation.env.cwd):
            yield refuse("code.foreign", f"`{shown(typed)}` was fetched a moment ago, and nobody has looked at it.")
        if not standard and zone(typed, invocation.env.cwd) in (Zone.SCRATCH, Zone.DEVICE):
            yield refuse("code.scratch", f"`{shown(typed)}` lies where everybody may write. Put it in its place first.")
        if standard and typed.startswith("/opt/") and name in _GENERIC_NAMES:
            standard = False  # a team's own program that happens to be called like a known one
        if name == "service" and "/init.d/" in typed:
            argv = ("service", typed.rsplit("/", 1)[-1], *invocation.argv[1:])
            yield from self._named(reader, replace(invocation, argv=argv), name, standard=True)
            return
        if typed in invocation.env.functions:
            yield allow("shell.function")
            return
        yield from self._named(reader, replace(invocation, argv=(name, *invocation.argv[1:])), name, standard=standard)

    def _named(self, reader: ShellReader, invocation: Invocation, name: str, *, standard: bool) -> Iterator[Finding]:
        case = self._case(name, invocation.argv[1:], invocation, reader)
        if self.telling is not None:
            self.telling.started(case)
        findings = list(self._team(case))
        inner = list(self._inner(reader, invocation, name))
        findings += inner
        examiner = EXAMINERS.get(name) or CLUSTER_EXAMINERS.get(name)
        helps = _asks_for_help(case)
        examined = list(examiner(case)) if examiner is not None and not helps else []
        spoken = _by_rules(case)
        if name in _ANSWERING and examined and all(f.severity is Severity.ALLOW for f in examined):
            # The examiner has looked at what it is told; the table only knows that it changes something.
            spoken = [f for f in spoken if f.severity is not Severity.APPROVE]
        findings += examined + spoken
        if examiner is None and not inner and not any(f.severity is Severity.REFUSE for f in findings):
            verb = _verb(case) if self._may_mean_harm(case, spoken) else None
            if verb is not None:
                findings.append(
                    refuse("verbs.destructive", f"`{shown(name)} {shown(verb)}` sounds like something nobody can undo.")
                )
        findings += [*_said_anywhere(case), *_files_of_options(case)]
        yield from findings
        if name in _BUILDS:
            yield from _builds_fetched(case)
        if name in _RUNS_CODE and not (name in SHELLS and any(re.fullmatch(r"-\w*c", w) for w in invocation.argv[1:4])):
            for operand in case.arguments.operands[:4]:
                if _FOREIGN.search(as_typed(operand)[:300]):
                    yield refuse(
                        "code.foreign", f"`{shown(name)}` would run `{shown(operand)}`, which comes from the network."
                    )
        self._shell_state(invocation, name)
        _disk_state(invocation, case)
        known = bool(findings) or self._routine(case)
        worst = max((f.severity.rank for f in findings), default=0)
        if not known or (worst == Severity.APPROVE.rank and any(f.rule in _MAY_HIDE for f in findings)):
            yield from self._hidden(reader, invocation, name)
        if self.read_only:
            yield from self._only_reads(case, wrapped=bool(inner) or name in ("sudo",))
            if any(finding.rule == "databases.care" for finding in findings):
                yield refuse("read-only.care", "It keeps a database healthy, and this must only read.")
        if not standard:
            yield ask(
                "guard.unknown-program",
                f"`{shown(name)}` is not where programs of this name live. A person must look at it.",
            )
        elif known and not findings:
            yield allow("routine.known")
        elif not known:
            yield from self._stranger(reader, invocation, name)

    def _case(self, name: str, words: tuple[str, ...], invocation: Invocation, reader: ShellReader) -> Case:
        def sources(word: str) -> tuple[tuple[str, ...], ...]:
            index = ord(word) - FIRST_ORIGIN
            return reader.sources[index] if 0 <= index < len(reader.sources) else ()

        while name == "git" and len(words) > 2 and words[0] == "-C":
            words = words[2:]
        return Case(arguments=parse(name, words), words=words, invocation=invocation, sources=sources)

    def _team(self, case: Case) -> Iterator[Finding]:
        for rule in self.policy.rules:
            if (
                fnmatchcase(case.program, rule.program)
                and (not rule.tags or rule.tags & self.tags)
                and all(case.arguments.has(option) for option in rule.options)
                and all(any(fnmatchcase(as_typed(o), p) for o in case.arguments.operands) for p in rule.operands)
            ):
                yield Finding(severity=rule.verdict, rule=f"team.{rule.name}", reason=rule.reason)

    def _routine(self, case: Case) -> bool:
        _, reads, changes, _ = _tables()
        return any(
            matches(pattern, case.arguments, cautious=False)
            for table in (reads, changes)
            for _, pattern in table.about(case.program)
        )

    def _may_mean_harm(self, case: Case, spoken: list[Finding]) -> bool:
        """Whether a destructive verb among its words is a sub-command: not text, names or help that it reads."""
        if any(f.rule in ("packages.install", "routine.dry-run") for f in spoken) or _asks_for_help(case):
            return False
        if {"can-i", "help", "explain", "man", "plan"} & {as_typed(o) for o in case.arguments.operands[:2]}:
            return False
        if any(finding.severity is Severity.APPROVE for finding in spoken):
            return True
        _, reads, changes, _ = _tables()
        rows = [
            pattern
            for table in (reads, changes)
            for _, pattern in table.about(case.program)
            if matches(pattern, case.arguments, cautious=False)
        ]
        # A row that names no sub-command is about a program whose operands are files, names or text.
        return all(takes_subcommand(row) for row in rows)

    def _only_reads(self, case: Case, *, wrapped: bool) -> Iterator[Finding]:
        _, reads, _, _ = _tables()
        writes = case.program == "curl" and any(
            value is None or zone(value, case.cwd) is not Zone.SINK
            for name, value in case.arguments.options
            if name in ("-o", "--output") and value != "-"
        )
        if writes or (case.program in ("uniq", "xxd") and len(case.arguments.operands) > 1):
            yield refuse("read-only.output", f"`{case.program}` writes a file, and this must only read.")
        if wrapped and _wraps_reading(case):
            return
        if not any(matches(pattern, case.arguments, cautious=False) for _, pattern in reads.about(case.program)):
            if case.program in _CODE_READERS:
                return
            yield refuse(
                "read-only.unknown", f"`{shown(case.program)}` with these arguments is not known to only read."
            )

    def _stranger(self, reader: ShellReader, invocation: Invocation, name: str) -> Iterator[Finding]:
        """A program in no table: a person must look, unless one of its words makes a command that is refused."""
        for operand in invocation.argv[1:12]:
            typed = as_typed(operand).rpartition("=")[2]
            if re.match(
                r"/dev/(sd|hd|vd|xvd|nvme|mmcblk|md|dm-|mapper/|disk/|loop|nbd|sg|mtd|zd|ram|rbd|bcache|drbd|ada|"
                r"da\d|[\w-]*vg[\w-]*/)",
                typed,
            ):
                yield refuse(
                    "paths.device",
                    f"`{shown(name)}` on the disk `{shown(typed)}`: the guard does not know what it does there.",
                )
        yield ask(
            "guard.unknown-program",
            f"The guard does not know what `{shown(name)}` does with these words. A person must look at it.",
        )
        if self.nesting > 4:
            return
        for index in range(1, min(len(invocation.argv), 8)):
            word = as_typed(invocation.argv[index])
            if has_unknown(invocation.argv[index]) or _program_name(word, None)[0] not in _DELEGATED:
                continue
            tail = replace(invocation, argv=invocation.argv[index:])
            for finding in self._findings(reader, tail):
                if finding.severity is Severity.REFUSE:
                    yield refuse(finding.rule, f"`{shown(name)}` would be handed a command. {finding.reason}")

    def _hidden(self, reader: ShellReader, invocation: Invocation, name: str) -> Iterator[Finding]:
        """A program nobody can vouch for is handed text: if that begins like a command that is refused, so is this."""
        if self.nesting > 4 or name in ("git", "curl", "logger"):
            return
        for line in (invocation.feed.text or "").splitlines()[:200]:
            said = line.split()
            if said and said[0].lower().strip(";") in DESTRUCTIVE_VERBS and "<<<" not in said:
                yield refuse("verbs.destructive", f"`{shown(name)}` is told to `{shown(line.strip())}`.")
                return
        texts = [as_typed(word) for word in invocation.argv[1:20] if not has_unknown(word)]
        texts += [invocation.feed.text] if invocation.feed.text else []
        for text in texts:
            called = re.search(r"[\w)\]](\.|::|->)(delete|destroy|truncate|drop|purge|remove)\w*", text)
            if called:
                yield refuse("verbs.destructive", f"`{shown(name)}` is handed code that calls `{shown(called[0])}`.")
                return
        inside = [piece for text in texts for found in _QUOTED.findall(text) for piece in found if piece][:20]
        for text in [t for t in texts if re.search(r"\s", t.strip()) or t.startswith("!")] + inside:
            plain = text.strip().lstrip("!").removeprefix("RUN ")
            first = re.match(r"(?:sudo\s+|nohup\s+|exec\s+)*([\w./-]+)", plain)
            if first is None or _program_name(first[1], None)[0] not in _DELEGATED or len(plain) > 1000:
                continue
            trial = ShellReader(replace(self, nesting=self.nesting + 5))
            trial.adopt(reader)
            try:
                trial.read(plain, Env(), texts=invocation.texts + 1, span=invocation.span)
            except Unreadable:
                continue
            finally:
                reader.adopt(trial)
            for finding in trial.findings:
                if finding.severity is Severity.REFUSE and not finding.rule.startswith(("guard.", "code.")):
                    yield refuse(finding.rule, f"`{shown(name)}` would be handed a command. {finding.reason}")
                    return

    def _shell_state(self, invocation: Invocation, name: str) -> None:
        env, operands = invocation.env, [w for w in invocation.argv[1:] if not as_typed(w).startswith("-") or w == "-"]
        match name:
            case "cd" | "pushd":
                env.cwd = _entered(env, operands)
            case "popd":
                env.cwd = UNKNOWN
            case "read" | "mapfile" | "readarray":
                _filled(env, invocation, name)
            case "." | "source":
                for variable in env.variables:
                    env.variables[variable] = UNKNOWN
                env.arrays = dict.fromkeys(env.arrays, (UNKNOWN,))
            case "set" if "--" in invocation.argv:
                _positional(env, invocation.argv[invocation.argv.index("--") + 1 :])
            case "shift":
                _positional(env, env.arrays.get("@", ())[1:])
            case "printf" | "getopts":
                if name == "getopts" and len(operands) > 1:
                    env.variables[as_typed(operands[1])] = UNKNOWN

    # commands inside commands

    def _inner(self, reader: ShellReader, invocation: Invocation, name: str) -> Iterator[Finding]:
        if name in SHELLS:
            yield from self._shell(reader, invocation, name)
            return
        if name in (".", "source"):
            if [as_typed(word) for word in invocation.argv[1:2]] in (
                ["/dev/stdin"],
                ["/proc/self/fd/0"],
                ["/dev/fd/0"],
            ):
                yield from self._fed_shell(reader, invocation, "sh")
            else:
                yield from _script_file(invocation)
            return
        if name in _AWKS:
            yield from self._awk(invocation)
            return
        language = _language(name)
        if language is not None:
            yield from self._interpreter(reader, invocation, *language)
            return
        if name in _SQL or name in ("redis-cli", "valkey-cli", "keydb-cli", "mongosh", "mongo", "sqlite3"):
            yield from _database(reader, invocation, name)
            return
        if name in _EDITORS:
            yield from _editor(reader, self, invocation, name)
            return
        if name == "at" and {"-l", "-c", "-V"} & {as_typed(word) for word in invocation.argv[1:3]}:
            return
        if name == "at" and parse("at", invocation.argv[1:]).has("-l", "-c", "-V"):
            yield allow("schedules.read")
            return
        if name in ("at", "batch"):
            yield from self._fed_shell(reader, invocation, "at")
            return
        if name == "crontab" and invocation.feed.given:
            yield refuse("schedules.replace", "`crontab` replaces the whole table by what it reads.")
            return
        unwrapped = unwrap(name, invocation.argv)
        if unwrapped is None:
            return
        for one in unwrapped:
            for variable, value in one.assigned:
                self.assign(reader, variable, value, invocation)
            if one.text is not None and name == "trap":
                inner = replace(invocation, env=invocation.env.copy())
                self.traps.append((one.text, inner.env))
                yield from self._text(reader, inner, one.text, own=True)
            elif one.text is not None:
                own = not one.remote and name in ("eval",)
                yield from self._text(reader, invocation, one.text, own=own, known=name == "parallel")
            elif one.argv:
                argv = one.argv
                if name in ("xargs", "parallel") and any(p[:1] == ("yes",) for p in invocation.feed.producers):
                    yield refuse("process.fork-bomb", f"`{name}` that is fed for ever starts ever more.")
                if name in ("xargs", "parallel", "pee"):
                    argv = self._fed_words(reader, invocation, argv)
                if (
                    name
                    not in (
                        "env",
                        "sudo",
                        "command",
                        "time",
                        "nice",
                        "nohup",
                        "timeout",
                        "builtin",
                        "exec",
                        "ionice",
                        "stdbuf",
                        "setsid",
                    )
                    and len(argv) == 0
                ):
                    continue
                reader.count(invocation.span)
                yield from self._findings(
                    reader,
                    replace(
                        invocation,
                        argv=argv,
                        env=invocation.env.copy() if name != "command" else invocation.env,
                        contained=invocation.contained or name in _CONTAINERS,
                        old=one.old or invocation.old or (name in ("xargs", "parallel") and _fed_old(invocation.feed)),
                    ),
                )
        if not any(one.argv or one.text is not None for one in unwrapped) and opens_shell(invocation.argv):
            if not invocation.feed.given:
                said = f"`{name}` without a command opens a shell that waits for one nobody has seen."
                yield ask("shell.session", said)
            yield from self._fed_shell(reader, invocation, name)
            return
        if unwrapped or name in ("env", "sudo", "find", "trap") or (name == "exec" and len(invocation.argv) == 1):
            yield from self._wrapped(name, unwrapped)
        if name == "su" and not unwrapped:
            yield from self._fed_shell(reader, invocation, name)
            yield ask("users.switch", "`su` opens a session as somebody else.")
        if name == "ssh" and unwrapped and invocation.feed.producers and invocation.feed.text is None:
            yield from _piped_to_host(invocation, unwrapped)
        if name == "ssh" and not unwrapped:
            yield from self._fed_shell(reader, invocation, name)
            if (
                len(after_options(invocation.argv, "-p -i -o -l -F -J -L -R -D -E -b -c -m -O -S -W -w -e -I -Q -B"))
                and not invocation.feed.given
                and not parse("ssh", invocation.argv[1:]).has("-G", "-V", "-Q", "-O")
            ):
                yield ask("shell.remote-session", "`ssh` without a command opens a session nobody watches.")

    def _wrapped(self, name: str, unwrapped: list[Inner]) -> Iterator[Finding]:
        """A wrapper is as good as what it runs, except where it starts something that stays."""
        if name in ("env", "find", "sudo", "trap", "exec") or unwrapped:
            yield allow("shell.wrapper")

    def _text(
        self,
        reader: ShellReader,
        invocation: Invocation,
        text: str,
        *,
        own: bool,
        feed: Feed | None = None,
        known: bool = False,
    ) -> Iterator[Finding]:
        """Text for a shell. `known`: what is unknown in it are whole words, which the wrapper quotes."""
        env = invocation.env if own else invocation.env.fresh()
        try:
            reader.read(text, env, feed=feed or invocation.feed, texts=invocation.texts + 1, span=invocation.span)
        except Unreadable as unreadable:
            yield unreadable.finding
        if has_unknown(text) and not known:
            yield ask(
                "guard.unknown-text", "A shell would run text of which a part is not known. Write the command out."
            )
        yield allow("shell.text")

    def _fed_words(self, reader: ShellReader, invocation: Invocation, argv: tuple[str, ...]) -> tuple[str, ...]:
        """What `xargs` appends, or puts in the place of its mark."""
        words = [as_typed(word) for word in invocation.argv[: len(invocation.argv) - len(argv)]]
        text = invocation.feed.text
        paths = printed_paths(invocation.feed.producers) if text is None else None
        if paths is not None:
            fed: tuple[str, ...] = paths
        elif (
            any(re.match(r"-[a-zA-Z0-9]*[0dI]|--(null|delimiter|replace)", word) for word in words[1:])
            and text is not None
        ):
            # These read whole lines or more, not words.
            whole = text.strip()
            fed = (whole,) if whole.count("\n") == 0 else (reader.origin(invocation.feed.producers),)
        elif text is not None and len(text) < 4000:
            fed = tuple(text.split())
        else:
            fed = (reader.origin(invocation.feed.producers),)
        mark = next((words[i + 1] for i, w in enumerate(words[:-1]) if w in ("-I", "--replace")), None)
        joined = next((w[2:] for w in words if re.fullmatch(r"-[Ii].+", w)), None)
        mark = mark or joined or ("{}" if "-i" in words else None)
        if mark is None or (paths is not None and not any(mark in as_typed(word) for word in argv)):
            return (*argv, *fed)
        value = fed[0] if len(fed) == 1 else reader.origin(invocation.feed.producers)
        return tuple(word.replace(mark, value) if mark in as_typed(word) else word for word in argv)

    def _shell(self, reader: ShellReader, invocation: Invocation, name: str) -> Iterator[Finding]:
        words = invocation.argv[1:]
        at = 0
        stdin = True
        while at < len(words):
            typed = as_typed(words[at])
            if has_unknown(words[at]):
                yield refuse("guard.unknown-text", f"`{name}` would run what stands only in a variable or an output.")
                return
            if typed in ("--init-file", "--rcfile", "-o", "+o", "-O", "+O") and at + 1 < len(words):
                if typed in ("--init-file", "--rcfile"):
                    yield refuse("guard.unknown-text", f"`{name} {typed}` runs a file first.")
                at += 2
                continue
            if typed in ("--version", "--help", "-n"):
                yield allow("shell.version")
                return
            if re.fullmatch(r"-[a-zA-Z]*c[a-zA-Z]*|--command", typed):
                rest = list(words[at + 1 :])
                while rest and as_typed(rest[0]).startswith(("-", "+")) and len(rest) > 1:
                    rest.pop(0)
                if rest:
                    inner = replace(invocation, env=invocation.env.fresh())
                    _positional(inner.env, tuple(rest[2:]))
                    inner.env.variables["0"] = rest[1] if len(rest) > 1 else name
                    yield from self._text(reader, inner, as_typed(rest[0]), own=True)
                return
            if typed.startswith(("-", "+")) and typed not in ("-", "--"):
                at += 1
                continue
            if typed in ("-", "--"):
                at += 1
                continue
            if typed in ("/dev/stdin", "/proc/self/fd/0", "/dev/fd/0"):
                break
            stdin = "-s" in [as_typed(w) for w in words[:at]]
            if not stdin:
                yield from _script_file(replace(invocation, argv=(name, *words[at:])))
                return
            break
        yield from self._fed_shell(reader, invocation, name)

    def _fed_shell(self, reader: ShellReader, invocation: Invocation, name: str) -> Iterator[Finding]:
        feed = invocation.feed
        if not feed.given:
            if name in SHELLS or name == "at":
                yield ask("shell.session", f"`{name}` without a command waits for one nobody has seen.")
            return
        origin = {p[0].rsplit("/", 1)[-1] for p in feed.producers if p}
        if feed.text is None or "tr" in origin:
            where = (
                "from the network"
                if origin & _NETWORK
                else "decoded text"
                if origin & _DECODERS
                else "text the guard cannot see"
            )
            yield refuse("guard.unknown-text", f"`{name}` would run {where}. Write the commands out.")
            return
        yield from self._text(reader, replace(invocation, env=invocation.env.fresh()), feed.text, own=True, feed=Feed())

    def _awk(self, invocation: Invocation) -> Iterator[Finding]:
        words = list(invocation.argv[1:])
        program: str | None = None
        at = 0
        while at < len(words):
            typed = as_typed(words[at])
            if typed in ("-F", "-v", "--assign", "--field-separator"):
                at += 2
            elif typed in ("-f", "--file", "-i", "--include", "-l", "--load", "-E") or (
                typed.startswith("-f") and len(typed) > 2
            ):
                yield ask("code.file", "An awk program from a file.")
                if typed in ("-i", "--include") and at + 1 < len(words) and as_typed(words[at + 1]) == "inplace":
                    case = Case(
                        arguments=parse("gawk", tuple(words)), words=(), invocation=invocation, sources=lambda _: ()
                    )
                    for path in case.arguments.operands[1:]:
                        yield writing(case, path, what="rewrites")
                return
            elif typed in ("-e", "--source"):
                program = words[at + 1] if at + 1 < len(words) else None
                break
            elif typed.startswith("-") and typed != "-":
                at += 1
            else:
                program = words[at]
                break
        if program is None:
            yield ask("code.awk", "`awk` without a program the guard can read.")
            return
        if has_unknown(program):
            text = as_typed(program)
            if self.read_only or re.search(r"system|\||>", text):
                yield refuse("code.awk", "An awk program of which a part is not known.")
            else:
                yield ask("code.awk", "An awk program of which a part is not known.")
            return
        text = re.sub(
            r'"(?:[^"\\]|\\.)*"', lambda m: '""' if not re.search(r"/inet|\|", m[0]) else m[0], as_typed(program)
        )
        text = re.sub(r"/(?:[^/\\\n]|\\.)+/", "/./", text) if text.count("/") % 2 == 0 else text
        mark = re.search(code.AWK.marks, text)
        if mark:
            yield refuse("code.awk", f"An awk program that runs a command or writes a file (`{shown(mark[0])}`).")
        else:
            case = Case(
                arguments=parse("awk", invocation.argv[1:]), words=(), invocation=invocation, sources=lambda _: ()
            )
            yield from reading(case, case.arguments.operands[1:])
            yield allow("code.awk")

    def _interpreter(
        self, reader: ShellReader, invocation: Invocation, language: Language, flags: tuple[str, ...]
    ) -> Iterator[Finding]:
        words = invocation.argv[1:]
        texts: list[str] = []
        file: str | None = None
        at = 0
        in_place = False
        while at < len(words):
            typed = as_typed(words[at])
            flag = next((f for f in flags if typed == f), None)
            short = re.fullmatch(r"-([a-zA-Z]*)([ceErp])(.*)", typed, re.DOTALL) if not typed.startswith("--") else None
            if language is code.PERL and re.match(r"-[a-z0]*i", typed):
                in_place = True
            if language is code.PYTHON and typed == "-m":
                yield from _python_module(words[at + 1 :], invocation)
                return
            if typed in ("--version", "-V", "-v", "--help", "-h", "-VV") or (
                language is code.PHP and typed in ("-m", "-i", "--ini", "-l")
            ):
                yield allow("code.version")
                return
            if flag and at + 1 < len(words):
                texts.append(words[at + 1])
                at += 2
                if language is code.PYTHON:
                    break
            elif short and f"-{short[2]}" in flags and typed not in flags and (short[3] or at + 1 < len(words)):
                texts.append(short[3] or words[at + 1])
                at += 1 if short[3] else 2
                if language is code.PYTHON:
                    break
            elif typed in ("-I", "-W", "-X", "-M", "-d", "-f", "-F", "-r", "-T") and language is not code.PERL:
                if typed == "-f" and at + 1 < len(words):
                    file = words[at + 1]
                at += 2
            elif (typed.startswith("-") and typed != "-") or typed == "-":
                at += 1
            elif texts:
                break
            else:
                file = words[at]
                break
        for text in texts:
            yield code.judge_code(language, as_typed(text) if not has_unknown(text) else text)
        if texts:
            if in_place:
                case = Case(arguments=parse("perl", words), words=(), invocation=invocation, sources=lambda _: ())
                for path in words[at:]:
                    found = writing(case, path, what="rewrites")
                    yield found if found.severity.rank else ask("paths.write", f"`perl -i` rewrites `{shown(path)}`.")
            return
        if file is not None:
            if has_unknown(file):
                yield refuse(
                    "guard.unknown-text", f"{language.name} would run what stands only in a variable or an output."
                )
                return
            script = self._case(file.rsplit("/", 1)[-1], words[at + 1 :], invocation, reader)
            if self._routine(script):
                yield allow("code.known-file")
                return
            yield from (finding for finding in _by_rules(script) if finding.severity is Severity.REFUSE)
            if zone(file, invocation.env.cwd) is Zone.SCRATCH:
                yield refuse(
                    "code.scratch", f"`{shown(file)}` lies where everybody may write. Put it in its place first."
                )
            yield ask("code.file", f"A {language.name} program from a file the guard cannot see.")
            return
        if invocation.feed.given:
            if invocation.feed.text is None:
                yield refuse("guard.unknown-text", f"{language.name} would run text the guard cannot see.")
            else:
                yield code.judge_code(language, invocation.feed.text)
            return
        yield ask("code.session", f"{language.name} without a program waits for one nobody has seen.")


def _followed(env: Env, word: str, *, itself: bool) -> str:
    """A word with its path behind the links; the path may stand behind `of=`, `--output=` or `-C`."""
    joined = re.match(r"(-{0,2}[\w-]+=|-[A-Za-z])(?=/)", word)
    start = joined.end() if joined else 0
    return word[:start] + env.disk.followed(word[start:], env.cwd, itself=itself)


def _says_nothing(invocation: Invocation) -> bool:
    """Whether it prints nothing that was not typed here: a redirection of it only opens the port."""
    argv = tuple(as_typed(word) for word in invocation.argv)
    fed = set(invocation.feed.producers) <= {("cat", "/dev/null")}
    return fed and (argv in ((), ("echo",), (":",), ("true",), ("cat",), ("echo", "-n"), ("printf", "")))


def _never_ends(invocation: Invocation) -> bool:
    """Whether what runs here prints for ever: `yes`, `cat /dev/zero`, and what only passes that on."""
    lines = [tuple(as_typed(word) for word in p) for p in (*invocation.feed.producers, invocation.argv)]
    ends = ("head", "dd", "timeout", "grep", "sed", "awk")
    return any(
        line[:1] == ("yes",) or (line[:1] == ("cat",) and set(ENDLESS) & set(line)) for line in lines
    ) and not any(line[:1] == (name,) for line in lines for name in ends)


_SIFTERS = frozenset(
    names("cat tac grep egrep fgrep zgrep sed awk gawk perl head tail cut sort uniq tr python python3 rg jq sponge")
)


def _sifted(invocation: Invocation, program: str) -> bool:
    """Whether what is printed here is the text of a file, or a part of it."""
    argv = [as_typed(word) for word in invocation.argv]
    fed = {p[0].rsplit("/", 1)[-1] for p in invocation.feed.producers if p} & _SIFTERS
    empty = argv[1:] == ["/dev/null"] or (not argv[1:] and set(invocation.feed.producers) <= {("cat", "/dev/null")})
    return (program in _SIFTERS and not empty) or bool(fed and set(invocation.feed.producers) - {("cat", "/dev/null")})


_CONTAINERS = frozenset(["docker", "podman", "nerdctl", "crictl", "docker-compose", "kubectl", "oc", "k"])
_EMPTY_HANDED = frozenset([":", "true", "false", "echo", "printf", "cat", "cd", "test"])
"""Programs whose output is nothing, or no more than what was typed."""


_QUIET_SOURCES = frozenset(
    names(
        """
    < << <<< ? echo printf yes seq ls find grep cut sort awk sed head
    """
    )
)


def _piped_to_host(invocation: Invocation, unwrapped: list[Inner]) -> Iterator[Finding]:
    """Data that goes to another host: to its backups it may, elsewhere a person must look."""
    sources = {p[0].rsplit("/", 1)[-1] for p in invocation.feed.producers if p}
    text = unwrapped[0].text or ""
    plain = len(invocation.feed.producers) == 1 and invocation.feed.producers[0][:1] == ("cat",)
    if (
        plain
        or "-n" in [as_typed(word) for word in invocation.argv[1:6]]
        or sources <= _QUIET_SOURCES
        or re.search(r">\s*/(backups?|var/backups|srv/backups?|mnt/backups?|data/backups?)/", text)
    ):
        return
    packed = [word for p in invocation.feed.producers if p and p[0] in ("tar", "cat", "dd", "cpio") for word in p[1:]]
    if any(
        zone(word) in (Zone.TOP, Zone.DEVICE) and word.startswith("/")
        for word in (w.removeprefix("if=") for w in packed)
    ):
        yield refuse("exfiltration.pipe", "`ssh` carries a whole folder of the system, or a disk, to another host.")
    yield ask("exfiltration.pipe", "`ssh` carries what is piped into it to another host.")


def _wraps_reading(case: Case) -> bool:
    """Whether a program that ran another one changes nothing by itself."""
    words = [as_typed(word) for word in case.words]
    if case.program == "find":
        return not any(word.startswith(("-delete", "-fprint", "-fls", "-ok")) for word in words)
    if case.program in ("docker", "podman", "kubectl", "oc", "k"):
        return "exec" in words[:4]
    return case.program in _READ_ONLY_WRAPPERS


_READ_ONLY_WRAPPERS = SHELLS | frozenset(
    ["sudo", "env", "timeout", "nice", "ionice", "stdbuf", "command", "time", "nohup", "builtin"]
)
_CODE_READERS = _AWKS | {"psql", "mysql", "mariadb", "redis-cli", "mongosh", "mongo", "sqlite3", "valkey-cli"}
_ANSWERING = CLUSTER_EXAMINERS.keys() | {
    *("apt", "apt-get", "aptitude", "yum", "dnf", "microdnf", "zypper", "apk", "mount", "mongodump", "pg_basebackup"),
    *("git", "consul", "vault", "nomad", "gsutil", "rclone", "s3cmd", "mc"),
    *("xtrabackup", "mariabackup", "etcdctl", "wget", "scp", "rsync", "vtysh", "birdc", "gobgp", "pip", "pip3"),
}
"""Programs whose examiner answers better than the tables that ask."""
_RUNS_CODE = frozenset(
    names(
        """
    go npx bunx pnpx uvx pipx deno bun node python python3 perl ruby php npm yarn pnpm cargo gem bundle helm
    kubectl oc k docker podman ansible-pull ansible-galaxy terraform tofu pulumi curl-sh bash sh source
    rscript nix nix-shell nix-run brew snap flatpak rpm dpkg yum dnf apt apt-get zypper apk pip pip3 conda
    composer luarocks cpan cpanm opam stack vagrant packer chef-client puppet salt-call jshell java insmod
    modprobe helmfile kustomize
    """
    )
)
"""Programs that run or install what they are pointed at."""
_BUILDS = (
    _RUNS_CODE
    | SHELLS
    | frozenset(
        names(
            """
    make gmake cmake ninja meson scons rake gradle mvn ant just task . source cargo ansible-playbook dpkg-buildpackage
    makepkg debuild docker-compose kubectl install
    """
        )
    )
)
"""Programs that run what stands in the folder they are started in or pointed at."""
_ABOUT_LINKS = frozenset(["ln", "link", "rm", "unlink", "mv", "ls", "readlink", "stat", "test", "[", "find"])
"""Programs that mean a link itself, not what it leads to."""
_FOREIGN = re.compile(
    r"(https?|ftp|oci|git|git\+\w+|ssh)://|git@|git\+|github\.com/|(?<![\w.-])[\w.-]+\.[a-z]{2,}/\S+@\w+\Z|npm:|gist:",
    re.IGNORECASE,
)
_MAY_HIDE = ("guard.unknown-program", "code.editor", "containers.change", "code.module", "cloud.change", "code.file")
_QUOTED = re.compile(r"\"([^\"\\]{3,200})\"|'([^'\\]{3,200})'|`([^`]{3,200})`|\((\w[^()\"']{3,200})\)")
_DELEGATED = SHELLS | frozenset(
    [
        "rm",
        "dd",
        "mkfs",
        "mkfs.ext4",
        "mkfs.xfs",
        "shred",
        "wipefs",
        "shutdown",
        "reboot",
        "poweroff",
        "halt",
        "init",
        "telinit",
        "chmod",
        "chown",
        "mv",
        "cp",
        "find",
        "kill",
        "pkill",
        "killall",
        "systemctl",
        "iptables",
        "userdel",
        "passwd",
        "docker",
        "kubectl",
        "git",
        "sudo",
        "env",
        "xargs",
        "eval",
        "nc",
        "curl",
        "wget",
        "python",
        "python3",
        "perl",
        "ruby",
        "truncate",
        "fdisk",
        "parted",
        "crontab",
        "tee",
        "ip",
        "ufw",
        "apt",
        "apt-get",
        "yum",
        "dnf",
        "service",
        "usermod",
        "groupdel",
        "deluser",
        "lvremove",
        "vgremove",
        "zpool",
        "zfs",
        "mdadm",
        "blkdiscard",
        "umount",
        "swapoff",
        "modprobe",
        "rmmod",
        "sysctl",
        "setenforce",
        "iptables-restore",
        "nft",
        "nmcli",
        "ifdown",
        "ifconfig",
        "route",
        "killall5",
        "dropdb",
        "psql",
        "mysql",
        "redis-cli",
        "mongosh",
        "helm",
        "terraform",
        "aws",
        "gcloud",
        "virsh",
        "chattr",
        "setfacl",
        "history",
        "journalctl",
        "rsync",
        "mkfs.btrfs",
        "mkswap",
        "kexec",
        "grub-install",
        "dpkg",
        "rpm",
        "nohup",
        "timeout",
        "chroot",
        "nsenter",
    ]
)


def _program_name(typed: str, cwd: str | None) -> tuple[str, bool]:
    """The name a program is known by, and whether it is where such programs live."""
    if "/" not in typed:
        return typed, True
    where = normalised(typed, cwd)
    folder, _, name = where.rpartition("/")
    if folder == "/etc/init.d":
        return "service", True
    if re.match(r"ld(-linux)?[\w.-]*\.so", name):
        return "ld.so", True
    return name, bool(_BIN.fullmatch(folder))


def _plain_path(value: str) -> bool:
    parts = as_typed(value).split(":")
    return all(
        part == UNKNOWN or re.fullmatch(r"/(usr/)?(local/)?s?bin|/snap/bin|/usr/games|/opt/[\w.-]+/s?bin", part)
        for part in parts
    )


def _entered(env: Env, operands: list[str]) -> str | None:
    if not operands:
        return "/home/\ue001"
    target = operands[0]
    if has_unknown(target) or has_glob(target) or as_typed(target) == "-":
        return UNKNOWN
    if target.startswith("/"):
        return normalised(target)
    return (
        UNKNOWN
        if env.cwd is None and target.startswith("..")
        else (normalised(target, env.cwd) if env.cwd else f"/home/\ue001/{target}")
    )


def _filled(env: Env, invocation: Invocation, name: str) -> None:
    """`read a b`, `read -a list`, `mapfile list`: what stands in them afterwards."""
    words = [as_typed(word) for word in invocation.argv[1:]]
    listed = next((words[i + 1] for i, w in enumerate(words[:-1]) if re.fullmatch(r"-\w*a", w)), None)
    takes = "-d -n -O -s -u -C -c" if name != "read" else "-a -d -i -n -N -p -t -u"
    variables = [as_typed(word) for word in after_options(invocation.argv, takes)]
    first = _first_line(invocation.feed)
    marks = dict(invocation.assigned).get("IFS", env.variables.get("IFS", " \t\n"))
    apart = None if marks in (" ", " \t\n") else marks
    plain = not has_unknown(first) and "\\" not in first and (apart is None or len(apart) == 1)
    if name != "read":
        lines = invocation.feed.text
        env.arrays[variables[0] if variables else "MAPFILE"] = (
            (UNKNOWN,) if lines is None or "-d" in words else tuple(lines.rstrip("\n").split("\n"))
        )
        return
    if listed is not None:
        env.arrays[listed] = tuple(first.split(apart)) if plain else (UNKNOWN,)
        env.variables[listed] = UNKNOWN
        return
    parts = first.split(apart, len(variables) - 1) if plain and len(variables) > 1 else []
    for index, variable in enumerate(variables or ["REPLY"]):
        value = first if len(variables) < 2 else (parts[index] if index < len(parts) else "") if plain else UNKNOWN
        env.variables[variable] = value
        env.arrays.pop(variable, None)


def _disk_state(invocation: Invocation, case: Case) -> None:
    """Remembers what becomes a link, a second mount, or a folder that came from elsewhere."""
    env, a = invocation.env, case.arguments
    operands = list(a.operands)
    match case.program:
        case "ln" | "link" | "cp" if operands and (case.program != "cp" or a.has("-s", "--symbolic-link")):
            folder = a.value("-t", "--target-directory")
            target = folder or (operands.pop() if len(operands) > 1 else ".")
            for source in operands:
                name = source.rstrip("/").rsplit("/", 1)[-1]
                inside = normalised(f"{target}/{name}", env.cwd)
                there = inside if folder or target in (".", "./") else normalised(target, env.cwd)
                leads = (
                    source if source.startswith("/") or has_unknown(source) else f"{there.rpartition('/')[0]}/{source}"
                )
                for link in {there, inside}:
                    if link != normalised(leads, env.cwd) and len(env.disk.links) < 40:
                        env.disk.links[link] = UNKNOWN if has_unknown(leads) else normalised(leads, env.cwd)
        case "mount" if len(operands) > 1 and (
            a.has("-B", "-R", "--bind", "--rbind", "--move", "-M") or "bind" in (a.value("-o") or "")
        ):
            env.disk.links[normalised(operands[1], env.cwd)] = normalised(operands[0], env.cwd)
        case "git" | "hg" | "svn" if operands[:1] and as_typed(operands[0]) in ("clone", "checkout", "co"):
            words = [w for w in operands[1:] if not as_typed(w).isdigit()]
            if words and _FOREIGN.search(as_typed(words[0])):
                own = words[0].rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1].removesuffix(".git")
                env.disk.fetched.add(normalised(words[1] if len(words) > 1 else own, env.cwd or HOME))


def _builds_fetched(case: Case) -> Iterator[Finding]:
    """A build, an installation or a script out of a folder that was fetched in the same text."""
    disk, cwd = case.invocation.env.disk, case.cwd
    if not disk.fetched:
        return
    named = [word for word in case.words if not as_typed(word).startswith("-")]
    named += [value for _, value in case.arguments.options if value]
    named += [as_typed(word)[2:] for word in case.words if re.match(r"-[A-Za-z]/", word)]
    reads = case.program == "git" or any(w in ("-v", "--version") for w in case.words)
    if not reads and ((cwd and disk.holds_fetched(".", cwd)) or any(disk.holds_fetched(w, cwd) for w in named)):
        yield refuse(
            "code.foreign", f"`{case.program}` runs what was fetched a moment ago, and nobody has looked at it."
        )


def _positional(env: Env, values: tuple[str, ...]) -> None:
    for index, value in enumerate(values, start=1):
        env.variables[str(index)] = value
    env.arrays["@"] = values
    env.variables["*"] = " ".join(values)


def _fed_old(feed: Feed) -> bool:
    return bool(feed.producers) and feed.producers[0][:1] == ("find",) and is_old(feed.producers[0])


def _first_line(feed: Feed) -> str:
    paths = printed_paths(feed.producers) if feed.text is None else None
    if paths is not None and len(paths) == 1:
        return paths[0]
    if feed.text is None or feed.text.count("\n") > 1:
        return UNKNOWN
    return feed.text.strip()


_HELP = re.compile(r"[a-z][\w-]*")


def _asks_for_help(case: Case) -> bool:
    """`x --help`, `x sub --help`, `x --version` and nothing else: it prints, whatever it is."""
    words = [as_typed(word) for word in case.words]
    if words == ["--version"] or (case.program == "aws" and words[-1:] == ["help"]):
        return True
    return (
        bool(words) and words[-1] == "--help" and len(words) < 4 and all(_HELP.fullmatch(word) for word in words[:-1])
    )


def _dry(case: Case) -> bool:
    _, _, _, dry = _tables()
    return any(matches(pattern, case.arguments, cautious=True) for _, pattern in dry.about(case.program))


_ZERO = re.compile(
    r"--?[\w-]{0,30}(size|capacity|count|replicas|nodes|instances|concurren\w*|retention[\w-]*|"
    r"scale)[\w-]{0,30}=0|(min|desired|max)Size=0|replicas[=:]0",
    re.IGNORECASE,
)
_UNPROTECTED = re.compile(
    r"--(no-backup|disabled|no-deletion-protection\S*|deletion-protection=false|skip-final-snapshot|"
    r"force-reset|force-new-cluster|"
    r"allowerasing|yes-i-really\S*|i-know-what\S*|yes-i-know\S*|no-deletion-protection-enabled|nodeps|"
    r"skip-grant-tables|initialize\S*|no-preserve-root|overrides=.*host(PID|Network|IPC).*|"
    r"remove-all-storage)",
    re.IGNORECASE | re.DOTALL,
)
_MINER = re.compile(r"xmrig|minerd|stratum\+|cryptonight|kdevtmpfsi|nanopool|minexmr", re.IGNORECASE)


def _said_anywhere(case: Case) -> list[Finding]:
    """Words that mean the same to many programs: nothing at all of something, without its protection, a miner."""
    program, words = case.program, [as_typed(word) for word in case.words[:60]]
    if program in _TEXT_TOOLS:
        return []
    joined = [f"{a}={b}" for a, b in pairwise(words) if a.startswith("-") and b == "0"]
    found = []
    if program in _SCALED and any(_ZERO.search(word) for word in (*words, *joined)):
        found.append(refuse("verbs.zero", f"`{shown(program)}` is told to keep nothing of it."))
    if any(_UNPROTECTED.fullmatch(word) for word in words) and "--help" not in words:
        found.append(refuse("verbs.unprotected", f"`{shown(program)}` is told to go without what protects it."))
    if any(_MINER.search(word) for word in (program, *words)):
        found.append(refuse("code.miner", "It mines."))
    return found


def _files_of_options(case: Case) -> Iterator[Finding]:
    """Secrets that any program is pointed at, and files that an output option would write."""
    if case.program in _NAMES_ONLY:
        return
    words = case.words[:80]
    paths = [part for word in words for part in (word, word.partition("=")[2], word[2:] if word[:1] == "-" else "")]
    yield from reading(case, [path for path in dict.fromkeys(paths) if path[:1] in ("/", "~", ".")])
    for option, value in [*pairwise(words), *(word.partition("=")[::2] for word in words)]:
        name = as_typed(option)
        if value[:1] == "/" and (_WRITES.fullmatch(name) or re.search(r"(\A|[:,])(file|filename|path)\Z", name)):
            found = writing(case, value, what="fills")
            if found.severity is Severity.REFUSE:
                yield found


_WRITES = re.compile(
    r"-o|-w|-O|-out|--out(put)?([-_]\w+)*|--log-?file|--LOG-FILE|--(dump|write)[\w-]*|--pidfile|--state"
)
_NAMES_ONLY = frozenset(
    names(
        """
    ls stat test [ echo printf chmod chown chgrp touch find mkdir namei dirname basename readlink realpath
    logrotate cd getfacl lsattr du sshd ssh ssh-add history grep-h kubectl-h mysql psql git scp rsync visudo
    nginx id rm mv ln tar cp
    """
    )
)


_GENERIC_NAMES = frozenset(
    names(
        """
    reset clear sync show display include exclude begin section utility write wall info help test look units
    size services top w id last host file stat profile status sleep watch yes free time date report check
    info service env
    """
    )
)
_SCALED = frozenset(
    names(
        """
    aws gcloud az docker kubectl oc k heroku fly flyctl doctl oci nomad cf eksctl kops hcloud linode-cli
    """
    )
)
_TEXT_TOOLS = frozenset(
    names(
        """
    grep egrep fgrep zgrep rg echo printf man awk sed jq cat ls find less tail head psql mysql curl history
    which type journalctl git ps pgrep logger wall mail test [
    """
    )
)


def _verb(case: Case) -> str | None:
    """A sub-command or option of this program that means harm."""
    for operand in case.arguments.operands[:4]:
        word = as_typed(operand)
        if (
            not has_unknown(operand)
            and len(word) <= 40
            and re.fullmatch(r"[A-Za-z][\w.:-]*", word)
            and not _FILE.search(word)
        ):
            parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", word)
            if parts and {parts[0].lower(), parts[-1].lower(), word.lower()} & DESTRUCTIVE_VERBS:
                return word
    for name, _ in case.arguments.options:
        if name.startswith("--") or len(name) > 3:
            parts = name.strip("-").lower().split("-")
            if parts[0] in _HARMFUL_OPTIONS:
                return name
    return None


_FILE = re.compile(
    r"\.(py|sh|ya?ml|json|sql|txt|log|js|conf|cfg|gz|csv|tf|rb|pl|service|target|timer|md|toml|ini|xml|html)\Z"
)
_HARMFUL_OPTIONS = frozenset(
    names(
        """
    delete destroy purge wipe erase drop uninstall nuke zap terminate
    """
    )
)


def _by_rules(case: Case) -> list[Finding]:
    """What the tables say; a rule that refuses hides those that ask."""
    rules, _, _, _ = _tables()
    if _asks_for_help(case) or _dry(case):
        return [allow("routine.dry-run", "It only says what it would do.")]
    found: list[Finding] = []
    for rule, pattern in rules.about(case.program):
        if matches(pattern, case.arguments, cautious=rule.severity is Severity.REFUSE):
            named = " ".join((case.program, *case.arguments.operands[:2]))
            found.append(Finding(severity=rule.severity, rule=rule.id, reason=f"`{shown(named)}` {rule.reason}."))
    if any(finding.severity is Severity.APPROVE for finding in found) and not any(
        f.severity is Severity.REFUSE for f in found
    ):
        _, reads, changes, _ = _tables()
        if any(matches(p, case.arguments, cautious=False) for t in (reads, changes) for _, p in t.about(case.program)):
            # What prints secrets is a question although it only reads.
            return [finding for finding in found if finding.rule == "secrets.read"] or [allow("routine.known")]
    return found


def _language(name: str) -> tuple[Language, tuple[str, ...]] | None:
    plain = name.rstrip("0123456789.")
    return LANGUAGES.get(plain)


def _script_file(invocation: Invocation) -> Iterator[Finding]:
    """A shell, or the shell itself, runs a file."""
    words = invocation.argv[1:]
    if not words or has_unknown(words[0]):
        yield refuse("guard.unknown-text", "A shell would run what stands only in a variable or an output.")
    elif zone(words[0], invocation.env.cwd) is Zone.SCRATCH:
        yield refuse("code.scratch", f"`{shown(words[0])}` lies where everybody may write. Put it in its place first.")
    elif zone(words[0], invocation.env.cwd) is Zone.DEVICE:
        yield refuse("exfiltration.shell", f"A shell would run what `{shown(words[0])}` sends.")
    elif invocation.argv[0] in (".", "source") and _OWN_SETTINGS.search(as_typed(words[0])):
        yield allow("shell.settings")
    else:
        yield ask("code.file", f"`{shown(words[0])}` is a script the guard cannot see.")


_OWN_SETTINGS = re.compile(
    r"\A((\./|/(srv|opt|app|home|var/www)/)([\w.-]+/)*)?(\.?v?(irtual)?env/bin/activate|\.env(\.[\w-]+)?)\Z|\A/etc/os-release\Z"
)
"""What prepares an application's own shell: its virtual environment and its variables."""


def _python_module(words: tuple[str, ...], invocation: Invocation) -> Iterator[Finding]:
    module = as_typed(words[0]) if words else ""
    if module in ("timeit", "cProfile", "profile", "pdb", "trace", "runpy", "code", "doctest", "IPython"):
        for word in words[1:]:
            found = code.judge_code(code.PYTHON, word)
            if found.severity is Severity.REFUSE:
                yield found
    if module in ("json.tool", "site", "platform", "sysconfig", "this", "calendar"):
        operands = [w for w in words[1:] if not as_typed(w).startswith("-")]
        yield allow("code.module") if len(operands) < 2 else ask("paths.write", "`json.tool` writes its second file.")
    elif module == "http.server" or module in ("SimpleHTTPServer", "pty", "smtpd", "ftplib", "telnetlib"):
        yield refuse("exfiltration.shell", f"`python -m {module}` opens a way in or out.")
    elif (
        module in ("pip",) and len(words) > 1 and as_typed(words[1]) in ("list", "show", "freeze", "check", "--version")
    ):
        yield allow("code.module")
    elif module in ("pip",) and len(words) > 1 and as_typed(words[1]) == "uninstall":
        yield refuse("packages.remove", "It removes software.")
    else:
        yield ask("code.module", f"`python -m {shown(module)}` is a program the guard does not know.")


def _database(reader: ShellReader, invocation: Invocation, name: str) -> Iterator[Finding]:
    words = invocation.argv[1:]
    arguments = parse(name, words)
    if name in ("redis-cli", "valkey-cli", "keydb-cli"):
        arguments = parse("redis-cli", words)
        copy = arguments.value("--rdb", "--functions-rdb")
        if copy is not None and copy != "-" and not arguments.has("--eval", "--pipe", "--cluster", "-x", "--replica"):
            case = Case(arguments=arguments, words=words, invocation=invocation, sources=lambda _: ())
            yield arriving(case, ["dump"], copy)
            yield allow("databases.read")
            return
        if arguments.has("--eval", "--pipe", "--rdb", "--cluster", "--functions-rdb", "-x", "--lru-test", "--replica"):
            checks = [as_typed(o) for o in words]
            if "--cluster" in checks and checks[checks.index("--cluster") + 1 : checks.index("--cluster") + 2] in (
                ["check"],
                ["info"],
            ):
                yield allow("databases.read")
            else:
                yield refuse("databases.destroy", "`redis-cli` that runs a script or changes the cluster.")
            return
        if arguments.has(
            "--scan",
            "--bigkeys",
            "--memkeys",
            "--hotkeys",
            "--latency",
            "--latency-history",
            "--stat",
            "--intrinsic-latency",
            "--version",
            "-v",
        ):
            yield allow("databases.read")
            return
        rest = after_options(invocation.argv, "-h -p -a -n -s -u -r -i -d -D -t --user --pass --cert --key --cacert")
        text = invocation.feed.text
        if rest:
            yield code.judge_redis([as_typed(word) for word in rest])
        elif not invocation.feed.given:
            yield ask("databases.session", f"`{name}` without a command waits for one nobody has seen.")
        elif text is None:
            yield refuse("databases.unknown", "Commands for Redis the guard cannot see.")
        else:
            yield allow("databases.read")
            for line in text.splitlines():
                yield code.judge_redis(line.split())
        return
    if name in ("mongosh", "mongo"):
        texts = [
            as_typed(v) if not has_unknown(v) else v for n, v in arguments.options if n == "--eval" and v is not None
        ]
        if any(as_typed(o).endswith(".js") for o in arguments.operands) or arguments.has("-f", "--file"):
            yield ask("code.file", "A Mongo script the guard cannot see.")
        if invocation.feed.given and not texts:
            texts = [invocation.feed.text if invocation.feed.text is not None else UNKNOWN]
        for text in texts:
            yield code.judge_mongo(text)
        if not texts:
            yield ask("databases.session", "A Mongo shell without a command opens a session nobody watches.")
        return
    if name == "sqlite3":
        texts = [as_typed(word) for word in arguments.operands[1:]] + [
            v or "" for n, v in arguments.options if n == "-cmd"
        ]
        case = Case(arguments=arguments, words=words, invocation=invocation, sources=lambda _: ())
        for text in list(texts):
            saved = re.fullmatch(r"\s*\.(?:backup|clone|save)\s+(?:main\s+)?(['\"]?)(/[\w./@%+-]+)\1\s*", text)
            if saved or re.fullmatch(r"\s*\.dump(\s+\w+)*\s*", text):
                yield arriving(case, ["dump"], saved[2]) if saved else allow("databases.read")
                texts.remove(text)
                texts.append("select 1")
    else:
        texts = _option_values(words, _SQL[name])
    if name == "db2" and not texts:
        texts = [" ".join(as_typed(o) for o in arguments.operands)] if arguments.operands else []
    raw = [word for word in words if has_unknown(word)]
    for word in raw:
        if any(("<(",) in reader.sources[n] for n in origins(word) if n < len(reader.sources)):
            yield refuse("databases.unknown", "Statements from another command, which the guard cannot see.")
    if arguments.has("-f", "--file"):
        yield ask("code.file", "A file of statements the guard cannot see.")
    if arguments.has("-l", "--list", "--version", "-V", "--help") and not texts:
        yield allow("databases.read")
        return
    for word in words:
        if re.search(r"-[a-zA-Z]*[oL]\Z|--output|--log-file", as_typed(word)) and name == "psql":
            yield ask("paths.write", "`psql` writes a file.")
    if not texts and invocation.feed.given:
        if invocation.feed.text is None:
            origin = {p[0].rsplit("/", 1)[-1] for p in invocation.feed.producers if p}
            said = " ".join(as_typed(word) for p in invocation.feed.producers for word in p)
            if re.search(r"\b(drop|truncate|delete|kill|alter|grant|revoke)\b", said, re.IGNORECASE):
                yield refuse("databases.destroy", "Statements made by another statement, which drop, empty or kill.")
            turned = any(p[:1] == ("tr",) and len(p) == 3 and p[1][:1] != "-" for p in invocation.feed.producers)
            if turned or origin & (_NETWORK | _DECODERS - _UNPACKERS - {"tr"}):
                yield refuse(
                    "databases.unknown", "Statements from the network or decoded text, which the guard cannot see."
                )
            yield ask("databases.unknown", "Statements the guard cannot see.")
            return
        texts = [invocation.feed.text]
    for text in texts:
        yield code.judge_sql(text if has_unknown(text) else as_typed(text))
    if raw and not texts:
        yield ask("databases.unknown", "A statement of which a part is not known.")
    if (
        not texts
        and not arguments.has("-f", "--file")
        and not (name in ("influx", "db2", "clickhouse-client") and arguments.operands)
        and not (name == "cockroach" and arguments.operands[:1] != ("sql",))
    ):
        yield ask("databases.session", f"`{name}` without a statement opens a session nobody watches.")


def _option_values(words: tuple[str, ...], flags: tuple[str, ...]) -> list[str]:
    """The values of these options: `-c x`, `-cx`, `-qAtc x`, `--command x`, `--command=x`."""
    values: list[str] = []
    for index, word in enumerate(words):
        typed = as_typed(word)
        for flag in flags:
            if typed == flag or (len(flag) == 2 and re.fullmatch(rf"-[a-zA-Z]*{flag[1]}", typed)):
                values += words[index + 1 : index + 2]
                break
            if typed.startswith(f"{flag}="):
                values.append(word[len(flag) + 1 :])
            elif len(flag) == 2 and typed.startswith(flag) and not typed.startswith("--"):
                values.append(word[2:])
    return values


_INLINE = frozenset(
    names(
        """
    -e -c -E -s -x --eval -eval --execute -r -l
    """
    )
)
_CALLS = re.compile(
    r"\b(system\w*|exec\w*|spawn|popen|fork|cmd|run|runtime|process\w*|shell\w*|delete|remove|unlink|"
    r"rmdir|rm_rf|write\w*|"
    r"execute|syscmd|esyscmd|open|createProcess|callCommand|kill|reboot|halt|file\.\w+|chmod|truncate|rename)\b",
    re.IGNORECASE,
)


def _editor(reader: ShellReader, judge: "_Judge", invocation: Invocation, name: str) -> Iterator[Finding]:
    """Programs that may run a command from within: what is given to them in words is judged where it can be."""
    words = [as_typed(word) for word in invocation.argv[1:]]
    if words in (
        ["-v"],
        ["-V"],
        ["version"],
        ["--version"],
        ["-version"],
        ["-T"],
        ["env"],
        ["--info"],
    ) and name not in ("vi", "vim"):
        yield allow("code.version")
        return
    for word in words:
        bang = re.search(r"(?:^|[:+ ])!\s*(.+)|\bsystem\((.*)|\bshell\s+(.+)", word)
        if bang:
            text = next((part for part in bang.groups() if part), ":")
            yield from judge._text(reader, invocation, text, own=False)
            yield refuse("code.editor", f"`{name}` that runs a command from within.")
    if name in ("less", "more", "man", "info", "bc", "dc"):
        if invocation.feed.text and re.search(r"^\s*!", invocation.feed.text, re.MULTILINE):
            yield refuse("code.editor", f"`{name}` that runs a command from within.")
        return
    if name in ("make", "gmake"):
        if any(word.startswith("--eval") for word in words) or (invocation.feed.given and "-" in words):
            yield refuse("code.make", "`make` with rules the guard cannot see.")
        if re.search(
            r"\b(clean|distclean|purge|destroy|uninstall|nuke|wipe|drop\S*|reset\S*|down|teardown|mrproper)\b",
            " ".join(words),
        ):
            yield refuse("code.make", "`make` of something that deletes.")
    if name in ("ed", "ex", "red", "vim", "vi", "nvim") and invocation.feed.given:
        yield refuse("code.editor", f"`{name}` with commands from its input.")
    if name in ("vim", "vi", "nvim", "ex", "emacs") and any(
        w.startswith(("-c", "+", "--cmd", "--eval", "-s", "-es", "--batch")) for w in words
    ):
        yield refuse("code.editor", f"`{name}` with commands from its arguments.")
    if any(word in _INLINE for word in words) and any(_CALLS.search(word) for word in words):
        yield refuse("code.editor", f"`{name}` with code that can run, delete or write.")
    if invocation.feed.text and _CALLS.search(invocation.feed.text):
        yield refuse("code.editor", f"`{name}` with code that can run, delete or write.")
    if name == "gdb" and any("call" in w or "kill" in w for w in words):
        yield refuse("code.editor", "`gdb` that acts on a running process.")
    yield ask("code.editor", f"`{name}` runs what the guard cannot see.")
