"""The draft of a postmortem: what was recorded of an incident as Markdown, with places for what only people know.

Everything in it was redacted when it came in; the whole is redacted once more, since lines that stand together may show
what none of them showed alone. Somebody's words are quoted so that they make no heading, link or mention.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Connection

from bot.blocks import counted
from runbooks import incidents as core
from runbooks.incidents import Story, durations
from safety.clock import words as duration
from safety.redaction import Redactor
from storage import audit, outbox
from storage.records import Actor, Incident, IncidentRole, Origin, OutboxKind

MOST_BYTES = 1_000_000
MOST_RAN = 2_000
"""Executions that are listed, the newest; the others are counted."""
_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~!])")
_MENTION = re.compile(r"<@([UW][A-Z0-9]{1,30})>")
_TODO = "_To be written._"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A file as it is attached."""

    title: str
    content: bytes


def file_name(incident_id: int, mark: str) -> str:
    """The name in Slack; its `mark` tells one attaching from another, since a file carries no metadata."""
    return f"postmortem-{incident_id}-{mark[:8]}.md"


def attach(
    connection: Connection, incident: Incident, actor: Actor, *, origin: Origin, channel: str | None, now: datetime
) -> str:
    """Put it into the outbox, for the incident's channel, else for `channel`; in words what comes of it."""
    place = incident.channel or channel
    if place is None:
        return (
            f"Incident {incident.id} has no channel to attach a draft to. `/incident bind {incident.id}` gives it one."
        )
    outbox.put(
        connection,
        id=uuid4().hex,
        kind=OutboxKind.ANSWER,
        method="upload",
        channel=place,
        coalesce_key=f"postmortem:{incident.id}",
        payload={"text": f"Postmortem of incident {incident.id}", "postmortem": incident.id, "user": actor.id},
        now=now,
    )
    audit.append(
        connection,
        at=now,
        kind="incident.postmortem",
        actor=actor,
        origin=origin,
        incident=incident.id,
        channel=place,
    )
    where = "to its channel" if incident.channel else "here, since it has no channel"
    return f"A draft of the postmortem of incident {incident.id} is being attached {where}."


def draft(connection: Connection, incident_id: int) -> Draft:
    """As it stands now; raises NotFound."""
    incident = core.find(connection, incident_id)
    lines = written(incident, core.story(connection, incident, most=MOST_RAN))
    text = Redactor().redact("\n".join(lines) + "\n").text
    content = text.encode("utf-8", "replace")
    if len(content) > MOST_BYTES:
        content = content[:MOST_BYTES].rpartition(b"\n")[0] + b"\n\n(Cut here: the rest is in the audit.)\n"
    return Draft(title=f"Postmortem of incident {incident.id}, draft", content=content)


def written(incident: Incident, story: Story) -> Iterator[str]:
    """The lines of the draft."""
    yield f"# {_plain(incident.title)}"
    yield ""
    yield f"Incident {incident.id}, sev{incident.severity}, {incident.status.value}."
    yield "A draft, made from what was recorded. Times are UTC."
    yield ""
    yield "| what | |"
    yield "|---|---|"
    yield f"| opened | {_stamp(incident.opened_at)} by {_who(incident.opened_by)} |"
    yield f"| service | {_plain(incident.service or 'not said')} |"
    for name, took in durations(incident).items():
        yield f"| {name} | after {duration(took.total_seconds())} |"
    for role in IncidentRole:
        if role.value in incident.roles:
            yield f"| {role.value} | {_who(Actor(id=incident.roles[role.value]))} |"
    yield ""
    for heading, text in (
        ("Summary", _plain(incident.summary) if incident.summary else _TODO),
        ("Impact", _TODO),
        ("Root cause", _TODO),
        ("What helped", _TODO),
    ):
        yield from (f"## {heading}", "", text, "")
    yield from ("## What was run", "")
    if story.earlier:
        yield f"{counted(story.earlier, 'earlier execution')} not listed, here and below: `/runbook history` has all."
        yield ""
    for execution in story.ran:
        where = ", ".join(execution.hosts)
        kind = "dry run of " if execution.dry_run else ""
        yield f"- #{execution.id} {kind}{_plain(execution.runbook)} on {_plain(where)}: {execution.state_words}"
    yield from (() if story.ran else ("Nothing was run in its channel.",))
    yield from ("", "## Timeline", "")
    for one in story.moments:
        by = f" ({_who(one.actor)})" if one.actor is not None else ""
        quoted = f": {_plain(one.quoted)}" if one.quoted else ""
        yield f"- {_stamp(one.at)}{by} {_plain(one.what)}{quoted}"
    yield from ("", "## Actions", "", "- [ ] " + _TODO)


def _plain(text: str) -> str:
    """One line that means itself in Markdown; people are named by their ids."""
    named = _MENTION.sub(r"@\1", " ".join(text.split()))
    return _MARKS.sub(r"\\\1", named)


def _who(actor: Actor) -> str:
    return _plain(f"{actor.name} ({actor.id})" if actor.name and actor.name != actor.id else actor.id)


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
