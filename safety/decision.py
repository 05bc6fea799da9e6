"""Verdicts and the decision made of them."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from safety.approval import Demand, together
from storage.records import Consent


class Outcome(Enum):
    """What a gate says; the strictest one counts."""

    ALLOW = 0
    ASK = 1
    REFUSE = 2


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One gate's answer. `until` is when a refusal may end by itself; `demands` what an ASK asks for."""

    gate: str
    outcome: Outcome
    reason: str
    until: datetime | None = None
    demands: tuple[Demand, ...] = ()
    rule: str | None = None

    @property
    def consent(self) -> Consent:
        """The kind of consent that is asked for."""
        return max((d.consent for d in self.demands), key=list(Consent).index, default=Consent.NONE)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """All verdicts in the order of the gates, up to and including the first refusal."""

    verdicts: tuple[Verdict, ...]

    @property
    def outcome(self) -> Outcome:
        """The strictest of all verdicts."""
        return max((v.outcome for v in self.verdicts), key=lambda o: o.value, default=Outcome.REFUSE)

    @property
    def refusal(self) -> Verdict | None:
        """The gate that refused, if one did."""
        return next((v for v in self.verdicts if v.outcome is Outcome.REFUSE), None)

    @property
    def ask(self) -> Verdict | None:
        """The strictest consent that is asked for."""
        asks = [v for v in self.verdicts if v.outcome is Outcome.ASK]
        return max(asks, key=lambda v: list(Consent).index(v.consent), default=None)

    @property
    def demands(self) -> tuple[Demand, ...]:
        """Everything that must be consented to, by all gates together."""
        return together(d for v in self.verdicts if v.outcome is Outcome.ASK for d in v.demands)

    def as_data(self) -> list[dict[str, str | None]]:
        """For the audit."""
        return [
            {
                "gate": v.gate,
                "outcome": v.outcome.name.lower(),
                "reason": v.reason,
                "rule": v.rule,
                "until": v.until.isoformat() if v.until else None,
            }
            for v in self.verdicts
        ]
