"""What channels show of incidents: the headline, a line for each change, the timeline. Pure: records in, messages out.

Titles, notes and summaries are somebody's words: they are shown as they are and mention nobody.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bot.blocks import (
    Block,
    Message,
    channel_link,
    clip,
    context,
    counted,
    inline,
    message,
    moment,
    ours,
    paragraphs,
    section,
    units,
    who,
)
from runbooks.incidents import Moment, Offer, Story, durations
from safety.clock import words as duration
from storage.records import (
    Actor,
    Danger,
    Incident,
    IncidentChange,
    IncidentEntry,
    IncidentRole,
    IncidentStatus,
)

SCOPES = {
    "channels:manage": "make an incident's channel, invite into it and set its topic",
    "groups:write": "the same where `incidents: {private: true}`",
    "pins:write": "pin the headline of an incident",
    "files:write": "attach the draft of a postmortem",
}
"""What an incident's channel takes of the bot's token. Without one of them it goes on without, and says so."""
LONGEST_TOPIC = 250
SHOWN_MOMENTS = 40
LONGEST_ABOUT = 1_900  # of the 2,000 that a button carries
EMOJI = {1: ":rotating_light:", 2: ":red_circle:", 3: ":large_yellow_circle:", 4: ":large_blue_circle:"}
LABELS = {
    "inc_take": "Take command",
    "inc_status": "",  # the status that it would become
    "inc_timeline": "Timeline",
    "inc_resolve": "Resolve",
    "inc_postmortem": "Postmortem",
    "inc_try": "",  # the runbook
    "inc_run": "Run it",
}
"""The verbs of an incident's buttons; each value is the incident's number, and what else the button is about."""


def headline(incident: Incident, offered: Sequence[Offer] = ()) -> Message:
    """What stands pinned on top: what is wrong, how bad, how far, who does what, and what can be done now."""
    title = inline(incident.title, 300)
    text = f"sev{incident.severity} incident {incident.id}: {title} ({incident.status.value})"
    emoji = EMOJI[incident.severity] if incident.is_open else ":white_check_mark:"
    return message(
        text,
        [
            section(f"{emoji} *sev{incident.severity} · {title}*"),
            section("\n".join(_details(incident))),
            *_buttons(incident),
            *_offers(incident, offered),
            context(_hint(incident)),
        ],
    )


def _hint(incident: Incident) -> str:
    if not incident.is_open:
        return f"Incident {incident.id} · `/incident timeline` · `/incident postmortem`"
    return f"Incident {incident.id} · `/incident note TEXT` keeps what you see · `/incident help` the rest"


def _details(incident: Incident) -> list[str]:
    service = f" · `{inline(incident.service, 100)}`" if incident.service else ""
    lines = [
        f"*{incident.status.value.capitalize()}*{service} · opened {moment(incident.opened_at)} by "
        f"{who(incident.opened_by)}"
    ]
    held = [
        f"{role.value} {who(Actor(id=incident.roles[role.value]))}"
        for role in IncidentRole
        if role.value in incident.roles
    ]
    if held:
        lines.append(f"Roles: {', '.join(held)}")
    elif incident.is_open:
        lines.append("Nobody is in command yet.")
    times = times_words(incident)
    if times:
        lines.append(times)
    if incident.summary:
        lines.append(f"Summary: {inline(incident.summary, 1_500)}")
    return lines


def times_words(incident: Incident) -> str:
    """ "Acknowledged after 4 min, resolved after 1 h"; empty while nothing of it has happened."""
    took = [f"{name} after {duration(_seconds(length))}" for name, length in durations(incident).items()]
    said = ", ".join(took)
    return said[:1].upper() + said[1:]


def _seconds(length: timedelta) -> float:
    return length.total_seconds()


def _buttons(incident: Incident) -> list[Block]:
    if not incident.is_open:
        return [_row(incident, "buttons", [_button(incident, "inc_timeline"), _button(incident, "inc_postmortem")])]
    found = [] if IncidentRole.COMMANDER.value in incident.roles else [_button(incident, "inc_take", style="primary")]
    following = {
        IncidentStatus.INVESTIGATING: (IncidentStatus.IDENTIFIED, IncidentStatus.MONITORING),
        IncidentStatus.IDENTIFIED: (IncidentStatus.MONITORING,),
        IncidentStatus.MONITORING: (IncidentStatus.INVESTIGATING,),
    }
    for place, status in enumerate(following.get(incident.status, ()), 1):
        found.append(_button(incident, "inc_status", status.value, label=status.value.capitalize(), place=place))
    found += [_button(incident, "inc_timeline"), _button(incident, "inc_resolve")]
    return [_row(incident, "buttons", found)]


def _offers(incident: Incident, offered: Sequence[Offer]) -> list[Block]:
    """Runbooks that may help. What changes hosts is planned first, and run only when that is asked for."""
    if not offered or not incident.is_open:
        return []
    buttons = []
    for place, offer in enumerate(offered, 1):
        plans = "Plan " if offer.danger.changes_hosts else ""
        if 0 < units(offer.runbook) <= LONGEST_ABOUT:
            buttons.append(_button(incident, "inc_try", offer.runbook, label=f"{plans}{offer.runbook}", place=place))
    lines = [f"• `{inline(offer.words, 200)}`{_demand(offer.danger)}" for offer in offered]
    row = [_row(incident, "offers", buttons)] if buttons else []
    return [section("\n".join(["May help:", *lines])), *row]


def _demand(danger: Danger) -> str:
    return {Danger.READ: " _(only reads)_", Danger.LOW: ""}.get(danger, f" _({danger.value})_")


def _row(incident: Incident, place: str, buttons: Sequence[Block]) -> Block:
    return {"type": "actions", "block_id": f"handrail:incident:{place}:{incident.id}", "elements": list(buttons)}


def _button(
    incident: Incident, verb: str, about: str = "", *, label: str = "", style: str = "", place: int = 0
) -> dict[str, Any]:
    shown = label or LABELS[verb]
    button: dict[str, Any] = {
        "type": "button",
        # Two buttons of one message must differ in their action ids; what follows the dot is no part of the verb.
        "action_id": f"handrail:{verb}" + (f".{place}" if place else ""),
        "text": {"type": "plain_text", "text": clip(shown, 75)},
        "value": f"{incident.id}:{about}" if about else str(incident.id),
        "accessibility_label": clip(f"{shown}, incident {incident.id}", 75),
    }
    return button | ({"style": style} if style else {})


def run_it(incident: Incident, offer: Offer, said: str) -> Message:
    """After a dry run: the plan is in the channel, and this asks for the real thing."""
    button = _button(incident, "inc_run", offer.runbook, style="primary")
    button["confirm"] = {
        "title": {"type": "plain_text", "text": clip(f"Run {offer.runbook}?", 100)},
        "text": {"type": "plain_text", "text": clip(f"{offer.words}. It is reviewed like everything else.", 300)},
        "confirm": {"type": "plain_text", "text": "Run it"},
        "deny": {"type": "plain_text", "text": "Not now"},
    }
    return message(said, [section(said), _row(incident, "run", [button])])


# --- lines ------------------------------------------------------------------------------------------------------------


def announcement(incident: Incident) -> Message:
    """For those who are elsewhere: what is wrong and where it is dealt with."""
    where = f" in {channel_link(incident.channel)}" if incident.channel else ""
    if incident.is_open:
        emoji, how = EMOJI[incident.severity], f", being worked on{where}" if where else ", without a channel yet"
    else:
        emoji, how = ":white_check_mark:", f" is resolved; it was worked on{where}" if where else " is resolved"
    text = (
        f"{emoji} *sev{incident.severity}*: {inline(incident.title, 300)}{how} "
        f"(incident {incident.id}, opened by {who(incident.opened_by)})"
    )
    return message(text, [section(text)])


def line(incident: Incident, entry: IncidentEntry) -> Message | None:
    """What the channel is told of a change; None for what its headline says anyway."""
    by = who(entry.actor)
    match entry.change:
        case IncidentChange.OPENED | IncidentChange.CHANNEL:
            return None
        case IncidentChange.NOTE:
            text = f":memo: {by}: {inline(entry.text, 2_500)}"
        case IncidentChange.RESOLVED:
            text = f":white_check_mark: *Resolved* by {by}: {inline(entry.text, 2_000)}\n{times_words(incident)}"
        case IncidentChange.TROUBLE:
            text = f":warning: {ours(entry.text, 1_000)}"
        case _:
            text = f":arrow_forward: {ours(entry.text, 1_000)} ({by})"
    return message(text, [section(text)])


def topic(incident: Incident) -> str:
    """What stands over the channel; Slack takes 250 characters."""
    service = f" · {incident.service}" if incident.service else ""
    text = f"sev{incident.severity} · {incident.status.value}{service} · {incident.title}"
    return clip(" ".join(text.split()).replace("`", "ˋ"), LONGEST_TOPIC)


# --- answers ----------------------------------------------------------------------------------------------------------


def incident_line(incident: Incident) -> str:
    """One incident in one line, ready mrkdwn."""
    emoji = EMOJI[incident.severity] if incident.is_open else ":white_check_mark:"
    where = f" in {channel_link(incident.channel)}" if incident.channel else ", without a channel"
    return (
        f"{emoji} *{incident.id}* sev{incident.severity} {inline(incident.title, 200)}, {incident.status.value}{where} "
        f"({'since' if incident.is_open else 'opened'} {moment(incident.opened_at)})"
    )


def listing(open_: Sequence[Incident], resolved: Sequence[Incident]) -> Message:
    """Those that are dealt with, and some that were."""
    lines = [f"*{counted(len(open_), 'open incident')}*", *map(incident_line, open_[:30])]
    lines += ["*Resolved lately*", *map(incident_line, resolved)] if resolved else []
    return message("\n".join(lines), paragraphs(lines))


def moment_line(one: Moment) -> str:
    """One line of a timeline, ready mrkdwn."""
    by = f" ({who(one.actor)})" if one.actor is not None else ""
    quoted = f": {inline(one.quoted, 400)}" if one.quoted else ""
    return f"{moment(one.at, seconds=True)} {ours(one.what, 400)}{quoted}{by}"


def timeline(incident: Incident, story: Story) -> Message:
    """The newest of it, oldest first."""
    moments = story.moments
    shown = [moment_line(one) for one in moments[-SHOWN_MOMENTS:]]
    while sum(units(line) + 1 for line in shown) > 9_000:
        shown.pop(0)
    hidden = len(moments) - len(shown)
    head = f"*Timeline of incident {incident.id}*: {inline(incident.title, 200)}"
    more = [f"_{counted(hidden, 'earlier line')}: `/incident postmortem` has them._"] if hidden else []
    if story.earlier:
        before = counted(story.earlier, "execution")
        more.append(f"_{before} before those: the draft goes further back, `/runbook history` has them all._")
    lines = [head, *more, *shown]
    return message(f"Timeline of incident {incident.id}: {counted(len(moments), 'line')}", paragraphs(lines))


HELP = """\
`/incident open "checkout is slow" sev2 service=checkout` opens one, with a channel of its own
`/incident` what this channel is about · `/incident list` all that are open
`/incident bind "checkout is slow" sev2` makes this channel an incident's · `/incident bind 7` that of one without
`/incident severity sev1` · `/incident status investigating|identified|monitoring`
`/incident role commander @someone` (communications, operations, scribe, liaison; `nobody` takes it away)
`/incident note TEXT` keeps what you see or do · `/incident timeline` everything with its time
`/incident runbooks` what may help · what you run in its channel belongs to it
`/incident resolve SUMMARY` ends it · `/incident postmortem` a draft as a file"""
