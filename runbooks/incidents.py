"""Incidents: opened, followed and resolved, each change with its audit entry and a line in the incident's history.

Everything here happens inside one transaction of its caller's and says nothing to anybody: whoever sees to the channels
reads from the rows what is to be made there and told. Whatever opens an incident, a person or an alert, calls
`open_incident`. Texts come in redacted. An expected no is returned, so that it can be kept before it is raised.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from runbooks.catalog import Catalog, Entry, bind
from runbooks.inventory import Inventory
from runbooks.parameters import names_service
from safety import kill_switch
from safety.clock import words as duration
from storage import approvals, audit, incidents
from storage.errors import Invalid, NotFound, OperatorError, TooLate
from storage.records import (
    HANDRAIL,
    SEVERITIES,
    Actor,
    Approval,
    ApprovalState,
    AuditEntry,
    Consent,
    Danger,
    Execution,
    Incident,
    IncidentChange,
    IncidentEntry,
    IncidentRole,
    IncidentStatus,
    Origin,
    Scope,
)

LONGEST_TITLE = 300
LONGEST_NOTE = 3_000
LONGEST_NAME = 60
"""Of the 80 characters that Slack allows a channel: room is left for a number at its end."""
USUAL_SEVERITY = 3
OFFERED = 5
PAGE = 200
"""Entries of the audit that are read at once."""
_SMALL_WORDS = frozenset(
    "a an and are as at be by for from has have in is it its of on or our that the this to was were with".split()  # noqa: SIM905 - words
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The incident as it is now, and what to tell the person. `is_new` is false where nothing had to be done."""

    incident: Incident
    message: str
    is_new: bool = True


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What opens an incident. `asked_in` is the channel it was asked for in, `here` makes that one the incident's."""

    title: str
    actor: Actor
    origin: Origin
    severity: int = USUAL_SEVERITY
    service: str | None = None
    asked_in: str | None = None
    here: bool = False
    invite: tuple[str, ...] = ()


# --- opening ----------------------------------------------------------------------------------------------------------


def open_incident(connection: Connection, opening: Opening, now: datetime) -> Outcome | OperatorError:
    """Open one; whoever sees to channels makes its channel. What is open under this title is not opened twice."""
    title = " ".join(opening.title.split())[:LONGEST_TITLE]
    if not title:
        return Invalid('What is wrong? Say it in a few words: `/incident open "checkout is slow" sev2`.')
    if opening.severity not in SEVERITIES:
        return Invalid(f"There is no severity {opening.severity}: write sev1 (the worst) to sev4.")
    same = next((one for one in incidents.unresolved(connection) if one.title.casefold() == title.casefold()), None)
    if same is not None:
        return Outcome(incident=same, message=f"That is open already: {_named(same)}.", is_new=False)
    if opening.here:
        taken = _taken(connection, opening.asked_in)
        if taken is not None:
            return taken
    incident = incidents.create(
        connection,
        name=_free_name(connection, channel_name(title, now)),
        title=title,
        severity=opening.severity,
        service=opening.service,
        opened_by=opening.actor,
        origin=opening.origin,
        now=now,
        asked_in=opening.asked_in,
        channel=opening.asked_in if opening.here else None,
        wants_channel=not opening.here,
        to_invite=tuple(dict.fromkeys(opening.invite)),
    )
    _record(
        connection,
        incident,
        IncidentChange.OPENED,
        f"opened: {title} (sev{incident.severity}{f', {incident.service}' if incident.service else ''})",
        actor=opening.actor,
        origin=opening.origin,
        now=now,
        title=title,
        severity=opening.severity,
        service=opening.service,
        asked_in=opening.asked_in,
    )
    where = "this channel is about it" if opening.here else "its channel is on its way"
    return Outcome(incident=incident, message=f"I{_named(incident)[1:]} is open; {where}.")


def channel_name(title: str, now: datetime) -> str:
    """A name that Slack takes: `inc-20261121-checkout-slow`. Of other alphabets nothing is left."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = [word for word in re.findall(r"[a-z0-9]+", plain.replace("'", "")) if word not in _SMALL_WORDS]
    name = f"inc-{now:%Y%m%d}"
    for word in words:
        if len(name) + 1 + len(word) > LONGEST_NAME:
            break
        name += f"-{word}"
    return name


def next_name(connection: Connection, incident: Incident) -> str:
    """Another name for its channel, since that one is somebody else's."""
    base, _, number = incident.name.partition("_")
    return _free_name(connection, base, number=int(number or 1) + 1)


