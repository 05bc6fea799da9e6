"""Nothing makes the guard raise, hang or fall open."""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.command_guard import CommandGuard, Severity
from safety.command_guard.scanner import expansion_starts
from tests.fuzz_guard import LIMIT, LONGEST, Fuzz

GUARD = CommandGuard()
CORPORA = Path(__file__).parents[2] / "corpora" / "guard"
DANGEROUS = [json.loads(line)["cmd"] for line in (CORPORA / "dangerous.jsonl").read_text().splitlines()]

PARTS = [
    "rm",
    "-rf",
    "/",
    "sudo",
    "sh",
    "-c",
    "eval",
    "$(",
    ")",
    "`",
    "'",
    '"',
    "\\",
    "${x:-/}",
    "$x",
    "<<E",
    "\n",
    "|",
    "&",
    ";",
    "&&",
    "||",
    ">",
    "<",
    ">>",
    "<(",
    "{",
    "}",
    "[",
    "[[",
    "]]",
    "((",
    "))",
    "x=",
    "if",
    "then",
    "fi",
    "for",
    "in",
    "do",
    "done",
    "case",
    "esac",
    "function",
    "f()",
    "$'\\x72'",
    "/etc",
    "*",
    "?",
    "~",
    "{a,b}",
    "#",
    "\t",
    "xargs",
    "find",
    "-exec",
    "python3",
    "-c",
    "perl",
    "-e",
    "awk",
    "!",
    "coproc",
    "time",
    "$((",
    "a[",
    "]",
    "@",
    "%s",
    "2>&1",
    "<<<",
    "E",
    "docker",
    "kubectl",
    "exec",
    "--",
    "env",
    "-S",
    "printf",
    "echo",
    "base64",
    "-d",
    "é",
    "🙂",
]


