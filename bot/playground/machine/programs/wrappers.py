"""Programs that run other programs: with another environment, user, session, for a limited time, word by word."""

import asyncio
import functools
import re
import shlex

from bot.playground.machine.grammar import ASSIGNMENT
from bot.playground.machine.processes import Process
from bot.playground.machine.signals import HUP, KILL, TERM, signal_number
from bot.playground.machine.system import Call


async def env(call: Call) -> int:
    """Run with other variables, or list them."""
    words, environment = call.words[1:], dict(call.environment)
    while words and (words[0] in ("-i", "-u") or "=" in words[0]):
        word = words.pop(0)
        if word == "-i":
            environment.clear()
        elif word == "-u":
            environment.pop(words.pop(0), None)
        else:
            name, _, value = word.partition("=")
            environment[name] = value
    if words:
        return await call.become(words, environment)
    for name, value in environment.items():
        await call.say(f"{name}={value}")
    return 0


async def nohup(call: Call) -> int:
    """Run without hearing HUP."""
    call.process.ignored.add(HUP)
    return await call.become(call.words[1:], call.environment)


async def setsid(call: Call) -> int:
    """Run in a session of its own; a group leader forks first, as it must."""
    rest = call.words[1:]
    wait = False
    while rest and rest[0].startswith("-"):
        wait = rest.pop(0) in ("-w", "--wait") or wait
    if not rest:
        return await call.complain("setsid: no command specified")
    if call.process.group != call.process.pid:
        call.process.session = call.process.group = call.process.pid
        return await call.become(rest, call.environment)
    child = call.fork(rest)
    child.session = child.group = child.pid
    return await status_of(child) if wait else 0


async def timeout(call: Call) -> int:
    """Run for so long at most: 124 if it took longer, 137 if it had to be killed."""
    rest, number, kill_after, foreground = call.words[1:], TERM, 0.0, False
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
    if len(rest) < 2:
        return await call.complain("timeout: missing operand", 125)
    limit, words = seconds(rest[0]), rest[1:]
    if call.system.program_path(words[0]) is None:
        return await call.complain(f"timeout: failed to run command ‘{words[0]}’: No such file or directory", 127)
    if not foreground:
        call.process.group = call.process.pid
    child = call.fork(words)

    def end(signal: int) -> None:
        call.system.processes.signal(child, signal)
        for member in [] if foreground else call.system.processes.group(call.process.group):
            if member is not call.process and member is not child:
                call.system.processes.signal(member, signal)

    call.process.relay = end
    if limit == 0 or await ends_within(child, limit):
        return await status_of(child)
    end(number)
    if kill_after and not await ends_within(child, kill_after):
        end(KILL)
        await child.ended.wait()
        return 128 + KILL
    await child.ended.wait()
    return 128 + KILL if number == KILL else 124


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


async def sudo(call: Call) -> int:
    """Run as root, or as -u USER. The caller may signal it, and it relays to what runs below."""
    rest, user = call.words[1:], "root"
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag == "-u" and rest:
            user = rest.pop(0)
        elif flag == "--":
            break
        elif flag in ("-v", "-k", "-l"):
            return 0
    if user not in call.system.users:
        return await call.complain(f"sudo: unknown user {user}")
    while rest and ASSIGNMENT.match(rest[0]):
        name, _, value = rest.pop(0).partition("=")
        call.environment[name] = value
    if not rest:
        return await call.complain("usage: sudo -h | -K | -k | -V")
    if call.system.program_path(rest[0]) is None:
        return await call.complain(f"sudo: {rest[0]}: command not found")
    if call.process.invoked_by is None:
        call.process.invoked_by = call.process.user
    caller = call.process.invoked_by
    call.process.user = "root"
    call.environment |= {"USER": user, "LOGNAME": user, "SUDO_USER": caller}
    child = call.fork(rest, user=user)
    child.invoked_by = None
    call.process.relay = functools.partial(call.system.processes.signal, child)
    await child.ended.wait()
    call.process.relay = None
    if child.fatal is not None:
        call.process.fatal = child.fatal
    return child.status or 0


async def xargs(call: Call) -> int:
    """Words of standard input as arguments."""
    rest, each, null, skip = call.words[1:], 0, False, False
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag == "-n":
            each = int(rest.pop(0))
        null = null or "0" in flag
        skip = skip or "r" in flag
    text = (await call.input()).decode("utf-8", "surrogateescape")
    items = [item for item in text.split("\0") if item] if null else shlex.split(text)
    if not items and skip:
        return 0
    step = each or max(len(items), 1)
    status = 0
    for start in range(0, max(len(items), 1), step):
        child = call.fork([*(rest or ["echo"]), *items[start : start + step]])
        if await status_of(child):
            status = 123
    return status


async def status_of(child: Process) -> int:
    """Its status, once it has ended."""
    await child.ended.wait()
    return child.status or 0