def _free_name(connection: Connection, base: str, number: int = 1) -> str:
    """The base itself, or the base with the first free number; no word of a title has an underscore."""
    name = base if number == 1 else f"{base}_{number}"
    while incidents.has_name(connection, name):
        number += 1
        name = f"{base}_{number}"
    return name


def _taken(connection: Connection, channel: str | None) -> OperatorError | None:
    """Why a channel can't become an incident's."""
    if channel is None:
        return Invalid("An incident is bound to a channel: say it in the channel that you mean.")
    other = incidents.of_channel(connection, channel)
    if other is not None and other.is_open:
        return TooLate(f"This channel is about {_named(other)} already. `/incident resolve SUMMARY` ends that one.")
    return None


def bind_channel(
    connection: Connection, incident_id: int, channel: str | None, *, actor: Actor, origin: Origin, now: datetime
) -> Outcome | OperatorError:
    """An open incident that has no channel gets this one. Raises NotFound, TooLate."""
    incident = open_one(connection, incident_id)
    if incident.channel is not None:
        return TooLate(f"{_named(incident)} has a channel already.")
    if incident.may_exist:
        return TooLate(f"The channel of {_named(incident)} is being made right now. Look again in a minute.")
    taken = _taken(connection, channel)
    if taken is not None:
        return taken
    bound = incidents.change(connection, incident.id, now=now, channel=channel, wants_channel=False)
    _record(connection, bound, IncidentChange.CHANNEL, "bound to this channel", actor=actor, origin=origin, now=now)
    return Outcome(incident=bound, message=f"This channel is about {_named(bound)} now.")


# --- what its channel became, as told by whoever saw to it ------------------------------------------------------------


def channel_stands(connection: Connection, incident_id: int, channel: str, *, now: datetime) -> Incident | None:
    """The channel that was made for it; None when it has one already."""
    incident = incidents.find(connection, incident_id, hold=True)
    if incident is None or incident.channel is not None:
        return None
    made = incidents.change(
        connection, incident.id, now=now, channel=channel, is_ours=True, wants_channel=False, may_exist=False
    )
    text = f"channel #{made.name} was made"
    _record(connection, made, IncidentChange.CHANNEL, text, actor=HANDRAIL, origin=Origin.ENGINE, now=now)
    return made


def channel_refused(
    connection: Connection, incident_id: int, why: str, *, instead: Iterable[str], now: datetime
) -> Incident | None:
    """No channel can be made for it: it lives in the first of `instead` that is about nothing else, or in none."""
    incident = incidents.find(connection, incident_id, hold=True)
    if incident is None or incident.channel is not None or not incident.wants_channel:
        return None
    free = next((one for one in instead if _taken(connection, one) is None), None)
    kept = incidents.change(
        connection, incident.id, now=now, channel=free, wants_channel=False, may_exist=False, to_invite=[]
    )
    where = "it lives in this channel" if free else f"`/incident bind {kept.id}` in a channel gives it one"
    text = f"no channel was made ({why}); {where}"
    _record(connection, kept, IncidentChange.TROUBLE, text, actor=HANDRAIL, origin=Origin.ENGINE, now=now)
    return kept


def trouble(connection: Connection, incident: Incident, text: str, *, now: datetime) -> None:
    """Something of its channel could not be done, and it goes on without."""
    _record(connection, incident, IncidentChange.TROUBLE, text, actor=HANDRAIL, origin=Origin.ENGINE, now=now)


# --- following --------------------------------------------------------------------------------------------------------


def current(connection: Connection, channel: str | None) -> Incident:
    """The open incident of a channel; raises NotFound, TooLate."""
    incident = incidents.of_channel(connection, channel, hold=True)
    if incident is None:
        raise NotFound(
            'This channel is about no incident. `/incident open "checkout is slow" sev2` opens one, '
            "`/incident bind` makes this channel one's, `/incident list` shows those that are open."
        )
    if not incident.is_open:
        raise TooLate(f"{_named(incident)} is resolved. `/incident timeline` shows what happened.")
    return incident


def find(connection: Connection, incident_id: int, *, hold: bool = False) -> Incident:
    """By its number; raises NotFound. `hold`: nobody else changes it until the transaction ends."""
    incident = incidents.find(connection, incident_id, hold=hold)
    if incident is None:
        raise NotFound(f"There is no incident {incident_id}. `/incident list` shows those there are.")
    return incident


