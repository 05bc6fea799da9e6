"""Real processes and real hosts: a workspace in this process, sshd, and the bot as a process of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bot.playground.workspace import Workspace
from tests.system.openssh import OpenSsh, missing, openssh
from tests.system.serving import Bot, configuration, require_program


@pytest.fixture(scope="session")
def web_01(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSsh]:
    """One sshd for every test of this folder that needs a plain host."""
    require_program(missing())
    with openssh(tmp_path_factory.mktemp("web-01")) as server:
        yield server


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    """A Slack without rate limits, with one person more: Erin, a second approver."""
    workspace = Workspace(rate_limits=False)
    workspace.add_person(id="UERIN", name="erin", display_name="Erin Ek")
    workspace.add_channel(id="C0INC", name="incidents")
    async with workspace:
        yield workspace


@pytest.fixture
def installation(workspace: Workspace, web_01: OpenSsh, tmp_path: Path, database_url: str) -> Bot:
    """An installation on each database, not started yet."""
    return _installed(workspace, web_01, tmp_path, database_url)


@pytest.fixture
def on_sqlite(workspace: Workspace, web_01: OpenSsh, tmp_path: Path) -> Bot:
    """An installation for tests in which the database behind does not matter, not started yet."""
    return _installed(workspace, web_01, tmp_path, f"sqlite+aiosqlite:///{tmp_path}/handrail.db")


def _installed(workspace: Workspace, host: OpenSsh, folder: Path, database_url: str) -> Bot:
    bot = Bot(folder=folder, slack=workspace, database_url=database_url, config=configuration({"web-01": host}, folder))
    workspace.events_url = bot.events_url
    return bot


@pytest.fixture
async def bot(installation: Bot) -> AsyncIterator[Bot]:
    """A running bot on each database."""
    await installation.start()
    yield installation
    installation.kill()


@pytest.fixture
async def sqlite_bot(on_sqlite: Bot) -> AsyncIterator[Bot]:
    """A running bot on SQLite."""
    await on_sqlite.start()
    yield on_sqlite
    on_sqlite.kill()


@pytest.fixture
def counting(tmp_path: Path) -> Path:
    """A folder of the host, in which runs are counted."""
    folder = tmp_path / "counting"
    folder.mkdir()
    return folder
