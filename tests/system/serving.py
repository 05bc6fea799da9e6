"""`handrail serve` as a process of its own, on hosts that are real sshd's, with a library of runbooks made for tests.

What ran is counted on the host: `count` makes a new file with every run of a step, `hold` sleeps for a number of
seconds that no other test uses, so that its process can be found.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest
import yaml

from bot.playground.state import Message
from bot.playground.workspace import Workspace
from storage.database import Database
from tests.system import openssh
from tests.system.openssh import OpenSsh, free_port

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds anything may take here; nothing takes that long where all is well."""

LIBRARY = '''\
"""Runbooks for tests."""

from runbooks import (
    AbsolutePath,
    Category,
    Danger,
    Expect,
    Facts,
    Parameters,
    Plan,
    Run,
    Runbook,
    Seconds,
    minutes,
    positional,
)


class Timed(Parameters):
    """How long."""

    seconds: Seconds = positional("how long, in seconds")


class Hold(Runbook):
    """Hold a host for a while; running it twice would hold it twice."""

    name, category = "hold", Category.MAINTENANCE
    danger, cooldown, timeout = Danger.LOW, minutes(0), minutes(600)
    Params = Timed

    def plan(self, params: Timed, facts: Facts) -> Plan:
        return Plan(
            Run("Hold it", "sleep", str(params.seconds), timeout=minutes(600)),
            Run("Go on", "true"),
        )


class HoldSafely(Runbook):
    """Hold a host for a while; may be repeated."""

    name, category = "hold-safely", Category.MAINTENANCE
    danger, cooldown, timeout = Danger.LOW, minutes(0), minutes(600)
    Params = Timed

    def plan(self, params: Timed, facts: Facts) -> Plan:
        return Plan(Run("Hold it", "sleep", str(params.seconds), idempotent=True, timeout=minutes(600)))


class Giving(Parameters):
    """Where to take and where to put."""

    pipe: AbsolutePath = positional("a named pipe on the host")


class Take(Runbook):
    """Take what comes out of a pipe, when it comes; running it twice would wait for more."""

    name, category = "take", Category.MAINTENANCE
    danger, cooldown, timeout = Danger.LOW, minutes(0), minutes(5)
    Params = Giving

    def plan(self, params: Giving, facts: Facts) -> Plan:
        return Plan(
            Run("Take it", "cp", params.pipe, f"{params.pipe}.taken", timeout=60),
            Run("Go on", "mktemp", f"{params.pipe}.after.XXXXXXXX"),
        )


class GiveUp(Runbook):
    """Fail after a while."""

    name, category = "give-up", Category.MAINTENANCE
    danger, cooldown, timeout = Danger.LOW, minutes(0), minutes(5)
    Params = Timed

    def plan(self, params: Timed, facts: Facts) -> Plan:
        return Plan(Run("Fail", "timeout", "2", "sleep", str(params.seconds)), Run("Go on", "true"))


class Place(Parameters):
    """Where runs are counted."""

    folder: AbsolutePath = positional("folder on the host")


class Count(Runbook):
    """Leave a new file with every run of a step; six steps."""

    name, category = "count", Category.MAINTENANCE
    danger, cooldown, timeout = Danger.LOW, minutes(0), minutes(5)
    max_hosts = 300
    Params = Place

    def plan(self, params: Place, facts: Facts) -> Plan:
        steps = [Run(f"Step {n}", "mktemp", f"{params.folder}/{facts.host}.{n}.XXXXXXXX") for n in range(1, 7)]
        return Plan(*steps)


class CountOnce(Runbook):
    """Leave one new file, at most every ten minutes."""

    name, category = "count-once", Category.MAINTENANCE
    danger, cooldown, timeout = Danger.LOW, minutes(10), minutes(5)
    Params = Place

    def plan(self, params: Place, facts: Facts) -> Plan:
        return Plan(Run("Count", "mktemp", f"{params.folder}/once.XXXXXXXX"))


class Careful(Runbook):
    """Leave one new file, after somebody else agreed."""

    name, category = "careful", Category.MAINTENANCE
    danger, cooldown, timeout = Danger.DANGEROUS, minutes(0), minutes(5)
    Params = Place

    def plan(self, params: Place, facts: Facts) -> Plan:
        return Plan(Run("Count", "mktemp", f"{params.folder}/careful.XXXXXXXX"))


class Flood(Runbook):
    \"\"\"Print without end.\"\"\"

    name, category = "flood", Category.MAINTENANCE
    danger, cooldown, timeout = Danger.LOW, minutes(0), minutes(5)

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        return Plan(Run("Flood", "yes", "<!channel> <@UALICE> all of you", timeout=2))


class Glance(Runbook):
    \"\"\"Look at a host without changing it.\"\"\"

    name, category = "glance", Category.MAINTENANCE
    danger, cooldown, timeout = Danger.READ, minutes(0), minutes(5)
    Params = Timed

    def plan(self, params: Timed, facts: Facts) -> Plan:
        return Plan(Expect("It is there", "test", "-d", "/"))


class Garbage(Runbook):
    \"\"\"Print what is no text.\"\"\"

    name, category = "garbage", Category.MAINTENANCE
    danger, cooldown, timeout = Danger.LOW, minutes(0), minutes(5)

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        return Plan(Run("Garbage", "head", "-c", "200000", "/dev/urandom"))
'''


