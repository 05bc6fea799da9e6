"""Slack users and user groups: who is acting, and which groups they are in.

Groups are looked up in the background and kept for a while; a group that was never looked up gives nobody a right.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from safety.clock import Clock
from storage.records import Actor

log = structlog.get_logger(__name__)

FRESH = timedelta(minutes=5)
"""How often the members of a group are looked up."""
GOOD = timedelta(hours=1)
"""How long they are believed while Slack does not answer."""


def actor_of(payload: Mapping[str, Any]) -> Actor:
    """Who sent a slash command or clicked."""
    user = payload.get("user")
    if isinstance(user, Mapping):
        return Actor(id=str(user.get("id", ""))[:80], name=str(user.get("username") or user.get("name") or "")[:200])
    return Actor(id=str(payload.get("user_id", ""))[:80], name=str(payload.get("user_name") or "")[:200])


class SlackDirectory:
    """The members of the user groups that the settings name."""

    def __init__(self, client: AsyncWebClient, groups: Iterable[str], clock: Clock) -> None:
        self._client, self._groups, self._clock = client, frozenset(groups), clock
        self._members: dict[str, tuple[frozenset[str], datetime]] = {}

    def groups_of(self, person: str) -> frozenset[str]:
        """The groups this person is known to be in."""
        return frozenset(group for group in self._groups if person in (self.members_of(group) or frozenset()))

    def members_of(self, group: str) -> frozenset[str] | None:
        """The people of a group; None when not known, or not for too long."""
        known = self._members.get(group)
        if known is None or self._clock.now() - known[1] > GOOD:
            return None
        return known[0]

    async def run(self) -> None:
        """Look them up again and again, until cancelled."""
        while self._groups:
            unknown = await self.refresh()
            await self._clock.sleep(15.0 if unknown else FRESH.total_seconds())

    async def refresh(self) -> int:
        """Look every group up; returns how many could not be."""
        failed = 0
        for group in sorted(self._groups):
            try:
                answer = await self._client.usergroups_users_list(usergroup=group)
            except (TimeoutError, SlackApiError, OSError) as error:
                failed += 1
                log.warning("group_not_looked_up", group=group, error=type(error).__name__)
                continue
            users = answer.get("users") or []
            self._members[group] = (frozenset(map(str, users)), self._clock.now())
        return failed
