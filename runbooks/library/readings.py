"""What runbooks read of a host's disks, memory, load and processes, and how that is understood."""

import asyncio
import re
from dataclasses import dataclass

from runbooks import Probe

NOT_DISKS = {"tmpfs", "devtmpfs", "udev", "none", "shm", "efivarfs", "squashfs", "cgroup", "cgmfs", "dev"}
PSEUDO = ("/dev", "/proc", "/run", "/sys", "/snap")


async def file_systems(host: Probe, *, inodes: bool = False) -> dict[str, int]:
    """The use of each local file system in percent, by where it is mounted; none that lives in memory."""
    listed = await host.read("df", "-P", "-l", *(["-i"] if inodes else []), allow_exit={0, 1})
    found: dict[str, int] = {}
    for line in listed.splitlines()[1:]:
        match = re.match(r"(\S+)\s+(?:\S+\s+){3}(\d+)%\s+(/.*)\Z", line)
        if match is None or match[1] in NOT_DISKS or match[1].startswith("/dev/loop"):
            continue
        if not any(match[3] == place or match[3].startswith(f"{place}/") for place in PSEUDO):
            found[match[3]] = int(match[2])
    return found


async def memory_used(host: Probe) -> int | None:
    """Percent of memory that is neither free nor given back when asked for."""
    text = await host.read("cat", "/proc/meminfo", allow_exit=range(256))
    found = {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+)", text, re.MULTILINE)}
    if not found.get("MemTotal") or "MemAvailable" not in found:
        return None
    return round(100 - 100 * found["MemAvailable"] / found["MemTotal"])


async def loads(host: Probe) -> tuple[float, float, float]:
    """The load over one, five and fifteen minutes."""
    one, five, fifteen = map(float, (await host.read("cat", "/proc/loadavg")).split()[:3])
    return one, five, fifteen


async def processors(host: Probe) -> int:
    """How many there are; one if the host does not say."""
    counted = await host.read("nproc", allow_exit=range(256))
    return int(counted) if counted.isdigit() and int(counted) > 0 else 1


@dataclass(frozen=True, kw_only=True)
class Busy:
    """One process now. `processor`: percent of one processor; `memory`: bytes it has in memory; `state`: as in ps."""

    pid: int
    user: str
    name: str
    processor: float
    memory: int
    state: str


async def processes(host: Probe) -> tuple[list[Busy], float | None]:
    """What runs within one second, and the percent of time that processors wait for disks (None where it isn't known).

    Where there is no `top` that we can read, `ps` says what each has used on the average of its life.
    """
    shown = await host.read("env", "LC_ALL=C", "top", "-b", "-n", "2", "-d", "1", "-w", "300", allow_exit=range(256))
    blocks = re.split(r"^top - ", shown, flags=re.MULTILINE)
    found = _of_top(blocks[-1]) if len(blocks) > 2 else []
    if found:
        waits = re.search(r"([0-9.]+)\s*wa\b", blocks[-1])
        return found, float(waits[1]) if waits else None
    listed = await host.read("ps", "-eo", "pid=,user=,pcpu=,rss=,state=,comm=")
    return [_of_ps(words) for line in listed.splitlines() if len(words := line.split(None, 5)) == 6], None


def _of_top(block: str) -> list[Busy]:
    lines = block.splitlines()
    at = next((n for n, line in enumerate(lines) if {"PID", "%CPU", "RES", "S"} <= set(line.split())), None)
    if at is None:
        return []
    names = lines[at].split()
    place = {name: names.index(name) for name in ("PID", "USER", "RES", "S", "%CPU")}
    found = []
    for line in lines[at + 1 :]:
        words = line.split(None, len(names) - 1)
        if len(words) == len(names) and words[place["PID"]].isdigit():
            found.append(
                Busy(
                    pid=int(words[place["PID"]]),
                    user=words[place["USER"]],
                    name=words[-1].strip(),
                    processor=float(words[place["%CPU"]]),
                    memory=_bytes(words[place["RES"]]),
                    state=words[place["S"]],
                )
            )
    return found


def _bytes(text: str) -> int:
    """top's own writing: KiB, or with m, g, t."""
    factor = {"m": 1024**2, "g": 1024**3, "t": 1024**4}.get(text[-1:].lower())
    return int(float(text[:-1]) * factor) if factor else int(float(text) * 1024)


def _of_ps(words: list[str]) -> Busy:
    pid, user, processor, resident, state, name = words
    memory = int(resident) * 1024
    return Busy(pid=int(pid), user=user, name=name, processor=float(processor), memory=memory, state=state[:1])


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """One disk within a second or so. `busy`: percent of the time; bytes read and written in a second."""

    disk: str
    busy: int
    read: float
    written: float


async def traffic(host: Probe) -> list[Traffic]:
    """What disks do meanwhile; none where the host does not say."""
    before = await _counters(host)
    await asyncio.sleep(0.5)
    after = await _counters(host)
    found = []
    seconds = after[0] - before[0]
    for disk, (read, written, spent) in after[1].items():
        former = before[1].get(disk)
        if former is not None and seconds > 0:
            found.append(
                Traffic(
                    disk=disk,
                    busy=min(100, round((spent - former[2]) / seconds / 10)),
                    read=(read - former[0]) * 512 / seconds,
                    written=(written - former[1]) * 512 / seconds,
                )
            )
    return found


async def _counters(host: Probe) -> tuple[float, dict[str, tuple[int, int, int]]]:
    """Seconds since the start, and by disk: sectors read, sectors written, milliseconds at work."""
    text = await host.read("cat", "/proc/uptime", "/proc/diskstats", allow_exit=range(256))
    first, *rest = text.splitlines() or ["0"]
    disks = {}
    for line in rest:
        words = line.split()
        if len(words) > 12 and re.fullmatch(r"(sd|vd|xvd|hd)[a-z]+|nvme\d+n\d+|mmcblk\d+|md\d+", words[2]):
            disks[words[2]] = (int(words[5]), int(words[9]), int(words[12]))
    return float(first.split()[0]), disks


def size(number: float) -> str:
    """ "1.8G" and its like."""
    for unit in ("B", "K", "M", "G"):
        if number < 1024:
            return f"{number:.0f}{unit}" if unit == "B" or number >= 10 else f"{number:.1f}{unit}"
        number /= 1024
    return f"{number:.1f}T"
