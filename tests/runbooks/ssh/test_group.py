"""The shell texts, in every shell that a host may have, and what is read out of a look."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks import group
from runbooks.group import UNKNOWN, Found
from storage.records import Death

STOPPED = Found(death=Death.STOPPED)


def marked(line: str) -> int | None:
    """The group id in what was printed."""
    found = group.marked(f"{line.rstrip()}\n".encode())
    return found[0] if found else None


@pytest.mark.parametrize("leader", [True, False])
@pytest.mark.parametrize(
    ("line", "status", "out"),
    [
        ("printf '%s|' a 'b c'; exit 3", 3, "a|b c|"),
        ("sh -c 'kill -9 $$'", -9, ""),
        ("false", 1, ""),
        ("cat", 0, ""),
        ("echo $#", 0, "0\n"),
    ],
)
def test_the_command_leads_its_group_and_keeps_its_end(
    shell: tuple[str, ...], leader: bool, line: str, status: int, out: str
) -> None:
    text = group.own_group(line, stdin=False)
    done = subprocess.run([*shell, "-c", text], capture_output=True, text=True, start_new_session=leader, check=False)
    first, _, rest = done.stdout.partition("\n")
    found = marked(first)
    assert found is not None
    assert found > 1
    assert (done.returncode, rest, done.stderr) == (status, out, "")


@pytest.fixture
def stubborn(shell: tuple[str, ...]) -> Iterator["subprocess.Popen[str]"]:
    """A group of two that ignores TERM."""
    text = group.own_group("trap '' TERM; sleep 300 & echo ready; wait", stdin=False)
    process = subprocess.Popen([*shell, "-c", text], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert marked(process.stdout.readline()) == process.pid
    assert process.stdout.readline() == "ready\n"
    yield process
    process.stdout.close()
    process.kill()
    process.wait()


def test_a_look_names_the_living_and_an_end_leaves_none(
    shell: tuple[str, ...], stubborn: "subprocess.Popen[str]"
) -> None:
    groups = [stubborn.pid, stubborn.pid + 10_000_000]

    def ask(text: str) -> str:
        return subprocess.run([*shell, "-c", text], capture_output=True, text=True, check=True).stdout

    seen = group.read_report(groups, ask(group.look(groups)))
    assert seen[groups[0]].death is Death.STILL_RUNNING
    assert stubborn.pid in seen[groups[0]].pids
    assert len(seen[groups[0]].pids) == 2
    assert seen[groups[1]] == STOPPED
    # The leader is a zombie until this process has waited for it: that is no life.
    assert group.read_report(groups, ask(group.end(groups, grace=0.05))) == dict.fromkeys(groups, STOPPED)
    assert stubborn.wait(5) == -9


@pytest.mark.parametrize("groups", [[], [1], [0], [-5], [4242, 1]])
def test_what_would_signal_more_than_a_group_is_never_built(groups: list[int]) -> None:
    with pytest.raises(ValueError, match="not process groups"):
        group.end(groups, grace=1)
    with pytest.raises(ValueError, match="not process groups"):
        group.look(groups)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("handrail-left\nhandrail-end\n", STOPPED),
        ("handrail-left 42\n 42 42 S\n 42 50 Z\n 7 7 R\nhandrail-end\n", Found(death=Death.STILL_RUNNING, pids=(42,))),
        ("handrail-left 42\n 42 50 R+\n 42 42 Ss\nhandrail-end\n", Found(death=Death.STILL_RUNNING, pids=(42, 50))),
        ("handrail-left 42\n 42 42 Z\n 42 50 X\nhandrail-end\n", STOPPED),
        ("handrail-left 42\n 7 7 S\nhandrail-end\n", UNKNOWN),
        (
            "handrail-left 42\nhandrail-stat\n42 (a) b) S 1 42 42 0\n7 (x) S 1 7 7 0\nhandrail-end\n",
            Found(death=Death.STILL_RUNNING, pids=(42,)),
        ),
        ("Welcome\nhandrail-left\nhandrail-end\n", STOPPED),
        ("handrail-left 42\n 42 42 S\n", UNKNOWN),
        ("", UNKNOWN),
        ("sh: not found\n", UNKNOWN),
    ],
)
def test_a_report_is_believed_only_when_it_is_whole(text: str, found: Found) -> None:
    assert group.read_report([42], text) == {42: found}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("handrail-group 42", 42),
        ("handrail-group 42\r", 42),
        ("handrail-group 0", group.NO_GROUP),
        ("handrail-group", None),
        ("handrail-group -1", None),
        ("handrail-group 42; id", None),
        ("a handrail-group 42", 42),
        ('echo "handrail-group $$"\nhandrail-group -5\nhandrail-group 42', 42),
        ("handrail-group 99999999", None),
        ("handrail-group \u00b2", None),
    ],
)
def test_a_group_id_is_a_plain_number(line: str, found: int | None) -> None:
    assert marked(line) == found


@pytest.mark.parametrize("grace", [0.0, 0.3, 5.0, 60.0, 600.0])
def test_the_naps_of_a_grace_add_up_to_it(grace: float) -> None:
    naps = [float(nap) for nap in group.naps(grace).split()]
    assert sum(naps) == pytest.approx(grace, abs=0.01)
    assert len(naps) < 70


@pytest.mark.parametrize("junk", ["handrail-left x", "handrail-left 42 \u00b2", f"handrail-left {'9' * 5_000}"])
def test_a_report_with_anything_but_numbers_says_nothing(junk: str) -> None:
    assert group.read_report([42], f"{junk}\nhandrail-end") == {42: UNKNOWN}


def test_where_sleep_knows_whole_seconds_only_the_grace_is_what_it_should_be(tmp_path: Path) -> None:
    """Each of fifty naps would have been a second."""
    slow = tmp_path / "sleep"
    slow.write_text(f'#!/bin/sh\necho "$1" >>{tmp_path}/slept\ncase $1 in *.*) exit 1;; esac\nexec /bin/sleep 0.05\n')
    slow.chmod(0o755)
    text = group.own_group("trap '' TERM; while :; do /bin/sleep 300; done", stdin=False)
    process = subprocess.Popen(["sh", "-c", text], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    path = f"{tmp_path}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["sh", "-c", group.end([process.pid], grace=3)], capture_output=True, text=True, env={"PATH": path}, check=False
    )
    assert process.wait(10) == -9
    process.stdout.close()
    assert group.read_report([process.pid], ended.stdout)[process.pid].death is Death.STOPPED
    whole = [word for word in (tmp_path / "slept").read_text().split() if "." not in word]
    assert whole[:3] == ["1", "1", "1"]
    assert len(whole) <= 4
