"""What the command line does with the team's own runbooks: check them, write their pages, begin a new one."""

import contextlib
import json
import sys
from collections.abc import Callable, Collection
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from bot import settings
from runbooks import checking, pages
from runbooks.catalog import Entry, refuse_subcommand, where
from runbooks.skeleton import skeleton
from safety.command_guard import CommandGuard
from storage.errors import ConfigurationError, Invalid, NotFound, OperatorError

Say = Callable[[str], None]


def check(names: Collection[str], *, as_json: bool, out: Say) -> int:
    """Say everything that is wrong with these runbooks, or with all; the exit status."""
    with contextlib.redirect_stdout(sys.stderr):  # what a runbook's own code prints is none of our answer
        catalog, policy = settings.load_library()
        wanted = {catalog.get(name).name for name in names} | {""} if names else None
        found = checking.check(catalog, CommandGuard(policy))
    found = [one for one in found if wanted is None or one.runbook in wanted]
    count = len(catalog.entries) if wanted is None else len(wanted) - 1
    if as_json:
        out(json.dumps({"ok": not found, "runbooks": count, "findings": [asdict(one) for one in found]}))
        return 1 if found else 0
    for one in found:
        out(f"{one.where}: {f'{one.runbook}: ' if one.runbook else ''}{one.message}")
    out(f"{count} runbooks checked, {len(found)} findings." if found else f"{count} runbooks are in order.")
    return 1 if found else 0


def write_pages(folder: Path, *, only_look: bool, out: Say) -> int:
    """A page for each runbook and a list of them; with `only_look`, 1 when one is not as it would be written."""
    catalog, _ = settings.load_library()
    left_out = list(catalog.left_out)
    made = [(entry, text) for entry in catalog.entries.values() if (text := _page(entry, left_out)) is not None]
    texts = {f"{entry.name}.md": text for entry, text in made}
    texts["README.md"] = pages.contents([entry for entry, _ in made])
    behind = [name for name, text in sorted(texts.items()) if _read(folder / name) != text]
    for said in left_out:
        out(f"Left out: {said}")
    if only_look:
        for name in behind:
            out(f"{folder / name} is not what its runbook says now: run `handrail runbooks docs`.")
        return 1 if behind or left_out else 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in behind:
            (folder / name).write_text(texts[name], encoding="utf-8")
    except OSError as error:
        raise ConfigurationError([f"{folder} cannot be written to: {error.strerror}."]) from error
    out(f"{len(texts)} pages in {folder}, {len(behind)} of them written anew.")
    return 1 if left_out else 0


def _page(entry: Entry, left_out: list[str]) -> str | None:
    try:
        return pages.page(entry)
    except (Exception, SystemExit) as error:  # a runbook's own code may fail in any way; the others have their pages
        said = error.message if isinstance(error, OperatorError) else f"{type(error).__name__}: {error}"
        left_out.append(f"{where(type(entry.runbook))}: {entry.name}: {said}")
        return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def begin(name: str, *, out: Say) -> None:
    """Write a runbook that works, and its test, into the first folder under `library:`, else into this one."""
    files = skeleton(name)
    refuse_subcommand(name)
    if name == "conftest" or name.startswith("test-"):
        raise Invalid(f"A file for '{name}' would be taken for one of tests, and never loaded: choose another name.")
    catalog, _ = settings.load_library()
    try:
        taken = catalog.get(name)
    except NotFound:
        taken = None
    if taken is not None:
        raise Invalid(f"There is already a runbook '{name}' (`{taken.name}`): choose another name.")
    folders = settings.library_folders()
    folder = folders[0] if folders else Path()
    paths = {folder / file: text for file, text in files.items()}
    for path in paths:
        if path.exists():
            raise Invalid(f"{path} exists already, and is left as it is.")
    module = next(iter(files)).removesuffix(".py")
    if _is_importable(module):
        raise Invalid(f"{module}.py would stand before the module `{module}` that others import: choose another name.")
    for path, text in paths.items():
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise ConfigurationError([f"{path} cannot be written: {error.strerror}."]) from error
        out(f"{path}")
    if not folders:
        out("Name its folder under `library:` in handrail.yml, so that Handrail loads it.")
    out("Then `handrail runbooks check`, and `pytest` in that folder.")


def _is_importable(module: str) -> bool:
    """Whether Python finds a module of this name; a folder that is none counts for nothing."""
    spec = find_spec(module)
    return spec is not None and spec.origin is not None
