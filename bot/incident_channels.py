"""Sees to the channels of incidents: what the rows say is there in the end, through crashes and outages.

`next_step` names what is missing, pure; `IncidentChannels` does it, notes it in the row, and asks again. Every step can
be done twice without harm. A channel's name is its idempotency key: Slack makes none twice, and one that is taken after
an attempt whose answer was lost is ours if we made it, which is looked up. What is posted goes through the outbox, in
the transaction that notes it. Slack being away is waited for; what it refuses for good is told in the channel, and
where no channel can be made the incident lives in the one it was asked for in.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any
from uuid import uuid4

import structlog
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Connection

from bot import blocks
from bot import incident_cards as shown
from bot.incidents import Incidents
from bot.slack_trouble import Failure, Trouble, understand
from runbooks import incidents as core
from safety.clock import Clock
from storage import incidents, outbox
from storage.database import Database, surely
from storage.errors import StorageUnavailable
from storage.records import Incident, OutboxKind, OutboxState

log = structlog.get_logger(__name__)

POLL = 1.0  # seconds between looks for what other processes wrote
LEASE = timedelta(seconds=60)
CALL_TIMEOUT = 10.0
STEPS = 40  # of one incident at a time; the others have their turn then
LONGEST_BACKOFF = 60.0
CLOCKS_DIFFER_BY = timedelta(minutes=5)
PAGES_TO_LOOK_THROUGH = 30
INVITED_AT_ONCE = 50
HEADLINE_POLL = timedelta(milliseconds=200)
DEAD_HEADLINE = ""  # in place of a ts: there is nothing to edit, until a person has it said again

_FINAL = {"missing_scope", "not_allowed_token_type"}
"""What `slack_trouble` has a person repair, and an incident does not wait for."""
_WHY = {
    "missing_scope": "the app lacks the scope channels:manage (or groups:write for private channels)",
    "restricted_action": "this workspace does not let the app make channels",
    "restricted_action_read_only_channel": "this workspace does not let the app make channels",
    "user_is_restricted": "this workspace does not let the app make channels",
    "not_looked": "whether Slack made it cannot be looked up, because the app lacks channels:read",
}


class Step(Enum):
    """What is to be done next for one incident."""

    CREATE = auto()
    HEADLINE = auto()
    TELL = auto()
    SHOW = auto()
    INVITE = auto()
    TOPIC = auto()
    STANDS = auto()  # wait for the headline
    PIN = auto()
    NOTHING = auto()


def next_step(incident: Incident, newest_entry: int) -> Step:
    """The first thing that is missing. `newest_entry` is the number of the last line of its history."""
    if incident.channel is None:
        # What is over needs no channel, but one that may exist already is not left behind.
        is_wanted = incident.wants_channel and (incident.is_open or incident.may_exist)
        return Step.CREATE if is_wanted else Step.NOTHING
    if incident.headline_id is None:
        return Step.HEADLINE
    if incident.headline_ts is not None:
        # These need the outbox alone: they wait for no other call that Slack puts off.
        if incident.told < newest_entry:
            return Step.TELL
        if incident.shown < incident.version:
            return Step.SHOW
    if incident.to_invite and incident.is_ours:
        return Step.INVITE
    if incident.is_ours and incident.topic != shown.topic(incident):
        return Step.TOPIC
    if incident.headline_ts is None:
        return Step.STANDS
    return Step.NOTHING if incident.pinned else Step.PIN


class _SlackSaysNo(Exception):
    """One call failed; the failure says how."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.error)

    @property
    def is_passing(self) -> bool:
        """Whether the same call may work later without anybody changing the app."""
        return self.failure.is_passing and self.failure.error not in _FINAL


class _LaterError(Exception):
    """Nothing can be done for so long."""

    def __init__(self, after: timedelta) -> None:
        self.after = after


