"""The corpora of redaction: texts that hold secrets, by form, and texts that only look like it.

A text is a template: `«…»` encloses a secret, and in it `{kind:n}` stands for n random characters of a kind, `{pw}` and
its like for one of a few passwords. Files of one line a text are `secrets.txt` and `harmless.txt`; files of several
lines a text, parted by `%%`, are `blocks.txt` and `harmless_blocks.txt`. A heading (`# …`) names the form. Their like
with `kept_back` in the name hold texts that were written without a look at the code, and the neighbours of those.
"""

import random
import re
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from safety.redaction import MASK

CORPORA = Path(__file__).parent / "corpora" / "redaction"

LOWER, UPPER, DIGITS = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
ALPHABETS = {
    "alnum": LOWER + UPPER + DIGITS,
    "b64": LOWER + UPPER + DIGITS + "+/",
    "b64url": LOWER + UPPER + DIGITS + "-_",
    "crypt": LOWER + UPPER + DIGITS + "./",
    "hex": "0123456789abcdef",
    "uhex": "0123456789ABCDEF",
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


@dataclass(frozen=True, kw_only=True)
class Template:
    """A text with places for secrets."""

    form: str
    text: str

    @property
    def is_fixed(self) -> bool:
        """Whether it always gives the same text."""
        return all("{" not in secret for secret in re.findall(r"«(.*?)»", self.text))

    def filled(self, seed: int) -> tuple[str, str, list[str]]:
        """The text, what it must become, and its secrets; always the same for a seed."""
        dice = random.Random(f"{seed} {self.text}")  # noqa: S311 - repeatable, not secret
        secrets: list[str] = []
        pieces = re.split(r"«(.*?)»", self.text)
        for index in range(1, len(pieces), 2):
            pieces[index] = re.sub(r"\{(\w+)(?::(\d+))?\}", lambda match: _made(match, dice), pieces[index])
            secrets.append(pieces[index])
        return "".join(pieces), "".join(MASK if index % 2 else piece for index, piece in enumerate(pieces)), secrets


def _made(match: re.Match[str], dice: random.Random) -> str:
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


@cache
def secrets() -> tuple[Template, ...]:
    """Every text that holds a secret."""
    return (
        *_lines("secrets.txt"),
        *_blocks("blocks.txt"),
    )


@cache
def harmless() -> tuple[str, ...]:
    """Every text that holds none."""
    found = (
        *_lines("harmless.txt"),
        *_blocks("harmless_blocks.txt"),
    )
    return tuple(template.text for template in found)


@cache
def kept_back() -> tuple[tuple[Template, ...], tuple[str, ...]]:
    """Texts that were written without a look at the code, and their neighbours: with secrets, and with none."""
    harmless = (*_lines("harmless_kept_back.txt"), *_blocks("harmless_kept_back_blocks.txt"))
    secret = (*_lines("kept_back.txt"), *_blocks("kept_back_blocks.txt"))
    return secret, tuple(template.text for template in harmless)


def _lines(name: str) -> list[Template]:
    found: list[Template] = []
    form = ""
    for line in (CORPORA / name).read_text(encoding="utf-8").split("\n"):
        if line.startswith("# "):
            form = line.removeprefix("# ").partition(",")[0]
        elif line:
            found.append(Template(form=form, text=line))
    return found


def _blocks(name: str) -> list[Template]:
    found: list[Template] = []
    form = ""
    for block in (CORPORA / name).read_text(encoding="utf-8").rstrip("\n").split("\n%%\n"):
        lines = block.split("\n")
        while lines[0].startswith("# "):
            form = lines.pop(0).removeprefix("# ")
        found.append(Template(form=form, text="\n".join(lines)))
    return found
