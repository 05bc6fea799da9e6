"""`handrail` that says what it has to say at once, instead of at the pace that Slack takes.

    python -m tests.system.unpaced serve

For a workspace without rate limits, where waiting for them would only take time. All else is the real thing.
"""

from bot import outbox
from bot.__main__ import main
from bot.pace import PaceSettings

AT_ONCE = PaceSettings(
    posts_per_channel=1_000.0,
    posts=1_000.0,
    edits=1_000.0,
    progress_edits=1_000.0,
    answers=1_000.0,
    files=1_000.0,
    seconds_between_edits_of_one=0.1,
)


if __name__ == "__main__":
    outbox.PaceSettings = lambda: AT_ONCE  # type: ignore[misc,assignment]
    main()
