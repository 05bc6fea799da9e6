"""The pictures of the pages: each that is shown is there, and each that is there is shown."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHOWN = re.compile(r"""(?:\]\(|src=")([^)"\s]+\.png)""")


def test_every_picture_is_shown_and_every_one_shown_is_there() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    shown = {(page.parent / name).resolve() for page in pages for name in SHOWN.findall(page.read_text())}
    assert shown == {path.resolve() for path in (ROOT / "docs").glob("**/*.png")}
