"""Modals: what somebody is asked before something is done. Views are pure; `Modals` opens them."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Protocol

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot import cards
from bot.blocks import LABELS, section, switch_line
from bot.slack_trouble import Trouble, understand
from storage.records import Execution, KillSwitch

log = structlog.get_logger(__name__)

PATIENCE = 2.5
"""Seconds to open one: after three, Slack takes the click's trigger no more."""
UPDATED_WITHIN = 10.0
UPDATE_PAUSES = (1.0, 3.0)
"""Seconds between the tries to put one view in the place of another, where Slack names none."""
TRIGGER_WAS_USED = "exchanged_trigger_id"
NOT_THERE = "not_found"
LONGEST_PAUSE = 30.0
LONGEST_REASON = 600
DENY = "handrail:deny"
RELEASE = "handrail:release"


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What a submitted view says, and how to acknowledge it. With `errors`, by block, nothing of it is kept."""

    kind: str
    key: str  # what makes it act once
    channel: str | None
    text: str
    payload: Mapping[str, Any]
    errors: Mapping[str, str] = field(default_factory=dict)
    then: Mapping[str, Any] = field(default_factory=dict)  # of the acknowledgement; nothing closes the view


Sleep = Callable[[float], Awaitable[None]]


class Shown(Enum):
    """Whether somebody sees a view."""

    YES = auto()
    NO = auto()  # surely not
    UNSURE = auto()  # Slack did not say


class OpensViews(Protocol):
    """Shows a view to whoever caused a trigger."""

    async def open(self, trigger_id: str, view: Mapping[str, Any]) -> Shown:
        """Whether it was shown."""
        ...


class Modals:
    """Through Slack's Web API."""

    def __init__(self, client: AsyncWebClient, sleep: Sleep = asyncio.sleep) -> None:
        self._client, self._sleep = client, sleep

    async def open(self, trigger_id: str, view: Mapping[str, Any]) -> Shown:
        """Surely not, when Slack was not reached or says no: the trigger is too old, it is busy. A lost answer says
        nothing, and neither does a trigger that was used: a view may stand open by it."""
        try:
            await asyncio.wait_for(self._client.views_open(trigger_id=trigger_id, view=dict(view)), PATIENCE)
        except (SlackApiError, TimeoutError, OSError, aiohttp.ClientError) as error:
            failure = understand(error)
            log.warning("view_not_opened", error=failure.error)
            return Shown.UNSURE if failure.may_be_done or failure.error == TRIGGER_WAS_USED else Shown.NO
        return Shown.YES

    async def update(
        self,
        view: Mapping[str, Any],
        *,
        view_id: str | None = None,
        external_id: str | None = None,
        pauses: Sequence[float] = UPDATE_PAUSES,
    ) -> Shown:
        """Put a view in the place of another, with these pauses between the tries. NO: that one was closed.

        One named by its `external_id` may not be there yet: Slack shows what an acknowledgement pushed in its own time.
        """
        where = {"view_id": view_id} if view_id else {"external_id": external_id}
        waits = 0 if view_id else len(UPDATE_PAUSES)  # so many times it may not be there yet
        for number, pause in enumerate((*pauses, None)):
            try:
                await asyncio.wait_for(self._client.views_update(view=dict(view), **where), UPDATED_WITHIN)
            except (SlackApiError, TimeoutError, OSError, aiohttp.ClientError) as error:
                failure = understand(error)
                log.warning("view_not_updated", error=failure.error)
                if failure.error == NOT_THERE and number >= waits:
                    return Shown.NO
                if pause is None or not (failure.is_passing or failure.error == NOT_THERE):
                    return Shown.UNSURE
                is_busy = failure.trouble is Trouble.BUSY
                await self._sleep(min(failure.retry_after, LONGEST_PAUSE) if is_busy else pause)
            else:
                return Shown.YES
        return Shown.UNSURE


def deny(execution: Execution, channel: str | None) -> Mapping[str, Any]:
    """Why not? The reason may be left out."""
    return asks(
        DENY,
        value=str(execution.id),
        channel=channel,
        title=f"Deny #{execution.id}",
        label=LABELS["deny"],
        said=f"*{cards.subject(execution)}* will not be run.",
        is_optional=True,
    )


def release(switch: KillSwitch, channel: str | None) -> Mapping[str, Any]:
    """Why is it safe again? Without a reason it stays engaged."""
    return asks(
        RELEASE,
        value=switch.words,
        channel=channel,
        title="Release a kill switch",
        label=LABELS["release"],
        said=f"{switch_line(switch)}\nWhat it holds may go on once it is released.",
        is_optional=False,
    )


def asks(
    verb: str,
    *,
    value: str,
    channel: str | None,
    title: str,
    label: str,
    said: str,
    asked: str = "Reason",
    is_optional: bool = False,
) -> Mapping[str, Any]:
    """One question: the reason, or whatever is `asked`."""
    return {
        "type": "modal",
        "callback_id": verb,
        "private_metadata": json.dumps({"value": value, "channel": channel}),
        "title": {"type": "plain_text", "text": title[:24]},
        "submit": {"type": "plain_text", "text": label},
        "close": {"type": "plain_text", "text": "Not now"},
        "blocks": [
            section(said),
            {
                "type": "input",
                "block_id": "reason",
                "optional": is_optional,
                "label": {"type": "plain_text", "text": asked},
                "element": {
                    "type": "plain_text_input",
                    "action_id": "reason",
                    "max_length": LONGEST_REASON,
                    "multiline": False,
                },
            },
        ],
    }


def submitted(view: Mapping[str, Any]) -> Submitted | None:
    """What a reason that was filled in is for; None for a view of somebody else's. "" for what lacks.

    Whatever the view holds, this does not raise: it came from outside.
    """
    verb = str(view.get("callback_id") or "")
    if not verb.startswith("handrail:"):
        return None
    try:
        kept = json.loads(str(view.get("private_metadata") or "{}"))
    except (ValueError, RecursionError):
        kept = {}
    kept = kept if isinstance(kept, dict) else {}
    values: Any = view.get("state") or {}
    for name in ("values", "reason", "reason"):
        values = values.get(name) if isinstance(values, Mapping) else None
    reason = values.get("value") if isinstance(values, Mapping) else None
    channel = kept.get("channel")
    return Submitted(
        kind="view",
        key=str(view.get("id") or ""),
        channel=channel[:40] if isinstance(channel, str) and channel else None,
        text=str(reason or "")[:LONGEST_REASON],
        payload={"verb": verb, "value": str(kept.get("value") or "")},
    )
