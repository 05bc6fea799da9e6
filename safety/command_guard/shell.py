"""Reading shell text: the tree, the words in it as far as they can be known, and every command it would run.

`ShellReader.read` walks one text from front to back the way bash would, carrying variables, the folder and what is
piped on. Each command with its words resolved goes to a `Judge`, which may hand text back (`sh -c`, a here-document).
What the reader cannot follow becomes UNKNOWN, never nothing; a construct it does not know is refused.
"""

import ast
import base64
import binascii
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Protocol

import tree_sitter
import tree_sitter_bash

from safety.command_guard.paths import normalised
from safety.command_guard.places import names
from safety.command_guard.scanner import expansion_starts
from safety.command_guard.values import (
    BRACKET,
    CLOSE,
    COMMA,
    EMPTY,
    FIRST_ORIGIN,
    HOME,
    LAST_PRIVATE,
    OPEN,
    QUESTION,
    SPLIT,
    STAR,
    TOKEN,
    UNKNOWN,
    as_typed,
    expand_braces,
    has_glob,
    has_unknown,
    is_plain,
    shown,
)
from safety.command_guard.verdicts import Finding, refuse
from safety.command_guard.wrappers import found_paths

MAX_LENGTH = 4096
"""Characters of the whole command; nobody approves more than that by reading it."""
MAX_BYTES = 2 * MAX_LENGTH
"""The same text in UTF-8."""
MAX_NESTED = 2 * MAX_LENGTH
"""Characters of all text inside text together."""
MAX_TREE_DEPTH = 80
"""Nodes inside nodes, those of a text and of all texts around it together: reading one takes a few calls of Python's
stack, and where that ends, an answer does too."""
MAX_NODES = 4000
MAX_OPERATORS = 250
"""`|`, `;`, `&`, `<` and `>` in one text, wherever they stand: the parser is slow on heaps of them."""
MAX_BRACKETS = 500
"""Brackets of any kind in one text, for the same reason."""
MAX_EXPANSIONS = 300
"""`$` and backticks in one text, likewise; and `@`."""
MAX_LINES = 300
"""Lines of one text."""
MAX_TEXTS = 5
"""How deep text may hold text: a shell in a shell in a shell."""
MAX_ARGUMENTS = 300
"""Words of one command; nobody reads more."""
MAX_WORDS = 6_000
"""Words of commands judged in one go, counted again for every wrapper around them."""
MAX_COMMANDS = 120
"""Commands judged in one go, loops and nested text included."""

_ALWAYS = re.compile(
    r"(!\s*)?((/usr)?/bin/)?(true|:|false|sleep [0.]+s?|(echo|printf|date|test|let|set|export|cd|shift)\b[^$`|;&]*|"
    r"\[\[? [^$`;&]*\]\]?|\(\([\s\d!=<>+~-]*\)\)|\w+=\S*);?"
)
"""Conditions of a loop that neither wait nor change from one round to the next."""
_SPAWNING = frozenset({"setsid", "coproc", "daemonize", "systemd-run", "screen", "tmux", "at", "batch", "disown"})
_RUN = re.compile(r"([^\w\s])\1{199}")
_SCRATCH = "/tmp"  # noqa: S108 - where mktemp puts what it makes
_LANGUAGE = tree_sitter.Language(tree_sitter_bash.language())
_EXPANSIONS = frozenset({"command_substitution", "expansion", "process_substitution", "arithmetic_expansion"})
_TEXTS = frozenset(
    {"string", "concatenation", "heredoc_body", "expansion", "regex", "string_content", "heredoc_content"}
)
"""Nodes between whose parts plain text may stand."""
_TOKENS = frozenset(
    names(
        """
    USER LOGNAME HOSTNAME UID EUID RANDOM SECONDS EPOCHSECONDS BASHPID LINENO HOSTTYPE OSTYPE
    """
    )
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b", "E": "\x1b"}
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|(0?[0-7]{1,3})|c(.)|(.))", re.DOTALL
)
_EXPANSION = re.compile(
    r"\A\$\{(?P<mark>[!#])?(?P<name>[A-Za-z_]\w*|\d+|[@*#?$!_-])(?P<index>\[[^\]]*\])?(?P<rest>.*)\}\Z", re.DOTALL
)
_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.floordiv,
    ast.Mod: operator.mod,
}


@dataclass(frozen=True, kw_only=True)
class Feed:
    """What a command finds on its standard input: its text where known, and who wrote it."""

    text: str | None = None
    producers: tuple[tuple[str, ...], ...] = ()

    @property
    def given(self) -> bool:
        """Whether anything is fed at all."""
        return self.text is not None or bool(self.producers)


NO_FEED = Feed()


@dataclass
class Disk:
    """What the text has done to the disk so far, which every shell on the host sees.

    `links` is where a path leads that was made a link or a second mount, `fetched` the folders from elsewhere.
    """

    links: dict[str, str] = field(default_factory=dict)
    fetched: set[str] = field(default_factory=set)

    def followed(self, path: str, cwd: str | None, *, itself: bool = True) -> str:
        """The path behind the links on the way; a link that is the whole path only if `itself`."""
        if not self.links or has_unknown(path):
            return path
        for _ in range(4):
            where = normalised(path, cwd)
            link = next((one for one in self.links if where == one or where.startswith(f"{one.rstrip('/')}/")), None)
            if link is None or (where == link and not itself and not path.endswith("/")):
                return path
            path, cwd = self.links[link].rstrip("/") + where[len(link.rstrip("/")) :] or "/", None
        return UNKNOWN

    def holds_fetched(self, path: str, cwd: str | None) -> bool:
        """Whether a path lies in a folder that came from elsewhere."""
        where = normalised(path, cwd or HOME)
        return any(where == folder or where.startswith(f"{folder}/") for folder in self.fetched)


@dataclass
class Env:
    """What the shell remembers while the text is read; a subshell gets a copy."""

    variables: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, tuple[str, ...]] = field(default_factory=dict)
    functions: set[str] = field(default_factory=set)
    cwd: str | None = None
    inherited: bool = True  # names not assigned here come from outside
    disk: Disk = field(default_factory=Disk)

    def copy(self) -> "Env":
        """For a subshell."""
        return Env(dict(self.variables), dict(self.arrays), set(self.functions), self.cwd, self.inherited, self.disk)

    def fresh(self) -> "Env":
        """For another shell started from here: the folder and the disk are the same, the variables are not."""
        return Env(cwd=self.cwd, disk=self.disk)

    def join(self, other: "Env") -> None:
        """After a branch that may or may not have run: what differs is unknown."""
        for name in self.variables.keys() | other.variables.keys():
            if self.variables.get(name) != other.variables.get(name):
                self.variables[name] = UNKNOWN
        for name in self.arrays.keys() | other.arrays.keys():
            if self.arrays.get(name) != other.arrays.get(name):
                self.arrays[name] = (UNKNOWN,)
        self.functions |= other.functions
        if self.cwd != other.cwd:
            self.cwd = UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One command with its words resolved, as it would be started.

    `assigned` are the assignments in front of it; `old` says that its paths are only those older than a day,
    `contained` that it runs in a container.
    """

    argv: tuple[str, ...]
    span: tuple[int, int]
    feed: Feed = NO_FEED
    env: Env = field(default_factory=Env)
    assigned: tuple[tuple[str, str], ...] = ()
    texts: int = 0
    old: bool = False
    contained: bool = False


class Judge(Protocol):
    """Who is told what would run."""

    def command(self, reader: "ShellReader", invocation: Invocation) -> None:
        """A command is about to start."""

    def redirect(self, reader: "ShellReader", operator: str, target: str, invocation: Invocation) -> None:
        """A file is about to be opened by the shell itself."""

    def assign(self, reader: "ShellReader", name: str, value: str, invocation: Invocation) -> None:
        """A variable is about to be set, for one command or for all that follow."""

    def construct(self, reader: "ShellReader", kind: str, span: tuple[int, int]) -> None:
        """A construct other than a plain command begins."""


class Unreadable(Exception):
    """The text cannot be judged; the argument is a finding that says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.reason)
        self.finding = finding


