"""Doctor: each thing that can be wrong is found, said in words, and comes with the next move."""

import json
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Connection, text

from bot import doctor
from bot.manifest import SCOPES
from bot.playground.state import Channel, Group
from bot.playground.workspace import Workspace
from runbooks.remote import Host, HostReport
from safety.clock import SystemClock
from storage import audit, controls, outbox
from storage.database import Database, OwnerLock
from storage.errors import NotFound
from storage.records import HANDRAIL, Origin, OutboxKind
from tests.fakes import FakeClock, FakeRemote

CHANNELS = (
    Channel(id="C0OPS", name="ops"),
    Channel(id="C0OLD", name="old", archived=True),
)


@dataclass
class SickRemote(FakeRemote):
    """Hosts that answer a check as told."""

    reports: dict[str, HostReport] = field(default_factory=dict)

    async def check(self, host: Host) -> HostReport:
        """As told; fine otherwise."""
        fine = HostReport(host=host.name, ok=True, message=f"'{host.name}' answers.", facts={"sudo": "works"})
        return self.reports.get(host.name, fine)


@dataclass
class Clinic:
    """A folder with settings, a workspace, and what doctor says of them."""

    folder: Path
    workspace: Workspace
    config: dict[str, Any]
    env: dict[str, str]
    remote: SickRemote = field(default_factory=SickRemote)
    clock: Any = field(default_factory=SystemClock)

    @property
    def database_url(self) -> str:
        """Where the records are."""
        return self.env["HANDRAIL_DATABASE_URL"]

    async def look(self) -> "Found":
        """Run doctor for a script."""
        (self.folder / "handrail.yml").write_text(yaml.safe_dump(self.config))
        out: list[str] = []
        notes: list[str] = []
        status = await doctor.run(
            as_json=True,
            out=out.append,
            note=notes.append,
            colour=lambda words, _: words,
            environment=self.env,
            remote=self.remote,
            clock=self.clock,
        )
        assert notes == []
        (line,) = out
        return Found(status=status, text=line, checks=json.loads(line)["checks"])


@dataclass
class Found:
    """What it said."""

    status: int
    text: str
    checks: list[dict[str, str]]

    def said(self, outcome: str) -> list[str]:
        """The messages of one outcome."""
        return [check["message"] for check in self.checks if check["outcome"] == outcome]

    def only(self, outcome: str) -> dict[str, str]:
        """The one check with this outcome."""
        (check,) = [check for check in self.checks if check["outcome"] == outcome]
        return check


@asynccontextmanager
async def a_clinic(folder: Path, **of_workspace: Any) -> AsyncIterator[Clinic]:
    """Where everything is well, but that no Handrail runs."""
    options: Mapping[str, Any] = {"scopes": frozenset(SCOPES), "channels": CHANNELS, **of_workspace}
    workspace = Workspace(rate_limits=False, **options)
    await workspace.start()
    key = folder / "id_ed25519"
    key.write_text("a key")
    key.chmod(0o600)
    (folder / "known_hosts").write_text("web-01 ssh-ed25519 AAAA\n")
    env = {
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_APP_TOKEN": workspace.app_token,
        "SLACK_SIGNING_SECRET": workspace.signing_secret,
        "SLACK_API_URL": workspace.api_url,
        "HANDRAIL_CONFIG": str(folder / "handrail.yml"),
        "HANDRAIL_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/handrail.db",
    }
    config = {
        "channels": {"alerts": "C0OPS"},
        "roles": {"UALICE": "ADMIN", "S0ONCALL": "NOC"},
        "emergency": ["UALICE"],
        "ssh": {"key_file": "id_ed25519"},
        "hosts": {"web-01": {"address": "192.0.2.1"}, "web-02": {"address": "192.0.2.2"}},
    }
    try:
        yield Clinic(folder=folder, workspace=workspace, config=config, env=env)
    finally:
        await workspace.close()


@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    """One for a test."""
    async with a_clinic(tmp_path) as clinic:
        yield clinic


async def migrated(clinic: Clinic) -> Database:
    """Its database, with its schema and open."""
    database = Database(clinic.database_url)
    await database.migrate()
    await database.start()
    return database


