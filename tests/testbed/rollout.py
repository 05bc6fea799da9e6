"""A configuration is rolled to six real hosts; the fourth breaks, the rollout stops, what was changed is taken back.

    python -m tests.testbed.rollout --hosts PATH [--auto] [--kill] [--postgres] [--write]

`handrail serve` with the local workspace as its Slack: Bob asks for waves of 1, 2, 1 and 1 hosts, Carol approves. On
the fourth host a file that the new configuration includes is missing, so `nginx -t` fails there. Bob presses
*Roll back* (with `--auto`, `handrail.yml` says `rollback: auto` and nobody presses anything), Carol approves. Then the
fourth host is repaired, and *Retry* rolls to all six. After each chapter root looks at every host. `--write` puts the
story into docs/rollout.md; `--kill` ends the bot with kill -9 in the middle of the second wave, and starts it again.
Exit status 1 when anything is not as it must be.
"""

import argparse
import asyncio
import contextlib
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bot.playground.workspace import Workspace
from storage import executions
from storage.database import Database
from storage.records import Execution, State
from tests.postgres import Postgres
from tests.system.serving import ROOT, Bot, button, everything, until
from tests.testbed.machines import Machines

PAGE = ROOT / "docs" / "rollout.md"
NAMES = tuple(f"app-{number:02}" for number in range(1, 7))
BROKEN = "app-04"
FOLDER = "/etc/nginx/rolled"
PATIENCE = 120.0
"""Seconds that one chapter may take."""

