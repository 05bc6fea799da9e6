"""Slack users and user groups: who is acting, and which groups they are in.

A group that was never looked up, or not for an hour, gives nobody a right.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from safety.clock import Clock
from storage import user_groups
from storage.database import Database
from storage.errors import StorageUnavailable
from storage.records import Actor

log = structlog.get_logger(__name__)

FRESH = timedelta(minutes=5)
"""How often the members of a group are looked up."""
GOOD = timedelta(hours=1)
"""How long they are believed while Slack does not answer."""
AT_MOST_EVERY = 2.0
"""Seconds between two looks, however many people ask about a group that is not known."""
PATIENCE = 2.0
"""Seconds a request waits for the first look after a start."""
GONE = frozenset({"no_such_subteam", "subteam_not_found"})
"""Slack's answers for a group that does not exist: it has no members."""


def actor_of(payload: Mapping[str, Any]) -> Actor:
    """Who sent a slash command or clicked."""
    user = payload.get("user")
    if isinstance(user, Mapping):
        return Actor(id=str(user.get("id") or "")[:80], name=str(user.get("username") or user.get("name") or "")[:200])
    return Actor(id=str(payload.get("user_id") or "")[:80], name=str(payload.get("user_name") or "")[:200])


class SlackDirectory:
    """The members of the user groups that the settings name.

    They are looked up in the background, at once when somebody's right first depends on one that is not known, and kept
    in SQL, so that a restart while Slack is away takes nobody's rights. Whoever asks, in whatever thread, never waits.
    Without a `client` they are only taken from there: some other process looks them up.
    """

    def __init__(self, client: AsyncWebClient | None, groups: Iterable[str], clock: Clock, database: Database) -> None:
        self._client, self._groups, self._clock, self._database = client, frozenset(groups), clock, database
        self._members: dict[str, tuple[frozenset[str], datetime]] = {}
        self._needed = asyncio.Event()  # set when somebody asked about a group that is not known
        self._looked = asyncio.Event()  # set once every group was looked up, or could not be
        self._loop: asyncio.AbstractEventLoop | None = None

    def groups_of(self, person: str) -> frozenset[str]:
        """The groups this person is known to be in."""
        return frozenset(group for group in self._groups if person in (self.members_of(group) or frozenset()))

    def members_of(self, group: str) -> frozenset[str] | None:
        """The people of a group; None when not known, or not for too long."""
        known = self._members.get(group)
        if known is not None and self._clock.now() - known[1] <= GOOD:
            return known[0]
        if group in self._groups and self._loop is not None and not self._needed.is_set():
            self._loop.call_soon_threadsafe(self._needed.set)
        return None

    async def settled(self) -> None:
        """Return once every group is known or was tried in vain, after a moment at most: for use before a transaction.

        Right after the start somebody's role may still be on its way from Slack.
        """
        if self._looked.is_set() or all(self.members_of(group) is not None for group in self._groups):
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._looked.wait(), PATIENCE)

    async def run(self) -> None:
        """Look them up again and again, until cancelled."""
        self._loop = asyncio.get_running_loop()
        await self.recall()
        while self._groups:
            unknown = await self.refresh()
            if unknown:
                await self.recall()  # another process may have reached Slack
            if self._client is None:
                unknown = sum(self.members_of(group) is None for group in self._groups)
            self._looked.set()
            await self._clock.sleep(AT_MOST_EVERY)
            await self._pause((15.0 if unknown else FRESH.total_seconds()) - AT_MOST_EVERY)

    async def _pause(self, seconds: float) -> None:
        """So long, or until a group is needed that is not known."""
        self._needed.clear()
        needed, slept = asyncio.ensure_future(self._needed.wait()), asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({needed, slept}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (needed, slept):
                task.cancel()
            await asyncio.gather(needed, slept, return_exceptions=True)

    async def recall(self) -> None:
        """Take up what was looked up before, by this process or another."""
        try:
            known = await self._database.read(user_groups.known, self._groups)
        except StorageUnavailable as error:
            log.warning("groups_not_recalled", message=error.message)
            return
        for group, (members, seen_at) in known.items():
            if group not in self._members or self._members[group][1] < seen_at:
                self._members[group] = (members, seen_at)

    async def refresh(self) -> int:
        """Look every group up; returns how many could not be."""
        if self._client is None:
            return len(self._groups)
        failed = 0
        for group in sorted(self._groups):
            try:
                answer = await self._client.usergroups_users_list(usergroup=group)
                users = frozenset(map(str, answer.get("users") or []))
            except SlackApiError as error:
                if error.response.get("error") not in GONE:
                    failed += 1
                    log.warning("group_not_looked_up", group=group, error=str(error.response.get("error")))
                    continue
                log.warning("group_is_gone", group=group)
                users = frozenset()
            except (TimeoutError, OSError, aiohttp.ClientError) as error:
                failed += 1
                log.warning("group_not_looked_up", group=group, error=type(error).__name__)
                continue
            await self._keep(group, users)
        return failed

    async def _keep(self, group: str, users: frozenset[str]) -> None:
        seen_at = self._clock.now()
        self._members[group] = (users, seen_at)
        try:
            await self._database.write(user_groups.keep, group, users, seen_at)
        except StorageUnavailable as error:
            log.warning("group_not_kept", group=group, message=error.message)
