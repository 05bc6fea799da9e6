"""What `/runbook help TOPIC` says: each command in a few sentences, with examples that can be sent as they stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One command. `usage` shows its form, `said` what it does, `examples` whole lines."""

    usage: str
    said: Sequence[str]
    examples: Sequence[str]


TOPICS: Mapping[str, Topic] = {
    "run": Topic(
        usage="/runbook NAME [values…] [key=value…] [on TARGET[,TARGET…|tag:web]] [flags]",
        said=(
            "Runs a runbook. Values come in the order of `/runbook show NAME`, or by name; targets are hosts or tags.",
            "`--dry-run` shows the plan only, `--reason` is kept in the audit, `--priority high` starts it earlier.",
            "On many hosts: `--waves 1,25%,rest`, `--pause 30s` between waves, `--max-failures 1` before it stops.",
        ),
        examples=(
            "/runbook restart nginx on web-01",
            "/runbook restart service=nginx settle=10 on tag:web --waves 1,50%,rest",
            '/runbook restart nginx on web-01 --reason "stale workers"',
        ),
    ),
    "plan": Topic(
        usage="/runbook plan NAME … (or add --dry-run)",
        said=("Looks at the hosts and shows what would be run, command by command. Nothing is changed.",),
        examples=("/runbook plan restart nginx on web-01", "/runbook restart nginx on web-01 --dry-run"),
    ),
    "list": Topic(
        usage="/runbook list [words…]",
        said=("The runbooks you may see, by category; words narrow it down to those that are about them.",),
        examples=("/runbook list", "/runbook list disk"),
    ),
    "show": Topic(
        usage="/runbook show NAME",
        said=("One runbook: what it does, how dangerous it is, and each of its parameters.",),
        examples=("/runbook show restart-service",),
    ),
    "status": Topic(
        usage="/runbook status [ID | on TARGET…]",
        said=("What runs, waits for consent or was interrupted; with a number that one, host by host.",),
        examples=("/runbook status", "/runbook status 42", "/runbook status on web-01"),
    ),
    "logs": Topic(
        usage="/runbook logs ID [[on] HOST] [step=2] [from=101]",
        said=("What was printed, the newest lines first of all; *Older* goes back. Lines are counted from 1.",),
        examples=("/runbook logs 42", "/runbook logs 42 web-01", "/runbook logs 42 step=2 from=1"),
    ),
    "history": Topic(
        usage="/runbook history [RUNBOOK] [STATE] [@someone] [2d] [on HOST] [name=value…]",
        said=(
            "The executions, newest first. Filters: `runbook=`, `host=`, `who=` (or `me`), `state=` (several with "
            "commas; `open` is all that has not ended), `since=`, `until=`.",
            "A state, a person, a length of time and a runbook are also understood without their names.",
        ),
        examples=(
            "/runbook history",
            "/runbook history restart failed 7d on web-01",
            "/runbook history who=me state=failed,timed_out since=2026-11-20",
            "/runbook history open",
        ),
    ),
    "digest": Topic(
        usage="/runbook digest [7d]",
        said=(
            "What the last days were like: success rate, trend, runbooks, hosts, the slowest, approvals, time saved. "
            "*Show* opens the history behind a number.",
        ),
        examples=("/runbook digest", "/runbook digest 24h", "/runbook digest month"),
    ),
    "why": Topic(
        usage="/runbook why ID",
        said=("Every decision about an execution, gate by gate, with the lines of the settings that decided.",),
        examples=("/runbook why 42",),
    ),
    "can": Topic(
        usage="/runbook can [@someone] [NAME values… on TARGET]",
        said=("What you (or somebody else) may do; with a request, what every gate would say to it now.",),
        examples=("/runbook can", "/runbook can restart nginx on web-01", "/runbook can @someone"),
    ),
    "cancel": Topic(
        usage="/runbook cancel ID [reason…]",
        said=("Stops an execution: the running command is ended, and the thread says what was found afterwards.",),
        examples=("/runbook cancel 42 wrong host",),
    ),
    "approve": Topic(
        usage="/runbook approve ID",
        said=("Consents to exactly the plan that is shown, as its button does. Nobody approves their own request.",),
        examples=("/runbook approve 42",),
    ),
    "deny": Topic(
        usage="/runbook deny ID [reason…]",
        said=("Says no to what waits for an approval. It is never run.",),
        examples=("/runbook deny 42 not during the release",),
    ),
    "retry": Topic(
        usage='/runbook retry ID [failed] [--reason "…"] [--emergency]',
        said=(
            "The same request once more, planned and reviewed anew; with `failed` on the failed hosts only.",
            "Its reason is the former one unless another is given; an emergency is never taken over.",
        ),
        examples=("/runbook retry 42", '/runbook retry 42 failed --reason "the disk is larger now"'),
    ),
    "rollback": Topic(
        usage="/runbook rollback ID",
        said=("Takes back what an execution applied, as far as its steps have an undo: a new plan, newly reviewed.",),
        examples=("/runbook rollback 42",),
    ),
    "resume": Topic(
        usage="/runbook resume ID",
        said=("After an interruption: looks at the host, shows what was found, and asks how to go on.",),
        examples=("/runbook resume 42",),
    ),
    "template": Topic(
        usage="/runbook template [list | show NAME | save NAME REQUEST… | run NAME [what differs…] | delete NAME]",
        said=("Keeps a request under a name. Whoever runs it is judged, not who saved it.",),
        examples=(
            "/runbook template save weekly restart nginx on web-01",
            "/runbook template run weekly settle=10",
            "/runbook template list",
        ),
    ),
    "schedule": Topic(
        usage='/runbook schedule | "CRON" REQUEST… [tz ZONE] [as "NAME"] | list | show|pause|resume|delete|run NAME',
        said=(
            "Runs a request again and again, with the rights that whoever made it has each time. Cron lines mean what "
            "Debian's cron makes of them: minute, hour, day of month, month, day of week (0 and 7 are Sunday).",
            "Alone it opens a form, and so does a request that lacks something.",
            "`approve NAME limit=20` gives it a standing approval for at most so many changes each time.",
        ),
        examples=(
            '/runbook schedule "0 2 * * *" disk-cleanup path=/var/log on web-01 tz Europe/Berlin as "nightly cleanup"',
            "/runbook schedule",
            "/runbook schedule list",
            '/runbook schedule pause "nightly cleanup"',
        ),
    ),
    "breaker": Topic(
        usage="/runbook breaker [list | reset RUNBOOK [on HOST]]",
        said=("Circuit breakers: what failed too often in a row and is held back, and how to let it try again.",),
        examples=("/runbook breaker", "/runbook breaker reset restart-service on web-01"),
    ),
    "dead-letters": Topic(
        usage="/runbook dead-letters [list | show ID | requeue ID… | requeue all | discard ID…]",
        said=("What Slack would not take: to look at, to have said again, to take away.",),
        examples=("/runbook dead-letters", "/runbook dead-letters requeue all"),
    ),
    "killswitch": Topic(
        usage="/killswitch global | service NAME | runbook NAME | host NAME | tag NAME on|off [--now] [reason]",
        said=(
            "Stops everything, or a part of it: nothing starts or goes on while it is engaged. `--now` also ends what "
            "runs at this moment. Engaging needs no reason, releasing does.",
        ),
        examples=(
            "/killswitch global on",
            "/killswitch service nginx on --now",
            "/killswitch host web-01 off disk replaced",
            "/killswitch status",
        ),
    ),
    "incident": Topic(
        usage='/incident open "TITLE" [sev2] [service=NAME] | show | bind | severity | status | role | note | …',
        said=(
            "Opens a channel for an incident, or binds this one; what is run there belongs to it. `/incident` shows "
            "it, `note` adds to its timeline, `resolve` ends it with a summary, `postmortem` drafts the report.",
        ),
        examples=(
            '/incident open "checkout is slow" sev2 service=checkout',
            "/incident status monitoring",
            "/incident note the cache was full",
            "/incident resolve the cache was full; it is larger now",
        ),
    ),
    "audit": Topic(
        usage="/audit [words] [who=@someone] [runbook=NAME] [host=NAME] [kind=KIND] [id=42] [since=2h] [until=…]",
        said=("Who did what, when, and why it was allowed. Every entry has an id by which it is found again.",),
        examples=("/audit since=2h", "/audit kind=decision host=web-01", "/audit id=42"),
    ),
}
"""In the order in which help lists them."""
_ALSO = {
    "templates": "template",
    "schedules": "schedule",
    "cron": "schedule",
    "dry-run": "plan",
    "--dry-run": "plan",
    "dead_letters": "dead-letters",
    "kill-switch": "killswitch",
    "stop": "cancel",
    "log": "logs",
    "waves": "run",
    "flags": "run",
    "runbook": "run",
    "breakers": "breaker",
    "incidents": "incident",
}


def topic(typed: str) -> Topic | None:
    """What was asked about, however it was typed; None when there is nothing on it."""
    name = typed.strip().lower().removeprefix("/")
    return TOPICS.get(_ALSO.get(name, name))


def near(typed: str) -> list[str]:
    """Topics that look like this one."""
    return get_close_matches(typed.strip().lower(), TOPICS, n=3, cutoff=0.6)


def lines(topic: Topic) -> list[str]:
    """As mrkdwn."""
    usage = topic.usage.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return [f"*`{usage}`*", *topic.said, "Examples:", *(f"• `{example}`" for example in topic.examples)]