PREPARE = f"""\
set -e
install -d -o ops -g ops {FOLDER}
echo 'include {FOLDER}/*.conf;' >/etc/nginx/conf.d/rolled.conf
echo 'server {{ listen 8090; location / {{ return 200 "one"; }} }}' >{FOLDER}/site.conf
echo 'include {FOLDER}/words; server {{ listen 8090; location / {{ return 200 "two"; }} }}' >{FOLDER}/site.conf.staged
rm -f {FOLDER}/words {FOLDER}/site.conf.before
chown ops:ops {FOLDER}/*
systemctl restart nginx
"""
REPAIR = f"echo 'server_tokens off;' >{FOLDER}/words"
LOOK = f"""\
printf '%s|' "$(curl -s --max-time 5 http://127.0.0.1:8090/)" "$(systemctl is-active nginx)" \
"$(nginx -t >/dev/null 2>&1 && echo valid || echo INVALID)" "$(grep -o 'return 200 "[a-z]*"' {FOLDER}/site.conf)"
"""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What root sees on one host."""

    host: str
    answers: str
    nginx: str
    config: str
    file: str

    @property
    def words(self) -> str:
        """A row of a table."""
        return f"| {self.host} | {self.answers} | {self.nginx} | {self.config} | {self.file} |"

    def is_whole(self, says: str) -> bool:
        """Whether nginx runs, would start again, and serves what its file says."""
        return (self.answers, self.nginx, self.config, self.file) == (says, "active", "valid", says)


@dataclass(kw_only=True)
class Story:
    """The chapters, what was seen in each, and what was wrong."""

    machines: Machines
    lines: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def says(self, *lines: str) -> None:
        """On the screen and in the page."""
        print(*lines, sep="\n", flush=True)
        self.lines += lines

    def check(self, holds: bool, what: str) -> None:
        """Something that must be so."""
        if not holds:
            self.wrong.append(what)
        self.says(f"- {'yes' if holds else '**NO**'}: {what}")

    async def look(self) -> dict[str, Seen]:
        """Every host, as root sees it now."""
        told = await asyncio.gather(*(self.machines.root(name, LOOK) for name in NAMES))
        found = {}
        for name, said in zip(NAMES, told, strict=True):
            answers, nginx, config, file = (said.split("|") + [""] * 4)[:4]
            word = file.rpartition(" ")[2].strip('"')
            found[name] = Seen(host=name, answers=answers, nginx=nginx, config=config, file=word)
        self.says("", "| host | answers | nginx | `nginx -t` | site.conf says |", "|---|---|---|---|---|")
        self.says(*(seen.words for seen in found.values()), "")
        return found

    async def rows(self, database: Database, execution: Execution) -> dict[str, str]:
        """How each host came out, by the rows."""
        found = await database.read(executions.hosts_of, execution.id)
        self.says("", "| host | wave | ended | why |", "|---|---|---|---|")
        self.says(*(f"| {row.host} | {row.wave} | {row.state.value} | {row.reason or ''} |" for row in found), "")
        return {row.host: row.state.value for row in found}


async def tell(story: Story, bot: Bot, workspace: Workspace, *, auto: bool, kill: bool) -> None:
    """All of it."""
    async with bot.database() as database:
        asked = f"/runbook site-config {FOLDER} two on {','.join(NAMES)} --waves 1,2,1 --pause 2s"
        story.says(f"## The rollout\n\nBob: `{asked}`. Carol approves the plan.", "")
        await workspace.command("bob", "incidents", asked)
        await workspace.click("carol", await button(workspace, "Approve"), "Approve")
        if kill:
            await until(lambda: is_in_the_second_wave(database), "the second wave", timeout=PATIENCE)
            bot.kill()
            await bot.start()
        first = await ended(database, 1)
        states = await story.rows(database, first)
        story.says(f"Ending: *{first.state.words}*: {first.ending}")
        seen = await story.look()
        expected = dict(zip(NAMES, ["succeeded"] * 3 + ["failed"] + ["skipped"] * 2, strict=True))
        story.check(states == expected, "three hosts have it, the fourth failed, the last two were not begun")
        story.check(all(seen[name].is_whole("two") for name in NAMES[:3]), "the first three serve the new one")
        story.check(seen[BROKEN].config == "INVALID", "a restart would take nginx down on the fourth")
        story.check(all(seen[name].is_whole("one") for name in NAMES[4:]), "the last two were not touched")
        story.says("\n## The rollback\n")
        if auto:
            story.says("It begins by itself: `rollback: auto`. Carol approves its plan.")
        else:
            story.says("Bob presses *Roll back*. Carol approves its plan.")
            await workspace.click("bob", await button(workspace, "Roll back"), "Roll back")
        await workspace.click("carol", await button(workspace, "Approve", saying="#2"), "Approve")
        back = await ended(database, 2)
        states = await story.rows(database, back)
        original = await until(lambda: rolled_back(database), "the rollout being called rolled back")
        story.says(f"Ending: *{back.state.words}*; the rollout is *{original.state.words}*.")
        seen = await story.look()
        story.check(list(states) == ["app-04", "app-02", "app-03", "app-01"], "the last wave was taken back first")
        story.check(all(one.is_whole("one") for one in seen.values()), "all six are healthy, with the former one")
        story.says("\n## Once more\n\nThe fourth host is repaired. Bob: `/runbook retry 1`. Carol approves.")
        await story.machines.root(BROKEN, REPAIR)
        await workspace.command("bob", "incidents", "/runbook retry 1")
        await workspace.click("carol", await button(workspace, "Approve", saying="#3"), "Approve")
        again = await ended(database, 3)
        await story.rows(database, again)
        seen = await story.look()
        story.check(again.state is State.SUCCEEDED, "the retry succeeded on every host")
        story.check(all(one.is_whole("two") for one in seen.values()), "all six are healthy, with the new one")
        audit = await bot.handrail("audit", "verify")
        story.check(audit.returncode == 0, "the audit verifies")


async def is_in_the_second_wave(database: Database) -> bool:
    """Whether both of its hosts are at work."""
    steps = await database.read(executions.steps_of, 1)
    return {"app-02", "app-03"} <= {step.host for step in steps}


async def rolled_back(database: Database) -> Execution | None:
    """The rollout, once it is called so."""
    found = await database.read(executions.get, 1)
    return found if found.state is State.ROLLED_BACK else None


async def ended(database: Database, number: int) -> Execution:
    """This execution, at its ending."""

    async def over() -> Execution | None:
        found = await database.read(executions.find, number)
        is_over = found is not None and (found.state.is_final or found.state is State.INTERRUPTED)
        return found if is_over else None

    return await until(over, f"the ending of #{number}", timeout=PATIENCE)  # type: ignore[no-any-return]


@contextlib.contextmanager
def database_url(folder: Path, *, postgres: bool) -> Iterator[str]:
    """An empty database."""
    if not postgres:
        yield f"sqlite+aiosqlite:///{folder}/handrail.db"
        return
    with Postgres() as server:
        yield server.new_database("rollout")


async def run(story: Story, *, auto: bool, kill: bool, postgres: bool) -> None:
    """Hosts, workspace and bot, and the story."""
    await story.machines.do("up", *NAMES)
    await asyncio.gather(*(story.machines.root(name, PREPARE) for name in NAMES))
    await asyncio.gather(*(story.machines.root(name, REPAIR) for name in NAMES if name != BROKEN))
    how = {"site-config": {"rollback": "auto"}} if auto else {}
    library = str(Path(__file__).parent / "rollout_library")
    config = await story.machines.configuration(NAMES, library=[library], runbooks=how)
    workspace = Workspace(rate_limits=False)
    workspace.add_channel(id="C0INC", name="incidents")
    with tempfile.TemporaryDirectory() as folder, database_url(Path(folder), postgres=postgres) as url:
        async with workspace:
            bot = Bot(folder=Path(folder), slack=workspace, database_url=url, config=config)
            workspace.events_url = bot.events_url
            try:
                await bot.start()
                await tell(story, bot, workspace, auto=auto, kill=kill)
                story.says("\n## What the channel read\n\n```text")
                said = [workspace.read(message) for message in everything(workspace)]
                story.says(
                    *(line for text in said for line in text.splitlines() if re.search(r"Wave \d|[* ]#\d", line))
                )
                story.says("```")
            except BaseException:
                print(bot.log(), file=sys.stderr)
                raise
            finally:
                await bot.stop()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--hosts", help="the script that makes the hosts")
    parser.add_argument("--auto", action="store_true", help="the rollback begins by itself")
    parser.add_argument("--kill", action="store_true", help="kill -9 of the bot in the second wave")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL instead of SQLite")
    parser.add_argument("--write", action="store_true", help="put the story into docs/rollout.md")
    asked = parser.parse_args()
    story = Story(machines=Machines.at(asked.hosts))
    asyncio.run(run(story, auto=asked.auto, kill=asked.kill, postgres=asked.postgres))
    if asked.write:
        head = "# A rollout that breaks, on six real hosts\n\nMade by `python -m tests.testbed.rollout --write`.\n"
        PAGE.write_text("\n".join([head, *story.lines]) + "\n")
    print(f"{len(story.wrong)} wrong: {'; '.join(story.wrong) or 'nothing'}")
    return 1 if story.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
