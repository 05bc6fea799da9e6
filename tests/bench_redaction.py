"""How many secrets survive redaction, by form, and how many texts without one it changes; and what a line costs.

Run it as a module: `python -m tests.bench_redaction`, with `--misses` to see each miss. Two files may be named instead
of the corpora: JSON lines of `text` and `secrets` (which must not survive), and JSON lines of `text` (which must not
change).
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from safety.redaction import Redactor
from tests import redaction_corpora as corpora

SEEDS = 6  # texts made of each template
ORDINARY = (
    "Nov 21 05:00:00 web-01 systemd[1]: Started nginx.service - A high performance web server.",
    '10.0.0.1 - - [21/Nov/2026:05:00:00 +0000] "GET /a/b/c.html HTTP/1.1" 200 612 "-" "Mozilla/5.0 (X11; Linux)"',
    "/dev/sda1        98G   43G   51G  46% /",
    '{"level":"info","ts":1790000000,"caller":"main.go:12","msg":"request","status":200,"duration_ms":12}',
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "root         1  0.0  0.1 168140 11636 ?        Ss   Nov20   0:04 /sbin/init splash",
    "drwxr-xr-x 2 root root 4096 Nov 21 05:00 conf.d",
    'tcp   LISTEN 0  511  0.0.0.0:80   0.0.0.0:*  users:(("nginx",pid=123,fd=6))',
    "Reading package lists... Done",
    "  Active: active (running) since Sat 2026-11-21 05:00:00 UTC; 2 days ago",
)


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text and the secrets that must not survive."""

    form: str
    text: str
    secrets: tuple[str, ...]


def own_texts() -> list[Text]:
    """Texts made from the corpora's templates."""
    made: list[Text] = []
    for template in corpora.secrets():
        for seed in range(1 if template.is_fixed else SEEDS):
            text, _, secrets = template.filled(seed)
            made.append(Text(form=template.form, text=text, secrets=tuple(secrets)))
    return made


def texts_of(path: Path) -> list[Text]:
    """The texts of a file of JSON lines."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [Text(form=row.get("form", "all"), text=row["text"], secrets=tuple(row.get("secrets", ()))) for row in rows]


def survivors(text: Text, redactor: Redactor) -> list[str]:
    """The secrets of a text that can still be read; one that also stands elsewhere in it is not counted for that."""
    shown = redactor.redact(text.text).text
    return [secret for secret in text.secrets if shown.count(secret) > _elsewhere(text, secret)]


def _elsewhere(text: Text, secret: str) -> int:
    """How often the secret's characters stand in the text beyond the places where it is one, as `q` in `quit`."""
    if len(secret) > 3:
        return 0
    return text.text.count(secret) - text.secrets.count(secret)


def report_recall(texts: Iterable[Text], *, misses: bool) -> None:
    """Print recall by form."""
    redactor = Redactor()
    held: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for text in texts:
        left = survivors(text, redactor)
        held[text.form] += len(text.secrets)
        missed[text.form] += len(left)
        if left and misses:
            print(f"  survives: {left} in {text.text!r}")
    total = sum(held.values())
    print(f"secrets: {total}, masked {1 - sum(missed.values()) / max(1, total):.2%}")
    for form, count in held.items():
        print(f"    {form:60} {count:5}  masked {1 - missed[form] / max(1, count):7.2%}")


def report_false_alarms(texts: Iterable[str], *, misses: bool) -> None:
    """Print how many texts were changed though they hold no secret."""
    redactor = Redactor()
    found = [(text, redactor.redact(text)) for text in texts]
    changed = [(text, redacted.text) for text, redacted in found if redacted.altered]
    print(f"look-alikes: {len(found)}, changed {len(changed)} ({len(changed) / max(1, len(found)):.2%})")
    for text, became in changed if misses else ():
        print(f"  changed: {text!r}\n       to: {became!r}")


def report_cost(redactor: Redactor) -> None:
    """Print the time of an ordinary line, best of some runs."""
    best = 9.0
    for _ in range(5):
        stream = redactor.stream()
        began = time.process_time()
        for _ in range(500):
            for line in ORDINARY:
                stream.feed(line + "\n")
        best = min(best, (time.process_time() - began) / (500 * len(ORDINARY)))
    print(f"an ordinary line takes {best * 1e6:.1f} µs")


def main(arguments: list[str]) -> None:
    """Print recall, false alarms and cost."""
    paths = [Path(argument) for argument in arguments if not argument.startswith("-")]
    misses = "--misses" in arguments
    secret = texts_of(paths[0]) if paths else own_texts()
    harmless = [text.text for text in texts_of(paths[1])] if len(paths) > 1 else list(corpora.harmless())
    report_recall(secret, misses=misses)
    report_false_alarms(harmless, misses=misses)
    report_cost(Redactor(["a value of ours"]))


if __name__ == "__main__":
    main(sys.argv[1:])
