"""The stored secrets: opening one for whoever needs it now, and the changes people make to them.

Whatever is opened is made known to the redaction before anybody has it. Changes are made, and witnessed without any
value, in a transaction that the caller owns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from safety.sealing import Keyring, Secret
from storage import audit, credentials
from storage.database import Database
from storage.errors import NotFound, SecretUnavailable, StorageUnavailable
from storage.records import Actor, Credential, Origin


class Opens(Protocol):
    """Where secrets come from when they are used."""

    async def open(self, name: str) -> Secret:
        """The value under this name. Raises SecretUnavailable, or StorageUnavailable."""
        ...


class NoVault:
    """Has none."""

    async def open(self, name: str) -> Secret:
        """See `Opens.open`."""
        raise SecretUnavailable(_unknown(name))


class Vault:
    """Opens secrets of the database. `hold` makes a value known to the redaction.

    While the database does not answer, what was opened before is good enough: what runs on a host must be stopped then,
    too.
    """

    def __init__(self, database: Database, keyring: Keyring, hold: Callable[[str], None]) -> None:
        self._database, self._keyring, self._hold = database, keyring, hold
        self._opened: dict[str, Secret] = {}

    async def open(self, name: str) -> Secret:
        """See `Opens.open`. Always as it is now: a value that was changed counts from the next use on."""
        try:
            kept = await self._database.read(credentials.get, name)
        except StorageUnavailable:
            if name in self._opened:
                return self._opened[name]
            raise
        secret = opened(kept, name, self._keyring)
        self._hold(secret.reveal())
        self._opened[name] = secret
        return secret


def opened(kept: Credential | None, name: str, keyring: Keyring) -> Secret:
    """What is in an envelope. Raises SecretUnavailable, also where there is no envelope."""
    if kept is None:
        raise SecretUnavailable(_unknown(name))
    return keyring.open(name, kept.sealed)


def _unknown(name: str) -> str:
    return f"There is no secret '{name}'. Store it with `handrail secrets set {name}`."


# --- changes ----------------------------------------------------------------------------------------------------------


def store(
    connection: Connection, name: str, sealed: str, key_id: str, *, actor: Actor, origin: Origin, now: datetime
) -> bool:
    """Keep an envelope under this name; whether it is the first one there."""
    before = credentials.get(connection, name)
    new = credentials.put(connection, name, sealed, key_id, by=actor, now=now)
    audit.append(
        connection,
        at=now,
        kind="secret.stored" if new else "secret.replaced",
        actor=actor,
        origin=origin,
        secret_name=name,
        before=_shown(before),
        after={"key": key_id, "sealed_at": now.isoformat()},
    )
    return new


def remove(connection: Connection, name: str, *, actor: Actor, origin: Origin, now: datetime) -> None:
    """Forget it. Raises NotFound."""
    before = credentials.get(connection, name)
    if before is None or not credentials.remove(connection, name):
        raise NotFound(f"There is no secret '{name}'. `handrail secrets list` shows them.")
    audit.append(
        connection,
        at=now,
        kind="secret.removed",
        actor=actor,
        origin=origin,
        secret_name=name,
        before=_shown(before),
        after=None,
    )


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """What a rotation did: names sealed anew, and how many had the new key already."""

    key_id: str
    resealed: tuple[str, ...]
    already: int


def rotate(connection: Connection, keyring: Keyring, *, actor: Actor, origin: Origin, now: datetime) -> Rotation:
    """Seal every secret with the first key of the ring. All or none, since the caller's transaction is one.

    Raises SecretUnavailable with every one that doesn't open; nothing is changed then. Again, it finds nothing to do.
    """
    key = keyring.first()
    old = [kept for kept in credentials.every(connection) if kept.key_id != key.id]
    already = len(credentials.every(connection)) - len(old)
    unread: list[str] = []
    for kept in old:
        try:
            sealed = keyring.seal(kept.name, keyring.open(kept.name, kept.sealed))
        except SecretUnavailable as error:
            unread.append(error.message)
            continue
        credentials.reseal(connection, kept.name, sealed, key.id, now)
    if unread:
        raise SecretUnavailable("\n".join([*unread, "No secret was sealed anew."]))
    if old:
        audit.append(
            connection,
            at=now,
            kind="secrets.rotated",
            actor=actor,
            origin=origin,
            before=sorted({kept.key_id for kept in old}),
            after=key.id,
            secret_names=[kept.name for kept in old],
        )
    return Rotation(key_id=key.id, resealed=tuple(kept.name for kept in old), already=already)


def _shown(kept: Credential | None) -> dict[str, str] | None:
    return None if kept is None else {"key": kept.key_id, "sealed_at": kept.sealed_at.isoformat()}
