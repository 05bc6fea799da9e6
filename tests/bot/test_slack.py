"""What Slack is told at once, before anything is worked on."""

from types import SimpleNamespace
from typing import Any

import pytest

from bot.inbox import NOT_STORED
from bot.slack import _Click, _Shortcut
from tests.system.openssh import free_port

CLICK = {
    "type": "block_actions",
    "user": {"id": "UBOB", "username": "bob"},
    "channel": {"id": "C0INC"},
    "trigger_id": "1.2.3",
    "actions": [{"action_id": "handrail:cancel", "value": "1:"}],
}
SHORTCUT = {"type": "message_action", "callback_id": "handrail:run_here", "user": {"id": "UBOB"}, "trigger_id": "1.2.3"}


async def _not_stored(**_: Any) -> str:
    return NOT_STORED


@pytest.mark.parametrize(("listener", "body"), [(_Click, CLICK), (_Shortcut, SHORTCUT)])
async def test_what_is_not_stored_and_cannot_be_told_is_not_acknowledged(listener: Any, body: dict[str, Any]) -> None:
    """So that Slack says that something went wrong; an acknowledgement would look as if it was taken."""
    acknowledged: list[str] = []

    async def ack() -> None:
        acknowledged.append("ok")

    nobody = f"http://127.0.0.1:{free_port()}/response"
    await listener(SimpleNamespace(receive=_not_stored)).hear(ack, {**body, "response_url": nobody})
    assert acknowledged == []
