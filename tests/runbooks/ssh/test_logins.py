"""Logging in with stored keys and passwords, and what is said where that fails."""

import traceback
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from runbooks.remote import Host, RemoteCommand
from storage.errors import HostError, HostUnreachable, LoginRefused
from tests.fakes import FakeVault
from tests.runbooks.ssh.conftest import Connect
from tests.runbooks.ssh.server import Server

TRUE = RemoteCommand(line="true")
PASSWORD = "correct-horse-battery"
WRONG = "wrong-horse-battery"
ROOT = Path(__file__).parents[3]


def with_password(server: Server, *, questions: bool = False) -> Host:
    """A host that is reached with a password alone."""
    server.password, server.asks_questions = PASSWORD, questions
    return replace(server.host, key_file=None, password="web/password")


@pytest.mark.parametrize("questions", [False, True])
async def test_a_stored_password_lets_in(server: Server, connect: Connect, questions: bool) -> None:
    host = with_password(server, questions=questions)
    vault = FakeVault(secrets={"web/password": PASSWORD})
    assert (await connect(vault=vault).run(host, TRUE)).exit_status == 0
    assert vault.opened == ["web/password"]


async def test_a_stored_key_lets_in_also_with_a_passphrase(server: Server, connect: Connect) -> None:
    plain = server.key_file.read_text()
    sealed = asyncssh.import_private_key(plain).export_private_key(passphrase=PASSWORD).decode()
    vault = FakeVault(secrets={"key": plain.rstrip("\n"), "sealed": sealed, "words": PASSWORD})
    for changes in ({"key": "key"}, {"key": "sealed", "passphrase": "words"}):
        host = replace(server.host, key_file=None, **changes)  # type: ignore[arg-type]
        assert (await connect(vault=vault).run(host, TRUE)).exit_status == 0


async def test_a_key_file_may_have_a_stored_passphrase(server: Server, connect: Connect, tmp_path: Path) -> None:
    file = tmp_path / "sealed"
    asyncssh.import_private_key(server.key_file.read_text()).write_private_key(str(file), passphrase=PASSWORD)
    host = replace(server.host, key_file=file, passphrase="words")
    vault = FakeVault(secrets={"words": PASSWORD})
    assert (await connect(vault=vault).run(host, TRUE)).exit_status == 0


async def test_a_key_that_is_refused_leaves_the_password(server: Server, connect: Connect) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    host = replace(with_password(server), key="key")
    vault = FakeVault(secrets={"key": stranger, "web/password": PASSWORD})
    assert (await connect(vault=vault).run(host, TRUE)).exit_status == 0


async def test_a_password_is_looked_up_for_each_connection(server: Server, connect: Connect) -> None:
    host = with_password(server)
    vault = FakeVault(secrets={"web/password": WRONG})
    remote = connect(vault=vault)
    with pytest.raises(LoginRefused):
        await remote.run(host, TRUE)
    vault.secrets["web/password"] = PASSWORD
    assert (await remote.run(host, TRUE)).exit_status == 0


async def test_a_wrong_password_is_said_by_its_name_alone(server: Server, connect: Connect) -> None:
    host = with_password(server)
    with pytest.raises(LoginRefused) as caught:
        await connect(vault=FakeVault(secrets={"web/password": WRONG})).run(host, TRUE)
    assert "with the password 'web/password'" in caught.value.message
    assert "handrail secrets set web/password" in caught.value.message
    assert WRONG not in everything_about(caught.value)
    assert server.logins == 0


async def test_a_secret_that_is_not_there_sends_nothing(server: Server, connect: Connect) -> None:
    host = with_password(server)
    with pytest.raises(LoginRefused, match=r"There is no login for 'web-01'.* no secret 'web/password'"):
        await connect(vault=FakeVault()).run(host, TRUE)
    with pytest.raises(LoginRefused, match="handrail secrets set web/password"):
        await connect().run(host, TRUE)
    assert server.connections == []


async def test_a_database_that_is_away_is_worth_another_try(
    server: Server, connect: Connect, pauses: list[float]
) -> None:
    with pytest.raises(HostUnreachable, match="nothing was sent"):
        await connect(vault=FakeVault(away=True)).run(with_password(server), TRUE)
    assert len(pauses) == 3


@pytest.mark.parametrize("passphrase", [None, "words"])
async def test_a_stored_key_that_is_none_is_said_without_quoting_it(
    server: Server, connect: Connect, passphrase: str | None
) -> None:
    text = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{WRONG}\n-----END OPENSSH PRIVATE KEY-----"
    host = replace(server.host, key_file=None, key="key", passphrase=passphrase)
    with pytest.raises(LoginRefused, match="'key' is no private key that can be read") as caught:
        await connect(vault=FakeVault(secrets={"key": text, "words": PASSWORD})).run(host, TRUE)
    assert WRONG not in everything_about(caught.value)
    assert PASSWORD not in everything_about(caught.value)


async def test_a_wrong_passphrase_is_said(server: Server, connect: Connect) -> None:
    key = asyncssh.import_private_key(server.key_file.read_text()).export_private_key(passphrase=PASSWORD).decode()
    host = replace(server.host, key_file=None, key="key", passphrase="words")
    with pytest.raises(LoginRefused, match="'words' is not its passphrase"):
        await connect(vault=FakeVault(secrets={"key": key, "words": WRONG})).run(host, TRUE)
    bare = replace(host, passphrase=None)
    with pytest.raises(LoginRefused, match="`passphrase` is not set"):
        await connect(vault=FakeVault(secrets={"key": key})).run(bare, TRUE)


def everything_about(error: HostError) -> str:
    """All that any log could print of it: its words, its causes, and the locals of our own code's frames."""
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(error.args)
    seen: BaseException | None = error
    while seen is not None:
        for frame, _ in traceback.walk_tb(seen.__traceback__):
            if Path(frame.f_code.co_filename).is_relative_to(ROOT / "runbooks"):
                shown += repr(frame.f_locals)
        seen = seen.__cause__ or seen.__context__
    return shown
