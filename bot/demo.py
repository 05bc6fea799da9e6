"""The demo: a local workspace, demo hosts and the unmodified bot between them, in one process and a temporary folder.

The bot knows only that `SLACK_API_URL` points elsewhere. Everything is simulated, and everything is gone at the end.
"""

import contextlib
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from bot import app as bot_app
from bot import manifest
from bot import settings as bot_settings
from bot.playground.gestures import CommandSpec, ShortcutSpec
from bot.playground.hosts import DemoHosts, start_demo_hosts
from bot.playground.workspace import PEOPLE, FirstLine, Workspace
from storage.errors import ConfigurationError

FIRST_LINE = "/runbook restart nginx on web-01"
SHORTCUTS = tuple(
    ShortcutSpec(name=one.name, callback_id=one.callback_id, description=one.about, on_message=one.on_message)
    for one in manifest.SHORTCUTS
)
COMMANDS = tuple(
    CommandSpec(command=name, description=about, usage_hint=hint, should_escape=True)
    for name, about, hint in manifest.COMMANDS
)
"""The app's own, as its manifest has them."""

CONFIG = "handrail.yml"

PORT = 4242
"""The page's, where it is free: a page that is still open finds the next demo again."""
TITLES = {"UALICE": "admin", "UBOB": "on call", "UCAROL": "approves", "UDAVE": "no role"}
FIRST_LINES = (
    FirstLine(
        text=FIRST_LINE, about="Restarts a service. The replies below its card show each command and its output."
    ),
    FirstLine(text="/runbook", about="Opens a form: search, fill in, see the plan, then run it."),
    FirstLine(
        text="/runbook kill report-worker on web-02",
        about="Is dangerous: somebody else must approve it. Become Carol in the menu on top, and press Approve.",
    ),
    FirstLine(text="/runbook restart app settle=60 on web-02", about="Takes a minute: time to press Cancel."),
    FirstLine(text="/runbook help", about="Says what else there is."),
)
"""What the page offers to begin with, as long as nothing was said there."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What runs. `url` is the page of the workspace."""

    url: str
    workspace: Workspace
    hosts: DemoHosts
    app: bot_app.App
    folder: Path
    port: int


@contextlib.asynccontextmanager
async def demo(
    *,
    port: int = 0,
    bot_port: int = 0,
    rate_limits: bool = True,
    over_sockets: bool = False,
    library: Path | None = None,
) -> AsyncIterator[Demo]:
    """Start everything; ports are chosen freely unless given. Raises ConfigurationError when one is taken.

    `over_sockets`: the bot is reached by Socket Mode instead of over HTTP. `library`: a folder of runbooks beside the
    built-in ones; one that is not there raises ConfigurationError.
    """
    with tempfile.TemporaryDirectory(prefix="handrail-demo-") as name:
        folder = Path(name)
        workspace = Workspace(
            rate_limits=rate_limits,
            people=[replace(person, title=TITLES[person.id]) for person in PEOPLE],
            command_specs=COMMANDS,
            shortcut_specs=SHORTCUTS,
            scopes=frozenset(manifest.SCOPES),
            subscriptions=frozenset(manifest.EVENTS),
            takes_messages=False,
            first_lines=FIRST_LINES,
        )
        async with contextlib.AsyncExitStack() as stack:
            hosts = await start_demo_hosts(folder)
            stack.push_async_callback(hosts.close)
            try:
                await workspace.start(port=port)
            except OSError as error:
                why = f"The demo cannot listen on port {port}: {_reason(error)}. Name another, or 0 for a free one."
                raise ConfigurationError([why]) from error
            stack.push_async_callback(workspace.close)
            _write_config(folder, hosts, library)
            settings = bot_settings.load(environment=_environment(folder, workspace, bot_port, over_sockets))
            if settings.slack is None:
                raise ConfigurationError(["The demo has no tokens."])
            ports: list[int] = []
            app = await stack.enter_async_context(bot_app.running(settings, settings.slack, on_ready=ports.append))
            await app.started.wait()
            if over_sockets:
                await workspace.wait_for(lambda here: here.sockets.count > 0, timeout=30)
            else:
                workspace.events_url = f"http://127.0.0.1:{ports[0]}/slack/events"
            yield Demo(url=workspace.url, workspace=workspace, hosts=hosts, app=app, folder=folder, port=ports[0])


def usual_port() -> int:
    """`PORT`, or 0 for any that is free where something listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return 0
    return PORT


def _reason(error: OSError) -> str:
    """What the system says, without what asyncio puts around it."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


def _write_config(folder: Path, hosts: DemoHosts, library: Path | None) -> None:
    own = {"library": [str(library.absolute())]} if library is not None else {}
    text = yaml.safe_dump({**_config(hosts), **own}, sort_keys=False)
    (folder / CONFIG).write_text(text, encoding="utf-8")


def _environment(folder: Path, workspace: Workspace, bot_port: int, over_sockets: bool) -> Mapping[str, str]:
    return {
        "SLACK_BOT_TOKEN": workspace.bot_token,
        **(
            {"SLACK_APP_TOKEN": workspace.app_token}
            if over_sockets
            else {"SLACK_SIGNING_SECRET": workspace.signing_secret}
        ),
        "SLACK_API_URL": workspace.api_url,
        "HANDRAIL_CONFIG": str(folder / CONFIG),
        "HANDRAIL_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/handrail.db",
        "HANDRAIL_LISTEN": f"127.0.0.1:{bot_port}",
    }


def _config(hosts: DemoHosts) -> Mapping[str, object]:
    """Alice is an admin, Bob works at night, Carol approves, Dave has no role."""
    return {
        "channels": {"alerts": "C0OPS"},
        "roles": {"UALICE": "ADMIN", "UBOB": "NOC", "UCAROL": "MANAGER"},
        "emergency": ["UALICE"],
        "approvals": {"dangerous": "approve", "expire": "15m"},
        # Ten minutes would be most of a first look.
        "runbooks": {"restart-service": {"cooldown": "1m"}},
        "ssh": {"known_hosts": hosts.known_hosts.name, "user": hosts.user, "key_file": hosts.key_file.name},
        "hosts": {
            host.name: {
                "address": host.address,
                "port": host.port,
                "tags": ["web"],
                "services": sorted(host.system.services),
            }
            for host in hosts.hosts
        },
    }
