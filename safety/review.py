"""Review: gather the facts from SQL, judge, witness. Everything that wants to run passes here, whatever door it used.

`review` only checks budgets; `take_budgets` takes them, once per execution, in the transaction that admits it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from safety import circuit_breaker, kill_switch
from safety.approval import Demand, Demands, Electorate, together
from safety.clock import words
from safety.command_guard import Severity
from safety.decision import Decision, Outcome, Verdict
from safety.gates import Bucket, Facts, Proposal, breaker_refusal, judge
from safety.roles import Directory, NoGroups, People, Permission, Place, Right
from safety.token_bucket import Limits, Rate, Rates, take, wait
from storage import approvals, audit, controls, executions, schedules
from storage.records import TRANSPORT, Actor, Consent, Danger, Origin

TRIAL = timedelta(minutes=2)
"""How long a look at a host, or an execution that says nothing else, may hold the trial of a breaker."""
REFUSALS_AN_HOUR = 10
"""More refusals by one limit than this are worth telling everybody."""
LIMITING = ("blast radius", "rate limits", "cooldown")
"""The gates that are limits."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a team decides in `handrail.yml`."""

    people: People
    directory: Directory = field(default_factory=NoGroups)
    demands: Demands = field(default_factory=Demands)
    places: Mapping[str, Place] = field(default_factory=dict)  # the hosts, by name; the engine fills it in
    expire: timedelta = timedelta(minutes=15)
    notify: str | None = None
    limits: Limits = field(default_factory=Limits)
    catch_up: timedelta = timedelta(hours=1)  # how late a schedule may still run
    timezone: str = "UTC"  # of a schedule that names none

    def may(self, person: str, permission: Permission) -> bool:
        """Whether this person's roles allow it now, somewhere."""
        return self.decide(person, permission).allowed

    def decide(
        self,
        person: str,
        permission: Permission,
        *,
        runbook: str | None = None,
        hosts: Sequence[str] = (),
        includes: Sequence[str] = (),
    ) -> Right:
        """Whether this person may do it now, there; a host that is not known has neither tags nor environment.

        `includes`: the runbooks that are a part of it, of which all must be allowed, too.
        """
        places = self._places(hosts)
        rights = (
            self.people.decide(person, permission, self.directory, runbook=name, hosts=places)
            for name in (runbook, *includes)
        )
        first = next(rights)
        return first if not first.allowed else next((right for right in rights if not right.allowed), first)

    def sees(self, person: str, permission: Permission, runbook: str) -> bool:
        """Whether lists show this runbook to this person."""
        return self.people.sees(person, permission, runbook, self.directory)

    def knows_every_group(self) -> bool:
        """Whether it is known now who is in each group that has a role."""
        named = (name for name in self.people.roles if name.startswith("S"))
        return all(self.directory.members_of(name) is not None for name in named)

    def demanded(self, danger: Danger, runbook: str, hosts: Sequence[str]) -> tuple[Demand, ...]:
        """What the settings ask for before this runbook runs there."""
        names = [name for place in self._places(hosts) for name in place.tags]
        names += [f"env:{place.environment}" for place in self._places(hosts) if place.environment is not None]
        return self.demands.of(danger, runbook, names)

    def electorate(
        self,
        runbook: str,
        hosts: Sequence[str],
        *,
        besides: str,
        demands: Sequence[Demand],
        includes: Sequence[str] = (),
    ) -> Electorate:
        """Who may approve this runbook there now, and those that are a part of it; the requester left out."""
        if not any(demand.consent is Consent.APPROVE for demand in demands):
            return Electorate()
        places = self._places(hosts)
        found = [
            self.people.everybody(Permission.APPROVE, self.directory, runbook=name, hosts=places)
            for name in (runbook, *includes)
        ]
        people = frozenset.intersection(*(able for able, _ in found))
        groups = {d.group: self.directory.members_of(d.group) for d in demands if d.group is not None}
        return Electorate(people=people - {besides}, groups=groups, complete=all(complete for _, complete in found))

    def approvers(
        self,
        runbook: str,
        hosts: Sequence[str],
        *,
        besides: str,
        demands: Sequence[Demand] = (),
        includes: Sequence[str] = (),
    ) -> tuple[str, ...]:
        """Those Slack can mention whose yes is asked for: the groups that are named, else all who may."""
        groups = [demand.group for demand in demands if demand.group is not None]
        if groups and len(groups) == len(demands):
            return tuple(dict.fromkeys(groups))
        places = self._places(hosts)
        every = [
            self.people.holders(Permission.APPROVE, self.directory, runbook=name, hosts=places)
            for name in (runbook, *includes)
        ]
        able = [name for name in every[0] if all(name in others for others in every[1:])]
        return tuple(dict.fromkeys([*groups, *(n for n in able if n[:1] in {"U", "W", "S"} and n != besides)]))

    def _places(self, hosts: Sequence[str]) -> list[Place]:
        return [self.places.get(name) or Place(name=name) for name in hosts]


