"""What `ansible-playbook` takes for the same command on the same hosts, set as fast as it comes.

ansible-core is fetched from PyPI into a virtual environment of its own in a temporary folder, and is gone afterwards.
Pipelining, connections that persist, as many forks as hosts, no facts, the product's ciphers, each host free to go on.
"""

import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from runbooks.ssh import CIPHERS
from tests.bench.place import cpu_of, say
from tests.system.openssh import OpenSsh

IN_BULK = 40
"""Tasks of one playbook for all hosts, so that what starting costs is shared by many commands."""
CONFIG = """\
[defaults]
forks = {forks}
strategy = free
gathering = explicit
retry_files_enabled = false
[ssh_connection]
pipelining = true
control_path_dir = {folder}/c
ssh_args = -o ControlMaster=auto -o ControlPersist=600 -o UserKnownHostsFile={folder}/known_hosts -o Ciphers={ciphers}
"""


@dataclass(frozen=True, kw_only=True)
class Played:
    """For one command: seconds of wall, and of CPU of everything on this side (its `ssh` and their masters too)."""

    wall: float
    cpu: float


@dataclass(frozen=True, kw_only=True)
class Ansible:
    """Installed, with an inventory of the hosts."""

    folder: Path
    version: str
    hosts: Sequence[str]

    async def one_by_one(self, command: str, times: int) -> Played:
        """Four commands on one host, as a run of its own each time; on all hosts side by side."""
        book = self._book("command", command, 4)
        left = iter(range(times))

        async def work(host: str) -> None:
            for _ in left:
                await self._run(book, "--limit", host)

        async def play() -> None:
            await asyncio.gather(*map(work, self.hosts))

        return await self._measured(play, times * 4)

    async def in_bulk(self, module: str, command: str) -> Played:
        """Many commands on each host by one run."""
        book = self._book(module, command, IN_BULK)
        return await self._measured(lambda: self._run(book), IN_BULK * len(self.hosts))

    async def _measured(self, play: Callable[[], Awaitable[None]], commands: int) -> Played:
        """The connections stand when it begins."""
        await self._run(self._book("command", "true", 1))
        before, began = self._cpu(), time.perf_counter()
        await play()
        return Played(wall=(time.perf_counter() - began) / commands, cpu=(self._cpu() - before) / commands)

    def _book(self, module: str, command: str, tasks: int) -> Path:
        path = self.folder / f"{module}{tasks}.yml"
        steps = [{"name": f"Step {number}", f"ansible.builtin.{module}": command} for number in range(tasks)]
        path.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": steps}]))
        return path

    async def _run(self, book: Path, *more: str) -> None:
        environment = os.environ | {
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "LC_ALL": "C.UTF-8",
        }
        program, inventory = self.folder / "venv/bin/ansible-playbook", self.folder / "hosts.yml"
        done = await asyncio.to_thread(
            subprocess.run,
            [program, "-i", inventory, book, *more],
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            raise SystemExit(f"ansible-playbook ended with {done.returncode}: {(done.stdout + done.stderr)[-600:]}")

    def _cpu(self) -> float:
        """Of all that was waited for, and of the masters, which stay."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime + sum(cpu_of(pid) for pid in self._masters())

    def _masters(self) -> Iterator[int]:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if str(self.folder / "c").encode() in (folder / "cmdline").read_bytes():
                    yield int(folder.name)
            except OSError:  # it has ended meanwhile
                continue


async def installed(folder: Path, hosts: Mapping[str, OpenSsh]) -> Ansible | str:
    """In this folder, for these hosts; or why it could not be had."""
    say("  fetching ansible-core from PyPI")
    for words in ((sys.executable, "-m", "venv", "venv"), ("venv/bin/pip", "install", "--quiet", "ansible-core")):
        done = await asyncio.to_thread(subprocess.run, words, cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            return (done.stderr.strip().splitlines() or [f"`{' '.join(words)}` ended with {done.returncode}"])[-1]
    told = await asyncio.to_thread(
        subprocess.run, ["venv/bin/pip", "show", "ansible-core"], cwd=folder, capture_output=True, text=True, check=True
    )
    known = b"".join(host.known_hosts for host in hosts.values())
    (folder / "known_hosts").write_bytes(known)
    config = CONFIG.format(forks=len(hosts), folder=folder, ciphers=",".join(CIPHERS))
    (folder / "ansible.cfg").write_text(config)
    inventory = {
        name: {
            "ansible_host": "127.0.0.1",
            "ansible_port": host.port,
            "ansible_user": host.host.user,
            "ansible_ssh_private_key_file": str(host.key_file),
            "ansible_python_interpreter": sys.executable,
        }
        for name, host in hosts.items()
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": inventory}}))
    return Ansible(folder=folder, hosts=tuple(hosts), version=told.stdout.partition("Version: ")[2].splitlines()[0])
