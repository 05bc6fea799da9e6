"""What must be consented to before a plan runs, by whom and by how many, and whether it has been. Pure.

The order is none < confirm < approve < more people. The strictest kind of all that apply counts, and of those that ask
for other people's approval every one must be met; one person's yes counts for each that it fits.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from storage.records import Consent, Danger

MOST = 20
"""So many people at most can be asked for."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """One thing that must be consented. `quorum` people other than the requester, of `group` if one is named."""

    consent: Consent
    quorum: int = 1
    group: str | None = None
    rule: str = ""  # the line of the settings, or the rule of the guard, that asks for it

    @property
    def words(self) -> str:
        """ "2 of S0DBA", "2 people", "somebody else"."""
        if self.consent is not Consent.APPROVE:
            return "nobody" if self.consent is Consent.NONE else "the requester"
        if self.group is not None:
            return f"{self.quorum} of {self.group}"
        return "somebody else" if self.quorum == 1 else f"{self.quorum} others"


def parse_demand(value: Any) -> Demand:
    """`none`, `confirm`, `approve`, `2` or `2 of S0DBA`; raises ValueError for anything else."""
    if isinstance(value, Demand):
        return value
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if text.lower() in set(Consent):
        return Demand(consent=Consent(text.lower()))
    found = re.fullmatch(r"([0-9]{1,3})(?:\s+of\s+(S[A-Z0-9]{1,20}))?", text, re.IGNORECASE)
    if found is None or (found[2] is not None and not found[2].isupper()):
        raise ValueError(f"{value!r} is none of: none, confirm, approve, 2, 2 of S0DBA (a user-group id)")
    if not 1 <= int(found[1]) <= MOST:
        raise ValueError(f"{value!r} asks for {int(found[1])} people: at least 1, at most {MOST}")
    return Demand(consent=Consent.APPROVE, quorum=int(found[1]), group=found[2])


@dataclass(frozen=True, kw_only=True)
class Demands:
    """The `approvals:` part of the settings: by danger, by runbook, and by tag or `env:NAME` of any host.

    Tags ask nothing of a runbook that only reads.
    """

    dangers: Mapping[Danger, Demand] = field(
        default_factory=lambda: {
            Danger.HIGH: Demand(consent=Consent.CONFIRM, rule="approvals.high"),
            Danger.DANGEROUS: Demand(consent=Consent.APPROVE, rule="approvals.dangerous"),
        }
    )
    runbooks: Mapping[str, Demand] = field(default_factory=dict)
    tags: Mapping[str, Demand] = field(default_factory=dict)  # lower case

    def of(self, danger: Danger, runbook: str, tags: Collection[str]) -> tuple[Demand, ...]:
        """What applies together: nothing, one confirmation, or every approval that must be given."""
        none = Demand(consent=Consent.NONE)
        # A danger that nobody wrote a rule for is not harmless because of that.
        unsaid = none if danger in {Danger.READ, Danger.LOW} else Demand(consent=Consent.APPROVE)
        found = [self.dangers.get(danger, unsaid), self.runbooks.get(runbook, none)]
        if danger.changes_hosts:
            found += [self.tags[tag] for tag in sorted({tag.lower() for tag in tags}) if tag in self.tags]
        return together(found)

    @property
    def groups(self) -> frozenset[str]:
        """The user groups that are named."""
        every = (*self.dangers.values(), *self.runbooks.values(), *self.tags.values())
        return frozenset(demand.group for demand in every if demand.group is not None)


def together(demands: Iterable[Demand]) -> tuple[Demand, ...]:
    """The strictest kind, and of approvals every one that no other implies, the most people first."""
    rank = {consent: place for place, consent in enumerate(Consent)}
    asking = [demand for demand in demands if demand.consent is not Consent.NONE]
    if not asking:
        return ()
    strictest = max((d.consent for d in asking), key=lambda consent: rank[consent])
    if strictest is Consent.CONFIRM:
        return (next(d for d in asking if d.consent is Consent.CONFIRM),)
    kept: list[Demand] = []
    for demand in sorted(
        (d for d in asking if d.consent is Consent.APPROVE), key=lambda d: (-d.quorum, d.group is None, d.group or "")
    ):
        if not any(other.quorum >= demand.quorum and demand.group in {None, other.group} for other in kept):
            kept.append(demand)
    return tuple(kept)


@dataclass(frozen=True, kw_only=True)
class Electorate:
    """Who could say yes to one request: everybody known who may approve it, the requester left out.

    `groups` holds the members of the groups that are asked; None: not known now. `complete` is False when somebody more
    may be able to, because a group is not known now.
    """

    people: frozenset[str] = frozenset()
    groups: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    complete: bool = True

    def fitting(self, demand: Demand) -> frozenset[str]:
        """Those whose yes counts for a demand."""
        return self.people if demand.group is None else self.people & (self.groups.get(demand.group) or frozenset())

    def given(self, demand: Demand, votes: Collection[str]) -> int:
        """How many of these votes count for a demand."""
        return len(self.fitting(demand) & frozenset(votes))

    def lacking(self, demands: Sequence[Demand], votes: Collection[str]) -> tuple[Demand, ...]:
        """What is still to be given, with how many more as its quorum; nothing when all are met."""
        asking = [demand for demand in demands if demand.consent is Consent.APPROVE]
        missing = ((demand, demand.quorum - self.given(demand, votes)) for demand in asking)
        return tuple(replace(demand, quorum=number) for demand, number in missing if number > 0)

    def unreachable(self, demands: Sequence[Demand]) -> Demand | None:
        """A demand that too few people could meet, however long one waits."""
        for demand in (d for d in demands if d.consent is Consent.APPROVE):
            known = self.complete and (demand.group is None or self.groups.get(demand.group) is not None)
            if known and len(self.fitting(demand)) < demand.quorum:
                return demand
        return None
