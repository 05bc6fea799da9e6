"""The digest as a picture: how many executions came out how, over time and by runbook. Needs the extra `charts`.

Drawing takes about a second the first time: off the event loop, please.
"""

import io
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from storage.digest import Digest, Outcomes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RUNBOOKS = 7
LONGEST_NAME = 22
INK, FAINT, PAPER = "#1d2733", "#8a94a3", "#ffffff"
PARTS: Sequence[tuple[str, str, Callable[[Outcomes], int]]] = (
    ("succeeded", "#2a9d6f", lambda one: one.succeeded),
    ("failed", "#d1434b", lambda one: one.failed),
    ("never run", "#e9b44c", lambda one: one.refused),
    ("other", "#b9c2cf", lambda one: one.total - one.succeeded - one.failed - one.refused),
)
"""From the bottom up. Colours that also differ in lightness, so that they do without colour vision."""


def can_draw() -> bool:
    """Whether the extra is installed here."""
    return find_spec("matplotlib") is not None


def alternative(digest: Digest, zone: str) -> str:
    """The picture in words, for who cannot see it; at most 1,000 characters."""
    parts = [
        f"{_moment(one.since, digest, zone)}: {one.outcomes.total}"
        + (f" ({one.outcomes.failed} failed)" if one.outcomes.failed else "")
        for one in digest.series
        if one.outcomes.total
    ]
    runbooks = [f"{_name(name)} {one.total}" for name, one in list(digest.runbooks.items())[:RUNBOOKS]]
    said = f"{_headline(digest)}. Executions: {', '.join(parts)}. By runbook: {', '.join(runbooks)}."
    return said if len(said) <= 1_000 else said[:999] + "…"


def title(digest: Digest, zone: str) -> str:
    """The file's title: "Executions, Mon 16 Nov to Mon 23 Nov"."""
    first, last = (at.astimezone(ZoneInfo(zone)) for at in (digest.since, digest.until))
    return f"Executions, {first:%a %d %b %H:%M} to {last:%a %d %b %H:%M} ({zone})"


def png(digest: Digest, zone: str) -> bytes:
    """A PNG of 1,600 by 800 pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5), dpi=160, facecolor=PAPER)
    FigureCanvasAgg(figure)
    figure.text(0.035, 0.925, _headline(digest), fontsize=17, fontweight="bold", color=INK, parse_math=False)
    figure.text(0.035, 0.865, _subtitle(digest, zone), fontsize=10.5, color=FAINT, parse_math=False)
    over_time = figure.add_axes((0.036, 0.14, 0.57, 0.61))
    by_runbook = figure.add_axes((0.78, 0.14, 0.19, 0.61))
    _draw_series(over_time, digest, zone)
    _draw_runbooks(by_runbook, digest)
    shown = [part for part in PARTS if part[2](digest.outcomes)]
    left = 0.036
    for name, colour, number in shown:
        figure.text(left, 0.79, "■", fontsize=12, color=colour)
        figure.text(left + 0.018, 0.79, f"{name} {number(digest.outcomes):,}", fontsize=10.5, color=INK)
        left += 0.048 + 0.0085 * len(f"{name} {number(digest.outcomes):,}")
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor=PAPER)
    return out.getvalue()


def _draw_series(axes: "Axes", digest: Digest, zone: str) -> None:
    places = list(range(len(digest.series)))
    bottoms = [0] * len(places)
    for _, colour, number in PARTS:
        heights = [number(one.outcomes) for one in digest.series]
        axes.bar(places, heights, bottom=bottoms, width=0.72, color=colour, linewidth=0)
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    most = max(bottoms, default=0) or 1
    for place, total in zip(places, bottoms, strict=True):
        if total:
            axes.text(place, total + most * 0.025, f"{total:,}", ha="center", fontsize=9.5, color=INK)
    every = max(1, -(-len(places) // 12))
    labels = [_moment(digest.series[place].since, digest, zone).replace(" ", "\n", 1) for place in places[::every]]
    axes.set_xticks(places[::every], labels)
    axes.set_ylim(0, most * 1.14)
    axes.set_yticks([])
    _plain(axes)
    axes.axhline(0, color=FAINT, linewidth=0.8)


def _draw_runbooks(axes: "Axes", digest: Digest) -> None:
    shown = list(digest.runbooks.items())[:RUNBOOKS]
    places = list(range(len(shown)))
    lefts = [0] * len(places)
    for _, colour, number in PARTS:
        widths = [number(one) for _, one in shown]
        axes.barh(places, widths, left=lefts, height=0.62, color=colour, linewidth=0)
        lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
    most = max(lefts, default=0) or 1
    for place, total in zip(places, lefts, strict=True):
        axes.text(total + most * 0.04, place, f"{total:,}", va="center", fontsize=9.5, color=INK)
    axes.set_yticks(places, [_name(name) for name, _ in shown])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_ylim(max(RUNBOOKS, len(shown)) - 0.4 if shown else 1, -0.6)
    axes.set_xlim(0, most * 1.2)
    axes.set_xticks([])
    _plain(axes)


def _plain(axes: Any) -> None:
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, labelsize=9.5, labelcolor=INK, pad=6)


def _headline(digest: Digest) -> str:
    rate = digest.outcomes.rate
    whole = "no rate" if rate is None else f"{percent(rate)} % succeeded"
    number = digest.outcomes.total
    return f"{whole} of {number:,} execution{'' if number == 1 else 's'}"


def percent(share: float) -> int:
    """Never 100 where something failed, nor 0 where something did not."""
    return min(99, max(1, round(100 * share))) if 0 < share < 1 else round(100 * share)


def _subtitle(digest: Digest, zone: str) -> str:
    first, last = (at.astimezone(ZoneInfo(zone)) for at in (digest.since, digest.until))
    before = digest.before.rate
    than = f" · {percent(before)} % in the period before, of {digest.before.total:,}" if before is not None else ""
    return f"{first:%a %d %b %H:%M} to {last:%a %d %b %H:%M} ({zone}){than}"


def _moment(at: datetime, digest: Digest, zone: str) -> str:
    shape = "%H:%M" if digest.until - digest.since <= timedelta(hours=48) else "%a %d %b"
    return f"{at.astimezone(ZoneInfo(zone)):{shape}}"


def _name(name: str) -> str:
    """Only what every font has."""
    shown = "".join(one if " " <= one <= "~" else "?" for one in name)
    return shown if len(shown) <= LONGEST_NAME else shown[: LONGEST_NAME - 1] + "~"
