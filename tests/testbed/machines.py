"""Real hosts with systemd to try things on: names, a way in as root, and ways to break them.

They are made by a script that is not part of this repository; `HANDRAIL_TESTBED` or an option names it. It knows the
verbs `up`, `reset`, `heal`, `break`, `fill`, `cut`, `slow`, `rekey`, `runaway`, `ssh` and `inventory` (JSON).
"""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Machines:
    """The script, and what it says."""

    script: Path

    @classmethod
    def at(cls, given: str | None) -> "Machines":
        """Where an option or the environment says; ends the program in words where neither does."""
        path = Path(given or os.environ.get("HANDRAIL_TESTBED", "")).expanduser()
        if not path.is_file():
            raise SystemExit("Name the script that makes the hosts: --hosts PATH, or HANDRAIL_TESTBED.")
        return cls(script=path.resolve())

    async def do(self, *words: str, timeout: float = 180) -> str:
        """Run one verb; what it printed. Raises RuntimeError when it ends badly."""
        status, said = await self.ask(*words, timeout=timeout)
        if status != 0:
            raise RuntimeError(f"`hosts {' '.join(words)}` ended with {status}: {said[-500:]}")
        return said

    async def ask(self, *words: str, timeout: float = 180) -> tuple[int, str]:
        """Exit status and output of one verb."""
        process = await asyncio.create_subprocess_exec(
            str(self.script),
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(timeout):
            said, _ = await process.communicate()
        return process.returncode or 0, said.decode(errors="replace").strip()

    async def root(self, name: str, command: str) -> str:
        """What a shell says on the host, as root."""
        return (await self.ask("ssh", f"root@{name}", command))[1]

    async def inventory(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What the script knows of these hosts, by name."""
        known = json.loads(await self.do("inventory"))
        return {host["name"]: host for host in known if host["name"] in names}

    async def configuration(self, names: Sequence[str], **more: Any) -> dict[str, Any]:
        """A `handrail.yml` for these hosts: Alice an admin, Bob on call, Carol and Erin managers."""
        hosts = await self.inventory(names)
        first = next(iter(hosts.values()))
        return {
            "channels": {"alerts": "C0OPS"},
            "roles": {"UALICE": "ADMIN", "UBOB": "NOC", "UCAROL": "MANAGER", "UERIN": "MANAGER"},
            "emergency": ["UALICE"],
            "ssh": {"known_hosts": first["known_hosts"], "user": first["user"], "key_file": first["private_key"]},
            "hosts": {
                name: {"address": host["address"], "port": host["port"], "services": host["services"], "tags": ["lab"]}
                for name, host in hosts.items()
            },
            "limits": {"global": "1000/min", "service": "1000/min", "runbook": "1000/min"},
            **more,
        }
