"""Programs that look at files: ls, stat, du, df, readlink."""

import re
from collections.abc import Callable, Mapping, Sequence

from bot.playground.machine.files import Node
from bot.playground.machine.proc import NOBODY
from bot.playground.machine.programs.options import options
from bot.playground.machine.system import Call, SimulatedSystem


async def ls(call: Call) -> int:
    """The names in folders, or of files: -l, -a, -d."""
    found, operands = options(call.words)
    paths, status = await existing(call, operands, f"{call.name}: cannot access", 2)
    for operand, path in paths:
        await list_path(call, path, operand, found)
    return status


async def stat(call: Call) -> int:
    """What a format (-c, --format) says of paths."""
    found, operands = options(call.words, "c")
    paths, status = await existing(call, operands, f"{call.name}: cannot stat", 1)
    form = found.get("c") or found.get("format") or "%n %s %i %Y"
    for operand, path in paths:
        await call.say(stat_text(call.system, path, form, operand))
    return status


async def du(call: Call) -> int:
    """The size at and below paths, in KiB: -b in bytes, -h for people. Always summed, as with -s."""
    found, operands = options(call.words)
    paths, status = await existing(call, operands, f"{call.name}: cannot access", 1)
    for operand, path in paths:
        size = sized(call.system, path)
        shown = human(size) if "h" in found else str(size // (1 if "b" in found else 1024))
        await call.say(f"{shown}\t{operand}")
    return status


async def existing(
    call: Call, operands: Sequence[str], complaint: str, failure: int
) -> tuple[list[tuple[str, str]], int]:
    """The operands that exist with their paths, and the status: `failure` after a complaint about one that doesn't."""
    found: list[tuple[str, str]] = []
    status = 0
    for operand in operands or ["."]:
        path = call.path(operand)
        if call.system.files.exists(path):
            found.append((operand, path))
        else:
            status = await call.complain(f"{complaint} '{operand}': No such file or directory", failure)
    return found, status


async def list_path(call: Call, path: str, operand: str, found: Mapping[str, str]) -> None:
    """One operand of ls."""
    node = call.system.files.nodes.get(path)
    folder = node is not None and node.directory and "d" not in found
    names = call.system.files.children(path) if folder else [operand]
    for name in names:
        if name.startswith(".") and "a" not in found and "A" not in found and folder:
            continue
        if "l" not in found:
            await call.say(name)
            continue
        full = f"{path.rstrip('/')}/{name}" if folder else path
        await call.say(stat_text(call.system, full, "%A 1 %U %U %s %y %n", name))


def stat_text(system: SimulatedSystem, path: str, form: str, name: str) -> str:
    """stat's format."""
    node = system.files.nodes.get(path) or Node(number=1, modified=system.now())
    letters = "".join(mark if node.mode >> (8 - place) & 1 else "-" for place, mark in enumerate("rwxrwxrwx"))
    values = {
        "n": name,
        "s": str(node.size),
        "i": str(node.number),
        "Y": str(int(node.modified.timestamp())),
        "y": f"{node.modified:%Y-%m-%d %H:%M}",
        "U": node.owner,
        "u": str(system.users.get(node.owner, NOBODY)),
        "a": f"{node.mode:o}",
        "A": ("d" if node.directory else "-") + letters,
        "F": "directory" if node.directory else "regular file",
        "d": "2049",
        "h": "1",
        "%": "%",
    }
    return re.sub(r"%(.)", lambda each: values.get(each.group(1), "?"), form)


def sized(system: SimulatedSystem, path: str) -> int:
    """Bytes at and below a path."""
    return sum(system.files.nodes[each].size for each in system.files.below(path))


def human(size: float) -> str:
    """3.1G and its like."""
    for unit in ("", "K", "M", "G"):
        if size < 1024:
            return f"{size:.0f}{unit}" if not unit or size >= 10 else f"{size:.1f}{unit}"
        size /= 1024
    return f"{size:.1f}T"


async def readlink(call: Call) -> int:
    """The path itself: there are no links here. 1 for what is not there."""
    _, operands = options(call.words)
    paths, status = await existing(call, operands, "readlink:", 1)
    for _, path in paths:
        await call.say(path)
    return status


async def df(call: Call) -> int:
    """Free space of the simulated disk: 40 GiB, of which logs take a part; or with -i, its inodes."""
    found, operands = options(call.words, "B")
    _, status = await existing(call, operands, "df:", 1)
    if status:
        return status
    if "i" in found:
        await call.say("Filesystem       Inodes   IUsed    IFree IUse% Mounted on")
        await call.say("/dev/sda1       2621440  151022  2470418    6% /")
        return 0
    total = 40 * 1024**3
    used = min(total, 9 * 1024**3 + sized(call.system, "/"))
    if "output" in found:
        unit = int(found.get("B", "1024"))
        sizes = {"size": total // unit, "used": used // unit, "avail": (total - used) // unit}
        columns = found["output"].split(",")
        await call.say(" ".join(columns))
        await call.say(" ".join(str(sizes[name]) if name in sizes else "/" for name in columns))
        return 0
    show: Callable[[int], str] = human if "h" in found else lambda size: str(size // 1024)
    head = ("Filesystem", "Size" if "h" in found else "1K-blocks", "Used", "Avail", "Use%", "Mounted on")
    row = ("/dev/sda1", show(total), show(used), show(total - used), f"{-(-used * 100 // total)}%", "/")
    for cells in (head, row):
        await call.say(f"{cells[0]:<12}{cells[1]:>12}{cells[2]:>12}{cells[3]:>12}{cells[4]:>6} {cells[5]}")
    return 0
