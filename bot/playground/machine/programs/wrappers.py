"""Programs that run other programs: with other variables, signals, sessions, users, arguments."""

import functools
import shlex

from bot.playground.machine.grammar import ASSIGNMENT
from bot.playground.machine.signals import HUP
from bot.playground.machine.streams import decoded
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
    return await child.outcome() if wait else 0


async def sudo(call: Call) -> int:
    """Run as root, or as -u USER; -l says whether it would. The caller may signal it; it relays to what runs below."""
    rest, user, asks = call.words[1:], "root", False
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag == "-u" and rest:
            user = rest.pop(0)
        elif flag == "--":
            break
        elif flag in ("-v", "-k"):
            return 0
        asks = asks or flag == "-l"
    if asks:
        path = call.system.program_path(rest[0]) if rest else None
        if path is not None:
            await call.say(" ".join([path, *rest[1:]]))
        return int(bool(rest) and path is None)
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
    text = decoded(await call.input())
    items = [item for item in text.split("\0") if item] if null else shlex.split(text)
    if not items and skip:
        return 0
    step = each or max(len(items), 1)
    status = 0
    for start in range(0, max(len(items), 1), step):
        child = call.fork([*(rest or ["echo"]), *items[start : start + step]])
        if await child.outcome():
            status = 123
    return status
