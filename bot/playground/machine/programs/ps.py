"""ps, in the forms that operators and the bot use."""

import posixpath
import re
from collections.abc import Mapping, Sequence

from bot.playground.machine.proc import NOBODY
from bot.playground.machine.processes import Process
from bot.playground.machine.programs.facts import uptime_line
from bot.playground.machine.programs.options import options
from bot.playground.machine.system import Call, SimulatedSystem

COLUMNS: dict[str, tuple[str, int]] = {  # name: heading, width; negative widths are flush left
    "pid": ("PID", 7),
    "ppid": ("PPID", 7),
    "pgid": ("PGID", 7),
    "sid": ("SID", 7),
    "uid": ("UID", 5),
    "user": ("USER", -8),
    "stat": ("STAT", -4),
    "s": ("S", 1),
    "lstart": ("STARTED", 24),
    "start": ("STARTED", 8),
    "etime": ("ELAPSED", 11),
    "etimes": ("ELAPSED", 7),
    "pcpu": ("%CPU", 4),
    "pmem": ("%MEM", 4),
    "rss": ("RSS", 5),
    "vsz": ("VSZ", 6),
    "tty": ("TT", -8),
    "time": ("TIME", 8),
    "ni": ("NI", 3),
    "comm": ("COMMAND", -15),
    "args": ("COMMAND", -27),
    "cgroup": ("CGROUP", -27),
    "unit": ("UNIT", -31),
}
SAME_COLUMN = {
    "cmd": "args",
    "command": "args",
    "pgrp": "pgid",
    "sess": "sid",
    "session": "sid",
    "euser": "user",
    "ruser": "user",
    "uname": "user",
    "%cpu": "pcpu",
    "%mem": "pmem",
    "ucmd": "comm",
    "ucomm": "comm",
    "state": "s",
    "euid": "uid",
    "nice": "ni",
    "tt": "tty",
    "tname": "tty",
    "cputime": "time",
    "rssize": "rss",
}


async def ps(call: Call) -> int:
    """The process table: -A, -e, -p, -C, -u, -g, -f, -o, --ppid, --no-headers, and `aux`."""
    words = ["--everything" if re.fullmatch(r"a?u?x?w*", word) else word for word in call.words]
    words = [word.replace("--pid=", "-p").replace("--format=", "-o") for word in words]
    found, operands = options(words, "opCugsGUtk")
    for name in ("sort", "ppid"):
        if found.get(name) == "" and operands:
            found[name] = operands.pop(0)
    if "p" not in found and operands and operands[0].isdecimal():
        found["p"] = ",".join(operands)
    wanted = found.get(
        "o",
        "user,pid,pcpu,pmem,vsz,rss,tty,stat,start,time,args"
        if "everything" in found
        else "user,pid,ppid,start,time,args"
        if "f" in found
        else "pid,tty,time,comm",
    )
    columns: list[tuple[str, str]] = []
    for piece in re.split(r"[,\s]+", wanted):
        key, equals, heading = piece.partition("=")
        key = SAME_COLUMN.get(key, key)
        if key not in COLUMNS:
            return await call.complain(f'error: unknown user-defined format specifier "{key}"')
        columns.append((key, heading if equals else COLUMNS[key][0]))
    rows = sorted(shown(call, found), key=lambda process: process.pid)
    if "sort" in found:
        key = found["sort"].split(",")[0]
        name = SAME_COLUMN.get(key.lstrip("+-"), key.lstrip("+-"))
        rows.sort(key=lambda process: order_key(call.system, process, name), reverse=key.startswith("-"))
    hidden = {"no-headers", "no-heading", "noheaders", "h"} & set(found)
    if any(heading for _, heading in columns) and not hidden:
        await call.say(ps_row([(key, heading) for key, heading in columns]))
    for process in rows:
        await call.say(ps_row([(key, ps_value(call.system, process, key)) for key, _ in columns]))
    return 0 if rows else 1


