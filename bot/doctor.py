"""Looks whether everything Handrail needs is there, and says what to do about what isn't.

In this order: the settings, the database with its audit, its outbox and its secrets, Slack, the hosts. Each part is
looked at although another one is broken. Nothing is changed anywhere, no message is posted, and no token is ever shown.
"""

import asyncio
import contextlib
import json
import os
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import SecretStr
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from sqlalchemy import Connection, update
from sqlalchemy.exc import SQLAlchemyError

from bot import dead_letters, settings, vault
from bot.manifest import DISPENSABLE, SCOPES
from bot.settings import Settings, Slack
from bot.shell import opened, owner_lives
from bot.slack import client_for
from runbooks.inventory import Inventory
from runbooks.remote import Host, HostReport, Remote
from runbooks.ssh import SshRemote
from safety.clock import Clock, SystemClock
from safety.clock import words as duration
from safety.redaction import Redactor
from safety.vault import NoVault, Opens, Vault
from storage import audit, controls
from storage import tables as t
from storage.canonical import canonical
from storage.database import Database
from storage.errors import ConfigurationError, NotFound, OperatorError

Say = Callable[[str], None]
Colour = Callable[[str, str], str]

HOST_PATIENCE = 20.0
"""Seconds one host gets."""
SLACK_PATIENCE = 10
HOSTS_AT_ONCE = 16
SKEW = 300.0
"""Seconds a clock may be wrong before Slack's signatures are refused."""
SKEW_WORTH_SAYING = 60.0
AUDIT_LOOKED_AT = 50
"""Newest entries whose hashes are checked; `handrail audit verify` walks them all."""


