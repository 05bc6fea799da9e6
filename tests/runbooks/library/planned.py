"""What the built-in runbooks find and plan on a host that answers from a table."""

import shlex
from dataclasses import replace
from typing import Any

import pytest

from runbooks import catalog
from runbooks.catalog import bind
from runbooks.planning import Planner
from runbooks.plans import StoredPlan
from safety.command_guard import CommandGuard, Severity
from storage.errors import PlanningFailed
from tests.builders import hosts
from tests.fakes import FakeRemote, Reply

CATALOG = catalog.build()
REFUSED = Reply(status=1, err="sudo: a password is required")


async def planned(
    runbook: str, typed: str = "", *, replies: dict[str, Any], user: str = "ops", remote: FakeRemote | None = None
) -> StoredPlan:
    """The plan for web-01; every command must be one that the guard lets run."""
    entry = CATALOG.get(runbook)
    words = shlex.split(typed)
    named = dict(word.split("=", 1) for word in words if "=" in word)
    params = bind(entry, [word for word in words if "=" not in word], named)
    remote = remote or FakeRemote()
    remote.replies.update(replies)
    planner = Planner(remote=remote, guard=CommandGuard())
    host = replace(hosts().hosts[0], user=user)
    plan = await planner.make_plan(entry, params, [host])
    assert [j.reason for j in planner.judgements(plan, [host]) if j.verdict is Severity.REFUSE] == []
    return plan


async def refused(runbook: str, typed: str = "", *, replies: dict[str, Any], user: str = "ops") -> str:
    """Why there is no plan."""
    with pytest.raises(PlanningFailed) as error:
        await planned(runbook, typed, replies=replies, user=user)
    return error.value.message


def commands(plan: StoredPlan, *, kinds: tuple[str, ...] = ("Run",)) -> list[str]:
    """The commands of its steps, as words joined by spaces; `sudo` in front where it is asked for."""
    return [
        ("sudo " if step.sudo else "") + " ".join(step.argv)
        for step in plan.hosts[0].steps
        if type(step).__name__ in kinds and hasattr(step, "argv") and hasattr(step, "sudo")
    ]
