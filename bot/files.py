"""Files that are attached to messages: made from rows when they are sent, never kept.

A waiting row names in its payload what is to be made: `log` the full log of an execution, `postmortem` the draft of an
incident's, `chart` a digest's picture.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot import chart, full_log, postmortem
from storage import digest
from storage.database import Database


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """What is sent. `alternative` says it to who cannot see it."""

    title: str
    content: bytes
    alternative: str | None = None


class CannotBeMadeError(Exception):
    """This process lacks what it takes."""


def name_of(payload: Mapping[str, Any], mark: str) -> str:
    """The file's name in Slack; its `mark` tells one attaching from another, since a file carries no metadata."""
    if "log" in payload:
        return full_log.file_name(payload["log"], mark)
    if "postmortem" in payload:
        return postmortem.file_name(payload["postmortem"], mark)
    return f"handrail-digest-{mark[:8]}.png"


async def made(database: Database, payload: Mapping[str, Any]) -> Attachment:
    """The file as it stands now. Raises NotFound, CannotBeMadeError."""
    if "log" in payload:
        log = await database.read(full_log.log_file, payload["log"])
        return Attachment(title=log.title, content=log.content)
    if "postmortem" in payload:
        draft = await database.read(postmortem.draft, payload["postmortem"])
        return Attachment(title=draft.title, content=draft.content)
    if not chart.can_draw():
        raise CannotBeMadeError("the extra `charts` is not installed here")
    wanted = payload["chart"]
    since, until = datetime.fromisoformat(wanted["since"]), datetime.fromisoformat(wanted["until"])
    found = await database.read(digest.gather, since, until, among=wanted["among"])
    return Attachment(
        title=str(payload["text"])[:200],
        content=await asyncio.to_thread(chart.png, found, wanted["zone"]),
        alternative=chart.alternative(found, wanted["zone"]),
    )


def chart_payload(found: digest.Digest, zone: str, *, title: str, among: list[str] | None = None) -> dict[str, Any]:
    """What a waiting row of a chart holds."""
    period = {"since": found.since.isoformat(), "until": found.until.isoformat(), "zone": zone, "among": among}
    return {"text": title, "chart": period}
