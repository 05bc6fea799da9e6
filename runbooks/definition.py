"""What a runbook is: identity, parameters (see `parameters.py`), a probe, and a plan made of steps.

The steps are a closed union (`Run`, `Expect`, `Require`, `Call`, `Wait`, `Parallel`); everything in them is data, so
that a plan can be stored, fingerprinted, shown and audited word for word. `plans.py` turns them into JSON and back.
Authors import these names from `runbooks`.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar, Protocol, TypeAlias

from pydantic import ValidationError

from runbooks.commands import fault_of
from runbooks.parameters import Parameters, services_named, what_is_wrong
from safety.sealing import checked_name
from storage.errors import DefinitionError, Invalid
from storage.records import Danger, Platform

Duration: TypeAlias = timedelta | float | int
"""A timedelta, or seconds."""


class Category(StrEnum):
    """Under which heading `/runbook list` shows a runbook."""

    MAINTENANCE = "maintenance"
    DIAGNOSTICS = "diagnostics"
    DEPLOYMENT = "deployment"
    RECOVERY = "recovery"
    OTHER = "other"


def minutes(number: float) -> timedelta:
    """`minutes(10)` reads better than `timedelta(minutes=10)`."""
    return timedelta(minutes=number)


# --- facts and the probe ----------------------------------------------------------------------------------------------


class Facts(Mapping[str, Any]):
    """What a probe found: JSON values, read as attributes. `facts.host` is the host's name.

    Facts among them, of an included runbook, are kept as a dictionary.
    """

    def __init__(self, **values: Any) -> None:
        plain = {name: dict(value) if isinstance(value, Facts) else value for name, value in values.items()}
        object.__setattr__(self, "_values", plain)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"The probe found no fact {name!r}; it found {', '.join(self._values)}.") from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("Facts do not change after the probe.")

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Facts({', '.join(f'{k}={v!r}' for k, v in self._values.items())})"

    def having(self, **more: Any) -> "Facts":
        """These facts and more."""
        return Facts(**{**self._values, **more})


class Reading(str):
    """A probe's standard output without surrounding white space; `exit_status` and what it said on `errors` beside it.

    `errors` may be masked or cut: it is for people, and no fact to plan with.
    """

    exit_status: int
    errors: str

    def __new__(cls, text: str, *, exit_status: int = 0, errors: str = "") -> "Reading":
        """A reading is a `str`, so that facts can be made of it directly."""
        reading = super().__new__(cls, text)
        reading.exit_status = exit_status
        reading.errors = errors
        return reading


class NoResult(KeyError, ValueError):
    """There is none of that title; `results.get(title)` is None then."""

    def __str__(self) -> str:
        return str(self.args[0])


class Results(Mapping[str, Reading]):
    """What the steps of earlier stages printed to standard output on one host, by their titles.

    A result that was masked, cut or lost in part is no value: asking for it raises ValueError, and the plan fails.
    """

    def __init__(self, known: Mapping[str, Reading] | None = None, unusable: Mapping[str, str] | None = None) -> None:
        self._known, self._unusable = dict(known or {}), dict(unusable or {})

    def __getitem__(self, title: str) -> Reading:
        if title in self._unusable:
            raise ValueError(f"Nothing can be planned with what the step {title!r} printed: {self._unusable[title]}.")
        if title not in self._known:
            raise NoResult(f"There is no result of a step {title!r}: none of that title has succeeded on this host.")
        return self._known[title]

    def __contains__(self, title: object) -> bool:
        return title in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class Probe(Protocol):
    """The read-only look at one host. Every command passes the strict guard first."""

    @property
    def name(self) -> str:
        """The host's name in the inventory."""
        ...

    @property
    def login(self) -> str:
        """The user we log in as."""
        ...

    @property
    def results(self) -> Results:
        """What earlier stages printed here; nothing before the first."""
        ...

    async def read(
        self, *argv: str, sudo: bool = False, allow_exit: Collection[int] = (0,), timeout: Duration = 20
    ) -> Reading:
        """Run a read-only command and return what it printed.

        Raises PlanningFailed when the guard refuses it, when it ends with another status, or when its output was
        altered by redaction or a bound and so is no fact.
        """
        ...

    async def lacks(self, *argv: str) -> str | None:
        """The line that sudoers lacks, so that the login user may run this as root; None where it may."""
        ...

    def may_read(self, *argv: str, sudo: bool = False) -> bool:
        """Whether the guard knows that these words only read on this host and carry nothing away. Nothing is sent."""
        ...


