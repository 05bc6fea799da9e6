"""The page about the guard says what the rules say."""

from safety.command_guard.rules import GROUPS
from tests.guard_page import PAGE, rule_families, tables

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_holds_every_table_as_the_rules_are() -> None:
    assert tables() in TEXT, "docs/guard.md is behind the rules: run `python -m tests.guard_page`"


def test_the_page_names_every_family_of_rules() -> None:
    missing = [name for name in rule_families() if f"`{name}." not in TEXT]
    assert missing == []


def test_every_rule_is_in_one_group_and_says_why() -> None:
    for _, rules in GROUPS:
        for rule in rules:
            assert rule.patterns
            assert rule.reason[0].islower()
            assert not rule.reason.endswith(".")
