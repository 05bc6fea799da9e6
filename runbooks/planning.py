"""Probe, then plan: from a runbook, parameters and hosts to exactly what would run where. Changes nothing.

Probes pass the read-only guard before they reach a host; what they print becomes a fact only if nothing altered it.
"""

import asyncio
import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from pydantic import ValidationError

from runbooks.aside import aside, awaited
from runbooks.catalog import Entry, as_typed
from runbooks.commands import shell_line
from runbooks.definition import (
    Call,
    Check,
    Duration,
    Expect,
    Facts,
    Parallel,
    Plan,
    Reading,
    Require,
    Results,
    Run,
    Runbook,
    Sample,
    Step,
)
from runbooks.parameters import Parameters, patterns_of, shown, starting_with_a_dash
from runbooks.plans import HostPlan, LaterStage, StoredPlan, numbered
from runbooks.remote import Ended, Host, Line, Remote, RemoteCommand, Stream, Unreached
from safety.clock import words
from safety.command_guard import CommandGuard, Judgement, Severity
from storage.canonical import canonical
from storage.errors import DefinitionError, HostError, OperatorError, PlanningFailed
from storage.records import Danger, StepRun, StepState

T = TypeVar("T")

PROBES_PER_HOST = 2
PROBE_LIMIT = 90.0
"""Seconds for the whole probe of one host."""
PLAN_LIMIT = 10.0
"""Seconds for what a runbook computes: the plans of all hosts of one request, or the outcome of one."""
MOST_STAGES = 20
"""Stages of one plan."""
RESULT_LINES = 1_000
"""Lines of one step's result that a further stage may be planned from."""
RESULT_SIZE = 64_000
"""Characters of it."""


class HostProbe:
    """The read-only look at one host that a runbook's `probe` is given.

    `dashed`: values of parameters that a program would take for options, unless `--` stands before them. `on_retry`
    hears when the host has to be tried again. `results`: what earlier stages printed there.
    """

    def __init__(
        self,
        host: Host,
        remote: Remote,
        guard: CommandGuard,
        *,
        dashed: frozenset[str] = frozenset(),
        on_retry: Callable[[Unreached], None] | None = None,
        results: Results | None = None,
    ) -> None:
        self._results = Results() if results is None else results
        self._host, self._remote, self._guard, self._dashed, self._on_retry = host, remote, guard, dashed, on_retry

    @property
    def name(self) -> str:
        """The host's name."""
        return self._host.name

    @property
    def login(self) -> str:
        """The user we log in as."""
        return self._host.user

    @property
    def results(self) -> Results:
        """What earlier stages printed here."""
        return self._results

    async def read(
        self, *argv: str, sudo: bool = False, allow_exit: Collection[int] = (0,), timeout: Duration = 20
    ) -> Reading:
        """What a read-only command prints; see `definition.Probe`."""
        _refuse_options(argv, self._dashed)
        line = shell_line(argv, sudo=sudo)
        judgement = self._judge(line)
        if judgement.verdict is not Severity.ALLOW:
            raise PlanningFailed(
                f"The probe of {self.name} would run `{line}`, and a probe may only look: {judgement.reason}"
            )
        lines: list[Line] = []
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)
        finished = await self._remote.run(
            self._host,
            RemoteCommand(line=line, timeout=seconds, max_lines=5_000),
            on_line=lines.append,
            on_retry=self._on_retry,
        )
        printed = [one for one in lines if one.stream is Stream.OUT]
        if finished.ended is not Ended.EXITED:
            raise PlanningFailed(f"`{line}` on {self.name} did not end ({finished.ended}), so nothing is known.")
        if finished.exit_status not in allow_exit:
            said = " ".join(one.text for one in lines[-3:])[:300].replace("<@", "< @")
            raise PlanningFailed(
                f"`{line}` on {self.name} ended with {_status(finished.exit_status)}: {said or 'no output'}"
            )
        if finished.dropped or finished.cut or any(one.altered for one in printed):
            raise PlanningFailed(
                f"What `{line}` printed on {self.name} was masked or cut, so it is no fact to plan with."
            )
        errors = "\n".join(one.text for one in lines if one.stream is Stream.ERR)
        return Reading(
            "\n".join(one.text for one in printed).strip(), exit_status=finished.exit_status or 0, errors=errors
        )

    def may_read(self, *argv: str, sudo: bool = False) -> bool:
        """See `definition.Probe`."""
        return self._guard.only_looks(shell_line(argv, sudo=sudo), tags=self._host.tags)

    def _judge(self, line: str) -> Judgement:
        return self._guard.judge_read_only(line, tags=self._host.tags)

    async def lacks(self, *argv: str) -> str | None:
        """The line that sudoers lacks, so that the login user may run this as root; None where it may."""
        if self.login == "root":
            return None
        allowed = await self.read("sudo", "-n", "-l", "--", *argv, allow_exit=range(256))
        if allowed.exit_status == 0:
            return None
        path = argv[0]
        if "/" not in path:
            found = await self.read("find", *_PATH, "-maxdepth", "1", "-name", path, "-print", allow_exit=range(256))
            path = next(iter(found.splitlines()), f"/usr/bin/{path}")
        return sudoers_line(self.login, path, *argv[1:])


