"""Throw texts at the grammar: `python -m tests.fuzz_request [COUNT [SEED]]`.

Every text goes through all four slash commands. Nothing may be raised, no text may take 50 ms of CPU, and reading the
normalised text again must give the same request. Prints the figures, and ends with status 1 when one of these fails.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

from bot.request import (
    TEXT_LIMIT,
    Unclear,
    Verb,
    normalised,
    parse_audit,
    parse_incident,
    parse_killswitch,
    parse_runbook,
)

LIMIT = 0.050
"""Seconds of CPU for one text."""
PARSERS: tuple[Callable[[str], object], ...] = (parse_runbook, parse_killswitch, parse_audit, parse_incident)

PLAIN = [
    "restart", "restart-service", "nginx", "nginx.service", "php-fpm", "celery@1", "uptime", "web-01", "tag:web",
    "tag:", "web-*", ",", ",,", "on", "ON", "off", "settle=5", "a=b", "=", "a=", "=b", "path=/var/log", "42", "#42",
    "-5", "5m", "--", "-", "—", "–", "--dry-run", "—dry-run", "-dry-run", "--dryrun", "--reason", "--reason=x",
    "--priority", "high", "--emergency", "--now", "--force", "dry-run", "plan", "global", "service", "runbook",
    "--waves", "1,25%,rest", "25%,", "--pause", "30s", "--max-failures", "10%", "failed",
    "host", "tag", "status", "reset", "discard", "requeue", "list", "stat=failed", "state=ok", "timed-out", "2d", "me",
    "who=@bob", "runbook=x", "host=web-01",
    "kind=execution.failed", "id=42", "incident=#ops", "since=2h", "until=2026-11-20", "page=9", "user=x", "@bob",
    "<@U1|bob>", "<@U1>", "<#C1|ops>", "<!here>", "<!subteam^S1|@on>", "<http://a.b|a.b>", "<http://a.b>",
    "<http://a|b>", "<mailto:a@b.c|a@b.c>", "&amp;", "&lt;", "&gt;", "&amp;amp;", "<", ">", "<@", "<!", "|", ";",
    ";", "$(id)", "`id`", "../../etc", "%2e%2e", "~", "~root", "*", "?", "[a]", "{a,b}", "$HOME", "${x}", "\\",
    "schedule", "schedules", '"0 2 * * *"', '"@daily"', "@daily", "0", "2", "*", "*/5", "1-5", "mon-fri", "tz", "as",
    "make", "pause", "resume", "delete", "approve", "revoke", "limit=20", "limit=x", "mark=0123abcd",
    "Europe/Berlin", '"as"', '"tz"', '"nightly cleanup"',
    "\\\\", "\\\"", "!", "#", "&", "&&", "/runbook", "/killswitch", "/audit", "[redacted]",
    "/incident", "open", "bind", "note", "resolve", "role", "commander", "comms", "nobody", "severity", "sev2", "sev-1",
    "sev9", "monitoring", "resolved", "service=checkout", "severity=2", "timeline", "postmortem", "<@U1|",
]  # fmt: skip
ODD = [
    *"\"'`“”„‟″«»‘’‚‛′=,\\-—<>&|@#:*?.",
    "```", "\t", "  ", "\xa0", "\u3000", "\u202f", "\n", "\r\n", "\u2028", "\x85", "\x00", "\x1b", "\x7f", "\u202e",
    "\u2066", "\u200b", "\u200d", "\ufeff", "\ud800", "\U000e0041", "\ufe0f", "é", "ß", "İ", "ſ", "１２", "ｎginx",
    "\u0430", "😀", "\u0301",
]  # fmt: skip
WORDS = [*PLAIN, *(verb.value for verb in Verb)]


def texts(random_: random.Random) -> Iterator[str]:
    """Texts without end: sentences of the grammar, broken ones, noise, and long repetitions."""
    while True:
        kind = random_.random()
        if kind < 0.35:
            yield _sentence(random_)
        elif kind < 0.55:
            yield " ".join(random_.choices(WORDS, k=random_.randint(0, 12)))
        elif kind < 0.75:
            yield "".join(_piece(random_) + random_.choice(("", " ")) for _ in range(16))
        elif kind < 0.85:
            yield "".join(random_.choices(ODD, k=random_.randint(1, 40)))
        elif kind < 0.95:
            highest = random_.choice((0x7F, 0x250, 0x3000, 0x110000))
            yield "".join(chr(random_.randrange(0x20, highest)) for _ in range(30))
        else:
            yield _long(random_)


def _piece(random_: random.Random) -> str:
    return random_.choice(WORDS if random_.random() < 0.6 else ODD)


def _sentence(random_: random.Random) -> str:
    """What the grammar is for, with a hostile value or two."""
    head = random_.choice(
        (
            'schedule "0 2 * * *" restart',
            "schedule @daily note",
            "restart",
            "plan kill",
            "/runbook note",
            "can @bob restart",
            "deny 42",
            "logs 42",
            *Verb,
        )
    )
    marks = random_.choice(('""', '""', "''", "“”", "‘’", "„“", "  "))
    inside = random_.choice(WORDS) + random_.choice(("", " ")) + random_.choice([*WORDS, _piece(random_)])
    values = [f"{marks[0]}{inside}{marks[1]}"]
    values += random_.choices(("nginx", "settle=5", f"note={values[0]}", "-5", "<@U1|b>"), k=random_.randint(0, 2))
    end = random_.choice(
        (
            "",
            " on web-01",
            " on tag:web, web-02",
            " --dry-run",
            " —reason “it’s full”",
            " --priority high",
            " on web-01 tz Europe/Berlin as “nightly cleanup”",
        )
    )
    return f"{head} {' '.join(random_.sample(values, len(values)))}{end}"


def _long(random_: random.Random) -> str:
    """Up to the limit: a few pieces, repeated; what a quadratic step would stumble over."""
    start = " ".join(random_.choices(WORDS, k=random_.randint(0, 4)))
    piece = "".join(random_.choices([*WORDS, *ODD, " ", " "], k=random_.randint(1, 4))) or "x"
    end = random_.choice(("", '"', "'", "`", " on web-01", "\\", " --dry-run", ","))
    room = TEXT_LIMIT - len(start) - len(end) - 1
    return f"{start} {(piece * (room // len(piece) + 1))[:room]}{end}"


def faults(text: str) -> Iterator[str]:
    """What is wrong with how one text was read."""
    for parse in PARSERS:
        try:
            parse(text)
        except Exception as error:  # whatever it is, it is the finding
            yield f"{parse.__name__} raised {type(error).__name__}: {error}"
    for start in ("open", "bind", "note", "role commander", "resolve"):
        try:
            parse_incident(f"{start} {text}"[:TEXT_LIMIT])
        except Exception as error:  # as above
            yield f"parse_incident raised {type(error).__name__} after {start}: {error}"
    try:
        answer, again = parse_runbook(text), normalised(text)
        if not isinstance(answer, Unclear) and (parse_runbook(again) != answer or normalised(again) != again):
            yield f"reads differently again: {again!r}"
    except Exception as error:  # as above
        yield f"normalised raised {type(error).__name__}: {error}"


def cpu_seconds(text: str) -> float:
    """What the four commands take together."""
    started = time.process_time()
    for parse in PARSERS:
        parse(text)
    return time.process_time() - started


def main(count: int, seed: int) -> int:
    """Run, print, and say whether all went well."""
    answers: Counter[str] = Counter()
    slowest, slow_text, total, bad = 0.0, "", 0.0, 0
    for _, text in zip(range(count), texts(random.Random(seed)), strict=False):  # noqa: S311 - repeatable, not secret
        took = cpu_seconds(text)
        if took > LIMIT / 2:  # the collector of garbage, or the text?
            took = min(took, cpu_seconds(text), cpu_seconds(text))
        total += took
        if took > slowest:
            slowest, slow_text = took, text
        for fault in faults(text):
            bad += 1
            print(f"{text[:200]!r}: {fault}")
        answers[type(parse_runbook(text)).__name__] += 1
    shares = ", ".join(f"{name} {number:,}" for name, number in answers.most_common())
    print(f"{count:,} texts (seed {seed}), each through four commands: {bad} faults; {shares}")
    average, most = 1e6 * total / max(1, count), 1e3 * slowest
    print(f"CPU for a text: {average:.0f} µs on average, {most:.1f} ms at most ({slow_text[:60]!r}…)")
    return int(bad > 0 or slowest > LIMIT)


if __name__ == "__main__":
    sys.exit(main(*(int(given) for given in [*sys.argv[1:3], *("20000", "1")[len(sys.argv[1:3]) :]])))