# --- steps ------------------------------------------------------------------------------------------------------------


def _argv(title: str, argv: tuple[str, ...]) -> tuple[str, ...]:
    if not title.strip():
        raise DefinitionError("A step needs a title.")
    words = tuple(str(word) if isinstance(word, int) and not isinstance(word, bool) else word for word in argv)
    fault = fault_of(words)
    if fault is not None:
        raise DefinitionError(f"The step {title!r} {fault}.")
    return words


def _secret_name(title: str, name: str) -> str:
    try:
        return checked_name(name)
    except Invalid as error:
        raise DefinitionError(f"The step {title!r} asks for a secret, but {error.message}") from None


def _checked_undo(title: str, undo: object) -> None:
    if undo is not None and not isinstance(undo, Run | Call):
        raise DefinitionError(f"The step {title!r} has an undo that is no step: write undo=Run(…) or undo=Call(…).")


def _seconds_of(value: Duration) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DefinitionError(f"{value!r} is no duration of a step: give seconds as a number, or minutes(10).")
    return float(value)


READABLE = 40
"""Characters of a pattern that says something to a reader; of a longer one the step's title says more."""


@dataclass(frozen=True, init=False)
class Check:
    """What `Expect` and `Require` share: a read-only command and what it must answer."""

    title: str
    argv: tuple[str, ...]
    sudo: bool
    timeout: float
    output: str | None  # the whole output, without surrounding white space
    pattern: str | None  # or a regular expression found in it
    allow_exit: tuple[int, ...]

    changing: ClassVar[bool] = False

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _check(
        self,
        title: str,
        argv: tuple[str, ...],
        *,
        sudo: bool,
        timeout: Duration,
        output: str | None,
        pattern: str | None,
        allow_exit: Collection[int],
    ) -> None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise DefinitionError(
                    f"The step {title!r} has a pattern that is no regular expression: {error}."
                ) from None
        self._set(
            title=title,
            argv=_argv(title, argv),
            sudo=sudo,
            timeout=_seconds_of(timeout),
            output=output,
            pattern=pattern,
            allow_exit=tuple(sorted(allow_exit)),
        )

    def unmet(self, output: str, exit_status: int | None) -> str | None:
        """Why an answer does not meet this check, in words; None when it does."""
        text = output.strip()
        if self.output is not None and text != self.output.strip():
            return f"expected {self.output.strip()!r}, got {_short(text)}"
        if self.pattern is not None and not re.search(self.pattern, text, re.MULTILINE):
            wanted = f"a match for {self.pattern!r}" if len(self.pattern) <= READABLE else "something else"
            return f"expected {wanted}, got {_short(text)}"
        if exit_status not in self.allow_exit:
            return f"exit status {exit_status}" + (f": {_short(text)}" if text else "")
        return None


def _short(text: str) -> str:
    # What a host printed may not mention anybody when these words are posted.
    shown = text.replace("<@", "< @").replace("<!", "< !")
    return repr(shown if len(shown) <= 200 else shown[:200] + "…") if text else "nothing"


@dataclass(frozen=True, init=False)
class Expect(Check):
    """A read-only check with retries: true within `within` seconds, asked `every` so often, and true for `settle`.

    `patient`: a host that does not answer, or lets nobody in yet, is asked on until then, as one that restarts.
    """

    within: float
    every: float
    settle: float
    patient: bool

    def __init__(
        self,
        title: str,
        *argv: str,
        sudo: bool = False,
        timeout: Duration = 20,
        output: str | None = None,
        pattern: str | None = None,
        allow_exit: Collection[int] = (0,),
        within: Duration = 10,
        every: Duration = 1,
        settle: Duration = 0,
        patient: bool = False,
    ) -> None:
        self._check(title, argv, sudo=sudo, timeout=timeout, output=output, pattern=pattern, allow_exit=allow_exit)
        self._set(within=_seconds_of(within), every=max(0.1, _seconds_of(every)), settle=_seconds_of(settle))
        self._set(patient=patient)


@dataclass(frozen=True, init=False)
class Require(Check):
    """A read-only precondition, checked once, right before the next change; unmet, the host ends before it."""

    def __init__(
        self,
        title: str,
        *argv: str,
        sudo: bool = False,
        timeout: Duration = 20,
        output: str | None = None,
        pattern: str | None = None,
        allow_exit: Collection[int] = (0,),
    ) -> None:
        self._check(title, argv, sudo=sudo, timeout=timeout, output=output, pattern=pattern, allow_exit=allow_exit)


