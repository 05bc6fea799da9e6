"""Writes the tables of `docs/guard.md` from the rules themselves: `python -m tests.guard_page`."""

import re
from pathlib import Path

from safety.command_guard.rules import GROUPS, Rule

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "guard.md"
BEGIN, END = "<!-- tables of safety/command_guard/rules.py -->", "<!-- end of the tables -->"
_WIDTH = 100


def tables() -> str:
    """Every group with its rules: what each does, what it says, and of which programs it speaks."""
    parts = []
    for title, rules in GROUPS:
        rows = [f"| `{rule.id}` | {rule.severity} | {rule.reason} | {_programs(rule)} |" for rule in rules]
        parts.append(
            "\n".join([f"### {title}", "", "| rule | verdict | because it … | programs |", "|---|---|---|---|", *rows])
        )
    return "\n\n".join(parts)


def _programs(rule: Rule) -> str:
    names = list(dict.fromkeys(name for pattern in rule.patterns for name in pattern.split(" ")[0].split("|")))
    shown, length = [], 0
    for name in names:
        if length + len(name) > _WIDTH:
            break
        shown.append(f"`{name}`")
        length += len(name) + 2
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def rule_families() -> set[str]:
    """The first part of every rule id that is written in the guard's code, `paths` of `paths.protected`."""
    folder = ROOT / "safety" / "command_guard"
    found = set()
    for path in folder.glob("*.py"):
        found |= set(re.findall(r'(?:refuse|ask|allow)\(\s*f?"([a-z-]+)\.[a-z{]', path.read_text(encoding="utf-8")))
    return found | {rule.id.partition(".")[0] for _, rules in GROUPS for rule in rules}


def main() -> None:
    """Put the tables in their place."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
