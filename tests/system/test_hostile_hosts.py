"""Hosts that hang, lie about who they are, or print without end; and more executions than one process carries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.playground.workspace import Workspace
from storage import audit, executions
from storage.records import State
from tests.system.openssh import OpenSsh, free_port
from tests.system.serving import Bot, configuration, counted, everything, sees, until

MANY = 220
"""More than the 200 that one process carries at the same time."""


@asynccontextmanager
async def silent_server(greeting: bytes) -> AsyncIterator[int]:
    """Takes connections, says this, and nothing more: a host that hangs at connect, or at login."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def _with_host(bot: Bot, web_01: OpenSsh, name: str, port: int, key: str | None = None) -> None:
    """One host more; with the key of web-01 or another one in known_hosts."""
    bot.config = {**bot.config, "hosts": {**bot.config["hosts"], name: {"address": "127.0.0.1", "port": port}}}
    known = key or " ".join(web_01.known_hosts.decode().split()[1:])
    with (bot.folder / "known_hosts").open("a") as file:
        file.write(f"[127.0.0.1]:{port} {known}\n")


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9.2p1\r\n"])
async def test_a_host_that_hangs_holds_nobody_else_up_and_can_be_let_go(
    on_sqlite: Bot, workspace: Workspace, web_01: OpenSsh, counting: Path, greeting: bytes
) -> None:
    async with silent_server(greeting) as port:
        _with_host(on_sqlite, web_01, "hang-01", port)
        await on_sqlite.start()
        try:
            await workspace.command("bob", "incidents", f"/runbook count {counting} on hang-01")
            await workspace.command("bob", "incidents", f"/runbook count {counting} on web-01")
            await until(lambda: len(counted(counting)) == 6, "the other host's steps", on_sqlite.log)
            await workspace.command("bob", "incidents", "/killswitch host hang-01 on --now")
            await sees(workspace, "cancelled", "the kill switch (host hang-01) was engaged", "succeeded in")
        finally:
            on_sqlite.kill()


async def test_a_host_with_another_key_is_never_logged_in_to(
    on_sqlite: Bot, workspace: Workspace, web_01: OpenSsh, counting: Path, tmp_path: Path
) -> None:
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVyc3R6IGZhbHNjaGVyIHNjaGx1ZXNzZWwgMDAwMDAw"
    config = configuration({"web-01": web_01}, tmp_path)
    on_sqlite.config = config
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{web_01.port} {other}\n")
    await on_sqlite.start()
    try:
        await workspace.command("bob", "incidents", f"/runbook count {counting} on web-01")
        said = await sees(workspace, "failed")
        assert "somebody is in between" in said
        assert counted(counting) == []
        async with on_sqlite.database() as database:
            attempts = [s.attempt for s in await database.read(executions.steps_of, 1)]
        assert attempts in ([], [1]), "a wrong key is never tried again"
    finally:
        on_sqlite.kill()


async def test_a_host_that_is_down_fails_in_words(
    on_sqlite: Bot, workspace: Workspace, web_01: OpenSsh, counting: Path
) -> None:
    _with_host(on_sqlite, web_01, "down-01", free_port())
    await on_sqlite.start()
    try:
        await workspace.command("bob", "incidents", f"/runbook count {counting} on down-01,web-01")
        await sees(workspace, "failed", "Nothing listens at 'down-01'", "0 of 2 hosts succeeded")
        assert counted(counting) == [], "what comes after a failed host is not started"
    finally:
        on_sqlite.kill()


async def test_output_without_end_is_bounded_and_pings_nobody(bot: Bot, workspace: Workspace) -> None:
    await workspace.command("bob", "incidents", "/runbook flood on web-01")
    await sees(workspace, "timed out")
    for message in everything(workspace):
        assert "<!channel>" not in f"{message.text} {message.blocks}"
        assert "<@UALICE>" not in f"{message.text} {message.blocks}"
        assert len(str(message.blocks)) < 30_000
    async with bot.database() as database:
        [step] = await database.read(executions.steps_of, 1)
        kept = await database.read(executions.output_of, 1, host=None, last=100_000)
    assert step.dropped > 0
    assert sum(len(line.text) for line in kept) < 4_000_000
    await workspace.command("bob", "incidents", "/runbook garbage on web-01")
    await sees(workspace, "succeeded in")


async def test_more_executions_at_once_than_one_process_carries_all_come_to_their_end(
    on_sqlite: Bot, workspace: Workspace
) -> None:
    people = [f"UCREW{n}" for n in range(9)]
    for person in people:
        workspace.add_person(id=person, name=person.lower())
        workspace.invite("incidents", person)
    on_sqlite.config = {**on_sqlite.config, "roles": dict.fromkeys(people, "NOC")}
    await on_sqlite.start()
    try:
        for start in range(0, MANY, 20):
            numbers = range(start, min(start + 20, MANY))
            asking = (workspace.command(people[n % 9], "incidents", f"/runbook glance {n} on web-01") for n in numbers)
            assert all(ack.ok for ack in await asyncio.gather(*asking))

        async def ended() -> bool:
            async with on_sqlite.database() as database:
                return len(await database.read(executions.in_states, (State.SUCCEEDED,))) == MANY

        await until(ended, "every execution having succeeded", on_sqlite.log, timeout=60)
        async with on_sqlite.database() as database:
            assert (await database.read(audit.verify)).ok
    finally:
        on_sqlite.kill()
