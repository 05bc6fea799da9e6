"""`handrail secrets`: values come by standard input or a prompt, and never go anywhere they can be seen."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot import doctor, vault
from bot.doctor import Check, Outcome
from safety.sealing import new_key, parse_key
from storage import audit
from storage.database import Database
from storage.errors import Invalid, NotFound, SecretUnavailable
from storage.records import Actor
from tests.bot.test_cli import BASE, a_database, handrail
from tests.fakes import HastyClock

ME = Actor(id="cli:ops", name="ops")
VALUE = "correct-horse-battery"
NAME = "host/web-01/password"


@pytest.fixture
def key() -> str:
    """A new one."""
    return new_key()


# --- as processes -----------------------------------------------------------------------------------------------------


def test_a_secret_goes_in_by_standard_input_and_its_value_comes_out_nowhere(tmp_path: Path) -> None:
    a_database(tmp_path)
    old = handrail("secrets", "key", cwd=tmp_path).stdout.strip()
    new = handrail("secrets", "key", cwd=tmp_path).stdout.strip()
    env = {"HANDRAIL_SECRET_KEY": old}
    both = {"HANDRAIL_SECRET_KEY": f"{new},{old}"}
    steps = [
        (("set", NAME), env, f"{VALUE}\n", 0, "is stored"),
        (("set", NAME), env, f"{VALUE}\r\n", 0, "is replaced"),
        (("list",), env, "", 0, f"{NAME}: sealed"),
        (("list", "--json"), env, "", 0, parse_key(old).id),
        (("check",), env, "", 0, "1 of 1 open"),
        (("check", "--json"), {"HANDRAIL_SECRET_KEY": new}, "", 1, "was sealed with the key"),
        (("rotate",), both, "", 0, "1 secret sealed anew"),
        (("rotate",), both, "", 0, "1 had it already"),
        (("check",), {"HANDRAIL_SECRET_KEY": new}, "", 0, "1 of 1 open"),
        (("remove", NAME), env, "", 0, "is removed"),
        (("remove", NAME), env, "", 1, "There is no secret"),
        (("set", NAME), {}, f"{VALUE}\n", 2, "There is no key to seal with"),
        (("set", NAME), {"HANDRAIL_SECRET_KEY": "weak"}, f"{VALUE}\n", 2, "handrail secrets key"),
        (("set", "a b"), env, f"{VALUE}\n", 2, "is no name for a secret"),
        (("set", NAME), env, "hunt", 2, "has 4 characters"),
        (("set", NAME), env, "", 2, "has 0 characters"),
        (("set", NAME, VALUE), env, "", 2, ""),
    ]
    for words, given, stdin, status, part in steps:
        done = handrail("secrets", *words, cwd=tmp_path, env=given, stdin=stdin)
        said = done.stdout + done.stderr
        assert done.returncode == status, (words, said)
        assert part in said, (words, said)
        assert "Traceback" not in said
        assert old not in said
        assert VALUE not in said or VALUE in words
    exported = handrail("audit", "export", cwd=tmp_path).stdout
    assert [json.loads(line)["kind"] for line in exported.splitlines()[:-1]] == [
        "secret.stored", "secret.replaced", "secrets.rotated", "secret.removed",
    ]  # fmt: skip
    assert VALUE not in exported
    assert handrail("audit", "verify", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(("second", "status", "part"), [(VALUE, 0, "is stored"), ("other", 2, "not the same")])
def test_at_a_terminal_the_value_is_asked_for_twice_and_not_shown(
    tmp_path: Path, key: str, second: str, status: int, part: str
) -> None:
    a_database(tmp_path)
    ours, theirs = pty.openpty()
    env = {**BASE, "HANDRAIL_SECRET_KEY": key}
    words = [sys.executable, "-m", "bot", "secrets", "set", NAME]
    process = subprocess.Popen(
        words, cwd=tmp_path, env=env, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=_own_terminal
    )
    os.close(theirs)
    shown = _answer(ours, "not shown", VALUE) + _answer(ours, "The same again", second) + _rest(ours)
    assert process.wait(30) == status, shown
    assert part in shown
    assert VALUE not in shown


def _own_terminal() -> None:
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _answer(terminal: int, prompt: str, answer: str) -> str:
    """What was shown up to the prompt, which is answered then."""
    shown = ""
    while prompt not in shown:
        shown += os.read(terminal, 4096).decode()
    os.write(terminal, f"{answer}\n".encode())
    return shown


def _rest(terminal: int) -> str:
    shown = ""
    try:
        while data := os.read(terminal, 4096):
            shown += data.decode()
    except OSError:  # the other end is closed
        pass
    return shown


# --- in this process, on both databases -------------------------------------------------------------------------------


def environment(database: Database, key: str, folder: Path, config: str = "") -> dict[str, str]:
    """What is set; with this handrail.yml."""
    (folder / "handrail.yml").write_text(config)
    url = database.url.render_as_string(hide_password=False)
    return {"HANDRAIL_DATABASE_URL": url, "HANDRAIL_SECRET_KEY": key, "HANDRAIL_CONFIG": str(folder / "handrail.yml")}


CONFIG = "hosts: {web-01: {address: 192.0.2.1, password: {secret: host/web-01/password}}}"


async def test_what_the_settings_name_is_checked_and_said(database: Database, key: str, tmp_path: Path) -> None:
    env = environment(database, key, tmp_path, CONFIG)
    (finding,) = await vault.check(env)
    assert "Store it with `handrail secrets set host/web-01/password`" in str(finding.wrong)
    assert "used by hosts.web-01.password" in str(finding.wrong)
    said = await vault.store(NAME, lambda: VALUE, ME, environment=env, clock=HastyClock())
    assert VALUE not in said
    (finding,) = await vault.check(env)
    assert finding.wrong is None
    out: list[str] = []
    await vault.show(as_json=True, out=out.append, environment=env)
    (shown,) = json.loads(out[0])["secrets"]
    assert (shown["name"], shown["used_by"]) == (NAME, ["hosts.web-01.password"])
    assert "still names it: hosts.web-01.password" in await vault.remove(NAME, ME, environment=env)


async def test_nothing_is_asked_for_that_cannot_be_kept(database: Database, tmp_path: Path, key: str) -> None:
    def never() -> str:
        raise AssertionError("asked")

    env = environment(database, key, tmp_path)
    with pytest.raises(Invalid):
        await vault.store("a b", never, ME, environment=env)
    with pytest.raises(SecretUnavailable):
        await vault.store(NAME, never, ME, environment={**env, "HANDRAIL_SECRET_KEY": ""})
    away = {**env, "HANDRAIL_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/none.db"}
    with pytest.raises(NotFound):
        await vault.store(NAME, never, ME, environment=away)


async def test_a_broken_handrail_yml_does_not_keep_a_secret_from_being_stored(
    database: Database, tmp_path: Path, key: str
) -> None:
    env = environment(database, key, tmp_path, "roles: [")
    assert "is stored" in await vault.store(NAME, lambda: VALUE, ME, environment=env)
    assert len(await database.read(audit.search, kind="secret.stored")) == 1


# --- doctor -----------------------------------------------------------------------------------------------------------


async def secrets_part(env: dict[str, str]) -> list[Check]:
    """What doctor says of them."""
    return await doctor._secrets(env)


async def test_doctor_opens_every_secret_and_says_what_to_do(database: Database, key: str, tmp_path: Path) -> None:
    assert await secrets_part(environment(database, key, tmp_path)) == []
    env = environment(database, key, tmp_path, CONFIG)
    (check,) = await secrets_part(env)
    assert (check.outcome, "handrail secrets set" in check.message) == (Outcome.FAIL, True)
    await vault.store(NAME, lambda: VALUE, ME, environment=env)
    (check,) = await secrets_part(env)
    assert (check.outcome, check.message) == (
        Outcome.OK,
        "Every secret that is stored or named in handrail.yml opens (1).",
    )
    (check,) = await secrets_part({**env, "HANDRAIL_SECRET_KEY": f"{new_key()},{key}"})
    assert (check.outcome, check.advice) == (Outcome.WARN, "Run `handrail secrets rotate`.")
    (check,) = await secrets_part({**env, "HANDRAIL_SECRET_KEY": new_key()})
    assert (check.outcome, "was sealed with the key" in check.message) == (Outcome.FAIL, True)
    (check,) = await secrets_part({**env, "HANDRAIL_SECRET_KEY": ""})
    assert "none is set" in check.message
    gone = {**env, "HANDRAIL_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/none.db"}
    (check,) = await secrets_part(gone)
    assert (check.outcome, NAME in check.message) == (Outcome.FAIL, True)


def test_doctor_says_when_others_can_read_the_key(tmp_path: Path, key: str) -> None:
    file: Any = tmp_path / "key"
    file.write_text(f"{key}\n")
    file.chmod(0o644)
    (tmp_path / "handrail.yml").write_text("")
    tokens = {"SLACK_BOT_TOKEN": "xoxb-1-local", "SLACK_SIGNING_SECRET": "local-signing-secret"}
    env = {**tokens, "HANDRAIL_CONFIG": str(tmp_path / "handrail.yml"), "HANDRAIL_SECRET_KEY_FILE": str(file)}
    assert any(check.advice == f"Run `chmod 600 {file}`." for check in doctor._settings(env))
