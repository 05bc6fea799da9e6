"""Text on its way in and out: what people type as Slack sends it, and what Slack holds as a person reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from bot.playground.elements import label, placed_in
from bot.playground.state import Json, Kind, Message, State

_TYPED = re.compile(
    r"(?P<url>https?://[^\s<>]+)|(?<![\w@])@(?P<at>[\w.-]*\w)|(?<![\w#])#(?P<hash>[\w-]+)|(?P<mark>[&<>])"
)
_HELD = re.compile(r"<([^<>\s][^<>]*)>")
_BROADCASTS = {"here", "channel", "everyone"}


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def encode(state: State, text: str) -> str:
    """What somebody typed as it travels: known names become mentions, addresses links, and `& < >` entities."""

    def replaced(found: re.Match[str]) -> str:
        if found["mark"]:
            return escape(found["mark"])
        if found["url"]:
            return f"<{escape(found['url'])}>"
        return (_mention(state, found["at"]) if found["at"] else _link(state, found["hash"])) or found[0]

    return _TYPED.sub(replaced, text)


def decode(state: State, text: str) -> str:
    """Stored text as a person reads it: names for ids, labels for links, and no entities."""
    return unescape(_HELD.sub(lambda found: _name(state, found[1]), text))


def read(state: State, message: Message) -> str:
    """Everything a person reads in a message: its blocks if it has any, else its text; files by name."""
    lines = list(_read_blocks(state, message.blocks)) if message.blocks else [decode(state, message.text)]
    for attachment in message.attachments:
        lines += _read_blocks(state, attachment.get("blocks", ()))
        if attachment.get("text"):
            lines.append(decode(state, attachment["text"]))
    lines += [f"[file: {state.files[file_id].name}]" for file_id in message.files]
    return "\n".join(line for line in lines if line)


def read_blocks(state: State, blocks: Sequence[Json]) -> str:
    return "\n".join(line for line in _read_blocks(state, blocks) if line)


def _mention(state: State, name: str) -> str | None:
    for person in state.people.values():
        if name.lower() in {person.name.lower(), person.display_name.lower()}:
            return f"<@{person.id}>"
    for group in state.groups.values():
        if name == group.handle:
            return f"<!subteam^{group.id}>"
    return f"<!{name}>" if name in _BROADCASTS else None


def _link(state: State, name: str) -> str | None:
    for channel in state.channels.values():
        if channel.kind is not Kind.DIRECT and channel.name == name:
            return f"<#{channel.id}|{channel.name if channel.kind is Kind.PUBLIC else ''}>"
    return None


def _name(state: State, inner: str) -> str:
    target, _, shown = inner.partition("|")
    if target.startswith("#"):
        channel = state.channels.get(target[1:])
        return "#" + (channel.name if channel else shown or target[1:])
    if target.startswith("@"):
        person = state.people.get(target[1:])
        return "@" + (person.name if person else shown or target[1:])
    if target.startswith("!subteam^"):
        group = state.groups.get(target.removeprefix("!subteam^"))
        return "@" + (group.handle if group else shown.removeprefix("@") or target)
    if target.startswith("!"):
        return shown or "@" + target[1:]
    return shown or target.removeprefix("mailto:")


def _read_blocks(state: State, blocks: Sequence[Json]) -> Iterator[str]:
    for block in blocks:
        yield from _read_block(state, block)
        for child in block.get("child_blocks", ()):
            yield from _read_block(state, child)


def _read_block(state: State, block: Json) -> Iterator[str]:
    match block["type"]:
        case "section":
            yield from (_text(state, part) for part in [block.get("text"), *block.get("fields", ())] if part)
        case "header":
            yield _text(state, block["text"])
        case "context":
            yield " ".join(_text(state, part) for part in block["elements"] if part["type"] != "image")
        case "divider":
            yield "---"
        case "markdown":
            yield str(block["text"])
        case "image":
            yield f"[image: {block['alt_text']}]"
        case "input":
            yield _text(state, block["label"])
        case "rich_text":
            yield from (_rich(state, part) for part in block["elements"])
        case "table" | "data_table":
            yield from (" | ".join(_cell(state, cell) for cell in row) for row in block["rows"])
        case "alert":
            yield _text(state, block["text"])
        case "card" | "container":
            yield from (_text(state, block[name]) for name in ("title", "subtitle", "body") if block.get(name))
        case "carousel":
            for card in block["elements"]:
                yield from _read_block(state, card)
        case "plan":
            yield str(block["title"])
            for task in block.get("tasks", ()):
                yield from _read_block(state, task)
        case "task_card":
            yield f"{block['title']} ({str(block['status']).replace('_', ' ')})"
    pressable = [placed for placed in placed_in([block]) if block["type"] != "input"]
    if pressable:
        yield " ".join(f"[{label(placed)}]" for placed in pressable)


def _text(state: State, part: Json) -> str:
    return decode(state, part["text"]) if part["type"] == "mrkdwn" else str(part["text"])


def _cell(state: State, cell: Json) -> str:
    return _rich(state, cell) if cell["type"] == "rich_text" else str(cell.get("text", ""))


def _rich(state: State, part: Json) -> str:
    match part["type"]:
        case "rich_text_list":
            return "\n".join("- " + _rich(state, item) for item in part["elements"])
        case "text":
            return str(part["text"])
        case "link":
            return str(part.get("text") or part["url"])
        case "user":
            return _name(state, "@" + part["user_id"])
        case "channel":
            return _name(state, "#" + part["channel_id"])
        case "usergroup":
            return _name(state, "!subteam^" + part["usergroup_id"])
        case "emoji":
            return f":{part['name']}:"
        case "broadcast":
            return "@" + str(part["range"])
        case _:
            elements: list[Any] = part.get("elements", [])
            return "".join(_rich(state, item) for item in elements)