class ShellReader:
    """Walks texts and collects findings. `expands` says that a text held a variable or a substitution."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.expands = False
        self.findings: list[Finding] = []
        self.sources: list[tuple[tuple[str, ...], ...]] = []
        self.calls: dict[str, set[str]] = {}
        self._commands = 0
        self._words = 0
        self._nested = 0
        self._depth = 0
        self._parser = tree_sitter.Parser(_LANGUAGE)

    def adopt(self, other: "ShellReader") -> None:
        """Count on from where another reader is: a look at the side costs as much as any."""
        self._commands, self._words, self._nested = other._commands, other._words, other._nested
        self._depth = other._depth

    def report(self, finding: Finding, span: tuple[int, int]) -> None:
        """Keep a finding about these bytes."""
        self.findings.append(replace(finding, span=span))

    def origin(self, producers: tuple[tuple[str, ...], ...]) -> str:
        """An unknown word of which it is known which commands print it."""
        if FIRST_ORIGIN + len(self.sources) > LAST_PRIVATE:
            return UNKNOWN
        self.sources.append(producers)
        return chr(FIRST_ORIGIN + len(self.sources) - 1)

    def read(
        self,
        text: str,
        env: Env,
        *,
        feed: Feed = NO_FEED,
        texts: int = 0,
        span: tuple[int, int] | None = None,
    ) -> "Output":
        """Judge everything the text would run. `span` is where nested text stands in the outer one.

        Raises Unreadable if the text, as a whole, cannot be judged.
        """
        if texts > MAX_TEXTS:
            raise Unreadable(refuse("guard.too-deep", "Too many shells inside shells to read. Write it plainly."))
        self._nested += len(text) if span is not None else 0
        if len(text) > MAX_LENGTH or len(text.encode()) > MAX_BYTES or self._nested > MAX_NESTED:
            raise Unreadable(refuse("guard.too-long", f"A command may have {MAX_LENGTH} characters, this has more."))
        for marks, limit in (
            ("|;&<>", MAX_OPERATORS),
            ("()[]{}", MAX_BRACKETS),
            ("$`", MAX_EXPANSIONS),
            ("@", MAX_EXPANSIONS),
            ("\n", MAX_LINES),
        ):
            if sum(text.count(mark) for mark in marks) > limit:
                shown_marks = "line breaks" if marks == "\n" else f"the characters {' '.join(marks)}"
                reason = f"More than {limit} of {shown_marks}. Split it."
                raise Unreadable(replace(refuse("guard.too-many", reason), span=span or (0, 0)))
        if _RUN.search(text):
            reason = "One character over and over. Leave that out."
            raise Unreadable(replace(refuse("guard.too-many", reason), span=span or (0, 0)))
        text = _plain_probe(text)
        source = text.encode()
        root = self._parser.parse(_NOT_ASCII.sub(lambda found: b"\x7f" * len(found[0]), source)).root_node
        deep, expands = _check_tree(root, text, source, span, MAX_TREE_DEPTH - self._depth)
        self.expands = self.expands or expands
        walk = _Walk(reader=self, source=source, texts=texts, outer=span)
        self._depth += deep
        try:
            return walk.statements(root, env, feed)
        finally:
            self._depth -= deep

    def count(self, span: tuple[int, int], words: int = 0) -> None:
        """One more command of so many words. Raises Unreadable when there are too many to read."""
        self._commands += 1
        self._words += words
        if words > MAX_ARGUMENTS:
            reason = f"A command of more than {MAX_ARGUMENTS} words. Split it."
            raise Unreadable(replace(refuse("guard.too-many", reason), span=span))
        if self._commands > MAX_COMMANDS or self._words > MAX_WORDS:
            reason = f"More than {MAX_COMMANDS} commands in one text. Split it."
            raise Unreadable(replace(refuse("guard.too-many", reason), span=span))


_NOT_ASCII = re.compile(rb"[\x80-\xff]+")
"""What the parser is not shown: its scanner asks isdigit() of any character, which reads past the end of a table for
those of the upper planes and ends the process (tree-sitter-bash 0.25.1). To bash they are all letters of a word that is
no name, as is the character that stands in their place; of it the door lets none through.
"""
_PROBE = re.compile(r"\bexec(\s+(\d+))<>(\s*/dev/(?:tcp|udp)/[^\s();|&<>]+)")


def _plain_probe(text: str) -> str:
    """`exec 3<>/dev/tcp/host/port` whose channel is used for nothing, as `:    3> /dev/tcp/…`: it opens the port.

    The parser does not know `<>`. As many characters as before, so that places in the text stay what they are.
    """
    if "<>" not in text or any(re.search(rf"[<>]&\s*{m[2]}\b|-u\s*{m[2]}\b|fd/", text) for m in _PROBE.finditer(text)):
        return text
    return _PROBE.sub(r":   \1> \3", text)


def _check_tree(
    root: tree_sitter.Node, text: str, source: bytes, span: tuple[int, int] | None, deepest: int
) -> tuple[int, bool]:
    """How deep the tree is, and whether anything in it is expanded.

    Raises Unreadable unless it is whole, small enough, and agrees with the second reader.
    """
    seen: set[int] = set()
    variables = False
    nodes = 0
    cursor = root.walk()
    depth = reached = 0
    covered = 0
    inside: list[str] = []
    while True:
        nodes += 1
        node = cursor.node
        reached = max(reached, depth)
        if depth > deepest or nodes > MAX_NODES or node is None:
            raise Unreadable(
                replace(
                    refuse("guard.too-deep", "Too deeply nested or too long to read. Split it."), span=span or (0, 0)
                )
            )
        if node.is_error or node.is_missing:
            reason = "It does not read as shell text here. Quote the words, or write it more plainly."
            raise Unreadable(replace(refuse("guard.unparsed", reason), span=span or (node.start_byte, node.end_byte)))
        if node.type in _EXPANSIONS:
            seen.add(node.start_byte + _blanks(source, node.start_byte))
        variables = variables or node.type == "simple_expansion"
        if node.start_byte > covered:
            _check_gap(source[covered : node.start_byte], inside, (covered, node.start_byte), span)
        if cursor.goto_first_child():
            covered = max(covered, node.start_byte)
            inside.append(node.type)
            depth += 1
            continue
        covered = max(covered, node.end_byte)
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                _check_gap(source[covered:], [], (covered, len(source)), span)
                _check_agreement(text, seen, span)
                return reached, variables or bool(seen)
            inside.pop()
            depth -= 1
            parent = cursor.node
            if parent is not None and parent.end_byte > covered:
                _check_gap(source[covered : parent.end_byte], [*inside, parent.type], (covered, parent.end_byte), span)
                covered = parent.end_byte


def _blanks(source: bytes, at: int) -> int:
    """How many blanks stand there: in a string the tree counts those before an expansion to the expansion."""
    return len(source[at : at + 200]) - len(source[at : at + 200].lstrip())


def _check_gap(gap: bytes, inside: list[str], place: tuple[int, int], span: tuple[int, int] | None) -> None:
    """Raises Unreadable if a part that is in no node of the tree holds more than blanks.

    Inside strings, words and here-documents such parts are text, and are read as text.
    """
    if not gap.strip() or (inside and inside[-1] in _TEXTS):
        return
    if gap.strip() == b"-" and inside[-1:] == ["redirected_statement"]:
        return  # `cat - <<E`: `_Walk.redirected` knows of it
    if gap.replace(b"\\\r\n", b"").replace(b"\\\n", b"").strip():
        reason = "A part of this text is in no command the guard can see. Write it more plainly."
        raise Unreadable(replace(refuse("guard.dropped", reason), span=span or place))


def _check_agreement(text: str, seen: set[int], span: tuple[int, int] | None) -> None:
    starts = expansion_starts(text)
    reason = "Two ways of reading this text disagree about what would run. Write it more plainly."
    if starts is None:
        raise Unreadable(replace(refuse("guard.disagreement", reason), span=span or (0, 0)))
    for start in starts:
        offset = start if text.isascii() else len(text[:start].encode())
        if offset not in seen:
            raise Unreadable(replace(refuse("guard.disagreement", reason), span=span or (offset, offset + 1)))


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a part of the text prints: its text where known, and who prints it."""

    text: str | None = None
    producers: tuple[tuple[str, ...], ...] = ()

    def as_feed(self) -> Feed:
        """For the next in the pipe."""
        return Feed(text=self.text, producers=self.producers or (("?",),))


