"""Parts that only some machines have. Where one is missing its tests are skipped with a reason; in CI they fail."""

import os
from pathlib import Path

import pytest

CHROMIUM = "/usr/bin/chromium"


def a_part(path: str, *, package: str) -> None:
    """Skip, or fail in CI, unless this program is here."""
    if Path(path).exists():
        return
    reason = f"{path} is missing: install Debian's `{package}` to run this test"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
