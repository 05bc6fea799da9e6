"""The pool: seats, turns, tries, and what becomes of a connection."""

import asyncio
import os
import socket
import struct
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from runbooks.remote import Ended, Finished, Host, RemoteCommand, StopCord
from runbooks.ssh import RESERVED, SESSIONS, Patience, SshRemote
from storage.errors import ConfigurationError, HostError, HostKeyRefused, HostUnreachable, LoginRefused
from storage.records import Death
from tests.runbooks.ssh.conftest import Connect
from tests.runbooks.ssh.server import PlainRedactor, Server
from tests.system.openssh import free_port

TRUE = RemoteCommand(line="true")


async def running(remote: SshRemote, host: Host, cord: StopCord) -> "asyncio.Task[Finished]":
    begun: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    command = RemoteCommand(line="sleep 300", timeout=30)
    task = asyncio.create_task(remote.run(host, command, cord=cord, on_group=begun.set_result))
    await begun
    return task


async def test_one_connection_serves_command_after_command(server: Server, remote: SshRemote, host: Host) -> None:
    for _ in range(5):
        await remote.run(host, TRUE)
    assert server.logins == 1


async def test_commands_leave_seats_for_stopping_and_take_further_connections(
    server: Server, remote: SshRemote, host: Host
) -> None:
    cords = [StopCord() for _ in range(SESSIONS - RESERVED + 1)]
    tasks = [await running(remote, host, cord) for cord in cords]
    assert server.logins == 2
    assert server.most_at_once == SESSIONS - RESERVED
    assert await remote.look(host, [999_999]) == {999_999: ()}
    assert server.logins == 2
    for cord in cords:
        cord.pull("enough", grace=0.3)
    await asyncio.gather(*tasks)
    assert server.most_at_once <= SESSIONS


async def test_groups_that_end_together_are_ended_by_one_command(server: Server, remote: SshRemote, host: Host) -> None:
    cords = [StopCord() for _ in range(10)]
    tasks = [await running(remote, host, cord) for cord in cords]
    server.commands.clear()
    for cord in cords:
        cord.pull("enough", grace=0.3)
    await asyncio.gather(*tasks)
    assert [command.split()[-1] for command in server.commands] == ["handrail-end"]


async def test_commands_beyond_all_seats_wait_and_can_be_stopped_there(
    server: Server, connect: Connect, host: Host
) -> None:
    remote = connect(patience=Patience(connections=1))
    cords = [StopCord() for _ in range(SESSIONS - RESERVED)]
    tasks = [await running(remote, host, cord) for cord in cords]
    waiting = StopCord()
    task = asyncio.create_task(remote.run(host, TRUE, cord=waiting))
    await asyncio.sleep(0)
    waiting.pull("enough")
    assert (await task).group is None
    next_one = asyncio.create_task(remote.run(host, TRUE))
    cords[0].pull("enough", grace=0.3)
    assert (await next_one).exit_status == 0
    assert server.logins == 1
    for cord in cords:
        cord.pull("enough", grace=0.3)
    await asyncio.gather(*tasks)


async def test_an_idle_connection_is_closed(server: Server, connect: Connect, host: Host) -> None:
    remote = connect(patience=Patience(idle=0.001))
    await remote.run(host, TRUE)
    async with asyncio.timeout(5):
        await server.connections[0].wait_closed()
    await remote.run(host, TRUE)
    assert server.logins == 2


async def test_a_connection_that_broke_while_idle_is_replaced_in_silence(
    server: Server, remote: SshRemote, host: Host
) -> None:
    await remote.run(host, TRUE)
    server.cut()
    assert (await remote.run(host, TRUE)).exit_status == 0
    assert server.logins == 2


async def test_a_break_after_sending_is_lost_and_never_sent_again(
    server: Server, remote: SshRemote, host: Host, pauses: list[float]
) -> None:
    task = await running(remote, host, StopCord())
    server.cut()
    finished = await task
    assert finished.ended is Ended.LOST
    assert len(server.commands) == 1
    assert pauses == []


async def test_a_host_that_is_down_is_tried_four_times_ever_more_patiently(
    remote: SshRemote, host: Host, pauses: list[float]
) -> None:
    with pytest.raises(HostUnreachable, match="Nothing listens at 'web-01'"):
        await remote.run(replace(host, port=free_port()), TRUE)
    assert pauses == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(("number", "factor"), [(0.0, 0.9), (1.0, 1.1)])
async def test_the_pauses_are_spread_by_a_tenth(server: Server, host: Host, number: float, factor: float) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    remote = SshRemote(known_hosts=b"", redactor=PlainRedactor(), random=lambda: number, sleep=sleep)
    with pytest.raises(HostUnreachable):
        await remote.run(replace(host, port=free_port()), TRUE)
    assert pauses == pytest.approx([1.0 * factor, 2.0 * factor, 4.0 * factor])
    await remote.close()


