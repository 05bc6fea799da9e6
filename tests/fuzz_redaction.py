"""Redaction on texts nobody would write: pieces of the corpora and of their marks, put together at random.

Run it as a module: `python -m tests.fuzz_redaction 1000000 [SEED]`. For each text it must hold that no line is masked
because it can't be looked at, that redacting twice changes nothing more, that a stream in chunks or by the line gives
the same, and that no text takes longer than 50 ms. Every look-alike of the corpora is tried once more between other
look-alikes. What fails is printed.
"""

import random
import re
import sys
import time
from dataclasses import dataclass, field

from structlog.testing import capture_logs

from safety.redaction import Redactor
from tests import redaction_corpora as corpora

SLOWEST = 0.050  # seconds of processor time for one small text
SHOWN = 20  # failures that are printed
HELD = "swordfish-held"


@dataclass(kw_only=True)
class Findings:
    """What was seen."""

    texts: int = 0
    slowest: float = 0.0
    slowest_text: str = ""
    failures: list[str] = field(default_factory=list)


class Maker:
    """Makes texts. The same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
        whole = [template.filled(0)[0] for template in corpora.secrets()] + list(corpora.harmless())
        self._whole = whole
        self._words = sorted({word for text in whole for word in re.findall(r"\s+|[^\s]{1,40}", text)})
        self._signs = [
            *"=:;,'\"\\|&?@/$%{}[]()<>-_.#*!~`^+ \t\r\n\x00\x1b\b",
            *(
                "://",
                "\r\n",
                "\n\n",
                "  ",
                "=>",
                "<<EOF\n",
                "-----BEGIN RSA PRIVATE KEY-----",
                "${",
                "$(",
                '""',
                "''",
                "é",
                "\ud800",
            ),
        ]

    def text(self) -> str:
        """A text of up to some hundred characters, sometimes of several lines."""
        dice = self._dice
        kind = dice.random()
        if kind < 0.25:
            return self._damaged(dice.choice(self._whole))
        pieces = (self._piece() for _ in range(dice.randrange(1, 14)))
        return "".join(pieces)

    def chunks(self, text: str) -> list[str]:
        """The text, cut anywhere."""
        places = sorted(self._dice.randrange(len(text) + 1) for _ in range(self._dice.randrange(6)))
        return [text[begin:end] for begin, end in zip([0, *places], [*places, len(text)], strict=True)]

    def _piece(self) -> str:
        dice = self._dice
        kind = dice.random()
        if kind < 0.45:
            return dice.choice(self._words)
        if kind < 0.85:
            return dice.choice(self._signs)
        if kind < 0.95:
            return dice.choice(self._words) + dice.choice(("=", ": ", " ", "\n"))
        return chr(dice.randrange(0x110000)) * dice.randrange(1, 4)

    def _damaged(self, text: str) -> str:
        """A text of the corpora with a piece taken out, doubled or put in."""
        dice = self._dice
        begin = dice.randrange(len(text) + 1)
        end = min(len(text), begin + dice.randrange(8))
        middle = dice.choice(("", text[begin:end] * 2, self._piece(), "\n", HELD))
        return text[:begin] + middle + text[end:]


def examine(text: str, chunks: list[str], redactor: Redactor) -> tuple[str, float]:
    """What is wrong with how this text is redacted, empty if nothing; and the seconds it took."""
    began = time.process_time()
    try:
        once = redactor.redact(text)
    except Exception as error:  # whatever it is, it is the finding
        return f"raises {error!r}", 0.0
    took = time.process_time() - began
    if HELD in once.text:
        return "a value we hold survives", took
    if once.altered != (once.text != text):
        return "says wrongly whether it altered the text", took
    if redactor.redact(once.text).text != once.text:
        return f"twice is more than once: {once.text!r} becomes {redactor.redact(once.text).text!r}", took
    filtering = redactor.filter()
    if "".join([*(filtering.feed(chunk) for chunk in chunks), filtering.close()]) != once.text:
        return "chunks give another text", took
    filtering = redactor.filter()
    if "".join([*(filtering.feed(line) for line in re.split(r"(?<=\n)", text)), filtering.close()]) != once.text:
        return "one line at a time gives another text", took
    return "", took


def fuzz(count: int, seed: int) -> Findings:
    """Try so many texts."""
    maker, redactor, findings = Maker(seed), Redactor([HELD]), Findings()
    for _ in range(count):
        text = maker.text()
        with capture_logs() as logged:
            wrong, took = examine(text, maker.chunks(text), redactor)
        wrong = wrong or (f"could not be looked at: {logged[0]}" if logged else "")
        if took > SLOWEST:  # once more, since the machine may have been busy
            wrong, took = examine(text, [text], redactor)
        if took > findings.slowest:
            findings.slowest, findings.slowest_text = took, text
        if took > SLOWEST:
            wrong = f"takes {took * 1000:.0f} ms"
        if wrong:
            findings.failures.append(f"{wrong}\n    {text!r}")
        findings.texts += 1
    return findings


def look_alikes(seed: int) -> Findings:
    """Every look-alike of one line among others, in an order of its own."""
    lines = [text for text in corpora.harmless() if "\n" not in text]
    random.Random(seed).shuffle(lines)  # noqa: S311 - repeatable, not secret
    findings, redactor = Findings(), Redactor([HELD])
    for index in range(0, len(lines), 5):
        # A line of its own between them: what one line announces, the next must not be taken for.
        text = "\n\n".join(lines[index : index + 5])
        if redactor.redact(text).altered:
            findings.failures.append(f"a look-alike was changed\n    {text!r}\n    {redactor.redact(text).text!r}")
        findings.texts += 1
    return findings


def main(arguments: list[str]) -> int:
    """Print what was found; 1 if anything is wrong."""
    count = int(arguments[0]) if arguments else 10_000
    seed = int(arguments[1]) if len(arguments) > 1 else 1
    found, alike = fuzz(count, seed), look_alikes(seed)
    for failure in (*found.failures, *alike.failures)[:SHOWN]:
        print(failure)
    print(
        f"{found.texts} texts, {len(found.failures)} failures, the slowest {found.slowest * 1000:.1f} ms; "
        f"{alike.texts} groups of look-alikes, {len(alike.failures)} changed"
    )
    return 1 if found.failures or alike.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