class Outcome(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at: how it is, in a sentence, and the next move where it isn't well."""

    part: str  # settings, database, audit, outbox, secrets, slack or hosts
    outcome: Outcome
    message: str
    advice: str = ""


def _ok(part: str, message: str) -> Check:
    return Check(part=part, outcome=Outcome.OK, message=message)


def _warn(part: str, message: str, advice: str) -> Check:
    return Check(part=part, outcome=Outcome.WARN, message=message, advice=advice)


def _fail(part: str, message: str, advice: str) -> Check:
    return Check(part=part, outcome=Outcome.FAIL, message=message, advice=advice)


async def run(
    *,
    as_json: bool,
    out: Say,
    note: Say,
    colour: Colour,
    environment: Mapping[str, str] | None = None,
    remote: Remote | None = None,
    clock: Clock | None = None,
) -> int:
    """Check everything; the exit status: 0 good (warnings included), 1 something fails, 2 the settings are wrong."""
    clock = clock or SystemClock()
    found: list[Check] = []
    async for check in _all(environment, remote, clock, _progress(note)):
        found.append(check)
        if not as_json:
            _show(check, out, colour)
    status = _status(found)
    if as_json:
        out(json.dumps({"ok": status == 0, "checks": [asdict(check) for check in found]}, ensure_ascii=False))
    else:
        out(_summary(found))
    return status


def _progress(note: Say) -> Say:
    """What is being looked at, for somebody who watches; nothing where nobody does."""
    return note if sys.stderr.isatty() else lambda _: None


def _status(found: Sequence[Check]) -> int:
    failed = {check.part for check in found if check.outcome is Outcome.FAIL}
    return 2 if "settings" in failed else 1 if failed else 0


_COLOURS = {Outcome.OK: "green", Outcome.WARN: "yellow", Outcome.FAIL: "red"}


def _show(check: Check, out: Say, colour: Colour) -> None:
    out(f"{colour(f'{check.outcome.value:4}', _COLOURS[check.outcome])}  {check.part:8}  {check.message}")
    if check.advice:
        out(f"{'':16}{check.advice}")


def _summary(found: Sequence[Check]) -> str:
    counts = {one: sum(check.outcome is one for check in found) for one in Outcome}
    return f"{counts[Outcome.OK]} ok, {counts[Outcome.WARN]} to look at, {counts[Outcome.FAIL]} failed."


async def _all(
    environment: Mapping[str, str] | None, remote: Remote | None, clock: Clock, progress: Say
) -> AsyncIterator[Check]:
    for check in _settings(environment):
        yield check
    progress("… the database")
    for check in await _database(environment):
        yield check
    for check in await _secrets(environment):
        yield check
    slack = _loaded(environment, slack=True, hosts=False)
    if slack is not None and slack.slack is not None:
        progress("… Slack")
        for check in await _slack(slack, slack.slack, clock):
            yield check
    hosts = _loaded(environment, slack=False, hosts=True)
    if hosts is not None:
        progress(f"… {len(hosts.inventory.hosts)} hosts")
        for check in await _hosts(hosts, remote, clock):
            yield check


# --- settings ---------------------------------------------------------------------------------------------------------


def _loaded(environment: Mapping[str, str] | None, *, slack: bool, hosts: bool) -> Settings | None:
    """This part of the settings, if it is right by itself; what is wrong was said by the check of the settings."""
    try:
        return settings.load(slack=slack, hosts=hosts, environment=environment)
    except ConfigurationError:
        return None


def _settings(environment: Mapping[str, str] | None) -> list[Check]:
    try:
        loaded = settings.load(environment=environment)
    except ConfigurationError as error:
        return [_fail("settings", complaint, "") for complaint in error.complaints]
    file = loaded.file
    found = [_ok("settings", f"{loaded.config} and the environment can be understood.")]
    if not file.roles:
        advice = "Give people and groups roles under `roles:`; no rule means no."
        found.append(_warn("settings", "Nobody has a role, so nobody may run anything.", advice))
    if not file.emergency:
        advice = "Name one or two people under `emergency:`; only they may override an engaged kill switch."
        found.append(_warn("settings", "Nobody may override a kill switch in an emergency.", advice))
    found += [_left_out(said) for said in loaded.catalog.left_out]
    keys = _keys(loaded.inventory) | ({loaded.key_file} if loaded.key_file is not None else set())
    found += [_open_key(path) for path in sorted(keys) if path.stat().st_mode & 0o077]
    return found


def _left_out(said: str) -> Check:
    advice = "It is left out until it is put right and Handrail restarted; `handrail runbooks check` says more."
    return _warn("settings", said, advice)


def _keys(inventory: Inventory) -> set[Path]:
    return {host.key_file for host in inventory.hosts if host.key_file is not None}


def _open_key(path: Path) -> Check:
    return _warn("settings", f"Other people of this machine can read the key {path}.", f"Run `chmod 600 {path}`.")


# --- the database and its audit ---------------------------------------------------------------------------------------


async def _database(environment: Mapping[str, str] | None) -> list[Check]:
    try:
        loaded, _ = settings.load_for_switch(environment)
    except ConfigurationError:
        return []  # said by the check of the settings
    database = Database(loaded.database_url.get_secret_value())
    if database.path is not None and not database.path.exists():
        return [_not_made_yet(database.path)]
    try:
        async with opened(loaded.database_url.get_secret_value()) as database:
            return [*await _records(database), *await _audit(database), *await _letters(database)]
    except ConfigurationError as error:
        return [_fail("database", " ".join(error.complaints), "Run `handrail db upgrade`, or name another database.")]
    except OperatorError as error:
        advice = "Is the server running, and is HANDRAIL_DATABASE_URL right?"
        return [_fail("database", error.message, advice)]


def _not_made_yet(path: Path) -> Check:
    folder = path.absolute().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        advice = f"Give the account that runs Handrail the right to write in {folder}."
        return _fail("database", f"{path} does not exist and cannot be made.", advice)
    return _ok("database", f"{path} does not exist yet; the first start of Handrail makes it.")


async def _records(database: Database) -> list[Check]:
    found: list[Check] = []
    if await database.is_current():
        found.append(_ok("database", f"{database.shown_url} answers and its schema is up to date."))
    else:
        advice = "`handrail serve` brings it up to date at its start; so does `handrail db upgrade`."
        found.append(_warn("database", f"{database.shown_url} answers, but its schema is another version's.", advice))
    try:
        await database.write(_touch)
        found.append(_ok("database", "It can be written to."))
    except (OperatorError, SQLAlchemyError) as error:
        said = error.message if isinstance(error, OperatorError) else type(error).__name__
        found.append(_fail("database", f"It cannot be written to: {said}", "Look at its rights and at the disk."))
    return [*found, *_owner(database)]


def _touch(connection: Connection) -> None:
    """A write that changes nothing."""
    connection.execute(update(t.controls).values(version=t.controls.c.version))
    controls.version(connection)


def _owner(database: Database) -> list[Check]:
    if database.path is None:
        return []  # on PostgreSQL several may live, and leases tell only of those that are busy
    if owner_lives(database.path):
        return [_ok("database", "A Handrail is running on it.")]
    return [_warn("database", "No Handrail is running on it.", "Start one with `handrail serve`.")]


async def _letters(database: Database) -> list[Check]:
    """What could not be said, and what Slack keeps us from saying; nothing when another version wrote the schema."""
    if not await database.is_current():
        return []
    found = await database.read(dead_letters.listing, 0)
    checks: list[Check] = []
    if found.total:
        untold = f" The alerts channel was not told of {found.unannounced}." if found.unannounced else ""
        advice = "`handrail dead-letters list` shows them, and `show ID` what to do."
        checks.append(_warn("outbox", f"{dead_letters.counts_words(found.counts)}.{untold}", advice))
    else:
        checks.append(_ok("outbox", "There are no dead letters."))
    if found.held is not None:
        advice = "They are tried again, at least once a minute, until Slack takes them."
        checks.append(_warn("outbox", f"{dead_letters.held_words(found.held)}.", advice))
    return checks


async def _audit(database: Database) -> list[Check]:
    try:
        wrong, number = await database.read(_newest_entries)
    except (OperatorError, SQLAlchemyError) as error:
        advice = "Run `handrail audit verify`."
        return [_fail("audit", f"The audit cannot be read ({type(error).__name__}).", advice)]
    if wrong:
        advice = "Run `handrail audit verify`, and keep a copy of the database before anything else."
        return [_fail("audit", f"The newest entries of the audit do not verify: {wrong}.", advice)]
    return [_ok("audit", f"The newest of {number} audit entries verify; `handrail audit verify` walks them all.")]


def _newest_entries(connection: Connection) -> tuple[str | None, int]:
    """What is wrong with the end of the chain, and how long it is."""
    number, mark = audit.head(connection)
    follows = mark
    expected = number
    for entry in audit.search(connection, limit=AUDIT_LOOKED_AT):
        if (entry.seq, entry.hash) != (expected, follows):
            return f"entry {expected} is not what follows it says", number
        again = audit.digest(
            entry.seq,
            entry.at,
            entry.kind,
            entry.actor,
            entry.origin,
            entry.execution_id,
            canonical(dict(entry.data)),
            entry.previous,
        )
        if again != entry.hash:
            return f"entry {entry.seq} was changed", number
        follows, expected = entry.previous, entry.seq - 1
    if expected == number and number > 0:
        return "the newest entries are missing", number
    return None, number


# --- secrets ----------------------------------------------------------------------------------------------------------


async def _secrets(environment: Mapping[str, str] | None) -> list[Check]:
    """Whether every secret that is stored or named opens; nothing where there is none."""
    try:
        found = await vault.check(environment)
    except OperatorError:
        return _cannot_be_there(environment)  # the database is not there, or wrong: said by its own check
    except SQLAlchemyError:
        return []  # its schema is an older one, which was said
    wrong = [_fail("secrets", one.wrong, "") for one in found if one.wrong is not None]
    if wrong or not found:
        return wrong
    older = [one for one in found if one.older]
    if older:
        said = f"Sealed with a key that is to go: {len(older)} of {len(found)} secrets."
        return [_warn("secrets", said, "Run `handrail secrets rotate`.")]
    return [_ok("secrets", f"Every secret that is stored or named in handrail.yml opens ({len(found)}).")]


def _cannot_be_there(environment: Mapping[str, str] | None) -> list[Check]:
    loaded = _loaded(environment, slack=False, hosts=False)
    names = sorted(loaded.secret_names()) if loaded is not None else []
    advice = "Store each with `handrail secrets set NAME`, once there is a database."
    return [_fail("secrets", f"handrail.yml names secrets that cannot be read: {', '.join(names)}.", advice)] * bool(
        names
    )


# --- Slack ------------------------------------------------------------------------------------------------------------


NOT_SLACK = "an answer that is not Slack's"


class _SlackDown(Exception):
    """A call that did not come to an answer, in words."""


async def _slack(loaded: Settings, slack: Slack, clock: Clock) -> list[Check]:
    client = client_for(slack, timeout=SLACK_PATIENCE)
    try:
        found = await _token(client, slack, clock)
    except _SlackDown as error:
        advice = f"Can this machine reach {slack.api_url}? Is a proxy needed (HTTPS_PROXY)?"
        return [_fail("slack", f"Slack does not answer: {error}.", advice)]
    if any(check.outcome is Outcome.FAIL and "SLACK_BOT_TOKEN" in check.message for check in found):
        return [*found, *await _socket(slack)]
    return [
        *found,
        *await _socket(slack),
        _signing(slack),
        *await _alerts(client, loaded),
        *await _groups(client, loaded),
    ]


async def _call(asked: Awaitable[AsyncSlackResponse]) -> AsyncSlackResponse:
    """The answer. Raises SlackApiError when Slack says no, and _SlackDown when it says nothing."""
    try:
        return await asked
    except SlackApiError as error:
        status = getattr(error.response, "status_code", 200)
        if status == 429:
            raise _SlackDown("it asks to wait, too much was asked of it") from error
        if status >= 500 or _why(error) == NOT_SLACK:
            raise _SlackDown(f"it answered {status}") from error
        raise
    except TimeoutError as error:
        raise _SlackDown(f"no answer within {SLACK_PATIENCE} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _SlackDown(" ".join(str(error).split())[:200] or type(error).__name__) from error


def _why(error: SlackApiError) -> str:
    found = error.response.get("error") if hasattr(error.response, "get") else None
    return str(found or NOT_SLACK)


async def _token(client: AsyncWebClient, slack: Slack, clock: Clock) -> list[Check]:
    try:
        answer = await _call(client.auth_test())
    except SlackApiError as error:
        advice = "Copy the bot token again (app settings, OAuth & Permissions), or install the app again."
        return [_fail("slack", f"SLACK_BOT_TOKEN is refused: {_why(error)}.", advice), *_skew(error.response, clock)]
    team, name = answer.get("team") or "?", answer.get("user") or "?"
    here = "" if slack.api_url == settings.SLACK else f" at {slack.api_url}"
    return [
        _ok("slack", f"SLACK_BOT_TOKEN is good: {name} in {team}{here}."),
        _scopes(_header(answer, "x-oauth-scopes")),
        *_skew(answer, clock),
    ]


def _header(answer: Any, name: str) -> str | None:
    """A header of an answer, whatever its case."""
    headers: Mapping[str, str] = getattr(answer, "headers", None) or {}
    return next((value for key, value in headers.items() if key.lower() == name), None)


def _scopes(given: str | None) -> Check:
    if given is None:
        return _warn("slack", "Slack does not say which scopes the token has.", "Is a proxy dropping headers?")
    missing = [scope for scope in SCOPES if scope not in {one.strip() for one in given.split(",")}]
    if not missing:
        return _ok("slack", f"It has all {len(SCOPES)} scopes of the manifest.")
    listed = ", ".join(f"{scope} (to {SCOPES[scope]})" for scope in missing)
    advice = "Add them (app settings, OAuth & Permissions), or paste `handrail manifest`; then install the app again."
    if not set(missing) - DISPENSABLE:
        return _warn("slack", f"It goes without these scopes, and says so where it does: {listed}.", advice)
    return _fail("slack", f"The token lacks scopes: {listed}.", advice)


def _skew(answer: Any, clock: Clock) -> list[Check]:
    said = _header(answer, "date")
    try:
        theirs = parsedate_to_datetime(said) if said else None
    except ValueError:
        theirs = None
    if theirs is None:
        return []
    off = abs((clock.now() - _aware(theirs)).total_seconds())
    if off <= SKEW_WORTH_SAYING:
        return [_ok("slack", "This machine's clock agrees with Slack's.")]
    advice = "Set the clock, for example with chrony or systemd-timesyncd."
    words = f"This machine's clock and Slack's differ by {duration(off)}"
    if off > SKEW:
        return [_fail("slack", f"{words}; beyond {duration(SKEW)} signed requests are refused.", advice)]
    return [_warn("slack", f"{words}.", advice)]


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


async def _socket(slack: Slack) -> list[Check]:
    if slack.app_token is None:
        return []
    client = AsyncWebClient(base_url=slack.api_url, timeout=SLACK_PATIENCE, retry_handlers=[])
    try:
        await _call(client.apps_connections_open(app_token=_plain(slack.app_token)))
    except SlackApiError as error:
        advice = "Make an app-level token with connections:write (app settings, Basic Information)."
        return [_fail("slack", f"SLACK_APP_TOKEN is refused: {_why(error)}.", advice)]
    except _SlackDown as error:
        return [_fail("slack", f"Socket Mode cannot be opened: {error}.", f"Can this machine reach {slack.api_url}?")]
    return [_ok("slack", "SLACK_APP_TOKEN is good: Socket Mode can be opened.")]


def _plain(secret: SecretStr) -> str:
    return secret.get_secret_value()


def _signing(slack: Slack) -> Check:
    if slack.signing_secret is None:
        return _ok("slack", "No SLACK_SIGNING_SECRET: requests come over Socket Mode only.")
    if not slack.signing_secret.get_secret_value().strip():
        return _fail("slack", "SLACK_SIGNING_SECRET is empty.", "Copy it from the app settings, Basic Information.")
    return _ok("slack", "SLACK_SIGNING_SECRET is set; whether it is right shows with the first request.")


async def _alerts(client: AsyncWebClient, loaded: Settings) -> list[Check]:
    channel = loaded.file.channels.alerts
    if channel is None:
        advice = "Set channels.alerts in handrail.yml: kill switches are announced there."
        return [_warn("slack", "There is no alerts channel.", advice)]
    try:
        answer = await _call(client.conversations_info(channel=channel))
    except SlackApiError as error:
        advice = "Use the id at the bottom of the channel's details, and invite the bot if it is private."
        return [_fail("slack", f"The alerts channel {channel} cannot be looked at: {_why(error)}.", advice)]
    except _SlackDown as error:
        return [_fail("slack", f"The alerts channel {channel} cannot be looked at: {error}.", "Look again.")]
    found: Mapping[str, Any] = answer.get("channel") or {}
    return [_postable(channel, found, public_too="chat:write.public" in (_header(answer, "x-oauth-scopes") or ""))]


def _postable(channel: str, found: Mapping[str, Any], *, public_too: bool) -> Check:
    name = f"#{found['name']}" if found.get("name") else channel
    if found.get("is_archived"):
        advice = "Unarchive it, or name another under channels.alerts."
        return _fail("slack", f"The alerts channel {name} is archived.", advice)
    if found.get("is_member") or found.get("is_im") or (public_too and not found.get("is_private")):
        return _ok("slack", f"The alerts channel {name} can be posted to.")
    return _fail("slack", f"The bot is not in the alerts channel {name}.", "Invite it there: /invite @handrail.")


async def _groups(client: AsyncWebClient, loaded: Settings) -> list[Check]:
    return [await _group(client, group) for group in sorted(loaded.groups)]


async def _group(client: AsyncWebClient, group: str) -> Check:
    advice = "Look at its id (People & user groups, Copy group ID), and at the scope usergroups:read."
    try:
        answer = await _call(client.usergroups_users_list(usergroup=group))
    except SlackApiError as error:
        return _fail("slack", f"The user group {group} cannot be looked up: {_why(error)}.", advice)
    except _SlackDown as error:
        return _fail("slack", f"The user group {group} cannot be looked up: {error}.", advice)
    members = answer.get("users") or []
    if not members:
        return _warn("slack", f"Nobody is in the user group {group}.", "Put people into it, or drop it from `roles:`.")
    return _ok("slack", f"The user group {group} has {len(members)} member{'s' if len(members) > 1 else ''}.")


# --- hosts ------------------------------------------------------------------------------------------------------------


async def check_hosts(
    names: Sequence[str],
    *,
    as_json: bool,
    out: Say,
    colour: Colour,
    environment: Mapping[str, str] | None = None,
    remote: Remote | None = None,
    clock: Clock | None = None,
) -> int:
    """Reach these hosts (or tags, or all) side by side; 1 when any fails. Raises ConfigurationError, NotFound."""
    loaded = settings.load(slack=False, environment=environment)
    chosen = loaded.inventory.resolve(tuple(names)) if names else loaded.inventory.hosts
    if not chosen:
        raise NotFound("There are no hosts yet. Name them under `hosts:` in handrail.yml.")
    reports = await _reports(loaded, chosen, remote)
    if as_json:
        shown = [{"host": r.host, "ok": r.ok, "message": r.message, "facts": dict(r.facts)} for r in reports]
        out(json.dumps({"ok": all(r.ok for r in reports), "hosts": shown}, ensure_ascii=False))
    else:
        for report in reports:
            _show(_check_of(report), out, colour)
    return 0 if all(report.ok for report in reports) else 1


async def _hosts(loaded: Settings, remote: Remote | None, clock: Clock) -> list[Check]:
    if not loaded.inventory.hosts:
        return [_warn("hosts", "There are no hosts.", "Name them under `hosts:` in handrail.yml.")]
    return [_check_of(report) for report in await _reports(loaded, loaded.inventory.hosts, remote)]


def _check_of(report: HostReport) -> Check:
    if not report.ok:
        return Check(part="hosts", outcome=Outcome.FAIL, message=report.message)
    if not report.facts.get("sudo", "works").startswith("works"):
        advice = "Runbooks that need root fail there. Give the account sudo without a password for what they run."
        return _warn("hosts", report.message, advice)
    return _ok("hosts", report.message)


async def _reports(loaded: Settings, hosts: Iterable[Host], remote: Remote | None) -> list[HostReport]:
    """Every host's report, in the order given; a host that takes too long is one that failed."""
    hosts = tuple(hosts)
    async with contextlib.AsyncExitStack() as stack:
        mine = remote or await _ssh(loaded, hosts, stack)
        return await _asked(mine, hosts)


async def _ssh(loaded: Settings, hosts: Sequence[Host], stack: contextlib.AsyncExitStack) -> SshRemote:
    """A way to the hosts, and to the secrets in the database where any host needs one; closed with the stack."""
    redactor = Redactor(loaded.secrets())
    opens: Opens = NoVault()
    if any(host.secrets for host in hosts):
        with contextlib.suppress(OperatorError):  # said by the database's own check; these hosts then have no login
            database = await stack.enter_async_context(opened(loaded.database_url.get_secret_value()))
            opens = Vault(database, loaded.keyring, redactor.hold)
    remote = SshRemote(
        known_hosts=loaded.known_hosts, redactor=redactor, random=random.random, vault=opens, sleep=asyncio.sleep
    )
    stack.push_async_callback(remote.close)
    return remote


async def _asked(remote: Remote, hosts: Sequence[Host]) -> list[HostReport]:
    room = asyncio.Semaphore(HOSTS_AT_ONCE)

    async def ask(host: Host) -> HostReport:
        async with room:
            try:
                return await asyncio.wait_for(remote.check(host), HOST_PATIENCE)
            except TimeoutError:
                said = f"'{host.name}' did not answer within {duration(HOST_PATIENCE)}. Is it up, and reachable?"
                return HostReport(host=host.name, ok=False, message=said)

    return list(await asyncio.gather(*(ask(host) for host in hosts)))
