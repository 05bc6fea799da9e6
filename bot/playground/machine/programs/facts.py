"""Programs that print one thing about the host, its clock or the person."""

from bot.playground.machine.proc import NOBODY
from bot.playground.machine.programs.options import options
from bot.playground.machine.system import Call, SimulatedSystem


async def pwd(call: Call) -> int:
    """The current directory."""
    await call.say(call.process.directory)
    return 0


async def whoami(call: Call) -> int:
    """The user's name."""
    await call.say(call.process.user)
    return 0


async def id_(call: Call) -> int:
    """The user and the group, which are the same here; -u, -g, -n."""
    found, _ = options(call.words)
    user = call.process.user
    number = call.system.users.get(user, NOBODY)
    if "n" in found:
        await call.say(user)
    elif "u" in found or "g" in found:
        await call.say(str(number))
    else:
        await call.say(f"uid={number}({user}) gid={number}({user}) groups={number}({user})")
    return 0


async def hostname(call: Call) -> int:
    """The host's name."""
    await call.say(call.system.hostname)
    return 0


async def uname(call: Call) -> int:
    """The simulated kernel: -a, -n, -r, -m."""
    found, _ = options(call.words)
    name, release = call.system.hostname, "6.1.0-simulated"
    everything = f"Linux {name} {release} #1 SMP PREEMPT_DYNAMIC x86_64 GNU/Linux"
    letters = {"n": name, "r": release, "m": "x86_64", "a": everything}
    await call.say(next((letters[letter] for letter in found if letter in letters), "Linux"))
    return 0


async def date(call: Call) -> int:
    """The host's time in UTC, in a format if one is given."""
    _, operands = options(call.words)
    form = next((word[1:] for word in operands if word.startswith("+")), "%a %b %e %H:%M:%S UTC %Y")
    now = call.system.now()
    await call.say(now.strftime(form.replace("%s", str(int(now.timestamp()))).replace("%N", "000000000")))
    return 0


async def uptime(call: Call) -> int:
    """For how long the host has been up, and how busy it is."""
    await call.say(uptime_line(call.system))
    return 0


def uptime_line(system: SimulatedSystem) -> str:
    """What `uptime` prints."""
    passed = system.now() - system.booted
    hours, minutes = divmod(passed.seconds // 60, 60)
    busy = sum(1 for process in system.processes.values() if process.processor > 50)
    clock = f"{system.now():%H:%M:%S} up {passed.days} days, {hours:2}:{minutes:02},  1 user"
    return f" {clock},  load average: {busy + 0.42:.2f}, {busy + 0.36:.2f}, {busy + 0.31:.2f}"


async def free(call: Call) -> int:
    """The memory, in KiB or with -m in MiB."""
    found, _ = options(call.words)
    total, used = (3914, 2260) if "m" in found else (4_008_516, 2_314_240)
    head = ("total", "used", "free", "shared", "buff/cache", "available")
    parts = (total, used, total // 10, total // 90, total // 4, total - used)
    await call.say(f"{'':15}{''.join(f'{name:>12}' for name in head)}")
    await call.say(f"{'Mem:':15}{''.join(f'{part:>12}' for part in parts)}")
    await call.say(f"{'Swap:':15}{0:>12}{0:>12}{0:>12}")
    return 0


async def nproc(call: Call) -> int:
    """How many processors there are."""
    await call.say("2")
    return 0


async def timedatectl(call: Call) -> int:
    """Whether the clock is synchronised: it is, as it is the machine's own."""
    _, operands = options(call.words)
    if operands != ["show"]:
        return await call.complain("timedatectl: only `timedatectl show` is simulated")
    await call.say("yes" if "--value" in call.words else "NTPSynchronized=yes")
    return 0


async def which(call: Call) -> int:
    """Where programs are: 1 if one is nowhere."""
    _, names = options(call.words)
    paths = [path for name in names if (path := call.system.program_path(name))]
    for path in paths:
        await call.say(path)
    return int(len(paths) < len(names))
