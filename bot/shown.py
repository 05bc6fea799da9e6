"""What shows rows, in the words of the moment at which it is said: the headline, short plans, the message of each step.

An event only marks them (`bot/thread.py`); at Slack's pace most of the words it could have had would never be said.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from bot import cards
from bot.blocks import Message, plain
from bot.cards import StepNews
from bot.situation import situation_of
from storage import executions
from storage.outbox import SHOWS
from storage.records import Execution, OutboxMessage, StepRun

log = structlog.get_logger(__name__)

CARD = {"what": "card"}
PLAN = {"what": "plan"}
TAIL = 20
"""How many of the newest lines of its output a step's message is made from."""


def step(run: StepRun) -> dict[str, Any]:
    """The message of this step, whichever try it is at."""
    return {"what": "step", "host": run.host, "step": run.step}


def shown(connection: Connection, message: OutboxMessage, now: datetime) -> Message:
    """The words of a message that shows rows. Raises only what the database raises."""
    try:
        return _shown(connection, message, now)
    except (SQLAlchemyError, OSError):
        raise
    except Exception:  # what can't be made into words must not stand in the way of all that follows
        log.exception("rows_not_shown", message=message.id, execution=message.execution_id)
        return plain(f"There is news of #{message.execution_id}, which could not be shown as it was meant.")


def _shown(connection: Connection, message: OutboxMessage, now: datetime) -> Message:
    shows, execution = message.payload[SHOWS], executions.get(connection, message.execution_id or 0)
    if shows["what"] == CARD["what"]:
        return cards.card(execution, now, situation_of(connection, execution))
    if shows["what"] == PLAN["what"]:
        return cards.plan_messages(execution, executions.plan_of(connection, execution.id) or {})[0]
    return cards.step_message(_news(connection, execution, shows["host"], shows["step"]))


def _news(connection: Connection, execution: Execution, host: str, place: str) -> StepNews:
    run = executions.step_of(connection, execution.id, host, place)
    kept = executions.output_of(connection, execution.id, host=host, step=place, last=TAIL)
    tail = [line for line in kept if line.attempt == run.attempt]
    return StepNews(
        execution=execution,
        step=run,
        tail=tail,
        lines=max(run.lines, tail[-1].seq if tail else 0),
        command=command_of(executions.plan_of(connection, execution.id), run),
    )


def command_of(plan: Mapping[str, Any] | None, run: StepRun) -> str | None:
    """The command of a step as its plan has it."""
    parts: Sequence[Mapping[str, Any]] = plan["hosts"] if plan else ()
    for part in parts:
        if part["host"] == run.host:
            # A health check is kept as "w2.1": the first one, asked after the second wave.
            is_health = run.step.startswith("w")
            steps = part.get("health", ()) if is_health else part["steps"]
            place = run.step.partition(".")[2] if is_health else run.step
            found = dict(cards.numbered_json(steps)).get(place)
            return cards.step_command(found) or None if found else None
    return None
