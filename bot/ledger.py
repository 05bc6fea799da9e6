"""What Handrail puts down by itself about its own record: the settings it starts with, and each day the audit's head.

The head in a channel is what makes even the newest entries safe: who cuts them off would have to change what people
have read. It is claimed in the transaction that puts the message into the outbox, so of several processes one says it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from bot import blocks
from bot.settings import DigestPart, Settings
from runbooks.cron import newest_firing
from safety.clock import Clock
from safety.redaction import Redactor
from storage import audit, chores, outbox
from storage.database import Database, repeat
from storage.records import HANDRAIL, Origin, OutboxKind

HEAD = "audit head"
"""The chore's name."""
DAILY = DigestPart(cron="0 9 * * *")
"""When the head is posted where no digest is set."""
LOOK = 60.0
"""Seconds between two looks whether it is time."""


# --- the head, each day -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class HeadPoster:
    """Posts the audit's head once a day to the digest's channel, or else to that of alerts."""

    database: Database
    clock: Clock
    channel: str | None
    digest: DigestPart

    async def run(self) -> None:
        """Until cancelled. Without a channel there is nobody to tell."""
        if self.channel is not None:
            await repeat("audit head", self.post_if_due, every=LOOK, sleep=self.clock.sleep)

    async def post_if_due(self) -> bool:
        """Whether it was time, and nobody else had done it."""
        now = self.clock.now()
        due = newest_firing(self.digest.every_day, self.digest.timezone, now)
        done = await self.database.read(chores.last, HEAD)
        if due is None or (done is not None and done >= due):
            return False
        return await self.database.write(self._post, due, now)

    def _post(self, connection: Connection, due: datetime, now: datetime) -> bool:
        if not chores.claim(connection, HEAD, due=due, now=now):
            return False
        outbox.put(
            connection,
            id=uuid4().hex,
            kind=OutboxKind.ALERT,
            method="post",
            channel=self.channel,
            payload=head_message(*audit.head(connection), now).payload(),
            now=now,
        )
        return True


def head_message(seq: int, mark: str, now: datetime) -> blocks.Message:
    """The head, and how to check with it."""
    return blocks.markdown(
        f"*Audit head of {now:%Y-%m-%d}:* {seq} entries, the newest is #{seq} `{mark}`\n"
        "With this message anybody can see later whether something up to here was changed or cut off: "
        f"`handrail audit verify --against {seq}:{mark}`"
    )


# --- the settings, at each start --------------------------------------------------------------------------------------


def witness_settings(connection: Connection, loaded: Settings, now: datetime) -> None:
    """An entry with the hash of `handrail.yml`, and where that is not what the last start had, each value that changed.

    Values of secrets are not among them: the file names secrets, and what looks like one is masked.
    """
    values = dict(_flat(loaded.file.model_dump(mode="json", by_alias=True)))
    clean = {name: _clean(Redactor(loaded.secrets()), value) for name, value in values.items()}
    before = _values_before(connection)
    changed = before is None or before["values"] != clean
    more: dict[str, Any] = {"changes": _changes(before, clean), "values": clean} if changed else {}
    audit.append(
        connection,
        at=now,
        kind=CHANGED if changed else "settings.loaded",
        actor=HANDRAIL,
        origin=Origin.ENGINE,
        sha256=loaded.file_hash,
        **more,
    )


CHANGED = "settings.changed"


def _values_before(connection: Connection) -> Mapping[str, Any] | None:
    found = audit.newest_of(connection, CHANGED)
    return found.data if found is not None else None


def _changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, Any]:
    """Each name whose value is another one, with both; a name that came or went has None on one side."""
    if before is None:
        return {}
    old: Mapping[str, Any] = before["values"]
    names = sorted({*old, *after})
    return {
        name: {"before": old.get(name), "after": after.get(name)} for name in names if old.get(name) != after.get(name)
    }


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its place, as `hosts.web-01.port`; what is empty or not set is not there."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif value not in (None, [], ""):
        yield name, value


def _clean(redactor: Redactor, value: Any) -> Any:
    match value:
        case str():
            return redactor.redact(value).text
        case list():
            return [_clean(redactor, one) for one in value]
        case Mapping():
            return {key: _clean(redactor, one) for key, one in value.items()}
        case _:
            return value