async def test_where_everything_is_well_nothing_is_wrong(clinic: Clinic) -> None:
    database = await migrated(clinic)
    before = await database.read(controls.version)
    lock = OwnerLock(clinic.folder / "handrail.db")
    lock.take()
    try:
        found = await clinic.look()
    finally:
        lock.release()
    assert await database.read(controls.version) == before
    await database.close()
    assert found.status == 0
    assert found.said("fail") == found.said("warn") == []
    said = " ".join(found.said("ok"))
    for part in (
        "can be understood",
        "schema is up to date",
        "can be written to",
        "A Handrail is running on it",
        "audit entries verify",
        "SLACK_BOT_TOKEN is good",
        f"all {len(SCOPES)} scopes",
        "clock agrees",
        "Socket Mode can be opened",
        "SLACK_SIGNING_SECRET is set",
        "alerts channel #ops can be posted to",
        "user group S0ONCALL has 2 members",
        "'web-01' answers",
        "'web-02' answers",
    ):
        assert part in said, part


async def test_no_token_is_ever_shown(clinic: Clinic) -> None:
    clinic.env["SLACK_BOT_TOKEN"] = "xoxb-9999999999-refused"
    clinic.env["SLACK_APP_TOKEN"] = "xapp-9999999999-refused"
    found = await clinic.look()
    assert found.status == 1
    assert "refused" in found.text
    assert "9999999999" not in found.text
    assert clinic.workspace.signing_secret not in found.text


async def test_nothing_is_posted(clinic: Clinic) -> None:
    await clinic.look()
    assert clinic.workspace.transcript("ops").strip() == clinic.workspace.transcript("ops").strip().splitlines()[0]
    called = {call.method for call in clinic.workspace.wire if hasattr(call, "method")}
    assert called == {"auth.test", "apps.connections.open", "conversations.info", "usergroups.users.list"}


async def test_wrong_settings_are_listed_and_the_rest_is_looked_at_all_the_same(clinic: Clinic) -> None:
    clinic.config["roles"] = {"alice": "ADMIN"}
    clinic.env["SLACK_BOT_TOKEN"] = "nonsense"
    found = await clinic.look()
    assert found.status == 2
    assert any("'alice'" in message for message in found.said("fail"))
    assert any("SLACK_BOT_TOKEN is not a bot token" in message for message in found.said("fail"))
    assert "nonsense" not in found.text
    assert "database" in {check["part"] for check in found.checks}


async def test_broken_hosts_do_not_hide_slack(clinic: Clinic) -> None:
    (clinic.folder / "known_hosts").unlink()
    found = await clinic.look()
    assert found.status == 2
    assert any("SLACK_BOT_TOKEN is good" in message for message in found.said("ok"))


async def test_nobody_with_a_role_is_worth_saying(clinic: Clinic) -> None:
    clinic.config |= {"roles": {}, "emergency": []}
    found = await clinic.look()
    assert any("Nobody has a role" in message for message in found.said("warn"))
    assert any("Nobody may override" in message for message in found.said("warn"))


async def test_a_runbook_that_was_left_out_is_worth_saying(clinic: Clinic) -> None:
    (clinic.folder / "ours").mkdir()
    (clinic.folder / "ours" / "broken.py").write_text("1 / 0\n")
    clinic.config |= {"library": ["ours"]}
    found = await clinic.look()
    assert found.status == 0
    said = f"{clinic.folder}/ours/broken.py:1: It cannot be loaded: ZeroDivisionError: division by zero"
    assert said in found.said("warn")


async def test_a_key_that_others_can_read_is_worth_saying(clinic: Clinic) -> None:
    key = clinic.folder / "id_ed25519"
    key.chmod(0o644)
    assert stat.S_IMODE(key.stat().st_mode) == 0o644
    found = await clinic.look()
    assert found.only("warn")["advice"] == f"Run `chmod 600 {key}`."


# --- the database -----------------------------------------------------------------------------------------------------


async def test_a_database_that_is_not_there_yet_is_fine_and_not_made(clinic: Clinic) -> None:
    found = await clinic.look()
    assert found.status == 0
    assert any("the first start of Handrail makes it" in message for message in found.said("ok"))
    assert not (clinic.folder / "handrail.db").exists()


async def test_a_database_without_an_owner_is_worth_saying(clinic: Clinic) -> None:
    await (await migrated(clinic)).close()
    found = await clinic.look()
    assert (found.status, found.only("warn")["message"]) == (0, "No Handrail is running on it.")


async def test_a_file_that_is_no_database_fails(clinic: Clinic) -> None:
    (clinic.folder / "handrail.db").write_text("not a database " * 100)
    found = await clinic.look()
    assert found.status == 1
    assert "is not a database that can be read" in found.only("fail")["message"]


