"""Schedules, from what is typed to what runs when: time is set, on both databases."""

from bot.commands import Commands
from storage.records import Actor, Origin, Received
from tests.builders import ALICE, House
from tests.fakes import START


async def says(house: House, text: str, *, by: Actor = ALICE) -> str:
    received = Received(
        id="r",
        key=text,
        kind="command",
        actor=by,
        channel="C0INC",
        text=text,
        payload={"command": "/runbook"},
        received_at=START,
    )
    answer = await Commands(house.engine).answer(received, origin=Origin.COMMAND, handled=lambda connection: None)
    return answer.text if answer is not None else ""
