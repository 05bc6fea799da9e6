"""What is written for Slack, as a terminal shows it."""

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from bot import blocks, terminal

AT = datetime(2026, 11, 25, 23, 30, 5, tzinfo=UTC)
CET = timezone(timedelta(hours=1), "CET")
NAMES = {"UALICE": "alice", "UEVIL": "\x1b[2J<b>"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"until {blocks.moment(AT)}.", "until 2026-11-26 00:30 CET (2026-11-25 23:30 UTC)."),
        (blocks.moment(AT, seconds=True), "2026-11-26 00:30:05 CET (2026-11-25 23:30:05 UTC)"),
        (blocks.clock_time(AT), "00:30:05 CET (23:30:05 UTC)"),
        ("<@UALICE> asks <@UBOB>", "@alice asks @UBOB"),
        ("<@UEVIL>", "@�[2J<b>"),
        ("<!subteam^S0DBA> in <#C0OPS>, <#C1|war room>", "@S0DBA in #C0OPS, #war room"),
        ("<https://a.example/x?a=1&amp;b=2|the log>", "the log (https://a.example/x?a=1&b=2)"),
        ("<https://a.example/>", "https://a.example/"),
        (":x: *#1* failed", "✗ *#1* failed"),
        ("a\n:white_check_mark: b\n:memo: c", "a\n✓ b\nc"),
        ("`root:x:0:0` :x", "`root:x:0:0` :x"),
        (":party: on", ":party: on"),
        ("a &lt;b&gt; &amp;lt; <c", "a <b> &lt; <c"),
        ("<!date^999999999999^{date}|some day>", "some day"),
    ],
)
def test_markup_becomes_words(text: str, said: str) -> None:
    assert terminal.read(text, NAMES, CET) == said


def test_where_the_clock_shows_utc_a_time_is_said_once() -> None:
    assert terminal.read(blocks.moment(AT), {}, UTC) == "2026-11-25 23:30 UTC"


def test_in_a_sentence_that_is_not_escaped_only_people_are_named() -> None:
    assert terminal.sentence("denied by <@UALICE>: a &lt; b :x:", NAMES) == "denied by @alice: a &lt; b :x:"


def test_every_emoji_of_ours_is_known() -> None:
    texts = [path.read_text(encoding="utf-8") for path in Path(blocks.__file__).parent.glob("*.py")]
    ours = {found for text in texts for found in re.findall(r"(?<=[\"' ]):([a-z_]+):(?=[\"' *_])", text)}
    assert "octagonal_sign" in ours
    assert ours - {*terminal.SIGNS, *terminal.PICTURES} == set()
