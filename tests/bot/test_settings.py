"""Settings: everything wrong is said at once, and what is right becomes values the rooms understand."""

import base64
import os
import re
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from bot import settings
from bot.settings import Settings
from safety.approval import Demand
from safety.command_guard import Severity
from safety.roles import PERMISSIONS, Can, Permission, Role
from safety.sealing import new_key, parse_key
from storage.errors import ConfigurationError
from storage.records import Consent, Danger, Platform, Rollout

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
    assert found.policy().demands.dangers[Danger.DANGEROUS].consent is Consent.APPROVE


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
    assert policy.demands.dangers[Danger.HIGH].consent is Consent.NONE
    assert policy.limits.everything[0].limit == 20
    assert found.catalog.get("restart-service").cooldown == timedelta(minutes=5)
    assert found.groups == {"S0ONCALL"}


def test_the_example_file_is_complete_and_right(folder: Path) -> None:
    text = (ROOT / "handrail.example.yml").read_text(encoding="utf-8")
    found = loaded(folder, text)
    assert found.inventory.hosts
    assert found.file.model_fields_set == set(settings.File.model_fields)
    assert all(f"{name}:" in text for name in (*settings.File.model_fields, *settings.HostPart.model_fields))


def test_the_teams_guard_rules_are_read_and_a_tag_nobody_has_is_said(folder: Path) -> None:
    text = """
        hosts: {web-01: {address: 192.0.2.1, tags: [web]}}
        ssh: {key_file: id_ed25519}
        guard:
          rules: [{name: a, program: reboot, verdict: REFUSE, reason: No., tags: [web]}]
          exceptions: [{name: b, command: "rm /srv/x", tags: [web]}]
        """
    policy = loaded(folder, text).file.guard.policy()
    assert policy.rules[0].verdict is Severity.REFUSE
    assert policy.exceptions[0].tags == {"web"}
    said = complaints(folder, text.replace("tags: [web]}]", "tags: [wbe]}]"))
    assert "guard.exceptions 'b': no host has the tag 'wbe'." in said


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
        ("digest: {cron: every day}", "is no cron line"),
        ("digest: {weekly: each week}", "is no cron line"),
        ("digest: {by_hand: five minutes}", "is not a duration"),
        ("digest: {timezone: Berlin}", "Did you mean Europe/Berlin"),
        ("digest: {timezone: ../etc/passwd}", "is no time zone"),
        ("limits: {global: lots}", "limits.global"),
        ("channels: {alerts: '#ops'}", "a Slack channel id"),
        ("runbooks: {restart-servce: {cooldown: 1m}}", "restart-servce"),
        ("runbooks: {restart-service: {waves: [rest, 1]}}", "it stands last"),
        ("runbooks: {restart-service: {max_failures: most}}", "no number of hosts that may fail"),
        ("runbooks: {restart-service: {pause: 2h}}", "pause"),
        ("runbooks: {restart-service: {rollback: sometimes}}", "rollback"),
        ("hosts: {a: {address: 192.0.2.1}}", "no key"),
        ("hosts: {a: {address: 192.0.2.1, key_file: gone}}", "does not exist"),
        ("ssh: {key_file: id_ed25519}\nhosts: {a: {address: x}, A: {address: y}}", "twice, in another case"),
        ("hosts: {a: {address: '-oProxyCommand=x', key_file: id_ed25519}}", "not allowed here"),
        ("permissions: {NOC: [runbooks.everything]}", "permissions.NOC"),
        ("ssh: {key_file: id_ed25519}\nhosts: {a: {address: x, tags: web}}", "hosts.a.tags: write a list, like [web]."),
        ("library: ours", "library: write a list, like [ours]."),
        ("emergency: U1", "emergency: write a list, like [U1]."),
        ("hosts: {a: {address: 10}}", "hosts.a.address: write text; in quotes"),
        ("hosts: {a: {address: x, port: many}}", "hosts.a.port: write a whole number."),
        ("queue: {running: 0}", "queue.running: it must be at least 1."),
        ("schedules: {catch_up: 1s}", "schedules.catch_up: it must be from 1 min to 7 d."),
        ("schedules: {timezone: Europe/Berln}", "Did you mean Europe/Berlin or Europe/Dublin?"),
        ("hots: {}", "hots is not a setting. Did you mean 'hosts'?"),
        ("runbooks: {restart-service: {dangr: LOW}}", "dangr is not a setting. Did you mean 'danger'?"),
        ("hosts: {a: {address: x, password: {sceret: a}}}", "sceret is not a setting. Did you mean 'secret'?"),
        ("roles: {U1: {role: NOC, can: [{hsots: [a]}]}}", "hsots is not a setting. Did you mean 'hosts'?"),
        ("limits: {globl: 5/min}", "globl is not a setting. Did you mean 'global'?"),
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
    keys = [new_key(), new_key()]
    found = loaded(
        folder, "", HANDRAIL_DATABASE_URL=url, SLACK_APP_TOKEN="xapp-1-local", HANDRAIL_SECRET_KEY=", ".join(keys)
    )
    expected = {*GOOD.values(), url, "pass-of-the-database", "xapp-1-local", *(key.rstrip("=") for key in keys)}
    assert expected <= set(found.secrets())
    assert not any(secret in repr(found) for secret in found.secrets())


