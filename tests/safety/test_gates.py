"""The policy: every gate, its reasons, and the order they are asked in."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from safety import gates
from safety.approval import Demand, Electorate
from safety.command_guard import Judgement, Severity
from safety.decision import Outcome, Verdict
from safety.gates import BEFORE_PLANNING, GATES, Bucket, Facts, Proposal, judge
from safety.roles import Lack, Right
from safety.token_bucket import Rate, take
from storage.records import (
    Actor,
    Approval,
    ApprovalState,
    Breaker,
    BreakerState,
    Consent,
    Danger,
    KillSwitch,
    Scope,
)
from tests.fakes import START

MAY = Right(allowed=True, rule="roles:UBOB", reason="NOC")
MAY_NOT = Right(allowed=False, rule="runbooks.execute", reason="No: emergency: is for others.", lacks=Lack.PERMISSION)
OTHERS = Electorate(people=frozenset({"UCAROL", "UALICE"}))
CONFIRM, APPROVE = Demand(consent=Consent.CONFIRM), Demand(consent=Consent.APPROVE)


def proposal(**changes: Any) -> Proposal:
    """A planned restart of nginx on web-01 by Bob."""
    values: dict[str, Any] = {
        "execution_id": 7,
        "actor": "UBOB",
        "runbook": "restart-service",
        "danger": Danger.LOW,
        "hosts": ("web-01",),
        "tags": (),
        "services": ("nginx",),
        "cooldown": timedelta(minutes=10),
        "max_hosts": 3,
        "fingerprint": "f" * 64,
        "commands": (),
    }
    return Proposal(**{**values, **changes})


def facts(**changes: Any) -> Facts:
    """Nothing stands in the way."""
    values: dict[str, Any] = {
        "now": START,
        "right": MAY,
        "override": MAY_NOT,
        "roles": ("NOC",),
        "switches": (),
        "electorate": OTHERS,
    }
    return Facts(**{**values, **changes})


def given(**changes: Any) -> Approval:
    """Carol approved five minutes ago."""
    values: dict[str, Any] = {
        "id": 1,
        "execution_id": 7,
        "fingerprint": "f" * 64,
        "kind": Consent.APPROVE,
        "state": ApprovalState.GIVEN,
        "requested_at": START - timedelta(minutes=6),
        "expires_at": START + timedelta(minutes=9),
        "decided_by": "UCAROL",
        "decided_at": START - timedelta(minutes=5),
        "good_until": START + timedelta(minutes=10),
    }
    return Approval(**{**values, **changes})


SWITCH = KillSwitch(
    scope=Scope.GLOBAL, subject="", engaged_by=Actor(id="UANA"), engaged_at=START, now=False, reason="deploy"
)


def test_the_gates_stand_in_the_order_of_the_design() -> None:
    assert [name for name, _ in GATES] == [
        "permission",
        "kill switch",
        "command guard",
        "blast radius",
        "rate limits",
        "cooldown",
        "circuit breaker",
        "approval",
    ]


def test_an_ordinary_restart_is_allowed() -> None:
    assert judge(proposal(), facts()).outcome is Outcome.ALLOW


REFUSED_COMMAND = Judgement(command="rm -rf /", verdict=Severity.REFUSE, rule="fs", reason="It deletes all.", span=None)
ASKED_COMMAND = Judgement(command="make it", verdict=Severity.APPROVE, rule="unknown", reason="Not known.", span=None)


@pytest.mark.parametrize(
    ("gate", "wanted", "known", "said"),
    [
        ("permission", {}, {"right": MAY_NOT, "roles": ()}, "no role"),
        ("permission", {"emergency_at": START, "emergency_reason": "x"}, {}, "emergency:"),
        ("permission", {"emergency_at": START}, {"override": MAY}, "needs its reason"),
        ("kill switch", {}, {"switches": (SWITCH,)}, "<@UANA> 0 s ago: deploy"),
        ("command guard", {"commands": (REFUSED_COMMAND,)}, {}, "It deletes all."),
        ("blast radius", {"hosts": ("a", "b", "c", "d")}, {}, "may touch 3"),
        (
            "cooldown",
            {},
            {"cooldowns": {("restart-service", "web-01"): START + timedelta(seconds=432)}},
            "again in 7 min 12 s",
        ),
    ],
)
def test_a_refusal_says_which_gate_and_why(gate: str, wanted: dict[str, Any], known: dict[str, Any], said: str) -> None:
    refusal = judge(proposal(**wanted), facts(**known)).refusal
    assert refusal is not None
    assert refusal.gate == gate
    assert said in refusal.reason


def test_the_first_refusal_ends_the_asking() -> None:
    decision = judge(proposal(hosts=tuple("abcd")), facts(right=MAY_NOT, switches=(SWITCH,)))
    assert [verdict.gate for verdict in decision.verdicts] == ["permission"]


def test_a_gate_that_breaks_is_a_closed_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(proposal: Proposal, facts: Facts) -> Verdict:
        raise RuntimeError("boom")

    # The list is a constant on purpose; only a test puts a broken gate into it.
    monkeypatch.setattr(gates, "GATES", (("cooldown", broken),))
    decision = judge(proposal(), facts())
    assert decision.outcome is Outcome.REFUSE
    assert "stays closed" in (decision.refusal or decision.verdicts[0]).reason


def test_an_empty_bucket_says_when_the_next_token_comes() -> None:
    rate, tat = Rate(limit=5, period=60.0), None
    for _ in range(5):
        tat = take(rate, tat, START.timestamp())
    bucket = Bucket(key="runbook:x", words="Runbook x", rate=rate, tat=tat)
    refusal = judge(proposal(), facts(buckets=(bucket,))).refusal
    assert refusal is not None
    assert (refusal.gate, refusal.until) == ("rate limits", START + timedelta(seconds=12))
    assert "Runbook x: 5 of 5 this minute, next in 12 s." in refusal.reason


def test_reading_and_dry_runs_take_no_budget_and_need_no_consent() -> None:
    busy = facts(cooldowns={("restart-service", "web-01"): START + timedelta(minutes=1)})
    assert judge(proposal(danger=Danger.READ), busy).outcome is Outcome.ALLOW
    assert judge(proposal(danger=Danger.DANGEROUS, dry_run=True), busy).outcome is Outcome.ALLOW


def test_an_open_breaker_refuses_until_its_trial() -> None:
    opened = Breaker(runbook="restart-service", host="web-01", state=BreakerState.OPEN, failures=5, opened_at=START)
    refusal = judge(proposal(), facts(breakers=(opened,))).refusal
    assert refusal is not None
    assert (refusal.gate, refusal.until) == ("circuit breaker", START + timedelta(seconds=60))
    later = facts(breakers=(opened,), now=START + timedelta(seconds=60))
    assert judge(proposal(), later).outcome is Outcome.ALLOW


class TestConsent:
    """HIGH asks the requester, DANGEROUS somebody else."""

    def test_dangerous_asks_for_an_approval(self) -> None:
        ask = judge(proposal(danger=Danger.DANGEROUS), facts(demands=(APPROVE,))).ask
        assert ask is not None
        assert ask.consent is Consent.APPROVE

    def test_high_asks_for_a_confirmation(self) -> None:
        ask = judge(proposal(danger=Danger.HIGH), facts(demands=(CONFIRM,))).ask
        assert ask is not None
        assert ask.consent is Consent.CONFIRM

    def test_a_command_nobody_knows_asks_for_an_approval(self) -> None:
        asked = proposal(commands=(ASKED_COMMAND,))
        ask = judge(asked, facts()).ask
        assert ask is not None
        assert ask.consent is Consent.APPROVE
        assert judge(asked, facts(approval=given())).outcome is Outcome.ALLOW

    def test_a_given_approval_is_found_as_a_fact(self) -> None:
        decision = judge(proposal(danger=Danger.DANGEROUS), facts(approval=given(), demands=(APPROVE,)))
        assert decision.outcome is Outcome.ALLOW

    @pytest.mark.parametrize(
        "changes",
        [
            {"fingerprint": "0" * 64},
            {"decided_by": "UBOB"},
            {"state": ApprovalState.DENIED},
            {"state": ApprovalState.WAITING},
            {"good_until": START},
            {"kind": Consent.CONFIRM},
        ],
    )
    def test_an_approval_of_anything_else_does_not_count(self, changes: dict[str, Any]) -> None:
        found = facts(approval=given(**changes), demands=(APPROVE,))
        assert judge(proposal(danger=Danger.DANGEROUS), found).outcome is Outcome.ASK

    def test_an_approver_who_lost_the_right_does_not_count(self) -> None:
        found = facts(approval=given(), demands=(APPROVE,), electorate=Electorate(people=frozenset({"UALICE"})))
        assert judge(proposal(danger=Danger.DANGEROUS), found).outcome is Outcome.ASK

    def test_when_nobody_else_may_approve_it_is_refused(self) -> None:
        refusal = judge(proposal(danger=Danger.DANGEROUS), facts(demands=(APPROVE,), electorate=Electorate())).refusal
        assert refusal is not None
        assert "nobody but you" in refusal.reason

    def test_what_nobody_could_approve_is_refused_before_anything_is_looked_at(self) -> None:
        asked = proposal(danger=Danger.DANGEROUS, fingerprint=None, commands=None)
        alone = facts(demands=(APPROVE,), electorate=Electorate())
        refusal = judge(asked, alone, only=BEFORE_PLANNING).refusal
        assert refusal is not None
        assert refusal.gate == "approval"
        assert judge(asked, facts(demands=(APPROVE,)), only=BEFORE_PLANNING).outcome is Outcome.ALLOW
        assert judge(replace(asked, dry_run=True), alone, only=BEFORE_PLANNING).outcome is Outcome.ALLOW

    def test_of_two_demands_both_must_be_met_by_votes_that_count(self) -> None:
        both = (Demand(consent=Consent.APPROVE, quorum=2), Demand(consent=Consent.APPROVE, group="S0DBA"))
        who = Electorate(people=frozenset({"UA", "UB", "UC"}), groups={"S0DBA": frozenset({"UC"})})
        for votes, outcome in (
            (("UA", "UB"), Outcome.ASK),
            (("UA", "UC"), Outcome.ALLOW),
            (("UC", "UX"), Outcome.ASK),
            (("UC", "UBOB"), Outcome.ASK),
        ):
            known = facts(approval=given(votes=votes), demands=both, electorate=who)
            assert judge(proposal(danger=Danger.DANGEROUS), known).outcome is outcome, votes

    def test_the_guard_s_question_and_the_settings_are_asked_together(self) -> None:
        two = Demand(consent=Consent.APPROVE, quorum=2, rule="approvals.tags.prod")
        decision = judge(proposal(commands=(ASKED_COMMAND,)), facts(demands=(two,)))
        assert decision.demands == (two,)
        confirmed = judge(proposal(danger=Danger.HIGH, commands=(ASKED_COMMAND,)), facts(demands=(CONFIRM,)))
        assert [d.consent for d in confirmed.demands] == [Consent.APPROVE]

    def test_an_approval_is_no_bypass_of_a_switch(self) -> None:
        found = facts(approval=given(), demands=(APPROVE,), switches=(SWITCH,))
        refusal = judge(proposal(danger=Danger.DANGEROUS), found).refusal
        assert refusal is not None
        assert refusal.gate == "kill switch"


def test_an_emergency_overrides_older_switches_only() -> None:
    entitled = facts(override=MAY, switches=(SWITCH,))
    after = proposal(emergency_at=START + timedelta(seconds=1), emergency_reason="down")
    assert judge(after, entitled).outcome is Outcome.ALLOW
    newer = replace(SWITCH, engaged_at=START + timedelta(seconds=2))
    refusal = judge(after, replace(entitled, switches=(newer,))).refusal
    assert refusal is not None
    assert refusal.gate == "kill switch"
