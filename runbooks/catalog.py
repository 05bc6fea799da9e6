"""Every runbook there is: the built-in ones and those of the team's own folders."""

import hashlib
import importlib.util
import inspect
import os
import pkgutil
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import runbooks.library
from runbooks.definition import Runbook
from runbooks.parameters import (
    Parameters,
    complaints,
    is_called,
    is_positional,
    is_secret,
    sample,
    shown,
    what_is_wrong,
)
from runbooks.waves import checked, over
from storage.canonical import sha256
from storage.errors import ConfigurationError, DefinitionError, Invalid, NotFound
from storage.records import UNSAID, Danger, Platform, Rollout


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A runbook with what the team's settings override. `limits` of the class stay what the class says.

    `includes`: all runbooks whose plans may be parts of its plan, those that they include among them. Its danger is the
    strictest of all, and its blast radius the smallest.
    """

    runbook: Runbook
    danger: Danger
    cooldown: timedelta
    timeout: timedelta
    max_hosts: int
    module_hash: str
    includes: tuple["Entry", ...] = ()
    rollout: Rollout = UNSAID
    rollback: bool = False  # what was applied is taken back by itself when it fails

    @property
    def platforms(self) -> frozenset[Platform]:
        """What a host must run for it."""
        return self.runbook.platforms.intersection(*(one.runbook.platforms for one in self.includes))

    @property
    def name(self) -> str:
        """Its name."""
        return self.runbook.name

    @property
    def is_built_in(self) -> bool:
        """Whether it came with Handrail, and is not the team's own."""
        return type(self.runbook).__module__.startswith(f"{runbooks.library.__name__}.")

    @property
    def looks(self) -> bool:
        """Whether it looks at its hosts before it is planned."""
        return type(self.runbook).probe is not Runbook.probe


SUBCOMMANDS = frozenset({
    "approve", "breaker", "can", "cancel", "dead-letters", "deny", "digest", "help", "history", "list", "logs", "on",
    "plan", "resume", "retry", "rollback", "schedule", "schedules", "show", "status", "template", "templates", "why",
})  # fmt: skip
"""The words behind `/runbook` that ask for something else: a runbook of such a name could never be run."""


@dataclass(frozen=True, kw_only=True)
class Override:
    """`runbooks: {NAME: …}` of the settings; None leaves what the class says."""

    danger: Danger | None = None
    cooldown: timedelta | None = None
    timeout: timedelta | None = None
    max_hosts: int | None = None
    rollout: Rollout = UNSAID
    rollback: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All runbooks by name; aliases lead to them."""

    entries: Mapping[str, Entry]
    aliases: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    """What of the team's folders is not among them, and why: a sentence each that begins with the file and line."""

    def get(self, name: str) -> Entry:
        """A runbook by name or alias, whatever the case; raises NotFound with near misses."""
        wanted = name.strip().lower()
        entry = self.entries.get(self.aliases.get(wanted, wanted))
        if entry is not None:
            return entry
        near = self.near(wanted)
        hint = f"Did you mean {' or '.join(f'`{n}`' for n in near)}?" if near else "`/runbook list` shows all."
        raise NotFound(f"There is no runbook {shown(name)}. {hint}")

    def only(self, shown: Callable[[str], bool]) -> "Catalog":
        """What somebody may know of: lists and near misses name nothing else."""
        entries = {name: entry for name, entry in self.entries.items() if shown(name)}
        return Catalog(entries=entries, aliases={a: name for a, name in self.aliases.items() if name in entries})

    def near(self, name: str) -> list[str]:
        """Names and aliases that look like this one."""
        known = sorted({*self.entries, *self.aliases})
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        return near or [k for k in known if name and (k.startswith(name) or name in k.split("-"))][:3]


