"""What a changing command leaves on its host, in every shell that a host may have, and what is read out of it."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from runbooks import group, record
from runbooks.record import Record
from runbooks.remote import Ended, Finished, NotKnown, StillRunning
from tests.needs import do_without
from tests.runbooks.ssh.test_group import marked
from tests.system.openssh import alive

BOOT = "2f4c9d9e-0000-4000-8000-1d3e5a7b9c0d"
WHOLE = [f"handrail-boot {BOOT}", "handrail-leader S 777", f"run {BOOT} 42 777 43 44 ."]


def test_words_come_back_as_they_were_quoted() -> None:
    said = subprocess.run(["sh", "-c", record.prepare()], capture_output=True, text=True, check=True).stdout
    assert record.reads_quotes(f"Welcome!\n{said}")
    assert not record.reads_quotes(said.replace("\\\\", "\\"))
    assert not record.reads_quotes("")


@pytest.mark.parametrize(
    "odd",
    [
        f"run {BOOT} \u00b2 777 43 44 .",
        f"run {BOOT} {'9' * 5_000} 777 43 44 .",
        f"run {BOOT} 0 777 43 44 .",
        f"{WHOLE[2]}\nexit \u00b2 .",
        f"{WHOLE[2]}\nexit {10**30} .",
        f"{WHOLE[2]}\nexit -1 .",
    ],
)
def test_numbers_that_no_host_has_are_not_taken(odd: str) -> None:
    text = "\n".join([WHOLE[0], "handrail-leader Z 777", odd, "handrail-end"])
    assert isinstance(record.read("web-01", text), NotKnown)


@pytest.fixture
def folder() -> Path:
    """The folder that this machine prepares."""
    said = subprocess.run(["sh", "-c", record.prepare()], capture_output=True, text=True, check=True).stdout
    found = record.folder_in(said)
    if found is None:
        do_without("this machine has no writable folder in memory")
    return Path(found)


@pytest.fixture
def kept(folder: Path) -> Iterator[Record]:
    """Where one command leaves its record; it is gone afterwards."""
    place = Record(folder=str(folder), token=secrets.token_hex(16))
    yield place
    (folder / place.token).unlink(missing_ok=True)


Begin = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def begin(shell: tuple[str, ...], kept: Record) -> Iterator[Begin]:
    """Starts a command with a record; whatever is left of it ends with the test."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(line: str, *, stdin: int | None = None, leader: bool = True) -> "subprocess.Popen[bytes]":
        text = group.own_group(line, stdin=stdin is not None, record=kept)
        process = subprocess.Popen(
            [*shell, "-c", text], stdin=stdin, stdout=-1, stderr=-1, start_new_session=leader, bufsize=0
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def asked(kept: Record, shell: tuple[str, ...] = ("sh",)) -> Finished | StillRunning | NotKnown:
    said = subprocess.run([*shell, "-c", record.attend(kept.token)], capture_output=True, text=True, timeout=20)
    return record.read("web-01", said.stdout)


def settled(kept: Record) -> Finished | StillRunning | NotKnown:
    """What is said once the command runs no more."""
    deadline = time.monotonic() + 20
    while isinstance(found := asked(kept), StillRunning):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def first_line(process: "subprocess.Popen[bytes]") -> bytes:
    """The first line of its output, without what comes behind it."""
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        line += process.stdout.read(1)
    return line


def started(process: "subprocess.Popen[bytes]") -> int:
    """Its group."""
    found = marked(first_line(process).decode())
    assert found is not None
    return found


@pytest.mark.parametrize("leader", [True, False])
@pytest.mark.parametrize(
    ("line", "status", "out", "err"),
    [
        ("printf '%s|' a 'b c'; exit 3", 3, "a|b c|", ""),
        ("true", 0, "", ""),
        ("sh -c 'kill -9 $$'", 137, "", ""),
        ("sh -c 'kill $$'", 143, "", ""),
        ("sh -c 'echo one; echo two >&2; printf three'", 0, "one\nthree", "two\n"),
        ("cat", 0, "", ""),
        ("echo $#", 0, "0\n", ""),
        ("printf '  a\\\\n b \\303\\251\\n\\001\\377'", 0, "  a\\n b é\n\x01\udcff", ""),
        ("ls /proc/self/fd", 0, "0\n1\n2\n3\n", ""),
    ],
)
def test_a_recorded_command_runs_as_any_other_and_its_end_can_be_asked_about(
    begin: Begin, kept: Record, leader: bool, line: str, status: int, out: str, err: str
) -> None:
    process = begin(line, leader=leader)
    printed, complained = process.communicate(timeout=20)
    first, _, rest = printed.decode(errors="surrogateescape").partition("\n")
    found = marked(first)
    assert (rest, complained.decode(), process.returncode) == (out, err, status)
    name = {137: "KILL", 143: "TERM"}.get(status)
    assert asked(kept) == Finished(ended=Ended.EXITED, exit_status=status, signal=name, group=found)


def test_its_input_is_handed_on(begin: Begin) -> None:
    process = begin("cat", stdin=subprocess.PIPE)
    printed, _ = process.communicate(b"one\ntwo\n", timeout=20)
    assert printed.partition(b"\n")[2] == b"one\ntwo\n"


def test_while_it_runs_the_record_says_so_and_then_how_it_ended(begin: Begin, kept: Record) -> None:
    process = begin("echo ready; read -r word; exit 5", stdin=subprocess.PIPE)
    assert process.stdin is not None
    running = StillRunning(group=started(process))
    assert first_line(process) == b"ready\n"
    assert asked(kept) == running
    process.stdin.write(b"go\n")
    assert process.wait(20) == 5
    assert isinstance(asked(kept), Finished)


@pytest.mark.parametrize("stream", ["", " >&2"])
@pytest.mark.parametrize("printed_before", [True, False])
def test_it_outlives_those_who_listen_and_what_it_prints_then_is_drained(
    begin: Begin, kept: Record, stream: str, printed_before: bool
) -> None:
    """More than a pipe holds, so that a command that nobody drains would be stuck for ever."""
    before = f"echo before{stream}; " if printed_before else ""
    process = begin(f"{before}echo ready; read -r word; yes | head -c 1000000{stream}; exit 4", stdin=subprocess.PIPE)
    started(process)
    while first_line(process) != b"ready\n":
        pass
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    process.stdin.write(b"go\n")
    assert process.wait(20) == 4
    ended = asked(kept)
    assert isinstance(ended, Finished)
    assert ended.exit_status == 4


def test_what_is_stuck_in_a_connection_that_nobody_reads_is_freed_by_asking(begin: Begin, kept: Record) -> None:
    """A cut that the host hasn't noticed: its end of the connection is there, and nothing goes through."""
    process = begin("yes | head -c 10000000; exit 6")
    started(process)
    first_line(process)
    time.sleep(0.2)
    assert process.poll() is None
    assert asked(kept) == StillRunning(group=process.pid)
    ended = settled(kept)
    assert isinstance(ended, Finished)
    assert ended.exit_status == 6


def test_term_to_the_group_ends_the_command_but_not_the_word_about_it(begin: Begin, kept: Record) -> None:
    process = begin("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    started(process)
    assert first_line(process) == b"ready\n"
    os.killpg(process.pid, signal.SIGTERM)
    assert first_line(process) == b"bye\n"
    assert process.wait(20) == 7
    assert asked(kept) == Finished(ended=Ended.EXITED, exit_status=7, group=process.pid)


def test_kill_to_the_group_leaves_nothing_and_the_record_says_no_more_than_it_knows(begin: Begin, kept: Record) -> None:
    process = begin("echo $$; sleep 300 & wait")
    started(process)
    first_line(process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)
    found = asked(kept)
    assert isinstance(found, NotKnown)
    assert found.group == process.pid
    assert not alive(process.pid)


def test_a_daemon_that_keeps_the_streams_open_holds_nothing_up(begin: Begin, kept: Record) -> None:
    process = begin("setsid sleep 300 & echo $!")
    started(process)
    daemon = int(first_line(process))
    try:
        assert process.wait(20) == 0
        assert isinstance(asked(kept), Finished)
    finally:
        os.kill(daemon, signal.SIGKILL)


def test_a_record_that_was_deleted_leaves_no_answer(begin: Begin, kept: Record) -> None:
    assert begin("true").wait(20) == 0
    (Path(kept.folder) / kept.token).unlink()
    assert asked(kept) == NotKnown(reason="no record of it is left on 'web-01'", early=True)


def test_where_no_record_can_be_written_the_command_runs_all_the_same(shell: tuple[str, ...], tmp_path: Path) -> None:
    kept = Record(folder=str(tmp_path / "gone"), token=secrets.token_hex(16))
    text = group.own_group("echo hello; exit 3", stdin=False, record=kept)
    done = subprocess.run([*shell, "-c", text], capture_output=True, text=True, start_new_session=True, timeout=20)
    assert (done.stdout.partition("\n")[2], done.stderr, done.returncode) == ("hello\n", "", 3)


@pytest.mark.parametrize("planted", ["file", "link", "folder"])
def test_what_others_planted_is_neither_written_through_nor_believed(
    shell: tuple[str, ...], tmp_path: Path, planted: str
) -> None:
    victim, ours = tmp_path / "victim", tmp_path / "ours"
    victim.write_text("precious\n")
    ours.mkdir(mode=0o700)
    token = secrets.token_hex(16)
    match planted:
        case "file":
            (ours / token).write_text("precious\n")
            victim = ours / token
        case "link":
            (ours / token).symlink_to(victim)
        case "folder":
            (tmp_path / "other").mkdir()
            ours.rmdir()
            ours.symlink_to(tmp_path / "other")
    text = group.own_group("exit 3", stdin=False, record=Record(folder=str(ours), token=token))
    done = subprocess.run([*shell, "-c", text], capture_output=True, start_new_session=True, timeout=20)
    assert done.returncode == 3
    assert victim.read_text() == "precious\n"
    assert not list((tmp_path / "other").iterdir() if planted == "folder" else ())


@pytest.fixture
def private(folder: Path) -> Iterator[Path]:
    """A folder in memory that only this test knows of, and nobody who runs beside it."""
    path = Path(tempfile.mkdtemp(dir=folder.parent))
    yield path
    shutil.rmtree(path)


def said_in(private: Path, text: str, shell: tuple[str, ...] = ("sh",)) -> str:
    """What such a request says where there is no other folder."""
    alone = text.replace("/run/lock /tmp /dev/shm ", "")
    assert alone != text
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(private)}
    return subprocess.run([*shell, "-c", alone], capture_output=True, text=True, check=True, env=environment).stdout


def give(path: Path, uid: int) -> None:
    """Make it somebody else's, or ours again."""
    if os.geteuid() == 0:
        os.chown(path, uid, -1)
        return
    sudo = shutil.which("sudo")
    line = [sudo or "sudo", "-n", "chown", str(uid), "--", path]
    if sudo is None or subprocess.run(line, capture_output=True, check=False).returncode:
        do_without("only root can make files of somebody else: run this test as root, or with sudo")


@pytest.mark.parametrize("whose", ["file", "folder"])
def test_a_record_of_somebody_else_is_no_record(begin: Begin, kept: Record, private: Path, whose: str) -> None:
    assert begin("true").wait(20) == 0
    ours = private / f"handrail-{os.geteuid()}"
    ours.mkdir(mode=0o700)
    shutil.copy(Path(kept.folder) / kept.token, ours)
    assert isinstance(record.read("web-01", said_in(private, record.attend(kept.token))), Finished)
    assert record.folder_in(said_in(private, record.prepare())) == str(ours)
    theirs = ours / kept.token if whose == "file" else ours
    give(theirs, 65_534)
    try:
        found = record.read("web-01", said_in(private, record.attend(kept.token)))
        assert found == NotKnown(reason="no record of it is left on 'web-01'", early=True)
        if whose == "folder":
            assert record.folder_in(said_in(private, record.prepare())) is None
    finally:
        give(theirs, os.geteuid())


def test_the_folder_is_closed_to_others_and_old_records_leave_it(shell: tuple[str, ...], private: Path) -> None:
    ours = private / f"handrail-{os.geteuid()}"
    ours.mkdir(mode=0o755)
    old, new = ours / secrets.token_hex(16), ours / secrets.token_hex(16)
    old.write_text("")
    new.write_text("")
    os.utime(old, (time.time() - 3 * 86_400,) * 2)
    assert record.folder_in(said_in(private, record.prepare(), shell)) == str(ours)
    assert ours.stat().st_mode & 0o777 == 0o700
    assert (old.exists(), new.exists()) == (False, True)
    subprocess.run([*shell, "-c", record.forget(str(ours), [new.name])], check=True)
    assert not new.exists()


def test_a_folder_below_one_in_which_others_could_replace_it_is_not_used(private: Path) -> None:
    private.chmod(0o777)
    assert record.folder_in(said_in(private, record.prepare())) is None
    private.chmod(0o1777)
    assert record.folder_in(said_in(private, record.prepare())) is not None


def test_a_folder_on_a_disk_is_not_used(tmp_path: Path) -> None:
    kinds = {line.split()[1]: line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}
    above = max((where for where in kinds if tmp_path.is_relative_to(where)), key=len)
    tmp_path.chmod(0o700)
    found = record.folder_in(said_in(tmp_path, record.prepare()))
    assert (found is not None) == (kinds[above] == "tmpfs")


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([*WHOLE, "handrail-end"], StillRunning(group=42)),
        ([*WHOLE, "exit 0 .", "handrail-end"], Finished(ended=Ended.EXITED, exit_status=0, group=42)),
        (["Welcome", *WHOLE, "exit 3 .", "handrail-end"], Finished(ended=Ended.EXITED, exit_status=3, group=42)),
        ([*WHOLE, "exit 1", "handrail-end"], StillRunning(group=42)),
        ([WHOLE[0].replace("2f4c", "3f4c"), *WHOLE[1:], "exit 0 .", "handrail-end"], "restarted"),
        ([WHOLE[0], "handrail-leader S 778", WHOLE[2], "handrail-end"], "killed"),
        ([WHOLE[0], "handrail-leader Z 777", WHOLE[2], "handrail-end"], "killed"),
        ([WHOLE[0], WHOLE[2], "handrail-end"], "killed"),
        ([WHOLE[0], WHOLE[1], WHOLE[2].removesuffix(" ."), "handrail-end"], "not whole"),
        ([WHOLE[0], "handrail-end"], "not whole"),
        (["handrail-end"], "no record"),
        (WHOLE, "no whole answer"),
        ([], "no whole answer"),
    ],
)
def test_a_record_is_believed_only_as_far_as_it_goes(lines: list[str], found: Finished | StillRunning | str) -> None:
    read = record.read("web-01", "".join(f"{line}\n" for line in lines))
    if isinstance(found, str):
        assert isinstance(read, NotKnown)
        assert found in read.reason
    else:
        assert read == found


@pytest.mark.parametrize(
    ("status", "name"),
    [(None, None), (0, None), (128, None), (137, "KILL"), (143, "TERM"), (159, "SYS"), (160, None), (255, None)],
)
def test_a_status_above_128_stands_for_a_signal(status: int | None, name: str | None) -> None:
    assert record.signal_of(status) == name


@pytest.mark.parametrize("token", ["", "x", "../../etc/passwd", "A" * 32, "a" * 33, "a" * 31 + "\n"])
def test_only_our_own_tokens_name_records(token: str) -> None:
    with pytest.raises(ValueError, match="not a record's token"):
        record.attend(token)
    with pytest.raises(ValueError, match="not a record's token"):
        record.recorded("true", Record(folder="/run/lock/handrail-0", token=token))
