"""Runs shell text: commands, pipes, redirections, traps and jobs of one simulated shell."""

import asyncio
import fnmatch
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeAlias, assert_never

from bot.playground.machine.expansion import Expansion
from bot.playground.machine.grammar import Garbled, Grammar
from bot.playground.machine.processes import Process
from bot.playground.machine.signals import INT, QUIT
from bot.playground.machine.streams import Null, Pipe, Stream, decoded, encoded, everything
from bot.playground.machine.syntax import (
    Branches,
    Case,
    Chained,
    Command,
    Each,
    Function,
    Grouped,
    Loop,
    Piped,
    Redirect,
    Redirected,
    Sequenced,
    Simple,
)
from bot.playground.machine.system import Call, SimulatedSystem
from bot.playground.machine.variables import Trouble, Variables

DEPTH_LIMIT = 120  # commands within commands while running; Python's own stack must never be the limit
INSIDE = frozenset(("echo", "printf", "test", "[", "true", "false", "pwd", "kill"))  # programs that need no process
EXIT = 0  # stands for the end among the signals that can be trapped


class Leave(Exception):
    """The shell ends with this status."""

    def __init__(self, status: int) -> None:
        self.status = status


class Jump(Exception):
    """`break`, `continue` or `return` on its way up; `count` loops, or the status returned."""

    def __init__(self, word: str, count: int) -> None:
        self.word, self.count = word, count


