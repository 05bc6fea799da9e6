"""Following a command that we lost sight of: because the connection broke, or because its former owner died.

Its host keeps a record of it (`record.py`). It is asked until it says how the command ended; a command that runs longer
than it may, or that is to be stopped, is ended as any other.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from runbooks.remote import Ended, Finished, Host, NotKnown, Remote, RemoteCommand, StillRunning, StopCord
from safety.clock import Clock
from storage.errors import ConnectionLost, HostError, HostUnreachable
from storage.records import Death

FIRST, LAST = 0.1, 2.0
"""Seconds between two questions; they grow by half each time."""
TO_BEGIN = 2.0
"""Seconds after which a command of which there is no record yet will not begin any more."""
MOST_RETRIES = 3
"""After the first try to reach the host; the pauses double from 1 s to at most 30 s, with a jitter of a tenth."""
GRACE = RemoteCommand(line="").grace


async def follow(
    remote: Remote,
    clock: Clock,
    host: Host,
    token: str,
    *,
    cord: StopCord,
    give_up: float,
    on_group: Callable[[int], None],
    group: int | None = None,
) -> Finished | NotKnown:
    """How the command of this token ended. `give_up`: when its time is over, by the monotonic clock.

    Never raises HostError: a host that can't be asked, as often as the rules allow, leaves it not known. A group is
    ended only when its host has just said that it is the one: the number of an old one may be somebody else's by now.
    """
    began, pause, failures = clock.monotonic(), FIRST, 0
    while True:
        wait = FIRST
        try:
            found = await remote.attend(host, token)
        except (HostUnreachable, ConnectionLost) as error:
            failures += 1
            if failures > MOST_RETRIES:
                return NotKnown(reason=str(error), group=group)
            wait = pause_before(failures)
        except HostError as error:
            return NotKnown(reason=str(error), group=group)
        else:
            failures = 0
            match found:
                case Finished():
                    return found
                case StillRunning():
                    group, wait, pause = found.group, pause, min(pause * 1.5, LAST)
                    on_group(group)
                    left = give_up - clock.monotonic()
                    if cord.pulled or left <= 0:
                        return await _end(remote, host, group, cord)
                    wait = min(wait, left)
                case NotKnown():
                    if not found.early or cord.pulled or clock.monotonic() - began >= TO_BEGIN:
                        return found
        await until_pulled(clock.sleep(wait), cord)


def pause_before(retry: int) -> float:
    """Seconds before the first, second, ... further try to reach a host."""
    return min(30.0, 2.0 ** (retry - 1)) * random.uniform(0.9, 1.1)  # noqa: S311 - spreading load


async def until_pulled(pause: Awaitable[None], cord: StopCord) -> bool:
    """Wait, unless and until the cord is pulled; whether it is."""
    sleeping = asyncio.ensure_future(pause)
    pulling = asyncio.ensure_future(cord.wait())
    try:
        await asyncio.wait({sleeping, pulling}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sleeping, pulling):
            task.cancel()
        await asyncio.gather(sleeping, pulling, return_exceptions=True)
    return cord.pulled


async def _end(remote: Remote, host: Host, group: int, cord: StopCord) -> Finished:
    ended = Ended.STOPPED if cord.pulled else Ended.TIMED_OUT
    grace = GRACE if cord.grace is None else cord.grace
    death = (await remote.end_groups(host, [group], grace=grace)).get(group, Death.UNKNOWN)
    survivors: tuple[int, ...] = ()
    if death is Death.STILL_RUNNING:
        try:
            survivors = (await remote.look(host, [group])).get(group, ())
        except HostError:
            death = Death.UNKNOWN  # it was there a moment ago, and can't be looked for any more
    return Finished(ended=ended, group=group, death=death, survivors=survivors)