@given(st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_gets_an_answer(text: str) -> None:
    judgement = GUARD.judge(text)
    assert judgement.command == text
    assert judgement.reason
    assert GUARD.judge_read_only(text).verdict is not Severity.APPROVE


@given(st.lists(st.sampled_from(PARTS), max_size=40), st.sampled_from(["", " "]))
@settings(max_examples=600, deadline=None)
def test_any_heap_of_shell_gets_an_answer_that_is_not_a_breakdown(parts: list[str], glue: str) -> None:
    judgement = GUARD.judge(glue.join(parts))
    assert judgement.rule != "guard.broken"
    if judgement.span is not None:
        assert 0 <= judgement.span[0] <= judgement.span[1] <= len(judgement.command)


@given(st.characters(codec="utf-8"))
@settings(max_examples=100, deadline=None)
def test_lone_surrogates_and_odd_characters_do_no_harm(char: str) -> None:
    GUARD.judge(f"ls {char}")
    assert GUARD.judge("ls \ud800").verdict is Severity.REFUSE


def test_a_line_that_starts_with_a_backslash_hides_nothing() -> None:
    assert GUARD.judge("true\n\\rm -rf /etc").verdict is Severity.REFUSE


@given(
    st.sampled_from(DANGEROUS), st.sampled_from(["ls; {}", "ls && {}", "true\n{}", "( {} )", "if true; then {}\nfi"])
)
@settings(max_examples=300, deadline=None)
def test_company_does_not_make_a_destructive_command_pass(command: str, frame: str) -> None:
    if "\n" not in command and GUARD.judge(command).verdict is Severity.REFUSE:
        assert (
            GUARD.judge(frame.format(command) if "{" not in command else frame.replace("{}", command)).verdict
            is not Severity.ALLOW
        )


@pytest.mark.parametrize(
    "text",
    [
        "(" * 4000 + ")" * 4000,
        "$(" * 2000 + "ls" + ")" * 2000,
        "`" * 8000,
        '"' + "$(" * 1500,
        "echo " + "a" * 8000,
        "echo " + "{a,b}" * 400,
        "echo " + "{1..9}" * 30,
        "rm " + "/tmp/../" * 900,
        "ls;" * 2700,
        "ls|" * 2700 + "ls",
        "eval " * 1600,
        "sudo " * 1600,
        "env " * 1600 + "ls",
        "a=$a$a;" * 1000,
        "x=" + "a" * 4000 + ";" + "x=$x$x;" * 40,
        "for i in 1 2 3 4 5 6 7 8; do " * 12 + "ls" + "; done" * 12,
        "find / -exec " * 500 + "\\;",
        "sh -c 'sh -c \"sh -c ls\"' " * 200,
        "cat " + "<<E " * 1000 + "\n",
        "awk '" + "/" * 7000 + "'",
        "sed 's" + "/\\" * 3000 + "'",
        "psql -c '" + "delete from a where " * 350 + "'",
        "python3 -c '" + "(" * 6000 + "'",
        "perl -e '" + "s/a" * 2500 + "'",
        "rm " + "[" * 3000,
        "rm /" + "*a" * 3000,
        "chmod " + "0" * 7000 + " x",
        "case x in " + "a) ls;; " * 900 + "esac",
        "kubectl " + "-c" * 2040,
        "apt install " + "a." * 2040,
        "sed '" + "\n" * 3900 + "'",
        "declare " + "@a" * 2000,
        "ls | " + 'find /tmp | while read -r f; do rm "$f"; done | ' * 40 + "cat",
        "echo " + "🙂 " * 2000,
    ],
    ids=lambda text: text[:24],
)
def test_hostile_text_is_answered_quickly(text: str) -> None:
    GUARD.judge("ls")
    took = []
    for _ in range(3):
        begin = time.thread_time()
        GUARD.judge(text[:LONGEST])
        took.append(time.thread_time() - begin)
    assert min(took) < LIMIT


def test_shells_inside_shells_do_not_use_up_the_stack() -> None:
    text = "ls"
    for _ in range(5):
        text = "( " * 40 + f"bash -c {shlex.quote(text)}" + " )" * 40
    assert GUARD.judge(text[:LONGEST]).rule == "guard.too-deep"


def test_an_editor_told_to_run_nothing_is_refused_by_a_rule_of_its_own() -> None:
    assert GUARD.judge("R -e 'system(\n)'").rule == "code.editor"


def test_text_over_the_limit_is_refused_unread() -> None:
    assert GUARD.judge("x" * LONGEST).rule != "guard.too-long"
    assert GUARD.judge("x" * (LONGEST + 1)).rule == "guard.too-long"


def test_a_few_thousand_texts_neither_break_the_guard_nor_hold_it_up() -> None:
    fuzz = Fuzz(seed=20240101)
    fuzz.run(int(os.environ.get("HANDRAIL_TEST_FUZZ", "2000")))
    assert fuzz.broken == []
    assert fuzz.too_slow == []


@pytest.mark.parametrize(
    "text",
    [
        "ls `id` `rm -rf /etc`",
        "coproc x { rm -rf /etc; }",
        "time -p { rm -rf /etc; }",
        "cat <<E\n`reboot`\nE",
        "true\n\\reboot",
        "cat - <<E | sh\nreboot\nE",
        "sh - <<E\nreboot\nE",
    ],
)
def test_what_the_tree_leaves_out_is_not_overlooked(text: str) -> None:
    assert GUARD.judge(text).verdict is Severity.REFUSE


@pytest.mark.parametrize(
    "text",
    [
        "echo \"$(hostname) $(date) load: $(cut -d' ' -f1 /proc/loadavg)\"",
        "python3 - <<'E'\nimport sys\nprint(sys.version)\nE",
        "cat - <<E\n  two  blanks $(hostname)\nE",
        "ls \\\n -l",
        "ls # a comment with 'a quote",
        "T=$(mktemp) && ls > $T && wc -l $T; rm -f $T",
    ],
)
def test_harmless_text_in_unusual_dress_passes(text: str) -> None:
    assert GUARD.judge(text).verdict is Severity.ALLOW


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("echo $(ls) `id` ${x}", [5, 11, 16]),
        ("echo '$(ls)' \\$(ls \"$(id)\"", [20]),
        ("cat <<E\n$(id)\nE", [8]),
        ("cat <<'E'\n$(id)\nE", []),
        ("echo # $(ls)", []),
        ("diff <(a) >(b)", [5, 10]),
        ("echo $'`'", []),
    ],
)
def test_the_second_reader_finds_what_bash_would_run(text: str, starts: list[int]) -> None:
    assert expansion_starts(text) == starts


def test_the_second_reader_disputes_open_quotes() -> None:
    assert expansion_starts("echo 'x") is None
    assert expansion_starts('echo $"x"') is None


ALL_PLANES = """
from safety.command_guard import CommandGuard
guard = CommandGuard()
for number in range(0x80, 0x110000, 0x401):
    if not 0xD800 <= number < 0xE000:
        for text in ("echo {%s", "echo {1..%s}", "echo ${%s", "x[%s]=1", "cat <<%s", "[[ a =~ %s ]]", "%s=1"):
            guard.judge(text % chr(number))
print("alive")
"""


def test_no_character_of_any_plane_ends_the_process() -> None:
    """The parser's own scanner reads past a table for them; in a process of its own, since it would end this one."""
    ran = subprocess.run([sys.executable, "-c", ALL_PLANES], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "alive\n", "")
