"""Demo hosts as SSH servers: logins, sessions, groups, signals and endings."""

import asyncio
import stat
from pathlib import Path

import asyncssh
import pytest

from bot.playground.hosts import DemoHost, DemoHosts, start_demo_hosts
from tests.bot.playground.hosts.conftest import NOON, Ask, connect


async def test_a_second_command_ends_a_running_group(client: asyncssh.SSHClientConnection, ask: Ask) -> None:
    running = await client.create_process("exec sh -c 'echo $$; \"$@\"; echo after' x sleep 300")
    group = (await running.stdout.readline()).strip()
    look = f"ps -A -o pgid= -o pid= -o stat= | while read -r g p s; do [ $g = {group} ] && echo $p; done"
    assert len(str((await ask(look)).stdout).split()) == 2

    assert (await ask(f"kill -TERM -- -{group}")).exit_status == 0

    ended = await running.wait()
    assert (ended.exit_signal or ("",))[0] == "TERM"
    assert ended.stdout == ""
    assert (await ask(look)).stdout == ""
    assert (await ask(f"kill -0 -- -{group}")).exit_status == 1


async def test_a_group_below_sudo_is_ended_through_sudo(client: asyncssh.SSHClientConnection, ask: Ask) -> None:
    running = await client.create_process("echo $$; exec sudo -n sleep 300")
    group = (await running.stdout.readline()).strip()
    await ask(f"until pgrep -g {group} -x sleep >/dev/null; do sleep 0.001; done")

    await ask(f"kill -TERM -- -{group}")
    ended = await running.wait()

    assert (ended.exit_signal or ("",))[0] == "TERM"
    assert (await ask(f"pgrep -g {group}")).exit_status == 1


async def test_a_group_that_ignores_term_is_ended_by_kill(client: asyncssh.SSHClientConnection, ask: Ask) -> None:
    running = await client.create_process("trap '' TERM; echo $$; while :; do sleep 300; done")
    group = (await running.stdout.readline()).strip()
    assert (await ask(f"kill -TERM -- -{group}; sleep 0.005; kill -0 -- -{group} && echo still")).stdout == "still\n"

    await ask(f"kill -KILL -- -{group}")

    assert ((await running.wait()).exit_signal or ("",))[0] == "KILL"


async def test_the_signal_request_reaches_the_command(client: asyncssh.SSHClientConnection) -> None:
    running = await client.create_process("trap 'echo told; exit 9' TERM; echo ready; sleep 300 & wait $!")
    await running.stdout.readline()

    running.send_signal("TERM")

    ended = await running.wait()
    assert ended.stdout == "told\n"


async def test_a_closed_connection_leaves_the_command_running(hosts: DemoHosts, host: DemoHost, ask: Ask) -> None:
    other = await connect(hosts, host)
    running = await other.create_process("echo $$; sleep 300")
    pid = int((await running.stdout.readline()).strip())
    other.close()
    await other.wait_closed()

    assert (await ask(f"ps -o args= -p {pid}")).exit_status == 0
    assert pid in host.system.processes


async def test_output_after_the_client_left_ends_the_command(hosts: DemoHosts, host: DemoHost, ask: Ask) -> None:
    other = await connect(hosts, host)
    running = await other.create_process("echo $$; while :; do echo more; sleep 0.001; done")
    pid = int((await running.stdout.readline()).strip())
    ended = host.system.processes[pid].ended
    other.close()
    await other.wait_closed()

    await asyncio.wait_for(ended.wait(), 5)


async def test_a_client_that_does_not_read_makes_the_command_wait(
    client: asyncssh.SSHClientConnection, host: DemoHost
) -> None:
    running = await client.create_process("while :; do cat /var/log/nginx/access.log; done", window=65_536)
    await running.stdout.read(100)
    running.stdout.channel.pause_reading()
    for _ in range(200):
        await asyncio.sleep(0)

    assert (await client.run("echo here", check=True)).stdout == "here\n"
    running.close()