# Fixed, because it is part of tests' names.
KEY = base64.urlsafe_b64encode(sha256(b"a key").digest()).decode()


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("correct horse battery staple", "is not 32 bytes in base64 or hexadecimal"),
        ("k" * 32, "is not 32 bytes"),
        ("0" * 64, "its bytes repeat"),
        ("ab" * 32, "its bytes repeat"),
        (base64.b64encode(b"thirty-two letters of plain text").decode(), "made of text"),
        (f"{KEY},{KEY}", "holds a key twice"),
        (f"{KEY},short", "key 2 of HANDRAIL_SECRET_KEY"),
        (",", "holds no key"),
    ],
)
def test_a_weak_key_is_refused_in_words_that_do_not_repeat_it(folder: Path, given: str, part: str) -> None:
    said = complaints(folder, "", HANDRAIL_SECRET_KEY=given)
    assert any(part in complaint for complaint in said), said
    assert not any(piece in complaint for complaint in said for piece in given.split(",") if len(piece) > 5)


def test_a_key_may_stand_in_a_file_with_others(folder: Path) -> None:
    file = folder / "key"
    file.write_text(f"# since spring\n{KEY}\n{new_key()}\n")
    found = loaded(folder, "", HANDRAIL_SECRET_KEY_FILE=str(file))
    assert len(found.keyring.keys) == 2
    assert found.keyring.ids[0] == parse_key(KEY).id
    said = complaints(folder, "", HANDRAIL_SECRET_KEY_FILE=str(file), HANDRAIL_SECRET_KEY=KEY)
    assert any("both set" in complaint for complaint in said)
    said = complaints(folder, "", HANDRAIL_SECRET_KEY_FILE=str(folder / "none"))
    assert any("cannot be read" in complaint for complaint in said)


@pytest.mark.parametrize("spelt", [KEY, KEY.rstrip("="), KEY.translate(str.maketrans("-_", "+/"))])
def test_a_key_is_the_same_in_every_spelling(spelt: str) -> None:
    assert parse_key(spelt).id == parse_key(KEY).id
    assert parse_key(base64.urlsafe_b64decode(KEY).hex()).id == parse_key(KEY).id


LOGINS = """
ssh: {key_file: key}
hosts:
  by-default: {address: 192.0.2.1}
  by-password: {address: 192.0.2.2, password: {secret: host/two/password}}
  by-key: {address: 192.0.2.3, key: {secret: ours}, passphrase: {secret: ours/passphrase}}
"""


def test_a_host_names_the_secrets_it_is_reached_with(folder: Path) -> None:
    (folder / "key").write_text("")
    (folder / "known_hosts").write_text("")
    found = loaded(folder, LOGINS)
    by = {host.name: (host.key_file, host.key, host.passphrase, host.password) for host in found.inventory.hosts}
    assert by == {
        "by-default": (folder / "key", None, None, None),
        "by-password": (None, None, None, "host/two/password"),
        "by-key": (None, "ours", "ours/passphrase", None),
    }
    assert found.secret_names()["ours"] == ["hosts.by-key.key"]