async def test_a_pulled_cord_ends_the_pause_between_tries(server: Server, host: Host) -> None:
    cord = StopCord()

    async def sleep(seconds: float) -> None:
        cord.pull("cancelled")
        await asyncio.Event().wait()

    remote = SshRemote(known_hosts=b"", redactor=PlainRedactor(), random=lambda: 0.5, sleep=sleep)
    finished = await remote.run(replace(host, port=free_port()), TRUE, cord=cord)
    assert (finished.ended, finished.death, finished.group) == (Ended.STOPPED, Death.STOPPED, None)
    await remote.close()


async def test_those_who_wait_for_a_connection_share_its_failure(connect: Connect, host: Host) -> None:
    accepted = 0

    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(slam, "127.0.0.1", 0)
    door = replace(host, port=listener.sockets[0].getsockname()[1])
    remote = connect(patience=Patience(retries=0))
    errors = await asyncio.gather(*(remote.run(door, TRUE) for _ in range(20)), return_exceptions=True)
    assert {type(error) for error in errors} == {HostUnreachable}
    assert accepted == 1
    listener.close()
    await listener.wait_closed()


async def test_of_what_answers_instead_of_an_ssh_server_only_what_can_be_printed_is_quoted(
    connect: Connect, host: Host
) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """An SSH_MSG_DISCONNECT before any key."""
        why = b"bye \x00\x1b[31m" + b"!" * 30_000
        payload = struct.pack(">BII", 1, 2, len(why)) + why + struct.pack(">I", 0)
        padding = 16 - (len(payload) + 5) % 8
        writer.write(b"SSH-2.0-x\r\n" + struct.pack(">IB", len(payload) + padding + 1, padding) + payload)
        writer.write(bytes(padding))
        await writer.drain()
        await reader.read(100)
        writer.close()

    listener = await asyncio.start_server(leave, "127.0.0.1", 0)
    door = replace(host, port=listener.sockets[0].getsockname()[1])
    with pytest.raises(HostError) as refused:
        await connect(patience=Patience(retries=0)).run(door, TRUE)
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 500
    listener.close()
    await listener.wait_closed()


async def test_refusals_are_not_tried_again(
    server: Server, connect: Connect, host: Host, pauses: list[float], tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(stranger))
    with pytest.raises(HostKeyRefused, match="not known"):
        await connect(known_hosts=b"").run(host, TRUE)
    with pytest.raises(LoginRefused, match="authorized_keys"):
        await connect().run(replace(host, key_file=stranger), TRUE)
    with pytest.raises(LoginRefused, match=r"no SSH key.*key_file"):
        await connect().run(replace(host, key_file=None), TRUE)
    with pytest.raises(LoginRefused, match="can't be read"):
        await connect().run(replace(host, key_file=tmp_path / "nowhere"), TRUE)
    assert pauses == []
    assert server.commands == []


async def test_the_default_key_serves_hosts_without_one(server: Server, connect: Connect, host: Host) -> None:
    remote = connect(key_file=server.key_file)
    assert (await remote.run(replace(host, key_file=None), TRUE)).exit_status == 0


def test_a_default_key_that_cannot_be_read_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        SshRemote(known_hosts=b"", redactor=PlainRedactor(), random=lambda: 0.5, key_file=tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="known_hosts"):
        SshRemote(known_hosts=tmp_path / "known_hosts", redactor=PlainRedactor(), random=lambda: 0.5)


async def test_a_host_that_opens_fewer_sessions_is_served_within_them(
    server: Server, remote: SshRemote, host: Host
) -> None:
    server.max_sessions = 3
    runs = [remote.run(host, RemoteCommand(line="sleep 0.01")) for _ in range(20)]
    assert [each.exit_status for each in await asyncio.gather(*runs)] == [0] * 20


async def test_a_host_that_opens_no_session_is_unreachable(server: Server, connect: Connect, host: Host) -> None:
    server.max_sessions = 0
    with pytest.raises(HostUnreachable, match="MaxSessions"):
        await connect(patience=Patience(retries=0)).run(host, TRUE)


async def test_a_server_that_gives_no_group_of_its_own_is_helped(server: Server, remote: SshRemote, host: Host) -> None:
    server.own_sessions = False
    cord = StopCord()
    task = await running(remote, host, cord)
    cord.pull("enough", grace=0.3)
    finished = await task
    assert finished.death is Death.STOPPED