def build(folders: Iterable[Path] = (), overrides: Mapping[str, Override] | None = None) -> Catalog:
    """Load everything. What is broken in the team's files is left out, and said in `left_out`.

    Raises ConfigurationError, with every complaint, when the settings name a folder or a runbook that is not there.
    """
    complaints: list[str] = []
    left_out: list[str] = []
    found = list(_built_in())
    for folder in {os.path.realpath(folder): folder for folder in folders}.values():
        try:
            paths = sorted(folder.iterdir())
        except FileNotFoundError:
            complaints.append(f"library: the folder {folder} does not exist.")
        except NotADirectoryError:
            complaints.append(f"library: {folder} is no folder; name the one that it stands in.")
        except OSError as error:
            complaints.append(f"library: the folder {folder} cannot be read: {error.strerror}.")
        else:
            found += _from_folder(paths, left_out)
    entries: dict[str, Entry] = {}
    aliases: dict[str, str] = {}
    for kind, module_hash in found:
        if kind.name in SUBCOMMANDS:
            left_out.append(f"{where(kind)}: {_no_name(kind.name)}")
            continue
        if kind.name in entries or kind.name in aliases:
            other = _other(entries[aliases.get(kind.name, kind.name)], kind.name)
            left_out.append(f"{where(kind)}: Two runbooks are called '{kind.name}', this one and {other}.")
            continue
        try:
            entries[kind.name] = _entry(kind, module_hash, (overrides or {}).get(kind.name, Override()))
        except (Exception, SystemExit) as error:  # a team's class may fail in any way when an object is made of it
            said = f"The runbook '{kind.name}' cannot be made: {type(error).__name__}: {error}"
            left_out.append(f"{where(kind)}: {said}")
            continue
        for alias in kind.aliases:
            if alias in SUBCOMMANDS:
                left_out.append(f"{where(kind)}: {_no_name(alias)}")
            elif alias in aliases or alias in entries:
                other = _other(entries[aliases.get(alias, alias)], alias)
                left_out.append(f"{where(kind)}: The alias '{alias}' of {kind.name} is taken by {other}.")
            else:
                aliases[alias] = kind.name
    entries = joined(entries, left_out)
    aliases = {alias: name for alias, name in aliases.items() if name in entries}
    unknown = [f"runbooks: '{name}' in handrail.yml is no runbook." for name in overrides or {} if name not in entries]
    if complaints or (unknown and not left_out):
        raise ConfigurationError([*complaints, *left_out, *unknown])
    # A runbook that was left out may be what the settings mean; its name must not keep everything else from starting.
    return Catalog(entries=entries, aliases=aliases, left_out=(*left_out, *unknown))


def refuse_subcommand(name: str) -> None:
    """Raises Invalid for a name that could never be typed as a runbook's."""
    if name in SUBCOMMANDS:
        raise Invalid(_no_name(name))


def _no_name(name: str) -> str:
    return f"`/runbook {name}` is a command of Handrail's, so no runbook can be called '{name}': choose another name."


def _other(entry: Entry, name: str) -> str:
    """Who has a name already, and the next move."""
    called = None if entry.name == name else f"{entry.name} with its alias"
    if entry.is_built_in:
        return f"the built-in {called or 'one'}: choose another name"
    return f"{called or 'the one'} in {where(type(entry.runbook))}: rename one of them"


def where(kind: type[Runbook]) -> str:
    """The file and line in which a runbook's class stands."""
    path = inspect.getsourcefile(kind) or kind.__module__
    try:
        return f"{path}:{inspect.getsourcelines(kind)[1]}"
    except (OSError, TypeError):  # a class that is made, not written
        return path


def _entry(kind: type[Runbook], module_hash: str, override: Override) -> Entry:
    return Entry(
        runbook=kind(),
        danger=override.danger or kind.danger,
        cooldown=kind.cooldown if override.cooldown is None else override.cooldown,
        timeout=override.timeout or kind.timeout,
        max_hosts=override.max_hosts or kind.max_hosts,
        module_hash=module_hash,
        rollout=over(override.rollout, rollout_of(kind)),
        rollback=kind.rollback == "auto" if override.rollback is None else override.rollback,
    )


def joined(entries: Mapping[str, Entry], left_out: list[str]) -> dict[str, Entry]:
    """The same runbooks, each knowing those that it includes; one that includes what can't be is left out."""
    whole: dict[str, Entry] = {}
    for name, entry in entries.items():
        complaints: list[str] = []
        included = _included(entries, name, (), complaints)
        if complaints:
            left_out.append(f"{where(type(entry.runbook))}: {' '.join(dict.fromkeys(complaints))}")
            continue
        if not included:
            whole[name] = entry
            continue
        entry.runbook.parts = {one: entries[one].runbook for one in entry.runbook.includes if one in entries}
        whole[name] = replace(
            entry,
            danger=max([entry.danger, *(one.danger for one in included)], key=lambda danger: danger.rank),
            max_hosts=min([entry.max_hosts, *(one.max_hosts for one in included)]),
            module_hash=hashlib.sha256(
                "".join([entry.module_hash, *(one.module_hash for one in included)]).encode()
            ).hexdigest(),
            includes=included,
        )
    return whole