async def test_an_old_schema_is_worth_saying(clinic: Clinic) -> None:
    database = await migrated(clinic)
    await database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '0000'")))
    await database.close()
    found = await clinic.look()
    assert any("its schema is another version's" in message for message in found.said("warn"))


async def test_a_server_that_is_away_fails_in_words(clinic: Clinic) -> None:
    clinic.env["HANDRAIL_DATABASE_URL"] = "postgresql://handrail:pass-word-1@127.0.0.1:1/handrail"
    found = await clinic.look()
    assert found.status == 1
    assert "The database does not answer" in found.only("fail")["message"]
    assert "pass-word-1" not in found.text


async def test_the_database_is_well_on_both_engines(clinic: Clinic, database: Database) -> None:
    clinic.env["HANDRAIL_DATABASE_URL"] = database.url.render_as_string(hide_password=False)
    found = await clinic.look()
    assert found.status == 0
    assert "It can be written to." in found.said("ok")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("UPDATE audit SET data = '{\"n\":9}' WHERE seq = 2", "entry 2 was changed"),
        ("DELETE FROM audit WHERE seq = 3", "entry 3 is not what follows it says"),
        ("DELETE FROM audit", "the newest entries are missing"),
    ],
)
async def test_an_audit_that_was_changed_fails(clinic: Clinic, harm: str, said: str) -> None:
    database = await migrated(clinic)
    await database.write(_three_entries)
    await database.write(_change_the_audit, harm)
    await database.close()
    found = await clinic.look()
    assert found.status == 1
    assert said in found.only("fail")["message"]


def _three_entries(connection: Connection) -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    for number in range(3):
        audit.append(connection, at=at, kind="test", actor=HANDRAIL, origin=Origin.ENGINE, n=number)


def _change_the_audit(connection: Connection, harm: str) -> None:
    """As somebody who owns the file can, triggers or not."""
    for name in connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
        connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
    connection.exec_driver_sql(harm)


# --- Slack ------------------------------------------------------------------------------------------------------------


async def test_missing_scopes_are_named_with_what_they_are_for(tmp_path: Path) -> None:
    less = frozenset(SCOPES) - {"chat:write.public", "groups:history"}
    async with a_clinic(tmp_path, scopes=less) as clinic:
        found = await clinic.look()
    assert found.status == 1
    message = found.only("fail")["message"]
    assert "chat:write.public (to post in public channels" in message
    assert "groups:history" in message
    assert "channels:history" not in message


async def test_slack_that_does_not_answer_is_one_failure_in_words(clinic: Clinic) -> None:
    clinic.env["SLACK_API_URL"] = "http://127.0.0.1:1/api/"
    found = await clinic.look()
    assert found.status == 1
    assert "Slack does not answer" in found.only("fail")["message"]


async def test_a_server_in_trouble_is_not_blamed_on_the_token(clinic: Clinic) -> None:
    clinic.workspace.faults.server_error(status=502)
    found = await clinic.look()
    assert (found.status, found.only("fail")["message"]) == (1, "Slack does not answer: it answered 502.")


async def test_a_rate_limit_is_not_blamed_on_the_token(clinic: Clinic) -> None:
    clinic.workspace.faults.rate_limited(30)
    found = await clinic.look()
    assert found.only("fail")["message"] == "Slack does not answer: it asks to wait, too much was asked of it."


async def test_trouble_with_one_call_leaves_the_others_said(clinic: Clinic) -> None:
    clinic.workspace.faults.server_error("conversations.info")
    found = await clinic.look()
    assert found.only("fail")["message"] == "The alerts channel C0OPS cannot be looked at: it answered 500."


@pytest.mark.parametrize(("seconds", "outcome"), [(301, "fail"), (-400, "fail"), (120, "warn"), (20, "ok")])
async def test_a_clock_that_is_wrong_breaks_signatures(clinic: Clinic, seconds: float, outcome: str) -> None:
    clinic.clock = FakeClock(SystemClock().now() + timedelta(seconds=seconds))
    found = await clinic.look()
    (said,) = [check for check in found.checks if "machine's clock" in check["message"]]
    assert said["outcome"] == outcome


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ("C0GONE", "The alerts channel C0GONE cannot be looked at: channel_not_found."),
        ("C0OLD", "The alerts channel #old is archived."),
    ],
)
async def test_an_alerts_channel_that_cannot_be_posted_to_fails(clinic: Clinic, channel: str, said: str) -> None:
    clinic.config["channels"] = {"alerts": channel}
    found = await clinic.look()
    assert (found.status, found.only("fail")["message"]) == (1, said)