REBOOTS = (("reboot",), ("systemctl", "reboot"), ("shutdown", "-r", "now"))
"""The words of a step that `reboots`."""


@dataclass(frozen=True, init=False)
class Run:
    """Run one command, given as words.

    `idempotent`: running it twice does no more than once, so it may be retried and goes on after a crash.
    `retries`: how often again after a failure (idempotent ones only, at most 3). `undo`: what takes it back.
    `look`: read-only words that say what became of it after a stop, timeout or failure, when a daemon does the work.
    `unless`: a check that, when met, makes the step unnecessary. `secret`: the name of a stored secret, which the
    command gets as a line on its standard input; the plan holds the name, and nothing ever holds the value.
    `reboots`: it restarts its host (see `REBOOTS` for the words). The connection may end with it; that is no failure,
    and a patient Expect after it finds out whether the host came back, and new. Somebody else always has to approve it.
    """

    title: str
    argv: tuple[str, ...]
    sudo: bool
    timeout: float
    allow_exit: tuple[int, ...]
    idempotent: bool
    retries: int
    undo: "Run | Call | None"
    look: tuple[str, ...] | None
    unless: Expect | Require | None
    secret: str | None
    reboots: bool

    changing: ClassVar[bool] = True

    def __init__(
        self,
        title: str,
        *argv: str,
        sudo: bool = False,
        timeout: Duration = 60,
        allow_exit: Collection[int] = (0,),
        idempotent: bool = False,
        retries: int = 0,
        undo: "Run | Call | None" = None,
        look: Collection[str] | None = None,
        unless: Expect | Require | None = None,
        secret: str | None = None,
        reboots: bool = False,
    ) -> None:
        if reboots and (argv not in REBOOTS or idempotent):
            known = " or ".join(f"`{' '.join(words)}`" for words in REBOOTS)
            raise DefinitionError(f"The step {title!r} reboots: that is {known}, and never idempotent.")
        _check_retries(title, retries, idempotent=idempotent)
        _checked_undo(title, undo)
        if unless is not None and not isinstance(unless, Check):
            raise DefinitionError(f"The step {title!r} has an unless that is no check: write unless=Expect(…).")
        values = {
            "title": title,
            "argv": _argv(title, argv),
            "sudo": sudo,
            "timeout": _seconds_of(timeout),
            "allow_exit": tuple(sorted(allow_exit)),
            "idempotent": idempotent,
            "retries": retries,
            "undo": undo,
            "look": _argv(title, tuple(look)) if look is not None else None,
            "unless": unless,
            "secret": _secret_name(title, secret) if secret is not None else None,
            "reboots": reboots,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, init=False)
class Call:
    """Call an HTTP endpoint from where Handrail runs; only hosts that `handrail.yml` allows.

    Anything but GET and HEAD changes something and counts as not idempotent unless said otherwise. What it answers is
    its output. `retries`: how often again when no answer came (idempotent ones only, at most 3). `secret`: the name of
    a stored secret, whose value stands where a header says `{secret}`: `headers={"Authorization": "Bearer {secret}"}`.
    """

    title: str
    method: str
    url: str
    body: str | None
    allow_status: tuple[int, ...]
    timeout: float
    idempotent: bool
    retries: int
    headers: tuple[tuple[str, str], ...]
    secret: str | None
    undo: "Run | Call | None"

    def __init__(
        self,
        title: str,
        url: str,
        *,
        method: str = "GET",
        body: str | None = None,
        allow_status: Collection[int] = (200,),
        timeout: Duration = 20,
        idempotent: bool | None = None,
        retries: int = 0,
        headers: Mapping[str, str] | None = None,
        secret: str | None = None,
        undo: "Run | Call | None" = None,
    ) -> None:
        if not title.strip():
            raise DefinitionError("A step needs a title.")
        if not re.match(r"\Ahttps?://[^\s/@]+(/\S*)?\Z", url):
            raise DefinitionError(f"The step {title!r} needs an http or https address without user info.")
        repeatable = method.upper() in {"GET", "HEAD"} if idempotent is None else idempotent
        _check_retries(title, retries, idempotent=repeatable)
        _checked_undo(title, undo)
        _check_headers(title, url, headers or {}, secret)
        values = {
            "title": title,
            "method": method.upper(),
            "url": url,
            "body": body,
            "allow_status": tuple(sorted(allow_status)),
            "timeout": _seconds_of(timeout),
            "idempotent": repeatable,
            "retries": retries,
            "headers": tuple(sorted((headers or {}).items())),
            "secret": _secret_name(title, secret) if secret is not None else None,
            "undo": undo,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def changing(self) -> bool:
        """Whether it may change something."""
        return self.method not in {"GET", "HEAD"}


def _check_retries(title: str, retries: int, *, idempotent: bool) -> None:
    if retries and not idempotent:
        raise DefinitionError(f"The step {title!r} may only be retried if it is idempotent.")
    if not 0 <= retries <= 3:
        raise DefinitionError(f"The step {title!r} may be retried at most 3 times.")


PLACE = "{secret}"
"""Where the value of a call's secret stands in a header."""
_CREDENTIALS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token", "private-token"}
)
_LOCAL = re.compile(r"\Ahttp://(localhost|127\.\d+\.\d+\.\d+|\[::1\])([:/]|\Z)")


