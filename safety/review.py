"""Review: gather the facts from SQL, judge, witness. Everything that wants to run passes here, whatever door it used.

`review` only checks budgets; `take_budgets` takes them, once per execution, in the transaction that admits it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from safety import circuit_breaker, kill_switch
from safety.decision import Decision
from safety.gates import Bucket, Facts, Proposal, judge
from safety.roles import Directory, NoGroups, People, Permission
from safety.token_bucket import Rate, take, wait
from storage import approvals, audit, controls
from storage.records import Actor, Consent, Danger, Origin

PROBES = Rate(limit=30, period=60.0)
"""Probes and dry runs: each person's own bucket."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a team decides in `handrail.yml`."""

    people: People
    directory: Directory = field(default_factory=NoGroups)
    consents: Mapping[Danger, Consent] = field(
        default_factory=lambda: {
            Danger.READ: Consent.NONE,
            Danger.LOW: Consent.NONE,
            Danger.HIGH: Consent.CONFIRM,
            Danger.DANGEROUS: Consent.APPROVE,
        }
    )
    expire: timedelta = timedelta(minutes=15)
    notify: str | None = None
    global_rate: Rate = field(default_factory=lambda: Rate(limit=50, period=60.0))
    service_rate: Rate = field(default_factory=lambda: Rate(limit=10, period=60.0))
    runbook_rate: Rate = field(default_factory=lambda: Rate(limit=5, period=60.0))

    def may(self, person: str, permission: Permission) -> bool:
        """Whether this person's roles allow it now."""
        return self.people.may(person, permission, self.directory)

    def approvers(self) -> tuple[str, ...]:
        """Those Slack can mention."""
        return tuple(name for name in self.people.holders(Permission.APPROVE) if name[:1] in {"U", "W", "S"})


def gather(connection: Connection, proposal: Proposal, policy: Policy, now: datetime) -> Facts:
    """What the gates need to know, read in this one transaction."""
    given = approvals.latest(connection, proposal.execution_id) if proposal.execution_id else None
    continued = proposal.execution_id is not None and controls.was_admitted(connection, proposal.execution_id)
    cooldowns = controls.cooldowns(connection, proposal.runbook, proposal.hosts, now)
    own = {proposal.execution_id, proposal.continues}
    return Facts(
        now=now,
        may_execute=policy.may(proposal.actor, Permission.EXECUTE),
        may_override=policy.may(proposal.actor, Permission.EMERGENCY),
        someone_may_approve=policy.people.someone_else_may(Permission.APPROVE, proposal.actor, policy.directory),
        roles=tuple(sorted(policy.people.roles_of(proposal.actor, policy.directory))),
        switches=tuple(
            switch
            for switch in controls.engaged(connection)
            if kill_switch.covers(switch, runbook=proposal.runbook, hosts=proposal.hosts, services=proposal.services)
        ),
        buckets=_buckets(connection, proposal, policy),
        cooldowns={host: row.until for host, row in cooldowns.items() if row.execution_id not in own},
        breakers=tuple(controls.breakers(connection, proposal.runbook, proposal.hosts)),
        approval=given,
        approver_may=given is not None
        and given.decided_by is not None
        and policy.may(given.decided_by, Permission.APPROVE),
        consents=policy.consents,
        admitted=continued,
    )


def _buckets(connection: Connection, proposal: Proposal, policy: Policy) -> tuple[Bucket, ...]:
    wanted = [
        ("global", "Everything together", policy.global_rate),
        *((f"service:{name}", f"Service {name}", policy.service_rate) for name in proposal.services),
        (f"runbook:{proposal.runbook}", f"Runbook {proposal.runbook}", policy.runbook_rate),
    ]
    tats = controls.buckets(connection, [key for key, _, _ in wanted])
    return tuple(Bucket(key=key, words=words, rate=rate, tat=tats.get(key)) for key, words, rate in wanted)


def review(
    connection: Connection,
    proposal: Proposal,
    policy: Policy,
    *,
    now: datetime,
    actor: Actor,
    origin: Origin,
    only: Collection[str] | None = None,
) -> Decision:
    """Judge, and witness the decision."""
    decision = judge(proposal, gather(connection, proposal, policy, now), only=only)
    audit.append(
        connection,
        at=now,
        kind=f"decision.{decision.outcome.name.lower()}",
        actor=actor,
        origin=origin,
        execution_id=proposal.execution_id,
        runbook=proposal.runbook,
        hosts=list(proposal.hosts),
        fingerprint=proposal.fingerprint,
        verdicts=decision.as_data(),
    )
    for name in proposal.exceptions:
        audit.append(
            connection,
            at=now,
            kind="guard.exception_used",
            actor=actor,
            origin=origin,
            execution_id=proposal.execution_id,
            exception=name,
            commands=sorted({one.command for one in proposal.commands or () if one.exception == name}),
            runbook=proposal.runbook,
            hosts=list(proposal.hosts),
            fingerprint=proposal.fingerprint,
            decision=decision.outcome.name.lower(),
        )
    return decision


def take_budgets(connection: Connection, proposal: Proposal, policy: Policy, *, now: datetime) -> None:
    """Take every budget of an execution that was just allowed, once; the caller's transaction makes it all or none."""
    if proposal.execution_id is None or not controls.admit(connection, proposal.execution_id, now):
        return
    if proposal.danger.changes_hosts:
        moment = now.timestamp()
        controls.set_buckets(
            connection,
            {b.key: take(b.rate, b.tat, moment) for b in _buckets(connection, proposal, policy)},
        )
        controls.take_cooldowns(
            connection, proposal.execution_id, proposal.runbook, proposal.hosts, now + proposal.cooldown
        )
    known = controls.breakers(connection, proposal.runbook, proposal.hosts)
    leased = [circuit_breaker.admitted(one, proposal.execution_id) for one in known]
    controls.set_breakers(connection, [new for old, new in zip(known, leased, strict=True) if new != old])


def take_probe(connection: Connection, person: str, now: datetime) -> float:
    """One probe of a person: 0 when taken, else the seconds until the next is free."""
    key = f"probe:{person}"
    tat = controls.buckets(connection, [key]).get(key)
    seconds = wait(PROBES, tat, now.timestamp())
    if seconds == 0:
        controls.set_buckets(connection, {key: take(PROBES, tat, now.timestamp())})
    return seconds
