"""Token buckets and circuit breakers: the arithmetic, and exactness under many at once."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from safety import circuit_breaker, token_bucket
from safety.kill_switch import all_service_names, covers, service_names, subject_of
from safety.token_bucket import Rate, parse_rate, take, used, wait
from storage import controls
from storage.database import Database
from storage.records import Actor, Breaker, BreakerState, KillSwitch, Scope
from tests.fakes import START

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "limit", "period"), [("50/min", 50, 60), ("3/hour", 3, 3600), (" 7 / Days ", 7, 86400)]
)
def test_rates_are_read(text: str, limit: int, period: float) -> None:
    assert parse_rate(text) == Rate(limit=limit, period=period)


@pytest.mark.parametrize("text", ["", "5", "0/min", "5/fortnight", "-1/min", "5 per min"])
def test_wrong_rates_are_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="write 50/min"):
        parse_rate(text)


@given(st.integers(1, 50), st.floats(1, 3600), st.lists(st.floats(0, 20), max_size=80))
def test_never_more_than_the_limit_within_any_period(limit: int, period: float, gaps: list[float]) -> None:
    rate, tat, now, taken = Rate(limit=limit, period=period), None, 1_000_000.0, list[float]()
    for gap in gaps:
        now += gap
        if wait(rate, tat, now) == 0:
            tat = take(rate, tat, now)
            taken.append(now)
        assert 0 <= used(rate, tat, now) <= limit
    for start in taken:
        burst = sum(1 for at in taken if start <= at < start + period / limit)
        assert burst <= limit + 1


def test_a_full_bucket_gives_its_burst_and_then_evenly() -> None:
    rate, tat = Rate(limit=5, period=60.0), None
    for _ in range(5):
        assert wait(rate, tat, 100.0) == 0
        tat = take(rate, tat, 100.0)
    assert wait(rate, tat, 100.0) == pytest.approx(12.0)
    assert used(rate, tat, 100.0) == 5
    assert used(rate, tat, 112.0) == 4


async def test_a_hundred_at_once_get_exactly_what_the_bucket_holds(database: Database) -> None:
    rate = Rate(limit=10, period=60.0)

    def try_it(connection: Connection) -> bool:
        tat = controls.buckets(connection, ["b"]).get("b")
        if token_bucket.wait(rate, tat, 100.0) > 0:
            return False
        controls.set_buckets(connection, {"b": token_bucket.take(rate, tat, 100.0)})
        return True

    results = await asyncio.gather(*(database.write(try_it) for _ in range(100)))
    assert results.count(True) == 10


class TestBreaker:
    """Closed, open, half-open."""

    def test_five_failures_in_a_row_open_it_and_a_success_between_does_not(self) -> None:
        breaker = Breaker(runbook="r", host="h")
        for outcome in [False] * 4 + [True] + [False] * 4:
            breaker = circuit_breaker.after(breaker, succeeded=outcome, execution_id=1, now=START)
        assert breaker.state is BreakerState.CLOSED
        breaker = circuit_breaker.after(breaker, succeeded=False, execution_id=1, now=START)
        assert (breaker.state, breaker.opened_at) == (BreakerState.OPEN, START)

    def open(self) -> Breaker:
        """Opened at START."""
        return Breaker(runbook="r", host="h", state=BreakerState.OPEN, failures=5, opened_at=START)

    def test_after_a_minute_one_trial_is_let_through_and_only_one(self) -> None:
        breaker, later = self.open(), START + timedelta(seconds=60)
        assert not circuit_breaker.lets_through(breaker, 1, later - timedelta(seconds=1))
        assert circuit_breaker.lets_through(breaker, 1, later)
        leased = circuit_breaker.admitted(breaker, 1, until=later + MINUTE)
        assert not circuit_breaker.lets_through(leased, 2, later)
        assert circuit_breaker.lets_through(leased, 1, later)

    def test_three_successes_close_it(self) -> None:
        breaker, now = self.open(), START + timedelta(seconds=61)
        for number in range(3):
            breaker = circuit_breaker.admitted(breaker, number, until=now + MINUTE)
            breaker = circuit_breaker.after(breaker, succeeded=True, execution_id=number, now=now)
        assert (breaker.state, breaker.failures, breaker.probing) == (BreakerState.CLOSED, 0, None)

    def test_a_failed_trial_opens_it_again(self) -> None:
        now = START + timedelta(seconds=61)
        leased = circuit_breaker.admitted(self.open(), 1, until=START + 2 * MINUTE)
        breaker = circuit_breaker.after(leased, succeeded=False, execution_id=1, now=now)
        assert (breaker.state, breaker.opened_at, breaker.probing) == (BreakerState.OPEN, now, None)

    def test_a_cancelled_trial_gives_its_lease_back(self) -> None:
        leased = circuit_breaker.admitted(self.open(), 1, until=START + 2 * MINUTE)
        assert circuit_breaker.given_back(leased, 1).probing is None
        assert circuit_breaker.given_back(leased, 2).probing == 1


def test_services_compare_normalised() -> None:
    assert service_names("Celery@1.service") == ("celery@1", "celery")
    assert all_service_names(["nginx.service", "celery@1", ""]) == ("celery", "celery@1", "nginx")
    assert subject_of(Scope.SERVICE, "NGINX.service") == "nginx"


def test_what_starts_a_service_belongs_to_it() -> None:
    assert service_names("docker.socket") == ("docker.socket", "docker")
    assert service_names("Backup@1.timer") == ("backup@1.timer", "backup@1", "backup.timer", "backup")
    assert service_names("spool.path") == ("spool.path", "spool")
    assert service_names("data.mount") == ("data.mount",)
    assert service_names("app.example.com") == ("app.example.com",)
    assert service_names(".socket") == (".socket",)


@pytest.mark.parametrize(
    ("scope", "subject", "held"),
    [
        (Scope.GLOBAL, "", True),
        (Scope.RUNBOOK, "drain", True),
        (Scope.RUNBOOK, "other", False),
        (Scope.HOST, "web-01", True),
        (Scope.HOST, "web-02", False),
        (Scope.SERVICE, "celery", True),
        (Scope.SERVICE, "nginx", False),
        (Scope.TAG, "web", True),
        (Scope.TAG, "db", False),
    ],
)
def test_a_switch_covers_what_it_names(scope: Scope, subject: str, held: bool) -> None:
    switch = KillSwitch(
        scope=scope, subject=subject, engaged_by=Actor(id="U1"), engaged_at=START, now=False, reason=None
    )
    services = all_service_names(["celery@1"])
    assert covers(switch, runbook="drain", hosts=("web-01",), services=services, tags=("web",)) is held