def _check_headers(title: str, url: str, headers: Mapping[str, str], secret: str | None) -> None:
    for name, value in headers.items():
        if not re.match(r"\A[A-Za-z0-9-]{1,100}\Z", name) or not re.match(r"\A[\x20-\x7e]{1,4000}\Z", value):
            raise DefinitionError(f"The step {title!r} has a header {name!r} that cannot be sent.")
        if name.lower() in _CREDENTIALS and PLACE not in value:
            raise DefinitionError(
                f"The step {title!r} has a credential in its header {name!r}: store it with `handrail secrets set`, "
                f"name it as `secret=`, and write {PLACE} where it stands."
            )
    if (secret is not None) is not any(PLACE in value for value in headers.values()):
        raise DefinitionError(f"The step {title!r} needs both: `secret=`, and a header with {PLACE} in it.")
    if secret is not None and not url.startswith("https://") and not _LOCAL.match(url):
        raise DefinitionError(f"The step {title!r} would send a secret over http: use https.")


@dataclass(frozen=True, init=False)
class Wait:
    """Let time pass, in seconds; a stop ends it at once."""

    title: str
    seconds: float

    changing: ClassVar[bool] = False

    def __init__(self, title: str, duration: Duration) -> None:
        object.__setattr__(self, "title", title)
        object.__setattr__(self, "seconds", _seconds_of(duration))
        if self.seconds < 0:
            raise DefinitionError(f"The step {title!r} waits for {self.seconds:g} seconds: write 0 or more.")


@dataclass(frozen=True, init=False)
class Parallel:
    """Steps of one host that run beside each other; the first failure lets the others finish, then fails the group.

    `timeout`: of the whole group; None: that of its steps, and of the execution.
    """

    title: str
    steps: tuple["Run | Expect | Call | Wait", ...]
    timeout: float | None

    def __init__(self, title: str, *steps: "Run | Expect | Call | Wait", timeout: Duration | None = None) -> None:
        if not steps:
            raise DefinitionError(f"The parallel group {title!r} is empty.")
        if any(isinstance(step, Parallel | Require) for step in steps):
            raise DefinitionError(f"The parallel group {title!r} may hold Run, Expect, Call and Wait only.")
        object.__setattr__(self, "title", title)
        object.__setattr__(self, "steps", tuple(steps))
        object.__setattr__(self, "timeout", None if timeout is None else _seconds_of(timeout))

    @property
    def changing(self) -> bool:
        """Whether any of its steps may change something."""
        return any(step.changing for step in self.steps)


Single: TypeAlias = Run | Expect | Require | Call | Wait
Step: TypeAlias = Single | Parallel


class Plan:
    """The steps for one host, in order. `services`: those it touches beyond what the parameters name.

    Another plan among the steps (see `Runbook.include`) stands for its steps. `then`: the name of the runbook's method
    that plans what follows, once these steps are over and the host has been probed again.
    """

    def __init__(
        self, *steps: "Step | Plan", services: Collection[str] = (), note: str | None = None, then: str | None = None
    ) -> None:
        found: list[Step] = []
        inner: list[Plan] = [part for part in steps if isinstance(part, Plan)]
        for part in steps:
            if isinstance(part, Plan):
                if part.then is not None:
                    raise DefinitionError(
                        f"A plan with a further stage ({part.then!r}) cannot be a part of another one."
                    )
                found += part.steps
            elif isinstance(part, Run | Expect | Require | Call | Wait | Parallel):
                found.append(part)
            else:
                raise DefinitionError(f"A plan holds steps; {part!r} is none.")
        self.steps: tuple[Step, ...] = tuple(found)
        self.services: tuple[str, ...] = tuple(sorted({*services, *(name for part in inner for name in part.services)}))
        self.note: str | None = " ".join(filter(None, dict.fromkeys([note, *(part.note for part in inner)]))) or None
        self.then: str | None = then
        self.params: tuple[Parameters, ...] = tuple(one for part in inner for one in part.params)  # of included ones


