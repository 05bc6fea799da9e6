"""What the local workspace and the simulated hosts may import: each other, in one direction, and nothing of the bot."""

from graphlib import TopologicalSorter

import grimp
import pytest

PACKAGES = ("bot", "runbooks", "safety", "storage")
PLAYGROUND = "bot.playground"
MACHINE = "bot.playground.machine"


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, cache_dir=None)


def package(graph: grimp.ImportGraph, name: str) -> set[str]:
    """The package and every module in it, however deep."""
    return {name} | graph.find_descendants(name)


def strangers(graph: grimp.ImportGraph) -> set[tuple[str, str]]:
    """Imports that leave the playground: (importer, imported)."""
    inside = package(graph, PLAYGROUND)
    return {(name, other) for name in inside for other in graph.find_modules_directly_imported_by(name) - inside}


def test_the_playground_imports_nothing_of_the_bot(graph: grimp.ImportGraph) -> None:
    assert strangers(graph) == set()


@pytest.mark.parametrize("module", ["bot.playground.hosts", "bot.playground.machine.programs.systemctl"])
@pytest.mark.parametrize("imported", ["storage.records", "safety.clock", "runbooks", "bot.settings"])
def test_an_import_that_leaves_it_would_be_found(module: str, imported: str) -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    assert module in graph.modules

    graph.add_import(importer=module, imported=imported)

    assert strangers(graph) == {(module, imported)}


def test_the_simulated_machine_knows_no_ssh_and_no_workspace(graph: grimp.ImportGraph) -> None:
    inside = package(graph, MACHINE)

    assert {other for name in inside for other in graph.find_modules_directly_imported_by(name)} <= inside


def test_the_simulated_machine_s_imports_go_one_way(graph: grimp.ImportGraph) -> None:
    imports = {name: graph.find_modules_directly_imported_by(name) for name in package(graph, MACHINE)}

    order = list(TopologicalSorter(imports).static_order())

    assert order.index(f"{MACHINE}.streams") < order.index(f"{MACHINE}.system") < order.index(f"{MACHINE}.shell")
