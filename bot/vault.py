"""What the command line does with stored secrets: set, list, remove, rotate, check. No value is ever printed.

Each is one short transaction beside a running Handrail, which reads a secret anew whenever it uses it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot import settings
from bot.blocks import counted
from bot.settings import Settings
from bot.shell import opened
from safety import vault
from safety.clock import Clock, SystemClock
from safety.sealing import Keyring, checked_name, checked_value
from storage import credentials
from storage.errors import ConfigurationError, SecretUnavailable
from storage.records import Actor, Credential, Origin

Say = Callable[[str], None]


def _settings(environment: Mapping[str, str] | None) -> Settings:
    """What is needed here; a mistake elsewhere in the settings does not matter. Raises ConfigurationError."""
    loaded, passed_over = settings.load_for_switch(environment)
    wrong = [complaint for complaint in passed_over if complaint.startswith(("HANDRAIL_SECRET_KEY", "key "))]
    if wrong:
        raise ConfigurationError(wrong)
    return loaded


async def store(
    name: str,
    read: Callable[[], str],
    actor: Actor,
    *,
    environment: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> str:
    """Seal what `read` gives and keep it under this name; what to say. The key is looked at before anything is asked.

    Raises Invalid, SecretUnavailable, ConfigurationError, NotFound.
    """
    checked_name(name)
    loaded = _settings(environment)
    key = loaded.keyring.first()
    now = (clock or SystemClock()).now()
    async with opened(loaded.database_url.get_secret_value()) as database:
        sealed = loaded.keyring.seal(name, checked_value(name, read()))
        new = await database.write(vault.store, name, sealed, key.id, actor=actor, origin=Origin.CLI, now=now)
    return f"'{name}' is {'stored' if new else 'replaced'}, sealed with the key {key.id}."


async def remove(
    name: str, actor: Actor, *, environment: Mapping[str, str] | None = None, clock: Clock | None = None
) -> str:
    """Forget it; what to say. Raises NotFound."""
    loaded = _settings(environment)
    now = (clock or SystemClock()).now()
    async with opened(loaded.database_url.get_secret_value()) as database:
        await database.write(vault.remove, name, actor=actor, origin=Origin.CLI, now=now)
    where = loaded.secret_names().get(name, [])
    still = f" handrail.yml still names it: {', '.join(where)}." if where else ""
    return f"'{name}' is removed.{still}"


async def rotate(actor: Actor, *, environment: Mapping[str, str] | None = None, clock: Clock | None = None) -> str:
    """Seal everything with the first key; what was done. Raises SecretUnavailable, and nothing is changed then."""
    loaded = _settings(environment)
    now = (clock or SystemClock()).now()
    async with opened(loaded.database_url.get_secret_value()) as database:
        done = await database.write(vault.rotate, loaded.keyring, actor=actor, origin=Origin.CLI, now=now)
    already = f" {done.already} had it already." if done.already else ""
    spare = loaded.keyring.ids[1:]
    over = f" No secret needs {', '.join(spare)} any more: take it out of the settings." if spare else ""
    return f"{counted(len(done.resealed), 'secret')} sealed anew with the key {done.key_id}.{already}{over}"


async def show(*, as_json: bool, out: Say, environment: Mapping[str, str] | None = None) -> None:
    """List names, keys and dates."""
    loaded = _settings(environment)
    async with opened(loaded.database_url.get_secret_value()) as database:
        kept = await database.read(credentials.every)
    where = loaded.secret_names()
    if as_json:
        out(json.dumps({"secrets": [_json(one, where.get(one.name, [])) for one in kept]}, ensure_ascii=False))
        return
    for one in kept:
        used = f", used by {', '.join(where[one.name])}" if one.name in where else ""
        out(f"{one.name}: sealed {_day(one.sealed_at)} with {one.key_id}, stored by {one.created_by}{used}")
    if not kept:
        out("No secrets are stored. `handrail secrets set NAME` stores one.")


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _json(one: Credential, used: list[str]) -> dict[str, Any]:
    return {
        "name": one.name,
        "key": one.key_id,
        "created_at": one.created_at.isoformat(),
        "sealed_at": one.sealed_at.isoformat(),
        "created_by": one.created_by,
        "used_by": used,
    }


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One secret: what is wrong with it, None for nothing. `older`: it is sealed with a key that is not the first."""

    name: str
    wrong: str | None
    older: bool = False


async def check(environment: Mapping[str, str] | None = None) -> list[Finding]:
    """Open every secret that is stored or named, and show none. Raises NotFound, ConfigurationError."""
    loaded = _settings(environment)
    async with opened(loaded.database_url.get_secret_value()) as database:
        kept = {one.name: one for one in await database.read(credentials.every)}
    where = loaded.secret_names()
    return [_finding(name, kept.get(name), where.get(name, []), loaded.keyring) for name in sorted({*kept, *where})]


def _finding(name: str, kept: Credential | None, where: list[str], keyring: Keyring) -> Finding:
    try:
        vault.opened(kept, name, keyring)
    except SecretUnavailable as error:
        used = f" It is used by {', '.join(where)}." if where else ""
        return Finding(name=name, wrong=error.message + used)
    return Finding(name=name, wrong=None, older=kept is not None and kept.key_id != keyring.ids[0])