class IncidentChannels:
    """One for a process that speaks with Slack. `run` until cancelled; `wake` says that something waits to be said.

    `is_alone`: no other process sees to this database's incidents, so what was being seen to when we start is free.
    """

    def __init__(
        self,
        *,
        database: Database,
        client: AsyncWebClient,
        clock: Clock,
        incidents: Incidents,
        alerts: str | None,
        wake: Any,
        is_alone: bool,
    ) -> None:
        if client.retry_handlers:
            raise ValueError("a client that tries again by itself hides that an answer was lost")
        self._database, self._client, self._clock = database, client, clock
        self._door, self._alerts, self._wake, self._is_alone = incidents, alerts, wake, is_alone
        self._me: str | None = None
        self._put_off: dict[str, float] = {}  # by method, until when on the monotonic clock Slack asked us to wait

    async def run(self) -> None:
        """See to what is due, until cancelled. Outlives Slack's, the database's and its own failures."""
        if self._is_alone:
            await surely(lambda: self._database.write(incidents.release_all, self._clock.now()))
        while True:
            self._door.changed.clear()
            pause = POLL
            try:
                pause = await self.look()
            except StorageUnavailable as error:
                log.warning("storage_unavailable", loop="incident channels", message=error.message)
            except Exception:  # the last door: the next round may go well
                log.exception("round_failed", loop="incident channels")
            try:
                await asyncio.wait_for(self._door.changed.wait(), pause)
            except TimeoutError:
                continue

    async def look(self) -> float:
        """One round: everything that is due, each on its own; after how many seconds to look again."""
        due = await self._database.read(incidents.due, self._clock.now())
        pauses = await asyncio.gather(*(self._see_to(one) for one in due))
        return min([POLL, *pauses])

    async def _see_to(self, incident_id: int) -> float:
        """As far as it goes; after how many seconds it may go on."""
        incident = await self._database.write(incidents.claim, incident_id, now=self._clock.now(), lease=LEASE)
        if incident is None:
            return POLL  # somebody else does
        try:
            for _ in range(STEPS):
                step = await self._database.write(self._settle, incident_id)
                if step is None:
                    return POLL
                await self._do(*step)
            after, attempts = timedelta(0), 0
        except _LaterError as later:
            after, attempts = later.after, 0
        except _SlackSaysNo as error:
            attempts = (await self._database.read(incidents.find, incident_id) or incident).attempts + 1
            after = timedelta(seconds=_backoff(error.failure, attempts))
            log.warning(
                "incident_waits", incident=incident_id, error=error.failure.error, seconds=after.total_seconds()
            )
        except StorageUnavailable:
            raise  # the lease ends by itself
        except Exception:  # one incident's fault must not stop the others
            log.exception("incident_not_seen_to", incident=incident_id)
            after, attempts = timedelta(seconds=LONGEST_BACKOFF), incident.attempts + 1
        await self._database.write(incidents.again, incident_id, now=self._clock.now(), after=after, attempts=attempts)
        return after.total_seconds()

    def _settle(self, connection: Connection, incident_id: int) -> tuple[Incident, Step] | None:
        """What to do next; None, and not due any more, when nothing is."""
        incident = incidents.find(connection, incident_id, hold=True)
        if incident is None:
            return None
        if incident.headline_id is not None and incident.headline_ts is None:
            incident = _stands(connection, incident, incident.headline_id)
        step = next_step(incident, incidents.newest_entry(connection, incident_id))
        if step is Step.NOTHING:
            incidents.again(connection, incident_id, now=self._clock.now(), after=None)
            return None
        return incident, step

    async def _do(self, incident: Incident, step: Step) -> None:
        match step:
            case Step.CREATE:
                await self._create(incident)
            case Step.INVITE:
                await self._invite(incident)
            case Step.TOPIC:
                await self._set_topic(incident)
            case Step.PIN:
                await self._pin(incident)
            case Step.STANDS:
                raise _LaterError(HEADLINE_POLL)
            case Step.HEADLINE:
                await self._write(self._put_headline, incident.id)
            case Step.TELL:
                await self._write(self._tell, incident.id)
            case Step.SHOW:
                await self._write(self._show, incident.id)
            case Step.NOTHING:
                return

    async def _write(self, function: Callable[[Connection, int], None], incident_id: int) -> None:
        await self._database.write(function, incident_id)
        self._wake()

    # --- the channel itself -------------------------------------------------------------------------------------------

    async def _create(self, incident: Incident) -> None:
        """Made, found again, or settled without. The attempt is noted before it is made, if it is wanted still."""

        def attempt(connection: Connection) -> Incident | None:
            held = incidents.find(connection, incident.id, hold=True)
            if held is None or held.name != incident.name or next_step(held, 0) is not Step.CREATE:
                return None  # it was bound, renamed or resolved meanwhile
            incidents.set_values(connection, held.id, may_exist=True)
            return held

        held = await self._database.write(attempt)
        if held is None:
            return
        was_tried = held.may_exist
        try:
            made = await self._call(
                "conversations.create", name=incident.name, is_private=int(self._door.customs.private)
            )
            await self._database.write(self._made, incident.id, str(made["channel"]["id"]))
            self._wake()
        except _SlackSaysNo as error:
            failure = error.failure
            if failure.error == "name_taken":
                await self._taken(incident, was_tried=was_tried)
            elif error.is_passing:
                if not was_tried and not failure.may_be_done:
                    await self._database.write(incidents.set_values, incident.id, may_exist=False)
                raise
            else:
                await self._without(incident, failure.error)

    async def _taken(self, incident: Incident, *, was_tried: bool) -> None:
        """The name is somebody else's, unless an attempt of ours had its effect and its answer was lost."""
        if was_tried:
            try:
                ours = await self._find(incident)
            except _SlackSaysNo as error:
                if error.is_passing:
                    raise
                # It may be ours: another channel would be a second one.
                await self._without(incident, "not_looked")
                return
            if ours is not None:
                await self._database.write(self._made, incident.id, ours)
                self._wake()
                return

        def rename(connection: Connection) -> None:
            held = incidents.find(connection, incident.id, hold=True)
            if held is not None and held.name == incident.name and held.channel is None:
                name = core.next_name(connection, held)
                incidents.set_values(connection, incident.id, name=name, may_exist=False)

        await self._database.write(rename)

    async def _find(self, incident: Incident) -> str | None:
        """The channel of this name that we made since the incident was opened; None when there is none."""
        if self._me is None:
            self._me = str((await self._call("auth.test"))["user_id"])
        kind = "private_channel" if self._door.customs.private else "public_channel"
        cursor: str | None = None
        for _ in range(PAGES_TO_LOOK_THROUGH):
            page = await self._call("users.conversations", types=kind, exclude_archived=1, limit=900, cursor=cursor)
            for channel in page.get("channels", ()):
                if channel.get("name") != incident.name or channel.get("creator") != self._me:
                    continue
                created = datetime.fromtimestamp(float(channel.get("created") or 0), UTC)
                return str(channel["id"]) if created >= incident.opened_at - CLOCKS_DIFFER_BY else None
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return None
        raise _SlackSaysNo(Failure(trouble=Trouble.REFUSED, error="too many channels to look through"))

    def _made(self, connection: Connection, incident_id: int, channel: str) -> None:
        """Noted, with its headline and what tells others of it, at once."""
        incident = core.channel_stands(connection, incident_id, channel, now=self._clock.now())
        if incident is not None:
            self._headline(connection, incident)
            self._announce(connection, incident)

    async def _without(self, incident: Incident, error: str) -> None:
        why = _WHY.get(error, f"Slack says {error}")
        log.warning("incident_without_channel", incident=incident.id, error=error)
        await self._database.write(self._refused, incident.id, why)
        self._wake()

    def _refused(self, connection: Connection, incident_id: int, why: str) -> None:
        incident = incidents.find(connection, incident_id, hold=True)
        if incident is None:
            return
        places = [one for one in (incident.asked_in, self._alerts) if one and one.startswith(("C", "G"))]
        kept = core.channel_refused(connection, incident_id, why, instead=places, now=self._clock.now())
        if kept is None:
            return
        if kept.channel is not None:
            said = (
                f"No channel was made for incident {kept.id}: {why}. It lives in {blocks.channel_link(kept.channel)}."
            )
        else:
            self._announce(connection, kept)
            said = f"Incident {kept.id} is open and has no channel: {why}. `/incident bind {kept.id}` gives it one."
        if kept.opened_by.is_slack:
            self._put(
                connection,
                OutboxKind.ANSWER,
                blocks.markdown(said).payload(user=kept.opened_by.id),
                channel=kept.asked_in,
                method="ephemeral",
            )

    async def _invite(self, incident: Incident) -> None:
        """All at once; where somebody can't be, one by one."""
        channel, people = str(incident.channel), incident.to_invite[:INVITED_AT_ONCE]
        refused: list[str] = []
        try:
            await self._call("conversations.invite", channel=channel, users=",".join(people))
        except _SlackSaysNo as error:
            if error.is_passing:
                raise
            for person in people:
                try:
                    await self._call("conversations.invite", channel=channel, users=person)
                except _SlackSaysNo as single:
                    if single.is_passing:
                        raise
                    if single.failure.error not in {"already_in_channel", "cant_invite_self"}:
                        refused.append(f"<@{person}> ({single.failure.error})")

        def invited(connection: Connection) -> None:
            held = incidents.find(connection, incident.id, hold=True)
            if held is None:
                return
            left = [one for one in held.to_invite if one not in people]
            incidents.set_values(connection, incident.id, to_invite=left)
            if refused:
                text = f"could not be invited: {', '.join(refused)}"
                core.trouble(connection, held, text, now=self._clock.now())

        await self._database.write(invited)

    async def _set_topic(self, incident: Incident) -> None:
        topic = shown.topic(incident)
        await self._or_tell(
            incident,
            "conversations.setTopic",
            "the topic could not be set",
            {"channel": str(incident.channel), "topic": topic},
            done={"topic": topic},
        )

    async def _pin(self, incident: Incident) -> None:
        if incident.headline_channel != incident.channel or not incident.headline_ts:
            await self._database.write(incidents.set_values, incident.id, pinned=True)
            return
        await self._or_tell(
            incident,
            "pins.add",
            "the headline could not be pinned",
            {"channel": incident.channel, "timestamp": incident.headline_ts},
            done={"pinned": True},
            fine={"already_pinned"},
        )

    async def _or_tell(
        self,
        incident: Incident,
        method: str,
        otherwise: str,
        arguments: Mapping[str, Any],
        *,
        done: Mapping[str, Any],
        fine: frozenset[str] | set[str] = frozenset(),
    ) -> None:
        """Done; or it can't be, the channel is told so once, and it goes on without."""
        error = ""
        try:
            await self._call(method, **arguments)
        except _SlackSaysNo as no:
            if no.is_passing:
                raise
            error = "" if no.failure.error in fine else no.failure.error

        def noted(connection: Connection) -> None:
            held = incidents.find(connection, incident.id, hold=True)
            if held is None:
                return
            incidents.set_values(connection, incident.id, **done)
            if error and not (method == "conversations.setTopic" and held.topic is not None):
                core.trouble(connection, held, f"{otherwise}: {error}", now=self._clock.now())

        await self._database.write(noted)

    # --- what is posted -----------------------------------------------------------------------------------------------

    def _put_headline(self, connection: Connection, incident_id: int) -> None:
        incident = incidents.find(connection, incident_id, hold=True)
        if incident is not None and incident.headline_id is None:
            self._headline(connection, incident)
            self._announce(connection, incident)

    def _headline(self, connection: Connection, incident: Incident) -> None:
        said = shown.headline(incident, self._door.offers(incident))
        number = self._put(
            connection, OutboxKind.HEADLINE, said.payload(), channel=incident.channel, key=_key(incident)
        )
        incidents.set_values(
            connection,
            incident.id,
            headline_id=number,
            shown=incident.version,
            told=_before_it_stood(connection, incident),
        )

    def _announce(self, connection: Connection, incident: Incident) -> None:
        said = shown.announcement(incident).payload()
        for place in dict.fromkeys(filter(None, (incident.asked_in, self._alerts))):
            if place != incident.channel and place.startswith(("C", "G")):
                self._put(connection, OutboxKind.ALERT, said, channel=place)

    def _tell(self, connection: Connection, incident_id: int) -> None:
        """A line for each change; in a channel that is not its own, below its headline."""
        incident = incidents.find(connection, incident_id, hold=True)
        if incident is None:
            return
        thread = (
            incident.headline_ts if not incident.is_ours and incident.headline_channel == incident.channel else None
        )
        told = incident.told
        for entry in incidents.entries(connection, incident_id, after=incident.told, limit=50):
            told = entry.seq
            said = shown.line(incident, entry)
            if said is not None:
                payload = said.payload(thread_ts=thread) if thread else said.payload()
                self._put(connection, OutboxKind.ALERT, payload, channel=incident.channel)
        incidents.set_values(connection, incident_id, told=told)

    def _show(self, connection: Connection, incident_id: int) -> None:
        """The headline says what is so now."""
        incident = incidents.find(connection, incident_id, hold=True)
        if incident is None:
            return
        said = shown.headline(incident, self._door.offers(incident))
        if incident.headline_ts:
            self._put(
                connection,
                # A person made this change: it does not wait behind the progress of executions.
                OutboxKind.APPROVAL if incident.is_open else OutboxKind.ENDING,
                said.payload(ts=incident.headline_ts),
                channel=incident.headline_channel,
                method="update",
                key=_key(incident),
            )
        elif incident.headline_id is not None:
            outbox.set_dead_words(connection, incident.headline_id, said.payload())
        incidents.set_values(connection, incident_id, shown=incident.version)

    def _put(
        self,
        connection: Connection,
        kind: OutboxKind,
        payload: Mapping[str, Any],
        *,
        channel: str | None,
        method: str = "post",
        key: str | None = None,
    ) -> str:
        number = uuid4().hex
        outbox.put(
            connection,
            id=number,
            kind=kind,
            method=method,
            channel=channel,
            payload=payload,
            now=self._clock.now(),
            coalesce_key=key,
        )
        return number

    # --- Slack --------------------------------------------------------------------------------------------------------

    async def _call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        given = {name: value for name, value in arguments.items() if value is not None}
        left = self._put_off.get(method, 0.0) - self._clock.monotonic()
        if left > 0:
            raise _SlackSaysNo(Failure(trouble=Trouble.BUSY, error="ratelimited", retry_after=left))
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                verb = "GET" if method == "users.conversations" else "POST"
                response = await self._client.api_call(method, http_verb=verb, params=given)
        except Exception as error:  # every way a call can fail is sorted in one place
            failure = understand(error)
            if failure.trouble is Trouble.BUSY:
                self._put_off[method] = self._clock.monotonic() + failure.retry_after
            raise _SlackSaysNo(failure) from error
        data = response.data
        return data if isinstance(data, dict) else {}


def _stands(connection: Connection, incident: Incident, headline_id: str) -> Incident:
    """The incident, with where its headline stands once Slack took it."""
    row = outbox.find(connection, headline_id)
    if row is None or row.state is OutboxState.DEAD:
        return incidents.set_values(connection, incident.id, headline_ts=DEAD_HEADLINE)
    if row.state is not OutboxState.SENT or row.ts is None:
        return incident
    return incidents.set_values(connection, incident.id, headline_ts=row.ts, headline_channel=row.channel)


def _before_it_stood(connection: Connection, incident: Incident) -> int:
    """The number of the newest entry that the headline itself tells; trouble is told beside it."""
    return max(
        (e.seq for e in incidents.entries(connection, incident.id) if shown.line(incident, e) is None), default=0
    )


def _key(incident: Incident) -> str:
    return f"incident:{incident.id}"


def _backoff(failure: Failure, attempts: int) -> float:
    if failure.trouble is Trouble.BUSY:
        return failure.retry_after
    return float(min(math.ldexp(0.5, min(attempts, 10)), LONGEST_BACKOFF))
