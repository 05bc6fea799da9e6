"""A runbook's page, made of what its class says of itself and of the plans of its samples."""

import inspect
from collections.abc import Iterator, Sequence

from pydantic.fields import FieldInfo

from runbooks.catalog import Entry, usage
from runbooks.checking import planner
from runbooks.commands import shell_line
from runbooks.definition import Call, Check, Expect, Require, Run, Runbook, Sample, Single, Wait
from runbooks.parameters import accepted, is_positional, is_secret, one_of
from runbooks.plans import StoredPlan, numbered
from safety.clock import words
from safety.command_guard import CommandGuard
from storage.records import Danger

GENERATED = "<!-- Written by `handrail runbooks docs`: change the runbook instead. -->"

_DANGERS = {
    Danger.READ: "read: it changes nothing, and has no cooldown",
    Danger.LOW: "low: it runs at once",
    Danger.HIGH: "high: whoever asks confirms the plan",
    Danger.DANGEROUS: "dangerous: somebody else approves the plan",
}


def page(entry: Entry) -> str:
    """The page as Markdown; raises OperatorError when a sample gives no plan."""
    runbook = entry.runbook
    kind = type(runbook)
    parts = [
        f"# {entry.name}",
        GENERATED,
        _text(kind.__doc__),
        "\n".join(_traits(entry)),
        *_parameters(kind),
        *_said("What it looks at", kind.probe.__doc__ if kind.probe is not Runbook.probe else None),
        *_said("What it does", kind.plan.__doc__),
        *_said("What it says at the end", kind.outcome.__doc__ if kind.outcome is not Runbook.outcome else None),
        *_said("What can't be undone", runbook.no_undo),
        *(_sample(entry, sample) for sample in runbook.samples),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def contents(entries: Sequence[Entry]) -> str:
    """The list of all pages."""
    rows = [
        f"| [{entry.name}]({entry.name}.md) | {_cell(type(entry.runbook).summary())} | {entry.danger.value} |"
        for entry in sorted(entries, key=lambda one: one.name)
    ]
    return "\n".join(
        ["# Runbooks", "", GENERATED, "", "| runbook | what it does | danger |", "|---|---|---|", *rows, ""]
    )


def _text(docstring: str | None) -> str:
    return inspect.cleandoc(docstring or "")


def _said(title: str, docstring: str | None) -> Iterator[str]:
    if docstring:
        yield f"## {title}\n\n{_text(docstring)}"


def _traits(entry: Entry) -> Iterator[str]:
    runbook = entry.runbook
    yield "| | |"
    yield "|---|---|"
    yield f"| example | {usage(entry).removeprefix('Example: ')} |"
    if runbook.aliases:
        yield f"| also called | {', '.join(f'`{alias}`' for alias in runbook.aliases)} |"
    yield f"| danger | {_DANGERS[runbook.danger]} |"
    if runbook.danger is not Danger.READ:
        yield f"| cooldown | {words(runbook.cooldown.total_seconds())} |"
    yield f"| timeout | {words(runbook.timeout.total_seconds())} for each host |"
    yield f"| hosts at once | {runbook.max_hosts} at most, {', '.join(sorted(p.value for p in runbook.platforms))} |"
    if runbook.waves is not None:
        yield f"| waves | `{runbook.waves}` |"
    if runbook.rollback == "auto":
        yield "| when it fails | what was applied is taken back by itself |"


def _parameters(kind: type[Runbook]) -> Iterator[str]:
    if not kind.Params.model_fields:
        return
    rows = [_parameter(name, info) for name, info in kind.Params.model_fields.items()]
    head = ["| parameter | takes | default | meaning |", "|---|---|---|---|"]
    yield "\n".join(["## Parameters", "", _text(kind.Params.__doc__), "", *head, *rows])


def _parameter(name: str, info: FieldInfo) -> str:
    place = " (by place)" if is_positional(info) else ""
    choices = one_of(info)
    takes = ", ".join(f"`{choice}`" for choice in choices) if choices else accepted(info).what
    if info.examples:
        takes = f"such as `{info.examples[0]}`"
    if is_secret(info):
        takes = "nothing typed: it names a secret"
    bounds = [f"{word} {bound}" for word, bound in _bounds(info)]
    default = "needed" if info.is_required() else "none" if info.default is None else f"`{_typed(info, info.default)}`"
    return f"| `{name}`{place} | {_cell(', '.join([takes, *bounds]))} | {default} | {_cell(info.description or '')} |"


def _bounds(info: FieldInfo) -> Iterator[tuple[str, object]]:
    for one in info.metadata:
        for attribute, word in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
            if (bound := getattr(one, attribute, None)) is not None:
                yield word, _typed(info, bound)


def _typed(info: FieldInfo, value: object) -> str:
    """A value as somebody would type it: 50M, 1d."""
    scales = {"bytes": {"G": 1024**3, "M": 1024**2, "K": 1024}, "seconds": {"d": 86_400, "h": 3_600, "m": 60}}
    for unit, size in scales.get(accepted(info).unit, {}).items():
        if isinstance(value, int) and value >= size and value % size == 0:
            return f"{value // size}{unit}"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _sample(entry: Entry, sample: Sample) -> str:
    plan = planner(CommandGuard()).sample(entry, sample)
    title = f"## Example: {sample.when}" if sample.when else "## Example"
    typed = f"`/runbook {' '.join(filter(None, [entry.name, sample.typed]))} on {sample.facts.host}`"
    return "\n\n".join([title, typed, *plan.notes, "\n".join(_steps(plan)), *_ending(entry, sample)])


def _ending(entry: Entry, sample: Sample) -> Iterator[str]:
    """What somebody is told who only wanted to know."""
    if entry.runbook.danger is not Danger.READ:
        return
    said = planner(CommandGuard()).sampled_outcome(entry, sample)
    if said:
        yield f"It ends with:\n\n```\n{said}\n```"


def _steps(plan: StoredPlan) -> Iterator[str]:
    """Numbered by hand: a group's steps are `2.1`, `2.2`."""
    for place, step in numbered(plan.hosts[0].steps):
        yield f"- {place}. {step.title}: {_step(step)}"


def _step(step: Single) -> str:
    match step:
        case Run():
            secret = f", which gets the secret `{step.secret}` on its input" if step.secret is not None else ""
            unless = f", unless `{shell_line(step.unless.argv)}` is as wanted" if step.unless is not None else ""
            return f"`{shell_line(step.argv, sudo=step.sudo)}`{secret}{unless}{_undo(step)}"
        case Expect() | Require():
            return f"{'expects' if isinstance(step, Expect) else 'requires'} {_wanted(step)}"
        case Call():
            headers = "".join(f", header `{name}: {value}`" for name, value in step.headers)
            body = f", body `{' '.join(step.body.split())}`" if step.body is not None else ""
            secret = f", which sends the secret `{step.secret}`" if step.secret is not None else ""
            return f"`{step.method} {step.url}`{headers}{body}{secret}{_undo(step)}"
        case Wait():
            return f"waits {words(step.seconds)}"


def _undo(step: Run | Call) -> str:
    return f"; undo: {_step(step.undo)}" if step.undo is not None else ""


def _wanted(step: Check) -> str:
    line = f"`{shell_line(step.argv, sudo=step.sudo)}`"
    if step.output is not None:
        return f"{line} to say `{step.output or 'nothing'}`"
    return f"{line} to match `{step.pattern}`" if step.pattern is not None else f"{line} to succeed"