async def top(call: Call) -> int:
    """top -b: the busiest processes, as often as -n says."""
    found, _ = options(call.words, "ndwou")
    if "b" not in found:
        return await call.complain("top: failed tty get")
    rows = sorted(call.system.processes.values(), key=lambda process: (-process.processor, process.pid))
    for turn in range(int(found.get("n", "1"))):
        if turn:
            await call.system.pause(float(found.get("d", "3")))
            await call.say("")
        await call.say(f"top -{uptime_line(call.system)}")
        await call.say("%Cpu(s): 48.3 us,  1.2 sy,  0.0 ni, 50.1 id,  0.4 wa,  0.0 hi,  0.0 si,  0.0 st\n")
        await call.say("    PID USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND")
        for each in rows:
            sizes = f"{each.resident * 2:>7} {each.resident:>6} {each.resident // 4:>6}"
            share = f"{each.processor:>5.1f} {each.resident / 40_085:>5.1f}"
            await call.say(f"{each.pid:>7} {each.user:<8}  20   0 {sizes} {each.state} {share}   1:02.03 {each.name}")
    return 0


def order_key(system: SimulatedSystem, process: Process, name: str) -> tuple[float, str]:
    """What --sort compares."""
    text = ps_value(system, process, name)
    try:
        return float(text), ""
    except ValueError:
        return 0.0, text


def shown(call: Call, found: Mapping[str, str]) -> list[Process]:
    """The processes ps was asked for."""
    everything = list(call.system.processes.values())
    chosen: list[Process] = []
    asked = False
    for letter, value in (
        ("p", "pid"),
        ("C", "comm"),
        ("u", "user"),
        ("U", "user"),
        ("ppid", "ppid"),
        ("g", "sid"),
        ("s", "sid"),
    ):
        if found.get(letter):
            asked = True
            wanted = re.split(r"[,\s]+", found[letter])
            chosen += [
                each for each in everything if ps_value(call.system, each, value) in wanted and each not in chosen
            ]
    if asked:
        return chosen
    if {"A", "e", "everything"} & set(found):
        return everything
    return [each for each in everything if each.user == call.process.user and each.session == call.process.session]


def ps_row(cells: Sequence[tuple[str, str]]) -> str:
    """One line; the last cell is not padded to the right."""
    parts = []
    for place, (key, text) in enumerate(cells):
        width = COLUMNS[key][1]
        last = place == len(cells) - 1
        parts.append(text.rjust(width) if width > 0 else text if last else text.ljust(-width))
    return " ".join(parts)


def ps_value(system: SimulatedSystem, process: Process, key: str) -> str:
    """What a column says of a process."""
    running = (system.now() - process.started).total_seconds()
    match key:
        case "pid":
            return str(process.pid)
        case "ppid":
            return str(process.parent)
        case "pgid":
            return str(process.group)
        case "sid":
            return str(process.session)
        case "uid":
            return str(system.users.get(process.user, NOBODY))
        case "user":
            return process.user
        case "stat":
            return process.state + ("s" if process.session == process.pid else "")
        case "s":
            return process.state
        case "lstart":
            return f"{process.started:%a %b} {process.started.day:2} {process.started:%H:%M:%S %Y}"
        case "start":
            return f"{process.started:%H:%M:%S}"
        case "etime":
            days, left = divmod(int(running), 86_400)
            hours, minutes = divmod(left // 60, 60)
            ahead = f"{days}-{hours:02}:" if days else f"{hours:02}:" if hours else ""
            return f"{ahead}{minutes:02}:{left % 60:02}"
        case "etimes":
            return str(int(running))
        case "pcpu":
            return f"{process.processor:.1f}"
        case "pmem":
            return f"{process.resident / 40_085:.1f}"
        case "rss" | "vsz":
            return str(process.resident if key == "rss" else process.resident * 2)
        case "tty":
            return "?"
        case "time":
            spent = int(running * process.processor / 100)
            return f"{spent // 3600:02}:{spent // 60 % 60:02}:{spent % 60:02}"
        case "ni":
            return "0"
        case "comm":
            return process.name
        case "cgroup":
            return f"0::{process.cgroup}"
        case "unit":
            return posixpath.basename(process.cgroup)
    return process.line
