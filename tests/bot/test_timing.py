"""When a schedule fires, as a form asks it: what is chosen becomes a cron line, and a line what is chosen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.timing import LINE, USUAL, Timing, timing_of, wrong
from runbooks import cron

TIMES = st.builds(lambda hour, minute: f"{hour:02}:{minute:02}", st.integers(0, 23), st.integers(0, 59))


@given(often=st.sampled_from(sorted(USUAL)), at=TIMES)
def test_a_usual_time_is_a_cron_line_that_reads_back_as_it(often: str, at: str) -> None:
    line = Timing(often=often, at=at).cron
    assert cron.cron_of(line) == line
    back = timing_of(line, timezone="UTC", name="x")
    at = f"00:{at[3:]}" if often == "hour" else at
    assert back == Timing(often=often, at=at, timezone="UTC", name="x")
    assert wrong(back) == {}


@pytest.mark.parametrize(
    ("line", "often", "at"),
    [
        ("0 2 * * *", "day", "02:00"),
        ("@daily", "day", "00:00"),
        ("5 * * * *", "hour", "00:05"),
        ("30 9 * * 1-5", "workday", "09:30"),
        ("*/5 * * * *", LINE, "02:00"),
        ("0 2 * * mon", "mon", "02:00"),
        ("0 2 * * 7", "sun", "02:00"),
        ("30 9 * * MON-fri", "workday", "09:30"),
        ("0 2 * * mon#2", LINE, "02:00"),
        ("0 2,4 * * *", LINE, "02:00"),
        ("0 2 * *", LINE, "02:00"),
        ("", "", "02:00"),
    ],
)
def test_what_was_typed_is_shown_as_a_usual_time_where_it_is_one(line: str, often: str, at: str) -> None:
    shown = timing_of(line, timezone="UTC")
    assert (shown.often, shown.at) == (often, at)
    assert shown.cron == (line if often == LINE else shown.cron)


@pytest.mark.parametrize(
    ("times", "field", "words"),
    [
        (Timing(timezone="UTC"), "often", "Choose one"),
        (Timing(often="day", at="", timezone="UTC"), "at", "which time"),
        (Timing(often="day", at="25:00", timezone="UTC"), "at", "which time"),
        (Timing(often="day", line="0 3 * * *", timezone="UTC"), "line", "choose the cron line there"),
        (Timing(often=LINE, timezone="UTC"), "line", "no cron line"),
        (Timing(often=LINE, line="0 0 31 2 *", timezone="UTC"), "line", "never comes"),
        (Timing(often=LINE, line="61 * * * *", timezone="UTC"), "line", "no cron line"),
        (Timing(often="day", timezone="Berlin"), "timezone", "Europe/Berlin"),
        (Timing(often="day"), "timezone", "no time zone"),
    ],
)
def test_what_is_wrong_is_said_of_its_own_field(times: Timing, field: str, words: str) -> None:
    found = wrong(times)
    assert list(found) == [field]
    assert words in found[field]


@given(often=st.text(max_size=8) | st.sampled_from([*USUAL, LINE]), at=st.text(max_size=8), line=st.text(max_size=80))
def test_whatever_is_filled_in_is_understood_or_complained_about(often: str, at: str, line: str) -> None:
    times = Timing(often=often, at=at, line=line, timezone="UTC")
    assert wrong(times) or cron.cron_of(times.cron)
