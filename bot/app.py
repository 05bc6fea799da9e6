"""Builds everything once, and runs it: the database, the engine and its owner, the doors to Slack, the outbox.

`serve` takes things up in this order: the owner's lock, the web server (so that commands are heard), the database, then
what works on it. It lets go in the reverse order. `work` is the part of it that executes, alone: any number of such
processes, on other machines, meet the serving ones in PostgreSQL.
"""

import asyncio
import contextlib
import gc
import random
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import structlog
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Connection

from bot import blocks, logs, schedules
from bot.actions import Actions
from bot.commands import Commands
from bot.digest import ByHand, DigestPoster, by_hand_of
from bot.filling import Forms
from bot.home import Homes
from bot.identity import SlackDirectory
from bot.inbox import Inbox
from bot.incident_channels import IncidentChannels
from bot.incidents import Customs
from bot.ledger import DAILY, HeadPoster, witness_settings
from bot.modals import Modals
from bot.outbox import Outbox
from bot.replies import words_of
from bot.settings import DigestPart, Settings, Slack
from bot.slack import Socket, bolt_app, client_for, events_handler
from bot.thread import ThreadReporter
from runbooks.engine import Engine
from runbooks.owner import Owner
from runbooks.planning import Planner
from runbooks.remote import Remote
from runbooks.schedules import Timer
from runbooks.ssh import SshRemote
from runbooks.steps import Tools
from safety.clock import Clock, SystemClock
from safety.command_guard import CommandGuard
from safety.redaction import Redactor
from safety.vault import Vault
from storage import audit, executions, outbox
from storage import inbox as requests
from storage import schedules as kept_schedules
from storage.database import Bell, Database, OwnerLock, repeat, surely
from storage.errors import ConfigurationError, OperatorError, StorageUnavailable
from storage.records import HANDRAIL, Origin, OutboxKind, Received

log = structlog.get_logger(__name__)

REFRESH = 10.0  # seconds between two looks at the cards of what runs
REFRESH_EACH = 6.0  # seconds for each: half of the edits that progress may take
SWITCH = 0.0005
"""The database's threads need the interpreter for some microseconds after each statement; by default they would wait
5 ms for it each time the event loop is busy."""


@dataclass(kw_only=True)
class Works:
    """What every process has that carries executions, or could."""

    settings: Settings
    clock: Clock
    database: Database
    redactor: Redactor
    remote: Remote
    directory: SlackDirectory
    engine: Engine
    reporter: ThreadReporter
    owner: Owner
    started: asyncio.Event  # the database answers and is up to date
    stopping: asyncio.Event  # nothing new is begun here


@dataclass(kw_only=True)
class App(Works):
    """One running Handrail that speaks with Slack."""

    inbox: Inbox
    outbox: Outbox
    channels: IncidentChannels
    homes: Homes
    web: web.Application
    socket: Socket | None
    commands: Commands
    actions: Actions


def build(
    settings: Settings,
    slack: Slack,
    *,
    clock: Clock | None = None,
    remote: Remote | None = None,
    executes: bool = True,
) -> App:
    """Every object, once. Must be called inside the event loop."""
    client = client_for(slack)
    works = build_works(settings, client, clock=clock, remote=remote, executes=executes)
    database, engine, clock = works.database, works.engine, works.clock
    alerts = settings.file.channels.alerts
    sender = Outbox(database=database, client=client, clock=clock, alerts=alerts, is_alone=database.is_sqlite)
    database.heed(Bell.OUTBOX, sender.wake)
    views = Modals(client, clock.sleep)
    forms = Forms(engine, works.redactor, views)
    part = settings.file.incidents
    customs = Customs(create=part.create, private=part.private, invite=part.invite)
    commands = Commands(engine, forms, customs, _by_hand(settings))
    actions = Actions(engine, commands, views, forms)
    channels = IncidentChannels(
        database=database,
        client=client,
        clock=clock,
        incidents=commands.incidents,
        alerts=alerts,
        wake=sender.wake,
        is_alone=database.is_sqlite,
    )
    desk = Desk(engine, commands, actions, sender, works.directory)
    inbox = Inbox(database, clock, works.redactor, desk.work, desk.at_once, desk.put_aside)
    homes = Homes(engine=engine, client=client, clock=clock)
    bolt = bolt_app(slack, inbox, forms, homes.opened)
    app = App(
        **vars(works),
        inbox=inbox,
        outbox=sender,
        channels=channels,
        homes=homes,
        web=_web(works),
        socket=Socket(bolt, slack) if slack.app_token is not None else None,
        commands=commands,
        actions=actions,
    )
    if slack.signing_secret is not None:
        app.web.router.add_post("/slack/events", events_handler(bolt, slack.signing_secret.get_secret_value()))
    return app


