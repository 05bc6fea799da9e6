"""What must be consented to, and whether it has been."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.approval import Demand, Demands, Electorate, parse_demand, together
from storage.records import Consent, Danger

NONE, CONFIRM, APPROVE = (Demand(consent=consent) for consent in Consent)


def asks(quorum: int, group: str | None = None) -> Demand:
    """So many."""
    return Demand(consent=Consent.APPROVE, quorum=quorum, group=group)


@pytest.mark.parametrize(
    ("text", "demand"),
    [
        ("none", NONE),
        ("Confirm", CONFIRM),
        (" APPROVE ", APPROVE),
        (1, APPROVE),
        (2, asks(2)),
        ("3", asks(3)),
        ("2 of S0DBA", asks(2, "S0DBA")),
        ("1  OF  S0614TZR7", asks(1, "S0614TZR7")),
    ],
)
def test_what_is_written_is_understood(text: object, demand: Demand) -> None:
    assert parse_demand(text) == demand


@pytest.mark.parametrize(
    "text",
    ["", "maybe", 0, -1, 21, "0 of S0DBA", "2 of UBOB", "2 of s0dba", "2 of", "of S0DBA", True, None, 1.5, ["2"]],
)
def test_anything_else_is_complained_about(text: object) -> None:
    with pytest.raises(ValueError, match=r"none, confirm, approve, 2|at least 1"):
        parse_demand(text)


@pytest.mark.parametrize(
    ("demands", "kept"),
    [
        ((), ()),
        ((NONE, NONE), ()),
        ((NONE, CONFIRM), (CONFIRM,)),
        ((CONFIRM, APPROVE), (APPROVE,)),
        ((APPROVE, asks(2)), (asks(2),)),
        ((asks(2), asks(1, "S0DBA")), (asks(2), asks(1, "S0DBA"))),
        ((APPROVE, asks(1, "S0DBA")), (asks(1, "S0DBA"),)),
        ((asks(2, "S0DBA"), asks(3, "S0DBA"), CONFIRM), (asks(3, "S0DBA"),)),
        ((asks(2, "S0DBA"), asks(2, "S0SRE")), (asks(2, "S0DBA"), asks(2, "S0SRE"))),
        ((asks(2), asks(2, "S0DBA")), (asks(2, "S0DBA"),)),
    ],
)
def test_the_strictest_kind_counts_and_every_approval_that_is_asked_for(
    demands: tuple[Demand, ...], kept: tuple[Demand, ...]
) -> None:
    assert together(demands) == kept
    assert together(reversed(demands)) == kept


def test_danger_runbook_and_tags_ask_together() -> None:
    demands = Demands(runbooks={"kill-process": asks(2, "S0DBA")}, tags={"prod": APPROVE, "env:prod": asks(2)})
    assert demands.of(Danger.LOW, "restart-service", ()) == ()
    assert demands.of(Danger.LOW, "restart-service", ("PROD",)) == (APPROVE,)
    assert demands.of(Danger.LOW, "restart-service", ("env:prod", "prod")) == (asks(2),)
    assert [d.consent for d in demands.of(Danger.HIGH, "restart-service", ())] == [Consent.CONFIRM]
    assert demands.of(Danger.LOW, "kill-process", ("env:prod",)) == (asks(2, "S0DBA"),)


def test_a_tag_asks_nothing_of_what_only_reads_and_a_runbook_s_own_line_does() -> None:
    demands = Demands(runbooks={"dump": APPROVE}, tags={"prod": APPROVE})
    assert demands.of(Danger.READ, "uptime", ("prod",)) == ()
    assert demands.of(Danger.READ, "dump", ()) == (APPROVE,)


def test_a_danger_nobody_wrote_a_rule_for_takes_somebody_else() -> None:
    assert Demands(dangers={}).of(Danger.DANGEROUS, "x", ()) == (APPROVE,)
    assert Demands(dangers={}).of(Danger.LOW, "x", ()) == ()


class TestElectorate:
    """Who could say yes."""

    who = Electorate(people=frozenset({"UA", "UB", "UC"}), groups={"S0DBA": frozenset({"UA", "UX"})})

    def test_only_those_who_may_and_are_asked_count(self) -> None:
        assert self.who.lacking((asks(2),), ("UA", "UX")) == (asks(1),)
        assert self.who.lacking((asks(2),), ("UA", "UB")) == ()
        assert self.who.lacking((asks(1, "S0DBA"),), ("UB", "UC", "UX")) == (asks(1, "S0DBA"),)

    def test_one_yes_counts_for_every_demand_it_fits(self) -> None:
        assert self.who.lacking((asks(2), asks(1, "S0DBA")), ("UA", "UB")) == ()
        assert self.who.lacking((asks(2), asks(1, "S0DBA")), ("UB", "UC")) == (asks(1, "S0DBA"),)

    def test_nobody_counts_twice(self) -> None:
        assert self.who.lacking((asks(2),), ("UA", "UA")) == (asks(1),)

    def test_what_nobody_can_reach_is_known_at_once(self) -> None:
        assert self.who.unreachable((asks(3),)) is None
        assert self.who.unreachable((asks(4),)) == asks(4)
        assert self.who.unreachable((asks(3), asks(2, "S0DBA"))) == asks(2, "S0DBA")

    def test_a_confirmation_is_nobody_else_s(self) -> None:
        assert Electorate().unreachable((CONFIRM,)) is None
        assert Electorate().lacking((CONFIRM,), ()) == ()

    def test_a_group_that_is_not_known_now_may_hold_enough(self) -> None:
        unknown = Electorate(people=frozenset(), groups={"S0DBA": None})
        assert unknown.unreachable((asks(2, "S0DBA"),)) is None
        assert unknown.lacking((asks(1, "S0DBA"),), ("UA",)) == (asks(1, "S0DBA"),)
        assert Electorate(complete=False).unreachable((APPROVE,)) is None


demands = st.lists(
    st.builds(asks, st.integers(1, 4), st.sampled_from([None, "S0A", "S0B"])) | st.sampled_from([NONE, CONFIRM]),
    max_size=5,
)
folk = st.frozensets(st.sampled_from(["U1", "U2", "U3", "U4", "U5"]))


@given(demands=demands, people=folk, a=folk, b=folk, votes=folk)
def test_what_is_left_out_is_implied_by_what_is_kept(
    demands: list[Demand], people: frozenset[str], a: frozenset[str], b: frozenset[str], votes: frozenset[str]
) -> None:
    who = Electorate(people=people, groups={"S0A": a, "S0B": b})
    approvals = tuple(d for d in demands if d.consent is Consent.APPROVE)
    kept = tuple(d for d in together(demands) if d.consent is Consent.APPROVE)
    assert bool(who.lacking(approvals, votes)) == bool(who.lacking(kept, votes))
    assert bool(who.unreachable(approvals)) == bool(who.unreachable(kept))