def open_one(connection: Connection, incident_id: int) -> Incident:
    """An open incident by its number, which nobody else changes meanwhile; raises NotFound, TooLate."""
    incident = find(connection, incident_id, hold=True)
    if not incident.is_open:
        raise TooLate(f"{_named(incident)} is resolved. `/incident timeline` shows what happened.")
    return incident


def set_severity(
    connection: Connection, incident: Incident, severity: int, *, actor: Actor, origin: Origin, now: datetime
) -> Outcome | OperatorError:
    """Worse or less bad than it was thought to be."""
    if severity not in SEVERITIES:
        return Invalid(f"There is no severity {severity}: write sev1 (the worst) to sev4.")
    if severity == incident.severity:
        return Outcome(incident=incident, message=f"It is sev{severity} already.", is_new=False)
    changed = incidents.change(connection, incident.id, now=now, severity=severity)
    text = f"severity: sev{incident.severity} → sev{severity}"
    _record(connection, changed, IncidentChange.SEVERITY, text, actor=actor, origin=origin, now=now, severity=severity)
    return Outcome(incident=changed, message=f"{_named(changed)} is sev{severity} now.")


def set_status(
    connection: Connection, incident: Incident, status: IncidentStatus, *, actor: Actor, origin: Origin, now: datetime
) -> Outcome | OperatorError:
    """How far it is. The first step on acknowledges it; *monitoring* means that it is mitigated."""
    if status is IncidentStatus.RESOLVED:
        return Invalid("An incident is resolved with a summary: `/incident resolve what it was and what helped`.")
    if status is incident.status:
        return Outcome(incident=incident, message=f"It is {status.value} already.", is_new=False)
    times: dict[str, datetime | None] = {"acknowledged_at": incident.acknowledged_at or now}
    if status is IncidentStatus.MONITORING:
        times["mitigated_at"] = incident.mitigated_at or now
    else:
        times["mitigated_at"] = None  # it came back: what counts is when it was mitigated for good
    changed = incidents.change(connection, incident.id, now=now, status=status.value, **times)
    text = f"status: {incident.status.value} → {status.value}"
    _record(connection, changed, IncidentChange.STATUS, text, actor=actor, origin=origin, now=now, status=status.value)
    return Outcome(incident=changed, message=f"{_named(changed)} is {status.value} now.")


def give_role(
    connection: Connection,
    incident: Incident,
    role: IncidentRole,
    person: str | None,
    *,
    actor: Actor,
    origin: Origin,
    now: datetime,
) -> Outcome | OperatorError:
    """Somebody's from now on; nobody's, with `person` None. Whoever takes command acknowledges the incident."""
    had = incident.roles.get(role.value)
    if person == had:
        who = f"<@{person}>'s" if person else "nobody's"
        return Outcome(incident=incident, message=f"{role.value.capitalize()} is {who} already.", is_new=False)
    roles = {name: one for name, one in incident.roles.items() if name != role.value}
    roles |= {role.value: person} if person else {}
    more: dict[str, object] = {"roles": roles}
    if person and role is IncidentRole.COMMANDER:
        more["acknowledged_at"] = incident.acknowledged_at or now
    if person and incident.is_ours and person not in incident.to_invite:
        more["to_invite"] = [*incident.to_invite, person]
    changed = incidents.change(connection, incident.id, now=now, **more)
    text = f"{role.value}: <@{person}>" if person else f"{role.value}: nobody"
    _record(
        connection,
        changed,
        IncidentChange.ROLE,
        text,
        actor=actor,
        origin=origin,
        now=now,
        role=role.value,
        person=person,
    )
    who = f"<@{person}>" if person else "Nobody"
    return Outcome(incident=changed, message=f"{who} is {role.value} of {_named(changed)}.")


def note(
    connection: Connection, incident: Incident, text: str, *, actor: Actor, origin: Origin, now: datetime
) -> Outcome | OperatorError:
    """What somebody saw or did, in their words."""
    if not text.strip():
        return Invalid("What should be noted? Write it after `/incident note`.")
    changed = incidents.change(connection, incident.id, now=now)
    kept = text.strip()[:LONGEST_NOTE]
    _record(connection, changed, IncidentChange.NOTE, kept, actor=actor, origin=origin, now=now, note=kept)
    return Outcome(incident=changed, message="Noted.")