def gather(
    connection: Connection,
    proposal: Proposal,
    policy: Policy,
    now: datetime,
    *,
    only: Collection[str] | None = None,
    hold: bool = True,
) -> Facts:
    """What the gates, or `only` some of them, need to know, read in this one transaction.

    `hold`: what the answer will change is nobody else's until then; False where nothing follows from it but words.
    """
    planned = proposal.execution_id if proposal.fingerprint is not None else None
    given = approvals.latest(connection, planned) if planned is not None else None  # nothing was before there is a plan
    standing = None
    if proposal.standing is not None and proposal.execution_id is not None:
        standing = schedules.standing_of(connection, proposal.execution_id)
    continued = planned is not None and controls.was_admitted(connection, planned)
    own = {proposal.execution_id, proposal.continues, *executions.continued(connection, proposal.continues)}
    cooldowns = {
        (runbook, host): row.until
        for runbook in (proposal.runbooks if only is None or "cooldown" in only else ())
        for host, row in controls.cooldowns(connection, runbook, proposal.hosts, now).items()
        if row.execution_id not in own
    }
    demands = together(
        demand for runbook in proposal.runbooks for demand in policy.demanded(proposal.danger, runbook, proposal.hosts)
    )
    return Facts(
        now=now,
        right=policy.decide(
            proposal.actor,
            Permission.EXECUTE,
            runbook=proposal.runbook,
            hosts=proposal.hosts,
            includes=tuple(proposal.includes),
        ),
        override=policy.decide(proposal.actor, Permission.EMERGENCY),
        roles=tuple(sorted(policy.people.roles_of(proposal.actor, policy.directory))),
        switches=tuple(
            switch
            for switch in controls.engaged(connection)
            if kill_switch.covers(
                switch,
                runbook=proposal.runbook,
                includes=proposal.includes,
                hosts=proposal.hosts,
                services=proposal.services,
                tags=proposal.tags,
            )
        ),
        buckets=_buckets(connection, proposal, policy) if only is None or "rate limits" in only else (),
        cooldowns=cooldowns,
        breakers=tuple(controls.breakers(connection, (TRANSPORT, *proposal.runbooks), proposal.hosts, hold=hold)),
        approval=given,
        demands=demands,
        electorate=policy.electorate(
            proposal.runbook,
            proposal.hosts,
            besides=proposal.actor,
            includes=tuple(proposal.includes),
            demands=(*demands, Demand(consent=Consent.APPROVE)) if _guard_asks(proposal) or standing else demands,
        ),
        admitted=continued,
        standing=standing,
    )


def _guard_asks(proposal: Proposal) -> bool:
    """The guard may ask for somebody's approval where the settings do not."""
    return any(judgement.verdict is Severity.APPROVE for judgement in proposal.commands or ())


