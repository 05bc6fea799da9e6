"""Settings: everything wrong is said at once, and what is right becomes values the rooms understand."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from bot import settings
from bot.settings import Settings
from safety.roles import Permission, Role
from storage.errors import ConfigurationError
from storage.records import Consent, Danger, Platform

ROOT = Path(__file__).parents[2]
GOOD = {"SLACK_BOT_TOKEN": "xoxb-1-local", "SLACK_SIGNING_SECRET": "local-signing-secret"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a key and known hosts."""
    (tmp_path / "id_ed25519").write_text("a key")
    (tmp_path / "known_hosts").write_bytes(b"web-01 ssh-ed25519 AAAA\n")
    return tmp_path


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Complete; `more` replaces, "" takes away."""
    base = {
        **GOOD,
        "HANDRAIL_CONFIG": str(folder / "handrail.yml"),
        "HANDRAIL_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/handrail.db",
        **more,
    }
    return {name: value for name, value in base.items() if value}


def loaded(folder: Path, text: str, **more: str) -> Settings:
    """From this `handrail.yml`."""
    (folder / "handrail.yml").write_text(text, encoding="utf-8")
    return settings.load(environment=environment(folder, **more))


def complaints(folder: Path, text: str, **more: str) -> tuple[str, ...]:
    """What is wrong with this `handrail.yml`."""
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, text, **more)
    return caught.value.complaints


def test_an_empty_file_is_enough_to_start_with(folder: Path) -> None:
    found = loaded(folder, "")
    assert found.inventory.hosts == ()
    assert (found.host, found.port) == ("127.0.0.1", 3000)
    assert found.policy().consents[Danger.DANGEROUS] is Consent.APPROVE


def test_what_the_file_says_becomes_values(folder: Path) -> None:
    found = loaded(
        folder,
        """
        channels: {alerts: C0OPS}
        roles: {UALICE: admin, S0ONCALL: NOC, "cli:root": MANAGER}
        emergency: [UALICE]
        approvals: {high: none, expire: 20m, notify: S0ONCALL}
        ssh: {user: ops, key_file: id_ed25519}
        hosts:
          web-01: {address: 192.0.2.1, port: 2222, platform: linux, tags: [web], services: [nginx]}
        limits: {global: 20/min}
        runbooks: {restart-service: {cooldown: 5m, danger: high}}
        """,
    )
    host = found.inventory.host("web-01")
    assert (host.address, host.port, host.user, host.platform) == ("192.0.2.1", 2222, "ops", Platform.LINUX)
    assert host.key_file == folder / "id_ed25519"
    policy = found.policy()
    assert policy.expire == timedelta(minutes=20)
    assert policy.people.roles == {"UALICE": Role.ADMIN, "S0ONCALL": Role.NOC, "cli:root": Role.MANAGER}
    assert policy.consents[Danger.HIGH] is Consent.NONE
    assert policy.global_rate.limit == 20
    assert found.catalog.get("restart-service").cooldown == timedelta(minutes=5)
    assert found.groups == {"S0ONCALL"}


def test_the_example_file_is_complete_and_right(folder: Path) -> None:
    text = (ROOT / "handrail.example.yml").read_text(encoding="utf-8")
    found = loaded(folder, text)
    assert found.inventory.hosts
    assert found.file.model_fields_set == set(settings.File.model_fields)
    assert all(f"{name}:" in text for name in (*settings.File.model_fields, *settings.HostPart.model_fields))


def test_everything_wrong_is_said_at_once(folder: Path) -> None:
    said = complaints(
        folder,
        """
        rolls: {}
        roles: {alice: ADMIN, UBOB: BOSS}
        hosts:
          web-01: {address: 192.0.2.1, port: 99999}
        approvals: {expire: soon}
        """,
        SLACK_BOT_TOKEN="xapp-1",
        SLACK_API_URL="slack",
        HANDRAIL_LISTEN="3000",
        HANDRAIL_DATABASE_URL="mysql://x/y",
        HANDRAIL_CONFG="typo.yml",
    )
    for part in (
        "SLACK_BOT_TOKEN is not a bot token",
        "SLACK_API_URL",
        "HANDRAIL_LISTEN",
        "SQLite or PostgreSQL",
        "HANDRAIL_CONFG is not a setting of Handrail. Did you mean HANDRAIL_CONFIG?",
        "rolls is not a setting",
        "'alice' is not allowed here (a Slack user id",
        "roles.UBOB",
        "hosts.web-01.port",
        "approvals.expire: 'soon' is not a duration",
    ):
        assert any(part in complaint for complaint in said), part


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("roles: {UALICE: ADMIN, UALICE: NOC}", "'UALICE' is there twice (line 1"),
        ("hosts:\n  a: {address: x}\n  a: {address: y}", "'a' is there twice (line 3"),
        ("roles: [", "line 1"),
        ("- a", "must hold settings by name"),
        ("approvals: {expire: 0s}", "longer than nothing"),
        ("approvals: {expire: 900}", "write 90s, 10m, 2h or 30d"),
        ("approvals: {expire: -5m}", "negative"),
        ("runbooks: {restart-service: {timeout: 0s}}", "longer than nothing"),
        ("retention: {output: 0d}", "longer than nothing"),
        ("digest: {cron: every day}", "not a cron line"),
        ("digest: {timezone: Berlin}", "no timezone"),
        ("digest: {timezone: ../etc/passwd}", "no timezone"),
        ("limits: {global: lots}", "limits.global"),
        ("channels: {alerts: '#ops'}", "a Slack channel id"),
        ("runbooks: {restart-servce: {cooldown: 1m}}", "restart-servce"),
        ("hosts: {a: {address: 192.0.2.1}}", "no key"),
        ("hosts: {a: {address: 192.0.2.1, key_file: gone}}", "does not exist"),
        ("ssh: {key_file: id_ed25519}\nhosts: {a: {address: x}, A: {address: y}}", "twice, in another case"),
        ("hosts: {a: {address: '-oProxyCommand=x', key_file: id_ed25519}}", "not allowed here"),
        ("permissions: {NOC: [runbooks.everything]}", "permissions.NOC"),
    ],
)
def test_a_mistake_in_the_file_is_named_where_it_is(folder: Path, text: str, part: str) -> None:
    assert any(part in complaint for complaint in complaints(folder, text)), complaints(folder, text)


def test_a_broken_file_is_not_quoted_because_a_line_may_hold_a_secret(folder: Path) -> None:
    said = complaints(folder, 'ssh: {password: "hunter2-hunter2')
    assert "hunter2" not in " ".join(said)


def test_hosts_without_known_hosts_are_refused(folder: Path) -> None:
    (folder / "known_hosts").unlink()
    said = complaints(folder, "ssh: {key_file: id_ed25519}\nhosts: {a: {address: 192.0.2.1}}")
    assert any("ssh-keyscan" in complaint for complaint in said)


def test_paths_are_relative_to_the_file_that_names_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    found = loaded(folder, "ssh: {key_file: id_ed25519}\nhosts: {a: {address: 192.0.2.1}}")
    assert found.known_hosts.startswith(b"web-01 ")


def test_one_of_the_two_doors_to_slack_is_needed(folder: Path) -> None:
    said = complaints(folder, "", SLACK_SIGNING_SECRET="")
    assert any("SLACK_SIGNING_SECRET" in complaint and "SLACK_APP_TOKEN" in complaint for complaint in said)
    found = loaded(folder, "", SLACK_SIGNING_SECRET="", SLACK_APP_TOKEN="xapp-1-local")
    assert found.slack is not None
    assert found.slack.signing_secret is None


def test_short_commands_need_neither_tokens_nor_the_file(folder: Path) -> None:
    given = environment(folder, SLACK_BOT_TOKEN="", SLACK_SIGNING_SECRET="")
    found = settings.load(slack=False, hosts=False, environment=given)
    assert found.slack is None
    assert found.file.channels.alerts is None


def test_a_kill_switch_survives_a_broken_file(folder: Path) -> None:
    (folder / "handrail.yml").write_text("roles: {alice: ADMIN}")
    found, passed_over = settings.load_for_switch(environment(folder))
    assert found.file.channels.alerts is None
    assert any("'alice'" in complaint for complaint in passed_over)
    with pytest.raises(ConfigurationError):
        settings.load_for_switch(environment(folder, HANDRAIL_DATABASE_URL="mysql://x"))


def test_every_secret_is_known_to_the_redaction(folder: Path) -> None:
    url = "postgresql://handrail:pass-of-the-database@db.example/handrail"
    found = loaded(folder, "", HANDRAIL_DATABASE_URL=url, SLACK_APP_TOKEN="xapp-1-local", HANDRAIL_SECRET_KEY="k" * 32)
    expected = {*GOOD.values(), url, "pass-of-the-database", "xapp-1-local", "k" * 32}
    assert set(found.secrets()) == expected
    assert not any(secret in repr(found) for secret in expected)


def test_what_is_held_before_loading_has_the_password_of_the_database(folder: Path) -> None:
    url = "postgresql://handrail:p%40ss@db.example/handrail"
    assert set(settings.held_secrets({"HANDRAIL_DATABASE_URL": url})) == {url, "p%40ss", "p@ss"}
    assert settings.held_secrets({"HANDRAIL_DATABASE_URL": "sqlite+aiosqlite:///x.db"}) == []
    assert settings.held_secrets({"HANDRAIL_DATABASE_URL": "postgresql://[broken"}) == []


def test_the_name_of_a_sqlite_file_is_no_secret(folder: Path) -> None:
    assert set(loaded(folder, "").secrets()) == set(GOOD.values())


def test_the_address_may_be_of_either_family(folder: Path) -> None:
    assert (loaded(folder, "", HANDRAIL_LISTEN="[::1]:0").host, loaded(folder, "").port) == ("::1", 3000)


def test_groups_give_their_role_to_their_members(folder: Path) -> None:
    class Everybody:
        def groups_of(self, person: str) -> frozenset[str]:
            return frozenset({"S0ONCALL"})

        def members_of(self, group: str) -> frozenset[str] | None:
            return frozenset({"UBOB"})

    policy = loaded(folder, "roles: {S0ONCALL: NOC}").policy(Everybody())
    assert policy.may("UBOB", Permission.EXECUTE)
    assert not policy.may("UBOB", Permission.APPROVE)
    assert not loaded(folder, "roles: {S0ONCALL: NOC}").policy().may("UBOB", Permission.EXECUTE)


def test_the_environment_is_the_processs_own_unless_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "handrail.yml").write_text("")
    for name in [name for name in os.environ if name.startswith(("SLACK_", "HANDRAIL_"))]:
        monkeypatch.delenv(name)
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)
    assert settings.load().config == folder / "handrail.yml"
