"""What the command line does with the records: kill switches, requests, the audit, the schema, dead letters.

It works beside a running Handrail and without Slack: everything is one short transaction, which a running owner notices
by itself within half a second, and reading afterwards. Nothing here runs a command on a host.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, assert_never

from sqlalchemy import Connection, select
from sqlalchemy.exc import DatabaseError

from bot import dead_letters, settings, terminal
from bot.inbox import keep
from bot.request import (
    RunCommand,
    SwitchCommand,
    SwitchStatus,
    Unclear,
    parse_audit,
    parse_incident,
    parse_killswitch,
    parse_runbook,
)
from bot.settings import Settings
from bot.thread import ThreadReporter
from runbooks import switches
from runbooks.catalog import Catalog
from safety import kill_switch
from safety.clock import Clock, SystemClock
from safety.clock import words as duration
from safety.redaction import Redactor
from storage import audit, controls, executions, export, inbox
from storage import tables as t
from storage.audit import Verification, Wanted
from storage.database import Database, OwnerLock, is_gone, moment
from storage.errors import ConfigurationError, Invalid, NotFound, OperatorError
from storage.export import Checksum, FileVerification
from storage.migrations import revision
from storage.records import (
    Actor,
    Death,
    Execution,
    KillSwitch,
    Origin,
    Received,
    Scope,
    State,
    StepRun,
    StepState,
)

Say = Callable[[str], None]

PATIENCE = 5.0
"""Seconds a running Handrail has to take something up, or to end what a kill switch stops."""
POLL = 0.1


# --- the database -----------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """The database, which must exist and hold our records. Raises NotFound, ConfigurationError, StorageUnavailable."""
    database = Database(url)
    if database.path is not None and not database.path.is_file():
        raise NotFound(
            f"There is no database at {database.path}. Is HANDRAIL_DATABASE_URL right, and is this the folder that "
            "Handrail runs in? `handrail db upgrade` makes a new one."
        )
    await database.start()
    try:
        await _recognise(database)
        yield database
    finally:
        await database.close()


async def _recognise(database: Database) -> None:
    try:
        if await database.read(revision) is None:
            raise ConfigurationError(
                [f"{database.shown_url} holds no records of Handrail. `handrail db upgrade` prepares it."]
            )
    except DatabaseError as error:
        if is_gone(error):
            raise
        raise ConfigurationError([f"{database.shown_url} is not a database that can be read."]) from error


def owner_lives(path: Path) -> bool:
    """Whether a process holds the owner's lock of this SQLite database now."""
    try:
        handle = os.open(OwnerLock(path).path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


async def upgrade(environment: Mapping[str, str] | None = None) -> str:
    """Bring the schema up to date, and say from where to where.

    Raises ConfigurationError while an owner holds the SQLite file, or when a newer Handrail wrote it.
    """
    loaded, _ = settings.load_for_switch(environment)
    database = Database(loaded.database_url.get_secret_value())
    lock = OwnerLock(database.path) if database.path is not None else None
    if lock is not None:
        lock.take()
    try:
        return await _upgrade(database)
    finally:
        if lock is not None:
            lock.release()


async def _upgrade(database: Database) -> str:
    from alembic.util import CommandError

    await database.start()
    try:
        before = await database.read(revision)
        await database.migrate()
        after = await database.read(revision)
    except CommandError as error:
        raise ConfigurationError(
            [f"{database.shown_url} was written by a newer Handrail ({error}). Run that version."]
        ) from error
    except DatabaseError as error:
        if is_gone(error):
            raise
        raise ConfigurationError([f"{database.shown_url} is not a database that can be read."]) from error
    finally:
        await database.close()
    if before == after:
        return f"The schema of {database.shown_url} is up to date (revision {after})."
    return f"The schema of {database.shown_url} went from {before or 'nothing'} to revision {after}."


# --- the audit --------------------------------------------------------------------------------------------------------


async def verify(against: str | None, environment: Mapping[str, str] | None = None) -> Verification:
    """Walk the whole audit, writing nothing. Raises NotFound when there is no database, Invalid for no head."""
    loaded, _ = settings.load_for_switch(environment)
    async with opened(loaded.database_url.get_secret_value()) as database:
        return await database.read(audit.verify, against=against)


def verify_file(path: Path, against: str | None) -> FileVerification:
    """Check an export by itself. Raises NotFound when it cannot be read, Invalid for no head."""
    try:
        with path.open("rb") as lines:
            return export.verify(lines, against=against)
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.") from error


async def export_audit(
    wanted: Wanted,
    actor: Actor,
    *,
    output: Path | None,
    to: BinaryIO,
    environment: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Checksum:
    """Write the wanted entries into a file that only its owner reads, whole or not at all; or to `to`.

    The export is witnessed before anybody has it. Raises NotFound, Invalid, StorageUnavailable.
    """
    loaded, _ = settings.load_for_switch(environment)
    now = (clock or SystemClock()).now()
    async with opened(loaded.database_url.get_secret_value()) as database:
        with _draft(output) as draft:
            made = await database.read(export.write, draft, wanted)
            name = output.name if output is not None else None
            await database.write(_witness_export, made, actor, name, now)
            _hand_over(draft, output, to)
    return made


def _hand_over(draft: Any, output: Path | None, to: BinaryIO) -> None:
    draft.flush()
    if output is None:
        draft.seek(0)
        shutil.copyfileobj(draft, to)
        return
    os.fsync(draft.fileno())
    Path(draft.name).replace(output)


@contextlib.contextmanager
def _draft(output: Path | None) -> Iterator[Any]:
    """A file for what is not to be seen yet: only its owner reads it, and it is gone unless it is moved."""
    if output is None:
        with tempfile.TemporaryFile() as unnamed:
            yield unnamed
        return
    if output.is_dir():
        raise Invalid(f"{output} is a folder. Name a file in it.")
    try:
        folder = output.absolute().parent
        draft = tempfile.NamedTemporaryFile(prefix=f".{output.name}.", dir=folder, delete=False)  # noqa: SIM115
    except OSError as error:
        raise Invalid(f"{output} cannot be written: {error.strerror}.") from error
    try:
        with draft:
            yield draft
    finally:
        Path(draft.name).unlink(missing_ok=True)


def _witness_export(connection: Connection, made: Checksum, actor: Actor, name: str | None, now: datetime) -> None:
    audit.append(connection, at=now, kind="audit.exported", actor=actor, origin=Origin.CLI, file=name, **made.as_data())


# --- kill switches ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """What became of one execution that a kill switch was to end. `deaths` are what the look at its commands found."""

    execution: Execution
    deaths: tuple[tuple[str, Death], ...]

    @property
    def words(self) -> str:
        """A line for a person."""
        found = self.execution
        how = f": {found.ending or found.note}" if found.ending or found.note else ""
        looks = "".join(f"; the command on {host}: {death.value}" for host, death in self.deaths)
        return f"#{found.id} {found.runbook} on {', '.join(found.hosts)} is {found.state_words}{how}{looks}"


async def killswitch(
    words: Sequence[str],
    actor: Actor,
    *,
    now: bool,
    as_json: bool,
    out: Say,
    note: Say,
    environment: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> int:
    """Engage, release or list kill switches; the exit status. Needs neither Slack nor a running Handrail.

    0 done; 1 it could not be done, or with `now` something still runs; 2 the words make no sense.
    """
    clock = clock or SystemClock()
    command = parse_killswitch(" ".join([*words, "--now"] if now else words))
    if isinstance(command, Unclear):
        note(_unclear(command))
        return 2
    loaded, complaints = settings.load_for_switch(environment)
    for complaint in complaints:
        note(f"Passed over: {complaint}")
    async with opened(loaded.database_url.get_secret_value()) as database:
        match command:
            case SwitchStatus():
                return await _status(database, as_json=as_json, out=out)
            case SwitchCommand():
                known = switches.Known(catalog=_catalog(command, environment, note), inventory=loaded.inventory)
                desk = _Switch(database, loaded, known, actor, clock, as_json=as_json, out=out, note=note)
                return await (desk.engage(command) if command.engage else desk.release(command))
            case _:
                assert_never(command)


def _catalog(command: SwitchCommand, environment: Mapping[str, str] | None, note: Say) -> Catalog:
    """The runbooks, where one is named: by them an alias is understood. None of them when they can't be loaded."""
    if _scope(command) is not Scope.RUNBOOK:
        return Catalog(entries={})
    try:
        return settings.load_library(environment)[0]
    except ConfigurationError as error:
        note(f"The runbooks cannot be read, so the name is taken as it stands: {error.message}")
        return Catalog(entries={})


def _unclear(found: Unclear) -> str:
    return _for_shell(f"{found.message} Try `{found.suggestion}`." if found.suggestion else found.message)


async def _status(database: Database, *, as_json: bool, out: Say) -> int:
    engaged = await database.read(controls.engaged)
    if as_json:
        out(json.dumps({"engaged": [_switch_json(switch) for switch in engaged]}, ensure_ascii=False))
        return 0
    for switch in engaged:
        why = switch.reason or "no reason given"
        by = switch.engaged_by.name or switch.engaged_by.id
        out(f"{switch.words}: engaged {switch.engaged_at:%Y-%m-%d %H:%M:%S} UTC by {by} ({why})")
    if not engaged:
        out("No kill switch is engaged.")
    return 0


def _switch_json(switch: KillSwitch) -> dict[str, Any]:
    return {
        "scope": switch.scope.value,
        "subject": switch.subject,
        "by": switch.engaged_by.id,
        "at": switch.engaged_at.isoformat(),
        "now": switch.now,
        "reason": switch.reason,
    }


class _Switch:
    """Throws one switch, and with `--now` sees what comes of it."""

    def __init__(
        self,
        database: Database,
        loaded: Settings,
        known: switches.Known,
        actor: Actor,
        clock: Clock,
        *,
        as_json: bool,
        out: Say,
        note: Say,
    ) -> None:
        self._database, self._known, self._actor, self._clock = database, known, actor, clock
        self._alerts = loaded.file.channels.alerts
        self._redactor = Redactor(loaded.secrets())
        self._reporter = ThreadReporter(database=database, alerts=self._alerts)
        self._as_json, self._out, self._note = as_json, out, note

    async def engage(self, command: SwitchCommand) -> int:
        """Nothing it covers starts any more, from the commit on."""
        scope = _scope(command)
        switch = KillSwitch(
            scope=scope,
            subject=self._known.meant(scope, command.subject),
            engaged_by=self._actor,
            engaged_at=self._clock.now(),
            now=command.now,
            reason=self._clean(command.reason),
        )
        said, held = await self._database.write(self._engage, switch)
        self._tell(said)
        stopped = await self._until_ended(held) if command.now else []
        left = [one for one in stopped if one.execution.state is State.RUNNING]
        alone = await self._without_owner([one.execution for one in left])
        if self._as_json:
            ended = [_stopped_json(one) for one in stopped]
            self._out(json.dumps({"message": said, "switch": _switch_json(switch), "ended": ended}, ensure_ascii=False))
        elif command.now:
            self._say_stopped(stopped, alone)
        return 1 if left else 0

    def _engage(self, connection: Connection, switch: KillSwitch) -> tuple[str, list[int]]:
        now = self._clock.now()
        running = executions.in_states(connection, (State.RUNNING,))
        said = switches.engage(
            connection,
            switch,
            origin=Origin.CLI,
            channel=None,
            reporter=self._reporter,
            now=now,
            doubt=self._known.doubt(switch.scope, switch.subject, lambda: self._known),
        )
        return _for_shell(said), [one.id for one in running if kill_switch.holds(switch, one)]

    async def release(self, command: SwitchCommand) -> int:
        """What it held may go on. Raises Invalid without a reason, TooLate when it was not engaged."""
        scope = _scope(command)
        what = "global" if scope is Scope.GLOBAL else f"{scope.value} {command.subject}"
        reason = self._clean(command.reason)
        if not (reason or "").strip():
            self._note(f"Why is it safe again? Try `handrail killswitch {what} off all clear`.")
            return 2
        said = await self._database.write(self._release, scope, command.subject, str(reason))
        if isinstance(said, OperatorError):
            raise said
        self._tell(said)
        if self._as_json:
            self._out(json.dumps({"message": said}, ensure_ascii=False))
        return 0

    def _release(self, connection: Connection, scope: Scope, subject: str, reason: str) -> str | OperatorError:
        said = switches.release(
            connection,
            scope,
            subject,
            known=self._known,
            actor=self._actor,
            reason=reason,
            origin=Origin.CLI,
            channel=None,
            reporter=self._reporter,
            now=self._clock.now(),
        )
        return _for_shell(said) if isinstance(said, str) else type(said)(_for_shell(said.message))

    def _clean(self, reason: str | None) -> str | None:
        if reason is None:
            return None
        clean = self._redactor.redact(reason)
        if clean.altered:
            self._note("The reason held what looks like a secret; it was masked.")
        return clean.text

    def _tell(self, said: str) -> None:
        if not self._as_json:
            self._out(said)
        if self._alerts is None:
            self._note("No alerts channel is set (channels.alerts in handrail.yml), so Slack is not told.")

    async def _until_ended(self, held: Sequence[int]) -> list[Stopped]:
        """How these executions stand once all have ended, nobody lives to end them, or patience is over."""
        deadline = self._clock.monotonic() + PATIENCE
        while True:
            stopped = await self._database.read(_stopped, held)
            running = [one.execution for one in stopped if one.execution.state is State.RUNNING]
            if not running or self._clock.monotonic() >= deadline:
                return stopped
            if len(await self._without_owner(running)) == len(running):
                return stopped
            await self._clock.sleep(POLL)

    async def _without_owner(self, running: Sequence[Execution]) -> list[int]:
        """Which of these nobody can end: on SQLite its owner's lock tells at once, elsewhere the lease does."""
        if self._database.path is not None and not owner_lives(self._database.path):
            return [one.id for one in running]
        now = await self._database.read(moment, self._clock.now())
        return [one.id for one in running if one.lease_until is None or one.lease_until < now]

    def _say_stopped(self, stopped: Sequence[Stopped], alone: Sequence[int]) -> None:
        if not stopped:
            self._out("Nothing it covers was running.")
        for one in stopped:
            self._out(one.words)
            if one.execution.id in alone:
                self._out(
                    f"  No Handrail is alive to end it, and what it started on {', '.join(one.execution.hosts)} may "
                    "still run there: look on the host. The next start of Handrail marks it interrupted."
                )
            elif one.execution.state is State.RUNNING:
                self._out(f"  It has not ended within {duration(PATIENCE)}; its thread will say how it ends.")


def _scope(command: SwitchCommand) -> Scope:
    return Scope(command.scope)


def _for_shell(said: str) -> str:
    return said.replace("`/killswitch ", "`handrail killswitch ")


def _stopped(connection: Connection, ids: Sequence[int]) -> list[Stopped]:
    return [
        Stopped(
            execution=executions.get(connection, number),
            deaths=tuple((s.host, s.death) for s in executions.steps_of(connection, number) if s.death is not None),
        )
        for number in ids
    ]


def _stopped_json(one: Stopped) -> dict[str, Any]:
    found = one.execution
    return {
        "execution": found.id,
        "state": found.state.value,
        "ending": found.ending,
        "commands": [{"host": host, "found": death.value} for host, death in one.deaths],
    }


# --- say --------------------------------------------------------------------------------------------------------------


async def say(
    text: str,
    actor: Actor,
    *,
    channel: str | None,
    wait: float,
    as_json: bool,
    out: Say,
    note: Say,
    environment: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> int:
    """Ask the running Handrail for something, and follow it for `wait` seconds; the exit status.

    0 it succeeded or was answered; 1 otherwise; 2 the words make no sense. What no Handrail takes up within 5 s is
    withdrawn, so that it does not run at a later start when nobody expects it any more.
    """
    command, rest = _command(text)
    parsed = _parsed(command, rest)
    if isinstance(parsed, Unclear):
        note(_unclear(parsed))
        return 2
    loaded = settings.load(slack=False, hosts=False, environment=environment)
    async with opened(loaded.database_url.get_secret_value()) as database:
        talk = _Talk(database, clock or SystemClock(), as_json=as_json, out=out, note=note)
        request = _received(loaded, actor, command, rest, channel, talk.clock.now())
        try:
            await database.write(keep, request, Origin.CLI)
        except asyncio.CancelledError:
            await talk.take_back(request)  # it may have been kept at this very moment
            raise
        if wait <= 0:
            return talk.left(request)
        return await talk.follow(request, wait, runs=isinstance(parsed, RunCommand))


COMMANDS = ("/runbook", "/killswitch", "/audit", "/incident")


def _command(text: str) -> tuple[str, str]:
    """The slash command and what follows it; `/runbook` where none was typed."""
    head, _, rest = text.strip().partition(" ")
    if head.lower() in COMMANDS:
        return head.lower(), rest.strip()
    if head.startswith("/"):
        raise Invalid(f"{head} is not a command of this version. There are {', '.join(COMMANDS)}.")
    return "/runbook", text.strip()


def _parsed(command: str, rest: str) -> object:
    parse: Mapping[str, Callable[[str], object]] = {
        "/runbook": parse_runbook,
        "/killswitch": parse_killswitch,
        "/audit": parse_audit,
        "/incident": parse_incident,
    }
    return parse[command](rest)


def _received(loaded: Settings, actor: Actor, command: str, text: str, channel: str | None, now: datetime) -> Received:
    clean = Redactor(loaded.secrets()).redact(text)
    number = uuid.uuid4().hex
    return Received(
        id=number,
        key=f"say:{number}",
        kind="say",
        actor=actor,
        channel=channel,
        text=clean.text,
        payload={"command": command, "altered": clean.altered},
        received_at=now,
    )


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """How a request stands."""

    handled: bool
    answer: str | None
    execution: Execution | None
    steps: tuple[StepRun, ...]


def _look(connection: Connection, request_id: str) -> _Seen:
    handled, answer = inbox.answer_to(connection, request_id)
    number = connection.scalar(select(t.executions.c.id).where(t.executions.c.request_id == request_id))
    if number is None:
        return _Seen(handled=handled, answer=answer, execution=None, steps=())
    steps = executions.steps_of(connection, number)
    return _Seen(handled=handled, answer=answer, execution=executions.get(connection, number), steps=tuple(steps))


class _Talk:
    """Follows one request."""

    def __init__(self, database: Database, clock: Clock, *, as_json: bool, out: Say, note: Say) -> None:
        self.database, self.clock = database, clock
        self._as_json, self._out, self._note = as_json, out, note
        self._told: set[object] = set()
        self._names: dict[str, str] = {}

    def left(self, request: Received) -> int:
        """Say that it waits, for somebody who does not want to follow it."""
        self._tell(f"Left as request {request.id}; a running Handrail takes it up within a second.")
        if self._as_json:
            self._print(request, None)
        return 0

    async def follow(self, request: Received, wait: float, *, runs: bool) -> int:
        """Until its end, or for `wait` seconds."""
        if not await self._taken_up(request, PATIENCE if runs else max(wait, PATIENCE)):
            self._note(
                f"No Handrail took it up within {duration(PATIENCE)}, so it was withdrawn and nothing was run. Is "
                "`handrail serve` running, with this HANDRAIL_DATABASE_URL?"
            )
            return 1
        deadline = self.clock.monotonic() + wait
        settled = self.clock.monotonic() + 2.0  # an answer follows its mark within a moment
        while True:
            seen = await self.database.read(_look, request.id)
            await self._learn_names(seen)
            self._show(seen)
            status = self._verdict(seen, is_settled=self.clock.monotonic() >= settled, runs=runs)
            if status is None and self.clock.monotonic() >= deadline:
                self._note(f"Not followed any longer after {duration(wait)}; it goes on.")
                status = 1
            if status is not None:
                if self._as_json:
                    self._print(request, seen)
                return status
            await self.clock.sleep(POLL)

    async def _taken_up(self, request: Received, most: float) -> bool:
        """Whether somebody did; otherwise it is withdrawn, also when the person at the keyboard stops waiting."""
        try:
            while not (seen := await self.database.read(_look, request.id)).handled and seen.execution is None:
                if self.clock.now() - request.received_at >= timedelta(seconds=self._patience(most)):
                    return not await self.database.write(_withdraw, request, self.clock.now())
                await self.clock.sleep(POLL)
        except asyncio.CancelledError:
            await self.take_back(request)
            raise
        return True

    async def take_back(self, request: Received) -> None:
        """Nobody carries it out any more, unless somebody has taken it up by now."""
        if await self.database.write(_withdraw, request, self.clock.now()):
            self._note("It was withdrawn; nothing was run.")

    def _patience(self, most: float) -> float:
        """Seconds. A question is only marked when it is answered, so a living owner may take its time with one."""
        path = self.database.path
        return most if path is not None and owner_lives(path) else PATIENCE

    def _verdict(self, seen: _Seen, *, is_settled: bool, runs: bool) -> int | None:
        if seen.execution is not None:
            if seen.execution.state is State.SUCCEEDED:
                return 0
            return 1 if seen.execution.state.is_final or seen.execution.state is State.INTERRUPTED else None
        if seen.answer is not None:
            return 1 if runs else 0
        return (1 if runs else 0) if is_settled else None

    async def _learn_names(self, seen: _Seen) -> None:
        found = seen.execution
        said = [seen.answer, *(step.reason for step in seen.steps), *((found.ending, found.note) if found else ())]
        for person in terminal.people_in(" ".join(filter(None, said))) - self._names.keys():
            name = await self.database.read(inbox.name_of, person)
            self._names[person] = name or ""

    def _show(self, seen: _Seen) -> None:
        if seen.answer is not None:
            self._once(("answer", seen.answer), terminal.read(seen.answer, self._names))
        for step in seen.steps:
            words = terminal.sentence(_step_words(step), self._names)
            self._once((step.host, step.step, step.attempt, step.state), words)
        found = seen.execution
        if found is not None:
            why = found.ending or found.note
            words = f"#{found.id} {found.runbook} is {found.state_words}" + _after(why)
            self._once((found.state, why), terminal.sentence(words, self._names))

    def _once(self, key: object, line: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self._tell(line)

    def _tell(self, line: str) -> None:
        """On standard output for a person; beside it where that is JSON."""
        (self._note if self._as_json else self._out)(line)

    def _print(self, request: Received, seen: _Seen | None) -> None:
        found = seen.execution if seen is not None else None
        shown = {
            "request": request.id,
            "answer": seen.answer if seen is not None else None,
            "execution": None
            if found is None
            else {
                "id": found.id,
                "runbook": found.runbook,
                "hosts": list(found.hosts),
                "state": found.state.value,
                "ending": found.ending,
                "note": found.note,
            },
            "steps": [_step_json(step) for step in (seen.steps if seen is not None else ())],
        }
        self._out(json.dumps(shown, ensure_ascii=False))


def _withdraw(connection: Connection, request: Received, now: datetime) -> bool:
    """Take it back unless somebody took it up; whether we were faster."""
    if not inbox.handled(connection, request.id, "Withdrawn: no Handrail took it up."):
        return False
    audit.append(
        connection, at=now, kind="request.withdrawn", actor=request.actor, origin=Origin.CLI, request=request.id
    )
    return True


def _after(why: str | None) -> str:
    return f": {why}" if why else ""


def _step_words(step: StepRun) -> str:
    head = f"  {step.host} {step.step} {step.title}: "
    if step.state is StepState.STARTED:
        return head + "started"
    length = f", {duration((step.ended_at - step.started_at).total_seconds())}" if step.ended_at else ""
    exit_status = f", exit {step.exit_status}" if step.exit_status is not None else ""
    death = f", command {step.death.value}" if step.death is not None else ""
    return f"{head}{step.state.value.replace('_', ' ')}{exit_status}{death}{length}" + _after(step.reason)


def _step_json(step: StepRun) -> dict[str, Any]:
    wanted = ("host", "step", "attempt", "title", "state", "exit_status", "death", "reason")
    return {name: value for name, value in asdict(step).items() if name in wanted}


# --- dead letters -----------------------------------------------------------------------------------------------------


async def list_dead_letters(
    *,
    as_json: bool,
    out: Say,
    limit: int = 50,
    environment: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> int:
    """List what could not be delivered, and say what waits for Slack; 1 when there is any dead letter."""
    loaded, _ = settings.load_for_switch(environment)
    async with opened(loaded.database_url.get_secret_value()) as database:
        found = await database.read(dead_letters.listing, limit)
    if as_json:
        out(json.dumps(_listing_json(found), ensure_ascii=False))
    else:
        _say_listing(found, out, (clock or SystemClock()).now())
    return 1 if found.total else 0


def _listing_json(found: dead_letters.Listing) -> dict[str, Any]:
    return {
        "dead_letters": [dead_letters.as_json(one) for one in found.shown],
        "total": found.total,
        "counts": [{"kind": one.kind.value, "error": one.error, "number": one.number} for one in found.counts],
        "unannounced": found.unannounced,
        "waiting": None if found.held is None else {**asdict(found.held), "since": found.held.since.isoformat()},
    }


def _say_listing(found: dead_letters.Listing, out: Say, now: datetime) -> None:
    out(f"{dead_letters.counts_words(found.counts)}." if found.total else "There are no dead letters.")
    if found.held is not None:
        out(f"{dead_letters.held_words(found.held)}.")
    for one in found.shown:
        out(dead_letters.line(one, dead_letters.SHELL, now, length=found.length))
        out(f"    {' '.join(dead_letters.text_of(one, 100).split())}")
    if found.total > len(found.shown):
        out(f"The newest {len(found.shown)} are shown.")


async def show_dead_letter(typed: str, *, as_json: bool, out: Say, environment: Mapping[str, str] | None = None) -> int:
    """Everything about one; its id may be cut short. Raises NotFound, Invalid, TooLate."""
    loaded, _ = settings.load_for_switch(environment)
    async with opened(loaded.database_url.get_secret_value()) as database:
        letter = await database.read(dead_letters.find, typed, dead_letters.SHELL)
    if as_json:
        out(json.dumps(dead_letters.as_json(letter), ensure_ascii=False))
        return 0
    for said in dead_letters.facts(letter, dead_letters.SHELL):
        out(said)
    out("")
    out(dead_letters.text_of(letter, 4_000) or "It has no words.")
    return 0


async def move_dead_letters(
    ids: Sequence[str],
    actor: Actor,
    *,
    requeue: bool,
    out: Say,
    as_json: bool = False,
    environment: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> int:
    """Have these said again, or take them away; ids may be cut short, and `all` may be requeued.

    All or none. Raises NotFound, Invalid, TooLate.
    """
    loaded, _ = settings.load_for_switch(environment)
    now = (clock or SystemClock()).now()
    asked = dead_letters.Asked(actor=actor, origin=Origin.CLI, door=dead_letters.SHELL, now=now)
    move = dead_letters.requeue if requeue else dead_letters.discard
    async with opened(loaded.database_url.get_secret_value()) as database:
        moved = await database.write(move, ids, asked)
    if as_json:
        done = "requeued" if requeue else "discarded"
        out(json.dumps({done: moved.moved, "out_of_date": moved.overtaken, "left": moved.left}))
    else:
        out(dead_letters.requeued_words(moved, dead_letters.SHELL) if requeue else dead_letters.discarded_words(moved))
    return 0