_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where sudo looks for a program, in its order, unless it is told otherwise."""


def sudoers_line(login: str, *argv: str) -> str:
    """Allows these words as root without a password, and no others; read back by sudoers(5) as they are."""
    # A backslash is read twice: by sudoers, then as the escape of a pattern.
    words = (re.sub(r"[*?\[\],:=!# \t]", r"\\\g<0>", word.replace("\\", r"\\\\")) for word in argv)
    return f"{login} ALL=(root) NOPASSWD: {' '.join(words)}" + (' ""' if len(argv) == 1 else "")


NOTHING = Results()


def results(printed: Sequence[tuple[StepRun, Sequence[str]]]) -> dict[str, Results]:
    """What each host's steps printed, as its further stages may use it."""
    known: dict[str, dict[str, Reading]] = defaultdict(dict)
    unusable: dict[str, dict[str, str]] = defaultdict(dict)
    places: dict[tuple[str, str], str] = {}
    for step, lines in printed:
        text = "\n".join(lines).strip()
        wrong = _why_unusable(step, text)
        if places.setdefault((step.host, step.title), step.step) != step.step:
            wrong = "two steps have that title"
        if wrong is not None:
            unusable[step.host][step.title] = wrong
        elif step.state is StepState.SUCCEEDED:
            known[step.host][step.title] = Reading(text, exit_status=step.exit_status or 0)
    return {host: Results(known[host], unusable[host]) for host in {*known, *unusable}}


def _why_unusable(step: StepRun, text: str) -> str | None:
    if step.altered:
        return "it was masked, cut or lost in part"
    if step.dropped or step.lines - step.result_from >= RESULT_LINES or len(text) > RESULT_SIZE:
        return f"it is longer than {RESULT_LINES:,} lines or {RESULT_SIZE:,} characters"
    return None


def _longer(part: HostPlan, plan: Plan, facts: Facts) -> HostPlan:
    """A host's plan with its next stage behind it."""
    stage = LaterStage(first=len(part.steps) + 1, facts=dict(facts))
    return replace(part, steps=(*part.steps, *plan.steps), then=plan.then, later=(*part.later, stage))


def _plain(entry: Entry, host: str, facts: Facts) -> Facts:
    """Facts that can be kept; an author may have put anything into them."""
    for name, value in facts.items():
        try:
            text = canonical(value)
        except (TypeError, ValueError) as error:
            raise PlanningFailed(f"The fact '{name}' of {entry.name} on {host} is no JSON: {error}.") from error
        if "\\u0000" in text:  # PostgreSQL keeps no NUL
            raise PlanningFailed(f"The fact '{name}' of {entry.name} on {host} has a NUL character in it.")
    return facts


def _refuse_coroutine(entry: Entry, method: str, made: object) -> None:
    """What is written with `async` where nothing is looked at would never run."""
    if inspect.iscoroutine(made):
        made.close()  # else Python warns of it, wherever it is then
        raise PlanningFailed(f"The {method} of {entry.name} is `async`: write `def {method}(…)`, it looks at nothing.")


