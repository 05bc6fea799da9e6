"""Every runbook against every way to break a host: what was said in the thread, and what was so on the host.

    python -m tests.testbed.faults --hosts PATH [--only RUNBOOK,…] [--faults FAULT,…] [--keep FILE] [--write]

Each trial is an installation of its own: `handrail serve` with the local workspace as its Slack and one real host. The
host is healed, prepared and broken; Bob asks, whoever must consents; when it has ended, the host is asked as root what
is so. What `--keep` holds is not tried again, so that a run that was cut off can go on. `--write` puts the table into
docs/faults.md. Exit status 1 when anything said was not so.
"""

import argparse
import asyncio
import contextlib
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.playground.workspace import Workspace
from storage import executions
from storage.records import Execution, State, StepState
from tests.system.serving import ROOT, Bot, everything
from tests.testbed.machines import Machines

PAGE = ROOT / "docs" / "faults.md"
PATIENCE = 1200.0
"""Seconds a trial may take to come to its ending."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way to break a host. `late`: seconds after the request; None is before it."""

    name: str
    does: str
    verbs: tuple[tuple[str, ...], ...] = ()
    late: float | None = None


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One runbook as somebody asks for it.

    `prepare` makes the host ready, `goal` ends with 0 when what the runbook is for is so, `state` prints in a line what
    may change; all are for root's shell. `reads`: it changes nothing whatever happens.
    """

    runbook: str
    asks: str
    goal: str
    state: str
    prepare: str = "true"
    reads: bool = False
    but: frozenset[str] = frozenset()  # faults that say nothing about it


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one trial."""

    trial: Trial
    fault: Fault
    state: State | None
    said: str
    before: str
    after: str
    reached: bool
    checked: bool  # what failed was a check, after the change itself had gone well
    seconds: float

    @property
    def verdict(self) -> str | None:
        """Why what was said is not so; None when it is."""
        if self.state is None:
            return "it came to no ending"
        if self.state is State.SUCCEEDED and not self.reached:
            return "it said succeeded, and what it is for is not so"
        if self.trial.reads and self.before != self.after:
            return "it only reads, and something changed"
        untouched = re.search(r"nothing was (run|changed|executed)", self.said)
        if (untouched or self.state in {State.REFUSED, State.DENIED, State.EXPIRED}) and self.before != self.after:
            return "it said that nothing was run, and something changed"
        if self.state is State.FAILED and self.reached and self.before != self.after and not self.checked:
            return "it said failed, and what it is for was done"
        return None


FAULTS = (
    Fault(name="none", does="nothing is broken"),
    Fault(name="config", does="nginx does not start, its configuration is broken", verbs=(("break", "{}", "nginx"),)),
    Fault(
        name="latent",
        does="nginx runs, a restart would take it down",
        verbs=(("break", "{}", "nginx", "latent"),),
    ),
    Fault(name="mask", does="nginx is masked", verbs=(("break", "{}", "nginx", "mask"),)),
    Fault(name="crash", does="nginx was killed", verbs=(("break", "{}", "nginx", "crash"),)),
    Fault(name="port", does="nginx's port is taken", verbs=(("break", "{}", "nginx", "port"),)),
    Fault(name="hang", does="a start of nginx hangs", verbs=(("break", "{}", "nginx", "hang"),)),
    Fault(name="cut", does="the host is cut off", verbs=(("cut", "{}"),)),
    Fault(name="cut later", does="cut off 2 s after the request", verbs=(("cut", "{}"),), late=2.0),
    Fault(name="slow", does="200 ms more each way, 5 % loss", verbs=(("slow", "{}", "200ms", "5%"),)),
    Fault(name="full", does="the disk is 98 % full", verbs=(("fill", "{}", "98%"),)),
    Fault(name="rekey", does="another host key", verbs=(("rekey", "{}"),)),
)