class Shell:
    """A POSIX shell in one simulated process: what `sh -c TEXT NAME ARGUMENTS` does."""

    def __init__(
        self,
        system: SimulatedSystem,
        variables: Variables,
        builtins: "Mapping[str, Builtin]",
    ) -> None:
        self.system, self.process, self.variables, self.builtins = system, variables.process, variables, builtins
        self.expansion = Expansion(variables, system.files, self.substitute)
        self.functions: dict[str, Command] = {}
        self.traps: dict[int, str] = {}  # by signal, or EXIT
        self.jobs: dict[int, Process] = {}
        self.substituted = 0  # the status of the last substitution of the running command
        self.lenient = 0  # above 0 where `set -e` does not end the shell
        self.depth = 0

    def below(self, process: Process) -> "Shell":
        """A subshell's state, in its own process."""
        other = Shell(self.system, self.variables.below(process), self.builtins)
        other.functions, other.lenient, other.depth = dict(self.functions), self.lenient, self.depth
        return other

    async def run_text(self, text: str) -> int:
        """Run a script to its end; the status the shell ends with."""
        return await self.conclude(self.evaluate(text))

    async def conclude(self, work: Awaitable[int]) -> int:
        """Run this to the shell's end, then the EXIT trap, which may end it with another status."""
        self.variables.status = await self.settled(work)
        return await self.settled(self.exit_trap(self.variables.status))

    async def settled(self, work: Awaitable[int]) -> int:
        """The status this ends the shell with: by itself, by `exit`, by a jump out of everything, or in trouble."""
        try:
            return await work
        except Leave as leave:
            return leave.status
        except Jump as jump:
            return jump.count if jump.word == "return" else 0
        except Trouble as trouble:
            await self.complain(str(trouble))
            return 2

    async def exit_trap(self, status: int) -> int:
        """Run the traps that wait, that of the end last and once; the status stays unless they exit."""
        await self.take_signals()
        if text := self.traps.pop(EXIT, ""):
            self.variables.status = status
            await self.evaluate(text)
        return status

    async def evaluate(self, text: str) -> int:
        """Parse and run text here."""
        try:
            program = Grammar(text).program()
        except (Garbled, RecursionError) as problem:
            await self.complain(str(problem))
            raise Leave(2) from problem
        return await self.run(program)

    async def complain(self, text: str) -> None:
        """A message of the shell itself."""
        if 2 in self.process.files:
            await self.process.files[2].write(encoded(f"{self.variables.name}: 1: {text}\n"))

    async def run(self, node: Command) -> int:
        """Run one node; its status is also `$?`."""
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise Trouble("Maximum function recursion depth reached")
        try:
            self.variables.status = await self.run_node(node)
        finally:
            self.depth -= 1
        return self.variables.status

    async def run_node(self, node: Command) -> int:
        """Run one node of any kind."""
        match node:
            case Simple():
                return self.strict(await self.simple(node))
            case Redirected():
                return await self.redirected(node)
            case Piped():
                return await self.piped(node)
            case Chained():
                return await self.chained(node)
            case Sequenced():
                return await self.sequenced(node)
            case Grouped():
                return self.strict(await self.subshell(node.body).outcome())
            case Branches():
                return await self.branched(node)
            case Loop():
                return await self.loop(node)
            case Each():
                return await self.each(node)
            case Case():
                return await self.case(node)
            case Function():
                self.functions[node.name] = node.body
                return 0
            case _:
                assert_never(node)

    def strict(self, status: int) -> int:
        """`set -e` ends the shell here."""
        if status and "e" in self.variables.options and not self.lenient:
            self.variables.status = status
            raise Leave(status)
        return status

    async def tried(self, node: Command) -> int:
        """Run a condition: its failure ends nothing."""
        self.lenient += 1
        try:
            return await self.run(node)
        finally:
            self.lenient -= 1

    async def sequenced(self, node: Sequenced) -> int:
        """One after the other; a background one is started."""
        status = 0
        for command, background in node.items:
            if background:
                self.start_background(command)
                status = 0
            else:
                status = await self.run(command)
            await self.take_signals()
        return status

    async def chained(self, node: Chained) -> int:
        """&& and ||."""
        status = await self.tried(node.first)
        for place, (operator, command) in enumerate(node.rest, 1):
            if (operator == "&&") == (status == 0):
                last = place == len(node.rest)
                status = await (self.run(command) if last else self.tried(command))
        return status

    async def branched(self, node: Branches) -> int:
        """If."""
        for condition, body in node.branches:
            if await self.tried(condition) == 0:
                return await self.run(body)
        return await self.run(node.otherwise) if node.otherwise else 0

    async def loop(self, node: Loop) -> int:
        """While and until. A loop gives way to others at every turn."""
        status = 0
        while (await self.tried(node.condition) == 0) != node.until:
            try:
                status = await self.run(node.body)
            except Jump as jump:
                if self.ends_loop(jump):
                    break
            await asyncio.sleep(0)
        return status

    async def each(self, node: Each) -> int:
        """For."""
        words = self.variables.positional if node.words is None else await self.expansion.fields(node.words)
        status = 0
        for word in list(words):
            self.variables.assign(node.name, word)
            try:
                status = await self.run(node.body)
            except Jump as jump:
                if self.ends_loop(jump):
                    break
            await asyncio.sleep(0)
        return status

    def ends_loop(self, jump: Jump) -> bool:
        """Whether this jump ends the loop that met it; one meant for a loop further out goes on."""
        if jump.word == "return":
            raise jump
        if jump.count > 1:
            raise Jump(jump.word, jump.count - 1)
        return jump.word == "break"

    async def case(self, node: Case) -> int:
        """Case."""
        word = await self.expansion.single(node.word)
        for patterns, body in node.arms:
            for pattern in patterns:
                if fnmatch.fnmatchcase(word, await self.expansion.pattern(pattern)):
                    return await self.run(body)
        return 0

    async def piped(self, node: Piped) -> int:
        """All at once, joined by pipes; the status is the last one's."""
        if len(node.commands) == 1:
            status = await self.tried(node.commands[0])
            return int(status == 0)
        children: list[Process] = []
        before: Stream | None = None
        for place, command in enumerate(node.commands):
            pipe = None if place == len(node.commands) - 1 else Pipe()
            child = self.subshell(command, before, pipe.writer if pipe else None)
            children.append(child)
            before = pipe.reader if pipe else None
        statuses = [await child.outcome() for child in children]
        failed = [status for status in statuses if status]
        status = failed[-1] if failed and "pipefail" in self.variables.options else statuses[-1]
        return int(status == 0) if node.negated else self.strict(status)

    def subshell(self, node: Command, stdin: Stream | None = None, stdout: Stream | None = None) -> Process:
        """A forked shell that runs this."""

        async def body(process: Process) -> int:
            shell = self.below(process)
            return await shell.conclude(shell.run(node))

        child = self.system.processes.fork(self.process, body)
        if stdin:
            child.connect(0, stdin)
        if stdout:
            child.connect(1, stdout)
        return child

    def start_background(self, node: Command) -> None:
        """Start it and remember it for `$!` and `wait`."""
        child = self.subshell(node, Null())
        if "m" in self.variables.options:
            child.group = child.pid
        else:
            child.ignored |= {INT, QUIT}
        self.variables.last_background = child.pid
        self.jobs[child.pid] = child

    async def take_signals(self) -> None:
        """Run the traps of the signals that came in."""
        while self.process.pending:
            text = self.traps.get(self.process.pending.pop(0), "")
            status = self.variables.status
            if text:
                await self.evaluate(text)
            self.variables.status = status

    async def redirected(self, node: Redirected) -> int:
        """A compound command with its redirections, undone afterwards."""
        saved = self.save()
        try:
            for redirect, target in await self.targets(node.redirects):
                await self.redirect(redirect, target)
            return await self.run(node.body)
        except OSError as problem:
            if isinstance(problem, BrokenPipeError):
                raise
            await self.complain(str(problem))
            return 2
        finally:
            self.restore(saved)

    def save(self) -> dict[int, Stream]:
        """The descriptors as they are, held."""
        return {number: stream.hold() for number, stream in self.process.files.items()}

    def restore(self, saved: dict[int, Stream]) -> None:
        """The descriptors as they were; a process that has ended meanwhile keeps none."""
        for number in list(self.process.files):
            self.process.disconnect(number)
        for number, stream in saved.items():
            if self.process.status is None:
                self.process.connect(number, stream)
            stream.release()

    async def targets(self, redirects: Iterable[Redirect]) -> list[tuple[Redirect, str]]:
        """Redirections with what they name. Expanded by the shell itself, before it forks, as `${x:=1}` shows."""
        return [(redirect, await self.expansion.single(redirect.target)) for redirect in redirects]

    async def redirect(self, redirect: Redirect, target: str) -> None:
        """Carry out one redirection in the process; raises OSError with the shell's words."""
        if redirect.operator in ("<<", "<<-"):
            pipe = Pipe(None)
            pipe.writer.hold()
            self.process.connect(redirect.number, pipe.reader)
            await pipe.writer.write(encoded(target))
            pipe.writer.release()
            return
        if redirect.operator in ("<&", ">&"):
            if target == "-":
                self.process.disconnect(redirect.number)
            elif target.isdecimal() and int(target) in self.process.files:
                self.process.connect(redirect.number, self.process.files[int(target)])
            else:
                raise OSError(f"{target}: Bad file descriptor")
            return
        how = "<" if redirect.operator == "<" else ">>" if redirect.operator == ">>" else ">"
        try:
            self.process.connect(
                redirect.number, self.system.files.open(self.process.path(target), how, self.process.user)
            )
        except OSError as problem:
            verb = "open" if how == "<" else "create"
            words = str(problem).replace("No such file or directory", "No such file")
            raise OSError(f"cannot {verb} {target}: {words}") from problem

    async def simple(self, node: Simple) -> int:
        """Expand, then assign, or run a function, a builtin or a program."""
        self.substituted = 0
        words = await self.expansion.fields(node.words)
        assigned = [(name, await self.expansion.single(word)) for name, word in node.assignments]
        if not words:
            for name, value in assigned:
                self.variables.assign(name, value)
            return await self.only_redirects(node) or self.substituted
        name = words[0]
        if name == "command" and len(words) > 1 and not words[1].startswith("-"):
            words = words[1:]
            name = words[0]
        elif name in self.functions:
            return await self.inside(node, assigned, lambda: self.function(words))
        if name == "exec":
            return await self.execute(node, words[1:], assigned)
        if name in self.builtins:
            return await self.inside(node, assigned, lambda: self.builtins[name](self, words))
        if name in INSIDE:
            call = Call(system=self.system, process=self.process, words=words, environment=self.variables.environment)
            return await self.inside(node, assigned, lambda: self.system.perform(call))
        child = await self.start(node, words, assigned)
        return await child.outcome()

    async def only_redirects(self, node: Simple) -> int:
        """`> file` alone."""
        return await self.inside(node, [], self.nothing) if node.redirects else 0

    async def nothing(self) -> int:
        """Do nothing, well."""
        return 0

    async def inside(self, node: Simple, assigned: list[tuple[str, str]], act: Callable[[], Awaitable[int]]) -> int:
        """Run something in the shell's own process, with redirections and assignments that end with it."""
        saved = self.save()
        before = {name: self.variables.values.get(name) for name, _ in assigned}
        try:
            for redirect, target in await self.targets(node.redirects):
                await self.redirect(redirect, target)
            for name, value in assigned:
                self.variables.assign(name, value)
            status = await act()
            if self.process.fatal is not None:  # it has signalled itself: here it dies
                await asyncio.sleep(0)
            return status
        except OSError as problem:
            if isinstance(problem, BrokenPipeError):
                raise
            await self.complain(str(problem))
            return 2
        finally:
            self.restore(saved)
            for name, old in before.items():
                if old is None:
                    self.variables.values.pop(name, None)
                else:
                    self.variables.values[name] = old

    async def function(self, words: list[str]) -> int:
        """Call a function."""
        before, self.variables.positional = self.variables.positional, words[1:]
        try:
            return await self.run(self.functions[words[0]])
        except Jump as jump:
            if jump.word != "return":
                raise
            return jump.count
        finally:
            self.variables.positional = before

    async def start(self, node: Simple, words: list[str], assigned: list[tuple[str, str]]) -> Process:
        """Fork, redirect in the child, and run the program there."""
        environment = self.variables.environment | dict(assigned)
        targets = await self.targets(node.redirects)

        async def body(process: Process) -> int:
            shell = self.below(process)
            try:
                for redirect, target in targets:
                    await shell.redirect(redirect, target)
            except OSError as problem:
                await shell.complain(str(problem))
                return 2
            return await self.system.execute(process, words, environment, shell=self.variables.name)

        return self.system.processes.fork(self.process, body, *words)

    async def execute(self, node: Simple, words: list[str], assigned: list[tuple[str, str]]) -> int:
        """`exec`: the redirections stay, and with words, this process becomes that program."""
        try:
            for redirect, target in await self.targets(node.redirects):
                await self.redirect(redirect, target)
        except OSError as problem:
            await self.complain(str(problem))
            raise Leave(2) from problem
        if words[:1] == ["--"]:
            words = words[1:]
        if not words:
            return 0
        self.process.caught.clear()
        environment = self.variables.environment | dict(assigned)
        self.process.rename(words)
        self.traps.clear()
        raise Leave(await self.system.execute(self.process, words, environment, shell=self.variables.name))

    async def substitute(self, body: Sequenced) -> str:
        """What a subshell prints, without the last line ends."""
        pipe = Pipe()
        child = self.subshell(body, stdout=pipe.writer)
        pipe.reader.hold()
        try:
            data = await everything(pipe.reader)
        except OSError as problem:
            raise Trouble(str(problem)) from problem
        finally:
            pipe.reader.release()
        self.variables.status = self.substituted = await child.outcome()
        return decoded(data).rstrip("\n")


Builtin: TypeAlias = "Callable[[Shell, list[str]], Awaitable[int]]"
