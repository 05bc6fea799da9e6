"""A team's own synchronous code, run beside the event loop and given up when it does not end.

The threads are ours: an executor's would be waited for when the process ends, and one that hangs would never be free
again. A thread is used again once its call is over; one that was given up is made to end.
"""

import asyncio
import ctypes
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

SPARE = 64
"""Threads that are kept for the next call."""


async def aside(function: Callable[[], T], *, limit: float) -> T:
    """What it returns, or raises; TimeoutError after so many seconds. The event loop goes on meanwhile."""
    worker, future = _begin(function)
    try:
        async with asyncio.timeout(limit):
            return await asyncio.wrap_future(future)
    finally:
        _end(worker, future)


def awaited(function: Callable[[], T], *, limit: float) -> T:
    """The same where there is no event loop."""
    worker, future = _begin(function)
    try:
        return future.result(limit)
    finally:
        _end(worker, future)


class _Worker:
    """One thread, and the calls it is given; None ends it."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.thread = Thread(target=self._run, name="handrail-aside", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with suppress(SystemExit):  # an interruption that came when the call was over
            while (call := self.calls.get()) is not None:
                call()
                del call  # or what it returned would be kept until the next one

    def interrupt(self) -> None:
        """Raise SystemExit in it: a loop without an end would slow everything else down until the restart."""
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread.ident or 0), ctypes.py_object(SystemExit))


_spare: list[_Worker] = []


def _begin(function: Callable[[], T]) -> tuple[_Worker, Future[T]]:
    worker = _spare.pop() if _spare else _Worker()
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # whoever stops waiting does not take its result's place
    context = copy_context()
    worker.calls.put(lambda: context.run(_carry_over, function, future))
    return worker, future


def _carry_over(function: Callable[[], T], future: Future[T]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:  # whoever waits for it must hear of everything
        future.set_exception(error)


def _end(worker: _Worker, future: Future[Any]) -> None:
    if future.done() and len(_spare) < SPARE:
        _spare.append(worker)
        return
    if not future.done():
        worker.interrupt()
    worker.calls.put(None)
