"""Builds everything once, and runs it: the database, the engine and its owner, the doors to Slack, the outbox.

`serve` takes things up in this order: the owner's lock, the web server (so that commands are heard), the database, then
what works on it. It lets go in the reverse order.
"""

import asyncio
import contextlib
import random
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import structlog
from aiohttp import web
from sqlalchemy import Connection

from bot import blocks, logs
from bot.actions import Actions
from bot.commands import Commands
from bot.identity import SlackDirectory
from bot.inbox import Inbox
from bot.ledger import DAILY, HeadPoster, witness_settings
from bot.modals import Modals
from bot.outbox import Outbox
from bot.replies import words_of
from bot.settings import Settings, Slack
from bot.slack import Socket, bolt_app, client_for, events_handler
from bot.thread import ThreadReporter
from runbooks.engine import Engine
from runbooks.execution import Tools
from runbooks.owner import Owner
from runbooks.planning import Planner
from runbooks.remote import Remote
from runbooks.ssh import SshRemote
from safety.clock import Clock, SystemClock
from safety.command_guard import CommandGuard
from safety.redaction import Redactor
from safety.vault import Vault
from storage import executions, outbox
from storage import inbox as requests
from storage.database import Database, OwnerLock, surely
from storage.errors import ConfigurationError, OperatorError, StorageUnavailable
from storage.records import Origin, OutboxKind, Received

log = structlog.get_logger(__name__)


@dataclass
class App:
    """One running Handrail."""

    settings: Settings
    clock: Clock
    database: Database
    remote: Remote
    engine: Engine
    owner: Owner
    inbox: Inbox
    outbox: Outbox
    directory: SlackDirectory
    web: web.Application
    socket: Socket | None
    commands: Commands
    actions: Actions
    started: asyncio.Event  # the database answers and is up to date


def build(settings: Settings, slack: Slack, *, clock: Clock | None = None, remote: Remote | None = None) -> App:
    """Every object, once. Must be called inside the event loop."""
    clock = clock or SystemClock()
    database = Database(settings.database_url.get_secret_value())
    redactor = Redactor(settings.secrets())
    client = client_for(slack)
    directory = SlackDirectory(client, settings.groups, clock, database)
    vault = Vault(database, settings.keyring, hold=lambda value: _hold(redactor, value))
    remote = remote or SshRemote(
        known_hosts=settings.known_hosts, redactor=redactor, random=random.random, vault=vault, sleep=clock.sleep
    )
    alerts = settings.file.channels.alerts
    sender = Outbox(database=database, client=client, clock=clock, alerts=alerts, is_alone=database.is_sqlite)
    reporter = ThreadReporter(database=database, alerts=alerts, sleep=clock.sleep)
    tools = Tools(
        database=database,
        remote=remote,
        inventory=settings.inventory,
        planner=Planner(remote=remote, guard=CommandGuard(settings.file.guard.policy())),
        reporter=reporter,
        clock=clock,
        call_hosts=frozenset(settings.file.calls),
        vault=vault,
    )
    engine = Engine(tools=tools, catalog=settings.catalog, policy=settings.policy(directory))
    commands = Commands(engine)
    actions = Actions(engine, commands, Modals(client))
    desk = Desk(engine, commands, actions, sender, directory)
    inbox = Inbox(database, clock, redactor, desk.work, desk.at_once)
    bolt = bolt_app(slack, inbox)
    app = App(
        settings=settings,
        clock=clock,
        database=database,
        remote=remote,
        engine=engine,
        owner=Owner(engine),
        inbox=inbox,
        outbox=sender,
        directory=directory,
        web=web.Application(),
        socket=Socket(bolt, slack) if slack.app_token is not None else None,
        commands=commands,
        actions=actions,
        started=asyncio.Event(),
    )
    if slack.signing_secret is not None:
        app.web.router.add_post("/slack/events", events_handler(bolt))
    app.web.router.add_get("/healthz", _health)
    app.web.router.add_get("/readyz", _readiness(database))
    return app


def _hold(redactor: Redactor, value: str) -> None:
    """Neither what is stored and posted nor the logs may show it."""
    redactor.hold(value)
    logs.hold(value)


class Desk:
    """Works on one received thing at a time: carries it out, and writes down what to say with the mark `handled`."""

    def __init__(
        self, engine: Engine, commands: Commands, actions: Actions, sender: Outbox, directory: SlackDirectory
    ) -> None:
        self._engine, self._commands, self._actions, self._sender = engine, commands, actions, sender
        self._directory = directory

    async def work(self, received: Received) -> None:
        """Once each: a second attempt at something already handled says nothing."""
        if received.actor.id not in self._engine.policy.people.roles:
            await (
                self._directory.settled()
            )  # whoever is named need not wait for the groups, least of all to stop things
        marked: list[str] = []
        said = await self._answer(received, marked)
        await self._engine.tools.database.write(self._say, received, said, marked=bool(marked))
        self._sender.wake()

    async def at_once(self, received: Received) -> str | None:
        """What must not wait for the database: engaging a kill switch. What to acknowledge, or None."""
        if received.payload.get("command") != "/killswitch":
            return None
        try:
            return await self._commands.engage_at_once(received)
        except OperatorError as error:
            return error.message

    async def _answer(self, received: Received, marked: list[str]) -> blocks.Message | None:
        def handled(connection: Connection) -> None:
            # Marked in the transaction that accepts the run: a crash afterwards must not run it again.
            if not requests.handled(connection, received.id):
                raise _AlreadyHandledError
            marked.append(received.id)

        origins = {"command": Origin.COMMAND, "say": Origin.CLI, "view": Origin.MODAL}
        origin = origins.get(received.kind, Origin.BUTTON)
        try:
            if received.kind in {"click", "view"}:
                return await self._actions.answer(received)
            return await self._commands.answer(received, origin=origin, handled=handled)
        except _AlreadyHandledError:
            return None
        except StorageUnavailable:
            raise  # it stays in the inbox and is taken up again
        except Exception as error:  # the door to a person: whatever it is becomes words and a reference in the log
            return blocks.spoken(words_of(error, doing=f"answering {received.kind} {received.text[:80]!r}"))

    def _say(self, connection: Connection, received: Received, said: blocks.Message | None, *, marked: bool) -> None:
        if not marked and not requests.handled(connection, received.id):
            return  # somebody else has answered
        if said is None:
            return
        requests.answered(connection, received.id, said.text)
        if received.kind == "say":
            return
        outbox.put(
            connection,
            id=uuid.uuid4().hex,
            kind=OutboxKind.ANSWER,
            method="respond",
            channel=received.channel,
            payload=said.payload(user=received.actor.id, response_url=received.payload.get("response_url")),
            now=self._engine.tools.clock.now(),
        )