def build_works(
    settings: Settings,
    client: AsyncWebClient | None,
    *,
    clock: Clock | None = None,
    remote: Remote | None = None,
    executes: bool = True,
) -> Works:
    """All that needs no Slack. Without a `client`, who is in a user group is known from what others looked up."""
    clock = clock or SystemClock()
    database = Database(settings.database_url.get_secret_value())
    redactor = Redactor(settings.secrets())
    directory = SlackDirectory(client, settings.groups, clock, database)
    vault = Vault(database, settings.keyring, hold=lambda value: _hold(redactor, value))
    remote = remote or SshRemote(
        known_hosts=settings.known_hosts, redactor=redactor, random=random.random, vault=vault, sleep=clock.sleep
    )
    reporter = ThreadReporter(database=database, alerts=settings.file.channels.alerts, sleep=clock.sleep)
    tools = Tools(
        database=database,
        remote=remote,
        inventory=settings.inventory,
        planner=Planner(remote=remote, guard=CommandGuard(settings.file.guard.policy())),
        reporter=reporter,
        clock=clock,
        call_hosts=frozenset(settings.file.calls),
        vault=vault,
        redactor=redactor,
    )
    engine = Engine(tools=tools, catalog=settings.catalog, policy=settings.policy(directory), caps=settings.caps())
    return Works(
        settings=settings,
        clock=clock,
        database=database,
        redactor=redactor,
        remote=remote,
        directory=directory,
        engine=engine,
        reporter=reporter,
        owner=Owner(engine, executes=executes),
        started=asyncio.Event(),
        stopping=asyncio.Event(),
    )


def _web(works: Works) -> web.Application:
    """What any process answers to whoever watches over it."""
    application = web.Application()
    application.router.add_get("/healthz", _health)
    application.router.add_get("/readyz", _readiness(works))
    return application


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

    async def put_aside(self, received: Received) -> None:
        """Answer what Handrail was ended by each time it worked on it."""
        is_typed = received.kind in {"command", "say"}  # the text of a click or a form is our own word for it
        what = f"`{blocks.inline(received.text, 200)}`" if is_typed else "what you pressed or sent"
        said = (
            f"Handrail ended {requests.MOST_STARTS} times before it could answer {what}, so it is not tried again. "
            "Nothing was run by it beyond what a thread shows. Ask for it in another way; the log says how it ended."
        )
        await self._engine.tools.database.write(self._give_up, received, blocks.spoken(said))
        self._sender.wake()

    def _give_up(self, connection: Connection, received: Received, said: blocks.Message) -> None:
        audit.append(
            connection,
            at=self._engine.tools.clock.now(),
            kind="request.put-aside",
            actor=HANDRAIL,
            origin=Origin.ENGINE,
            request=received.id,
            text=received.text,
        )
        self._say(connection, received, said, marked=False)

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

        origins = {
            "command": Origin.COMMAND,
            "say": Origin.CLI,
            "view": Origin.MODAL,
            "run": Origin.MODAL,  # the last page of a form, which says what would be typed
            "shortcut": Origin.SHORTCUT,
        }
        origin = origins.get(received.kind, Origin.BUTTON)
        try:
            if received.kind in {"click", "view", "shortcut"}:
                return await self._actions.answer(received, handled)
            return await self._commands.answer(received, origin=origin, handled=handled)
        except _AlreadyHandledError:
            return None
        except StorageUnavailable:
            raise  # it stays in the inbox and is taken up again
        except Exception as error:  # the door to a person: whatever it is becomes words and a reference in the log
            return blocks.spoken(words_of(error, doing=f"answering {received.kind} {received.text[:80]!r}"))

    def _say(self, connection: Connection, received: Received, said: blocks.Message | None, *, marked: bool) -> None:
        if not requests.handled(connection, received.id) and not marked:
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


