"""Whole conversations in one process: the local workspace, demo hosts and the bot, as `handrail demo` runs them."""

from collections.abc import AsyncIterator

import pytest

from bot.demo import Demo, demo


@pytest.fixture
async def running() -> AsyncIterator[Demo]:
    """Everything up; no rate limits."""
    async with demo(rate_limits=False) as running:
        yield running
