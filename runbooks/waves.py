"""Waves: in which order a changing runbook goes over several hosts, and how many may fail before it stops. Pure.

What is said counts in this order: the request (`--waves 1,25%,rest`), `handrail.yml`, the runbook's class. Where nobody
says anything, up to three hosts go one after the other; of more, one is the canary and the rest follows together.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from runbooks.plans import StoredPlan
from storage.errors import Invalid
from storage.records import Rollout

MOST_WAVES = 20
LONGEST_PAUSE = 3_600.0
ONE_BY_ONE = "1"
CANARY = "1,rest"
FEW = 3
"""So many hosts go one by one where nobody says otherwise."""
_REST = {"rest", "all", "remaining", "others"}
_UNITS = {"h": 3_600, "m": 60, "s": 1}


def waves_of(text: str) -> str:
    """Sizes of waves in one spelling ("1,25%,rest"); raises Invalid, naming the size that makes no sense."""
    sizes = [_size(size.strip()) for size in text.split(",")]
    if len(sizes) > MOST_WAVES:
        raise Invalid(f"There are {len(sizes)} waves; at most {MOST_WAVES} can be named. The last one is repeated.")
    if "rest" in sizes[:-1]:
        raise Invalid("`rest` takes all hosts that are left, so it stands last, and once.")
    return ",".join(sizes)


def _size(text: str) -> str:
    if text.lower() in _REST:
        return "rest"
    number = _share(text)
    if number is None:
        shown = f"'{text[:40]}'" if text else "An empty place"
        raise Invalid(f"{shown} is no size of a wave. Waves are numbers of hosts, shares or `rest`: `1,25%,rest`.")
    if not int(number.rstrip("%")):
        raise Invalid(f"A wave of {number} hosts would never get anywhere. Begin with one: `1,25%,rest`.")
    return number


def budget_of(text: str) -> str:
    """An error budget in one spelling ("1", "10%"); raises Invalid."""
    budget = _share(text)
    if budget is None:
        raise Invalid(f"'{text[:40]}' is no number of hosts that may fail. Say a number or a share: `1` or `10%`.")
    return budget


def _share(text: str) -> str | None:
    found = re.fullmatch(r"([0-9]{1,4}) ?(%?)", text.strip(), re.ASCII)
    if found is None or (found[2] and int(found[1]) > 100):
        return None
    return f"{int(found[1])}{found[2]}"


def pause_of(text: str) -> float:
    """Seconds of a pause as typed: 30s, 2m, 1m30s, or a bare number of seconds; raises Invalid."""
    typed = text.strip().lower()
    parts = re.findall(r"([0-9]+)([hms])", typed)
    if typed.isascii() and typed.isdigit() and len(typed) <= 6:
        seconds = float(typed)
    elif parts and re.fullmatch(r"(?:[0-9]{1,6}[hms])+", typed, re.ASCII):
        seconds = float(sum(int(number) * _UNITS[unit] for number, unit in parts))
    else:
        raise Invalid(f"'{text[:40]}' is no length of a pause. Say it like `30s` or `2m`.")
    if seconds > LONGEST_PAUSE:
        raise Invalid("A pause between two waves lasts an hour at most.")
    return seconds


def checked(rollout: Rollout) -> Rollout:
    """The same in one spelling; raises Invalid."""
    if rollout.pause is not None and not 0 <= rollout.pause <= LONGEST_PAUSE:
        raise Invalid("A pause between two waves lasts from nothing to an hour.")
    return replace(
        rollout,
        waves=waves_of(rollout.waves) if rollout.waves is not None else None,
        max_failures=budget_of(rollout.max_failures) if rollout.max_failures is not None else None,
    )


def over(first: Rollout, second: Rollout) -> Rollout:
    """What `first` says, and what it leaves open as `second` says it."""
    return Rollout(
        waves=second.waves if first.waves is None else first.waves,
        pause=second.pause if first.pause is None else first.pause,
        max_failures=second.max_failures if first.max_failures is None else first.max_failures,
    )


def divided(hosts: Sequence[str], sizes: str) -> tuple[tuple[str, ...], ...]:
    """The hosts in waves, in their order. A share is of all hosts, rounded up; the last size is repeated."""
    waves: list[tuple[str, ...]] = []
    left, wanted = list(hosts), sizes.split(",")
    while left:
        size = wanted[min(len(waves), len(wanted) - 1)]
        count = len(left) if size == "rest" else _count(size, len(hosts), up=True)
        waves.append(tuple(left[:count]))
        left = left[count:]
    return tuple(waves)


def _count(size: str, total: int, *, up: bool) -> int:
    if not size.endswith("%"):
        return int(size)
    share = int(size[:-1]) * total / 100
    return math.ceil(share) if up else math.floor(share)


def in_waves(plan: StoredPlan, asked: Rollout, usual: Rollout) -> StoredPlan:
    """A changing runbook's plan with its waves; one for a single host has none. A share of failures is rounded down."""
    hosts = [part.host for part in plan.hosts]
    if len(hosts) < 2:
        return plan
    said = over(asked, usual)
    waves = divided(hosts, said.waves or (ONE_BY_ONE if len(hosts) <= FEW else CANARY))
    return replace(
        plan,
        waves=waves,
        pause=said.pause or 0.0,
        max_failures=_count(said.max_failures or "0", len(hosts), up=False),
    )