@pytest.mark.parametrize(
    ("host", "part"),
    [
        ("password: hunter2hunter2", "hosts.a.password: name a stored secret"),
        ("password: {secret: 'a b'}", "is no name for a secret"),
        ("key_file: key, key: {secret: x}", "both set"),
        ("passphrase: {secret: x}", "no key and no password"),
    ],
)
def test_a_login_that_cannot_be_is_said_without_its_value(folder: Path, host: str, part: str) -> None:
    (folder / "key").write_text("")
    (folder / "known_hosts").write_text("")
    said = complaints(folder, f"hosts: {{a: {{address: 192.0.2.1, {host}}}}}")
    assert any(part in complaint for complaint in said), said
    assert "hunter2" not in " ".join(said)


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


PEOPLE = """
roles:
  UALICE: ADMIN
  UBOB: {role: noc, can: {runbooks: [Restart, "kill-*"], hosts: [tag:web, env:prod, DB-01], max_hosts: 3}}
  S0ONCALL:
    role: NOC
    can:
      - {hosts: [web-01]}
      - {runbooks: [kill-process], max_hosts: 1}
can: {manager: {hosts: ["db-*"]}}
approvals:
  high: 2
  dangerous: 2 of S0DBA
  runbooks: {kill: "1 of S0SRE", restart-service: confirm}
  tags: {Web: approve, "env:prod": 3, "tag:db": confirm}
ssh: {key_file: id_ed25519}
hosts:
  web-01: {address: 192.0.2.1, tags: [web], environment: staging}
  db-01: {address: 192.0.2.2, tags: [db], environment: Prod}
"""


def test_rights_and_approvals_become_values_with_the_lines_they_come_from(folder: Path) -> None:
    found = loaded(folder, PEOPLE)
    people = found.policy().people
    assert people.roles == {"UALICE": Role.ADMIN, "UBOB": Role.NOC, "S0ONCALL": Role.NOC}
    bob = Can(
        rule="roles:UBOB can",
        runbooks=("restart-service", "kill-*"),
        hosts=("tag:web", "env:prod", "DB-01"),
        max_hosts=3,
    )
    assert people.can == {
        "UBOB": (bob,),
        "S0ONCALL": (
            Can(rule="roles:S0ONCALL can[1]", hosts=("web-01",)),
            Can(rule="roles:S0ONCALL can[2]", runbooks=("kill-process",), max_hosts=1),
        ),
    }
    assert people.role_can == {Role.MANAGER: (Can(rule="can:MANAGER", hosts=("db-*",)),)}
    demands = found.policy().demands
    assert demands.dangers[Danger.HIGH] == Demand(consent=Consent.APPROVE, quorum=2, rule="approvals.high")
    assert demands.dangers[Danger.DANGEROUS].group == "S0DBA"
    assert demands.runbooks["kill-process"].words == "1 of S0SRE"
    assert demands.tags["env:prod"].quorum == 3
    assert set(demands.tags) == {"web", "env:prod", "db"}
    assert found.groups == {"S0ONCALL", "S0DBA", "S0SRE"}
    assert found.policy().places["db-01"].environment == "Prod"
    right = found.policy().decide("UBOB", Permission.EXECUTE, runbook="kill-process", hosts=("web-01", "db-01"))
    assert right.allowed


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("roles: {UBOB: {role: NOC, can: {runbooks: [restrat-service]}}}", "Did you mean 'restart-service'?"),
        (
            "roles: {UBOB: {role: NOC, can: {runbooks: [restrat-service]}}}",
            "roles.UBOB.can.runbooks: there is no runbook",
        ),
        ("roles: {UBOB: {role: NOC, can: {hosts: [web-09]}}}", "there is no host 'web-09'. Did you mean 'web-01'?"),
        ("roles: {UBOB: {role: NOC, can: {hosts: ['tag:wbe']}}}", "no host has the tag 'wbe'. Did you mean 'web'?"),
        ("roles: {UBOB: {role: NOC, can: {hosts: ['env:prod']}}}", "no host has the environment 'prod'."),
        ("roles: {UBOB: {role: NOC, can: {hosts: ['dns:x']}}}", "'dns:x' is no target"),
        ("roles: {UBOB: {role: NOC, can: {hosts: ['web 01']}}}", "tag:NAME and env:NAME"),
        ("roles: {UBOB: {role: NOC, can: {hosts: null}}}", "hosts is empty"),
        ("roles: {UBOB: {role: NOC, can: {}}}", "it limits nothing"),
        ("roles: {UBOB: {role: NOC, can: []}}", "an empty list"),
        ("roles: {UBOB: {role: NOC, can: {max_hosts: 0}}}", "max_hosts"),
        ("roles: {UBOB: {role: NOC, cann: {}}}", "cann is not a setting"),
        ("roles: {UBOB: {can: {max_hosts: 1}}}", "roles.UBOB.role is missing"),
        ("roles: {UBOB: [NOC]}", "roles.UBOB"),
        ("can: {NOC: {hosts: [db-01]}}", "can.NOC.hosts: there is no host 'db-01'"),
        ("can: {BOSS: {hosts: [web-01]}}", "can.BOSS"),
        ("approvals: {runbooks: {nosuch: approve}}", "approvals.runbooks: there is no runbook 'nosuch'"),
        ("approvals: {tags: {nosuch: approve}}", "approvals.tags: no host has the tag 'nosuch'"),
        ("approvals: {tags: {'w*': approve}}", "'w*' is a pattern"),
        ("approvals: {high: often}", "approvals.high: 'often' is none of"),
        ("approvals: {high: 2 of UBOB}", "2 of S0DBA"),
        ("approvals: {runbooks: {kill-process: 0}}", "at least 1"),
    ],
)
def test_a_name_in_a_right_that_means_nothing_is_said(folder: Path, wrong: str, said: str) -> None:
    hosts = "ssh: {key_file: id_ed25519}\nhosts: {web-01: {address: 192.0.2.1, tags: [web], environment: staging}}\n"
    assert any(said in complaint for complaint in complaints(folder, hosts + wrong)), complaints(folder, hosts + wrong)


