"""What the local workspace and the simulated hosts may import: each other, in one direction, and nothing of the bot."""

from graphlib import TopologicalSorter

import grimp
import pytest

OURS = ("bot", "runbooks", "safety", "storage")
PLAYGROUND = "bot.playground"
MACHINE = "bot.playground.machine"
SSH = "asyncssh"


@pytest.fixture
def graph() -> grimp.ImportGraph:
    """The bot's modules, and the other packages as one node each."""
    return grimp.build_graph("bot", include_external_packages=True, cache_dir=None)


def imports(graph: grimp.ImportGraph, package: str) -> dict[str, set[str]]:
    """What every module of a package, however deep, imports of ours."""
    inside = {package} | graph.find_descendants(package)
    return {
        name: {other for other in graph.find_modules_directly_imported_by(name) if other.split(".")[0] in OURS}
        for name in inside
    }


def strangers(graph: grimp.ImportGraph, package: str) -> set[tuple[str, str]]:
    """Imports that leave the package: (importer, imported)."""
    found = imports(graph, package)
    return {(name, other) for name, others in found.items() for other in others - found.keys()}


def test_the_playground_imports_nothing_of_the_bot(graph: grimp.ImportGraph) -> None:
    assert strangers(graph, PLAYGROUND) == set()


@pytest.mark.parametrize("module", ["bot.playground.hosts", "bot.playground.machine.programs.systemctl"])
@pytest.mark.parametrize("imported", ["storage", "safety", "runbooks", "bot.settings"])
def test_an_import_that_leaves_it_would_be_found(graph: grimp.ImportGraph, module: str, imported: str) -> None:
    assert module in graph.modules

    graph.add_import(importer=module, imported=imported)

    assert strangers(graph, PLAYGROUND) == {(module, imported)}


def test_the_simulated_machine_knows_neither_ssh_nor_the_workspace(graph: grimp.ImportGraph) -> None:
    assert strangers(graph, MACHINE) == set()
    assert not [name for name in imports(graph, MACHINE) if graph.direct_import_exists(importer=name, imported=SSH)]


def test_the_simulated_machine_s_imports_go_one_way(graph: grimp.ImportGraph) -> None:
    order = list(TopologicalSorter(imports(graph, MACHINE)).static_order())

    assert order.index(f"{MACHINE}.streams") < order.index(f"{MACHINE}.system") < order.index(f"{MACHINE}.shell")