def single(steps: Iterable[Step]) -> Iterator[Run | Check]:
    """Every command of a plan, undo and conditions included."""
    for step in steps:
        match step:
            case Run():
                yield step
                yield from single(one for one in (step.undo, step.unless) if one is not None)
            case Call() if step.undo is not None:
                yield from single([step.undo])
            case Check():
                yield step
            case Parallel():
                yield from single(step.steps)
            case _:
                pass


def _notes(entry: Entry, plan: Plan) -> list[str]:
    """What a plan says beside its steps: its own note, and why something in it can't be taken back."""
    final = any(step.changing and getattr(step, "undo", None) is None for _, step in numbered(plan.steps))
    return [note for note in (plan.note, entry.runbook.no_undo if final else None) if note]


def _refuse_options(argv: Sequence[str], dashed: frozenset[str]) -> None:
    """A value that a person typed is never an option of the command it is given to."""
    for place, word in enumerate(argv):
        if word.startswith(tuple(dashed)) and "--" not in argv[:place]:
            raise PlanningFailed(
                f"{shown(word)} starts with a dash, and `{argv[0]}` could take it for an option. Give another value; "
                "a runbook that wants such values puts `--` before them."
            )


def _refuse_typed_patterns(check: Check, typed: frozenset[str]) -> None:
    """What a person typed as a pattern is searched with on the host; Handrail's own engine could be kept busy by it."""
    for pattern in typed:
        if check.pattern is not None and pattern in check.pattern:
            raise DefinitionError(
                f"The step {check.title!r} searches with a typed pattern itself: give it to `grep -E` on the host."
            )


def _unseen(step: Run, judged: Judgement) -> Judgement:
    """A shell or interpreter that waits for its program may have a person's approval, but not a program in a secret."""
    if step.secret is None or not judged.rule.endswith(".session"):
        return judged
    reason = f"It would run what stands in the secret '{step.secret}', which nobody can judge."
    return replace(judged, verdict=Severity.REFUSE, rule="secrets.program", reason=reason)


def _planned_reboot(step: Run, judged: Judgement) -> Judgement:
    """What restarts its host is refused by the guard, unless the step says that this is what it does."""
    if not step.reboots or judged.rule != "boot.power":
        return judged
    reason = "It restarts the host, as this runbook is there to do."
    return replace(judged, verdict=Severity.APPROVE, rule="boot.planned", reason=reason)


def _typed(judged: Judgement) -> Judgement:
    """Nobody tried a command out that somebody typed just now: what changes anything has a second pair of eyes."""
    if judged.verdict is not Severity.ALLOW:
        return judged
    reason = "It was typed for this one time, and is not known to only read."
    return replace(judged, verdict=Severity.APPROVE, rule="typed.command", reason=reason)


def _status(status: int | None) -> str:
    return "a signal" if status is None or status < 0 else f"status {status}"