def _included(
    entries: Mapping[str, Entry], name: str, path: tuple[str, ...], complaints: list[str]
) -> tuple[Entry, ...]:
    found: dict[str, Entry] = {}
    for inner in entries[name].runbook.includes:
        if inner in {name, *path}:
            complaints.append(f"{name} includes '{inner}', which includes it: a chain has an end.")
        elif inner not in entries:
            complaints.append(f"{name} includes '{inner}', which is no runbook.")
        else:
            found[inner] = entries[inner]
            found |= {one.name: one for one in _included(entries, inner, (*path, name), complaints)}
    return tuple(found.values())


def rollout_of(kind: type[Runbook]) -> Rollout:
    """What a runbook's class says of waves; raises DefinitionError."""
    said = Rollout(waves=kind.waves, pause=kind.pause.total_seconds(), max_failures=str(kind.max_failures))
    try:
        return checked(said)
    except Invalid as error:
        raise DefinitionError(f"{kind.name}: {error.message}") from error


def _built_in() -> Iterable[tuple[type[Runbook], str]]:
    for info in pkgutil.iter_modules(runbooks.library.__path__, "runbooks.library."):
        module = importlib.import_module(info.name)
        yield from _classes(module)


def _from_folder(paths: Iterable[Path], left_out: list[str]) -> list[tuple[type[Runbook], str]]:
    found: list[tuple[type[Runbook], str]] = []
    for path in paths:
        if path.suffix != ".py" or path.name.startswith(("_", "test_")):
            continue
        try:
            if not path.is_file():  # a pipe would be waited for
                left_out.append(f"{path}: It is no file, or a link to none.")
                continue
            classes = _classes(_load(path))
            if not classes:
                left_out.append(
                    f"{path}: It holds no runbook. A file that only helps others starts with an underscore."
                )
            found += classes
        except DefinitionError as error:
            left_out.append(f"{_place(path, error)}: {error}")
        except (Exception, SystemExit) as error:  # a team's file may fail in any way; it must not fail us
            said = error.msg if isinstance(error, SyntaxError) else error
            left_out.append(f"{_place(path, error)}: It cannot be loaded: {type(error).__name__}: {said}")
    return found


def _place(path: Path, error: BaseException) -> str:
    """The file, and the line of it at which loading it failed."""
    names = {str(path), str(path.absolute())}
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename in names]
    if isinstance(error, SyntaxError) and error.filename in names:
        lines.append(error.lineno)
    return f"{path}:{lines[-1]}" if lines and lines[-1] else str(path)


def _load(path: Path) -> Any:
    name = f"handrail_library_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise DefinitionError("it is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _classes(module: Any) -> list[tuple[type[Runbook], str]]:
    source = Path(module.__file__).read_bytes()
    module_hash = hashlib.sha256(source).hexdigest()
    kinds = dict.fromkeys(kind for _, kind in inspect.getmembers(module, inspect.isclass))  # a second name is no second
    return [
        (kind, module_hash)
        for kind in kinds
        if issubclass(kind, Runbook) and kind.__module__ == module.__name__ and "name" in kind.__dict__
    ]


# --- typed values to parameters ---------------------------------------------------------------------------------------


