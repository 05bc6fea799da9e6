"""The policy: one list of gates, read top to bottom, each a pure question with a reason for its answer.

`judge` stops at the first refusal. A gate that breaks is a closed gate. What a gate asks about is a `Proposal` (who
wants what where) and `Facts` (what SQL, the guard and the settings said, gathered by `review`).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from safety import circuit_breaker
from safety.approval import Demand, Electorate, together
from safety.clock import words
from safety.command_guard import Judgement, Severity
from safety.decision import Decision, Outcome, Verdict
from safety.roles import Lack, Right
from safety.token_bucket import Rate, shown, wait
from storage.records import (
    TRANSPORT,
    Approval,
    ApprovalState,
    Breaker,
    BreakerState,
    Consent,
    Danger,
    KillSwitch,
    StandingApproval,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Who wants what where. Before planning, `fingerprint` and `commands` are None."""

    execution_id: int | None
    actor: str
    runbook: str
    danger: Danger
    hosts: tuple[str, ...]
    services: tuple[str, ...]
    tags: tuple[str, ...]  # of the hosts
    cooldown: timedelta
    max_hosts: int
    dry_run: bool = False
    emergency_at: datetime | None = None
    emergency_reason: str | None = None
    fingerprint: str | None = None
    commands: tuple[Judgement, ...] | None = None
    continues: int | None = None  # its cooldown does not count, nor that of what it had continued itself
    stage: int = 1  # of the plan: each is judged on its own
    includes: Mapping[str, timedelta] = field(default_factory=dict)  # runbooks that are a part of it -> their cooldown
    standing: str | None = None  # of a schedule's: what a standing approval would have to be bound to
    changes: int = 0  # changing steps of its plan, on all hosts together

    @property
    def runbooks(self) -> tuple[str, ...]:
        """It and those that are a part of it."""
        return (self.runbook, *self.includes)

    @property
    def exceptions(self) -> tuple[str, ...]:
        """The names of the team's exceptions from the command guard that its commands use."""
        return tuple(dict.fromkeys(one.exception for one in self.commands or () if one.exception is not None))


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """One token bucket and what is in it."""

    key: str
    words: str
    rate: Rate
    tat: float | None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the gates are told."""

    now: datetime
    right: Right  # to run this runbook on these hosts
    override: Right  # to run it in spite of kill switches
    roles: tuple[str, ...]
    switches: tuple[KillSwitch, ...]  # engaged and covering, whether overridden or not
    buckets: tuple[Bucket, ...] = ()
    cooldowns: Mapping[tuple[str, str], datetime] = field(default_factory=dict)  # runbook and host -> until
    breakers: tuple[Breaker, ...] = ()
    approval: Approval | None = None
    demands: tuple[Demand, ...] = ()  # what the settings ask for of this runbook on these hosts
    electorate: Electorate = field(default_factory=Electorate)  # who may approve it now
    admitted: bool = False  # it took its budgets before and is continued
    standing: StandingApproval | None = None  # consent to every firing of the schedule it comes of


Gate = Callable[[Proposal, Facts], Verdict]


def _allow(gate: str, reason: str, rule: str | None = None) -> Verdict:
    return Verdict(gate=gate, outcome=Outcome.ALLOW, reason=reason, rule=rule)


def _refuse(gate: str, reason: str, *, until: datetime | None = None, rule: str | None = None) -> Verdict:
    return Verdict(gate=gate, outcome=Outcome.REFUSE, reason=reason, until=until, rule=rule)


def permission(proposal: Proposal, facts: Facts) -> Verdict:
    """May this person run this runbook on these hosts, and override a switch if they ask to?"""
    right = facts.right
    if right.lacks is Lack.PERMISSION:
        return _refuse(
            "permission",
            f"You may not run runbooks: you have {_roles(facts)}. {right.reason} "
            "Whoever keeps handrail.yml can give you one.",
            rule=right.rule,
        )
    if not right.allowed and right.lacks is not Lack.SIZE:
        return _refuse("permission", right.reason, rule=right.rule)
    if proposal.emergency_at is not None:
        if not facts.override.allowed:
            return _refuse("permission", facts.override.reason, rule=facts.override.rule)
        if not (proposal.emergency_reason or "").strip():
            return _refuse("permission", 'An emergency needs its reason: add --reason "…".', rule=facts.override.rule)
    return _allow("permission", _roles(facts), right.rule)


def _roles(facts: Facts) -> str:
    return ", ".join(facts.roles) or "no role"


def kill_switch(proposal: Proposal, facts: Facts) -> Verdict:
    """Is anything engaged that covers this?"""
    for switch in facts.switches:
        if proposal.emergency_at is None or switch.engaged_at > proposal.emergency_at:
            since = words((facts.now - switch.engaged_at).total_seconds())
            who = f"<@{switch.engaged_by.id}>" if switch.engaged_by.is_slack else switch.engaged_by.id
            why = f": {switch.reason}" if switch.reason else ", no reason given yet"
            return _refuse(
                "kill switch",
                f"The kill switch ({switch.words}) is engaged, by {who} {since} ago{why}. "
                f"It works again once somebody releases it: `/killswitch {switch.words} off REASON`.",
                rule=f"killswitch:{switch.words}",
            )
    if facts.switches:
        overridden = ", ".join(switch.words for switch in facts.switches)
        return _allow("kill switch", f"overridden in an emergency: {overridden}", "emergency.override")
    return _allow("kill switch", "not engaged")


def command_guard(proposal: Proposal, facts: Facts) -> Verdict:
    """Is every command of the plan one we understand and accept?"""
    if proposal.commands is None:
        return _allow("command guard", "no plan yet")
    asks = None
    for judgement in proposal.commands:
        if judgement.verdict is Severity.REFUSE:
            return _refuse("command guard", f"`{judgement.command}`: {judgement.reason}", rule=judgement.rule)
        if judgement.verdict is Severity.APPROVE and asks is None:
            asks = judgement
    if asks is not None:
        return Verdict(
            gate="command guard",
            outcome=Outcome.ASK,
            reason=f"`{asks.command}`: {asks.reason}",
            demands=(Demand(consent=Consent.APPROVE, rule=f"guard:{asks.rule}"),),
            rule=asks.rule,
        )
    used = proposal.exceptions
    allowed = f"; allowed by the team's exception {', '.join(repr(name) for name in used)}" if used else ""
    return _allow(
        "command guard",
        f"{len(proposal.commands)} commands understood{allowed}",
        "team.exception" if used else None,
    )


def blast_radius(proposal: Proposal, facts: Facts) -> Verdict:
    """Is it few enough hosts at once, for this runbook and for this person?"""
    hosts = len(proposal.hosts)
    if hosts > proposal.max_hosts:
        return _refuse(
            "blast radius",
            f"{hosts} hosts at once; {proposal.runbook} may touch {proposal.max_hosts}. Name fewer hosts.",
            rule=f"runbooks:{proposal.runbook} max_hosts",
        )
    if facts.right.lacks is Lack.SIZE:
        return _refuse("blast radius", facts.right.reason, rule=facts.right.rule)
    most = min(proposal.max_hosts, facts.right.max_hosts or proposal.max_hosts)
    return _allow("blast radius", f"{hosts} of at most {most} {'host' if most == 1 else 'hosts'}")


def rate_limit(proposal: Proposal, facts: Facts) -> Verdict:
    """Is there a token in every bucket?"""
    if facts.admitted or proposal.dry_run or not proposal.danger.changes_hosts:
        return _allow("rate limits", "not counted")
    now = facts.now.timestamp()
    for bucket in facts.buckets:
        seconds = wait(bucket.rate, bucket.tat, now)
        if seconds > 0:
            return _refuse(
                "rate limits",
                f"{bucket.words}: {shown(bucket.rate, bucket.tat, now)}.",
                until=facts.now + timedelta(seconds=seconds),
                rule=f"limits:{bucket.key}",
            )
    return _allow("rate limits", "; ".join(f"{b.words}: {shown(b.rate, b.tat, now)}" for b in facts.buckets))


def cooldown(proposal: Proposal, facts: Facts) -> Verdict:
    """Did it just run there?"""
    if facts.admitted or proposal.dry_run or not proposal.danger.changes_hosts:
        return _allow("cooldown", "not counted")
    if facts.cooldowns:
        (runbook, host), until = max(facts.cooldowns.items(), key=lambda item: item[1])
        left = words((until - facts.now).total_seconds())
        length = words(proposal.includes.get(runbook, proposal.cooldown).total_seconds())
        part = "" if runbook == proposal.runbook else f" It is a part of {proposal.runbook}."
        return _refuse(
            "cooldown",
            f"{runbook} ran on {host} less than {length} ago. It may run there again in {left}.{part}",
            until=until,
            rule=f"cooldown:{runbook}",
        )
    return _allow("cooldown", "none running")


def breaker(proposal: Proposal, facts: Facts) -> Verdict:
    """Has it failed there again and again?"""
    if proposal.dry_run:
        return _allow("circuit breaker", "not counted")
    for one in facts.breakers:
        if not circuit_breaker.lets_through(one, proposal.execution_id, facts.now):
            return breaker_refusal(one, facts.now)
    return _allow("circuit breaker", "closed")


def breaker_refusal(one: Breaker, now: datetime) -> Verdict:
    """What to say where a breaker lets nothing through."""
    is_transport = one.runbook == TRANSPORT
    rule = f"breaker:{circuit_breaker.name(one)}"
    due = circuit_breaker.opens_at(one)
    if one.state is BreakerState.OPEN and due is not None:
        left = words(max(0.0, (due - now).total_seconds()))
        what = f"{one.host} could not be reached" if is_transport else f"{one.runbook} failed on {one.host}"
        return _refuse(
            "circuit breaker",
            f"{what} {circuit_breaker.FAILURES} times in a row. One trial may run in {left}; "
            "`/runbook history` shows why they failed, "
            f"`/runbook breaker reset {circuit_breaker.name(one)}` closes it.",
            until=due,
            rule=rule,
        )
    what = f"The way to {one.host}" if is_transport else f"{one.runbook} on {one.host}"
    return _refuse(
        "circuit breaker",
        f"{what} is being tried by #{one.probing}. Wait for that one to end.",
        until=one.probing_until,
        rule=rule,
    )


def approval(proposal: Proposal, facts: Facts) -> Verdict:
    """Has whoever must consent done so, to exactly this plan, and is it still good?"""
    if proposal.dry_run:
        return _allow("approval", "not needed to look")
    if proposal.fingerprint is None:
        missed = facts.electorate.unreachable(facts.demands)
        if missed is not None:
            return _refuse("approval", _unreachable(missed, proposal, facts), rule=missed.rule)
        return _allow("approval", "asked for once there is a plan" if facts.demands else "not needed")
    return _consent(facts.demands, proposal, facts)


def _consent(demands: tuple[Demand, ...], proposal: Proposal, facts: Facts) -> Verdict:
    if not demands:
        return _allow("approval", "not needed")
    given = _given(demands, proposal, facts)
    if given is not None:
        return _allow("approval", f"given by {', '.join(voters(given))}", f"approval:{given.id}")
    falls_short = ""
    if facts.standing is not None:
        falls_short = _falls_short(facts.standing, demands, proposal, facts)
        if not falls_short:
            by = ", ".join(facts.standing.votes)
            said = f"standing approval by {by}: {proposal.changes} changes of at most {facts.standing.changes}"
            return _allow("approval", said, f"standing approval:{facts.standing.schedule_id}")
        falls_short = f" Its standing approval does not cover this: {falls_short}."
    rules = ", ".join(d.rule for d in demands if d.rule)
    if demands[0].consent is Consent.CONFIRM:
        reason = f"{proposal.runbook} can do harm: confirm that this is what you want.{falls_short}"
        return Verdict(gate="approval", outcome=Outcome.ASK, reason=reason, demands=demands, rule=rules)
    missed = facts.electorate.unreachable(demands)
    if missed is not None:
        return _refuse("approval", _unreachable(missed, proposal, facts), rule=missed.rule)
    reason = f"{proposal.runbook} is {proposal.danger.value}: {_needed(demands)} must approve it.{falls_short}"
    return Verdict(gate="approval", outcome=Outcome.ASK, reason=reason, demands=demands, rule=rules)


def _falls_short(standing: StandingApproval, demands: tuple[Demand, ...], proposal: Proposal, facts: Facts) -> str:
    """Why a standing approval is none for this; empty where it is."""
    if standing.mark != proposal.standing:
        return "what it was given for has changed"
    if proposal.changes > standing.changes:
        return f"it holds for {standing.changes} changing steps at most, and this plan has {proposal.changes}"
    if demands[0].consent is Consent.APPROVE:
        lacking = facts.electorate.lacking(demands, standing.votes)
        return f"still needed is {_needed(lacking)}" if lacking else ""
    if proposal.actor in standing.votes or facts.electorate.people.intersection(standing.votes):
        return ""
    return "who gave it may not approve any more"


def _needed(demands: tuple[Demand, ...]) -> str:
    return " and ".join(demand.words for demand in demands)


def _unreachable(demand: Demand, proposal: Proposal, facts: Facts) -> str:
    able = len(facts.electorate.fitting(demand))
    where = ", ".join(proposal.hosts[:5]) + (" …" if len(proposal.hosts) > 5 else "")
    others = "nobody but you" if able == 0 else f"only {able} {'person' if able == 1 else 'people'} besides you"
    asked = "somebody else's approval" if demand.words == "somebody else" else f"the approval of {demand.words}"
    group = f" in {demand.group}" if demand.group is not None else ""
    return (
        f"{proposal.runbook} needs {asked}, and {others}{group} may approve it on {where}. "
        "Give more people a role with runbooks.approve that covers it in handrail.yml."
    )


def voters(approval: Approval) -> tuple[str, ...]:
    """Who said yes; one that was given before votes were kept names who decided."""
    return approval.votes or ((approval.decided_by,) if approval.decided_by is not None else ())


def _given(demands: tuple[Demand, ...], proposal: Proposal, facts: Facts) -> Approval | None:
    found = facts.approval
    if (
        found is None
        or found.state is not ApprovalState.GIVEN
        or found.fingerprint != proposal.fingerprint
        or found.good_until is None
        or found.good_until <= facts.now
    ):
        return None
    if demands[0].consent is Consent.APPROVE and (
        found.kind is not Consent.APPROVE or facts.electorate.lacking(demands, voters(found))
    ):
        return None
    return found


GATES: tuple[tuple[str, Gate], ...] = (
    ("permission", permission),
    ("kill switch", kill_switch),
    ("command guard", command_guard),
    ("blast radius", blast_radius),
    ("rate limits", rate_limit),
    ("cooldown", cooldown),
    ("circuit breaker", breaker),
    ("approval", approval),
)
"""Every review asks these, in this order."""

BEFORE_PLANNING = ("permission", "kill switch", "blast radius", "circuit breaker", "approval")
"""Asked before a host is touched at all; of the approval, whether it could ever be given."""


def judge(proposal: Proposal, facts: Facts, *, only: Collection[str] | None = None) -> Decision:
    """Ask the gates in order; the first refusal ends it. An ASK of the guard is answered by the approval gate."""
    verdicts: list[Verdict] = []
    for name, gate in GATES:
        if only is not None and name not in only:
            continue
        verdict = _ask(name, gate, proposal, facts)
        if verdict.outcome is Outcome.ASK and name != "approval":
            verdict = _answered(verdict, proposal, facts)
        verdicts.append(verdict)
        if verdict.outcome is Outcome.REFUSE:
            break
    return Decision(verdicts=tuple(verdicts))


def _ask(name: str, gate: Gate, proposal: Proposal, facts: Facts) -> Verdict:
    try:
        return gate(proposal, facts)
    except Exception:  # the door a broken gate closes: whatever went wrong in it, nothing runs unjudged
        log.exception("gate_broke", gate=name, execution=proposal.execution_id)
        return _refuse(name, f"The {name} gate could not be judged, so it stays closed. The log says why.")


def _answered(verdict: Verdict, proposal: Proposal, facts: Facts) -> Verdict:
    """A gate that asks for consent finds it, or finds that nobody could give it."""
    if proposal.dry_run:
        return verdict
    demands = together((*verdict.demands, *facts.demands))
    answer = _consent(demands, proposal, facts)
    if answer.outcome is Outcome.ALLOW:
        return _allow(verdict.gate, f"{verdict.reason} ({answer.reason})", verdict.rule)
    return answer if answer.outcome is Outcome.REFUSE else replace(verdict, demands=demands)
