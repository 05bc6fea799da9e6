"""How often the app may call: Slack's tiers per method and minute, and one posted message per second and channel.

Slack publishes the tiers but not its bursts. Here a method may be called as often as its tier says within any 60
seconds, and a channel takes a burst of five messages before one per second. Only the method that went over is held up.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from enum import Enum

WINDOW = 60.0
MESSAGE_BURST = 5
MESSAGES_PER_SECOND = 1.0


class Tier(Enum):
    """Calls per minute; `SPECIAL` stands for Slack's "several hundred"."""

    ONE = 1
    TWO = 20
    THREE = 50
    FOUR = 100
    SPECIAL = 300


class RateLimits:
    """Counts calls by the given clock. `scale` multiplies every limit; `enabled` may be switched at any time."""

    def __init__(self, *, now: Callable[[], float], enabled: bool = True, scale: float = 1.0) -> None:
        self.enabled = enabled
        self.scale = scale
        self._now = now
        self._calls: dict[str, deque[float]] = {}
        self._channels: dict[str, tuple[float, float]] = {}  # channel -> (messages left, counted at)

    def take(self, method: str, tier: Tier, channel: str | None) -> int | None:
        """Count one call, or answer after how many whole seconds to come again. `channel` is given for posts only."""
        if not self.enabled:
            return None
        wait = self._wait_for_method(method, tier)
        if wait is None and channel is not None:
            wait = self._wait_for_channel(channel)
        if wait is None:
            self._calls[method].append(self._now())
        return wait

    def forget(self) -> None:
        self._calls.clear()
        self._channels.clear()

    def _wait_for_method(self, method: str, tier: Tier) -> int | None:
        calls, now = self._calls.setdefault(method, deque()), self._now()
        while calls and calls[0] <= now - WINDOW:
            calls.popleft()
        if len(calls) < max(1, int(tier.value * self.scale)):
            return None
        return _whole_seconds(calls[0] + WINDOW - now)

    def _wait_for_channel(self, channel: str) -> int | None:
        burst, rate, now = max(1.0, MESSAGE_BURST * self.scale), MESSAGES_PER_SECOND * self.scale, self._now()
        left, at = self._channels.get(channel, (burst, now))
        left = min(burst, left + (now - at) * rate)
        allowed = left >= 1
        self._channels[channel] = (left - 1 if allowed else left, now)
        return None if allowed else _whole_seconds((1 - left) / rate)


def _whole_seconds(seconds: float) -> int:
    """Slack's `Retry-After` is an integer, and its clients fail on anything else."""
    return max(1, math.ceil(seconds))
