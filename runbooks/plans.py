"""Plans as data: to JSON and back, as text for people, and the fingerprint an approval is bound to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

from yarl import URL

from runbooks.commands import shell_line
from runbooks.definition import Call, Check, Expect, Parallel, Require, Run, Single, Step, Wait
from storage.canonical import sha256


@dataclass(frozen=True, kw_only=True)
class LaterStage:
    """A further stage of one host: the place of its first step, and the facts it was planned from."""

    first: int
    facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class HostPlan:
    """The steps of one host, those of its stages one after the other, and the facts its first stage was planned from.

    `then`: what plans its next stage once these are over. `first`: the place of its first step, where only one stage
    is meant.
    """

    host: str
    steps: tuple[Step, ...]
    facts: Mapping[str, Any]
    health: tuple[Expect, ...] = ()  # asked after each wave, once its own steps are done
    then: str | None = None
    later: tuple[LaterStage, ...] = ()
    first: int = 1
    number: int = 1  # of the stage, where only one is meant

    def at(self, place: str) -> Single | None:
        """The step or health check at a place as `StepRun.step` has it."""
        if place.startswith("w"):
            number = int(place.partition(".")[2])
            return self.health[number - 1] if 0 < number <= len(self.health) else None
        return dict(numbered(self.steps)).get(place)

    def stage(self, number: int) -> "HostPlan | None":
        """One stage of it; None when it has none of that number."""
        begins = [1, *(one.first for one in self.later), len(self.steps) + 1]
        if number >= len(begins):
            return None
        first, end = begins[number - 1], begins[number]
        last = number == len(begins) - 1
        return replace(
            self,
            steps=self.steps[first - 1 : end - 1],
            facts=self.facts if number == 1 else self.later[number - 2].facts,
            then=self.then if last else None,
            later=(),
            first=first,
            number=number,
        )


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

    def stage(self, number: int) -> "StoredPlan":
        """One stage of it, on the hosts that have one of that number."""
        parts = (part.stage(number) for part in self.hosts)
        return replace(self, hosts=tuple(part for part in parts if part is not None and (part.steps or number == 1)))

    @property
    def goes_on(self) -> bool:
        """Whether a further stage follows on any host once its steps are over."""
        return any(part.then is not None for part in self.hosts)

    @property
    def steps_total(self) -> int:
        """Steps over all hosts; a parallel group counts its own, and health checks count each time they are asked."""
        steps = sum(1 for part in self.hosts for _ in numbered(part.steps))
        checks = {part.host: len(part.health) for part in self.hosts}
        return steps + sum(checks.get(host, 0) * left for left, wave in enumerate(self.waves[::-1], 1) for host in wave)

    @property
    def changes(self) -> int:
        """Steps that change something, over all hosts and all stages there are so far; undo steps do not count."""
        return sum(step.changing for part in self.hosts for _, step in numbered(part.steps))

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
    return {step.secret for step in _acting(plan) if step.secret is not None}


def called_by(plan: StoredPlan) -> set[str]:
    """The hosts that its HTTP calls go to, undo included."""
    return {_called(step) for step in _acting(plan) if isinstance(step, Call)}


def _called(step: Call) -> str:
    try:
        return URL(step.url).host or step.url
    except ValueError:  # such as a port that is none; no setting allows that
        return step.url


def _acting(plan: StoredPlan) -> list[Run | Call]:
    found = [step for part in plan.hosts for _, step in numbered(part.steps) if isinstance(step, Run | Call)]
    for step in found:  # grows on the way, as an undo may have one, too
        if step.undo is not None:
            found.append(step.undo)
    return found


def fingerprint(*, runbook: str, params: Mapping[str, Any], plan: StoredPlan, stage: int = 1) -> str:
    """SHA-256 over what would run: runbook, parameters, ordered hosts, their waves, and per step all but its title.

    Of a plan with stages, over one of them: its number counts, and what plans the one after it.
    """
    return sha256(
        {
            "runbook": runbook,
            "params": dict(params),
            "hosts": [
                {"host": part.host, "steps": [_untitled(step_to_json(step)) for step in part.steps]}
                | ({"health": [_untitled(step_to_json(step)) for step in part.health]} if part.health else {})
                | ({"then": part.then} if part.then is not None else {})
                for part in plan.stage(stage).hosts
            ],
            **({"stage": stage} if stage > 1 else {}),
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
            {"host": part.host, "facts": dict(part.facts), "steps": _steps_to_json(part)}
            | ({"health": [step_to_json(step) for step in part.health]} if part.health else {})
            | ({"stage": part.number} if part.number > 1 else {})
            | ({"then": part.then} if part.then is not None else {})
            | ({"later": [{"first": s.first, "facts": dict(s.facts)} for s in part.later]} if part.later else {})
            for part in plan.hosts
        ],
        "services": list(plan.services),
        "notes": list(plan.notes),
        **_rollout_to_json(plan),
    }


def stage_json(value: Mapping[str, Any], stage: int) -> Mapping[str, Any]:
    """One stage of what `to_json` made, as people see it: each step knows its place in the whole."""
    return value if stage == 1 else to_json(from_json(value).stage(stage))


def _steps_to_json(part: HostPlan) -> list[dict[str, Any]]:
    steps = [step_to_json(step) for step in part.steps]
    return steps if part.first == 1 else [{**step, "place": n} for n, step in enumerate(steps, part.first)]


def from_json(value: Mapping[str, Any]) -> StoredPlan:
    """What `to_json` made."""
    return StoredPlan(
        hosts=tuple(
            HostPlan(
                host=part["host"],
                facts=part["facts"],
                steps=tuple(step_from_json(step) for step in part["steps"]),
                health=tuple(_expected(step_from_json(step), Expect) for step in part.get("health", ())),
                then=part.get("then"),
                later=tuple(LaterStage(first=s["first"], facts=s["facts"]) for s in part.get("later", ())),
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
                # Only where there are some, as above.
                **({"retries": step.retries} if step.retries else {}),
                **({"headers": dict(step.headers)} if step.headers else {}),
                **({"secret": step.secret} if step.secret is not None else {}),
                **({"undo": step_to_json(step.undo)} if step.undo is not None else {}),
            }
        case Wait():
            return {"kind": "wait", "title": step.title, "seconds": step.seconds}
        case Parallel():
            limit = {} if step.timeout is None else {"timeout": step.timeout}
            return {"kind": "parallel", "title": step.title, "steps": [step_to_json(s) for s in step.steps], **limit}
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
            undo=_expected(step_from_json(undo), Run | Call) if undo else None,
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
        more = {k: value[k] for k in ("retries", "headers", "secret") if k in value}
        undo = _expected(step_from_json(value["undo"]), Run | Call) if "undo" in value else None
        return Call(value["title"], value["url"], **{k: value[k] for k in keys}, **more, undo=undo)
    if kind == "wait":
        return Wait(value["title"], value["seconds"])
    if kind == "parallel":
        return Parallel(
            value["title"],
            *(_expected(step_from_json(s), Run | Expect | Call | Wait) for s in value["steps"]),
            timeout=value.get("timeout"),
        )
    raise KeyError(kind)


def _expected(step: Step, kind: Any) -> Any:
    if not isinstance(step, kind):
        raise KeyError(f"a {type(step).__name__} where it cannot be")
    return step
