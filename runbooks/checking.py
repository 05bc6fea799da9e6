"""Checks runbooks without any host: what they say of themselves, and what they plan in their own samples."""

import inspect
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import cast

from runbooks.catalog import Catalog, Entry, as_typed, where
from runbooks.definition import Runbook, Sample
from runbooks.planning import Planner, single
from runbooks.plans import HostPlan, StoredPlan, numbered, to_json
from runbooks.remote import Host, Remote
from safety.command_guard import CommandGuard, Severity
from storage.canonical import canonical
from storage.errors import OperatorError
from storage.records import Danger


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something to put right: the file and line of the runbook, its name, and what is wrong, in a sentence."""

    where: str
    runbook: str
    message: str


def check(catalog: Catalog, guard: CommandGuard) -> list[Finding]:
    """Everything that is wrong with any runbook, what could not even be loaded first."""
    found = [
        Finding(where=said.partition(": ")[0], runbook="", message=said.partition(": ")[2]) for said in catalog.left_out
    ]
    for entry in sorted(catalog.entries.values(), key=lambda one: one.name):
        place = where(type(entry.runbook))
        found += [Finding(where=place, runbook=entry.name, message=said) for said in _wrong(entry, guard)]
    return found


def planner(guard: CommandGuard) -> Planner:
    """Plans samples; it has no way to a host."""
    return Planner(remote=cast(Remote, None), guard=guard)


def _wrong(entry: Entry, guard: CommandGuard) -> Iterator[str]:
    yield from _form(type(entry.runbook))
    yield from _whatever_happens(_example(entry))
    samples = entry.runbook.samples
    if not isinstance(samples, tuple) or not all(isinstance(sample, Sample) for sample in samples):
        yield "`samples` must be a tuple of Sample(…); one of them needs a comma behind it."
        return
    if not samples:
        yield 'It has no samples. Add `samples = (Sample("what is typed", Facts(…)),)`, one for each form of its plan.'
    for sample in samples:
        yield from (f"{_named(sample)}: {said}" for said in _whatever_happens(_sample(entry, sample, guard)))


def _whatever_happens(found: Iterator[str]) -> Iterator[str]:
    """These, and that the runbook's own code failed on the way, as it may in any way."""
    try:
        yield from found
    except (Exception, SystemExit) as error:
        yield f"It fails: {type(error).__name__}: {error}"


def _named(sample: Sample) -> str:
    return f"The sample '{sample.typed}'" + (f" ({sample.when})" if sample.when else "")


def _form(kind: type[Runbook]) -> Iterator[str]:
    """Whether its methods are what the planner calls, and everything a person reads is written."""
    if not inspect.iscoroutinefunction(kind.probe):
        yield "`probe` must be `async def probe(self, host, params)`."
    if inspect.iscoroutinefunction(kind.plan):
        yield "`plan` must be `def plan(self, params, facts)`, without async: it looks at nothing."
    for name, count in (("probe", 3), ("plan", 3), ("health", 3), ("outcome", 4)):
        method = getattr(kind, name)
        if len(inspect.signature(method).parameters) != count:
            yield f"`{name}` takes {', '.join(list(inspect.signature(getattr(Runbook, name)).parameters))}."
        if not (method.__doc__ or "").strip():
            yield f"`{name}` has no docstring; the runbook's page shows it."
    for name, info in kind.Params.model_fields.items():
        if not info.description:
            yield f"The parameter '{name}' has no description."


def _example(entry: Entry) -> Iterator[str]:
    example = entry.runbook.example
    if example is None:
        return
    name, *words = shlex.split(example)
    if "on" in words:
        words = words[: words.index("on")]
    if name not in {entry.name, *entry.runbook.aliases}:
        yield f"Its example starts with '{name}', which is not its name."
        return
    try:
        as_typed(entry, shlex.join(words))
    except OperatorError as error:
        yield f"Its example can't be typed: {error.message}"


def _sample(entry: Entry, sample: Sample, guard: CommandGuard) -> Iterator[str]:
    desk = planner(guard)
    try:
        plan, again = desk.sample(entry, sample), desk.sample(entry, sample)
    except OperatorError as error:
        yield error.message
        return
    if _print(plan) != _print(again):
        yield "Planned twice, the plan is not the same: `plan` may use nothing but params and facts."
    host = Host(name=sample.facts.host, address="127.0.0.1", user="ops")
    for judgement in desk.judgements(plan, [host]):
        if judgement.verdict is Severity.REFUSE:
            yield f"The guard refuses a command of its plan: {judgement.reason}"
    if plan.goes_on:
        yield "Its plan has a further stage: say with `results={'title': 'output'}` what the steps print before it."
    yield from _roots(plan.hosts[0])
    yield from _changes(entry, plan)


def _print(plan: StoredPlan) -> str:
    return canonical(to_json(plan))


def _roots(part: HostPlan) -> Iterator[str]:
    for step in single((*part.steps, *part.health)):
        program = PurePosixPath(step.argv[0]).name
        if program in {"sudo", "doas"}:
            yield f"The step '{step.title}' begins with `{program}`: leave that out, and give it `sudo=True`."


def _changes(entry: Entry, plan: StoredPlan) -> Iterator[str]:
    changing = [step for _, step in numbered(plan.hosts[0].steps) if step.changing]
    if changing and entry.danger is Danger.READ:
        yield f"The step '{changing[0].title}' changes something, but the runbook's danger is READ."
    final = [step for step in changing if getattr(step, "undo", None) is None]
    if final and not entry.runbook.no_undo:
        yield f"The step '{final[0].title}' has no undo, and `no_undo` does not say why."
