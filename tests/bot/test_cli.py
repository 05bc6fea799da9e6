"""The command line, as real processes where a person or a script would notice the difference."""

import asyncio
import getpass
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from sqlalchemy import Connection, text, update

from bot import shell
from bot.demo import PORT
from bot.manifest import SCOPES
from bot.playground.hosts import start_demo_hosts
from bot.playground.workspace import Workspace
from runbooks.skeleton import skeleton
from storage import audit, controls, dead_letters, inbox, outbox
from storage import tables as t
from storage.database import Database, OwnerLock
from storage.errors import ConfigurationError, Invalid, NotFound, TooLate
from storage.records import Actor, Origin, OutboxKind, Scope, State
from tests.builders import a_healthy_nginx, a_house
from tests.fakes import FakeClock, Reply

ROOT = Path(__file__).parents[2]
ME = Actor(id="cli:ops", name="ops")
MYSELF = f"cli:{getpass.getuser()}"
BASE = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"}
GUARD_LINES = 'uptime\n{"cmd": "rm -rf /"}\n\n'


def handrail(
    *words: str, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = "", code: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run it to its end in a folder, with nothing but these variables set."""
    command = [sys.executable, "-m", "bot", *words] if code is None else [sys.executable, "-c", code]
    variables = {**BASE, **(env or {})}
    return subprocess.run(command, cwd=cwd, env=variables, input=stdin, capture_output=True, text=True, timeout=60)


def a_database(folder: Path) -> Path:
    """Made by the command that makes it."""
    made = handrail("db", "upgrade", cwd=folder)
    assert made.returncode == 0, made.stderr
    return folder / "handrail.db"


def on_a_terminal(command: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> tuple[str, int]:
    """What a terminal shows, of both streams, and the exit status."""
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(command, cwd=cwd, env={**BASE, **(env or {})}, stdout=theirs, stderr=theirs, timeout=60)
        return os.read(ours, 65_536).decode(), done.returncode
    finally:
        os.close(ours)
        os.close(theirs)


# --- what every command has in common ---------------------------------------------------------------------------------


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    heavy = ("sqlalchemy", "asyncssh", "aiohttp", "slack_bolt", "slack_sdk", "pydantic", "alembic", "tree_sitter")
    code = f"import sys, bot.__main__; print([m for m in {heavy!r} if m in sys.modules])"
    assert handrail(cwd=tmp_path, code=code).stdout.strip() == "[]"


def test_throwing_a_kill_switch_waits_for_nothing_it_does_not_need(tmp_path: Path) -> None:
    a_database(tmp_path)
    heavy = ("asyncssh", "aiohttp", "slack_bolt", "slack_sdk", "alembic", "cryptography")
    code = f"""import sys; from bot.__main__ import main
sys.argv[1:] = ["killswitch", "global", "on", "looking", "into", "it"]
try: main()
finally: print([m for m in {heavy!r} if m in sys.modules])"""
    done = handrail(cwd=tmp_path, code=code)
    assert "engaged" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_names_every_command_and_its_exit_is_good(tmp_path: Path) -> None:
    done = handrail("--help", cwd=tmp_path)
    assert done.returncode == 0
    named = re.findall(r"^  ([a-z-]+) ", done.stdout.partition("Commands:")[2], flags=re.MULTILINE)
    assert set(named) == {
        *(
            "serve",
            "worker",
            "demo",
            "say",
            "killswitch",
            "doctor",
            "redact",
            "manifest",
            "hosts",
            "runbooks",
            "guard",
            "audit",
        ),
        *("secrets", "dead-letters", "db"),
    }


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    done = handrail("--version", cwd=tmp_path)
    assert re.fullmatch(r"handrail \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("kilswitch",), "Did you mean 'killswitch'?"),
        (("audit", "verfy"), "Did you mean 'verify'?"),
        (("doctor", "--jsno"), "--json"),
        (("killswitch",), "words"),
        (("say", "--wait", "-1", "x"), "--wait"),
        (("demo", "--port", "many"), "--port"),
    ],
)
def test_a_usage_error_is_status_2_and_suggests(tmp_path: Path, words: Sequence[str], said: str) -> None:
    done = handrail(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr


def test_serve_without_settings_complains_of_everything_at_once(tmp_path: Path) -> None:
    done = handrail("serve", cwd=tmp_path, env={"HANDRAIL_LISTEN": "nowhere", "HANDRAIL_TOKEN": "x"})
    assert done.returncode == 2
    assert done.stdout == ""
    for part in ("SLACK_BOT_TOKEN is missing", "SLACK_APP_TOKEN", "HANDRAIL_LISTEN", "HANDRAIL_TOKEN", "handrail.yml"):
        assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("worker",), ("serve", "--no-execute")])
def test_what_shares_its_database_says_that_it_needs_postgresql(tmp_path: Path, words: Sequence[str]) -> None:
    (tmp_path / "handrail.yml").write_text("roles: {UALICE: ADMIN}\n")
    tokens = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}
    done = handrail(*words, cwd=tmp_path, env=tokens if words[0] == "serve" else {})
    assert done.returncode == 2
    assert f"`handrail {' '.join(words)}`" in done.stderr
    assert "Set it to a PostgreSQL" in done.stderr
    assert not list(tmp_path.glob("*.db*"))


def test_a_wrong_handrail_yml_stops_serve_with_every_line_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "handrail.yml").write_text("roles: {alice: ADMIN}\nhosts: {a: {address: x, port: 0}}\n")
    done = handrail("serve", cwd=tmp_path, env={"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"})
    assert done.returncode == 2
    assert "'alice'" in done.stderr
    assert "hosts.a.port" in done.stderr


BROKEN = """
import bot.__main__ as cli
def broken(**_):
    raise KeyError("xoxb-1234567890-secret")
cli.app = broken
cli.main()
"""


def test_a_fault_is_a_reference_for_the_person_and_a_traceback_for_the_log(tmp_path: Path) -> None:
    done = handrail(cwd=tmp_path, code=BROKEN, env={"SLACK_BOT_TOKEN": "xoxb-1234567890-secret"})
    assert done.returncode == 1
    assert done.stdout == ""
    line, said = done.stderr.splitlines()
    logged = json.loads(line)
    assert logged["event"] == "fault"
    assert "Traceback" in logged["exception"]
    assert f"reference {logged['reference']}" in said
    assert "xoxb-1234567890-secret" not in done.stderr


def test_a_terminal_never_shows_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BROKEN]
    shown, status = on_a_terminal(
        command, cwd=tmp_path, env={"TMPDIR": str(tmp_path), "SLACK_BOT_TOKEN": "xoxb-1234567890-secret"}
    )
    assert status == 1
    assert "Traceback" not in shown
    (file,) = tmp_path.glob("handrail-*.txt")
    assert file.stat().st_mode & 0o077 == 0
    written = file.read_text()
    assert "KeyError" in written
    assert "xoxb-1234567890-secret" not in written


def test_colours_are_for_terminals_and_no_color_ends_them(tmp_path: Path) -> None:
    a_database(tmp_path)
    command = [sys.executable, "-m", "bot", "audit", "verify"]
    coloured, _ = on_a_terminal(command, cwd=tmp_path)
    plain, _ = on_a_terminal(command, cwd=tmp_path, env={"NO_COLOR": "1"})
    piped = handrail("audit", "verify", cwd=tmp_path).stdout
    assert "\x1b[" in coloured
    assert "\x1b[" not in plain + piped
    assert "The audit verifies." in plain


# --- filters ----------------------------------------------------------------------------------------------------------


def test_redact_is_a_filter_that_keeps_what_is_no_secret(tmp_path: Path) -> None:
    token = "xoxb-" + "1234567890-1234567890123-" + "AbCdEfGhIjKlMnOpQrStUvWx"
    done = handrail("redact", cwd=tmp_path, stdin=f"one\r\ntoken {token}\nlast")
    assert done.returncode == 0
    assert token not in done.stdout
    assert done.stdout.startswith("one\n")
    assert done.stdout.endswith("last")


def filtered(given: bytes, *words: str, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[bytes]":
    """What `handrail redact` makes of these bytes."""
    command = [sys.executable, "-m", "bot", "redact", *words]
    return subprocess.run(command, env={**BASE, **(env or {})}, input=given, capture_output=True, timeout=60)


def test_redact_keeps_line_ends_and_bytes_that_are_no_text() -> None:
    given = b"\xff\xfe\r\npassword=hunter2-hunter2\r\n\xe2\x82 cut\n\xe2\x82\xac last"
    done = filtered(given)
    assert done.stdout == given.replace(b"hunter2-hunter2", b"[redacted]")
    assert done.returncode == 0


def test_redact_masks_what_the_environment_holds_wherever_it_stands() -> None:
    env = {
        "SLACK_BOT_TOKEN": "bot-token-of-ours",
        "HANDRAIL_SECRET_KEY": "key of ours!",
        "HANDRAIL_DATABASE_URL": "postgresql+psycopg://handrail:p%40ss-of-ours@db/handrail",
    }
    done = filtered(b"a bot-token-of-ours b key of ours! c p%40ss-of-ours d p@ss-of-ours e", env=env)
    assert done.stdout == b"a [redacted] b [redacted] c [redacted] d [redacted] e"


def test_redact_passes_a_line_on_before_the_next_one_comes() -> None:
    command = [sys.executable, "-m", "bot", "redact"]
    with subprocess.Popen(command, env=BASE, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"-----BEGIN RSA PRIVATE KEY-----\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"-----BEGIN RSA PRIVATE KEY-----\n"
        process.stdin.write(b"MIIEpAIBAAKCAQEAx7mZqT1y3b8K2vN4cW5dR6fY7hJ8kL9pQ0sT1uV2wX3yZ4aB\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"[redacted]\n"
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def test_redact_reads_json_lines_and_keeps_their_other_keys() -> None:
    given = b'{"id": 1, "text": "password=hunter2-hunter2", "more": [1.0, "\xc3\xa9"]}\n\n{"id":2,   "text":"ok"}\r\n'
    done = filtered(given, "--json")
    first, empty, second = done.stdout.split(b"\n", 2)
    assert json.loads(first) == {"id": 1, "text": "password=[redacted]", "more": [1.0, "é"]}
    assert (empty, second) == (b"", b'{"id":2,   "text":"ok"}\r\n')
    assert done.returncode == 0


def test_redact_takes_the_escaped_half_of_a_character() -> None:
    done = filtered(b'{"text": "password=hunter2-hunter2 \\ud83d"}\n', "--json")
    assert json.loads(done.stdout) == {"text": "password=[redacted] \ud83d"}


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"password=hunter2-hunter2", b"no JSON"),
        (b'["hunter2-hunter2"]', b"no object"),
        (b'{"message": "hunter2-hunter2"}', b"no `text`"),
        (b'{"text": ["hunter2-hunter2"]}', b"no string"),
        (b'{"text": null}', b"no string"),
        (b"[" * 100_000, b"no JSON"),
    ],
)
def test_redact_names_the_line_that_is_no_json_line_and_shows_nothing_of_it(line: bytes, word: bytes) -> None:
    done = filtered(b'{"text": "fine"}\n' + line + b"\n", "--json")
    assert done.stdout == b'{"text": "fine"}\n'
    assert b"ine 2 " in done.stderr
    assert word in done.stderr
    assert b"hunter2" not in done.stderr
    assert done.returncode == 2


def test_guard_check_judges_each_line_and_fails_when_one_is_refused(tmp_path: Path) -> None:
    done = handrail("guard", "check", cwd=tmp_path, stdin=GUARD_LINES)
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (first["cmd"], first["verdict"]) == ("uptime", "allow")
    assert (second["cmd"], second["verdict"]) == ("rm -rf /", "refuse")
    assert done.returncode == 1
    assert handrail("guard", "check", cwd=tmp_path, stdin="uptime\n").returncode == 0


def test_guard_check_knows_the_teams_rules_and_names_the_exception_used(tmp_path: Path) -> None:
    (tmp_path / "handrail.yml").write_text(
        """
        hosts: {web-01: {address: 192.0.2.1, tags: [canary]}}
        guard:
          rules: [{name: ours, program: acme-status, verdict: allow, reason: It only reads.}]
          exceptions: [{name: canary reboots, command: sudo reboot, tags: [canary]}]
        """
    )
    lines = "sudo -n reboot\nacme-status\n"
    there = handrail("guard", "check", "--tag", "canary", cwd=tmp_path, stdin=lines)
    reboot, status = (json.loads(line) for line in there.stdout.splitlines())
    assert (reboot["verdict"], reboot["rule"], reboot["exception"]) == ("allow", "team.exception", "canary reboots")
    assert status == {"cmd": "acme-status", "verdict": "allow", "rule": "team.ours", "reason": "It only reads."}
    assert there.returncode == 0
    assert there.stderr == ""
    misspelt = handrail("guard", "check", "--tag", "cannary", cwd=tmp_path, stdin=lines)
    assert misspelt.stderr == "No host has the tag 'cannary', and no rule of the team's names it: it changes nothing.\n"
    elsewhere = handrail("guard", "check", cwd=tmp_path, stdin=lines)
    assert json.loads(elsewhere.stdout.splitlines()[0])["verdict"] == "refuse"


def test_guard_check_says_what_is_wrong_with_the_teams_rules(tmp_path: Path) -> None:
    (tmp_path / "handrail.yml").write_text("guard: {exceptions: [{name: x, command: 'r* /', pattern: true}]}")
    done = handrail("guard", "check", cwd=tmp_path, stdin="uptime\n")
    assert done.returncode == 2
    assert "guard.exceptions 'x': a pattern must begin with the program's own name" in done.stderr
    assert done.stdout == ""


def test_manifest_prints_what_slack_takes_and_refuses_an_address_it_cannot_reach(tmp_path: Path) -> None:
    done = handrail("manifest", "--url", "https://ops.example.com", cwd=tmp_path)
    assert yaml.safe_load(done.stdout)["settings"]["interactivity"]["request_url"].endswith("/slack/events")
    assert handrail("manifest", "--url", "http://localhost", cwd=tmp_path).returncode == 2


# --- the database -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("audit", "verify"),
        ("killswitch", "global", "on"),
        ("killswitch", "status"),
        ("say", "restart nginx on web-01"),
        ("dead-letters", "list"),
    ],
)
def test_a_database_that_is_not_there_is_said_and_not_made(tmp_path: Path, words: Sequence[str]) -> None:
    done = handrail(*words, cwd=tmp_path)
    assert done.returncode in {1, 2}
    assert "There is no database at handrail.db" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "handrail.db").write_text("this is not a database, however long it may be " * 20)
    for words in (("audit", "verify"), ("db", "upgrade")):
        done = handrail(*words, cwd=tmp_path)
        assert done.returncode == 2
        assert "is not a database that can be read" in done.stderr


def test_an_empty_database_wants_its_schema_first(tmp_path: Path) -> None:
    (tmp_path / "handrail.db").touch()
    done = handrail("killswitch", "global", "on", cwd=tmp_path)
    assert done.returncode == 2
    assert "handrail db upgrade" in done.stderr


async def test_upgrade_says_from_where_to_where(database_url: str) -> None:
    environment = {"HANDRAIL_DATABASE_URL": database_url}
    assert re.search(r"went from nothing to revision \w+\.", await shell.upgrade(environment))
    assert re.search(r"is up to date \(revision \w+\)\.", await shell.upgrade(environment))


async def test_upgrade_leaves_a_database_of_a_newer_handrail_alone(sqlite: Database) -> None:
    environment = {"HANDRAIL_DATABASE_URL": str(sqlite.url)}
    await sqlite.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(ConfigurationError, match="newer Handrail"):
        await shell.upgrade(environment)


def test_upgrade_is_refused_while_an_owner_lives(tmp_path: Path) -> None:
    lock = OwnerLock(a_database(tmp_path))
    lock.take()
    try:
        done = handrail("db", "upgrade", cwd=tmp_path)
    finally:
        lock.release()
    assert done.returncode == 2
    assert f"process {os.getpid()}" in done.stderr
    assert handrail("db", "upgrade", cwd=tmp_path).returncode == 0


async def test_verify_names_what_was_changed_and_misses_a_head_that_is_gone(database: Database) -> None:
    await database.write(_witness, 3)
    environment = {"HANDRAIL_DATABASE_URL": database.url.render_as_string(hide_password=False)}
    whole = await shell.verify(None, environment)
    assert (whole.ok, whole.entries) == (True, 3)
    assert (await shell.verify(whole.head, environment)).ok
    gone = await shell.verify("f" * 64, environment)
    assert gone.problems == (
        f"no entry has the given head {'f' * 64}: history was rewritten, the newest entries were cut off, or it is "
        "another database",
    )


def _witness(connection: Connection, times: int) -> None:
    for number in range(times):
        audit.append(
            connection, at=datetime(2026, 11, 21, tzinfo=UTC), kind="test", actor=ME, origin=Origin.CLI, n=number
        )


def test_audit_verify_prints_json_and_exits_by_what_it_found(tmp_path: Path) -> None:
    a_database(tmp_path)
    good = handrail("audit", "verify", "--json", cwd=tmp_path)
    assert (good.returncode, json.loads(good.stdout)["ok"]) == (0, True)
    bad = handrail("audit", "verify", "--against", "0" * 63 + "1", "--json", cwd=tmp_path)
    assert (bad.returncode, json.loads(bad.stdout)["ok"]) == (1, False)


def test_an_export_goes_to_standard_output_and_is_checked_without_a_database(tmp_path: Path) -> None:
    a_database(tmp_path)
    handrail("killswitch", "global", "on", "why", cwd=tmp_path)
    made = handrail("audit", "export", "--since", "1h", "--kind", "killswitch", cwd=tmp_path)
    assert (made.returncode, len(made.stdout.splitlines())) == (0, 2)
    (tmp_path / "export.jsonl").write_text(made.stdout)
    (tmp_path / "handrail.db").unlink()
    good = handrail("audit", "verify", "--file", "export.jsonl", cwd=tmp_path)
    assert (good.returncode, "verifies" in good.stdout) == (0, True)
    (tmp_path / "export.jsonl").write_text(made.stdout.replace("why", "why not"))
    bad = handrail("audit", "verify", "--file", "export.jsonl", "--json", cwd=tmp_path)
    assert (bad.returncode, json.loads(bad.stdout)["ok"]) == (1, False)
    for words in (("verify", "--against", "newest"), ("export", "--since", "someday")):
        assert handrail("audit", *words, cwd=tmp_path).returncode == 2


# --- kill switches ----------------------------------------------------------------------------------------------------


@dataclass
class Said:
    """What a command printed, and its status."""

    status: int
    out: str
    notes: str


async def throw(database: Database, words: str, *, now: bool = False, as_json: bool = False, **more: Any) -> Said:
    """`handrail killswitch WORDS`, in this process."""
    out: list[str] = []
    notes: list[str] = []
    environment = {"HANDRAIL_DATABASE_URL": database.url.render_as_string(hide_password=False)}
    status = await shell.killswitch(
        words.split(),
        ME,
        now=now,
        as_json=as_json,
        out=out.append,
        note=notes.append,
        environment={**environment, **more.pop("environment", {})},
        **more,
    )
    return Said(status=status, out="\n".join(out), notes="\n".join(notes))


async def test_a_switch_is_engaged_witnessed_and_announced_without_slack(database: Database, tmp_path: Path) -> None:
    (tmp_path / "handrail.yml").write_text("channels: {alerts: C0OPS}")
    config = {"HANDRAIL_CONFIG": str(tmp_path / "handrail.yml")}
    before = await database.read(controls.version)
    said = await throw(database, "service nginx.service on it's on fire", environment=config)
    assert said.status == 0
    assert "The kill switch (service nginx) is engaged." in said.out
    (switch,) = await database.read(controls.engaged)
    assert (switch.scope, switch.subject, switch.reason) == (Scope.SERVICE, "nginx", "it's on fire")
    assert switch.engaged_by.id == "cli:ops"
    assert await database.read(controls.version) > before
    (entry,) = await database.read(audit.search, words=("killswitch",))
    assert (entry.kind, entry.actor, entry.origin) == ("killswitch.engaged", "cli:ops", "cli")
    (announced,) = await database.read(outbox.ready, datetime.now(UTC) + timedelta(minutes=1))
    assert (announced.message.kind, announced.channel) == (OutboxKind.ALERT, "C0OPS")
    assert "service nginx" in announced.message.payload["text"]


async def test_a_switch_is_released_with_a_reason_only(database: Database) -> None:
    await throw(database, "global on")
    unexplained = await throw(database, "global off")
    assert (unexplained.status, unexplained.out) == (2, "")
    assert "handrail killswitch global off all clear" in unexplained.notes
    assert len(await database.read(controls.engaged)) == 1
    assert (await throw(database, "global off all clear")).status == 0
    assert await database.read(controls.engaged) == []
    with pytest.raises(TooLate, match="`handrail killswitch status`"):
        await throw(database, "global off all clear")


async def test_a_switch_understands_an_alias_and_doubts_a_name_nobody_knows(sqlite: Database, tmp_path: Path) -> None:
    (tmp_path / "handrail.yml").write_text("hosts: {Web-01: {address: 127.0.0.1}}")
    config = {"HANDRAIL_CONFIG": str(tmp_path / "handrail.yml")}
    said = await throw(sqlite, "runbook restart on", environment=config)
    assert (
        "The kill switch (runbook restart-service) is engaged. Nothing new starts for runbook restart-service."
        in said.out
    )
    said = await throw(sqlite, "host web01 on", environment=config)
    assert "No host 'web01' is known; did you mean web-01? Nothing that is known is held." in said.out
    assert "Nothing new starts for host web-01." in (await throw(sqlite, "host Web-01 on", environment=config)).out
    assert (await throw(sqlite, "runbook restart off all clear", environment=config)).status == 0
    assert {switch.subject for switch in await sqlite.read(controls.engaged)} == {"web01", "web-01"}


async def test_a_switch_is_engaged_though_the_runbooks_cannot_be_read(sqlite: Database, tmp_path: Path) -> None:
    (tmp_path / "handrail.yml").write_text("library: [./nowhere]")
    said = await throw(sqlite, "runbook restart on", environment={"HANDRAIL_CONFIG": str(tmp_path / "handrail.yml")})
    assert "The kill switch (runbook restart) is engaged." in said.out
    assert "the name is taken as it stands" in said.notes


async def test_words_that_make_no_sense_throw_nothing(sqlite: Database) -> None:
    for words in ("globl on", "service on", "global onn", "global on --nwo", "nginx on"):
        said = await throw(sqlite, words)
        assert (said.status, said.out) == (2, ""), words
        assert "`handrail killswitch" in said.notes or "--now" in said.notes
    assert await sqlite.read(controls.engaged) == []


async def test_status_lists_what_is_engaged_for_people_and_scripts(sqlite: Database) -> None:
    assert (await throw(sqlite, "status")).out == "No kill switch is engaged."
    await throw(sqlite, "host web-01 on disk swap")
    assert "host web-01: engaged" in (await throw(sqlite, "status")).out
    (one,) = json.loads((await throw(sqlite, "status", as_json=True)).out)["engaged"]
    assert (one["scope"], one["subject"], one["reason"], one["by"]) == ("host", "web-01", "disk swap", "cli:ops")


async def test_a_secret_in_a_reason_is_masked_and_the_switch_still_thrown(sqlite: Database) -> None:
    token = "xoxb-" + "1234567890-1234567890123-" + "AbCdEfGhIjKlMnOpQrStUvWx"
    said = await throw(sqlite, f"global on leaked {token}")
    assert (said.status, "masked" in said.notes) == (0, True)
    (switch,) = await sqlite.read(controls.engaged)
    assert token not in str(switch.reason)
    assert all(token not in json.dumps(dict(e.data)) for e in await sqlite.read(audit.search))


async def test_a_broken_handrail_yml_does_not_hold_a_switch_up(sqlite: Database, tmp_path: Path) -> None:
    (tmp_path / "handrail.yml").write_text("roles: [")
    said = await throw(sqlite, "global on", environment={"HANDRAIL_CONFIG": str(tmp_path / "handrail.yml")})
    assert said.status == 0
    assert "Passed over" in said.notes
    assert len(await sqlite.read(controls.engaged)) == 1


@asynccontextmanager
async def owned(database: Database) -> AsyncIterator[None]:
    """As a serving process holds its SQLite database."""
    lock = OwnerLock(database.path) if database.path is not None else None
    if lock is not None:
        lock.take()
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def hanging(**more: Any) -> dict[str, Any]:
    """A restart that does not return by itself."""
    return {**a_healthy_nginx(), "sudo -n systemctl restart nginx": Reply(hangs=True, **more)}


async def test_now_ends_what_runs_and_says_what_was_found(database: Database) -> None:
    async with owned(database), a_house(database, replies=hanging()) as house:
        asked = await house.ask("restart nginx on web-01")
        await house.remote.until("sudo -n systemctl restart nginx")
        said = await throw(database, "global on --now runaway restart")
        assert said.status == 0
        assert f"#{asked.execution.id} restart-service on web-01 is cancelled" in said.out
        assert "the command on web-01: stopped" in said.out
        assert (await house.get(asked.execution.id)).state is State.CANCELLED


async def test_without_now_a_running_step_may_finish(database: Database) -> None:
    replies = hanging()
    async with owned(database), a_house(database, replies=replies) as house:
        asked = await house.ask("restart nginx on web-01")
        await house.remote.until("sudo -n systemctl restart nginx")
        said = await throw(database, "global on", as_json=True)
        assert (said.status, json.loads(said.out)["ended"]) == (0, [])
        assert (await house.get(asked.execution.id)).state is State.RUNNING
        replies["sudo -n systemctl restart nginx"].release.set()
        assert (await house.ends(asked)).state is State.CANCELLED


async def test_now_leaves_alone_what_the_switch_does_not_cover(database: Database) -> None:
    async with owned(database), a_house(database, replies=hanging()) as house:
        asked = await house.ask("restart nginx on web-01")
        await house.remote.until("sudo -n systemctl restart nginx")
        said = await throw(database, "host web-02 on", now=True)
        assert (said.status, "Nothing it covers was running." in said.out) == (0, True)
        assert (await house.get(asked.execution.id)).state is State.RUNNING


async def test_now_says_when_nobody_is_alive_to_end_what_runs(database: Database) -> None:
    async with a_house(database, replies=hanging()) as house:
        asked = await house.ask("restart nginx on web-01")
        await house.remote.until("sudo -n systemctl restart nginx")
        await house.die()
    await database.write(lambda c: c.execute(update(t.executions).values(lease_until=datetime(2026, 1, 1, tzinfo=UTC))))
    said = await throw(database, "global on", now=True)
    assert said.status == 1
    assert "No Handrail is alive to end it" in said.out
    found = json.loads((await throw(database, "global on", now=True, as_json=True)).out)
    assert [one["execution"] for one in found["ended"]] == [asked.execution.id]
    assert found["ended"][0]["state"] == "running"


async def test_now_gives_an_owner_five_seconds(sqlite: Database) -> None:
    clock = FakeClock()
    async with owned(sqlite), a_house(sqlite, replies=hanging()) as house:
        await house.ask("restart nginx on web-01")
        await house.remote.until("sudo -n systemctl restart nginx")
        await house.die()
        await sqlite.write(
            lambda c: c.execute(update(t.executions).values(lease_until=clock.now() + timedelta(hours=1)))
        )
        throwing = asyncio.create_task(throw(sqlite, "global on", now=True, clock=clock))
        passed = 0.0
        while not throwing.done():
            await asyncio.sleep(0.001)
            await clock.advance(0.1)
            passed += 0.1
        said = await throwing
    assert said.status == 1
    assert "It has not ended within 5 s" in said.out
    assert passed >= shell.PATIENCE


def test_a_switch_is_thrown_as_a_process_with_its_flags_anywhere(tmp_path: Path) -> None:
    a_database(tmp_path)
    done = handrail("killswitch", "--now", "global", "on", "--reason", "database on fire", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["switch"] == {**found["switch"], "scope": "global", "now": True, "reason": "database on fire"}
    assert "no alerts channel" in done.stderr.lower()
    assert handrail("killswitch", "global", "of", cwd=tmp_path).returncode == 2
    assert handrail("killswitch", "service", "nginx", "off", "why", cwd=tmp_path).returncode == 1


# --- dead letters -----------------------------------------------------------------------------------------------------


async def buried(database: Database, *words: str) -> list[str]:
    """Dead letters that say this; their ids."""
    ids = [uuid.uuid4().hex for _ in words]
    now = datetime(2026, 11, 21, tzinfo=UTC)

    def bury(connection: Connection) -> None:
        for number, said in zip(ids, words, strict=True):
            outbox.put(
                connection,
                id=number,
                kind=OutboxKind.ALERT,
                method="post",
                payload={"text": said},
                now=now,
                channel="C1",
            )
            outbox.bury(connection, number, now=now, error="is_archived")

    await database.write(bury)
    return ids


async def test_dead_letters_are_listed_requeued_and_discarded(database: Database) -> None:
    first, second = await buried(database, "the first", "the second")
    environment = {"HANDRAIL_DATABASE_URL": database.url.render_as_string(hide_password=False)}
    out: list[str] = []
    assert await shell.list_dead_letters(as_json=False, out=out.append, environment=environment) == 1
    assert "is_archived" in "\n".join(out)
    assert "the first" in "\n".join(out)
    await shell.move_dead_letters([first[:12]], ME, requeue=True, out=out.append, environment=environment)
    await shell.move_dead_letters([second], ME, requeue=False, out=out.append, environment=environment)
    assert out[-2:] == ["1 dead letter will be said again.", "1 dead letter discarded."]
    waiting = await database.read(outbox.ready, datetime.now(UTC) + timedelta(minutes=1))
    assert [one.message.id for one in waiting] == [first]
    kinds = [entry.kind for entry in await database.read(audit.search)]
    assert kinds == ["dead_letter.discarded", "dead_letter.requeued"]
    listed: list[str] = []
    assert await shell.list_dead_letters(as_json=True, out=listed.append, environment=environment) == 0
    assert json.loads(listed[0]) == {
        "dead_letters": [],
        "total": 0,
        "counts": [],
        "unannounced": 0,
        "waiting": None,
    }


async def test_a_dead_letter_is_shown_with_the_next_move(sqlite: Database) -> None:
    (first,) = await buried(sqlite, "the disk is full")
    environment = {"HANDRAIL_DATABASE_URL": str(sqlite.url)}
    out: list[str] = []
    assert await shell.show_dead_letter(first[:8], as_json=False, out=out.append, environment=environment) == 0
    assert f"Next: unarchive the channel, then `handrail dead-letters requeue {first[:12]}`" in "\n".join(out)
    assert out[-1] == "the disk is full"
    shown: list[str] = []
    await shell.show_dead_letter(first, as_json=True, out=shown.append, environment=environment)
    assert json.loads(shown[0])["error"] == "is_archived"
    moved: list[str] = []
    await shell.move_dead_letters(["all"], ME, requeue=True, as_json=True, out=moved.append, environment=environment)
    assert json.loads(moved[0]) == {"requeued": [first], "out_of_date": [], "left": 0}


async def test_the_list_says_what_waits_for_slack_too(sqlite: Database) -> None:
    (first,) = await buried(sqlite, "the disk is full")
    environment = {"HANDRAIL_DATABASE_URL": str(sqlite.url)}
    now = datetime(2026, 11, 21, tzinfo=UTC)
    await sqlite.write(dead_letters.requeue, first, now)
    await sqlite.write(outbox.begin, first)
    await sqlite.write(outbox.again, first, at=now, error="HTTP 503", unsure=False)
    out: list[str] = []
    assert await shell.list_dead_letters(as_json=False, out=out.append, environment=environment) == 0
    assert out == [
        "There are no dead letters.",
        "1 message waits for Slack since 2026-11-21 00:00 UTC (HTTP 503).",
    ]


async def test_dead_letters_are_moved_all_or_none(sqlite: Database) -> None:
    (first,) = await buried(sqlite, "the first")
    environment = {"HANDRAIL_DATABASE_URL": str(sqlite.url)}
    with pytest.raises(NotFound, match="handrail dead-letters list"):
        await shell.move_dead_letters([first, "zzz"], ME, requeue=False, out=print, environment=environment)
    assert [one.id for one in await sqlite.read(dead_letters.newest)] == [first]
    with pytest.raises(NotFound):
        await shell.move_dead_letters([""], ME, requeue=False, out=print, environment=environment)


# --- say, with nobody there -------------------------------------------------------------------------------------------


async def ask(database: Database, words: str, *, wait: float = 30, as_json: bool = False, clock: Any = None) -> Said:
    """`handrail say WORDS`, in this process."""
    out: list[str] = []
    notes: list[str] = []
    status = await shell.say(
        words,
        ME,
        channel=None,
        wait=wait,
        as_json=as_json,
        out=out.append,
        note=notes.append,
        environment={"HANDRAIL_DATABASE_URL": database.url.render_as_string(hide_password=False)},
        clock=clock,
    )
    return Said(status=status, out="\n".join(out), notes="\n".join(notes))


async def test_what_nobody_takes_up_is_withdrawn_so_that_it_cannot_run_later(database: Database) -> None:
    clock = FakeClock()
    asking = asyncio.create_task(ask(database, "/runbook restart nginx on web-01", clock=clock))
    while not asking.done():
        await asyncio.sleep(0.001)
        await clock.advance(0.5)
    said = await asking
    assert said.status == 1
    assert "No Handrail took it up within 5 s, so it was withdrawn and nothing was run." in said.notes
    assert await database.read(inbox.unhandled) == []
    kinds = [entry.kind for entry in await database.read(audit.search)]
    assert kinds == ["request.withdrawn", "request"]


async def test_who_stops_waiting_takes_it_back(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{a_database(tmp_path)}")
    await database.start()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "say", "restart nginx on web-01"),
        cwd=tmp_path,
        env=BASE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # A shell that runs the tests in the background has its children ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    # Where an owner lives, nothing is withdrawn by itself, however slow this machine is.
    async with owned(database), asyncio.timeout(30):
        while not await database.read(inbox.unhandled):
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, notes = await process.communicate()
    assert process.returncode == 130
    assert notes.decode() == "It was withdrawn; nothing was run.\nStopped.\n"
    assert await database.read(inbox.unhandled) == []
    await database.close()


async def test_a_living_owner_may_take_its_time_with_a_question(sqlite: Database) -> None:
    clock = FakeClock()
    async with owned(sqlite):
        asking = asyncio.create_task(ask(sqlite, "/runbook resume 1", clock=clock))
        while not (waiting := await sqlite.read(inbox.unhandled)):
            await asyncio.sleep(0.001)
        for _ in range(10):
            await clock.advance(1)
            await asyncio.sleep(0.005)
        assert not asking.done()
        await sqlite.write(inbox.handled, waiting[0].id, "It may go on.")
        while not asking.done():
            await asyncio.sleep(0.001)
            await clock.advance(0.5)
    assert (await asking) == Said(status=0, out="It may go on.", notes="")


async def test_what_nobody_wants_to_follow_is_left_for_a_handrail(sqlite: Database) -> None:
    said = await ask(sqlite, "restart nginx on web-01", wait=0, as_json=True)
    (waiting,) = await sqlite.read(inbox.unhandled)
    assert (said.status, json.loads(said.out)["request"]) == (0, waiting.id)
    assert (waiting.kind, waiting.payload["command"], waiting.text) == ("say", "/runbook", "restart nginx on web-01")
    assert waiting.actor == ME


async def test_words_that_make_no_sense_are_not_even_left(sqlite: Database) -> None:
    assert (await ask(sqlite, "/runbook restart nginx on web-01 --dry-rn", wait=0)).status == 2
    with pytest.raises(Invalid, match="/incidents is not a command"):
        await ask(sqlite, "/incidents open", wait=0)
    assert await sqlite.read(inbox.unhandled) == []


# --- beside a serving Handrail ----------------------------------------------------------------------------------------


@dataclass
class Serving:
    """A serving process, the workspace it speaks to, and how to run commands beside it."""

    folder: Path
    env: Mapping[str, str]
    workspace: Workspace
    process: asyncio.subprocess.Process

    async def handrail(self, *words: str) -> Said:
        """Beside it."""
        return await run_beside(self.folder, self.env, *words)

    async def until(self, words: Sequence[str], part: str, seconds: float = 15) -> None:
        """Ask again and again until the answer holds this."""
        async with asyncio.timeout(seconds):
            while part not in (await self.handrail(*words)).out:
                await asyncio.sleep(0.05)


async def run_beside(folder: Path, env: Mapping[str, str], *words: str) -> Said:
    """A command, as a process, without holding up the workspace in this one."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", *words),
        cwd=folder,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, notes = await asyncio.wait_for(process.communicate(), 60)
    return Said(status=process.returncode or 0, out=out.decode(), notes=notes.decode())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def serving(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    """`handrail serve` over Socket Mode, with demo hosts; this person is an admin."""
    folder = tmp_path_factory.mktemp("serving")
    workspace = Workspace(rate_limits=False, scopes=frozenset(SCOPES))  # what the manifest asks for is enough
    hosts = await start_demo_hosts(folder)
    await workspace.start()
    config = {
        "channels": {"alerts": "C0OPS"},
        "roles": {MYSELF: "ADMIN", "UALICE": "ADMIN"},
        "ssh": {"known_hosts": hosts.known_hosts.name, "user": hosts.user, "key_file": hosts.key_file.name},
        "hosts": {h.name: {"address": h.address, "port": h.port, "services": ["nginx"]} for h in hosts.hosts},
    }
    (folder / "handrail.yml").write_text(yaml.safe_dump(config))
    env = {
        **BASE,
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_APP_TOKEN": workspace.app_token,
        "SLACK_API_URL": workspace.api_url,
        "HANDRAIL_LISTEN": "127.0.0.1:0",
    }
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "serve"), cwd=folder, env=env, stdout=log, stderr=log
        )
    try:
        await _until_up(folder, process)
        yield Serving(folder=folder, env=env, workspace=workspace, process=process)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), 60)
        await workspace.close()
        await hosts.close()


