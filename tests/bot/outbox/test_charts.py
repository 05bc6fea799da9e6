"""The chart of a digest stands in its channel, with words for who cannot see it, and never holds up the digest."""

from datetime import timedelta

import pytest

from bot import chart
from bot.digest import ByHand, DigestPoster, ask_for_chart
from bot.playground.state import File
from bot.settings import DigestPart
from storage import digest, outbox
from tests.bot.outbox.conftest import Desk
from tests.bot.test_digest import ran

DAY = timedelta(days=1)


def files(desk: Desk) -> list[File]:
    """Every file in the workspace."""
    return list(desk.workspace.state.files.values())


async def posted(desk: Desk) -> list[str]:
    """A daily digest and its chart, a day after the first start."""
    now = desk.clock.now()
    await desk.database.write(ran, now + timedelta(hours=1))
    poster = DigestPoster(
        database=desk.database,
        clock=desk.clock,
        channel="C0INC",
        digest=DigestPart(cron="0 9 * * *", weekly="never"),
        by_hand=ByHand(),
    )
    await poster.post_what_is_due()
    await desk.clock.advance(DAY.total_seconds())
    return await poster.post_what_is_due()


async def test_the_chart_stands_in_the_channel_with_words_for_who_cannot_see_it(desk: Desk) -> None:
    assert await posted(desk) == ["daily digest"]
    desk.start()
    await desk.settle()
    said = desk.workspace.messages("C0INC")
    assert len(said) == 2
    assert any("100 % succeeded" in message.text for message in said)
    [file] = files(desk)
    assert (file.content or b"").startswith(b"\x89PNG")
    assert file.title.startswith("Executions, ")
    assert "restart-service 1" in file.alt_text
    assert await desk.database.read(outbox.open_messages) == 0


async def test_where_slack_takes_no_file_the_digest_stands_alone(desk: Desk) -> None:
    desk.workspace.state.scopes -= {"files:write"}
    await posted(desk)
    desk.start()
    await desk.settle()
    assert len(desk.workspace.messages("C0INC")) == 1
    assert await desk.database.read(outbox.open_messages) == 0


async def test_one_process_without_what_draws_gives_it_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await posted(desk)
    monkeypatch.setattr(chart, "can_draw", lambda: False)  # as in a process that lacks the extra
    desk.start()
    await desk.settle()
    assert files(desk) == []
    assert len(desk.workspace.messages("C0INC")) == 1


async def test_a_chart_that_one_person_asked_for_comes_as_a_direct_message(desk: Desk) -> None:
    now = desk.clock.now()
    await desk.database.write(ran, now - timedelta(hours=1))
    found = await desk.database.read(digest.gather, now - DAY, now)
    await desk.database.write(ask_for_chart, found, "UTC", person="UBOB", among=None)
    desk.start()
    await desk.settle()
    assert desk.workspace.messages("C0INC") == []
    assert len(files(desk)) == 1
