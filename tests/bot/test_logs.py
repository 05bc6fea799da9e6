"""Logs: what is written, and what never is. Real processes, because logging belongs to a whole process."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SECRET = "correct-horse-battery-staple"
TOKEN = "xoxb-" + "1234567890-1234567890123-" + "AbCdEfGhIjKlMnOpQrStUvWx"


def ran(script: str, **options: str) -> "subprocess.CompletedProcess[str]":
    """A script after `configure` with a secret; `options` are its further arguments as source."""
    given = "".join(f", {name}={value}" for name, value in options.items())
    source = "\n".join(
        [
            "import logging, structlog",
            "from bot import logs",
            f"logs.configure(secrets=[{SECRET!r}]{given})",
            "log = structlog.get_logger('tests')",
            script,
        ]
    )
    env = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, env=env, check=True)


def logged(script: str, **options: str) -> list[dict[str, Any]]:
    """The JSON lines it wrote, and nothing on standard output."""
    done = ran(script, **options)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_an_event_is_one_json_line_with_its_fields() -> None:
    (line,) = logged("log.info('step_finished', execution=7, host='web-01', exit_status=0)")
    assert (line["event"], line["execution"], line["host"], line["exit_status"]) == ("step_finished", 7, "web-01", 0)
    assert line["level"] == "info"
    assert line["logger"] == "tests"
    assert line["timestamp"].endswith("Z")


def test_a_secret_is_masked_wherever_it_stands() -> None:
    (line,) = logged(
        f"log.warning('x {SECRET}', text={SECRET!r}, deep={{'a': [{SECRET!r}, ({SECRET!r},)]}}, "
        f"error=ValueError({SECRET!r}), token={TOKEN!r}, count=3)"
    )
    written = json.dumps(line)
    assert SECRET not in written
    assert TOKEN not in written
    assert line["count"] == 3


def test_a_field_named_for_a_secret_is_masked_whatever_it_holds() -> None:
    (line,) = logged(
        "log.info('login', password='swordfish', deep={'api_key': 'opensesame', 'user': 'ana'}, "
        "token='', secret='${DB_PASSWORD}', reason='swordfish')"
    )
    assert line["password"] == line["deep"]["api_key"] == "[redacted]"
    assert (line["deep"]["user"], line["token"], line["secret"]) == ("ana", "", "${DB_PASSWORD}")
    assert line["reason"] == "swordfish"


def test_a_secret_in_a_traceback_is_masked_and_the_rest_of_it_stays() -> None:
    script = (
        f"try:\n    raise RuntimeError('no {SECRET} here')\nexcept RuntimeError:\n    log.exception('round_failed')"
    )
    (line,) = logged(script)
    assert "RuntimeError" in line["exception"]
    assert "Traceback" in line["exception"]
    assert SECRET not in json.dumps(line)


def test_libraries_logs_go_the_same_way_and_their_chatter_does_not() -> None:
    lines = logged(
        f"logging.getLogger('asyncssh').info('chatter')\nlogging.getLogger('asyncssh').warning('lost %s', {SECRET!r})"
    )
    assert [(line["logger"], line["level"]) for line in lines] == [("asyncssh", "warning")]
    assert lines[0]["event"].startswith("lost ")
    assert SECRET not in lines[0]["event"]


def test_quiet_keeps_warnings_and_verbose_shows_everything() -> None:
    script = "log.debug('one')\nlog.info('two')\nlog.warning('three')"
    assert [line["event"] for line in logged(script, quiet="True")] == ["three"]
    assert [line["event"] for line in logged(script)] == ["two", "three"]
    assert [line["event"] for line in logged(script, verbose="True")] == ["one", "two", "three"]


def on_a_terminal(**environment: str) -> str:
    """What a terminal shows of one event."""
    ours, theirs = pty.openpty()
    source = (
        "import structlog\nfrom bot import logs\nlogs.configure(secrets=[])\n"
        "structlog.get_logger('tests').warning('lease_lost', execution=7)"
    )
    env = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], **environment}
    try:
        subprocess.run([sys.executable, "-c", source], stderr=theirs, env=env, check=True)
        return os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_gets_colours_unless_no_color_is_set() -> None:
    coloured, plain = on_a_terminal(), on_a_terminal(NO_COLOR="1")
    assert "\x1b[" in coloured
    assert "\x1b[" not in plain
    assert "lease_lost" in plain
    assert "execution=7" in plain
