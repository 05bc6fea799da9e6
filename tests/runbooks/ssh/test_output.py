"""What arrives of a command's output: whole, clean, redacted, bounded."""

import asyncio
import re
import shlex
from pathlib import Path

import pytest

from runbooks.remote import Ended, Finished, Host, Line, RemoteCommand, Stream
from runbooks.ssh import AT_ONCE, MARGIN, SshRemote, _Text
from safety.redaction import Redactor
from storage.errors import LoginRefused
from tests.fuzz_redaction import Maker
from tests.runbooks.ssh.conftest import Connect
from tests.runbooks.ssh.server import Server


async def lines_of(remote: SshRemote, host: Host, line: str, **bounds: int) -> tuple[list[Line], Finished]:
    lines: list[Line] = []
    command = RemoteCommand(line=line, max_lines=bounds.get("max_lines", 100), max_line=bounds.get("max_line", 200))
    return lines, await remote.run(host, command, on_line=lines.append)


def printing(data: bytes) -> str:
    """A command that prints exactly these bytes."""
    octal = "".join(f"\\{byte:03o}" for byte in data)
    return f"printf {shlex.quote(octal)}"


@pytest.mark.parametrize(
    ("data", "shown", "altered"),
    [
        (b"plain\n", ["plain"], False),
        (b"no line end", ["no line end"], False),
        (b"dos\r\nlines\r\n", ["dos", "lines"], False),
        (b"a\n\nb\n", ["a", "", "b"], False),
        (b"a\nb", ["a", "b"], False),
        (b"tab\there\n", ["tab\there"], False),
        ("grün\n".encode(), ["grün"], False),
        (b"10%\r55%\r100%\n", ["100%"], True),
        (b"10%\r55%\r", ["55%"], True),
        (b"nul\0bell\a\n", ["nul\u2400bell\u2407"], True),
        (b"\x1b[31mred\x1b[0m\n", ["red"], True),
        (b"\x1b]0;title\x07text\n", ["text"], True),
        (b"caf\xe9\n", ["caf\ufffd"], True),
        ("user\u202etxt.exe\u2028x\n".encode(), ["user\ufffdtxt.exe\ufffdx"], True),
        (b"password hunter2 here\n", ["password [redacted] here"], True),
        (b"hun\x1b[0mter2\n", ["[redacted]"], True),
        (b"hunter2 at the end", ["[redacted] at the end"], True),
    ],
)
async def test_a_line_is_what_a_person_would_have_seen(
    remote: SshRemote, host: Host, data: bytes, shown: list[str], altered: bool
) -> None:
    lines, _ = await lines_of(remote, host, printing(data))
    assert [line.text for line in lines] == shown
    assert any(line.altered for line in lines) is altered


async def test_lines_beyond_the_bound_are_counted_also_the_last_one_without_an_end(
    remote: SshRemote, host: Host
) -> None:
    lines, finished = await lines_of(remote, host, "printf 'a\\nb\\nc\\nd\\ne'", max_lines=2)
    assert [line.text for line in lines] == ["a", "b"]
    assert (finished.lines, finished.dropped) == (2, 3)


async def test_who_else_has_work_gets_a_turn_between_a_few_hundred_lines(remote: SshRemote, host: Host) -> None:
    """So that a host that prints as fast as it can keeps nobody's lease from being renewed."""
    since, most, over = 0, 0, asyncio.Event()

    def heard(line: Line) -> None:
        nonlocal since
        since += len(line.text) + 1

    async def another() -> None:
        nonlocal since, most
        while not over.is_set():
            since, most = 0, max(most, since)
            await asyncio.sleep(0)

    beside = asyncio.create_task(another())
    command = RemoteCommand(line="yes 0123456789 | head -c 3000000", max_lines=1_000_000)
    finished = await remote.run(host, command, on_line=heard)
    over.set()
    await beside
    assert (finished.exit_status, finished.lines) == (0, 272_728)
    assert 0 < most <= 3 * AT_ONCE  # decrypted, and with what the piece before had left over


async def test_a_long_line_is_cut_and_marked_and_the_next_one_is_whole(remote: SshRemote, host: Host) -> None:
    lines, _ = await lines_of(remote, host, "head -c 100000 /dev/zero | tr '\\0' x; echo; echo next", max_line=10)
    assert lines == [
        Line(stream=Stream.OUT, text="x" * 10, altered=True),
        Line(stream=Stream.OUT, text="next"),
    ]


