"""A PostgreSQL server for the tests: one named by HANDRAIL_TEST_POSTGRES, else the system's own programs, started here.

Where neither is to be had the tests that need it are skipped, except in CI, where that is a failure.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def missing() -> str | None:
    """Why there can be no server; None when there can."""
    if os.environ.get("HANDRAIL_TEST_POSTGRES") or any((folder / "initdb").exists() for folder in PROGRAMS):
        return None
    return "no PostgreSQL: install Debian's `postgresql`, or name a server in HANDRAIL_TEST_POSTGRES"


class Postgres:
    """A server on a socket in a temporary folder; only a `durable` one waits for the disk."""

    def __init__(self, *, durable: bool = False) -> None:
        self.durable = durable
        self.given = os.environ.get("HANDRAIL_TEST_POSTGRES")
        self.folder: Path | None = None
        self.bin = next((f for f in PROGRAMS if (f / "initdb").exists()), Path())

    def __enter__(self) -> "Postgres":
        if self.given:
            return self
        self.folder = Path(tempfile.mkdtemp(prefix="handrail-pg-"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", pwd.getpwnam("postgres").pw_gid)
        self._run("initdb", "-D", str(self.folder / "data"), "-U", "handrail", "-A", "trust", "--no-sync", "-E", "UTF8")
        self.start()
        return self

    def start(self) -> None:
        """Start it (again)."""
        options = (
            f"-k {self.folder} -c listen_addresses='' -c fsync={'on' if self.durable else 'off'} -c max_connections=200"
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                self._run(
                    "pg_ctl", "-D", f"{self.folder}/data", "-w", "-l", f"{self.folder}/log", "-o", options, "start"
                )
                return
            except subprocess.CalledProcessError:
                # After a kill the last of its processes may hold the memory that they shared a moment longer.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def stop(self, how: str = "immediate") -> None:
        """End it."""
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-m", how, "-w", "stop")

    def kill(self) -> None:
        """End it without a goodbye, as the kernel would when memory runs out."""
        pids = [int((Path(f"{self.folder}/data") / "postmaster.pid").read_text().split()[0])]
        found = subprocess.run(["pgrep", "-P", str(pids[0])], capture_output=True, text=True, check=False)
        for pid in [*pids, *map(int, found.stdout.split())]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        Path(f"{self.folder}/data/postmaster.pid").unlink(missing_ok=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.folder is not None:
            with contextlib.suppress(subprocess.CalledProcessError):  # it was stopped before
                self.stop()
            shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """A SQLAlchemy URL of one database."""
        if self.given:
            return self.given.rsplit("/", 1)[0] + f"/{database}"
        return f"postgresql+psycopg://handrail@/{database}?host={self.folder}"

    def new_database(self, name: str, *, template: str = "template1") -> str:
        """Make a database, empty or as a copy, and return its URL."""
        import psycopg

        plain = self.url().replace("postgresql+psycopg://", "postgresql://")
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        return self.url(name)

    def _run(self, program: str, *args: str) -> None:
        command = [str(self.bin / program), *args]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/")
