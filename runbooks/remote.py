"""The port to a host: what the engine asks of it, whoever answers (`ssh.py` for real; a fake in tests).

One command is one remote process group. It ends by itself, by its timeout, or because somebody pulled its `StopCord`;
in the last two cases the adapter ends the whole group and *looks*, so that the result says what was found.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from safety.clock import words as duration
from storage.records import Death, Platform


@dataclass(frozen=True, kw_only=True)
class Host:
    """One machine of the inventory. `key`, `passphrase` and `password` are names of stored secrets."""

    name: str
    address: str
    port: int = 22
    user: str
    platform: Platform = Platform.LINUX
    tags: frozenset[str] = frozenset()
    environment: str | None = None
    services: frozenset[str] = frozenset()
    key_file: Path | None = None
    key: str | None = None
    passphrase: str | None = None
    password: str | None = None

    @property
    def secrets(self) -> frozenset[str]:
        """The stored secrets that a login takes."""
        return frozenset(name for name in (self.key, self.passphrase, self.password) if name is not None)


class Stream(StrEnum):
    """Which of a command's two streams a line came from."""

    OUT = "stdout"
    ERR = "stderr"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of output, decoded and redacted. `altered`: redaction or a bound changed it, so it is no fact."""

    stream: Stream
    text: str
    altered: bool = False


@dataclass(frozen=True, kw_only=True)
class RemoteCommand:
    """What to run. `line` is shell text, quoted by `commands.shell_line`; `timeout` and `grace` are seconds.

    At most `max_lines` lines of `max_line` characters are handed over; the rest is drained and counted. `patient`: a
    host that can't be reached is tried again, as often as the rules allow; else whoever asks does that. `token`: the
    host keeps a record under that name, so that it can be asked later what became of the command (see `attend`).
    """

    line: str
    timeout: float = 60.0
    grace: float = 5.0  # between TERM and KILL
    stdin: bytes | None = field(default=None, repr=False)  # it may be a secret
    max_lines: int = 10_000
    max_line: int = 4_000
    patient: bool = True
    token: str | None = None


@dataclass(frozen=True, kw_only=True)
class Unreached:
    """A try to reach a host failed; the next one of at most `most` is number `attempt`, in `seconds`."""

    host: str
    reason: str
    seconds: float
    attempt: int
    most: int

    @property
    def words(self) -> str:
        """For whoever waits."""
        return f"{self.reason} Try {self.attempt} of {self.most} in {duration(self.seconds)}."


class Ended(StrEnum):
    """Why a command is over."""

    EXITED = "exited"
    TIMED_OUT = "timed out"
    STOPPED = "stopped"
    LOST = "lost"  # the connection broke after it was sent


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a command ended. `death` is set when we ended it ourselves: what a look at its group then found.

    A signal together with an exit status is what that status stands for by the custom of shells (128 + its number).
    """

    ended: Ended
    exit_status: int | None = None
    signal: str | None = None
    group: int | None = None
    death: Death | None = None
    survivors: tuple[int, ...] = ()  # pids still there, for `still running`
    lines: int = 0
    dropped: int = 0  # lines beyond `max_lines`
    cut: bool = False  # its streams were still open when we left: more may have come
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StillRunning:
    """A command that we lost sight of runs on."""

    group: int


@dataclass(frozen=True, kw_only=True)
class NotKnown:
    """What became of a command can't be told. `group`: its processes, as far as a record says.

    `early`: there is no record, which is also so while a command that was sent a moment ago has not begun.
    """

    reason: str
    group: int | None = None
    early: bool = False


class StopCord:
    """Pulled once, by anybody, to end a running command. The first reason stays; a shorter grace may follow."""

    def __init__(self) -> None:
        self._pulled = asyncio.Event()
        self.reason: str | None = None
        self.grace: float | None = None  # seconds between TERM and KILL; None: the command's own

    def pull(self, reason: str, *, grace: float | None = None) -> None:
        """End it. A second pull can only shorten the grace."""
        if self.reason is None:
            self.reason = reason
        if grace is not None:
            self.grace = grace if self.grace is None else min(self.grace, grace)
        self._pulled.set()

    @property
    def pulled(self) -> bool:
        """Whether somebody asked to stop."""
        return self._pulled.is_set()

    async def wait(self) -> None:
        """Return once pulled."""
        await self._pulled.wait()


@dataclass(frozen=True, kw_only=True)
class HostReport:
    """What `handrail hosts check` and `doctor` say about one host."""

    host: str
    ok: bool
    message: str
    facts: Mapping[str, str] = field(default_factory=dict)


class Remote(Protocol):
    """Runs commands on hosts. Shared by all executions of a process."""

    async def run(
        self,
        host: Host,
        command: RemoteCommand,
        *,
        cord: StopCord | None = None,
        on_line: Callable[[Line], None] | None = None,
        on_group: Callable[[int], None] | None = None,
        on_retry: Callable[[Unreached], None] | None = None,
    ) -> Finished:
        """Run it to its end. Lines and the process group are handed over as they come, in order.

        Raises HostUnreachable, HostKeyRefused or LoginRefused only while it is certain that nothing was sent; after
        that a broken connection is `Ended.LOST`. Cancelling the task pulls nothing: the remote command goes on.
        """
        ...

    async def end_groups(self, host: Host, groups: Sequence[int], *, grace: float) -> Mapping[int, Death]:
        """End these process groups (TERM, `grace` seconds, KILL) and look, in one remote command for all of them."""
        ...

    async def look(self, host: Host, groups: Sequence[int]) -> Mapping[int, tuple[int, ...]]:
        """The live pids of each group; raises HostError when the host can't be asked."""
        ...

    async def attend(self, host: Host, token: str) -> Finished | StillRunning | NotKnown:
        """What became of the command that was sent with this token; its output from now on is lost.

        Only for whoever lost sight of it. Raises HostError when the host can't be asked.
        """
        ...

    def forget(self, host: Host, token: str) -> None:
        """How it ended is kept elsewhere now: its record on the host may go, some time. Never raises."""
        ...

    async def check(self, host: Host) -> HostReport:
        """Connect and say in words whether it works, and what to do if not. Never raises."""
        ...

    async def close(self) -> None:
        """Close every connection; running remote commands are left alone."""
        ...
