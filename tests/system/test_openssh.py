"""The SSH adapter against Debian's own sshd, with a stock configuration."""

import asyncio
import os
import shlex
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from runbooks.remote import Ended, Host, Line, RemoteCommand, StopCord, Stream
from runbooks.ssh import Patience, SshRemote
from safety.redaction import Redactor
from storage.errors import HostKeyRefused, HostUnreachable, LoginRefused
from storage.records import Death
from tests.runbooks.remote_contract import RemoteContract
from tests.system.openssh import OpenSsh, alive, free_port, make_key, missing, openssh


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSsh]:
    """One sshd for all of these tests."""
    why = missing()
    if why is not None:
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    with openssh(tmp_path_factory.mktemp("openssh")) as server:
        yield server


async def at_once(_: float) -> None:
    """Waits between tries are not what is tested here."""


@pytest.fixture
async def remote(server: OpenSsh) -> AsyncIterator[SshRemote]:
    """Knows the server's key."""
    remote = SshRemote(known_hosts=server.known_hosts, redactor=Redactor(), random=lambda: 0.5, sleep=at_once)
    yield remote
    await remote.close()


@pytest.fixture
def host(server: OpenSsh) -> Host:
    """The server's entry in the inventory."""
    return server.host


@dataclass(frozen=True, kw_only=True)
class ShellBed:
    """A host that runs shell text."""

    remote: SshRemote
    host: Host

    def prints(self, out: str, err: str = "", status: int = 0) -> str:
        """By printf, and exit."""
        return f"printf %s {shlex.quote(out)}; printf %s {shlex.quote(err)} >&2; exit {status}"

    def hangs(self) -> str:
        """Five minutes."""
        return "sleep 300"

    def unreachable(self) -> tuple[Host, str]:
        """Nothing listens there."""
        return replace(self.host, name="web-09", port=free_port()), "true"


class TestContract(RemoteContract):
    """What every remote does."""

    @pytest.fixture
    def bed(self, remote: SshRemote, host: Host) -> ShellBed:
        """The server, and a remote that knows it."""
        return ShellBed(remote=remote, host=host)