def bind(entry: Entry, values: Sequence[str], named: Mapping[str, Any]) -> Parameters:
    """Validated parameters of what was typed; raises Invalid, saying what is wrong and giving an example."""
    kind = entry.runbook.Params
    places = [name for name, f in kind.model_fields.items() if is_positional(f)]
    if len(values) > len(places):
        extra = " ".join(values[len(places) :])
        raise Invalid(f"{entry.name} has no place for {shown(extra)}. {usage(entry)}")
    given: dict[str, Any] = dict(zip(places, values, strict=False))
    for typed, value in named.items():
        name = _parameter(kind, typed)
        if name is None:
            near = get_close_matches(typed, list(kind.model_fields), n=1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            raise Invalid(f"{entry.name} has no parameter {shown(typed)}.{hint} {usage(entry)}")
        if name in given:
            raise Invalid(f"'{name}' is given twice. {usage(entry)}")
        given[name] = value
    _refuse_typed_secrets(entry, given)
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise Invalid(" ".join([*what_is_wrong(kind, error, given), usage(entry)])) from error


def wrong_values(entry: Entry, given: Mapping[str, str]) -> dict[str, str]:
    """What `bind` would complain about, by parameter and in the same words; nothing when it would not.

    A complaint about several parameters together is found under the first that was given.
    """
    try:
        _refuse_typed_secrets(entry, given)
        entry.runbook.Params.model_validate(dict(given))
    except ValidationError as error:
        first = next(iter(given), next(iter(entry.runbook.Params.model_fields), ""))
        found: dict[str, str] = {}
        for name, sentence in complaints(entry.runbook.Params, error, given):
            where_ = first if name is None else name
            found[where_] = f"{found[where_]} {sentence}" if where_ in found else sentence
        return found
    except Invalid as error:
        return {next(iter(given), ""): error.message}
    return {}


def missing_values(entry: Entry, values: Sequence[str], named: Mapping[str, Any]) -> list[str]:
    """The required parameters that were not given, by name."""
    kind = entry.runbook.Params
    places = [name for name, f in kind.model_fields.items() if is_positional(f)]
    given = {*places[: len(values)], *(_parameter(kind, typed) for typed in named)}
    return [name for name, f in kind.model_fields.items() if f.is_required() and name not in given]


def by_name(entry: Entry, values: Sequence[str], named: Mapping[str, Any]) -> dict[str, str]:
    """What was typed, as text and by parameter, as far as it has a place; nothing is judged, and no secret kept."""
    kind = entry.runbook.Params
    places = [name for name, f in kind.model_fields.items() if is_positional(f)]
    given = dict(zip(places, values, strict=False))
    given |= {name: str(value) for typed, value in named.items() if (name := _parameter(kind, typed)) is not None}
    return {name: value for name, value in given.items() if not is_secret(kind.model_fields[name])}


def as_typed(entry: Entry, text: str) -> Parameters:
    """Validated parameters of a line as an author writes it in a sample or an example; raises Invalid."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise Invalid(f"'{text}' cannot be read: {error}.") from error
    named = dict(word.split("=", 1) for word in words if "=" in word)
    return bind(entry, [word for word in words if "=" not in word], named)


def _parameter(kind: type[Parameters], typed: str) -> str | None:
    wanted = typed.strip().lower().replace("-", "_")
    called = {also.lower(): name for name, info in kind.model_fields.items() for also in is_called(name, info)[1:]}
    return next((name for name in kind.model_fields if name.lower() == wanted), called.get(wanted))


def _refuse_typed_secrets(entry: Entry, given: Mapping[str, Any]) -> None:
    """A secret is known by the name that the runbook gives it; what is given for it may be the secret itself."""
    for name, info in entry.runbook.Params.model_fields.items():
        if name in given and is_secret(info) and given[name] != info.default:
            raise Invalid(
                f"'{name}' is a secret, and what is typed stays in histories and logs. Leave it out: {entry.name} "
                f"knows it as '{info.default}'. If what you typed was real, change it now. {usage(entry)}"
            )


def binding(entry: Entry, params: Mapping[str, Any], hosts: Sequence[str]) -> str:
    """What a standing approval is bound to: the runbook, the code that makes its plans, its parameters, its hosts."""
    return sha256({"runbook": entry.name, "code": entry.module_hash, "params": dict(params), "hosts": list(hosts)})


def usage(entry: Entry) -> str:
    """An example that works: the runbook's own, or one made of its parameters."""
    return f"Example: `/runbook {entry.runbook.example or _made_up(entry)}`"


def _made_up(entry: Entry) -> str:
    words = [entry.name]
    for name, info in entry.runbook.Params.model_fields.items():
        if is_positional(info):
            words.append(sample(info))
        elif info.is_required():
            words.append(f"{name}={sample(info)}")
    return " ".join([*words, "on", "web-01"])