async def test_no_alerts_channel_is_worth_saying(clinic: Clinic) -> None:
    clinic.config["channels"] = {}
    found = await clinic.look()
    assert found.only("warn")["message"] == "There is no alerts channel."


async def test_a_user_group_that_is_not_there_fails_and_an_empty_one_is_worth_saying(tmp_path: Path) -> None:
    empty = (Group(id="S0EMPTY", handle="empty", name="Nobody", members=()),)
    async with a_clinic(tmp_path, groups=empty) as clinic:
        clinic.config["roles"] = {"S0GONE": "NOC", "S0EMPTY": "NOC"}
        found = await clinic.look()
    assert "S0GONE cannot be looked up: no_such_subteam" in found.only("fail")["message"]
    assert found.only("warn")["message"] == "Nobody is in the user group S0EMPTY."


# --- hosts ------------------------------------------------------------------------------------------------------------


async def test_a_host_that_is_away_fails_and_one_without_sudo_is_worth_saying(clinic: Clinic) -> None:
    clinic.remote.reports = {
        "web-01": HostReport(host="web-01", ok=False, message="'web-01' refuses the connection. Is sshd running?"),
        "web-02": HostReport(host="web-02", ok=True, message="'web-02' answers.", facts={"sudo": "is limited"}),
    }
    found = await clinic.look()
    assert found.status == 1
    assert found.only("fail")["message"] == "'web-01' refuses the connection. Is sshd running?"
    assert "sudo" in found.only("warn")["advice"]


async def test_dead_letters_and_what_waits_for_slack_are_counted(clinic: Clinic) -> None:
    database = await migrated(clinic)
    now = datetime(2026, 11, 21, tzinfo=UTC)

    def fill(connection: Connection) -> None:
        for number in ("dead", "waits"):
            outbox.put(
                connection,
                id=number,
                kind=OutboxKind.ALERT,
                method="post",
                payload={"text": "hello"},
                now=now,
                channel="C0OPS",
            )
            outbox.begin(connection, number)
        outbox.bury(connection, "dead", now=now, error="is_archived")
        outbox.again(connection, "waits", at=now, error="HTTP 503", unsure=False)

    await database.write(fill)
    await database.close()
    found = await clinic.look()
    said = " ".join(found.said("warn"))
    assert "1 dead letter: 1 alert (is_archived). The alerts channel was not told of 1." in said
    assert "1 message waits for Slack since 2026-11-21 00:00 UTC (HTTP 503)." in said
    assert found.status == 0


async def hosts(clinic: Clinic, *names: str, as_json: bool = False) -> tuple[int, str]:
    """`handrail hosts check NAMES`, its status and words."""
    (clinic.folder / "handrail.yml").write_text(yaml.safe_dump(clinic.config))
    out: list[str] = []
    status = await doctor.check_hosts(
        names,
        as_json=as_json,
        out=out.append,
        colour=lambda words, _: words,
        environment=clinic.env,
        remote=clinic.remote,
    )
    return status, "\n".join(out)


async def test_hosts_check_looks_at_those_that_are_named_or_all(clinic: Clinic) -> None:
    away = HostReport(host="web-01", ok=False, message="'web-01' is away.")
    clinic.remote.reports = {"web-01": away}
    status, said = await hosts(clinic)
    assert status == 1
    assert [line.split()[0] for line in said.splitlines()] == ["fail", "ok"]
    assert (await hosts(clinic, "web-02"))[0] == 0
    status, said = await hosts(clinic, as_json=True)
    assert [host["ok"] for host in json.loads(said)["hosts"]] == [False, True]
    with pytest.raises(NotFound, match="web-09"):
        await hosts(clinic, "web-09")


async def test_no_hosts_is_nothing_to_check(clinic: Clinic) -> None:
    clinic.config["hosts"] = {}
    with pytest.raises(NotFound, match=r"handrail\.yml"):
        await hosts(clinic)


async def test_people_read_lines_with_the_next_move_and_a_sum(clinic: Clinic) -> None:
    clinic.config["channels"] = {}
    (clinic.folder / "handrail.yml").write_text(yaml.safe_dump(clinic.config))
    out: list[str] = []
    status = await doctor.run(
        as_json=False,
        out=out.append,
        note=lambda _: None,
        colour=lambda words, _: words,
        environment=clinic.env,
        remote=clinic.remote,
    )
    assert status == 0
    place = out.index("warn  slack     There is no alerts channel.")
    assert out[place + 1].strip().startswith("Set channels.alerts")
    assert out[-1].endswith("1 to look at, 0 failed.")
