"""Plans as data: to JSON and back, as text for people, and the fingerprint an approval is bound to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from runbooks.commands import shell_line
from runbooks.definition import Call, Check, Expect, Parallel, Require, Run, Single, Step, Wait
from storage.canonical import sha256


@dataclass(frozen=True, kw_only=True)
class HostPlan:
    """The steps of one host, and the facts they were planned from."""

    host: str
    steps: tuple[Step, ...]
    facts: Mapping[str, Any]
    health: tuple[Expect, ...] = ()  # asked after each wave, once its own steps are done

    def at(self, place: str) -> Single | None:
        """The step or health check at a place as `StepRun.step` has it."""
        if place.startswith("w"):
            number = int(place.partition(".")[2])
            return self.health[number - 1] if 0 < number <= len(self.health) else None
        return dict(numbered(self.steps)).get(place)


@dataclass(frozen=True, kw_only=True)
class StoredPlan:
    """Exactly what would run where. `services`: what the plans name beyond the parameters.

    `waves`: which hosts go together, one wave after the other, with a `pause` of so many seconds between two; more than
    `max_failures` hosts that fail stop it. `rollback`: what was applied is taken back by itself when it fails.
    """

    hosts: tuple[HostPlan, ...]
    services: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    waves: tuple[tuple[str, ...], ...] = ()
    pause: float = 0.0
    max_failures: int = 0
    rollback: bool = False

    def of(self, host: str) -> HostPlan:
        """One host's part."""
        return next(part for part in self.hosts if part.host == host)

    @property
    def steps_total(self) -> int:
        """Steps over all hosts; a parallel group counts its own, and health checks count each time they are asked."""
        steps = sum(1 for part in self.hosts for _ in numbered(part.steps))
        checks = {part.host: len(part.health) for part in self.hosts}
        return steps + sum(checks[host] * left for left, wave in enumerate(self.waves[::-1], 1) for host in wave)

    @property
    def in_waves(self) -> tuple[tuple[str, ...], ...]:
        """The waves; one host after the other where the plan names none."""
        return self.waves or tuple((part.host,) for part in self.hosts)

    @property
    def is_plain(self) -> bool:
        """Whether it simply goes from host to host."""
        return self.pause == 0 and all(len(wave) == 1 for wave in self.in_waves)


def numbered(steps: Sequence[Step]) -> Iterator[tuple[str, Single]]:
    """Every single step with its place: "1", "2", "3.1", "3.2"."""
    for place, step in enumerate(steps, 1):
        if isinstance(step, Parallel):
            for inner, single in enumerate(step.steps, 1):
                yield f"{place}.{inner}", single
        else:
            yield str(place), step


def secrets_of(plan: StoredPlan) -> set[str]:
    """The names of all stored secrets that its commands get, undo included."""
    steps = [step for part in plan.hosts for _, step in numbered(part.steps) if isinstance(step, Run)]
    wanted = [*steps, *(step.undo for step in steps if step.undo is not None)]
    return {step.secret for step in wanted if step.secret is not None}


def fingerprint(*, runbook: str, params: Mapping[str, Any], plan: StoredPlan) -> str:
    """SHA-256 over what would run: runbook, parameters, ordered hosts, their waves, and per step all but its title."""
    return sha256(
        {
            "runbook": runbook,
            "params": dict(params),
            "hosts": [
                {"host": part.host, "steps": [_untitled(step_to_json(step)) for step in part.steps]}
                | ({"health": [_untitled(step_to_json(step)) for step in part.health]} if part.health else {})
                for part in plan.hosts
            ],
            **_rollout_to_json(plan),
        }
    )


def _rollout_to_json(plan: StoredPlan) -> dict[str, Any]:
    """How it goes over its hosts; nothing where there is nothing to say."""
    waves = [list(wave) for wave in plan.waves]
    many = {"waves": waves, "pause": plan.pause, "max_failures": plan.max_failures} if waves else {}
    return many | ({"rollback": True} if plan.rollback else {})


def _untitled(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _untitled(v) for k, v in value.items() if k not in {"title", "command"}}
    if isinstance(value, list):
        return [_untitled(item) for item in value]
    return value


# --- JSON -------------------------------------------------------------------------------------------------------------


def to_json(plan: StoredPlan) -> dict[str, Any]:
    """As it is kept in SQL, shown and audited."""
    return {
        "hosts": [
            {"host": part.host, "facts": dict(part.facts), "steps": [step_to_json(step) for step in part.steps]}
            | ({"health": [step_to_json(step) for step in part.health]} if part.health else {})
            for part in plan.hosts
        ],
        "services": list(plan.services),
        "notes": list(plan.notes),
        **_rollout_to_json(plan),
    }


