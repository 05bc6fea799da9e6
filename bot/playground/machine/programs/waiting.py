"""Programs that watch the clock: sleep and timeout."""

import asyncio
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.playground.machine.processes import Process
from bot.playground.machine.signals import KILL, TERM, signal_number
from bot.playground.machine.system import Call


async def sleep(call: Call) -> int:
    """Do nothing for so long."""
    if len(call.words) < 2:
        return await call.complain("sleep: missing operand")
    try:
        length = sum(seconds(word) for word in call.words[1:])
    except ValueError as problem:
        return await call.complain(f"sleep: {problem}")
    await call.system.pause(length)
    return 0


async def timeout(call: Call) -> int:
    """Run for so long at most: 124 if it took longer, 137 if it had to be killed."""
    limit, words = time_limit(call.words)
    if len(words) == 0:
        return await call.complain("timeout: missing operand", 125)
    if call.system.program_path(words[0]) is None:
        return await call.complain(f"timeout: failed to run command ‘{words[0]}’: No such file or directory", 127)
    if not limit.foreground:
        call.process.group = call.process.pid
    child = call.fork(words)
    end = functools.partial(signal_below, call, child, limit)
    call.process.relay = end
    if limit.seconds == 0 or await ends_within(child, limit.seconds):
        return await child.outcome()
    end(limit.signal)
    if limit.kill_after and not await ends_within(child, limit.kill_after):
        end(KILL)
        await child.ended.wait()
        return 128 + KILL
    await child.ended.wait()
    return 128 + KILL if limit.signal == KILL else 124


@dataclass(frozen=True, kw_only=True)
class TimeLimit:
    """For how long, by which signal it ends, and when KILL follows. Seconds; 0 is without end."""

    seconds: float
    signal: int
    kill_after: float
    foreground: bool


def time_limit(words: Sequence[str]) -> tuple[TimeLimit, list[str]]:
    """The limit, and the words to run: none if one of both is missing. Raises ValueError."""
    rest, number, kill_after, foreground = list(words[1:]), TERM, 0.0, False
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag in ("-k", "--kill-after"):
            kill_after = seconds(rest.pop(0))
        elif flag.startswith("--kill-after="):
            kill_after = seconds(flag.partition("=")[2])
        elif flag in ("-s", "--signal"):
            number = signal_number(rest.pop(0)) or TERM
        elif flag.startswith(("--signal=", "-s")):
            number = signal_number(flag.removeprefix("--signal=").removeprefix("-s")) or TERM
        elif flag == "--foreground":
            foreground = True
    length = seconds(rest[0]) if len(rest) > 1 else 0
    return TimeLimit(seconds=length, signal=number, kill_after=kill_after, foreground=foreground), rest[1:]


def signal_below(call: Call, child: Process, limit: TimeLimit, number: int) -> None:
    """Signal the child, and unless in the foreground, the rest of the group."""
    call.system.processes.signal(child, number)
    for member in [] if limit.foreground else call.system.processes.group(call.process.group):
        if member is not call.process and member is not child:
            call.system.processes.signal(member, number)


async def ends_within(child: Process, limit: float) -> bool:
    """Whether it ends within these seconds."""
    try:
        await asyncio.wait_for(child.ended.wait(), limit)
    except TimeoutError:
        return False
    return True


def seconds(text: str) -> float:
    """`5`, `0.5`, `2m`, `1h`, `1d`; raises ValueError with the words of the program."""
    found = re.fullmatch(r"(\d*\.?\d+|\d+\.)([smhd]?)", text)
    if not found:
        raise ValueError(f"invalid time interval ‘{text}’")
    return float(found.group(1)) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[found.group(2)]