def test_a_pattern_may_wait_for_what_it_will_match(folder: Path) -> None:
    loaded(folder, "roles: {UBOB: {role: NOC, can: {runbooks: ['disk-*'], hosts: ['db-*', 'tag:d?', 'env:*']}}}")


def test_somebody_named_twice_is_said(folder: Path) -> None:
    assert any("'UBOB' is there twice" in c for c in complaints(folder, "roles: {UBOB: NOC, UBOB: ADMIN}"))


def test_the_page_about_people_holds_the_table_of_roles_and_examples_that_load(folder: Path) -> None:
    page = (ROOT / "docs" / "people.md").read_text(encoding="utf-8")
    rows = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| ")]
    head, *body = [[cell.strip() for cell in row] for row in rows]
    shown = {
        Role(role): {Permission(row[0].strip("`")) for row in body if row[column] == "yes"}
        for column, cell in enumerate(head)
        if column
        for role in cell.split(", ")
    }
    assert shown == {role: set(given) for role, given in PERMISSIONS.items()}
    hosts = "ssh: {key_file: id_ed25519}\nhosts:\n"
    hosts += "  web-01: {address: 192.0.2.1, tags: [web, prod], environment: prod}\n"
    hosts += "  web-02: {address: 192.0.2.2, tags: [web], environment: staging}\n"
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        assert loaded(folder, hosts + example).policy().places


@pytest.mark.parametrize("waves", ["[1, 25%, rest]", "'1,25%,rest'", '"1, 25%, REST"'])
def test_waves_of_a_runbook_are_a_list_or_a_text(folder: Path, waves: str) -> None:
    more = "pause: 30s, max_failures: 1, rollback: auto"
    found = loaded(folder, f"runbooks: {{restart-service: {{waves: {waves}, {more}}}}}")
    entry = found.catalog.get("restart-service")
    assert entry.rollout == Rollout(waves="1,25%,rest", pause=30, max_failures="1")
    assert entry.rollback