async def test_a_host_that_cannot_be_asked_leaves_the_death_unknown(connect: Connect, host: Host) -> None:
    gone = replace(host, port=free_port())
    assert await connect().end_groups(gone, [4242], grace=0.1) == {4242: Death.UNKNOWN}
    with pytest.raises(HostUnreachable):
        await connect().look(gone, [4242])


async def test_nothing_is_sent_after_closing(remote: SshRemote, host: Host) -> None:
    await remote.run(host, TRUE)
    await remote.close()
    with pytest.raises(HostUnreachable, match="shutting down"):
        await remote.run(host, TRUE)


async def test_closing_while_somebody_waits_for_a_silent_host_lets_them_go(connect: Connect, host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        remote = connect(patience=Patience(login=0.1, retries=0))
        task = asyncio.create_task(remote.run(replace(host, port=silent.getsockname()[1]), TRUE))
        await asyncio.sleep(0.01)
        await remote.close()
        with pytest.raises(HostUnreachable):
            await task


def answering(server: Server, folder: Path, rows: str) -> None:
    """The server's shell says that the group is still known, with these rows of `ps` ($g: the group)."""
    shell = folder / "shell"
    shell.write_text(
        f"""#!/bin/sh
case $2 in
*handrail-end | *handrail-look)
    g=$(printf %s "$2" | sed -n 's/^\\(groups=\\|report \\)\\([0-9][0-9]*\\).*/\\2/p')
    echo "handrail-left $g"; {rows}; echo handrail-end ;;
*) exec sh "$@" ;;
esac
"""
    )
    shell.chmod(0o755)
    server.shell = (str(shell), "-c")


async def test_what_survives_the_kill_is_named_and_never_called_stopped(
    server: Server, remote: SshRemote, host: Host, tmp_path: Path
) -> None:
    """As a root child below sudo does that ignores TERM: the login user may not kill it."""
    answering(server, tmp_path, 'echo "$g $g S"; echo "$g 77 Z"')
    cord = StopCord()
    task = await running(remote, host, cord)
    cord.pull("enough", grace=0.1)
    finished = await task
    assert (finished.ended, finished.death) == (Ended.STOPPED, Death.STILL_RUNNING)
    assert finished.survivors == (finished.group,)


async def test_a_group_that_the_login_user_cannot_see_into_is_unknown(
    server: Server, remote: SshRemote, host: Host, tmp_path: Path
) -> None:
    answering(server, tmp_path, ":")
    cord = StopCord()
    task = await running(remote, host, cord)
    cord.pull("enough", grace=0.1)
    finished = await task
    assert (finished.death, finished.survivors) == (Death.UNKNOWN, ())
    assert finished.group is not None
    with pytest.raises(HostError, match="Look there as root"):
        await remote.look(host, [finished.group])


async def test_nothing_is_sent_on_a_channel_that_opens_after_the_cord_was_pulled(
    server: Server, remote: SshRemote, host: Host
) -> None:
    await remote.run(host, RemoteCommand(line="true"))
    server.opens, cord = asyncio.Event(), StopCord()
    running = asyncio.create_task(remote.run(host, RemoteCommand(line="echo too late"), cord=cord))
    async with asyncio.timeout(5):
        while server.most_at_once + len(server.commands) < 2:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    cord.pull("enough")
    await asyncio.sleep(0.1)
    server.opens.set()
    finished = await asyncio.wait_for(running, 5)
    assert (finished.ended, finished.group) == (Ended.STOPPED, None)
    server.opens = None
    assert (await remote.run(host, RemoteCommand(line="exit 3"))).exit_status == 3
    assert not any("too late" in command for command in server.commands)


async def test_a_channel_that_does_not_open_takes_no_other_command_along(
    server: Server, connect: Connect, host: Host, tmp_path: Path
) -> None:
    remote = connect(patience=Patience(session=0.2, retries=0))
    os.mkfifo(tmp_path / "pipe")
    first = asyncio.create_task(remote.run(host, RemoteCommand(line=f"cat {tmp_path}/pipe; exit 3")))
    async with asyncio.timeout(5):
        while not server.processes:
            await asyncio.sleep(0.01)
    server.opens = asyncio.Event()
    with pytest.raises(HostUnreachable, match="opened no session within 0 s; nothing was sent"):
        await remote.run(host, RemoteCommand(line="echo second"))
    server.opens.set()
    server.opens = None
    assert (await remote.run(host, RemoteCommand(line="exit 4"))).exit_status == 4
    await asyncio.to_thread((tmp_path / "pipe").write_text, "word")
    finished = await asyncio.wait_for(first, 5)
    assert (finished.ended, finished.exit_status) == (Ended.EXITED, 3)
    assert not any("second" in command for command in server.commands)
