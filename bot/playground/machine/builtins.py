"""The commands that a shell carries out itself."""

import asyncio
import re
from collections.abc import Mapping

from bot.playground.machine.shell import EXIT, INSIDE, Builtin, Jump, Leave, Shell
from bot.playground.machine.signals import TERM, signal_number
from bot.playground.machine.streams import decoded
from bot.playground.machine.system import Call
from bot.playground.machine.variables import Trouble


async def cd(shell: Shell, words: list[str]) -> int:
    """Change the directory."""
    target = words[1] if len(words) > 1 else shell.variables.values.get("HOME", "/")
    path = shell.process.path(target)
    node = shell.system.files.nodes.get(path)
    if (node is None or not node.directory) and shell.system.files.proc.text(path) != "":
        await shell.complain(f"cd: can't cd to {target}")
        return 2
    shell.process.directory = path
    shell.variables.assign("PWD", path)
    return 0


async def exit_shell(shell: Shell, words: list[str]) -> int:
    """End the shell."""
    raise Leave(int(words[1]) & 0xFF if len(words) > 1 and words[1].isdecimal() else shell.variables.status)


async def return_(shell: Shell, words: list[str]) -> int:
    """End the function."""
    raise Jump("return", int(words[1]) if len(words) > 1 and words[1].isdecimal() else shell.variables.status)


async def jump(shell: Shell, words: list[str]) -> int:
    """break and continue."""
    raise Jump(words[0], int(words[1]) if len(words) > 1 and words[1].isdecimal() else 1)


async def evaluate(shell: Shell, words: list[str]) -> int:
    """Run the words as text."""
    return await shell.evaluate(" ".join(words[1:]))


async def dot(shell: Shell, words: list[str]) -> int:
    """Run a file's text here."""
    path = shell.process.path(words[1] if len(words) > 1 else "")
    try:
        text = decoded(shell.system.files.read(path, shell.process.user))
    except OSError as problem:
        raise Trouble(f".: cannot open {path}: {problem}") from problem
    return await shell.evaluate(text)


async def export(shell: Shell, words: list[str]) -> int:
    """export, readonly and local."""
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if word == "-p":
            continue
        if equals:
            shell.variables.assign(name, value)
        if words[0] == "export":
            shell.variables.exported.add(name)
        elif words[0] == "readonly":
            shell.variables.fixed.add(name)
    return 0


async def unset(shell: Shell, words: list[str]) -> int:
    """Forget variables or functions."""
    for name in words[1:]:
        if words[1] == "-f":
            shell.functions.pop(name, None)
        else:
            shell.variables.forget(name)
    return 0


async def set_options(shell: Shell, words: list[str]) -> int:
    """Options and positional parameters."""
    rest = words[1:]
    while rest and rest[0][:1] in ("-", "+") and len(rest[0]) > 1:
        flag = rest.pop(0)
        if flag == "--":
            shell.variables.positional = rest
            return 0
        change = shell.variables.options.add if flag[0] == "-" else shell.variables.options.discard
        long_names = {"errexit": "e", "nounset": "u", "noglob": "f", "monitor": "m", "allexport": "a"}
        for letter in flag[1:]:
            if letter == "o" and rest:
                name = rest.pop(0)
                change(long_names.get(name, name))
            else:
                change(letter)
    if rest:
        shell.variables.positional = rest
    return 0


async def shift(shell: Shell, words: list[str]) -> int:
    """Drop positional parameters."""
    count = int(words[1]) if len(words) > 1 and words[1].isdecimal() else 1
    if count > len(shell.variables.positional):
        raise Trouble("shift: can't shift that many")
    shell.variables.positional = shell.variables.positional[count:]
    return 0


async def trap(shell: Shell, words: list[str]) -> int:
    """What to do on a signal, or at the end."""
    rest = words[2:] if words[1:2] == ["--"] else words[1:]
    if len(rest) < 2:
        return 0
    text, names = rest[0], rest[1:]
    for name in names:
        number = EXIT if name in ("EXIT", "0") else signal_number(name)
        if number is None:
            await shell.complain(f"trap: {name}: bad trap")
            return 1
        shell.traps.pop(number, None)
        shell.process.ignored.discard(number)
        shell.process.caught.discard(number)
        if text == "" and number:
            shell.process.ignored.add(number)
        elif text not in ("-", ""):
            shell.traps[number] = text
            if number:
                shell.process.caught.add(number)
    return 0


async def wait(shell: Shell, words: list[str]) -> int:
    """Wait for background commands; a trapped signal ends the waiting."""
    wanted = [int(word) for word in words[1:] if word.isdecimal()] or list(shell.jobs)
    status = 0
    for pid in wanted:
        child = shell.jobs.get(pid)
        if child is None:
            status = 127
            continue
        waiting = [asyncio.ensure_future(child.ended.wait()), asyncio.ensure_future(shell.process.alert.wait())]
        try:
            if not shell.process.pending:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
        if child.status is None:
            number = shell.process.pending[0] if shell.process.pending else TERM
            await shell.take_signals()
            return 128 + number
        status = child.status
        shell.jobs.pop(pid, None)
    return status if len(words) > 1 else 0


async def read(shell: Shell, words: list[str]) -> int:
    """One line of standard input into variables."""
    names = [word for word in words[1:] if not word.startswith("-")] or ["REPLY"]
    line = bytearray()
    complete = False
    while 0 in shell.process.files and (byte := await shell.process.files[0].read(1)):
        if byte == b"\n":
            complete = True
            break
        line += byte
    text = decoded(line)
    separators = shell.variables.values.get("IFS", " \t\n")
    blank = "".join(mark for mark in separators if mark in " \t\n")
    text = text.strip(blank) if blank else text
    for place, name in enumerate(names):
        if place == len(names) - 1 or not separators:
            piece, text = text, ""
        else:
            found = re.split(f"[{re.escape(separators)}]+", text, maxsplit=1)
            piece, text = found[0], found[1] if len(found) > 1 else ""
        shell.variables.assign(name, piece)
    return 0 if complete else 1


async def command(shell: Shell, words: list[str]) -> int:
    """command -v and type: what a name means."""
    call = Call(system=shell.system, process=shell.process, words=words, environment=shell.variables.environment)
    status = 0
    for name in (word for word in words[1:] if not word.startswith("-")):
        if name in shell.functions or name in shell.builtins or name in INSIDE or name in ("exec", "command"):
            found: str | None = name
        else:
            found = shell.system.program_path(name)
        if found is None:
            status = 127
            if words[0] == "type":
                await call.say(f"{name}: not found")
        else:
            await call.say(f"{name} is {found}" if words[0] == "type" else found)
    return status


async def nothing(shell: Shell, words: list[str]) -> int:
    """umask, ulimit, jobs and `:`: accepted, without effect here."""
    return 0


BUILTINS: Mapping[str, Builtin] = {
    ":": nothing,
    ".": dot,
    "break": jump,
    "cd": cd,
    "command": command,
    "continue": jump,
    "eval": evaluate,
    "exit": exit_shell,
    "export": export,
    "jobs": nothing,
    "local": export,
    "read": read,
    "readonly": export,
    "return": return_,
    "set": set_options,
    "shift": shift,
    "trap": trap,
    "type": command,
    "ulimit": nothing,
    "umask": nothing,
    "unset": unset,
    "wait": wait,
}
