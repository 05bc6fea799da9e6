"""Text that a database may refuse to keep: it is answered in words, on both, and the next person is served."""

import pytest

from bot.playground.workspace import Workspace
from tests.system.serving import Bot, sees, told

HOSTILE = ("\x00", "nul\x00inside", "\ufffe\uffff", "\u202e\u200f", "😀" * 500, "\x1b]0;title\x07", "a" * 12_000)


@pytest.mark.parametrize("where", ["/runbook hold {} on web-01", '/runbook hold 0 on web-01 --reason "{}"'])
async def test_hostile_text_is_answered_and_the_next_command_runs(bot: Bot, workspace: Workspace, where: str) -> None:
    for text in HOSTILE:
        ack = await workspace.command("bob", "incidents", where.format(text))
        assert ack.ok, (text[:20], ack.error, bot.log())
        ack = await workspace.command("alice", "incidents", f"/killswitch service nginx on {text}")
        assert ack.ok, (text[:20], ack.error, bot.log())
    await told(workspace, "alice", "service nginx")
    await workspace.command("carol", "incidents", "/runbook hold 0 on web-01")
    await sees(workspace, "succeeded in")
    assert "request_failed" not in bot.log()
