"""Slack's user groups as they were last looked up, so that a restart while Slack is away takes nobody's rights."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from storage import tables as t


def keep(connection: Connection, group: str, members: Collection[str], seen_at: datetime) -> None:
    """Remember who is in a group; what somebody saw later stays."""
    known = connection.scalar(select(t.user_groups.c.seen_at).where(t.user_groups.c.id == group))
    values = {"members": sorted(members), "seen_at": seen_at}
    if known is None:
        connection.execute(insert(t.user_groups).values(id=group, **values))
    elif known <= seen_at:
        connection.execute(update(t.user_groups).where(t.user_groups.c.id == group).values(**values))


def known(connection: Connection, groups: Collection[str]) -> Mapping[str, tuple[frozenset[str], datetime]]:
    """The members of those groups that were ever looked up, and when."""
    rows = connection.execute(select(t.user_groups).where(t.user_groups.c.id.in_(list(groups))))
    return {row.id: (frozenset(row.members), row.seen_at) for row in rows}
