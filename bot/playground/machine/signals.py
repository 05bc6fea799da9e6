"""Signals: their numbers, their names, and what they do to a process that has no say in it."""

import signal as signals

SIGNALS = {name.removeprefix("SIG"): int(number) for name, number in signals.Signals.__members__.items()}
SIGNAL_NAMES = {int(number): number.name.removeprefix("SIG") for number in signals.Signals}
HUP, INT, QUIT, KILL, PIPE, TERM, CONT = (
    SIGNALS[name] for name in ("HUP", "INT", "QUIT", "KILL", "PIPE", "TERM", "CONT")
)
STOPPING = frozenset(SIGNALS[name] for name in ("STOP", "TSTP", "TTIN", "TTOU"))
HARMLESS = frozenset(SIGNALS[name] for name in ("CHLD", "CONT", "URG", "WINCH"))


def signal_number(name: str) -> int | None:
    """TERM, SIGTERM, term, 15; None for no signal."""
    if name.isdecimal():
        return int(name) if int(name) == 0 or int(name) in SIGNAL_NAMES else None
    return SIGNALS.get(name.upper().removeprefix("SIG"))