async def test_twenty_sessions_at_once(client: asyncssh.SSHClientConnection, host: DemoHost) -> None:
    answers = await asyncio.gather(*(client.run(f"read x; sleep 0.01; echo {n}$x", input="!\n") for n in range(20)))

    assert [answer.stdout for answer in answers] == [f"{n}!\n" for n in range(20)]
    assert not [process for process in host.system.processes.values() if process.task is not None]


async def test_the_exit_status_and_both_streams_arrive(ask: Ask) -> None:
    answer = await ask("echo out; echo err >&2; exit 41")

    assert (answer.exit_status, answer.stdout, answer.stderr) == (41, "out\n", "err\n")


async def test_a_shell_without_a_command_greets_and_obeys(client: asyncssh.SSHClientConnection) -> None:
    answer = await client.run(input="echo $((6 * 7))\n")

    assert str(answer.stdout).startswith("web-01 is a simulated demo host. Nothing here is real")
    assert str(answer.stdout).endswith("\n42\n")


async def test_the_key_is_private_and_the_host_keys_are_known(hosts: DemoHosts) -> None:
    assert stat.S_IMODE(hosts.key_file.stat().st_mode) == 0o600
    lines = hosts.known_hosts.read_text().splitlines()
    assert lines == [host.host_key_line for host in hosts.hosts]
    assert lines[0].startswith(f"[127.0.0.1]:{hosts.hosts[0].port} ssh-ed25519 AAAA")


async def test_another_host_s_key_is_noticed(hosts: DemoHosts) -> None:
    first, second = hosts.hosts
    swapped = f"[127.0.0.1]:{first.port} {second.host_key_line.partition(' ')[2]}\n"

    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await asyncssh.connect(
            first.address,
            first.port,
            username=hosts.user,
            client_keys=[str(hosts.key_file)],
            known_hosts=swapped.encode(),
            config=[],
        )


@pytest.mark.parametrize("wrong", ["key", "user"])
async def test_strangers_stay_outside(hosts: DemoHosts, host: DemoHost, wrong: str) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(asyncssh.Error):
        async with asyncssh.connect(
            host.address,
            host.port,
            username="root" if wrong == "user" else hosts.user,
            client_keys=[stranger if wrong == "key" else str(hosts.key_file)],
            known_hosts=str(hosts.known_hosts),
            agent_path=None,
            config=[],
        ) as connection:
            await connection.run("id")


async def test_hosts_are_apart(hosts: DemoHosts, ask: Ask) -> None:
    await ask("sudo -n systemctl stop nginx; sudo -n sh -c 'echo x > /etc/mark'")

    other = await connect(hosts, hosts.host("web-02"))
    answer = await other.run("systemctl is-active nginx; hostname; test -e /etc/mark")
    other.close()
    await other.wait_closed()

    assert (answer.stdout, answer.exit_status) == ("active\nweb-02\n", 1)


async def test_closing_leaves_no_process_and_no_task_behind(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    hosts = await start_demo_hosts(tmp_path, now=lambda: NOON)
    connection = await connect(hosts, hosts.hosts[0])
    for line in (
        "sleep 300",
        "sleep 300 & sleep 300 | cat",
        "sudo -n systemctl restart nginx",
        "trap '' TERM; sleep 300",
    ):
        await connection.create_process(line)
    await connection.run("echo")

    await hosts.close()
    connection.close()
    await connection.wait_closed()
    for _ in range(10):
        await asyncio.sleep(0)

    assert all(not host.system.processes for host in hosts.hosts)
    assert asyncio.all_tasks() <= before


async def test_a_taken_port_is_told_and_closes_what_was_started(hosts: DemoHosts, tmp_path: Path) -> None:
    taken = hosts.hosts[0].port

    with pytest.raises(OSError, match=str(taken)):
        await start_demo_hosts(tmp_path / "again", ("a", "b"), ports={"b": taken})
