"""A new runbook to start from: one that already passes `handrail runbooks check`, and its test."""

import re

from runbooks.definition import is_name
from storage.errors import Invalid

_RUNBOOK = '''"""Say here what this file is for."""

from pydantic import Field

from runbooks import (
    Category,
    Danger,
    Expect,
    Facts,
    Parameters,
    Plan,
    Probe,
    Run,
    Runbook,
    Sample,
    Seconds,
    ServiceName,
    minutes,
    positional,
)


class {kind}(Runbook):
    """Reload a service and see that it stays up.

    The first line is what `/runbook list` shows; say here what somebody should know before they run it.
    """

    name, aliases, category = "{name}", (), Category.MAINTENANCE
    danger, cooldown, timeout = Danger.HIGH, minutes(10), minutes(5)
    example = "{name} nginx on web-01"
    no_undo = "A service that has read its configuration again can't forget it: put the old one back and reload."

    class Params(Parameters):
        """What it asks for."""

        service: ServiceName = positional("systemd unit to reload")
        settle: Seconds = Field(5, ge=0, le=300, description="how long it must stay active")

    async def probe(self, host: Probe, params: Params) -> Facts:
        """Whether it runs, and whether we may reload it."""
        state = await host.read("systemctl", "is-active", params.service, allow_exit={{0, 3, 4}})
        if state != "active":
            raise ValueError(f"{{params.service}} is {{state}} on {{host.name}}: there is nothing to reload.")
        missing = await host.lacks("systemctl", "reload", params.service)
        if missing is not None:
            raise ValueError(f"{{host.login}} may not reload {{params.service}}; add this to sudoers: {{missing}}")
        return Facts(state=str(state), sudo=host.login != "root")

    def plan(self, params: Params, facts: Facts) -> Plan:
        """Reload, then watch it for the settle time."""
        return Plan(
            Run(
                f"Reload {{params.service}}",
                "systemctl",
                "reload",
                params.service,
                sudo=facts.sudo,
                idempotent=True,
                look=("systemctl", "is-active", params.service),
            ),
            Expect(
                "It is active, and stays so",
                "systemctl",
                "is-active",
                params.service,
                output="active",
                settle=params.settle,
            ),
        )

    samples = (Sample("nginx", Facts(state="active", sudo=True), when="it runs"),)
'''

_TEST = '''"""{name}: run with `pytest`, with Handrail installed."""

import asyncio
from pathlib import Path

import pytest

from runbooks.testing import FakeHost, load, problems

HERE = Path(__file__).parent
RUNBOOK = load(HERE, "{name}")
NGINX = RUNBOOK.Params(service="nginx")


def test_check_finds_nothing_wrong() -> None:
    assert problems(HERE, "{name}") == []


def test_a_service_that_runs_is_reloaded() -> None:
    host = FakeHost({{"systemctl is-active nginx": "active"}}, sudoers=["systemctl reload nginx"])
    facts = asyncio.run(RUNBOOK.probe(host, NGINX))
    plan = RUNBOOK.plan(NGINX, facts)
    assert [step.argv for step in plan.steps if step.changing] == [("systemctl", "reload", "nginx")]


def test_a_service_that_does_not_run_is_left_alone() -> None:
    host = FakeHost({{"systemctl is-active nginx": ("inactive", 3)}})
    with pytest.raises(ValueError, match="there is nothing to reload"):
        asyncio.run(RUNBOOK.probe(host, NGINX))


def test_what_sudoers_lacks_is_told() -> None:
    host = FakeHost({{"systemctl is-active nginx": "active"}})
    with pytest.raises(ValueError, match="systemctl reload nginx"):
        asyncio.run(RUNBOOK.probe(host, NGINX))
'''


def skeleton(name: str) -> dict[str, str]:
    """The new files by their names. Raises Invalid when a runbook can't be called so."""
    if not is_name(name):
        raise Invalid(f"'{name}' can't be a runbook's name: use lower-case words with dashes, like 'clear-cache'.")
    module = name.replace("-", "_")
    kind = "".join(word.capitalize() for word in re.split("-", name))
    return {
        f"{module}.py": _RUNBOOK.format(name=name, kind=kind),
        f"test_{module}.py": _TEST.format(name=name),
    }
