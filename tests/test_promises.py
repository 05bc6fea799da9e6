"""The page of promises: every link leads to a test that is there."""

import ast
import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "promises.md"
LINK = re.compile(r"\]\(\.\./(tests/[^)#]+)#([^)]+)\)")


def _tests_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name for node in functions if node.name.startswith("test_")}


def test_every_promise_is_linked_to_a_test_that_is_there() -> None:
    links = LINK.findall(PAGE.read_text())
    assert len(links) > 40
    known = {name: _tests_of(PAGE.parents[1] / name) for name, _ in set(links)}
    assert [f"{name}#{test}" for name, test in links if test not in known[name]] == []


def test_no_promise_stands_without_a_test() -> None:
    rows = [
        line for line in PAGE.read_text().splitlines() if line.startswith("| ") and not line.startswith("| promise")
    ]
    assert [row for row in rows if not LINK.search(row)] == []
