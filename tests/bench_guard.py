"""How well the command guard tells destructive from ordinary commands, by kind and by trick.

Run it as a module: `python -m tests.bench_guard`, or with two files, the destructive and the ordinary; `--misses` shows
each miss, `--short` only the sums. A corpus is JSON lines of `cmd`, `kind` and, where a disguise is used, `trick`.
"""

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from safety.command_guard import CommandGuard, Judgement, Severity

CORPORA = Path(__file__).parent / "corpora" / "guard"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One command of a corpus."""

    cmd: str
    kind: str
    trick: str


def load(path: Path) -> list[Entry]:
    """The commands of one file, in its order."""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [Entry(cmd=row["cmd"], kind=row["kind"], trick=row.get("trick", "plain")) for row in rows]


def judged(entries: Iterable[Entry]) -> list[tuple[Entry, Judgement]]:
    """Every entry with the guard's answer."""
    guard = CommandGuard()
    return [(entry, guard.judge(entry.cmd)) for entry in entries]


def shares(results: list[tuple[Entry, Judgement]]) -> dict[Severity, float]:
    """The share of each verdict, 0 to 1."""
    counts = Counter(judgement.verdict for _, judgement in results)
    return {severity: counts[severity] / max(1, len(results)) for severity in Severity}


def _table(title: str, results: list[tuple[Entry, Judgement]], key: str) -> None:
    groups: dict[str, list[tuple[Entry, Judgement]]] = defaultdict(list)
    for entry, judgement in results:
        groups[getattr(entry, key)].append((entry, judgement))
    print(f"  by {key} ({title})")
    for name, members in sorted(groups.items()):
        of = shares(members)
        print(
            f"    {name:24} {len(members):4}  refuse {of[Severity.REFUSE]:6.1%}  "
            f"approve {of[Severity.APPROVE]:6.1%}  allow {of[Severity.ALLOW]:6.1%}"
        )


def _report(path: Path, *, wanted: Severity, misses: bool, short: bool) -> None:
    entries = load(path)
    begin = time.perf_counter()
    results = judged(entries)
    took = (time.perf_counter() - begin) / max(1, len(entries)) * 1000
    of = shares(results)
    print(
        f"{path.name}: {len(results)} commands, {took:.2f} ms each; " + ", ".join(f"{s} {of[s]:.2%}" for s in Severity)
    )
    if not short:
        _table(path.stem, results, "kind")
        _table(path.stem, results, "trick")
    if misses:
        for entry, judgement in results:
            if judgement.verdict is not wanted:
                print(f"  {judgement.verdict:8}{judgement.rule:28}{entry.cmd!r}  {judgement.reason}")


DESTRUCTIVE = ("dangerous", "dangerous_second", "dangerous_third", "disguised")
ORDINARY = ("ordinary", "ordinary_second", "ordinary_third")
CHANGES = ("changes",)
"""The repository's corpora, by what the guard is to say: refuse, allow, approve."""


def main(arguments: list[str]) -> None:
    """Print the tables."""
    misses, short = "--misses" in arguments, "--short" in arguments
    given = [Path(argument) for argument in arguments if not argument.startswith("-")]
    wanted = {
        Severity.REFUSE: given[:1] or [CORPORA / f"{name}.jsonl" for name in DESTRUCTIVE],
        Severity.ALLOW: given[1:2] or [CORPORA / f"{name}.jsonl" for name in ORDINARY],
        Severity.APPROVE: [] if given else [CORPORA / f"{name}.jsonl" for name in CHANGES],
    }
    for severity, paths in wanted.items():
        for path in paths:
            _report(path, wanted=severity, misses=misses, short=short)


if __name__ == "__main__":
    main(sys.argv[1:])
