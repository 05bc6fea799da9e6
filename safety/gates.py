"""The policy: one list of gates, read top to bottom, each a pure question with a reason for its answer.

`judge` stops at the first refusal. A gate that breaks is a closed gate. What a gate asks about is a `Proposal` (who
wants what where) and `Facts` (what SQL, the guard and the settings said, gathered by `review`).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from safety import circuit_breaker
from safety.clock import words
from safety.command_guard import Judgement, Severity
from safety.decision import Decision, Outcome, Verdict
from safety.token_bucket import Rate, used, wait
from storage.records import Approval, ApprovalState, Breaker, BreakerState, Consent, Danger, KillSwitch

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
    cooldown: timedelta
    max_hosts: int
    dry_run: bool = False
    emergency_at: datetime | None = None
    emergency_reason: str | None = None
    fingerprint: str | None = None
    commands: tuple[Judgement, ...] | None = None
    continues: int | None = None  # the execution whose cooldown does not count

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
    may_execute: bool
    may_override: bool
    someone_may_approve: bool
    roles: tuple[str, ...]
    switches: tuple[KillSwitch, ...]  # engaged and covering, whether overridden or not
    buckets: tuple[Bucket, ...] = ()
    cooldowns: Mapping[str, datetime] = field(default_factory=dict)  # host -> until
    breakers: tuple[Breaker, ...] = ()
    approval: Approval | None = None
    approver_may: bool = False  # whether who gave it still may
    consents: Mapping[Danger, Consent] = field(default_factory=dict)
    admitted: bool = False  # it took its budgets before and is continued


Gate = Callable[[Proposal, Facts], Verdict]


def _allow(gate: str, reason: str, rule: str | None = None) -> Verdict:
    return Verdict(gate=gate, outcome=Outcome.ALLOW, reason=reason, rule=rule)


def _refuse(gate: str, reason: str, *, until: datetime | None = None, rule: str | None = None) -> Verdict:
    return Verdict(gate=gate, outcome=Outcome.REFUSE, reason=reason, until=until, rule=rule)


def permission(proposal: Proposal, facts: Facts) -> Verdict:
    """May this person run runbooks at all, and override a switch if they ask to?"""
    roles = ", ".join(facts.roles) or "no role"
    if not facts.may_execute:
        return _refuse(
            "permission",
            f"You have {roles}, which does not allow running runbooks. Ask an admin for a role in handrail.yml.",
            rule="runbooks.execute",
        )
    if proposal.emergency_at is not None:
        if not facts.may_override:
            return _refuse(
                "permission",
                "--emergency is only for the people under emergency: in handrail.yml.",
                rule="emergency.override",
            )
        if not (proposal.emergency_reason or "").strip():
            return _refuse("permission", 'An emergency needs its reason: add --reason "…".', rule="emergency.override")
    return _allow("permission", roles, "runbooks.execute")


def kill_switch(proposal: Proposal, facts: Facts) -> Verdict:
    """Is anything engaged that covers this?"""
    for switch in facts.switches:
        if proposal.emergency_at is None or switch.engaged_at > proposal.emergency_at:
            since = words((facts.now - switch.engaged_at).total_seconds())
            who = f"<@{switch.engaged_by.id}>" if switch.engaged_by.is_slack else switch.engaged_by.id
            why = f": {switch.reason}" if switch.reason else ", no reason given yet"
            return _refuse(
                "kill switch",
                f"The kill switch ({switch.words}) is engaged since {since} by {who}{why}. "
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
            consent=Consent.APPROVE,
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
    """Is it few enough hosts at once?"""
    if len(proposal.hosts) > proposal.max_hosts:
        return _refuse(
            "blast radius",
            f"{len(proposal.hosts)} hosts at once; {proposal.runbook} may touch {proposal.max_hosts}. "
            "Name fewer hosts.",
        )
    return _allow("blast radius", f"{len(proposal.hosts)} of at most {proposal.max_hosts} hosts")


def rate_limit(proposal: Proposal, facts: Facts) -> Verdict:
    """Is there a token in every bucket?"""
    if facts.admitted or proposal.dry_run or not proposal.danger.changes_hosts:
        return _allow("rate limits", "not counted")
    now = facts.now.timestamp()
    for bucket in facts.buckets:
        seconds = wait(bucket.rate, bucket.tat, now)
        if seconds > 0:
            taken = used(bucket.rate, bucket.tat, now)
            return _refuse(
                "rate limits",
                f"{bucket.words}: {taken} of {bucket.rate} are taken. The next one is free in {words(seconds)}.",
                until=facts.now + timedelta(seconds=seconds),
                rule=f"limits:{bucket.key}",
            )
    return _allow("rate limits", "; ".join(f"{b.words} {used(b.rate, b.tat, now)} of {b.rate}" for b in facts.buckets))


def cooldown(proposal: Proposal, facts: Facts) -> Verdict:
    """Did it just run there?"""
    if facts.admitted or proposal.dry_run or not proposal.danger.changes_hosts:
        return _allow("cooldown", "not counted")
    if facts.cooldowns:
        host, until = max(facts.cooldowns.items(), key=lambda item: item[1])
        left = words((until - facts.now).total_seconds())
        return _refuse(
            "cooldown",
            f"{proposal.runbook} ran on {host} less than {words(proposal.cooldown.total_seconds())} ago. "
            f"It may run there again in {left}.",
            until=until,
        )
    return _allow("cooldown", "none running")


def breaker(proposal: Proposal, facts: Facts) -> Verdict:
    """Has it failed there again and again?"""
    if proposal.dry_run:
        return _allow("circuit breaker", "not counted")
    for one in facts.breakers:
        if not circuit_breaker.lets_through(one, proposal.execution_id, facts.now):
            due = circuit_breaker.opens_at(one)
            if one.state is BreakerState.OPEN and due is not None:
                left = words((due - facts.now).total_seconds())
                return _refuse(
                    "circuit breaker",
                    f"{one.runbook} failed {circuit_breaker.FAILURES} times in a row on {one.host}. "
                    f"One trial may run in {left}; look at `/runbook status` for why it failed.",
                    until=due,
                )
            return _refuse(
                "circuit breaker",
                f"{one.runbook} on {one.host} is being tried by #{one.probing}. Wait for that one to end.",
            )
    return _allow("circuit breaker", "closed")


def approval(proposal: Proposal, facts: Facts) -> Verdict:
    """Has whoever must consent done so, to exactly this plan, and is it still good?"""
    if proposal.dry_run or proposal.fingerprint is None:
        return _allow("approval", "not needed to look")
    needed = facts.consents.get(proposal.danger, Consent.APPROVE)
    return _consent(needed, proposal, facts)


def _consent(needed: Consent, proposal: Proposal, facts: Facts) -> Verdict:
    if needed is Consent.NONE:
        return _allow("approval", "not needed")
    given = _given(needed, proposal, facts)
    if given is not None:
        return _allow("approval", f"given by {given.decided_by}", f"approval:{given.id}")
    if needed is Consent.APPROVE and not facts.someone_may_approve:
        return _refuse(
            "approval",
            f"{proposal.runbook} needs somebody else's approval, and nobody but you may approve. "
            "Give somebody a role with runbooks.approve in handrail.yml.",
        )
    reason = (
        f"{proposal.runbook} is {proposal.danger.value}: somebody else must approve it."
        if needed is Consent.APPROVE
        else f"{proposal.runbook} can do harm: confirm that this is what you want."
    )
    return Verdict(gate="approval", outcome=Outcome.ASK, reason=reason, consent=needed)


def _given(needed: Consent, proposal: Proposal, facts: Facts) -> Approval | None:
    found = facts.approval
    if (
        found is None
        or found.state is not ApprovalState.GIVEN
        or found.fingerprint != proposal.fingerprint
        or found.good_until is None
        or found.good_until <= facts.now
    ):
        return None
    if needed is Consent.APPROVE and (
        found.kind is not Consent.APPROVE or found.decided_by == proposal.actor or not facts.approver_may
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

BEFORE_PLANNING = ("permission", "kill switch", "circuit breaker")
"""Asked before a host is touched at all."""


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
    answer = _consent(verdict.consent, proposal, facts)
    if answer.outcome is Outcome.ALLOW:
        return _allow(verdict.gate, f"{verdict.reason} ({answer.reason})", verdict.rule)
    return answer if answer.outcome is Outcome.REFUSE else verdict
