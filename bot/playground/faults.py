"""Trouble on demand: what goes wrong with Slack, switched on for some methods, some number of times or until cleared.

The interesting one is `drop_after_effect`: the call is carried out and the answer lost, so that the caller cannot know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

EVERY_METHOD = "*"


class Mode(Enum):
    SLOW = "slow"  # answered late
    STATUS = "status"  # an HTTP status instead of an answer, nothing carried out
    CUT = "cut"  # the connection is cut, nothing carried out
    HANG = "hang"  # never answered, nothing carried out
    DROP_AFTER_EFFECT = "drop_after_effect"  # carried out, then the connection is cut without an answer
    HANG_AFTER_EFFECT = "hang_after_effect"  # carried out, never answered


@dataclass(kw_only=True)
class Fault:
    """One switch. `left` counts down the calls it still hits; `None` means until cleared."""

    id: int
    mode: Mode
    method: str
    seconds: float = 0.0
    status: int = 200
    retry_after: int | None = None
    error: str = ""  # one of Slack's names
    is_html: bool = False  # a page of something between us and Slack
    left: int | None = None

    def concerns(self, method: str) -> bool:
        return self.method in {EVERY_METHOD, method} and self.left != 0

    @property
    def words(self) -> str:
        what = {
            Mode.SLOW: f"answers {self.seconds:g} s late",
            Mode.STATUS: f"answers {self.status}{' ' * bool(self.error)}{self.error}{' with a page' * self.is_html}",
            Mode.CUT: "cuts the connection",
            Mode.HANG: "never answers",
            Mode.DROP_AFTER_EFFECT: "acts, then drops the connection",
            Mode.HANG_AFTER_EFFECT: "acts, then never answers",
        }[self.mode]
        where = "every method" if self.method == EVERY_METHOD else self.method
        return f"{where} {what}" + ("" if self.left is None else f", {self.left} more")


class Faults:
    """The switches that are on. The first one that concerns a method is used up before the next."""

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._faults: list[Fault] = []
        self._ids = 0
        self._released = asyncio.Event()

    def slow(self, seconds: float, method: str = EVERY_METHOD, *, times: int | None = None) -> Fault:
        return self._add(Mode.SLOW, method, times, seconds=seconds)

    def rate_limited(self, retry_after: int = 1, method: str = EVERY_METHOD, *, times: int | None = None) -> Fault:
        return self._add(Mode.STATUS, method, times, status=429, retry_after=retry_after)

    def server_error(self, method: str = EVERY_METHOD, *, status: int = 500, times: int | None = None) -> Fault:
        return self._add(Mode.STATUS, method, times, status=status)

    def refused(self, error: str, method: str = EVERY_METHOD, *, times: int | None = None) -> Fault:
        """Slack's own no, by its name."""
        return self._add(Mode.STATUS, method, times, error=error)

    def page(self, method: str = EVERY_METHOD, *, status: int = 200, times: int | None = None) -> Fault:
        """Somebody else answers, with HTML."""
        return self._add(Mode.STATUS, method, times, status=status, is_html=True)

    def cut(self, method: str = EVERY_METHOD, *, times: int | None = None) -> Fault:
        """End the connection without an answer, before anything is carried out."""
        return self._add(Mode.CUT, method, times)

    def hang(self, method: str = EVERY_METHOD, *, times: int | None = None) -> Fault:
        """Hold the connection open without an answer until `clear`, then cut it."""
        return self._add(Mode.HANG, method, times)

    def drop_after_effect(self, method: str = EVERY_METHOD, *, times: int | None = None) -> Fault:
        return self._add(Mode.DROP_AFTER_EFFECT, method, times)

    def hang_after_effect(self, method: str = EVERY_METHOD, *, times: int | None = None) -> Fault:
        return self._add(Mode.HANG_AFTER_EFFECT, method, times)

    def clear(self, fault_id: int | None = None) -> None:
        """Switch one off, or all; whoever hangs is let go."""
        self._faults = [fault for fault in self._faults if fault_id is not None and fault.id != fault_id]
        self._released.set()
        self._released = asyncio.Event()
        self.on_change()

    def all(self) -> list[Fault]:
        return [fault for fault in self._faults if fault.left != 0]

    def take(self, method: str) -> Fault | None:
        """The fault that hits this call, counted down."""
        fault = next((fault for fault in self._faults if fault.concerns(method)), None)
        if fault is not None and fault.left is not None:
            fault.left -= 1
            self.on_change()
        return fault

    async def until_cleared(self) -> None:
        await self._released.wait()

    def _add(
        self,
        mode: Mode,
        method: str,
        times: int | None,
        *,
        seconds: float = 0.0,
        status: int = 200,
        retry_after: int | None = None,
        error: str = "",
        is_html: bool = False,
    ) -> Fault:
        self._ids += 1
        fault = Fault(
            id=self._ids,
            mode=mode,
            method=method,
            left=times,
            seconds=seconds,
            status=status,
            retry_after=retry_after,
            error=error,
            is_html=is_html,
        )
        self._faults.append(fault)
        self.on_change()
        return fault