def _readiness(works: Works) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def ready(request: web.Request) -> web.Response:
        if works.stopping.is_set():
            return web.json_response({"status": "not ready", "why": "It is being stopped."}, status=503)
        try:
            async with asyncio.timeout(2):
                current = await works.database.is_current()
        except (OperatorError, TimeoutError) as error:
            message = str(error) or "The database does not answer in time."
            return web.json_response({"status": "not ready", "why": message}, status=503)
        if not current:
            return web.json_response({"status": "not ready", "why": "Migrations are pending."}, status=503)
        return web.json_response({"status": "ready"})

    return ready


@contextlib.asynccontextmanager
async def running(
    settings: Settings, slack: Slack, *, on_ready: Callable[[int], None] | None = None, executes: bool = True
) -> AsyncIterator[App]:
    """Everything started and working; stopped in order at the end."""
    sys.setswitchinterval(SWITCH)
    if not executes:
        _require_shared(settings, "serve --no-execute")
    lock = _owner_lock(settings)
    try:
        app = build(settings, slack, executes=executes)
        runner, port = await _listening(app.web, settings)
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


async def _listening(application: web.Application, settings: Settings) -> tuple[web.AppRunner, int]:
    """The web server, and the port it took. Raises ConfigurationError when it can't have it."""
    # What a refused request still sends is read for a second only.
    runner = web.AppRunner(application, access_log=None, keepalive_timeout=75, lingering_time=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigurationError(
            [f"HANDRAIL_LISTEN: cannot listen on {settings.host}:{settings.port} ({error.strerror}). Is it taken?"]
        ) from error
    return runner, runner.addresses[0][1]


def _owner_lock(settings: Settings) -> OwnerLock | None:
    path = Database(settings.database_url.get_secret_value()).path
    if path is None:
        return None
    lock = OwnerLock(path)
    lock.take()
    return lock


def _require_shared(settings: Settings, what: str) -> None:
    """Raises ConfigurationError where only one process may own the executions."""
    database = Database(settings.database_url.get_secret_value())
    if database.is_sqlite:
        raise ConfigurationError(
            [
                f"`handrail {what}` shares its database with other processes, and HANDRAIL_DATABASE_URL names SQLite "
                f"({database.path}), which one process owns. Set it to a PostgreSQL (postgresql+psycopg://…), the same "
                "for every process."
            ]
        )


async def _opened(works: Works) -> None:
    """Once the database answers: up to date, and with what must be known before anything is judged."""
    for said in works.settings.catalog.left_out:
        log.warning("runbook_left_out", message=said)
    while True:
        try:
            await works.database.start()
            await works.database.migrate()
            break
        except StorageUnavailable as error:
            log.warning("storage_unavailable", loop="start", message=error.message)
            await asyncio.sleep(1)
    await surely(lambda: works.database.write(witness_settings, works.settings, works.clock.now()))
    await works.directory.recall()
    gc.freeze()  # what starting made stays for good: looking through it again and again took a fifth of the work
    works.started.set()
    log.info("started", database=works.database.shown_url, owner=works.owner.id, executes=works.owner.executes)


async def _work(app: App) -> None:
    """Everything that works on the database, each loop supervised."""
    await _opened(app)
    if app.database.is_sqlite:  # nobody else could take back what an earlier life of this process put off
        await surely(lambda: app.database.write(outbox.put_off_no_longer, app.clock.now()))
    async with asyncio.TaskGroup() as group:
        for name, loop in (
            ("owner", app.owner.run),
            ("inbox", app.inbox.run),
            ("outbox", app.outbox.run),
            ("incident channels", app.channels.run),
            ("home", app.homes.run),
            ("cards", lambda: _refresh_cards(app)),
            ("directory", app.directory.run),
            ("socket", lambda: _keep_connected(app)),
            ("prune", lambda: _prune(app)),
            ("audit head", _head_poster(app).run),
            ("digest", _digest_poster(app).run),
            ("schedules", _timer(app).run),
        ):
            group.create_task(_supervised(name, loop, app.clock), name=name)


async def _supervised(name: str, loop: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Run it until it is done; what dies is logged and begun again, ever later."""
    pause = 1.0
    while True:
        began = clock.monotonic()
        try:
            await loop()
            return
        except Exception:  # the last door: a loop that is gone would leave a process that only looks alive
            log.exception("loop_died", loop=name)
        if clock.monotonic() - began > 60:
            pause = 1.0
        await clock.sleep(pause)
        pause = min(pause * 2, 30.0)


def _timer(works: Works) -> Timer:
    return Timer(works.engine, read=schedules.request_at, settled=works.directory.settled)


def _head_poster(app: App) -> HeadPoster:
    file = app.settings.file
    return HeadPoster(
        database=app.database,
        clock=app.clock,
        channel=file.channels.digest or file.channels.alerts,
        digest=file.digest or DAILY,
    )


def _by_hand(settings: Settings) -> ByHand:
    file = settings.file
    return by_hand_of(file.digest, {name: part.by_hand for name, part in file.runbooks.items()})


def _digest_poster(app: App) -> DigestPoster:
    file = app.settings.file
    return DigestPoster(
        database=app.database,
        clock=app.clock,
        channel=file.channels.digest,
        digest=file.digest or DigestPart(),
        by_hand=_by_hand(app.settings),
    )


async def _prune(app: App) -> None:
    """Forget what its time is over for, a small batch at a time, so that nobody waits for it."""
    keep = app.settings.file.retention

    async def prune() -> None:
        pruned = 1
        while pruned:
            now = app.clock.now()
            pruned = await app.database.write(executions.prune_output, before=now - keep.output)
            pruned += await app.database.write(outbox.prune, before=now - keep.outbox)
            pruned += await app.database.write(requests.prune, before=now - keep.outbox)
            pruned += await app.database.write(kept_schedules.prune, before=now - keep.output)
            await app.clock.sleep(1)

    await repeat("prune", prune, every=3600, sleep=app.clock.sleep)


async def _refresh_cards(app: App) -> None:
    """From time to time the cards of what runs say anew how long it takes: the rarer, the more of them there are."""
    while True:
        number = 0
        try:
            number = await app.database.write(app.reporter.refresh, app.clock.now())
        except StorageUnavailable as error:
            log.warning("storage_unavailable", loop="cards", message=error.message)
        app.outbox.wake()
        await app.clock.sleep(max(REFRESH, number * REFRESH_EACH))


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
    """Let what runs end, hear nothing more, say what must be said, then close.

    Kill switches and cancels are heard for as long as something runs; `/readyz` says from the first moment on that
    requests are better sent elsewhere.
    """
    app.stopping.set()
    await app.owner.close()
    if app.socket is not None:
        await app.socket.close()
    await runner.cleanup()
    await app.inbox.close()
    await app.outbox.drain(5.0)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await app.remote.close()
    await app.database.close()
    for result in results:
        if isinstance(result, Exception):
            log.error("stopped_by_an_error", exc_info=result)


async def serve(
    settings: Settings, slack: Slack, *, on_ready: Callable[[int], None] | None = None, executes: bool = True
) -> None:
    """Until SIGTERM or SIGINT; a second one does not wait for what runs."""
    stop = _Stop()
    async with running(settings, slack, on_ready=on_ready, executes=executes) as app:
        stop.owner = app.owner
        await stop.asked.wait()


class _Stop:
    """What signals ask of this process."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.owner: Owner | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._heard)

    def _heard(self) -> None:
        if self.asked.is_set() and self.owner is not None:
            self.owner.hurry()
        self.asked.set()


async def work(settings: Settings, *, on_ready: Callable[[str], None]) -> None:
    """Carry executions until SIGTERM or SIGINT; what must be said waits for a process that serves.

    `on_ready` hears the owner's id once the database answers and is up to date.
    """
    sys.setswitchinterval(SWITCH)
    _require_shared(settings, "worker")
    stop = _Stop()
    works = build_works(settings, None)
    stop.owner = works.owner
    runner = (await _listening(_web(works), settings))[0] if settings.listens else None
    working = asyncio.create_task(_carry(works, on_ready), name="handrail")
    stopped = asyncio.create_task(stop.asked.wait(), name="stop")
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        works.stopping.set()
        await works.owner.close()
        if runner is not None:
            await runner.cleanup()
        for task in (working, stopped):
            task.cancel()
        results = await asyncio.gather(working, stopped, return_exceptions=True)
        await works.remote.close()
        await works.database.close()
    if isinstance(results[0], Exception):
        raise results[0]


async def _carry(works: Works, on_ready: Callable[[str], None]) -> None:
    await _opened(works)
    on_ready(works.owner.id)
    async with asyncio.TaskGroup() as group:
        for name, loop in (
            ("owner", works.owner.run),
            ("directory", works.directory.run),
            ("schedules", _timer(works).run),
        ):
            group.create_task(_supervised(name, loop, works.clock), name=name)