async def test_the_cut_never_leaves_half_a_secret(remote: SshRemote, host: Host) -> None:
    """Masks that are shorter than what they hide must not pull the cut end of a line into view."""
    secrets = "hunter2 " * ((10 + MARGIN) // 8 + 1)
    lines, _ = await lines_of(remote, host, f"printf %s {shlex.quote(secrets)}", max_line=10)
    assert len(lines) == 1
    assert "hunt" not in lines[0].text


async def test_a_long_progress_bar_shows_its_last_state(remote: SshRemote, host: Host) -> None:
    line = "i=0; while [ $i -lt 3000 ]; do printf 'step %s\\r' $i; i=$((i + 1)); done; echo finished"
    lines, _ = await lines_of(remote, host, line, max_line=20)
    assert [each.text for each in lines] == ["finished"]


async def test_what_a_login_prints_first_is_no_output_of_the_command(
    server: Server, remote: SshRemote, host: Host, tmp_path: Path
) -> None:
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\necho Welcome\nprintf "no line end"\nexec sh "$@"\n')
    shell.chmod(0o755)
    server.shell = (str(shell), "-c")
    lines, finished = await lines_of(remote, host, "echo hello")
    assert [line.text for line in lines] == ["hello"]
    assert finished.lines == 1


@pytest.mark.parametrize(
    "before", ['echo "$@"', "echo handrail-group -5", "echo 'handrail-group ?'", 'printf "%s" "$*"']
)
async def test_a_shell_that_prints_what_it_was_given_hides_no_command(
    server: Server, remote: SshRemote, host: Host, tmp_path: Path, before: str
) -> None:
    """As an audit shell does: the command ran, and that is what is said."""
    shell = tmp_path / "shell"
    shell.write_text(f'#!/bin/sh\n{before}\nexec sh "$@"\n')
    shell.chmod(0o755)
    server.shell = (str(shell), "-c")
    _, finished = await lines_of(remote, host, f"touch {tmp_path}/ran; exit 3")
    assert (finished.ended, finished.exit_status) == (Ended.EXITED, 3)
    assert (tmp_path / "ran").exists()


async def test_a_shell_that_reads_quotes_in_its_own_way_is_given_no_command(
    server: Server, remote: SshRemote, host: Host, tmp_path: Path
) -> None:
    """As fish does, which takes a backslash before another within single quotes for one."""
    shell = tmp_path / "shell"
    text = "#!/bin/sh\nshift\nexec sh -c \"$(printf '%s' \"$1\" | sed 's/\\\\\\\\/\\\\/g')\"\n"
    shell.write_text(text)
    shell.chmod(0o755)
    server.shell = (str(shell), "-c")
    command = RemoteCommand(line=f"touch {tmp_path}/ran", token="0" * 32)
    with pytest.raises(LoginRefused, match=r"not with the words as they are quoted .*; nothing was run"):
        await remote.run(host, command)
    assert not (tmp_path / "ran").exists()
    report = await remote.check(host)
    assert not report.ok
    assert "POSIX login shell" in report.message


async def test_what_a_host_says_before_it_refuses_is_redacted_and_bounded(
    server: Server, remote: SshRemote, host: Host, tmp_path: Path
) -> None:
    shell = tmp_path / "shell"
    shell.write_text("#!/bin/sh\nprintf 'password=hunter2 %2000d\\033]0;x\\n' 7\n")
    shell.chmod(0o755)
    server.shell = (str(shell), "-c")
    with pytest.raises(LoginRefused) as refused:
        await remote.run(host, RemoteCommand(line="true"))
    assert "hunter2" not in refused.value.message
    assert len(refused.value.message) < 500


async def test_a_listener_that_breaks_does_not_break_the_command(connect: Connect, host: Host) -> None:
    def broken(line: Line) -> None:
        raise RuntimeError(line.text)

    finished = await connect().run(host, RemoteCommand(line="echo one; echo two; exit 4"), on_line=broken)
    assert (finished.exit_status, finished.lines) == (4, 2)


def test_lines_are_the_same_whether_they_arrive_one_by_one_or_together() -> None:
    maker, redactor = Maker(5), Redactor(["swordfish-held"])
    for number in range(1_500):
        lines = [maker.text().encode("utf-8", "replace") for _ in range(4)]
        data = b"\n".join([b"plain", *lines, b"plain again", b"\x82" * (number % 3)])
        found = []
        for chunks in ([data], re.split(rb"(?<=\n)", data)):
            text = _Text(redactor.stream(), max_line=60)
            found.append([*(line for chunk in chunks for line in text.feed(chunk)), *text.close()])
        assert found[0] == found[1], data
