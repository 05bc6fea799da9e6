"""The story of the demo, played through the wire by people who only see Slack: what `handrail demo --check` shows.

A look at a host; a restart; a dangerous runbook that one person asks for and another approves; a kill switch that
refuses, and is released. Each scene waits for what a person would see and fails with what was seen instead.
"""

from collections.abc import Awaitable, Callable

from bot.playground.state import Message
from bot.playground.workspace import Workspace

PATIENCE = 30.0
"""Seconds a scene may take."""
CHANNEL = "incidents"


class StoryError(Exception):
    """Something was not as it should be; the message says what, and what was seen."""


async def play(workspace: Workspace, say: Callable[[str], None]) -> None:
    """Every scene in order. Raises StoryError for the first that goes wrong."""
    for title, scene in SCENES:
        say(title)
        await scene(workspace)


async def _a_look(workspace: Workspace) -> None:
    await _type(workspace, "bob", "/runbook health nginx on web-01 port=80")
    await _sees(workspace, "the findings", "all is well", "port 80: open")


async def _a_restart(workspace: Workspace) -> None:
    await _type(workspace, "bob", "/runbook restart nginx on web-01")
    await _sees(workspace, "the restart succeeding", "succeeded", "nginx pid")


async def _a_second_restart(workspace: Workspace) -> None:
    await _type(workspace, "bob", "/runbook restart nginx on web-01 settle=1")
    await _sees(workspace, "the cooldown refusing", "cooldown")


async def _four_eyes(workspace: Workspace) -> None:
    await _type(workspace, "bob", "/runbook kill report-worker on web-02 grace=2")
    asking = await _button(workspace, "Approve")
    ack = await workspace.click("bob", asking, "Approve")
    if not ack.ok:
        raise StoryError(f"Bob's click was not taken: {ack.error}")
    await _privately(workspace, "bob", "somebody else must approve")
    await workspace.click("carol", await _button(workspace, "Approve"), "Approve")
    await _sees(workspace, "the process being ended", "ended report-worker")


async def _kill_switch(workspace: Workspace) -> None:
    await _type(workspace, "bob", "/killswitch global on looking into it")
    await _privately(workspace, "bob", "is engaged")
    await _type(workspace, "bob", "/runbook restart app on web-02")
    await _sees(workspace, "the kill switch refusing", "by the kill switch gate")
    await _type(workspace, "alice", "/killswitch global off all clear")
    await _privately(workspace, "alice", "is off")
    await _type(workspace, "alice", "/runbook restart app on web-02 settle=1")
    await _sees(workspace, "the restart after the release", "app pid")


async def _strangers(workspace: Workspace) -> None:
    await _type(workspace, "dave", "/runbook restart nginx on web-02")
    await _privately(workspace, "dave", "no role")


Scene = Callable[[Workspace], Awaitable[None]]
SCENES: tuple[tuple[str, Scene], ...] = (
    ("Bob looks how web-01 is", _a_look),
    ("Bob restarts nginx on web-01", _a_restart),
    ("Bob restarts it again too soon", _a_second_restart),
    ("Bob asks to kill a process; he cannot approve it himself, Carol can", _four_eyes),
    ("The kill switch refuses, and is released", _kill_switch),
    ("Dave has no role", _strangers),
)


async def _type(workspace: Workspace, person: str, text: str) -> None:
    ack = await workspace.command(person, CHANNEL, text)
    if not ack.ok:
        raise StoryError(f"{text!r} by {person} was not acknowledged: {ack.error}")


async def _sees(workspace: Workspace, what: str, *said: str) -> None:
    """Every reader of the channel sees all of this."""
    await _wait(workspace, what, lambda w: all(part in w.transcript(CHANNEL) for part in said))


async def _privately(workspace: Workspace, person: str, said: str) -> None:
    def told(w: Workspace) -> bool:
        return any(said in message.text for message in w.ephemeral(person, CHANNEL))

    await _wait(workspace, f"{person} being told {said!r}", told)


async def _button(workspace: Workspace, label: str) -> Message:
    """The newest message that offers this button."""

    def offered(w: Workspace) -> Message | None:
        found = [m for m in _everything(w) if label in _labels(m)]
        return found[-1] if found else None

    await _wait(workspace, f"a button {label!r}", lambda w: offered(w) is not None)
    message = offered(workspace)
    if message is None:
        raise StoryError(f"The button {label!r} went away.")
    return message


def _everything(workspace: Workspace) -> list[Message]:
    found: list[Message] = []
    for message in workspace.messages(CHANNEL):
        found.append(message)
        found += [reply for reply in workspace.messages(CHANNEL, thread_ts=message.ts) if reply.ts != message.ts]
    return found


def _labels(message: Message) -> list[str]:
    return [
        element.get("text", {}).get("text", "")
        for block in message.blocks
        if block.get("type") == "actions"
        for element in block.get("elements", ())
    ]


async def _wait(workspace: Workspace, what: str, condition: Callable[[Workspace], bool]) -> None:
    try:
        await workspace.wait_for(lambda w: condition(w) or None, timeout=PATIENCE)
    except TimeoutError as error:
        raise StoryError(f"Nobody saw {what} within {PATIENCE:.0f} s.\n{error}") from error