def _buckets(connection: Connection, proposal: Proposal, policy: Policy) -> tuple[Bucket, ...]:
    limits = policy.limits
    rules: list[tuple[str, str, Rates]] = [
        ("global", "Everything together", limits.everything),
        *((f"service:{name}", f"Service {name}", limits.service) for name in proposal.services),
        *(
            (f"runbook:{name}", f"Runbook {name}", limits.runbooks.get(name, limits.runbook))
            for name in proposal.runbooks
        ),
        (f"person:{proposal.actor}", "You", limits.person),
    ]
    # The rate is part of the key: another one in the settings begins with a full bucket.
    wanted = [(f"{rule} {rate}", words, rate) for rule, words, rates in rules for rate in rates]
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
    decision = judge(proposal, gather(connection, proposal, policy, now, only=only), only=only)
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
        **({"stage": proposal.stage} if proposal.stage > 1 else {}),
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


def take_budgets(
    connection: Connection, proposal: Proposal, policy: Policy, *, now: datetime, trial: timedelta = TRIAL
) -> None:
    """Take every budget of an execution that was just allowed, once; the caller's transaction makes it all or none.

    `trial`: for how long at most it holds the one trial of a breaker that was open.
    """
    if proposal.execution_id is None or not controls.admit(connection, proposal.execution_id, now):
        return
    if proposal.danger.changes_hosts:
        moment = now.timestamp()
        controls.set_buckets(
            connection,
            {b.key: take(b.rate, b.tat, moment) for b in _buckets(connection, proposal, policy)},
        )
        for runbook, cooldown in ((proposal.runbook, proposal.cooldown), *proposal.includes.items()):
            controls.take_cooldowns(connection, proposal.execution_id, runbook, proposal.hosts, now + cooldown)
    known = controls.breakers(connection, (proposal.runbook,), proposal.hosts)
    leased = [circuit_breaker.admitted(one, proposal.execution_id, until=now + trial) for one in known]
    controls.set_breakers(connection, [new for old, new in zip(known, leased, strict=True) if new != old])


def begin_look(
    connection: Connection,
    policy: Policy,
    *,
    execution_id: int | None,
    person: str,
    hosts: Sequence[str],
    now: datetime,
) -> Verdict | None:
    """Take one probe of the person, and the trial of each host's transport that was open; or why not.

    A look without an execution takes no trial: nobody would say how it ended.
    """
    ways = controls.breakers(connection, (TRANSPORT,), hosts)
    for way in ways:
        if not circuit_breaker.lets_through(way, execution_id, now):
            return breaker_refusal(way, now)
    seconds, rate = take_look(connection, person, policy.limits.look, now)
    if seconds > 0:
        return Verdict(
            gate="rate limits",
            outcome=Outcome.REFUSE,
            reason=(
                f"You looked at hosts {rate.limit} times within a {rate.window}. The next is free in {words(seconds)}."
            ),
            until=now + timedelta(seconds=seconds),
            rule=f"limits:probe:{person}",
        )
    if execution_id is None:
        return None
    leased = [circuit_breaker.admitted(way, execution_id, until=now + TRIAL) for way in ways]
    controls.set_breakers(connection, [new for old, new in zip(ways, leased, strict=True) if new != old])
    return None


def refused_too_often(connection: Connection, rule: str, now: datetime) -> int | None:
    """Count one refusal of a limit: how many there were within the hour, once when that becomes too many."""
    count = controls.count_refusal(connection, rule, now, within=timedelta(hours=1))
    if count <= REFUSALS_AN_HOUR or controls.was_alerted(connection, rule, since=now - timedelta(hours=1)):
        return None
    controls.mark_alerted(connection, rule)
    return count


def take_look(connection: Connection, person: str, rates: Rates, now: datetime) -> tuple[float, Rate]:
    """One look of a person: 0 when taken, else the seconds until the next is free; and the rate that says so."""
    # The rate is part of the key: another one in the settings begins with a full bucket.
    keys = {f"look:{person} {rate}": rate for rate in rates}
    tats, moment = controls.buckets(connection, list(keys)), now.timestamp()
    slowest = max(keys, key=lambda key: wait(keys[key], tats.get(key), moment))
    seconds = wait(keys[slowest], tats.get(slowest), moment)
    if seconds == 0:
        controls.set_buckets(connection, {key: take(rate, tats.get(key), moment) for key, rate in keys.items()})
    return seconds, keys[slowest]