class Watched:
    """A command that runs, with what it said so far."""

    def __init__(
        self,
        remote: SshRemote,
        host: Host,
        line: str,
        *,
        lines: int = 0,
        grace: float = 5.0,
        stdin: bytes | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.cord = StopCord()
        self.lines: list[str] = []
        self._ready: asyncio.Future[None] = loop.create_future()
        self._wanted = lines
        self._group = 0
        command = RemoteCommand(line=line, timeout=30, grace=grace, stdin=stdin)
        self.task = loop.create_task(
            remote.run(host, command, cord=self.cord, on_line=self._said, on_group=self._started)
        )

    async def started(self) -> int:
        """Its group, once it has printed as many lines as were asked for."""
        async with asyncio.timeout(10):
            await self._ready
        return self._group

    def _said(self, line: Line) -> None:
        self.lines.append(line.text)
        self._look()

    def _started(self, group: int) -> None:
        self._group = group
        self._look()

    def _look(self) -> None:
        if self._group and len(self.lines) >= self._wanted and not self._ready.done():
            self._ready.set_result(None)


async def test_a_sleeping_command_is_stopped_within_a_second_and_really_gone(remote: SshRemote, host: Host) -> None:
    running = Watched(remote, host, "sleep 300")
    pid = await running.started()
    assert alive(pid)
    assert os.getpgid(pid) == pid
    began = asyncio.get_running_loop().time()
    running.cord.pull("the kill switch was engaged", grace=0.3)
    finished = await running.task
    assert asyncio.get_running_loop().time() - began < 1.0
    assert (finished.ended, finished.death, finished.signal) == (Ended.STOPPED, Death.STOPPED, "TERM")
    assert not alive(pid)


async def test_a_command_that_ignores_term_is_killed_after_its_grace(remote: SshRemote, host: Host) -> None:
    running = Watched(remote, host, "trap '' TERM; echo ready; while :; do sleep 0.1; done", lines=1, grace=0.2)
    pid = await running.started()
    running.cord.pull("enough")
    finished = await running.task
    assert (finished.death, finished.signal) == (Death.STOPPED, "KILL")
    assert not alive(pid)


async def test_children_in_the_background_die_with_the_command(remote: SshRemote, host: Host) -> None:
    line = "sleep 300 & echo $!; (trap '' TERM; exec sleep 301) & echo $!; wait"
    running = Watched(remote, host, line, lines=2, grace=0.2)
    await running.started()
    running.cord.pull("enough")
    finished = await running.task
    assert finished.death is Death.STOPPED
    assert [alive(int(pid)) for pid in running.lines] == [False, False]


async def test_a_shorter_grace_overtakes_a_longer_one(remote: SshRemote, host: Host) -> None:
    running = Watched(remote, host, "trap '' TERM; echo ready; while :; do sleep 0.1; done", lines=1, grace=60)
    pid = await running.started()
    running.cord.pull("cancelled")
    await asyncio.sleep(0.05)
    assert alive(pid)
    running.cord.pull("the kill switch was engaged", grace=0.1)
    async with asyncio.timeout(5):
        finished = await running.task
    assert finished.death is Death.STOPPED
    assert not alive(pid)


async def test_a_command_that_takes_too_long_is_ended(remote: SshRemote, host: Host) -> None:
    finished = await remote.run(host, RemoteCommand(line="sleep 300", timeout=0.1))
    assert (finished.ended, finished.death) == (Ended.TIMED_OUT, Death.STOPPED)
    assert finished.group is not None
    assert not alive(finished.group)


async def test_fifty_commands_of_a_host_are_stopped_within_a_second(remote: SshRemote, host: Host) -> None:
    running = [Watched(remote, host, "sleep 300") for _ in range(50)]
    first = running[:24]  # as many as a host runs at once; the others wait their turn
    pids = await asyncio.gather(*(each.started() for each in first))
    began = asyncio.get_running_loop().time()
    for each in running:
        each.cord.pull("the kill switch was engaged", grace=0.3)
    ends = await asyncio.gather(*(each.task for each in running))
    assert asyncio.get_running_loop().time() - began < 1.0
    assert {(each.ended, each.death) for each in ends} == {(Ended.STOPPED, Death.STOPPED)}
    assert not any(alive(pid) for pid in pids)
    assert [each.group for each in ends[24:]] == [None] * 26  # never sent


async def test_what_a_crashed_worker_left_behind_can_be_looked_for_and_ended(
    server: OpenSsh, remote: SshRemote, host: Host
) -> None:
    crashed = SshRemote(known_hosts=server.known_hosts, redactor=Redactor(), random=lambda: 0.5)
    running = Watched(crashed, host, "sleep 300 & sleep 300")
    group = await running.started()
    await crashed.close()
    assert (await running.task).ended is Ended.LOST
    found = await remote.look(host, [group, group + 1_000_000])
    assert group in found[group]
    assert found[group + 1_000_000] == ()
    assert await remote.end_groups(host, [group], grace=0.2) == {group: Death.STOPPED}
    assert not alive(group)


async def test_a_cancelled_task_leaves_the_command_alone(remote: SshRemote, host: Host) -> None:
    running = Watched(remote, host, "sleep 300")
    pid = await running.started()
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running.task
    assert alive(pid)
    assert await remote.end_groups(host, [pid], grace=0.2) == {pid: Death.STOPPED}


async def test_a_signal_that_killed_the_command_is_told(remote: SshRemote, host: Host) -> None:
    finished = await remote.run(host, RemoteCommand(line="sh -c 'kill -SEGV $$'"))
    assert (finished.ended, finished.exit_status, finished.signal) == (Ended.EXITED, None, "SEGV")


async def test_a_program_that_does_not_exist_ends_with_127(remote: SshRemote, host: Host) -> None:
    finished = await remote.run(host, RemoteCommand(line="no-such-program now"))
    assert (finished.ended, finished.exit_status) == (Ended.EXITED, 127)


async def test_standard_input_is_what_was_given_or_nothing(remote: SshRemote, host: Host) -> None:
    given, none = Watched(remote, host, "cat", stdin=b"a\nb\n"), Watched(remote, host, "cat; readlink /proc/self/fd/0")
    assert (await given.task).exit_status == 0
    assert (await none.task).exit_status == 0
    assert given.lines == ["a", "b"]
    assert none.lines == ["/dev/null"]


async def test_output_that_is_no_utf8_is_shown_and_marked(remote: SshRemote, host: Host) -> None:
    lines: list[Line] = []
    await remote.run(host, RemoteCommand(line=r"printf 'caf\351\nok\n'"), on_line=lines.append)
    assert lines == [
        Line(stream=Stream.OUT, text="caf\ufffd", altered=True),
        Line(stream=Stream.OUT, text="ok"),
    ]


async def test_endless_output_is_drained_and_counted(remote: SshRemote, host: Host) -> None:
    command = RemoteCommand(line="yes | head -c 50000000", max_lines=100)
    finished = await remote.run(host, command)
    assert (finished.exit_status, finished.lines, finished.dropped) == (0, 100, 25_000_000 - 100)


async def test_endless_output_without_a_line_end_is_one_short_line(remote: SshRemote, host: Host) -> None:
    lines: list[Line] = []
    command = RemoteCommand(line="head -c 50000000 /dev/zero | tr '\\0' x", max_line=80)
    finished = await remote.run(host, command, on_line=lines.append)
    assert (finished.exit_status, finished.lines) == (0, 1)
    assert lines == [Line(stream=Stream.OUT, text="x" * 80, altered=True)]


async def test_a_daemon_that_keeps_the_streams_open_does_not_hold_us_up(server: OpenSsh, host: Host) -> None:
    patience = Patience(drain=0.1)
    remote = SshRemote(known_hosts=server.known_hosts, redactor=Redactor(), random=lambda: 0.5, patience=patience)
    running = Watched(remote, host, "setsid sleep 300 & echo $!")
    async with asyncio.timeout(5):
        finished = await running.task
    assert (finished.ended, finished.exit_status, finished.cut) == (Ended.EXITED, 0, True)
    assert not (await remote.run(host, RemoteCommand(line="echo all"))).cut
    os.kill(int(running.lines[0]), 9)
    await remote.close()


async def test_a_hundred_commands_at_once_fit_a_stock_sshd(remote: SshRemote, host: Host) -> None:
    runs = [remote.run(host, RemoteCommand(line="sleep 0.02")) for _ in range(100)]
    assert [each.exit_status for each in await asyncio.gather(*runs)] == [0] * 100


async def test_fewer_sessions_than_usual_are_learnt(tmp_path: Path, server: OpenSsh) -> None:
    with openssh(tmp_path, "MaxSessions 2") as narrow:
        remote = SshRemote(known_hosts=narrow.known_hosts, redactor=Redactor(), random=lambda: 0.5, sleep=at_once)
        runs = [remote.run(narrow.host, RemoteCommand(line="sleep 0.02")) for _ in range(20)]
        assert [each.exit_status for each in await asyncio.gather(*runs)] == [0] * 20
        running = Watched(remote, narrow.host, "sleep 300")
        await running.started()
        running.cord.pull("enough", grace=0.3)
        assert (await running.task).death is Death.STOPPED
        await remote.close()


async def test_a_cut_connection_is_lost_and_the_next_command_gets_a_new_one(
    server: OpenSsh, remote: SshRemote, host: Host
) -> None:
    running = Watched(remote, host, "sleep 300")
    group = await running.started()
    server.cut()
    async with asyncio.timeout(5):
        finished = await running.task
    assert (finished.ended, finished.group, finished.death) == (Ended.LOST, group, None)
    assert (await remote.run(host, RemoteCommand(line="true"))).exit_status == 0
    assert await remote.end_groups(host, [group], grace=0.2) == {group: Death.STOPPED}


async def test_an_unknown_host_key_is_refused_with_what_to_do(host: Host) -> None:
    remote = SshRemote(known_hosts=b"", redactor=Redactor(), random=lambda: 0.5)
    with pytest.raises(HostKeyRefused, match=rf"SHA256:.*owner.*ssh-keyscan -p {host.port} 127\.0\.0\.1"):
        await remote.run(host, RemoteCommand(line="true"))
    await remote.close()


async def test_a_changed_host_key_is_refused_and_says_so(tmp_path: Path, host: Host) -> None:
    make_key(tmp_path / "other")
    known = f"[127.0.0.1]:{host.port} {(tmp_path / 'other.pub').read_text()}".encode()
    remote = SshRemote(known_hosts=known, redactor=Redactor(), random=lambda: 0.5)
    with pytest.raises(HostKeyRefused, match="another key than known_hosts holds"):
        await remote.run(host, RemoteCommand(line="true"))
    await remote.close()


async def test_a_key_that_the_host_does_not_take_is_a_refused_login(
    tmp_path: Path, remote: SshRemote, host: Host
) -> None:
    make_key(tmp_path / "other")
    with pytest.raises(LoginRefused, match="authorized_keys"):
        await remote.run(replace(host, key_file=tmp_path / "other"), RemoteCommand(line="true"))


async def test_an_account_without_a_shell_is_a_refused_login(tmp_path: Path, server: OpenSsh) -> None:
    with openssh(tmp_path, "ForceCommand echo This account is currently not available.; exit 1") as closed:
        remote = SshRemote(known_hosts=closed.known_hosts, redactor=Redactor(), random=lambda: 0.5)
        with pytest.raises(LoginRefused, match=r"runs no commands.*currently not available.*login shell"):
            await remote.run(closed.host, RemoteCommand(line="true"))
        report = await remote.check(closed.host)
        assert not report.ok
        await remote.close()


async def test_a_port_where_nothing_listens_is_unreachable(remote: SshRemote, host: Host) -> None:
    with pytest.raises(HostUnreachable, match="Nothing listens"):
        await remote.run(replace(host, port=free_port()), RemoteCommand(line="true"))


async def test_a_host_that_accepts_but_never_speaks_is_unreachable(server: OpenSsh, host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        patience = Patience(login=0.05, retries=0)
        remote = SshRemote(known_hosts=b"", redactor=Redactor(), random=lambda: 0.5, patience=patience)
        with pytest.raises(HostUnreachable, match="does not answer"):
            await remote.run(replace(host, port=silent.getsockname()[1]), RemoteCommand(line="true"))
        await remote.close()


async def test_a_stop_while_connecting_ends_at_once_with_nothing_sent(remote: SshRemote, host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cord = StopCord()
        command = RemoteCommand(line="true")
        running = asyncio.create_task(remote.run(replace(host, port=silent.getsockname()[1]), command, cord=cord))
        await asyncio.sleep(0.02)
        cord.pull("cancelled")
        async with asyncio.timeout(0.5):
            finished = await running
    assert (finished.ended, finished.death, finished.group) == (Ended.STOPPED, Death.STOPPED, None)


async def test_a_check_tells_who_we_are_there(remote: SshRemote, host: Host) -> None:
    report = await remote.check(host)
    assert report.ok
    assert report.facts["user"] == host.user
    assert report.facts["kernel"].startswith(os.uname().sysname)
    assert report.facts["latency"].endswith(" ms")


async def test_a_check_of_a_stranger_says_what_to_do(host: Host) -> None:
    remote = SshRemote(known_hosts=b"", redactor=Redactor(), random=lambda: 0.5)
    report = await remote.check(host)
    assert not report.ok
    assert "ssh-keyscan" in report.message
    await remote.close()