SILENT = Output(text="")


@dataclass
class _Walk:
    reader: ShellReader
    source: bytes
    texts: int
    outer: tuple[int, int] | None

    def span(self, node: tree_sitter.Node) -> tuple[int, int]:
        return self.outer or (node.start_byte, node.end_byte)

    def text(self, node: tree_sitter.Node) -> str:
        return self.source[node.start_byte : node.end_byte].decode()

    # statements

    def statements(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        outputs = [self.walk(child, env, feed) for child in node.children if child.is_named]
        return _joined(outputs)

    def walk(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        method = _STATEMENTS.get(node.type)
        if method is None:
            self.refuse_kind(node)
            return Output()
        return method(self, node, env, feed)

    def refuse_kind(self, node: tree_sitter.Node) -> None:
        reason = (
            f"The guard does not read `{shown(self.text(node))}` ({node.type.replace('_', ' ')}). Write it plainly."
        )
        self.reader.report(refuse("guard.unread-construct", reason), self.span(node))

    def comment(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        return SILENT

    def command(
        self,
        node: tree_sitter.Node,
        env: Env,
        feed: Feed,
        extra: tuple[str, ...] = (),
        opened_around: list[tuple[str, str]] | None = None,
    ) -> Output:
        assigned: list[tuple[str, str]] = []
        argv: list[str] = []
        opened: list[tuple[str, str]] = [*(opened_around or ())]
        for child in node.children:
            match child.type:
                case "variable_assignment":
                    assigned.append(self.assignment(child, env))
                case "file_redirect":
                    feed = self.file_redirect(child, env, feed, opened)
                case "herestring_redirect":
                    feed = self.here_string(child, env)
                case "command_name":
                    if self.text(child).strip('"') in ("$0", "${0}", "$BASH_SOURCE"):
                        reason = "It would start itself again, and that one itself, without end."
                        self.reader.report(refuse("process.fork-bomb", reason), self.span(node))
                    argv += self.fields(child.children[0], env)
                case _:
                    argv += self.fields(child, env)
        invocation = Invocation(
            argv=(*argv, *extra),
            span=self.span(node),
            feed=feed,
            env=env,
            assigned=tuple(assigned),
            texts=self.texts,
        )
        return self.start(invocation, opened)

    def start(self, invocation: Invocation, opened: list[tuple[str, str]]) -> Output:
        self.reader.count(invocation.span)
        for name, value in invocation.assigned:
            self.reader.judge.assign(self.reader, name, value, invocation)
            if not invocation.argv:
                invocation.env.variables[name] = value
        for mark, target in opened:
            self.reader.judge.redirect(self.reader, mark, target, invocation)
        if not invocation.argv:
            return SILENT
        self.reader.judge.command(self.reader, invocation)
        return _output_of(invocation)

    def assignment(self, node: tree_sitter.Node, env: Env) -> tuple[str, str]:
        name_node = node.child_by_field_name("name")
        value_node = node.child_by_field_name("value")
        if name_node is None:
            return "?", UNKNOWN
        name = self.text(name_node)
        if name_node.type == "subscript":
            self.substitutions(name_node, env)
            name = name.split("[")[0]
            env.arrays[name] = (UNKNOWN,)
            return name, UNKNOWN if value_node is None else self.single(value_node, env) and UNKNOWN
        if value_node is not None and value_node.type == "array":
            items = tuple(f for child in value_node.named_children for f in self.fields(child, env))
            more = any(child.type == "+=" for child in node.children)
            before = env.arrays.get(name, (env.variables[name],) if name in env.variables else ()) if more else ()
            env.arrays[name] = (*before, *items)
            return name, env.arrays[name][0] if env.arrays[name] else ""
        value = "" if value_node is None else self.single(value_node, env)
        if any(child.type == "+=" for child in node.children):
            value = self.variable(name, env) + value
        return name, value if len(value) <= MAX_LENGTH else UNKNOWN

    def bare_assignment(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        name, value = self.assignment(node, env)
        invocation = Invocation(argv=(), span=self.span(node), env=env, assigned=((name, value),), texts=self.texts)
        return self.start(invocation, [])

    def bare_assignments(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        for child in node.named_children:
            self.bare_assignment(child, env, feed)
        return SILENT

    def declaration(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        keyword = self.text(node.children[0])
        words: list[str] = []
        for child in node.children[1:]:
            if child.type == "variable_assignment":
                name, value = self.assignment(child, env)
                invocation = Invocation(argv=(), span=self.span(node), env=env, assigned=((name, value),))
                self.start(invocation, [])
                if keyword in ("declare", "typeset", "local") and any(
                    "i" in w or "n" in w for w in words if w[:1] == "-"
                ):
                    env.variables[name] = UNKNOWN
            elif child.type == "variable_name":
                words.append(self.text(child))
            else:
                words += self.fields(child, env)
        invocation = Invocation(argv=(keyword, *words), span=self.span(node), feed=feed, env=env, texts=self.texts)
        return self.start(invocation, [])

    def unset(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        words = []
        for child in node.children[1:]:
            words += [self.text(child)] if child.type == "variable_name" else self.fields(child, env)
        for name in words:
            env.variables[name] = ""
        return self.start(Invocation(argv=("unset", *words), span=self.span(node), env=env, texts=self.texts), [])

    def pipeline(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        output = Output()
        producers: tuple[tuple[str, ...], ...] = feed.producers
        for child in node.named_children:
            output = self.walk(child, env.copy(), feed)
            fed = output.producers[: len(producers)] == producers
            producers = output.producers if fed else tuple(dict.fromkeys((*producers, *output.producers)))
            output = Output(text=output.text, producers=producers)
            feed = output.as_feed()
        return output

    def sequence(
        self,
        node: tree_sitter.Node,
        env: Env,
        feed: Feed,
        last: Callable[[tree_sitter.Node, Env], Output] | None = None,
    ) -> Output:
        """`a && b || c`: the first always runs, the others may. `last` reads the last one in its own way."""
        left, right = node.named_children[0], node.named_children[1:]
        outputs = [self.walk(left, env, feed)]
        for child in right:
            branch = env.copy()
            own = last is not None and child.id == right[-1].id
            outputs.append(last(child, branch) if own and last is not None else self.walk(child, branch, feed))
            if any(c.type == "||" for c in node.children):
                env.join(branch)
            else:
                env.variables, env.arrays, env.cwd = branch.variables, branch.arrays, branch.cwd
                env.functions |= branch.functions
        return _joined(outputs)

    def subshell(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        return self.statements(node, env.copy(), feed)

    def compound(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        if node.children and node.children[0].type == "((":
            self.arithmetic(node, env)
            return SILENT
        return self.statements(node, env, feed)

    def branches(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        """`if` and `case` and their parts: each branch may run or not."""
        outputs = []
        body: Env | None = None
        for index, child in enumerate(node.children):
            kind = node.field_name_for_child(index)
            if not child.is_named:
                continue
            if kind == "condition":
                outputs.append(self.walk(child, env, feed))
            elif kind == "value" or child.type in ("extglob_pattern", "regex"):
                self.substitutions(child, env)
            elif child.type in ("elif_clause", "else_clause", "case_item"):
                branch = env.copy()
                outputs.append(self.walk(child, branch, feed))
                env.join(branch)
            else:
                body = body or env.copy()
                outputs.append(self.walk(child, body, feed))
        if body is not None:
            env.join(body)
        return _joined(outputs)

    def endless(self, node: tree_sitter.Node) -> None:
        """A loop that starts things in the background and never waits is a fork bomb."""
        behind: list[tree_sitter.Node] = []
        paced: set[str] = set()
        waiting = [node.child_by_field_name("body") or node]
        while waiting:
            current = waiting.pop()
            children = current.children
            for child, after in zip_longest(children, children[1:]):
                if after is not None and after.type == "&":
                    behind.append(child)
                elif child.type == "command_name":
                    paced.add(self.text(child).rsplit("/", 1)[-1])
                else:
                    waiting.append(child)
        spawns = behind or paced & _SPAWNING or re.search(r"(?<![&>])&\s*['\"]", self.text(node))
        if spawns and not paced & {"sleep", "wait", "read", "break", "exit", "return", "inotifywait"}:
            reason = "A loop without end that starts ever more in the background."
            self.reader.report(refuse("process.fork-bomb", reason), self.span(node))

    def loop(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        """`while` and `until`: what the body assigns is unknown before it and after it."""
        condition = node.child_by_field_name("condition")
        if condition is not None and _ALWAYS.fullmatch(self.text(condition).strip()):
            self.endless(node)
        self.forget_assigned(node, env)
        outputs = []
        for child in node.named_children:
            outputs.append(self.walk(child, env, feed))
        self.forget_assigned(node, env)
        return _joined(outputs)

    def for_loop(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        variable, body = node.child_by_field_name("variable"), node.child_by_field_name("body")
        if variable is None or body is None:
            self.refuse_kind(node)
            return Output()
        name = self.text(variable)
        values = [
            value
            for index, child in enumerate(node.children)
            if node.field_name_for_child(index) == "value"
            for value in self.fields(child, env)
        ]
        if not any(child.type == "in" for child in node.children):
            values = [UNKNOWN]
        if len(values) > 6 and all(value.isascii() and value.isdigit() for value in values):
            values = [values[0], values[-1], TOKEN]
        self.forget_assigned(body, env)
        outputs = []
        for value in values[:40] if len(values) <= 40 else [UNKNOWN]:
            env.variables[name] = value
            outputs.append(self.walk(body, env, feed))
        env.variables[name] = UNKNOWN if len(values) != 1 else values[0]
        self.forget_assigned(body, env)
        return _joined(outputs)

    def c_loop(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        if node.child_by_field_name("condition") is None:
            self.endless(node)
        self.forget_assigned(node, env)
        body = node.child_by_field_name("body")
        for index, child in enumerate(node.children):
            if child.is_named and node.field_name_for_child(index) != "body":
                self.arithmetic(child, env)
        return Output() if body is None else self.walk(body, env, feed)

    def forget_assigned(self, node: tree_sitter.Node, env: Env) -> None:
        """A loop's later rounds see what its earlier ones assigned."""
        for found in _descendants(node):
            if found.type == "variable_assignment":
                name = found.child_by_field_name("name")
                if name is not None:
                    env.variables[self.text(name).split("[")[0]] = UNKNOWN
                    env.arrays.pop(self.text(name).split("[")[0], None)

    def function(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is None or body is None:
            self.refuse_kind(node)
            return Output()
        called = {self.text(found) for found in _descendants(body) if found.type == "command_name"}
        self.reader.calls[self.text(name)] = called
        reached = set(called)
        waiting = [*called]
        while waiting:
            more = self.reader.calls.get(waiting.pop(), set()) - reached
            reached |= more
            waiting += more
        if self.text(name) in reached:
            reason = f"The function `{shown(self.text(name))}` calls itself and may never end."
            self.reader.report(refuse("process.fork-bomb", reason), self.span(node))
        inner = env.copy()
        self.walk(body, inner, NO_FEED)
        self.reader.judge.construct(self.reader, "function", self.span(node))
        env.functions.add(self.text(name))
        for found in _descendants(body):
            if found.type == "variable_assignment":
                assigned = found.child_by_field_name("name")
                if assigned is not None:
                    env.variables[self.text(assigned).split("[")[0]] = UNKNOWN
        return SILENT

    def test(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        """`[[ … ]]`, and `[ … ]` which bash also hands to the arithmetic of array subscripts."""
        words = self.substitutions(node, env)
        if any("[" in as_typed(word) and ("$(" in word or "`" in word) for word in words):
            reason = "A test that makes the shell run what stands in a subscript. Write it plainly."
            self.reader.report(refuse("guard.subscript", reason), self.span(node))
        return SILENT

    def redirected(self, node: tree_sitter.Node, env: Env, feed: Feed) -> Output:
        body = node.child_by_field_name("body")
        rest = [child for child in node.children if body is None or child.id != body.id]
        at = body.end_byte if body is not None else node.start_byte
        dashes = rest and self.source[at : rest[0].start_byte].strip() == b"-"
        return self.redirecting(body, rest, node, env, feed, ("-",) if dashes else ())

    def redirecting(
        self,
        body: tree_sitter.Node | None,
        redirects: list[tree_sitter.Node],
        node: tree_sitter.Node,
        env: Env,
        feed: Feed,
        extra_words: tuple[str, ...] = (),
    ) -> Output:
        """A statement with its redirections; `extra_words` are those the tree leaves out in front of them."""
        if body is not None and body.type == "list":
            # The tree puts the redirection around `a && b > x`; the shell gives it to `b` alone.
            return self.sequence(
                body, env, feed, lambda last, inner: self.redirecting(last, redirects, node, inner, feed)
            )
        opened: list[tuple[str, str]] = []
        extra: list[str] = [*extra_words]
        after: list[tree_sitter.Node] = []
        for child in redirects:
            if child.type == "file_redirect":
                feed = self.file_redirect(child, env, feed, opened)
            elif child.type == "herestring_redirect":
                feed = self.here_string(child, env)
            elif child.type == "heredoc_redirect":
                feed = self.here_document(child, env, feed, opened, extra, after)
        invocation = Invocation(argv=(), span=self.span(node), feed=feed, env=env, texts=self.texts)
        if body is None:
            output = self.start(invocation, opened)
        elif body.type == "command":
            output = self.command(body, env, feed, tuple(extra), opened)
        else:
            for mark, target in opened:
                self.reader.judge.redirect(self.reader, mark, target, replace(invocation, argv=("{",)))
            output = self.walk(body, env, feed)
        for rest in after:
            output = self.walk(rest, env, output.as_feed())
        return output

    def here_document(
        self,
        node: tree_sitter.Node,
        env: Env,
        feed: Feed,
        opened: list[tuple[str, str]],
        extra: list[str],
        after: list[tree_sitter.Node],
    ) -> Feed:
        quoted, text = False, ""
        for child in node.children:
            match child.type:
                case "heredoc_start":
                    quoted = any(char in self.text(child) for char in "\"'\\")
                case "heredoc_body":
                    text = self.text(child) if quoted else self.pieces(child, env, quoted=True)
                case "file_redirect":
                    feed = self.file_redirect(child, env, feed, opened)
                case "heredoc_end" | "<<" | "<<-" | "|" | "|&" | "&&" | "||" | "file_descriptor" | "\n":
                    pass
                case "command" | "pipeline" | "list" | "redirected_statement" | "subshell" | "compound_statement":
                    after.append(child)
                case kind if node.children and kind in _WORDS:
                    extra += self.fields(child, env)
                case _:
                    self.refuse_kind(child)
        text = text.replace(EMPTY, "")
        if any(child.type == "<<-" for child in node.children):
            text = "\n".join(line.lstrip("\t") for line in text.split("\n"))
        return Feed(text=text, producers=(("<<",),))

    def here_string(self, node: tree_sitter.Node, env: Env) -> Feed:
        words = [self.single(child, env) for child in node.named_children if child.type != "file_descriptor"]
        return Feed(text=as_typed("".join(words)) + "\n", producers=(("<<<",),))

    def file_redirect(self, node: tree_sitter.Node, env: Env, feed: Feed, opened: list[tuple[str, str]]) -> Feed:
        mark = "".join(child.type for child in node.children if not child.is_named)
        for index, child in enumerate(node.children):
            if node.field_name_for_child(index) != "destination":
                continue
            if child.type == "process_substitution":
                output = self.process(child, env)
                if mark == "<":
                    feed = Feed(producers=(*output.producers, ("<(",)))
                continue
            for target in self.fields(child, env) or [UNKNOWN]:
                if mark in (">&", "<&", ">&-", "<&-") and re.fullmatch(r"\d*-?", target):
                    continue
                opened.append((mark, target))
                if mark == "<":
                    feed = Feed(producers=(("cat", target),))
        return feed

    def process(self, node: tree_sitter.Node, env: Env) -> Output:
        incoming = node.children[0].type == ">("
        inner = Feed(producers=(("?",),)) if incoming else NO_FEED
        return self.statements(node, env.copy(), inner)

    # words

    def fields(self, node: tree_sitter.Node, env: Env) -> list[str]:
        """The words one word of the text becomes: braces, variables and quotes undone, globs marked."""
        raw = self.pieces(node, env, quoted=False)
        words: list[str] = []
        for expanded in expand_braces(raw):
            for word in _tilde(expanded).split(SPLIT):
                kept = word.replace(EMPTY, "")
                if kept or EMPTY in word:
                    words.append(kept)
        return words

    def single(self, node: tree_sitter.Node, env: Env) -> str:
        """The value of an assignment: one word, whatever is in it."""
        raw = _tilde(self.pieces(node, env, quoted=False)).replace(SPLIT, " ")
        return as_typed(raw.replace(EMPTY, ""))

    def pieces(self, node: tree_sitter.Node, env: Env, *, quoted: bool) -> str:
        method = _WORDS.get(node.type)
        if method is None:
            self.refuse_kind(node)
            self.substitutions(node, env)
            return UNKNOWN
        return method(self, node, env, quoted)

    def plain(self, node: tree_sitter.Node, env: Env, quoted: bool) -> str:
        text = self.text(node)
        return _unescape_quoted(text) if quoted else _unescape(text)

    def raw(self, node: tree_sitter.Node, env: Env, quoted: bool) -> str:
        return self.text(node)[1:-1] or EMPTY

    def ansi(self, node: tree_sitter.Node, env: Env, quoted: bool) -> str:
        return decode_escapes(self.text(node)[2:-1]) or EMPTY

    def string(self, node: tree_sitter.Node, env: Env, quoted: bool) -> str:
        return self.parts(node, env, quoted=True, skip='"') or EMPTY

    def body(self, node: tree_sitter.Node, env: Env, quoted: bool) -> str:
        return self.parts(node, env, quoted=True, skip="")

    def concatenation(self, node: tree_sitter.Node, env: Env, quoted: bool) -> str:
        return self.parts(node, env, quoted=quoted, skip="")

    def parts(self, node: tree_sitter.Node, env: Env, *, quoted: bool, skip: str) -> str:
        """The children one after the other, and what the tree leaves out between them as plain text."""
        out: list[str] = []
        at = node.start_byte
        for child in node.children:
            start = child.start_byte
            if child.type in _EXPANSIONS:
                start += _blanks(self.source, start)
            if start > at:
                gap = self.source[at:start].decode()
                out.append(_unescape_quoted(gap) if quoted else _unescape(gap))
            at = child.end_byte
            if child.is_named:
                out.append(self.pieces(child, env, quoted=quoted))
            elif child.type != skip:
                out.append(self.text(child))
        if at < node.end_byte:
            gap = self.source[at : node.end_byte].decode()
            out.append(_unescape_quoted(gap) if quoted else _unescape(gap))
        return "".join(out)

    def substitution(self, node: tree_sitter.Node, env: Env, quoted: bool) -> str:
        output = self.statements(node, env.copy(), NO_FEED)
        if output.text is not None:
            return self.spread(output.text.rstrip("\n"), env, quoted)
        paths = printed_paths(output.producers)
        if paths is not None:
            return SPLIT.join(paths)
        return self.reader.origin(output.producers)

    def process_word(self, node: tree_sitter.Node, env: Env, quoted: bool) -> str:
        return self.reader.origin((*self.process(node, env).producers, ("<(",)))

    def arithmetic_word(self, node: tree_sitter.Node, env: Env, quoted: bool) -> str:
        self.arithmetic(node, env)
        text = self.text(node)
        return _calculated(text[3:-2] if text.startswith("$((") else text[2:-1])

    def arithmetic(self, node: tree_sitter.Node, env: Env) -> None:
        """Substitutions inside run; variables whose value is no number would be evaluated as code."""
        self.substitutions(node, env)
        for found in _descendants(node):
            if found.type in ("variable_name", "word"):
                value = env.variables.get(self.text(found), "0")
                if "[" in as_typed(value):
                    reason = f"`{shown(self.text(found))}` is no number, and arithmetic would run what it holds."
                    self.reader.report(refuse("guard.subscript", reason), self.span(node))

    def simple_expansion(self, node: tree_sitter.Node, env: Env, quoted: bool) -> str:
        name = self.text(node)[1:]
        if name == "@" and "@" in env.arrays:
            return SPLIT.join(self.spread(item, env, quoted) or EMPTY for item in env.arrays["@"])
        if name == "*" and quoted and "@" in env.arrays:
            return self.merged(env.arrays["@"], env)
        if name in ("@", "*") or name.isdigit():
            return self.spread(env.variables.get(name, "bash" if name == "0" else UNKNOWN), env, quoted)
        return self.spread(self.variable(name, env), env, quoted)

    def expansion(self, node: tree_sitter.Node, env: Env, quoted: bool) -> str:
        match = _EXPANSION.match(self.text(node))
        if match is None:
            self.substitutions(node, env)
            return UNKNOWN
        name, rest = match["name"], match["rest"]
        if match["mark"] == "#" and not rest:
            return TOKEN
        if match["mark"]:
            self.substitutions(node, env)
            return UNKNOWN
        if match["index"]:
            return self.element(node, name, match["index"], rest, env, quoted)
        if rest.startswith("@P"):
            reason = f"`{shown(self.text(node))}` runs what the variable holds."
            self.reader.report(refuse("guard.prompt-expansion", reason), self.span(node))
            return UNKNOWN
        if rest.startswith((":-", ":=", "-", "=", ":+", "+", ":?", "?")):
            return self.default(node, name, rest, env, quoted)
        self.substitutions(node, env)
        value = self.variable(name, env) if not name.isdigit() else env.variables.get(name, UNKNOWN)
        return self.spread(_changed(value, rest), env, quoted)

    def default(self, node: tree_sitter.Node, name: str, rest: str, env: Env, quoted: bool) -> str:
        operators = {":-", ":=", "-", "=", ":+", "+", ":?", "?"}
        words = [c for c in node.named_children if c.type not in ("variable_name", "special_variable_name")]
        word = "".join(self.pieces(c, env, quoted=quoted) for c in words if self.text(c) not in operators)
        mark = rest[1] if rest[0] == ":" else rest[0]
        known = name in env.variables
        value = self.variable(name, env)
        if mark == "+":
            return word if known and value else ("" if known else UNKNOWN if word else "")
        if known and (value or rest[0] != ":"):
            return self.spread(value, env, quoted)
        if mark == "?":
            return self.spread(value or UNKNOWN, env, quoted)
        if not known and not has_unknown(value):
            return self.spread(value, env, quoted)
        if mark == "=":
            env.variables[name] = as_typed(word.replace(SPLIT, " ").replace(EMPTY, ""))
        return word

    def element(self, node: tree_sitter.Node, name: str, index: str, rest: str, env: Env, quoted: bool) -> str:
        self.substitutions(node, env)
        if "$(" in index or "`" in index or rest:
            return UNKNOWN
        items = env.arrays.get(name)
        if items is None:
            return self.spread(env.variables.get(name, UNKNOWN), env, quoted)
        if index == "[*]" and quoted:
            return self.merged(items, env)
        if index in ("[@]", "[*]"):
            return SPLIT.join(item or EMPTY for item in items)
        number = index[1:-1]
        if number.isascii() and number.isdigit() and not any(has_unknown(item) for item in items):
            return self.spread(items[int(number)] if len(number) < 4 and int(number) < len(items) else "", env, quoted)
        return UNKNOWN

    def merged(self, items: tuple[str, ...], env: Env) -> str:
        """`"$*"` and `"${a[*]}"`: one word, with the first separator between the items."""
        separators = env.variables.get("IFS", " \t\n")
        return UNKNOWN if has_unknown(separators) else separators[:1].join(items) or EMPTY

    def variable(self, name: str, env: Env) -> str:
        if name in env.variables:
            return env.variables[name]
        if name == "$":
            return "$$"
        if name == "!":
            return "%%"
        if name in _TOKENS or name in ("#", "?", "-"):
            return TOKEN
        if "HOOK" in name.upper():
            return self.reader.origin(((f"${name}",),))
        match name:
            case "HOME":
                return HOME
            case "PWD":
                return env.cwd or "."
            case "SHELL" | "BASH":
                return "/bin/bash"
            case "IFS":
                return " \t\n"
            case "PPID" | "SSH_CLIENT" | "SSH_CONNECTION" | "SSH_TTY":
                return self.reader.origin(((f"${name}",),))
        return UNKNOWN

    def spread(self, value: str, env: Env, quoted: bool) -> str:
        """A value where it is used: unquoted it falls apart at the separators and its globs count."""
        if quoted:
            return value or ""
        separators = env.variables.get("IFS", " \t\n")
        if has_unknown(separators):
            return UNKNOWN
        marks = {"*": STAR, "?": QUESTION, "[": BRACKET} | dict.fromkeys(separators, SPLIT)
        return "".join(marks.get(char, char) for char in value)

    def substitutions(self, node: tree_sitter.Node, env: Env) -> list[str]:
        """Judge what runs inside a part whose value does not matter; the words met on the way."""
        words: list[str] = []
        waiting = [node]
        while waiting:
            current = waiting.pop()
            if current.type in ("command_substitution", "process_substitution"):
                self.statements(current, env.copy(), NO_FEED)
            elif current.type in ("word", "raw_string", "string_content", "ansi_c_string"):
                words.append(self.text(current))
            elif current.type == "expansion" and current is not node:
                words.append(self.expansion(current, env, True))
            else:
                if current.type == "simple_expansion":
                    words.append(self.simple_expansion(current, env, True))
                waiting.extend(current.children)
        return words


def _joined(outputs: list[Output]) -> Output:
    if not outputs:
        return SILENT
    texts = [output.text for output in outputs]
    known = [text for text in texts if text is not None]
    # Each once: the parts of a loop in a pipe all name what feeds them, and pipes of loops would double that.
    producers = tuple(dict.fromkeys(p for output in outputs for p in output.producers))
    return Output(text="".join(known) if len(known) == len(texts) else None, producers=producers)


_SIFTERS = frozenset({"grep", "egrep", "head", "tail", "sort", "uniq", "shuf", "tac"})


def printed_paths(producers: tuple[tuple[str, ...], ...]) -> tuple[str, ...] | None:
    """The paths a `find` prints, as globs, where nothing after it does more than drop lines. None: it is no such."""
    if not producers or any(not p or p[0] not in _SIFTERS for p in producers[1:]):
        return None
    first = tuple(word for word in producers[0] if word != "sudo")
    if not first or first[0] != "find" or any(as_typed(w).startswith(_SPEAKING) for w in first[1:]):
        return None
    return found_paths(first)


_SPEAKING = ("-exec", "-ok", "-printf", "-fprint", "-fls", "-ls", "-delete")


def _descendants(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(current.children)


def _unescape(text: str) -> str:
    marks = {"*": STAR, "?": QUESTION, "[": BRACKET, "{": OPEN, "}": CLOSE, ",": COMMA}
    out: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            at += 1
            out.append("" if text[at] == "\n" else text[at])
        else:
            out.append(marks.get(char, char))
        at += 1
    return "".join(out)


def _unescape_quoted(text: str) -> str:
    return re.sub(r"\\(?:\n|([$`\"\\]))", lambda match: match[1] or "", text)


def decode_escapes(text: str) -> str:
    """`\\x72\\155` and the like as the characters they stand for."""

    def character(match: re.Match[str]) -> str:
        for group, base in ((1, 16), (2, 16), (3, 16), (4, 8)):
            if match[group]:
                code = int(match[group], base)
                return chr(code) if code < 0x110000 and not 0xD800 <= code <= LAST_PRIVATE else UNKNOWN
        if match[5]:
            return chr(ord(match[5]) & 0x1F)
        return _ESCAPES.get(match[6] or "", match[6] or "")

    return _ESCAPE.sub(character, text)


def _tilde(word: str) -> str:
    match = re.match(r"~([a-z_][a-z0-9_-]*)?(?=/|\Z)", word)
    if not match:
        return word
    home = HOME if not match[1] else "/root" if match[1] == "root" else f"/home/{match[1]}"
    return home + word[match.end() :]


def _changed(value: str, rest: str) -> str:
    """A value after `:1:2`, `^^`, `,,`, `#x`, `%x` or `/x/y`, where that can be told."""
    if not rest:
        return value
    if not is_plain(value):
        return UNKNOWN
    part = re.fullmatch(r":\s?(-?\d{1,4})(?::(-?\d{1,4}))?", rest)
    if part:
        tail = value[int(part[1]) :]
        return tail if part[2] is None else tail[: int(part[2])]
    match rest:
        case "^^":
            return value.upper()
        case ",,":
            return value.lower()
        case "^":
            return value[:1].upper() + value[1:]
        case ",":
            return value[:1].lower() + value[1:]
    cut = re.fullmatch(r"(##?|%%?)([\w./ :=-]*)", rest)
    if cut:
        return value.removeprefix(cut[2]) if cut[1][0] == "#" else value.removesuffix(cut[2])
    swap = re.fullmatch(r"(//?)([\w. :=-]+)(?:/([\w. :=/-]*))?", rest)
    if swap:
        return value.replace(swap[2], swap[3] or "", -1 if swap[1] == "//" else 1)
    return UNKNOWN


def _calculated(text: str) -> str:
    if not re.fullmatch(r"[0-9+\-*/% ()]{1,60}", text) or "**" in text or re.search(r"\d{7}", text):
        return UNKNOWN
    try:
        return str(_number(ast.parse(text.strip().replace("/", "//"), mode="eval").body))
    except (SyntaxError, ValueError, ZeroDivisionError, TypeError, RecursionError, MemoryError):
        return UNKNOWN


def _number(node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_number(left), _number(right))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand)
    raise ValueError("not a plain calculation")


def _output_of(invocation: Invocation) -> Output:
    """What a command prints, for the few whose answer stands in the text."""
    argv, feed = invocation.argv, invocation.feed
    producers = (*feed.producers, argv)
    text = _printed(argv, feed, invocation.env)
    return Output(text=text, producers=producers)


def _printed(argv: tuple[str, ...], feed: Feed, env: Env) -> str | None:
    while len(argv) > 1 and argv[0] in ("command", "builtin", "sudo", "env", "nohup", "exec") and argv[1][:1] != "-":
        if argv[0] == "command" and argv[1] == "-v":
            break
        argv = argv[1:]
    name, rest = argv[0].rsplit("/", 1)[-1], list(argv[1:])
    if any(has_glob(word) for word in rest) and name in ("echo", "printf"):
        return None
    match name:
        case "echo":
            return _echo(rest)
        case "printf":
            return _printf(rest)
        case "cat" if not rest or rest == ["-"]:
            return feed.text
        case "tee" if feed.text is not None:
            return feed.text
        case "base64" if rest and rest[0] in ("-d", "--decode", "-D", "-di") and len(rest) == 1:
            return _decoded(feed.text)
        case "tr" if len(rest) == 2 and feed.text is not None:
            return _translated(feed.text, as_typed(rest[0]), as_typed(rest[1]))
        case "rev" if not rest and feed.text is not None:
            return "\n".join(line[::-1] for line in feed.text.split("\n"))
        case (
            "true" | ":" | "cd" | "export" | "declare" | "local" | "readonly" | "set" | "unset" | "shift" | "test" | "["
        ):
            return ""
        case "pwd":
            return env.cwd or "."
        case "which" if len(rest) == 1:
            return rest[0]
        case "command" | "type" if len(rest) == 2 and rest[0] in ("-v", "-p", "-P"):
            return rest[1]
        case "mktemp":
            return _made_temporary(rest)
        case "hostname" | "whoami" | "nproc" | "arch" | "logname":
            return TOKEN if all(w.startswith("-") for w in rest) else None
        case "uname" if rest in (["-r"], ["-m"], ["-s"], ["-n"]):
            return TOKEN
        case "id" if rest in (["-u"], ["-un"], ["-nu"], ["-g"], ["-gn"], ["-u", "-n"]):
            return TOKEN
        case "date" if rest and rest[-1].startswith("+"):
            return _dated(rest[-1][1:])
        case "basename" if len(rest) == 1 and is_plain(rest[0]):
            return rest[0].rstrip("/").rsplit("/", 1)[-1]
        case "dirname" if len(rest) == 1 and is_plain(rest[0]) and "/" in rest[0].strip("/"):
            return rest[0].rstrip("/").rsplit("/", 1)[0]
        case "seq" if rest and all(w.isascii() and w.isdigit() and len(w) < 3 for w in rest) and len(rest) <= 2:
            first, last = (1, int(rest[0])) if len(rest) == 1 else (int(rest[0]), int(rest[1]))
            return "".join(f"{n}\n" for n in range(first, last + 1))
    return None


def _made_temporary(rest: list[str]) -> str | None:
    """The file or folder `mktemp` makes: its own scratch folder, or where the template says."""
    templates = [word for word in rest if not word.startswith("-")]
    options = [word for word in rest if word.startswith("-") and not re.fullmatch(r"--suffix=[\w.-]+", word)]
    if any(not re.fullmatch(r"-[dqut]+|--directory|--quiet|--tmpdir", word) for word in options) or len(templates) > 1:
        return None
    if not templates:
        return f"{_SCRATCH}/{TOKEN}"
    if has_unknown(templates[0]) or has_glob(templates[0]) or not re.search(r"XXX", templates[0]):
        return None
    made = re.sub(r"X{3,}", TOKEN, templates[0])
    inside = any(re.fullmatch(r"-[dqu]*t[dqu]*|--tmpdir", word) for word in options)
    return f"{_SCRATCH}/{made}" if inside and "/" not in made else made


_CLASSES = {
    "[:upper:]": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "[:lower:]": "abcdefghijklmnopqrstuvwxyz",
    "[:digit:]": "0123456789",
    "[:space:]": " \t\n\r\v\f",
    "[:blank:]": " \t",
}


def _translated(text: str, wanted: str, given: str) -> str | None:
    """What `tr wanted given` makes of a text. None: a set the guard does not read."""
    first, second = _set_of(wanted), _set_of(given)
    if not first or not second or not is_plain(text):
        return None
    second += second[-1] * max(0, len(first) - len(second))
    return text.translate({ord(a): b for a, b in zip(reversed(first), reversed(second[: len(first)]), strict=True)})


def _set_of(text: str) -> str | None:
    for name, letters in _CLASSES.items():
        text = text.replace(name, letters)
    text = decode_escapes(text)
    if not is_plain(text) or "[" in text:
        return None
    out = re.sub(
        r"(.)-(.)",
        lambda m: "".join(map(chr, range(ord(m[1]), ord(m[2]) + 1))) if 0 <= ord(m[2]) - ord(m[1]) < 128 else "",
        text,
        flags=re.DOTALL,
    )
    return out or None


def _dated(form: str) -> str | None:
    """What `date` prints: a token for every field, and what stands between them."""
    printed = re.sub(r"%D", f"{TOKEN}/{TOKEN}/{TOKEN}", form)
    printed = re.sub(r"%[-_0^#+]?\d*:{0,3}[A-BF-WYZa-bd-mp-su-wyz]", TOKEN, printed)
    return printed if re.fullmatch(rf"[\w./:+ {TOKEN}-]*", printed) else None


def _echo(rest: list[str]) -> str:
    flags = ""
    while rest and re.fullmatch(r"-[neE]+", rest[0]):
        flags += rest.pop(0)[1:]
    text = " ".join(rest)
    return (decode_escapes(text) if "e" in flags else text) + ("" if "n" in flags else "\n")


def _printf(rest: list[str]) -> str | None:
    if rest and rest[0] == "--":
        rest.pop(0)
    if not rest or rest[0].startswith("-") or rest[0] == "-v":
        return None
    pattern, values = decode_escapes(rest[0].replace("%%", "%")), rest[1:]
    if re.search(r"%(?![sb])", pattern):
        return None
    holes = len(re.findall(r"%[sb]", pattern))
    if not holes:
        return pattern
    out = []
    while True:
        taken, values = values[:holes] + [""] * (holes - len(values[:holes])), values[holes:]
        feed = iter(taken)
        out.append(re.sub(r"%([sb])", lambda m, f=feed: decode_escapes(next(f)) if m[1] == "b" else next(f), pattern))  # type: ignore[misc]
        if not values or len(out) > 200:
            return "".join(out)


def _decoded(text: str | None) -> str | None:
    if text is None or not is_plain(text):
        return None
    try:
        decoded = base64.b64decode(text.encode(), validate=False).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return (
        None if any(c not in "\n\t" and (ord(c) < 32 or 0xE000 <= ord(c) <= LAST_PRIVATE) for c in decoded) else decoded
    )


_STATEMENTS: dict[str, Callable[[_Walk, tree_sitter.Node, Env, Feed], Output]] = {
    "comment": _Walk.comment,
    "command": _Walk.command,
    "variable_assignment": _Walk.bare_assignment,
    "variable_assignments": _Walk.bare_assignments,
    "declaration_command": _Walk.declaration,
    "unset_command": _Walk.unset,
    "pipeline": _Walk.pipeline,
    "list": _Walk.sequence,
    "subshell": _Walk.subshell,
    "compound_statement": _Walk.compound,
    "do_group": _Walk.compound,
    "if_statement": _Walk.branches,
    "elif_clause": _Walk.branches,
    "else_clause": _Walk.branches,
    "case_statement": _Walk.branches,
    "case_item": _Walk.branches,
    "while_statement": _Walk.loop,
    "for_statement": _Walk.for_loop,
    "c_style_for_statement": _Walk.c_loop,
    "function_definition": _Walk.function,
    "test_command": _Walk.test,
    "redirected_statement": _Walk.redirected,
    "negated_command": _Walk.compound,
}
"""Every statement the guard reads; any other kind is refused."""

_WORDS: dict[str, Callable[[_Walk, tree_sitter.Node, Env, bool], str]] = {
    "word": _Walk.plain,
    "number": _Walk.plain,
    "string_content": _Walk.plain,
    "heredoc_content": _Walk.plain,
    "test_operator": _Walk.plain,
    "special_variable_name": _Walk.plain,
    "variable_name": _Walk.plain,
    "brace_expression": _Walk.plain,
    "regex": _Walk.plain,
    "raw_string": _Walk.raw,
    "ansi_c_string": _Walk.ansi,
    "string": _Walk.string,
    "heredoc_body": _Walk.body,
    "concatenation": _Walk.concatenation,
    "simple_expansion": _Walk.simple_expansion,
    "expansion": _Walk.expansion,
    "command_substitution": _Walk.substitution,
    "process_substitution": _Walk.process_word,
    "arithmetic_expansion": _Walk.arithmetic_word,
}
"""Every part of a word the guard reads; any other kind is refused."""
