"""What runbook authors import is promised: this list stays, and the built-in runbooks live by it."""

import ast
from pathlib import Path

import pytest

import runbooks
import runbooks.library

STABLE = {
    "Runbook",
    "Parameters",
    "Plan",
    "Run",
    "Expect",
    "Require",
    "Call",
    "Wait",
    "Parallel",
    "Facts",
    "Results",
    "Probe",
    "Danger",
    "Platform",
    "Category",
    "positional",
    "minutes",
    "ServiceName",
    "Seconds",
    "AbsolutePath",
    "Pid",
    "CommandLine",
    "Glob",
    "HostAddress",
    "HostName",
    "HttpAddress",
    "Pattern",
    "Percent",
    "Port",
    "Sample",
    "Secret",
    "Size",
    "Text",
    "UserName",
    "Word",
}
OURS = {"bot", "runbooks", "safety", "storage", "tests"}
SHARED = {"runbooks.library"}  # what built-in runbooks have in common; a team has such files too, with an underscore
LIBRARY = sorted(path for path in Path(runbooks.library.__file__).parent.glob("*.py") if path.name != "__init__.py")


def test_the_list_is_exactly_what_was_promised() -> None:
    assert set(runbooks.__all__) == STABLE
    assert len(runbooks.__all__) == len(STABLE)


@pytest.mark.parametrize("name", sorted(STABLE))
def test_every_promised_name_is_there(name: str) -> None:
    assert getattr(runbooks, name) is not None


def of_ours(source: str) -> list[tuple[str, str]]:
    """What a module imports of this project: (module, name)."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [("." * node.level + (node.module or ""), alias.name) for alias in node.names]
    return [(module, name) for module, name in found if module.startswith(".") or module.split(".")[0] in OURS]


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.stem)
def test_built_in_runbooks_import_only_what_every_author_may(path: Path) -> None:
    imported = of_ours(path.read_text())
    assert imported, "a runbook imports Runbook at least"
    assert {module for module, _ in imported} - SHARED == {"runbooks"}
    assert {name for module, name in imported if module == "runbooks"} <= STABLE


def test_the_search_for_imports_sees_every_form() -> None:
    source = "import storage.records\nfrom runbooks import Run\ndef f():\n    from . import x\n"
    assert of_ours(source) == [("storage.records", ""), ("runbooks", "Run"), (".", "x")]