def resolve(
    connection: Connection, incident: Incident, summary: str, *, actor: Actor, origin: Origin, now: datetime
) -> Outcome | OperatorError:
    """It is over; the channel is free for another one."""
    if not summary.strip():
        return Invalid("What was it, and what helped? `/incident resolve SUMMARY`, in a sentence or two.")
    kept = summary.strip()[:LONGEST_NOTE]
    ended = incidents.change(
        connection,
        incident.id,
        now=now,
        status=IncidentStatus.RESOLVED.value,
        resolved_at=now,
        resolved_by=actor.id,
        summary=kept,
        acknowledged_at=incident.acknowledged_at or now,
        mitigated_at=incident.mitigated_at or now,
    )
    _record(
        connection,
        ended,
        IncidentChange.RESOLVED,
        kept,
        actor=actor,
        origin=origin,
        now=now,
        summary=kept,
        seconds={name: took.total_seconds() for name, took in durations(ended).items()},
    )
    times = ", ".join(f"{name} after {duration(took.total_seconds())}" for name, took in durations(ended).items())
    return Outcome(incident=ended, message=f"{_named(ended)} is resolved ({times}).")


def durations(incident: Incident) -> Mapping[str, timedelta]:
    """How long it took from its opening, as far as it got: acknowledged, mitigated, resolved."""
    times = {
        "acknowledged": incident.acknowledged_at,
        "mitigated": incident.mitigated_at,
        "resolved": incident.resolved_at,
    }
    return {name: at - incident.opened_at for name, at in times.items() if at is not None}


def _record(
    connection: Connection,
    incident: Incident,
    change: IncidentChange,
    text: str,
    *,
    actor: Actor,
    origin: Origin,
    now: datetime,
    **data: Any,
) -> None:
    incidents.add_entry(connection, incident.id, at=now, actor=actor, change=change, text=text)
    audit.append(
        connection,
        at=now,
        kind=f"incident.{change.value}",
        actor=actor,
        origin=origin,
        incident=incident.id,
        channel=incident.channel,
        **(data or {"text": text}),
    )


def _named(incident: Incident) -> str:
    return f"incident {incident.id} ({incident.title[:80]})"


# --- the timeline -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One line of what happened. `quoted`: somebody's own words, which mention nobody."""

    at: datetime
    actor: Actor | None
    what: str
    quoted: str = ""


@dataclass(frozen=True, kw_only=True)
class Story:
    """What belongs to an incident. `earlier`: executions that are too many for it, asked for before all of `ran`."""

    moments: tuple[Moment, ...]  # oldest first
    ran: tuple[Execution, ...]  # oldest first
    earlier: int = 0


def story(connection: Connection, incident: Incident, *, most: int = 200) -> Story:
    """Everything with its time: its history, the newest `most` that ran in its channel, consents, kill switches."""
    ran = incidents.executions_of(connection, incident, most)
    earlier = incidents.count_executions_of(connection, incident) - len(ran) if len(ran) == most else 0
    found = [_of_entry(entry) for entry in _entries(connection, incident)]
    for execution in ran:
        found += _of_execution(execution)
    for approval in approvals.of_executions(connection, [one.id for one in ran]):
        found += _of_approval(approval)
    switched = [_of_switch(entry) for entry in _switched(connection, incident) if _concerns(entry, incident)]
    found += reversed(switched)  # of the same moment, in the order in which they were witnessed
    moments = sorted(found, key=lambda moment: moment.at)
    return Story(moments=tuple(moments), ran=tuple(ran), earlier=earlier)


def _entries(connection: Connection, incident: Incident) -> Iterable[IncidentEntry]:
    """Its own history, a page after the other."""
    after = 0
    while page := incidents.entries(connection, incident.id, after=after):
        yield from page
        after = page[-1].seq


def _switched(connection: Connection, incident: Incident) -> Iterable[AuditEntry]:
    """Whatever became of any kill switch meanwhile, a page after the other."""
    wanted = audit.Wanted(kind="killswitch", since=incident.opened_at)
    if incident.resolved_at is not None:
        wanted["until"] = incident.resolved_at + timedelta(microseconds=1)
    before = None
    while page := audit.search(connection, before=before, limit=PAGE, **wanted):
        yield from page
        before = page[-1].seq


def _of_entry(entry: IncidentEntry) -> Moment:
    match entry.change:
        case IncidentChange.NOTE:
            return Moment(at=entry.at, actor=entry.actor, what="note", quoted=entry.text)
        case IncidentChange.RESOLVED:
            return Moment(at=entry.at, actor=entry.actor, what="resolved", quoted=entry.text)
        case IncidentChange.OPENED:
            return Moment(at=entry.at, actor=entry.actor, what="opened", quoted=entry.text.removeprefix("opened: "))
        case _:
            return Moment(at=entry.at, actor=entry.actor, what=entry.text)


