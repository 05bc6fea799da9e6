"""What is run beside the event loop, and given up when it does not end."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from runbooks.aside import _Worker, aside, awaited


def _for_ever() -> None:
    while True:
        pass


def _asides() -> int:
    return sum(thread.name == "handrail-aside" for thread in threading.enumerate())


async def test_what_is_returned_or_raised_arrives_and_the_thread_is_used_again() -> None:
    assert await aside(threading.get_ident, limit=5) == await aside(threading.get_ident, limit=5)
    for error in (KeyError("a"), SystemExit(3)):
        with pytest.raises(type(error)) as raised:
            await aside(_raising(error), limit=5)
        assert raised.value is error
    assert awaited(lambda: 7, limit=5) == 7


def _raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


async def test_a_loop_without_an_end_is_given_up_and_its_thread_ends() -> None:
    before = _asides()
    with pytest.raises(TimeoutError):
        await aside(_for_ever, limit=0.05)
    with pytest.raises(TimeoutError):
        awaited(_for_ever, limit=0.05)
    await _ended(before)


async def test_whoever_stops_waiting_leaves_no_loop_behind() -> None:
    before = _asides()
    waiting = asyncio.create_task(aside(_for_ever, limit=60))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await _ended(before)


async def _ended(before: int) -> None:
    end = time.monotonic() + 5
    while _asides() > before and time.monotonic() < end:
        await asyncio.sleep(0.01)
    assert _asides() <= before


def test_an_interruption_that_comes_when_the_call_is_over_is_nothing() -> None:
    worker = _Worker()
    worker.interrupt()
    worker.calls.put(None)
    worker.thread.join(5)
    assert not worker.thread.is_alive()
