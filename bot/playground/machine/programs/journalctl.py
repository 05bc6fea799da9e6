"""journalctl."""

import re

from bot.playground.machine.journal import Entry
from bot.playground.machine.programs.options import options
from bot.playground.machine.system import Call, SimulatedSystem


async def journalctl(call: Call) -> int:
    """The journal: -u UNIT, -n N, -o short|short-iso|cat, -r."""
    words = [re.sub(r"^--(unit|lines|output)=", lambda found: f"-{found.group(1)[0]}", word) for word in call.words]
    found, _ = options(words, "unopS")
    rows = list(call.system.journal.entries)
    if "u" in found:
        units = {name.removesuffix(".service") for name in found["u"].split(",")}
        rows = [entry for entry in rows if entry.unit in units]
    count = found.get("n", "")
    rows = rows[len(rows) - min(int(count), len(rows)) :] if count.isdecimal() else rows[-10:] if "n" in found else rows
    if not rows:
        await call.say("-- No entries --")
    for entry in reversed(rows) if "r" in found else rows:
        await call.say(journal_line(call.system, entry, found.get("o", "short")))
    return 0


def journal_line(system: SimulatedSystem, entry: Entry, form: str) -> str:
    """One entry, as journalctl prints it."""
    if form == "cat":
        return entry.text
    at = f"{entry.at:%Y-%m-%dT%H:%M:%S%z}" if form.startswith("short-iso") else f"{entry.at:%b %d %H:%M:%S}"
    return f"{at} {system.hostname} {entry.origin}: {entry.text}"