# --- runbooks ---------------------------------------------------------------------------------------------------------

_NAME = re.compile(r"\A[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")


def is_name(name: str) -> bool:
    """Whether a runbook may be called so."""
    return _NAME.match(name) is not None


@dataclass(frozen=True, init=False)
class Sample:
    """One case to plan without any host: what somebody types after the runbook's name, and the facts found then.

    `runbooks check` judges its plan, and the runbook's page shows it. `facts.host` is web-01 unless it is given.
    `results`: what its steps print, by their titles, to plan its further stages with (from the same facts).
    """

    typed: str
    facts: Facts
    when: str  # the case in a few words, as a heading
    results: Mapping[str, str]

    def __init__(
        self,
        typed: str = "",
        facts: Facts | None = None,
        *,
        when: str = "",
        results: Mapping[str, str] | None = None,
    ) -> None:
        found = facts if facts is not None else Facts()
        object.__setattr__(self, "typed", typed)
        object.__setattr__(self, "facts", found if "host" in found else found.having(host="web-01"))
        object.__setattr__(self, "when", when)
        object.__setattr__(self, "results", dict(results or {}))


def _is_length(value: object) -> bool:
    return isinstance(value, timedelta) and value >= timedelta(0)


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _are_words(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str) and all(isinstance(one, str) for one in value)


def _are_platforms(value: object) -> bool:
    return isinstance(value, Set) and bool(value) and all(isinstance(one, Platform) for one in value)


_ATTRIBUTES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "aliases": (_are_words, "a tuple of names, like ('restart',), with a comma behind the last"),
    "category": (
        lambda value: value in list(Category),
        f"one of {', '.join(f'Category.{one.name}' for one in Category)}",
    ),
    "cooldown": (_is_length, "a length of time, like minutes(10), or minutes(0) for none"),
    "timeout": (lambda value: _is_length(value) and value > timedelta(0), "a length of time, like minutes(5)"),
    "platforms": (_are_platforms, "a set of Platform, like frozenset({Platform.LINUX})"),
    "max_hosts": (lambda value: isinstance(value, int) and value >= 1, "how many hosts at most, 1 or more"),
    "example": (_is_text, "what somebody types, like 'restart-service nginx on web-01'"),
    "no_undo": (_is_text, "in words why it can't be taken back"),
    "pause": (_is_length, "a length of time, like minutes(1)"),
    "includes": (_are_words, "a tuple of runbooks' names, like ('restart-service',), with a comma behind the last"),
}
"""What the attributes of a class must be, and what to write otherwise."""


