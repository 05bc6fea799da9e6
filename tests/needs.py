"""Parts that only some machines have. Where one is missing its tests are skipped with a reason; in CI they fail."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

CHROMIUM = "/usr/bin/chromium"
INSTALLING = 300  # seconds


def a_part(program: str, *, package: str) -> None:
    """Skip, or fail in CI, unless this program is here: a path, or a name."""
    if shutil.which(program) is None:
        do_without(f"{program} is missing: install Debian's `{package}` to run this test")


def node_packages(listed_in: Path, into: Path) -> Path:
    """The folder with exactly the packages of that lock file, installed into `into` by npm, without their scripts."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        do_without("node or npm is missing: install Debian's `nodejs` and `npm` to run this test")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(listed_in / name, into)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(command, cwd=into, capture_output=True, text=True, timeout=INSTALLING, check=False)
    if done.returncode:
        do_without(f"npm could not install what {listed_in.name} needs:\n{done.stdout}\n{done.stderr}")
    return into / "node_modules"


def do_without(reason: str) -> NoReturn:
    """Skip for this reason; fail in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