def _of_execution(execution: Execution) -> Iterable[Moment]:
    where = ", ".join(execution.hosts[:3]) + (
        f" and {len(execution.hosts) - 3} more" if len(execution.hosts) > 3 else ""
    )
    what = f"#{execution.id} {'dry run of ' if execution.dry_run else ''}{execution.runbook} on {where}"
    yield Moment(at=execution.created_at, actor=execution.actor, what=f"{what}: asked for")
    if execution.started_at is not None:
        yield Moment(at=execution.started_at, actor=None, what=f"#{execution.id} began")
    if execution.ended_at is not None:
        why = f": {execution.ending.splitlines()[0]}" if execution.ending else ""
        yield Moment(at=execution.ended_at, actor=None, what=f"#{execution.id} {execution.state.words}{why}")


def _of_approval(approval: Approval) -> Iterable[Moment]:
    number = f"#{approval.execution_id}"
    asked = "its requester's confirmation" if approval.kind is Consent.CONFIRM else "an approval"
    yield Moment(at=approval.requested_at, actor=None, what=f"{number} waits for {asked}")
    if approval.decided_at is None or approval.state in {ApprovalState.WAITING, ApprovalState.WITHDRAWN}:
        return
    by = Actor(id=approval.decided_by) if approval.decided_by and approval.decided_by != HANDRAIL.id else None
    words = {
        ApprovalState.GIVEN: "approved",
        ApprovalState.DENIED: "denied",
        ApprovalState.EXPIRED: "not approved in time",
    }
    yield Moment(
        at=approval.decided_at, actor=by, what=f"{number} {words[approval.state]}", quoted=approval.reason or ""
    )


def _of_switch(entry: AuditEntry) -> Moment:
    name = str(entry.data.get("scope"))
    name += f" {entry.data['subject']}" if entry.data.get("subject") else ""
    did = "released" if entry.kind.endswith("released") else "engaged"
    return Moment(
        at=entry.at,
        actor=Actor(id=entry.actor),
        what=f"kill switch {name} {did}",
        quoted=str(entry.data.get("reason") or ""),
    )


def _concerns(entry: AuditEntry, incident: Incident) -> bool:
    """Whether a switch was about this: asked for in its channel, over everything, or over its service."""
    if not entry.kind.startswith(("killswitch.engaged", "killswitch.released")):
        return False
    scope, subject = entry.data.get("scope"), entry.data.get("subject")
    if scope == Scope.GLOBAL.value or (incident.channel is not None and entry.data.get("channel") == incident.channel):
        return True
    named = kill_switch.service_names(incident.service) if incident.service else ()
    return scope == Scope.SERVICE.value and subject in named


# --- what may help ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A runbook that may help, with what it would be asked for. Whether somebody may run it is judged when they try."""

    runbook: str
    named: Mapping[str, str]
    hosts: tuple[str, ...]
    danger: Danger

    @property
    def words(self) -> str:
        """As it is typed after `/runbook`."""
        return " ".join([self.runbook, *self.named.values(), "on", ",".join(self.hosts)])


def offers(catalog: Catalog, inventory: Inventory, incident: Incident) -> list[Offer]:
    """Runbooks for its service on the hosts that run it, those that only read first.

    Below severity 2 nothing is offered that somebody would have to consent to.
    """
    if incident.service is None:
        return []
    names = kill_switch.service_names(incident.service)
    hosts = [
        host for host in inventory.hosts if any(set(kill_switch.service_names(s)) & set(names) for s in host.services)
    ]
    if not hosts:
        return []
    found: list[Offer] = []
    for entry in catalog.entries.values():
        fitting = tuple(host.name for host in hosts if host.platform in entry.platforms)
        named = _about(entry, incident.service)
        if named is None or not fitting or len(fitting) > entry.max_hosts:
            continue
        if incident.severity > 2 and entry.danger.rank > Danger.LOW.rank:
            continue
        found.append(Offer(runbook=entry.name, named=named, hosts=fitting, danger=entry.danger))
    found.sort(key=lambda offer: (offer.danger.rank, not offer.named, offer.runbook))
    return found[:OFFERED]


def _about(entry: Entry, service: str) -> Mapping[str, str] | None:
    """What to ask it for, if the service is all that it needs; None for any other runbook."""
    fields = [name for name, info in entry.runbook.Params.model_fields.items() if names_service(info)]
    named = {fields[0]: service} if fields else {}
    if not named and entry.danger.changes_hosts:
        return None
    try:
        bind(entry, (), named)
    except Invalid:
        return None
    return named