@dataclass
class Planner:
    """Makes plans and judges their commands. One for a process."""

    remote: Remote
    guard: CommandGuard
    limit: float = PLAN_LIMIT  # seconds

    def __post_init__(self) -> None:
        self._slots: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(PROBES_PER_HOST))

    async def make_plan(
        self,
        entry: Entry,
        params: Parameters,
        hosts: Sequence[Host],
        on_retry: Callable[[Unreached], None] | None = None,
    ) -> StoredPlan:
        """Probe all hosts side by side, then plan each. `on_retry` hears of every host that has to be tried again.

        Raises PlanningFailed or HostError for the first host that can't be planned; nothing was changed then.
        """
        found = await asyncio.gather(
            *(self.probe(entry, params, host, on_retry) for host in hosts), return_exceptions=True
        )
        return await self._aside(entry, "plan", lambda: self._whole(entry, params, hosts, found))

    def _whole(
        self, entry: Entry, params: Parameters, hosts: Sequence[Host], found: Sequence[Facts | BaseException]
    ) -> StoredPlan:
        parts, services, notes = [], set[str](), list[str]()
        for host, facts in zip(hosts, found, strict=True):
            if isinstance(facts, BaseException):
                raise facts
            plan = self._plan(entry, params, facts)
            health = self._health(entry, params, facts) if len(hosts) > 1 else ()
            part = HostPlan(host=host.name, steps=plan.steps, facts=dict(facts), health=health, then=plan.then)
            parts.append(part)
            services.update(plan.services)
            notes += [note for note in _notes(entry, plan) if note not in notes]
        return StoredPlan(hosts=tuple(parts), services=tuple(sorted(services)), notes=tuple(notes))

    async def next_stage(
        self,
        entry: Entry,
        params: Parameters,
        hosts: Sequence[Host],
        plan: StoredPlan,
        results: Mapping[str, Results],
        on_retry: Callable[[Unreached], None] | None = None,
    ) -> StoredPlan:
        """The plan with its next stage behind it, on the hosts that have one; they are probed again.

        `results`: what each host's steps printed. Raises PlanningFailed or HostError as `make_plan` does.
        """
        waiting = {part.host for part in plan.hosts if part.then is not None}
        going_on = [host for host in hosts if host.name in waiting]
        found = await asyncio.gather(
            *(self.probe(entry, params, host, on_retry, results.get(host.name)) for host in going_on),
            return_exceptions=True,
        )
        looks = dict(zip((host.name for host in going_on), found, strict=True))
        return await self._aside(entry, "plan", lambda: self._continued(entry, params, plan, looks, results))

    def _continued(
        self,
        entry: Entry,
        params: Parameters,
        plan: StoredPlan,
        looks: Mapping[str, Facts | BaseException],
        results: Mapping[str, Results],
    ) -> StoredPlan:
        parts, services, notes = [], set(plan.services), list(plan.notes)
        for part in plan.hosts:
            if part.then is None:
                parts.append(part)
                continue
            facts = looks[part.host]
            if isinstance(facts, BaseException):
                raise facts
            if len(part.later) + 2 > MOST_STAGES:
                raise PlanningFailed(
                    f"{entry.name} has more than {MOST_STAGES} stages on {part.host}: it would not end."
                )
            more = self._plan(entry, params, facts, part.then, results.get(part.host, NOTHING))
            parts.append(_longer(part, more, facts))
            services.update(more.services)
            notes += [note for note in _notes(entry, more) if note not in notes]
        return replace(plan, hosts=tuple(parts), services=tuple(sorted(services)), notes=tuple(notes))

    async def probe(
        self,
        entry: Entry,
        params: Parameters,
        host: Host,
        on_retry: Callable[[Unreached], None] | None = None,
        results: Results | None = None,
    ) -> Facts:
        """The facts of one host, its name among them. Raises PlanningFailed or HostError."""
        async with self._slots[host.name]:
            try:
                async with asyncio.timeout(PROBE_LIMIT):
                    facts = await entry.runbook.probe(self._eyes(host, params, on_retry, results), params)
            except TimeoutError as error:
                raise PlanningFailed(f"Looking at {host.name} took longer than {words(PROBE_LIMIT)}.") from error
            except ValidationError as error:
                raise PlanningFailed(
                    f"The probe of {entry.name} failed on {host.name}: {_found_by_pydantic(error)}"
                ) from error
            except ValueError as error:
                raise PlanningFailed(str(error)) from error
            except (OperatorError, HostError):
                raise
            except (Exception, SystemExit) as error:  # a runbook's own code may fail in any way, and must not end us
                raise PlanningFailed(
                    f"The probe of {entry.name} failed on {host.name}: {type(error).__name__}: {error}"
                ) from error
        if not isinstance(facts, Facts):
            raise PlanningFailed(
                f"The probe of {entry.name} on {host.name} returned a {type(facts).__name__}, not Facts."
            )
        return _plain(entry, host.name, facts).having(host=host.name)

    def _eyes(
        self,
        host: Host,
        params: Parameters,
        on_retry: Callable[[Unreached], None] | None,
        results: Results | None,
    ) -> HostProbe:
        dashed = starting_with_a_dash(params)
        return HostProbe(host, self.remote, self.guard, dashed=dashed, on_retry=on_retry, results=results)

    def _plan(
        self,
        entry: Entry,
        params: Parameters,
        facts: Facts,
        stage: str | None = None,
        results: Results = NOTHING,
    ) -> Plan:
        """The plan of the first stage; with `stage`, of the one that this method of the runbook plans."""
        try:
            if stage is None:
                plan = entry.runbook.plan(params, facts)
            else:
                made = getattr(entry.runbook, stage)(params, facts, results)
                plan = Plan() if made is None else made
        except ValidationError as error:  # a ValueError, too, but not the author's sentence
            raise PlanningFailed(f"The plan of {entry.name} failed: {_found_by_pydantic(error)}") from error
        except ValueError as error:
            raise PlanningFailed(str(error)) from error
        except DefinitionError:
            raise
        except (Exception, SystemExit) as error:  # as above
            raise PlanningFailed(f"The plan of {entry.name} failed: {type(error).__name__}: {error}") from error
        _refuse_coroutine(entry, stage or "plan", plan)
        if not isinstance(plan, Plan):
            raise PlanningFailed(f"The plan of {entry.name} is a {type(plan).__name__}, not a Plan.")
        if stage is None and not plan.steps:
            raise PlanningFailed(f"There is nothing to do on {facts.host}.")
        if plan.then is not None and not callable(getattr(entry.runbook, plan.then, None)):
            raise DefinitionError(f"{entry.name} has no method {plan.then!r} to plan its next stage.")
        if plan.then is not None and not plan.steps:
            raise DefinitionError(f"A stage of {entry.name} without steps has no next one.")
        typed = (params, *plan.params)
        dashed = frozenset[str]().union(*(starting_with_a_dash(one) for one in typed))
        patterns = frozenset[str]().union(*(patterns_of(one) for one in typed))
        for step in single(plan.steps):
            for argv in (step.argv, step.look or () if isinstance(step, Run) else ()):
                _refuse_options(argv, dashed)
            if isinstance(step, Check):
                _refuse_typed_patterns(step, patterns)
        return plan

    def sample(self, entry: Entry, sample: Sample) -> StoredPlan:
        """What a runbook plans in one of its own cases, which needs no host. Raises Invalid or PlanningFailed."""
        try:
            return awaited(lambda: self._sampled(entry, sample), limit=self.limit)
        except TimeoutError as error:
            raise self._blocks(entry, "plan") from error

    def _sampled(self, entry: Entry, sample: Sample) -> StoredPlan:
        params, facts = as_typed(entry, sample.typed), _plain(entry, sample.facts.host, sample.facts)
        plan, health = self._plan(entry, params, facts), self._health(entry, params, facts)
        part = HostPlan(host=facts.host, steps=plan.steps, facts=dict(facts), then=plan.then, health=health)
        services, notes = {*plan.services}, _notes(entry, plan)
        known = Results({title: Reading(text) for title, text in sample.results.items()})
        while part.then is not None and known and len(part.later) + 2 <= MOST_STAGES:
            plan = self._plan(entry, params, facts, part.then, known)
            part = _longer(part, plan, facts)
            services.update(plan.services)
            notes += [note for note in _notes(entry, plan) if note not in notes]
        return StoredPlan(hosts=(part,), services=tuple(sorted(services)), notes=tuple(notes))

    def danger(self, entry: Entry, params: Parameters, hosts: Sequence[Host]) -> Danger:
        """How dangerous a request is: as its runbook and the settings say, or by the command that a person typed."""
        typed = entry.runbook.typed_command(params)
        if typed is None:
            return entry.danger
        line = shell_line(typed)
        reads = all(self.guard.only_looks(line, tags=host.tags) for host in hosts)
        return Danger.READ if reads and hosts and not entry.includes else Danger.DANGEROUS

    def _health(self, entry: Entry, params: Parameters, facts: Facts) -> tuple[Expect, ...]:
        """The checks of a host that is done, where the runbook changes hosts and has any."""
        if not entry.danger.changes_hosts:
            return ()
        try:
            made = entry.runbook.health(params, facts)
            _refuse_coroutine(entry, "health", made)
            checks = tuple(made)
        except PlanningFailed:
            raise
        except (Exception, SystemExit) as error:  # a runbook's own code may fail in any way
            raise PlanningFailed(f"The health of {entry.name} failed: {type(error).__name__}: {error}") from error
        for check in checks:
            if not isinstance(check, Expect):
                raise PlanningFailed(f"The health of {entry.name} holds {check!r}; it can hold Expect only.")
            _refuse_options(check.argv, starting_with_a_dash(params))
            _refuse_typed_patterns(check, patterns_of(params))
        return checks

    async def outcome(self, entry: Entry, params: Parameters, before: Facts, after: Facts | None) -> str | None:
        """What a runbook says it has changed on a host. Raises PlanningFailed."""
        if type(entry.runbook).outcome is Runbook.outcome:
            return None
        return await self._aside(entry, "outcome", lambda: self._outcome(entry, params, before, after))

    def sampled_outcome(self, entry: Entry, sample: Sample) -> str | None:
        """The same in one of its own cases, of a host that has not changed."""
        params, facts = as_typed(entry, sample.typed), sample.facts
        try:
            return awaited(lambda: self._outcome(entry, params, facts, facts), limit=self.limit)
        except TimeoutError as error:
            raise self._blocks(entry, "outcome") from error

    def _outcome(self, entry: Entry, params: Parameters, before: Facts, after: Facts | None) -> str | None:
        try:
            said = entry.runbook.outcome(params, before, after)
        except (Exception, SystemExit) as error:  # a runbook's own code may fail in any way
            raise PlanningFailed(f"The outcome of {entry.name} failed: {type(error).__name__}: {error}") from error
        _refuse_coroutine(entry, "outcome", said)
        return said

    async def _aside(self, entry: Entry, method: str, compute: Callable[[], T]) -> T:
        """What a runbook's own code computes. Ours is known to end, and a thread costs more than a plan does."""
        if entry.is_built_in:
            return compute()
        try:
            return await aside(compute, limit=self.limit)
        except TimeoutError as error:
            raise self._blocks(entry, method) from error

    def _blocks(self, entry: Entry, method: str) -> PlanningFailed:
        return PlanningFailed(
            f"The {method} of {entry.name} took longer than {words(self.limit)}, and was given up: it must not block. "
            "What has to be waited for belongs in its `probe`, or in a step."
        )

    def judgements(self, plan: StoredPlan, hosts: Sequence[Host], *, typed: bool = False) -> tuple[Judgement, ...]:
        """What the guard says to every command of a plan, undo and looks included. `typed`: by a person, just now."""
        tags = {host.name: host.tags for host in hosts}
        return tuple(
            judgement
            for part in plan.hosts
            for step in (*part.steps, *part.health)
            for judgement in self._judge(step, tags.get(part.host, frozenset()), typed=typed)
        )

    def _judge(self, step: Step, tags: frozenset[str], *, typed: bool = False) -> Iterator[Judgement]:
        match step:
            case Run():
                judged = _unseen(step, self.guard.judge(shell_line(step.argv, sudo=step.sudo), tags=tags))
                judged = _planned_reboot(step, judged)
                yield _typed(judged) if typed else judged
                if step.undo is not None:
                    yield from self._judge(step.undo, tags, typed=typed)
                if step.look is not None:
                    yield self._read_only(shell_line(step.look), tags)
                if step.unless is not None:
                    yield from self._judge(step.unless, tags)
            case Expect() | Require():
                yield self._check(step, tags)
            case Call() if step.undo is not None:
                yield from self._judge(step.undo, tags)
            case Parallel():
                for inner in step.steps:
                    yield from self._judge(inner, tags, typed=typed)
            case _:
                return

    def _check(self, step: Check, tags: frozenset[str]) -> Judgement:
        return self._read_only(shell_line(step.argv, sudo=step.sudo), tags)

    def _read_only(self, line: str, tags: frozenset[str]) -> Judgement:
        return self.guard.judge_read_only(line, tags=tags)


def _found_by_pydantic(error: ValidationError) -> str:
    """What pydantic found, without its address and the values, which may be long."""
    return "; ".join(
        f"it sets '{where}', but parameters are fixed"
        if item["type"] == "frozen_instance"
        else f"{where or error.title}: {item['msg']}"
        for item in error.errors(include_url=False)
        for where in [".".join(map(str, item["loc"]))]
    )
