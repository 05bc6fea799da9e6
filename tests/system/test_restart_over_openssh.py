"""A real service behind a real sshd: a restart changes its main pid, and one that fails says why."""

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.playground.workspace import Workspace
from tests.system.openssh import OpenSsh, alive, openssh
from tests.system.serving import Bot, configuration, require_program, sees

SYSTEMCTL = Path(sys.executable).with_name("systemctl3")
# `systemctl` here is docker-systemctl-replacement in its --user mode, on unit files in a folder; there is no systemd.
SHIM = """\
#!/bin/sh
export XDG_CONFIG_HOME={folder}/config XDG_RUNTIME_DIR={folder}/run XDG_DATA_HOME={folder}/data
export XDG_CACHE_HOME={folder}/cache HOME={folder} TMPDIR={folder}/tmp
exec {tool} --user "$@"
"""
SUDO = '#!/bin/sh\n# It asks nothing and changes no user.\n[ "$1" = -n ] && shift\nexec "$@"\n'
# sshd takes the first SetEnv of its file only, and that one is taken.
ENTER = """\
#!/bin/sh
PATH={folder}/bin:/usr/local/bin:/usr/bin:/bin
export PATH
exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"
"""
UNIT = """\
[Unit]
Description={name} of a test
[Service]
Type=simple
ExecStartPre={folder}/check-{name}
ExecStart=/bin/sleep {seconds}
TimeoutStopSec=5
[Install]
WantedBy=default.target
"""
SERVICES = {"pumpd": 31_771, "valved": 31_772}


@dataclass(frozen=True, kw_only=True)
class ServiceHost:
    """An sshd with a `systemctl` and the two services."""

    ssh: OpenSsh
    folder: Path

    def systemctl(self, *words: str) -> str:
        """Not over SSH. What is started keeps its output open, so that goes to a file."""
        path = self.folder / "systemctl.log"
        with path.open("w") as log:
            subprocess.run([self.folder / "bin/systemctl", *words], stdout=log, stderr=log, check=False, timeout=60)
        return path.read_text()

    def main_pid(self, name: str) -> int:
        """As systemd would tell it."""
        return int(self.systemctl("show", name, "-p", "MainPID").strip().removeprefix("MainPID="))

    def break_config(self, name: str) -> None:
        """Its next start fails."""
        (self.folder / f"check-{name}").write_text("#!/bin/sh\nexit 1\n")


@pytest.fixture
def service_host(tmp_path: Path) -> Iterator[ServiceHost]:
    """Up, with both services started."""
    require_program(None if SYSTEMCTL.exists() else f"{SYSTEMCTL} is missing: docker-systemctl-replacement")
    folder = tmp_path / "host"
    for part in ("bin", "run", "tmp", "data", "cache", "config/systemd/user"):
        (folder / part).mkdir(parents=True)
    (folder / "run").chmod(0o700)
    shim, enter = SHIM.format(folder=folder, tool=SYSTEMCTL), ENTER.format(folder=folder)
    for name, text in {"systemctl": shim, "sudo": SUDO, "enter": enter}.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    for name, seconds in SERVICES.items():
        check = folder / f"check-{name}"
        check.write_text("#!/bin/sh\nexit 0\n")
        check.chmod(0o755)
        unit = UNIT.format(name=name, folder=folder, seconds=seconds)
        (folder / f"config/systemd/user/{name}.service").write_text(unit)
    with openssh(folder, more=f"ForceCommand {folder}/bin/enter") as server:
        host = ServiceHost(ssh=server, folder=folder)
        try:
            for name in SERVICES:
                host.systemctl("start", name)
            yield host
        finally:
            for name in SERVICES:
                host.systemctl("stop", name)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def bot(workspace: Workspace, service_host: ServiceHost, tmp_path: Path) -> AsyncIterator[Bot]:
    """A running bot that knows this host."""
    config = configuration({"web-01": service_host.ssh}, tmp_path)
    bot = Bot(
        folder=tmp_path, slack=workspace, database_url=f"sqlite+aiosqlite:///{tmp_path}/handrail.db", config=config
    )
    workspace.events_url = bot.events_url
    await bot.start()
    yield bot
    bot.kill()


async def test_a_restart_changes_the_main_pid_and_says_both(
    bot: Bot, workspace: Workspace, service_host: ServiceHost
) -> None:
    before = service_host.main_pid("pumpd")
    assert before > 0
    await workspace.command("bob", "incidents", "/runbook restart pumpd on web-01 settle=1")
    said = await sees(workspace, "succeeded in")
    after = service_host.main_pid("pumpd")
    assert after not in {0, before}
    assert alive(after)
    assert not alive(before)
    await sees(workspace, f"pumpd pid {before} -> {after}")
    assert "systemctl restart pumpd" in said


async def test_a_service_that_does_not_start_ends_as_failed_with_its_last_words(
    bot: Bot, workspace: Workspace, service_host: ServiceHost
) -> None:
    service_host.break_config("valved")
    await workspace.command("bob", "incidents", "/runbook restart valved on web-01 settle=1")
    words = ("failed after", "*Failed*", "exit status", "Last lines", "control process exited with error code")
    assert "succeeded in" not in await sees(workspace, *words)


async def test_a_service_nobody_knows_is_refused_in_words(bot: Bot, workspace: Workspace) -> None:
    await workspace.command("bob", "incidents", "/runbook restart nosuchd on web-01")
    await sees(workspace, "web-01 has no unit nosuchd")