class Runbook:
    """A named procedure. A subclass says who it is, what it asks for, how to look, and what to do.

    `max_hosts` is the blast radius: how many hosts one request may name. `no_undo` says why a changing step without an
    `undo` can't be taken back; every plan that has such a step says it. `samples` are cases to check it by.
    Over several hosts a changing runbook goes in `waves` ("1,25%,rest"), with a `pause` between two, until more than
    `max_failures` hosts ("1", "10%") have failed.
    `rollback`: "auto" takes back what was applied when it fails, by itself; "by hand" leaves that to people.
    `includes` names the runbooks whose plans may be parts of this one's: the strictest danger and the fewest hosts of
    all of them count, a kill switch on one of them holds this one too, and it begins their cooldowns.
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    category: ClassVar[Category] = Category.OTHER
    danger: ClassVar[Danger] = Danger.DANGEROUS
    cooldown: ClassVar[timedelta] = timedelta(minutes=10)
    timeout: ClassVar[timedelta] = timedelta(minutes=5)
    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.LINUX})
    max_hosts: ClassVar[int] = 10
    example: ClassVar[str | None] = None
    no_undo: ClassVar[str | None] = None
    samples: ClassVar[tuple[Sample, ...]] = ()
    waves: ClassVar[str | None] = None
    pause: ClassVar[timedelta] = timedelta(0)
    max_failures: ClassVar[str | int] = 0
    rollback: ClassVar[str] = "by hand"
    includes: ClassVar[tuple[str, ...]] = ()

    parts: Mapping[str, "Runbook"] = {}
    """The included runbooks, given by the catalog."""

    class Params(Parameters):
        """No parameters unless a runbook declares some."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            return  # an abstract base of a team's own
        if not isinstance(cls.name, str) or not _NAME.match(cls.name):
            raise DefinitionError(
                f"{cls.__name__}.name is {cls.name!r}: use lower-case words with dashes, like 'restart-service'."
            )
        for attribute, (is_right, example) in _ATTRIBUTES.items():
            value = getattr(cls, attribute)
            if not is_right(value):
                raise DefinitionError(f"{cls.__name__}.{attribute} is {value!r}: write {example}.")
        for alias in cls.aliases:
            if not isinstance(alias, str) or not _NAME.match(alias):
                raise DefinitionError(f"{cls.name}: the alias {alias!r} must be lower-case words with dashes.")
        if not (cls.__doc__ or "").strip() or cls.__doc__ == Runbook.__doc__:
            raise DefinitionError(f"{cls.name}: say what it does in the class's docstring.")
        if not isinstance(cls.danger, Danger):
            raise DefinitionError(f"{cls.name}.danger must be one of Danger.READ, LOW, HIGH, DANGEROUS.")
        if not isinstance(cls.Params, type) or not issubclass(cls.Params, Parameters):
            raise DefinitionError(f"{cls.name}.Params must be a subclass of Parameters.")
        if cls.plan is Runbook.plan:
            raise DefinitionError(f"{cls.name} has no plan.")
        if cls.rollback not in {"auto", "by hand"}:
            raise DefinitionError(f"{cls.name}.rollback is {cls.rollback!r}: say 'auto' or 'by hand'.")

    async def probe(self, host: Probe, params: Any) -> Facts:
        """Look at one host, read-only. A ValueError says in words why nothing can be planned."""
        return Facts()

    def plan(self, params: Any, facts: Facts) -> Plan:
        """The steps for one host; pure: the same parameters and facts give the same plan.

        A ValueError says in words why there is nothing sensible to do.
        """
        raise NotImplementedError

    async def probe_of(self, name: str, host: Probe, **values: Any) -> Facts:
        """The facts of an included runbook, with these parameters, to be given to `include` as they are."""
        part = self._part(name)
        return (await part.probe(host, _bound(part, values))).having(host=host.name)

    def include(self, name: str, facts: Mapping[str, Any], **values: Any) -> Plan:
        """The plan of an included runbook with these parameters, to stand among the steps of a plan.

        Raises ValueError for values that are none for it.
        """
        part = self._part(name)
        params = _bound(part, values)
        plan = part.plan(params, Facts(**facts))
        made = Plan(plan, services=services_named(params))
        made.params += (params,)
        return made

    def _part(self, name: str) -> "Runbook":
        try:
            return self.parts[name]
        except KeyError:
            raise DefinitionError(f"{self.name} includes no runbook {name!r}: name it in `includes`.") from None

    def typed_command(self, params: Any) -> tuple[str, ...] | None:
        """The command that a person spelled out in the parameters, as the words that would run; None for no such thing.

        Where there is one, the guard says how dangerous the request is: READ if the command only reads, else DANGEROUS,
        whatever `danger` says here or in handrail.yml; and then somebody else always has to approve it.
        """
        return None

    def health(self, params: Any, facts: Facts) -> Collection[Expect]:
        """What must hold on a host that is done, asked after each wave; one that isn't well counts as failed."""
        return ()

    def outcome(self, params: Any, before: Facts, after: Facts | None) -> str | None:
        """What changed on a host that succeeded, in a few words. `after` is None when it could not be probed again.

        It may have several lines; of several hosts the ending says the first one each.
        """
        return None

    @classmethod
    def summary(cls) -> str:
        """The first line of its docstring."""
        return (cls.__doc__ or "").strip().splitlines()[0]


def _bound(part: Runbook, values: Mapping[str, Any]) -> Parameters:
    try:
        return part.Params.model_validate(dict(values))
    except ValidationError as error:
        wrong = " ".join(what_is_wrong(part.Params, error, values))
        raise ValueError(f"{part.name} cannot be included. {wrong}") from error