class _AlreadyHandledError(Exception):
    """Another process, or an earlier life of this one, was faster."""


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"status": "alive"})


def _readiness(database: Database) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def ready(request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(2):
                current = await database.is_current()
        except (OperatorError, TimeoutError) as error:
            message = str(error) or "The database does not answer in time."
            return web.json_response({"status": "not ready", "why": message}, status=503)
        if not current:
            return web.json_response({"status": "not ready", "why": "Migrations are pending."}, status=503)
        return web.json_response({"status": "ready"})

    return ready


@contextlib.asynccontextmanager
async def running(
    settings: Settings, slack: Slack, *, on_ready: Callable[[int], None] | None = None
) -> AsyncIterator[App]:
    """Everything started and working; stopped in order at the end."""
    lock = _owner_lock(settings)
    try:
        app = build(settings, slack)
        runner = web.AppRunner(app.web, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigurationError(
                [f"HANDRAIL_LISTEN: cannot listen on {settings.host}:{settings.port} ({error.strerror}). Is it taken?"]
            ) from error
        port = runner.addresses[0][1]
        tasks = [asyncio.create_task(_work(app), name="handrail")]
        if on_ready is not None:
            on_ready(port)
        try:
            yield app
        finally:
            await _stop(app, runner, tasks)
    finally:
        if lock is not None:
            lock.release()


def _owner_lock(settings: Settings) -> OwnerLock | None:
    path = Database(settings.database_url.get_secret_value()).path
    if path is None:
        return None
    lock = OwnerLock(path)
    lock.take()
    return lock


async def _work(app: App) -> None:
    """Once the database answers: everything that works on it, each loop supervised by its own."""
    while True:
        try:
            await app.database.start()
            await app.database.migrate()
            break
        except StorageUnavailable as error:
            log.warning("storage_unavailable", loop="start", message=error.message)
            await asyncio.sleep(1)
    await surely(lambda: app.database.write(witness_settings, app.settings, app.clock.now()))
    app.started.set()
    for said in app.settings.catalog.left_out:
        log.warning("runbook_left_out", message=said)
    log.info("started", database=app.database.shown_url, owner=app.owner.id)
    async with asyncio.TaskGroup() as group:
        group.create_task(app.owner.run(), name="owner")
        group.create_task(app.inbox.run(), name="inbox")
        group.create_task(app.outbox.run(), name="outbox")
        group.create_task(app.directory.run(), name="directory")
        group.create_task(_keep_connected(app), name="socket")
        group.create_task(_prune(app), name="prune")
        group.create_task(_head_poster(app).run(), name="audit head")


def _head_poster(app: App) -> HeadPoster:
    file = app.settings.file
    return HeadPoster(
        database=app.database,
        clock=app.clock,
        channel=file.channels.digest or file.channels.alerts,
        digest=file.digest or DAILY,
    )


async def _prune(app: App) -> None:
    """Forget what its time is over for, a small batch at a time, so that nobody waits for it."""
    keep = app.settings.file.retention
    while True:
        now = app.clock.now()
        try:
            pruned = await app.database.write(executions.prune_output, before=now - keep.output)
            pruned += await app.database.write(outbox.prune, before=now - keep.outbox)
            pruned += await app.database.write(requests.prune, before=now - keep.outbox)
        except StorageUnavailable as error:
            log.warning("storage_unavailable", loop="prune", message=error.message)
            pruned = 0
        await app.clock.sleep(1 if pruned else 3600)


async def _keep_connected(app: App) -> None:
    if app.socket is None:
        return
    while True:
        try:
            await app.socket.connect()
            break
        except (aiohttp.ClientError, OSError, ValueError) as error:
            log.warning("socket_mode_not_connected", error=type(error).__name__)
            await asyncio.sleep(5)


async def _stop(app: App, runner: web.AppRunner, tasks: list["asyncio.Task[None]"]) -> None:
    """Hear nothing more, let what runs end, say what must be said, then close."""
    if app.socket is not None:
        await app.socket.close()
    await runner.cleanup()
    await app.inbox.close()
    await app.owner.close()
    await app.outbox.drain(5.0)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await app.remote.close()
    await app.database.close()
    for result in results:
        if isinstance(result, Exception):
            log.error("stopped_by_an_error", exc_info=result)


async def serve(settings: Settings, slack: Slack, *, on_ready: Callable[[int], None] | None = None) -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings, slack, on_ready=on_ready):
        await stop.wait()
