"""Cron lines: what they mean, when they fire, and what is no line. The moments are read off a calendar."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks import cron
from storage.errors import Invalid


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "after", "moments"),
    [
        # 26 November 2026 is a Thursday.
        ("0 9 * * 0", "2026-11-26", ["2026-11-29 09:00"]),  # Sunday, not Monday
        ("0 9 * * 7", "2026-11-26", ["2026-11-29 09:00"]),
        ("0 9 * * 1-5", "2026-11-27 10:00", ["2026-11-30 09:00", "2026-12-01 09:00"]),
        ("0 9 * * MON-FRI", "2026-11-27 10:00", ["2026-11-30 09:00"]),
        ("0 9 * * fri,sun", "2026-11-26", ["2026-11-27 09:00", "2026-11-29 09:00"]),
        # Day of month or day of week, where neither is a star; both, where one is.
        ("0 0 13 * 5", "2026-11-26", ["2026-11-27", "2026-12-04", "2026-12-11", "2026-12-13"]),
        ("0 0 13 * *", "2026-11-26", ["2026-12-13", "2027-01-13"]),
        ("0 0 1 jan *", "2026-11-26", ["2027-01-01", "2028-01-01"]),
        (
            "*/20 3 * * *",
            "2026-11-26",
            ["2026-11-26 03:00", "2026-11-26 03:20", "2026-11-26 03:40"],
        ),
        ("10-30/10 3 * * *", "2026-11-26", ["2026-11-26 03:10", "2026-11-26 03:20", "2026-11-26 03:30"]),
        ("0 0 29 2 *", "2026-11-26", ["2028-02-29", "2032-02-29"]),
        ("0 0 L * *", "2026-11-26", ["2026-11-30", "2026-12-31", "2027-01-31"]),
        ("0 0 * * 5L", "2026-11-26", ["2026-11-27", "2026-12-25"]),
        ("0 0 * * 1#2", "2026-11-26", ["2026-12-14", "2027-01-11"]),
        ("@daily", "2026-11-26 00:00", ["2026-11-27"]),
        ("@weekly", "2026-11-26", ["2026-11-29"]),
        ("@monthly", "2026-11-26", ["2026-12-01"]),
        ("@hourly", "2026-11-26 10:30", ["2026-11-26 11:00"]),
        ("@yearly", "2026-11-26", ["2027-01-01"]),
    ],
)
def test_a_line_means_what_cron_makes_of_it(line: str, after: str, moments: list[str]) -> None:
    found = cron.next_few(cron.cron_of(line), "UTC", at(after), most=len(moments))
    assert found == [at(text) for text in moments]


@pytest.mark.parametrize(
    ("line", "zone", "after", "moments"),
    [
        # Berlin is set forward on 29 March 2026 at 01:00 UTC, and back on 25 October 2026 at 01:00 UTC.
        ("0 2 * * *", "Europe/Berlin", "2026-03-28 02:00", ["2026-03-29 01:00", "2026-03-30 00:00"]),
        ("0,30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 00:00"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", ["2026-03-30 00:00"]),
        ("30 * * * *", "Europe/Berlin", "2026-03-29 00:00", ["2026-03-29 00:30", "2026-03-29 01:30"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", ["2026-10-25 00:30", "2026-10-26 01:30"]),
        # From within the hour that comes again, what was due in it the first time is over.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25 01:10", ["2026-10-26 01:30"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25 00:30", ["2026-10-26 01:30"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", [f"2026-10-25 0{t}" for t in ("0:00", "0:30", "1:00")]),
        # New York, 1 November 2026 at 06:00 UTC; Lord Howe is set by half an hour, on 4 April at 15:00 UTC.
        ("30 1 * * *", "America/New_York", "2026-10-31 12:00", ["2026-11-01 05:30", "2026-11-02 06:30"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04 00:00", ["2026-04-04 14:45", "2026-04-05 15:15"]),
        # In Cairo there is no midnight on 24 April 2026.
        ("0 0 * * *", "Africa/Cairo", "2026-04-23 12:00", ["2026-04-23 22:00", "2026-04-24 21:00"]),
    ],
)
def test_clocks_that_are_set(line: str, zone: str, after: str, moments: list[str]) -> None:
    assert cron.next_few(line, zone, at(after), most=len(moments)) == [at(text) for text in moments]


@pytest.mark.parametrize(
    "line",
    ["", "* * * *", "0 2 * * * *", "60 * * * *", "* 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 * 13 *", "0 0 * * 8",
     "*/0 * * * *", "5-1 * * * *", "0 0 * * fri-sun", "0 0 30 2 *", "0 0 31 4,6 *", "0 0 */31 * mon#5", "a b c d e",
     "0 2 ? * *", "0 2 * * *; rm", "@reboot", "@every 5m", "0 0 * * 1#6", "² * * * *", "0 0 1-L * *", "- * * * *",
     "1,,2 * * * *", "0 2 * * *\n0 3 * * *\x00", "0 " * 600],
)  # fmt: skip
def test_what_is_no_line_is_refused_in_words(line: str) -> None:
    with pytest.raises(Invalid, match=r".{20}"):
        cron.cron_of(line)


@pytest.mark.parametrize("line", ["0 0 31 2 *", "0 0 30 feb *", "0 0 31 4,6 *"])
def test_a_line_that_never_comes_is_not_said_to_be_none(line: str) -> None:
    with pytest.raises(Invalid, match=f"^'{re.escape(line)}' never comes: none of its months has such a day.$"):
        cron.cron_of(line)
    with pytest.raises(Invalid, match="is no cron line"):
        cron.cron_of("0 0 31 13 *")


@pytest.mark.parametrize(("typed", "zone"), [("europe/berlin", "Europe/Berlin"), ("Etc/GMT–3", "Etc/GMT-3")])
def test_a_time_zone_in_any_case(typed: str, zone: str) -> None:
    assert cron.zone_of(typed) == zone


@pytest.mark.parametrize("typed", ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Berlin", "\x00"])
def test_what_is_no_time_zone_is_refused_in_words(typed: str) -> None:
    with pytest.raises(Invalid, match="is no time zone"):
        cron.zone_of(typed)


FIELDS = [
    st.sampled_from(["*", "0", "59", "*/15", "5-10", "0,30", "7/20"]),
    st.sampled_from(["*", "0", "2", "3", "23", "*/2", "1-3", "0,12"]),
    st.sampled_from(["*", "1", "28", "31", "L", "1-7", "*/10"]),
    st.sampled_from(["*", "1", "3", "10", "mar,oct", "*/3"]),
    st.sampled_from(["*", "0", "7", "mon-fri", "5L", "1#1", "6,0"]),
]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu"]


@settings(max_examples=150, deadline=None)
@given(
    line=st.tuples(*FIELDS).map(" ".join),
    zone=st.sampled_from(ZONES),
    after=st.integers(0, 800 * 1440).map(lambda minutes: at("2026-01-01") + timedelta(minutes=minutes)),
)
def test_moments_only_ever_grow_and_continue_from_wherever_one_stopped(line: str, zone: str, after: datetime) -> None:
    found = cron.next_few(cron.cron_of(line), zone, after, most=6)
    assert found == sorted(set(found))
    assert all(moment > after and moment.second == 0 for moment in found)
    for one, following in pairwise(found):
        assert cron.next_after(line, zone, one) == following
    assert cron.in_words(line, zone).endswith(f"({zone})")


def test_what_passed_while_nobody_was_there() -> None:
    hour = timedelta(hours=1)
    passed = cron.passed("0 * * * *", "UTC", at("2026-11-26 02:00"), at("2026-11-26 05:30"), window=hour)
    assert (passed.last, passed.missed, passed.last_missed, passed.next_at) == (
        at("2026-11-26 05:00"), 3, at("2026-11-26 04:00"), at("2026-11-26 06:00")
    )  # fmt: skip
    late = cron.passed("0 2 * * *", "UTC", at("2026-11-26 02:00"), at("2026-11-27 01:00"), window=hour)
    assert (late.last, late.missed, late.last_missed) == (None, 1, at("2026-11-26 02:00"))
    edge = cron.passed("0 2 * * *", "UTC", at("2026-11-26 02:00"), at("2026-11-26 03:00"), window=hour)
    assert (edge.last, edge.missed) == (at("2026-11-26 02:00"), 0)