async def _until_up(folder: Path, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(30):
        while '"started"' not in (folder / "log").read_text():
            assert process.returncode is None, (folder / "log").read_text()
            await asyncio.sleep(0.05)


async def test_say_follows_an_execution_to_its_end(serving: Serving) -> None:
    said = await serving.handrail("say", "/runbook restart nginx on web-01 settle=0")
    assert said.status == 0, said
    assert re.search(r"#\d+ restart-service is succeeded", said.out)
    assert re.search(r"web-01 \d Restart \S+.*: succeeded, exit 0", said.out, flags=re.IGNORECASE)


async def test_say_takes_its_words_with_their_flags_and_gives_scripts_one_object(serving: Serving) -> None:
    said = await serving.handrail("say", "restart", "nginx", "on", "web-02", "--dry-run", "--json")
    assert said.status == 0, said
    found = json.loads(said.out)
    assert (found["execution"]["state"], found["execution"]["hosts"]) == ("succeeded", ["web-02"])
    assert "dry run" in found["execution"]["ending"]
    assert "is planned" in said.notes


async def test_say_answers_questions(serving: Serving) -> None:
    said = await serving.handrail("say", "/runbook can")
    assert said.status == 0
    assert "You have ADMIN" in said.out


async def test_say_shows_a_terminal_words_where_slack_has_markup(serving: Serving) -> None:
    await serving.handrail("say", "restart nginx on web-01 --dry-run")
    said = await serving.handrail("say", "/runbook history")
    assert "✓ *#" in said.out, said
    assert ":white_check_mark:" not in said.out
    await serving.handrail("say", "/killswitch host web-02 on later")
    try:
        said = await serving.handrail("say", "/killswitch status")
        assert "UTC" in said.out, said
        assert "<!date" not in said.out
    finally:
        await serving.handrail("say", "/killswitch host web-02 off again")


async def test_say_of_what_is_refused_is_a_bad_finding(serving: Serving) -> None:
    said = await serving.handrail("say", "restart nginx on web-99")
    assert said.status == 1
    assert "web-99" in said.out


async def test_who_has_no_role_is_refused_at_the_command_line_too(serving: Serving) -> None:
    database = Database(f"sqlite+aiosqlite:///{serving.folder}/handrail.db")
    await database.start()
    try:
        said = await ask(database, "restart nginx on web-01")
    finally:
        await database.close()
    assert said.status == 1
    assert "Refused by the permission gate" in said.out


async def test_a_switch_thrown_beside_it_ends_what_runs_and_is_announced_in_slack(serving: Serving) -> None:
    following = asyncio.create_task(serving.handrail("say", "restart nginx on web-02 settle=120"))
    await serving.until(("say", "/runbook status"), "running")
    thrown = await serving.handrail("killswitch", "global", "on", "--now", "looking into it")
    assert thrown.status == 0, thrown
    assert "is cancelled" in thrown.out
    followed = await following
    assert followed.status == 1
    assert "kill switch" in followed.out
    refused = await serving.handrail("say", "restart nginx on web-01")
    assert refused.status == 1
    assert "kill switch" in refused.out
    assert (await serving.handrail("killswitch", "global", "off", "all clear")).status == 0
    await serving.workspace.wait_for(lambda w: "Kill switch released: global" in w.transcript("ops"))
    assert "Kill switch engaged: global" in serving.workspace.transcript("ops")


async def test_the_schema_is_not_touched_beneath_it(serving: Serving) -> None:
    said = await serving.handrail("db", "upgrade")
    assert said.status == 2
    assert f"process {serving.process.pid}" in said.notes


async def test_a_second_one_is_refused(serving: Serving) -> None:
    said = await serving.handrail("serve")
    assert said.status == 2
    assert f"process {serving.process.pid}" in said.notes


async def test_the_audit_verifies_beside_it(serving: Serving) -> None:
    said = await serving.handrail("audit", "verify", "--json")
    assert (said.status, json.loads(said.out)["ok"]) == (0, True)


async def test_hosts_are_reached_beside_it(serving: Serving) -> None:
    said = await serving.handrail("hosts", "check", "--json")
    assert said.status == 0, said
    assert {host["host"] for host in json.loads(said.out)["hosts"]} >= {"web-01", "web-02"}
    assert (await serving.handrail("hosts", "check", "web-99")).status == 2


async def test_doctor_finds_nothing_wrong_with_it(serving: Serving) -> None:
    said = await serving.handrail("doctor", "--json")
    checks = json.loads(said.out)["checks"]
    assert {check["part"] for check in checks} == {"settings", "database", "audit", "outbox", "slack", "hosts"}
    assert [check for check in checks if check["outcome"] == "fail"] == []
    assert said.status == 0
    assert any(check["message"] == "A Handrail is running on it." for check in checks)
    assert serving.workspace.bot_token not in said.out + said.notes
    assert serving.workspace.app_token not in said.out + said.notes


# --- the demo ---------------------------------------------------------------------------------------------------------


def test_the_demo_says_what_to_do_next_where_it_is_and_that_nothing_is_kept(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # whoever else listens there takes it just as well
            taken.bind(("127.0.0.1", PORT))
            taken.listen()
        command = [sys.executable, "-m", "bot", "demo"]
        running = subprocess.Popen(
            command, cwd=tmp_path, env=BASE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert running.stdout is not None
        said = ""
        while "Ctrl-C ends it." not in said:
            line = running.stdout.readline()
            assert line, "it ended by itself"
            said += line
        running.send_signal(signal.SIGINT)
        rest, errors = running.communicate(timeout=30)
    assert running.returncode == 0
    assert said.startswith(f"Port {PORT} is taken, perhaps by another demo, so the page is elsewhere this time.")
    assert re.search(r"^    http://127\.0\.0\.1:\d+$", said, re.MULTILINE)
    assert "nothing is kept: the next start begins anew" in said
    assert rest.strip() == "The demo has ended, and nothing of it is left."
    assert errors == "Starting a local workspace, two demo hosts and the bot between them …\n"


def test_the_demo_takes_a_folder_of_runbooks_and_says_which_it_left_out(tmp_path: Path) -> None:
    done = handrail("demo", "--library", "ours", "--port", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert f"library: the folder {tmp_path}/ours" in done.stderr
    (tmp_path / "ours").mkdir()
    for file, written in skeleton("clear-cache").items():
        (tmp_path / "ours" / file).write_text(written)
    (tmp_path / "ours" / "broken.py").write_text("oops(")
    command = [sys.executable, "-m", "bot", "demo", "--port", "0", "--library", "ours"]
    running = subprocess.Popen(
        command, cwd=tmp_path, env=BASE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    while "Ctrl-C ends it." not in running.stdout.readline():
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert re.search(r"^Left out: .*broken\.py", errors, re.MULTILINE)
    assert "clear_cache" not in errors


def test_a_port_that_is_taken_is_named_with_the_next_move(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = handrail("demo", "--port", str(port), cwd=tmp_path)
    assert done.returncode == 2
    assert f"cannot listen on port {port}: address already in use. Name another, or 0 for a free one." in done.stderr