def require_program(why: str | None) -> None:
    """Skip where something is missing, as `why` says; in CI that is a failure."""
    if why is not None:
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)


class SlackLike(Protocol):
    """What a process needs to know of a Slack."""

    bot_token: str
    signing_secret: str

    @property
    def api_url(self) -> str:
        """With a slash at its end."""
        ...


@dataclass(kw_only=True)
class Bot:
    """One installation: a folder, a configuration, a database; and the process that runs, if one does.

    `words` is its command: `serve`, or what stands beside one, which gets no Slack tokens if it is a worker.
    """

    folder: Path
    slack: SlackLike
    database_url: str
    config: Mapping[str, Any]
    port: int = field(default_factory=free_port)
    words: tuple[str, ...] = ("serve",)
    module: str = "bot"
    app_token: str | None = None  # reached by Socket Mode then, and not over HTTP
    patience: float = PATIENCE  # seconds it may take to start
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def serves(self) -> bool:
        """Whether Slack may send it requests."""
        return self.words[0] == "serve"

    @property
    def events_url(self) -> str:
        """Where Slack posts to."""
        return f"http://127.0.0.1:{self.port}/slack/events"

    @property
    def environment(self) -> dict[str, str]:
        """As an operator would set it."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HANDRAIL_", "SLACK_"))}
        if self.serves:
            kept |= {
                "SLACK_BOT_TOKEN": self.slack.bot_token,
                "SLACK_API_URL": self.slack.api_url,
            }
            kept |= (
                {"SLACK_SIGNING_SECRET": self.slack.signing_secret}
                if self.app_token is None
                else {"SLACK_APP_TOKEN": self.app_token}
            )
        return kept | {
            "HANDRAIL_CONFIG": str(self.folder / "handrail.yml"),
            "HANDRAIL_DATABASE_URL": self.database_url,
            "HANDRAIL_LISTEN": f"127.0.0.1:{self.port}",
        }

    async def start(self) -> None:
        """Up when it says that it is ready."""
        (self.folder / "handrail.yml").write_text(yaml.safe_dump(dict(self.config), sort_keys=False))
        with (self.folder / "bot.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 -- it returns at once
                [sys.executable, "-m", self.module, *self.words], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        await until(self._is_ready, "the bot being ready", self.log, timeout=self.patience)

    async def _is_ready(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise AssertionError(f"The bot ended.\n{self.log()}")
        try:
            ready = f"http://127.0.0.1:{self.port}/readyz"
            async with aiohttp.ClientSession() as session, session.get(ready) as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def kill(self) -> None:
        """As a crash would: no goodbye."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)
            self.process = None

    async def stop(self) -> int | None:
        """As an operator would; its exit status."""
        if self.process is None:
            return None
        process, self.process = self.process, None
        process.terminate()
        try:
            return await asyncio.to_thread(process.wait, 45)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
            raise AssertionError(f"The bot did not stop.\n{self.log()}") from None

    async def handrail(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Another command of the same installation."""
        command = [sys.executable, "-m", "bot", *words]
        return await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=60
        )

    def log(self) -> str:
        """The end of what it logged."""
        path = self.folder / "bot.log"
        return path.read_text(errors="replace")[-6_000:] if path.exists() else "(no log)"

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """Its database, to look into."""
        database = Database(self.database_url)
        await database.start()
        try:
            yield database
        finally:
            await database.close()


def configuration(hosts: Mapping[str, OpenSsh], folder: Path, **more: Any) -> dict[str, Any]:
    """A `handrail.yml` for these hosts: Alice an admin, Bob on call, Carol and Erin managers, Dave without a role."""
    library = folder / "library"
    library.mkdir(exist_ok=True)
    (library / "for_tests.py").write_text(LIBRARY)
    first = next(iter(hosts.values()))
    known = {host.port: host.known_hosts for host in hosts.values()}
    (folder / "known_hosts").write_bytes(b"".join(known.values()))
    return {
        "channels": {"alerts": "C0OPS"},
        "roles": {"UALICE": "ADMIN", "UBOB": "NOC", "UCAROL": "MANAGER", "UERIN": "MANAGER"},
        "emergency": ["UALICE"],
        "ssh": {"known_hosts": "known_hosts", "user": first.host.user, "key_file": str(first.key_file)},
        "hosts": {name: {"address": "127.0.0.1", "port": host.port} for name, host in hosts.items()},
        "limits": {"global": "1000/min", "service": "1000/min", "runbook": "1000/min"},
        "library": ["library"],
        **more,
    }


async def until(
    condition: Callable[[], Any], what: str, shown: Callable[[], str] = str, *, timeout: float = PATIENCE
) -> Any:
    """Wait for a condition (plain or async) and give its value; the error shows what stands there instead."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"Not within {timeout:g} s: {what}.\n{shown()}")
        await asyncio.sleep(0.05)


def everything(workspace: Workspace, channel: str = "incidents") -> list[Message]:
    """Every message of a channel and its threads."""
    found: list[Message] = []
    for message in workspace.messages(channel):
        found.append(message)
        found += [reply for reply in workspace.messages(channel, thread_ts=message.ts) if reply.ts != message.ts]
    return found


async def button(workspace: Workspace, label: str, *, saying: str = "") -> Message:
    """The newest message that offers this button."""

    def offered(here: Workspace) -> Message | None:
        found = [m for m in everything(here) if label in here.buttons(m) and saying in here.read(m)]
        return found[-1] if found else None

    return await workspace.wait_for(offered, timeout=PATIENCE)


async def sees(workspace: Workspace, *said: str, channel: str = "incidents", timeout: float = PATIENCE) -> str:
    """Wait until every reader of the channel sees all of this; the channel then."""
    await workspace.wait_for(lambda here: all(part in here.transcript(channel) for part in said), timeout=timeout)
    return workspace.transcript(channel)


async def told(workspace: Workspace, person: str, said: str, *, channel: str = "incidents") -> str:
    """Wait until this person is told something that others do not see."""

    def heard(here: Workspace) -> str | None:
        return next((m.text for m in here.ephemeral(person, channel) if said in here.read(m) or said in m.text), None)

    try:
        return await workspace.wait_for(heard, timeout=PATIENCE)
    except TimeoutError as error:
        everything_told = "\n".join(workspace.read(m) for m in workspace.ephemeral(person, channel))
        raise AssertionError(f"{person} was not told {said!r}, but:\n{everything_told}\n{error}") from None


def sleepers(seconds: int) -> list[int]:
    """The pids of `sleep SECONDS` on this machine; files run side by side, so each uses numbers of its own."""
    return executing("sleep", str(seconds))


def executing(*words: str) -> list[int]:
    """The pids of what runs on this machine with such a command line, as far as it is given."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if tuple(line[: len(words)]) == words and openssh.alive(int(entry.name)):
                found.append(int(entry.name))
    return found


def counted(folder: Path) -> list[str]:
    """What ran, once for every run: the names of the steps, sorted."""
    return sorted(path.name.rpartition(".")[0] for path in folder.iterdir())
