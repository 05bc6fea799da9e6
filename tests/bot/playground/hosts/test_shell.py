"""What is sent to a demo host behaves as in a POSIX shell."""

import asyncio
import shlex

import pytest

from tests.bot.playground.hosts.conftest import Ask

SAYS = {
    "words and quotes": ("echo 'a  b' \"c $((1 + 2 * 3))\" d\\ e", "a  b c 7 d e\n"),
    "positional parameters stay whole": ('set -- \'a b\' c; for each in "$@"; do echo "<$each>"; done', "<a b>\n<c>\n"),
    "no parameters are no words": ('set --; set -- x "$@"; echo $#', "1\n"),
    "unquoted values are split": ("v='a  b'; set -- $v; echo $# $v", "2 a b\n"),
    "defaults and trimming": ("f=/var/log/x.log; echo ${none:-d} ${f##*/} ${f%.log} ${#f}", "d x.log /var/log/x 14\n"),
    "substitution nests": ("echo $(echo $(echo deep) `echo tick`)", "deep tick\n"),
    "if, elif and else": ("if false; then echo a; elif true; then echo b; else echo c; fi", "b\n"),
    "while, break and continue": (
        "i=0; while :; do i=$((i+1)); [ $i -eq 2 ] && continue; [ $i -gt 3 ] && break; echo $i; done",
        "1\n3\n",
    ),
    "until": ("i=0; until test $i -ge 2; do i=$((i+1)); done; echo $i", "2\n"),
    "case": ("case celery@1 in nginx|app) echo a;; celery@*) echo b;; *) echo c;; esac", "b\n"),
    "functions return": ("f() { echo in $1; return 3; }; f x; echo $?", "in x\n3\n"),
    "and, or, not": ("false || echo a; true && echo b; ! true || echo c", "a\nb\nc\n"),
    "subshells keep their changes": ("x=1; (x=2; exit 4); echo $x $?", "1 4\n"),
    "pipes": ("printf '%s\\n' b a a | sort -u | wc -l", "2\n"),
    "read in a loop": ("printf 'a 1\\nb 2\\n' | while read -r name rest; do echo $rest$name; done", "1a\n2b\n"),
    "here-documents": ("x=1; cat <<A; cat <<'B'\nx is $x\nA\nx is $x\nB", "x is 1\nx is $x\n"),
    "errors can be swapped away": ("{ echo out; echo err >&2; } 2>/dev/null", "out\n"),
    "descriptors are duplicated": ("exec 3>&1; { echo hidden; echo seen >&3; } >/dev/null", "seen\n"),
    "files in the simulated home": ("echo a > f; echo b >> f; cat f; pwd", "a\nb\n/home/ops\n"),
    "names of files": ("cd /var/log/nginx && echo *.log '*.log' *.none", "access.log error.log *.log *.none\n"),
    "exec keeps the pid": ("exec sh -c 'a=$$; exec sh -c \"test \\$\\$ -eq $a && echo same\"'", "same\n"),
    "sh -c has a name and parameters": ("sh -c 'echo $0 $2; shift; exec \"$@\"' name a echo b", "name echo\nb\n"),
    "the end is trapped": ("trap 'echo end $?' EXIT; exit 3", "end 3\n"),
    "signals are trapped": ("trap 'echo got' TERM; kill -TERM $$; echo on", "got\non\n"),
    "background commands are waited for": ("sh -c 'exit 5' & wait $!; echo $?", "5\n"),
    "a killed command shows its signal": ("sleep 300 & kill -TERM $!; wait $!; echo $?", "143\n"),
    "a time limit": ("timeout -k 1 0.01 sleep 300; echo $?", "124\n"),
    "the trap of a subshell": ("(trap 'exit 5' EXIT; exit 3); echo $?", "5\n"),
    "a trap in trouble ends the shell": ("trap 'echo one; echo ${y?gone}; echo two' EXIT; echo zero", "zero\none\n"),
    "a target in trouble ends the shell": ("cat < ${x?bad}; echo $?", ""),
    "targets are expanded in the shell": ("cat <<E >/dev/null\n${z:=3}\nE\necho $z", "3\n"),
    "a file that is not there": ("cat </none; echo $?", "2\n"),
    "a number that is none": ("printf '%d %.1f\\n' x y; echo $?", "0 0.0\n1\n"),
    "set -e ends it": ("set -e; if false; then :; fi; false || true; echo a; false; echo b", "a\n"),
}


@pytest.mark.parametrize("name", SAYS)
async def test_shell_text_says_what_a_shell_says(ask: Ask, name: str) -> None:
    line, expected = SAYS[name]

    answer = await ask(line)

    assert answer.stdout == expected


async def test_the_machine_s_own_shell_agrees(ask: Ask) -> None:
    """The simulated shell against the real one, for text that touches nothing."""
    touching = {"files in the simulated home", "names of files"}
    for name, (line, _) in SAYS.items():
        if name in touching:
            continue
        real = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", line, stdin=asyncio.subprocess.DEVNULL, stdout=-1, stderr=-1
        )
        out, _ = await real.communicate()
        simulated = await ask(line)
        assert (name, simulated.stdout, simulated.exit_status) == (name, out.decode(), real.returncode)


async def test_an_unknown_program_is_not_found(ask: Ask) -> None:
    answer = await ask("foo --bar")

    assert (answer.exit_status, answer.stderr) == (127, "sh: 1: foo: not found\n")


@pytest.mark.parametrize("line", ["if true; then", "echo 'open", "fi", "echo $(", "a ;; b", "${", "((((" * 100])
async def test_garbled_text_runs_nothing(ask: Ask, line: str) -> None:
    answer = await ask(f"echo before; {line}")

    assert (answer.exit_status, answer.stdout) == (2, "")
    assert "Syntax error" in str(answer.stderr)


async def test_every_quoted_argument_arrives_whole(ask: Ask) -> None:
    nasty = ["", "a b", "it's", '"', "$HOME", "`id`", "*", "\\", "a\nb", "ü€", "; rm -rf /", "-n"]

    answer = await ask(shlex.join(["sh", "-c", 'for each in "$@"; do printf "<%s>" "$each"; done', "x", *nasty]))

    assert answer.stdout == "".join(f"<{each}>" for each in nasty)


async def test_standard_input_reaches_the_command(ask: Ask) -> None:
    assert (await ask("read -r first; cat; echo $first", "one\ntwo\n")).stdout == "two\none\n"


async def test_a_megabyte_goes_through_unharmed(ask: Ask) -> None:
    text = "0123456789abcde\n" * 65_536

    assert (await ask("cat | cat", text)).stdout == text


async def test_a_reader_that_leaves_ends_the_writer(ask: Ask) -> None:
    assert (await ask("while :; do echo y; done | head -n 2")).stdout == "y\ny\n"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("f() { f; }; f", "Maximum function recursion depth reached"),
        ("x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done", "Cannot allocate memory"),
        (
            'x=$(cat /var/log/nginx/access.log); y=$(while :; do echo "$x$x$x$x$x$x$x$x"; done)',
            "Cannot allocate memory",
        ),
        ("cd /tmp; echo a > f; while :; do cat f f >> g && cat g >> f || exit 9; done", "No space left on device"),
        ("echo $((1 / 0))", "division by zero"),
    ],
)
async def test_text_without_end_is_told_so(ask: Ask, line: str, complaint: str) -> None:
    answer = await asyncio.wait_for(ask(line), 10)

    assert answer.exit_status != 0
    assert complaint in str(answer.stderr)
