"""Redaction: no secret with a form survives, nothing else changes, and no text is slow."""

import json
import os
import random
import re
import shlex
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from safety.redaction import LONGEST_LINE, MASK, Redacted, Redactor

CORPORA = Path(__file__).parent.parent / "corpora" / "redaction"
FUZZ = settings(max_examples=int(os.environ.get("HANDRAIL_FUZZ_EXAMPLES", "200")), deadline=None)

LOWER, UPPER, DIGITS = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
ALPHABETS = {
    "alnum": LOWER + UPPER + DIGITS,
    "b64": LOWER + UPPER + DIGITS + "+/",
    "b64url": LOWER + UPPER + DIGITS + "-_",
    "crypt": LOWER + UPPER + DIGITS + "./",
    "hex": "0123456789abcdef",
    "upper": UPPER + "234567",
    "lower": LOWER + DIGITS,
    "letters": LOWER + UPPER,
    "digits": DIGITS,
}
PASSWORDS = (
    "hunter2",
    "S3cr3t!",
    "p@ssw0rd#1",
    "Tr0ub4dor&3",
    "a%b^c*d",
    "x1.y2-z3",
    "q",
    "Ab,c9d",
    "1Zq=t+u",
    "k~v?w0",
    "changeme",
)
QUOTED = (*PASSWORDS, "two words 1", "semi;colon1", "a|b>c<d9", "it is & that", "{brace}9", "[x] y(z)2")
WORDS = ("swordfish", "opensesame", "letmein", "dragon")
KINDS = {
    "pw": PASSWORDS,
    "pw2": tuple(word for word in PASSWORDS if ";" not in word),
    "pw3": tuple(word for word in PASSWORDS if not set(word) & set("&,+%")),
    "pw4": tuple(word for word in PASSWORDS if not set(word) & set("@/:;")),
    "pw5": tuple(word for word in PASSWORDS if len(word) > 3),
    "pw6": ("hunter2", "S3cr3t!", "Tr0ub4dor&3"),
    "pwurl": tuple(word for word in PASSWORDS if not set(word) & set("#?/&=+%,")),
    "any": QUOTED,
    "any2": (*PASSWORDS, *WORDS),
    "word": WORDS,
    "pin": ("123456", "00000000"),
}


def corpus(name: str) -> list[str]:
    lines = (CORPORA / name).read_text(encoding="utf-8").split("\n")
    return [line for line in lines if line and not line.startswith("# ")]


def filled(template: str, seed: int) -> tuple[str, str, list[str]]:
    """The text of a template, what it must become, and its secrets."""
    dice = random.Random(f"{seed} {template}")
    secrets: list[str] = []
    pieces = re.split(r"«(.*?)»", template)
    for index in range(1, len(pieces), 2):
        pieces[index] = re.sub(r"\{(\w+)(?::(\d+))?\}", lambda match: made(match, dice), pieces[index])
        secrets.append(pieces[index])
    return "".join(pieces), "".join(MASK if index % 2 else piece for index, piece in enumerate(pieces)), secrets


def made(match: re.Match[str], dice: random.Random) -> str:
    kind, length = match[1], match[2]
    if kind == "basic":
        return b64encode(f"bob:{dice.choice(PASSWORDS)}".encode()).decode()
    if kind in KINDS:
        return dice.choice(KINDS[kind])
    if kind not in ALPHABETS:
        return match[0]
    while True:
        text = "".join(dice.choices(ALPHABETS[kind], k=int(length)))
        if int(length) < 20 or any(char.isdigit() for char in text) or kind == "letters":
            return text


@pytest.mark.parametrize("template", corpus("secrets.txt"))
def test_the_secret_is_masked_and_the_rest_stays(template: str) -> None:
    redactor = Redactor()
    for seed in range(12):
        text, expected, _ = filled(template, seed)
        assert redactor.redact(text) == Redacted(text=expected, altered=True)


@pytest.mark.parametrize("line", corpus("harmless.txt"))
def test_what_only_looks_like_a_secret_stays(line: str) -> None:
    assert Redactor().redact(line) == Redacted(text=line, altered=False)
