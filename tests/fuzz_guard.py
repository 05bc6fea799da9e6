"""Throws texts at the command guard: none may break it, and none may take long.

`python -m tests.fuzz_guard 1000000 [SEED]` runs that many and says which were the slowest. Time is that of this thread
on the processor, so that a busy machine does not count. The suite runs a few thousand (`test_robustness.py`).
"""

import gc
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from safety.command_guard import CommandGuard, Severity
from tests.bench_guard import CORPORA, load

LIMIT = 0.050
"""Seconds one judgement may take."""
LONGEST = 4096
"""Characters of the longest text the guard reads."""

_WORDS = """
rm -rf / /etc /tmp/x . .. * ~ sudo -n -u root sh -c bash -s eval exec env -S A=1 xargs -I{} find -exec {} \\; +
-delete -name timeout 5 nice nohup python3 -c perl -e awk BEGIN{} sed -i s/a/b/ psql mysql -e drop table select
docker exec kubectl -- ssh web1 curl | & && || ; ;; ( ) { } [[ ]] [ ] (( )) $( ) ` ' " $' $" \\ \\\\ \\\n \n \t
# ! = == =~ < > >> << <<- <<< <( >( &> >& 2>&1 /dev/null /dev/tcp/a/1 $x ${x} ${x:- ${x/a/b} ${!x} $@ $* $# $?
$$ $! $0 $1 if then elif else fi for in do done while until case esac select function f() coproc time -p E EOF
'E' a b 1 0 -1 {a,b} {1..9} ?.sh [a-z] *.log x=1 x+=y a[0]=b a=( declare -A export unset read printf %s echo -e
\\x72 \\0155 base64 -d rev tr cat tee dd if=/dev/zero of=/dev/sda kill -9 1 $(pgrep x) systemctl stop sshd é 🙂 İ
\u2028
""".replace("\n", " ").split(" ")


@dataclass
class Fuzz:
    """What was found so far."""

    seed: int
    broken: list[tuple[str, str]] = field(default_factory=list)
    slowest: list[tuple[float, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    spent: float = 0.0

    def texts(self) -> Iterator[str]:
        """For ever: mutations of the corpora, heaps of shell, characters, and one thing said very often."""
        random_ = random.Random(self.seed)  # noqa: S311 - it has to repeat, not to be secret
        known = [entry.cmd for path in sorted(CORPORA.glob("*.jsonl")) for entry in load(path)]
        while True:
            kind = random_.random()
            if kind < 0.45:
                yield mutated(random_, random_.choice(known), random_.choice(known))
            elif kind < 0.8:
                yield heap(random_)
            elif kind < 0.9:
                yield characters(random_)
            else:
                yield repeated(random_, random_.choice(known))

    def run(self, number: int) -> None:
        """Judge so many texts, by both guards."""
        guard = CommandGuard()
        guard.judge("ls")
        for text, _ in zip(self.texts(), range(number), strict=False):
            try:
                took, verdict = _judged(guard, text)
            except Exception as error:  # whatever escapes is what this is here to find
                self.broken.append((text, repr(error)))
                continue
            if took > LIMIT:
                # Collecting garbage and the first touch of a page are not the text's fault: the best of three counts.
                gc.collect()
                took = min(took, *(_judged(guard, text)[0] for _ in range(3)))
            self.spent += took
            self.counts[verdict] = self.counts.get(verdict, 0) + 1
            self.slowest = sorted([*self.slowest, (took, text)], reverse=True)[:5]

    @property
    def too_slow(self) -> list[tuple[float, str]]:
        """Those over the limit."""
        return [one for one in self.slowest if one[0] > LIMIT]


def _judged(guard: CommandGuard, text: str) -> tuple[float, str]:
    begin = time.thread_time()
    judgement = guard.judge(text)
    took = time.thread_time() - begin
    if judgement.rule == "guard.broken":
        raise AssertionError("the guard broke down")
    if not judgement.reason or judgement.command != text:
        raise AssertionError("a verdict without a reason, or about another text")
    if judgement.span is not None and not 0 <= judgement.span[0] <= judgement.span[1] <= len(text):
        raise AssertionError(f"a span outside of the text: {judgement.span}")
    if guard.judge_read_only(text).verdict is Severity.APPROVE:
        raise AssertionError("the read-only guard asked")
    return took, str(judgement.verdict)


def mutated(random_: random.Random, text: str, other: str) -> str:
    """A known command with some of it cut, doubled, swapped, joined or replaced."""
    for _ in range(random_.randint(1, 4)):
        at, to = sorted((random_.randint(0, len(text)), random_.randint(0, len(text))))
        match random_.randrange(7):
            case 0:
                text = text[:at] + text[to:]
            case 1:
                text = text[:to] + text[at:]
            case 2:
                text = text[:at] + random_.choice(_WORDS) + text[at:]
            case 3:
                text = text[:at] + text[at:to][::-1] + text[to:]
            case 4:
                text = text[:at] + other[: random_.randint(0, len(other))] + text[to:]
            case 5:
                text = text + random_.choice([" | ", "; ", " && ", "\n", " $(", " `", " <<E\n"]) + other
            case _:
                text = (
                    text[:at]
                    + chr(random_.choice([0, 9, 10, 13, 32, 39, 34, 92, 96, 127, 0x202E, 0xFF1B, 0xE000]))
                    + text[to:]
                )
    return text[:LONGEST]


def heap(random_: random.Random) -> str:
    """Words of shell in any order."""
    glue = random_.choice(["", " ", " ", " "])
    return glue.join(random_.choices(_WORDS, k=random_.randint(1, random_.choice([8, 40, 400]))))[:LONGEST]


def characters(random_: random.Random) -> str:
    """Bytes as they come, or any characters at all."""
    number = random_.randint(0, random_.choice([20, 300, LONGEST]))
    if random_.random() < 0.5:
        return random_.randbytes(number).decode("latin-1")
    return "".join(
        chr(random_.choice([random_.randint(32, 126), random_.randint(0, 0xD7FF), 0x1F642])) for _ in range(number)
    )


def repeated(random_: random.Random, known: str) -> str:
    """One piece so often that it fills the text: what takes more than a straight time shows here."""
    piece = (
        random_.choice(
            [*_WORDS, known, known + ";", known + "|", known + " && ", "sh -c '" + known, heap(random_)[:60]]
        )
        or "a"
    )
    front, back = random_.choice(_WORDS), random_.choice(_WORDS)
    glue = random_.choice(["", " ", ";", "|", "\n"])
    return (front + " " + (piece + glue) * (LONGEST // (len(piece) + len(glue)) + 1))[: LONGEST - len(back)] + back


def main(arguments: list[str]) -> int:
    """Run it and say what was found."""
    number = int(arguments[0]) if arguments else 10_000
    fuzz = Fuzz(seed=int(arguments[1]) if len(arguments) > 1 else time.time_ns() % 2**32)
    fuzz.run(number)
    print(f"{number:,} texts, seed {fuzz.seed}: {fuzz.counts}, {fuzz.spent / number * 1000:.2f} ms each")
    for text, error in fuzz.broken[:20]:
        print(f"  broken: {error}: {text!r}")
    for took, text in fuzz.slowest:
        print(f"  {took * 1000:.1f} ms: {len(text)} characters {text[:150]!r}")
    return 1 if fuzz.broken or fuzz.too_slow else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