_NGINX = (
    "systemctl show nginx -p ActiveState -p MainPID -p UnitFileState --value | tr '\\n' ' '; "
    "systemctl show nginx -p Job --value | grep -q . && echo '(systemd has a job)' || true"
)
_OLD = (
    "mkdir -p /var/log/old; yes 'GET /index.html 200' | head -c 40M > /var/log/old/big.log; head -c 4M /dev/urandom >"
    " /var/log/old/app.log.1; touch -d '40 days ago' /var/log/old/*; chown -R ops:ops /var/log/old"
)
_COPIES = "/home/ops/backups/home/ops/conf/app.conf.*"
_CONF = (
    "rm -rf /home/ops/conf /home/ops/backups; mkdir -p /home/ops/conf /home/ops/backups/home/ops/conf; "
    "echo 'workers = 8' > /home/ops/conf/app.conf; "
    "echo 'workers = 4' > /home/ops/backups/home/ops/conf/app.conf.20260101T000000Z; "
    "chown -R ops:ops /home/ops/conf /home/ops/backups"
)
_CONF_STATE = f"cat /home/ops/conf/app.conf; ls {_COPIES} | wc -l"
TRIALS = (
    Trial(
        runbook="restart-service",
        asks="restart-service nginx on {} settle=2",
        goal="systemctl is-active -q nginx",
        state=_NGINX,
    ),
    Trial(
        runbook="start-service",
        asks="start-service nginx on {}",
        prepare="systemctl stop nginx",
        goal="systemctl is-active -q nginx",
        state=_NGINX,
    ),
    Trial(
        runbook="stop-service",
        asks="stop-service nginx on {}",
        goal="! systemctl is-active -q nginx",
        state=_NGINX,
    ),
    Trial(runbook="health-check", asks="health-check on {} service=nginx", goal="true", state=_NGINX, reads=True),
    Trial(runbook="top", asks="top on {}", goal="true", state=_NGINX, reads=True),
    Trial(
        runbook="run-command",
        asks="run-command 'systemctl is-active nginx' on {}",
        goal="systemctl is-active -q nginx",
        state=_NGINX,
        reads=True,
    ),
    Trial(
        runbook="kill-process",
        asks="kill-process report-worker on {}",
        prepare="systemd-run -q --unit=report-worker --uid=ops /usr/local/bin/report-worker",
        goal="! pgrep -x report-worker",
        state="pgrep -x report-worker | tr '\\n' ' '",
    ),
    Trial(
        runbook="disk-cleanup",
        asks="disk-cleanup /var/log/old larger=1M older=2d on {}",
        prepare=_OLD,
        # A file that there is no room to compress is left, and named in the ending.
        goal="test ! -e /var/log/old/app.log.1 && { test $(du -sm /var/log/old | cut -f1) -lt 20 || "
        "test $(df --output=avail -BM / | tail -1 | tr -dc 0-9) -lt 40; }",
        state="ls -s /var/log/old | tr '\\n' ' '",
    ),
    Trial(
        runbook="log-rotation",
        asks="log-rotation /var/log/old/big.log on {}",
        prepare=_OLD,
        goal="test ! -s /var/log/old/big.log",
        state="ls -s /var/log/old | tr '\\n' ' '",
    ),
    Trial(
        runbook="file-backup",
        asks="file-backup /home/ops/conf/app.conf to=/home/ops/backups on {}",
        prepare=_CONF,
        goal=f"cmp -s /home/ops/conf/app.conf $(ls {_COPIES} | tail -1) && test $(ls {_COPIES} | wc -l) -eq 2",
        state=_CONF_STATE,
    ),
    Trial(
        runbook="file-restore",
        asks="file-restore /home/ops/conf/app.conf source=/home/ops/backups on {}",
        prepare=_CONF,
        goal="grep -qx 'workers = 4' /home/ops/conf/app.conf",
        state=_CONF_STATE,
    ),
    Trial(
        runbook="reboot-host",
        asks="reboot-host on {}",
        prepare="cat /proc/sys/kernel/random/boot_id > /run/before",
        goal="test ! -e /run/before",
        state="cut -d. -f1 /proc/uptime >/dev/null; ls /run/before 2>/dev/null || echo rebooted",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Lab:
    """One host to try things on."""

    machines: Machines
    name: str

    async def run(self, trial: Trial, fault: Fault) -> Outcome:
        """Heal, prepare, break, ask, wait, look."""
        await self._made_whole()
        await self.machines.root(self.name, trial.prepare)
        blind = any(verbs[0] in {"cut", "rekey"} for verbs in fault.verbs)
        before = await self._state(trial) if blind else ""  # afterwards nobody can look
        if fault.late is None:
            await self._break(fault)
        before = before or await self._state(trial)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="handrail-faults-") as folder:
            ended, said, checked = await self._ask(trial, fault, Path(folder))
        seconds = time.monotonic() - began
        if blind:
            await self.machines.do("heal", self.name, "key" if fault.name == "rekey" else "net")
            await asyncio.sleep(1)
        after = await self._state(trial)
        reached = "GOAL" in await self.machines.root(self.name, f"{{ {trial.goal}; }} && echo GOAL")
        return Outcome(
            trial=trial,
            fault=fault,
            state=ended.state if ended is not None else None,
            said=said,
            before=before,
            after=after,
            reached=reached,
            checked=checked,
            seconds=seconds,
        )

    async def _made_whole(self) -> None:
        for part in ("net", "svc", "disk", "cpu"):
            await self.machines.ask("heal", self.name, part)
        await self.machines.root(
            self.name,
            "systemctl unmask -q nginx; systemctl reset-failed; systemctl start nginx; rm -rf /var/log/old; "
            "systemctl stop report-worker",
        )

    async def _break(self, fault: Fault) -> None:
        for verbs in fault.verbs:
            await self.machines.ask(*(word.format(self.name) for word in verbs))

    async def _state(self, trial: Trial) -> str:
        return await self.machines.root(self.name, trial.state)

    async def _ask(self, trial: Trial, fault: Fault, folder: Path) -> tuple[Execution | None, str, bool]:
        """Ask for it, consent, and wait for the ending: the execution, the thread's words, whether a check failed."""
        workspace = Workspace(rate_limits=False)
        workspace.add_person(id="UERIN", name="erin", display_name="Erin Ek")
        workspace.add_channel(id="C0INC", name="incidents")
        config = await self.machines.configuration([self.name], calls=["127.0.0.1"])
        url = f"sqlite+aiosqlite:///{folder}/handrail.db"
        async with workspace:
            bot = Bot(folder=folder, slack=workspace, database_url=url, config=config, patience=120)
            workspace.events_url = bot.events_url
            await bot.start()
            try:
                await workspace.command("alice", "incidents", f"/runbook {trial.asks.format(self.name)}")
                late = asyncio.create_task(self._later(fault)) if fault.late is not None else None
                ended = await self._ended(workspace, bot)
                if late is not None:
                    await late
                await asyncio.sleep(1)  # the last words reach the thread
                async with bot.database() as database:
                    steps = await database.read(executions.steps_of, ended.id) if ended is not None else []
                bad = [step for step in steps if step.state not in {StepState.SUCCEEDED, StepState.SKIPPED}]
                return ended, _last_words(workspace, ended), bool(bad) and not bad[-1].changing
            finally:
                await bot.stop()

    async def _later(self, fault: Fault) -> None:
        await asyncio.sleep(fault.late or 0)
        await self._break(fault)

    async def _ended(self, workspace: Workspace, bot: Bot) -> Execution | None:
        deadline = time.monotonic() + PATIENCE
        pressed: set[str] = set()
        async with bot.database() as database:
            while time.monotonic() < deadline:
                for message in everything(workspace):
                    for label, person in (("Approve", "carol"), ("Confirm", "alice")):
                        if label in workspace.buttons(message) and message.ts not in pressed:
                            pressed.add(message.ts)
                            with contextlib.suppress(Exception):  # it may be decided, or gone, by now
                                await workspace.click(person, message, label)
                with contextlib.suppress(Exception):  # no row yet, or nothing was accepted at all
                    found = await database.read(executions.get, 1)
                    if found.state.is_final or found.state is State.INTERRUPTED:
                        return found
                if not everything(workspace) and workspace.ephemeral("alice", "incidents"):
                    return None
                await asyncio.sleep(0.1)
        return None


def _last_words(workspace: Workspace, ended: Execution | None) -> str:
    if ended is not None and ended.ending:
        return ended.ending
    private = [workspace.read(message) for message in workspace.ephemeral("alice", "incidents")]
    return (private or [workspace.read(message) for message in everything(workspace)] or ["nothing"])[-1]


def _cell(text: str, most: int = 260) -> str:
    line = (
        re.sub(r"\b\d+\.\d+\.\d+\.\d+\b", "ADDRESS", " ".join(text.split()))
        .replace("|", "\\|")
        .replace("<", "‹")
        .replace(">", "›")
    )
    return line if len(line) <= most else line[: most - 1] + "…"


def table(outcomes: Sequence[Outcome]) -> str:
    """A section for each runbook."""
    parts = []
    for runbook in dict.fromkeys(outcome.trial.runbook for outcome in outcomes):
        rows = [outcome for outcome in outcomes if outcome.trial.runbook == runbook]
        parts.append(f"## {runbook}\n\nAsked: `/runbook {rows[0].trial.asks.format('HOST')}`\n")
        parts.append("| fault | ended | what was said | before | after | so? |\n|---|---|---|---|---|---|")
        for row in rows:
            state = row.state.words if row.state is not None else "not accepted, or no ending"
            so = "yes" if row.verdict is None else f"**no**: {row.verdict}"
            cells = (row.fault.name, state, _cell(row.said), _cell(row.before, 90), _cell(row.after, 90), so)
            parts.append("| " + " | ".join(cells) + " |")
        parts.append("")
    return "\n".join(parts)


def to_json(outcome: Outcome) -> str:
    """One line of what is kept."""
    state = outcome.state.value if outcome.state is not None else None
    names = {"trial": outcome.trial.runbook, "fault": outcome.fault.name, "state": state}
    return json.dumps({**vars(outcome), **names})


def from_json(line: str) -> Outcome:
    """The reverse of `to_json`."""
    kept = json.loads(line)
    trial = next(trial for trial in TRIALS if trial.runbook == kept["trial"])
    fault = next(fault for fault in FAULTS if fault.name == kept["fault"])
    return Outcome(**{**kept, "trial": trial, "fault": fault, "state": State(kept["state"])})


HEAD = """\
# What is said of a broken host, and what is so

Made by `python -m tests.testbed.faults --hosts PATH --write` on real hosts (systemd, OpenSSH, nginx), each runbook
against each fault: what the execution's ending said, what root saw on the host before and after, and whether the two
agree. A *succeeded* must have reached its goal, *nothing was changed* must have changed nothing, and what only reads
must leave everything as it was; *interrupted* says that the outcome is unknown, and is never wrong. {count} trials,
{wrong} in which what was said was not so.
{kept}
| fault | what it does |
|---|---|
{faults}

"""


KEPT = """
{kept} of the {count} rows were kept from an earlier run (`--keep`) with the code of that day, and not tried again.
"""


def page(outcomes: Sequence[Outcome], *, kept: int = 0) -> str:
    """The page of the docs. `kept`: how many of the outcomes are an earlier run's."""
    used = list(dict.fromkeys(outcome.fault for outcome in outcomes))
    faults = "\n".join(f"| {fault.name} | {fault.does} |" for fault in used)
    wrong = sum(1 for outcome in outcomes if outcome.verdict is not None)
    said = KEPT.format(kept=kept, count=len(outcomes)) if kept else ""
    return HEAD.format(count=len(outcomes), wrong=wrong, faults=faults, kept=said) + table(outcomes)


async def run(
    machines: Machines,
    names: Sequence[str],
    trials: Sequence[tuple[Trial, Fault]],
    kept: Sequence[Outcome] = (),
    keep: Callable[[Sequence[Outcome]], object] = list,
) -> list[Outcome]:
    """All trials but those `kept`, spread over the hosts; in the order given. `keep` gets what is there after each."""
    await machines.do("up", *names)
    known_ones = {(outcome.trial, outcome.fault): outcome for outcome in kept}
    found = {number: known_ones[trial] for number, trial in enumerate(trials) if trial in known_ones}
    queue = [(number, trial) for number, trial in enumerate(trials) if number not in found][::-1]

    async def worker(name: str) -> None:
        lab = Lab(machines=machines, name=name)
        while queue:
            number, (trial, fault) = queue.pop()
            try:
                outcome = await lab.run(trial, fault)
            except Exception as error:  # one trial's trouble must not hide the others; it counts as wrong
                print(f"{trial.runbook} / {fault.name} on {name}: {type(error).__name__}: {error}", flush=True)
                await machines.ask("reset", name)
                outcome = Outcome(
                    trial=trial,
                    fault=fault,
                    state=None,
                    said=str(error),
                    before="",
                    after="",
                    reached=False,
                    checked=False,
                    seconds=0,
                )
            found[number] = outcome
            keep([found[known] for known in sorted(found)])
            state = outcome.state.words if outcome.state is not None else "-"
            mark = "ok " if outcome.verdict is None else f"WRONG ({outcome.verdict})"
            print(
                f"{mark} {trial.runbook} / {fault.name}: {state} in {outcome.seconds:.0f} s: {_cell(outcome.said)}",
                flush=True,
            )
            if fault.name == "rekey":
                await machines.ask("reset", name)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(worker(name))
    return [found[number] for number in sorted(found)]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--hosts", help="the script that makes the hosts")
    parser.add_argument("--only", help="runbooks, with commas between")
    parser.add_argument("--faults", help="faults, with commas between")
    parser.add_argument("--machines", type=int, default=2, help="hosts at once")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="what was found, to go on from")
    parser.add_argument("--write", action="store_true", help="put the table into docs/faults.md")
    asked = parser.parse_args()
    only, faults = (set(given.split(",")) if given else None for given in (asked.only, asked.faults))
    trials = [
        (trial, fault)
        for trial in TRIALS
        for fault in FAULTS
        if (only is None or trial.runbook in only)
        and (faults is None or fault.name in faults)
        and fault.name not in trial.but
    ]
    names = [f"lab-{number:02}" for number in range(1, asked.machines + 1)]

    kept: list[Outcome] = []
    if asked.keep is not None and asked.keep.exists():
        kept = [from_json(line) for line in asked.keep.read_text().splitlines()]

    def write(outcomes: Sequence[Outcome]) -> None:
        if asked.keep is not None:  # one without an ending is tried again
            asked.keep.write_text("".join(f"{to_json(one)}\n" for one in outcomes if one.state is not None))
        if asked.write:
            earlier = {(one.trial, one.fault) for one in kept}
            PAGE.write_text(page(outcomes, kept=sum((one.trial, one.fault) in earlier for one in outcomes)))

    outcomes = asyncio.run(run(Machines.at(asked.hosts), names, trials, kept, write))
    wrong = [outcome for outcome in outcomes if outcome.verdict is not None]
    print(f"{len(outcomes)} trials, {len(wrong)} in which what was said was not so")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
