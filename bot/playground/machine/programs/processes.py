"""Programs that find and signal processes: kill, pgrep, pkill, pidof."""

import re
from collections.abc import Mapping, Sequence

from bot.playground.machine.processes import Process
from bot.playground.machine.programs.options import options
from bot.playground.machine.signals import SIGNALS, TERM, signal_number
from bot.playground.machine.system import Call


async def kill(call: Call) -> int:
    """Send a signal to processes, or with a negative number to groups; -0 only asks."""
    rest = call.words[1:]
    number: int | None = TERM
    if rest[:1] == ["-l"]:
        await call.say(" ".join(SIGNALS))
        return 0
    if rest[:1] in (["-s"], ["-n"]) and len(rest) > 1:
        number, rest = signal_number(rest[1]), rest[2:]
    elif rest and rest[0].startswith("-") and rest[0] != "--":
        number, rest = signal_number(rest[0][1:]), rest[1:]
    if number is None:
        return await call.complain("kill: Illegal option or signal", 2)
    rest = rest[1:] if rest[:1] == ["--"] else rest
    if not rest:
        return await call.complain(
            "kill: Usage: kill [-s sigspec | -signum | -sigspec] [pid]... or\nkill -l [exitstatus]", 2
        )
    status = 0
    for word in rest:
        problem = kill_one(call, word, number)
        if problem:
            status = await call.complain(f"kill: {problem}")
    return status


def kill_one(call: Call, word: str, number: int) -> str:
    """Signal what one operand names; what was wrong in words, or nothing."""
    if not re.fullmatch(r"-?\d+", word):
        return f"Illegal number: {word}"
    wanted = int(word)
    if wanted > 0:
        targets = [call.system.processes[wanted]] if wanted in call.system.processes else []
    elif wanted == -1:
        targets = [each for each in call.system.processes.values() if each.pid != 1 and each is not call.process]
    else:
        targets = call.system.processes.group(-wanted if wanted else call.process.group)
    if not targets:
        return "No such process"
    allowed = [each for each in targets if call.system.processes.may_signal(call.process, each)]
    if not allowed:
        return "Operation not permitted"
    for each in allowed:
        call.system.processes.signal(each, number)
    return ""


async def pgrep(call: Call) -> int:
    """The pids of processes by name: 0 if any, 1 if none. -x, -f, -u, -P, -g, -s, -o, -n; -c, -a, -l, -d."""
    found, operands = options(call.words, "uUPgsd")
    hits = matching(call, operands, found)
    if "c" in found:
        await call.say(str(len(hits)))
    elif hits:
        await call.say(found.get("d", "\n").join(listed(process, found) for process in hits))
    return 0 if hits else 1


async def pkill(call: Call) -> int:
    """Signal processes by name, with TERM or -SIGNAL; chosen as pgrep does."""
    number = next((number for word in call.words[1:] if (number := signal_flag(word)) is not None), TERM)
    words = [word for word in call.words if signal_flag(word) is None]
    found, operands = options(words, "uUPgs")
    status = 1
    for process in matching(call, operands, found):
        if call.system.processes.may_signal(call.process, process):
            call.system.processes.signal(process, number)
            status = 0
        else:
            await call.complain(f"pkill: killing pid {process.pid} failed: Operation not permitted")
    return status


async def pidof(call: Call) -> int:
    """The pids of processes of exactly this name, in one line: 0 if any, 1 if none."""
    _, operands = options(call.words)
    hits = matching(call, operands, {"x": ""})
    if hits:
        await call.say(" ".join(str(process.pid) for process in hits))
    return 0 if hits else 1


def signal_flag(word: str) -> int | None:
    """The signal that an option like -9 or -TERM names; None for any other word."""
    return signal_number(word[1:]) if word.startswith("-") else None


def matching(call: Call, operands: Sequence[str], found: Mapping[str, str]) -> list[Process]:
    """The processes that a pattern and pgrep's options choose, by pid; never the one that asks."""
    pattern = re.compile(operands[0] if operands else "")
    compare = pattern.fullmatch if "x" in found else pattern.search
    hits = [
        process
        for _, process in sorted(call.system.processes.items())
        if process is not call.process
        and compare(process.line if "f" in found else process.name)
        and chosen(process, found)
    ]
    return hits[:1] if "o" in found else hits[-1:] if "n" in found else hits


def chosen(process: Process, found: Mapping[str, str]) -> bool:
    """Whether a process is the user's, parent's, group's and session's that were asked for."""
    values = {
        "u": process.user,
        "U": process.user,
        "P": str(process.parent),
        "g": str(process.group),
        "s": str(process.session),
    }
    return all(value in found[letter].split(",") for letter, value in values.items() if letter in found)


def listed(process: Process, found: Mapping[str, str]) -> str:
    """What pgrep prints of a process: its pid, with -l its name, with -a its command line."""
    if "a" in found:
        return f"{process.pid} {process.line}"
    return f"{process.pid} {process.name}" if "l" in found else str(process.pid)