def from_json(value: Mapping[str, Any]) -> StoredPlan:
    """What `to_json` made."""
    return StoredPlan(
        hosts=tuple(
            HostPlan(
                host=part["host"],
                facts=part["facts"],
                steps=tuple(step_from_json(step) for step in part["steps"]),
                health=tuple(_expected(step_from_json(step), Expect) for step in part.get("health", ())),
            )
            for part in value["hosts"]
        ),
        services=tuple(value["services"]),
        notes=tuple(value["notes"]),
        waves=tuple(tuple(wave) for wave in value.get("waves", ())),
        pause=value.get("pause", 0.0),
        max_failures=value.get("max_failures", 0),
        rollback=value.get("rollback", False),
    )


def step_to_json(step: Step) -> dict[str, Any]:
    """One step. `command` is the shell text people read; it is made of `argv` and `sudo` again before it runs."""
    match step:
        case Run():
            return {
                "kind": "run",
                "title": step.title,
                "argv": list(step.argv),
                "command": shell_line(step.argv, sudo=step.sudo),
                "sudo": step.sudo,
                "timeout": step.timeout,
                "allow_exit": list(step.allow_exit),
                "idempotent": step.idempotent,
                "retries": step.retries,
                "undo": step_to_json(step.undo) if step.undo else None,
                "look": list(step.look) if step.look else None,
                "unless": step_to_json(step.unless) if step.unless else None,
                # Only where there is one, so that plans without keep the fingerprints under which they were approved.
                **({"secret": step.secret} if step.secret is not None else {}),
                **({"reboots": True} if step.reboots else {}),
            }
        case Expect():
            return {
                "kind": "expect",
                **_check_to_json(step),
                "within": step.within,
                "every": step.every,
                "settle": step.settle,
                **({"patient": True} if step.patient else {}),
            }
        case Require():
            return {"kind": "require", **_check_to_json(step)}
        case Call():
            return {
                "kind": "call",
                "title": step.title,
                "method": step.method,
                "url": step.url,
                "body": step.body,
                "allow_status": list(step.allow_status),
                "timeout": step.timeout,
                "idempotent": step.idempotent,
            }
        case Wait():
            return {"kind": "wait", "title": step.title, "seconds": step.seconds}
        case Parallel():
            return {"kind": "parallel", "title": step.title, "steps": [step_to_json(s) for s in step.steps]}
        case _:
            assert_never(step)


def _check_to_json(step: Check) -> dict[str, Any]:
    return {
        "title": step.title,
        "argv": list(step.argv),
        "command": shell_line(step.argv, sudo=step.sudo),
        "sudo": step.sudo,
        "timeout": step.timeout,
        "output": step.output,
        "pattern": step.pattern,
        "allow_exit": list(step.allow_exit),
    }


def step_from_json(value: Mapping[str, Any]) -> Step:
    """What `step_to_json` made; raises KeyError for a plan of an unknown shape."""
    kind = value["kind"]
    if kind == "run":
        undo, unless = value["undo"], value["unless"]
        return Run(
            value["title"],
            *value["argv"],
            sudo=value["sudo"],
            timeout=value["timeout"],
            allow_exit=value["allow_exit"],
            idempotent=value["idempotent"],
            retries=value["retries"],
            undo=_expected(step_from_json(undo), Run) if undo else None,
            look=value["look"],
            unless=_expected(step_from_json(unless), Expect | Require) if unless else None,
            secret=value.get("secret"),
            reboots=value.get("reboots", False),
        )
    if kind in {"expect", "require"}:
        check = {k: value[k] for k in ("sudo", "timeout", "output", "pattern", "allow_exit")}
        if kind == "require":
            return Require(value["title"], *value["argv"], **check)
        times = {k: value[k] for k in ("within", "every", "settle")}
        return Expect(value["title"], *value["argv"], **check, **times, patient=value.get("patient", False))
    if kind == "call":
        keys = ("method", "body", "allow_status", "timeout", "idempotent")
        return Call(value["title"], value["url"], **{k: value[k] for k in keys})
    if kind == "wait":
        return Wait(value["title"], value["seconds"])
    if kind == "parallel":
        return Parallel(
            value["title"], *(_expected(step_from_json(s), Run | Expect | Call | Wait) for s in value["steps"])
        )
    raise KeyError(kind)


def _expected(step: Step, kind: Any) -> Any:
    if not isinstance(step, kind):
        raise KeyError(f"a {type(step).__name__} where it cannot be")
    return step
