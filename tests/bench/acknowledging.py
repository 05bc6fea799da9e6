"""b. How fast `/runbook` is committed and acknowledged: idle, while four-command executions run, and in a flood.

    python -m tests.bench.acknowledging --executions 300

Measured against a bare Bolt app that acknowledges and does nothing else, as a process of its own.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from tests.bench.place import Place, Report, databases, installed, percentile, run, ten_hosts
from tests.system.openssh import free_port
from tests.system.serving import ROOT

BOLT = """\
import sys
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult

async def authorize():
    return AuthorizeResult(enterprise_id=None, team_id="T0LOCAL", bot_token="xoxb-bare", bot_user_id="U0", bot_id="B0")

bolt = AsyncApp(signing_secret=sys.argv[2], authorize=authorize, process_before_response=True)

@bolt.command("/runbook")
async def heard(ack):
    await ack()

async def handle(request):
    return await to_aiohttp_response(await bolt.async_dispatch(await to_bolt_request(request)))

app = web.Application()
app.router.add_post("/slack/events", handle)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""
QUESTIONS = ("list", "status")


@asynccontextmanager
async def bare_bolt(secret: str) -> AsyncIterator[str]:
    """Where a bare app listens."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", BOLT, str(port), secret], cwd=ROOT)  # noqa: ASYNC220
    try:
        url = f"http://127.0.0.1:{port}/slack/events"
        async with aiohttp.ClientSession() as session:
            for _ in range(200):
                try:
                    async with session.get(url):
                        break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
        yield url
    finally:
        process.kill()
        process.wait(10)


async def one_by_one(place: Place, number: int, url: str | None = None) -> list[float]:
    """Seconds of each acknowledgement while nothing else goes on: the dry run before it is over."""
    waits = []
    for _ in range(number):
        before = await place.newest()
        waits.append(await place.type(f"/runbook ten {next(place.numbers)} on h01 --dry-run", url=url))
        if url is None:
            await place.ended(before, 1)
        await asyncio.sleep(0.1)
    return waits


async def meanwhile(place: Place, executions: int) -> tuple[list[float], dict[str, list[float]]]:
    """Acknowledgements of requests, and of questions, while as many executions as are wanted run on ten hosts."""
    before = await place.newest()
    names = list(place.hosts)
    load = asyncio.gather(*(place.type(f"/runbook four {before + n} on {names[n % 10]}") for n in range(executions)))
    await asyncio.sleep(0.5)
    acknowledged: list[float] = []
    asked: dict[str, list[float]] = {question: [] for question in QUESTIONS}
    while await place.unfinished(before) and len(acknowledged) < 3_000:
        for _ in range(20):
            acknowledged.append(await place.type(f"/runbook ten {next(place.numbers)} on h01 --dry-run"))
            for question in QUESTIONS:
                asked[question].append(await place.type(f"/runbook {question}"))
            await asyncio.sleep(0.02)
    await load
    await place.ended(before, executions)
    return acknowledged, asked


async def flood(place: Place, number: int) -> float:
    """Accepted a second, with the bot on one core and whoever asks on the others."""
    _bind(place, [0])
    left = iter(range(number))

    async def ask() -> None:
        for _ in left:
            await place.type(f"/runbook ten {next(place.numbers)} on h01 --dry-run")

    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(50)))
    seconds = time.perf_counter() - began
    _bind(place, range(os.cpu_count() or 1))
    return number / seconds


def _bind(place: Place, cores: Iterable[int]) -> None:
    for pid in place.pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


async def measure(args: argparse.Namespace) -> Report:
    """Each kind of installation."""
    report = Report(group="b", title="Committed and acknowledged")
    with ExitStack() as stack:
        hosts = stack.enter_context(ten_hosts(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        for kind, url in databases(stack, args.kind):
            async with installed(kind, hosts, url) as place, bare_bolt(place.bot.slack.signing_secret) as bolt:
                await one_by_one(place, 5)
                await one_by_one(place, 5, bolt)
                bare, mine = await one_by_one(place, 25, bolt), await one_by_one(place, 25)
                bare += await one_by_one(place, 25, bolt)
                mine += await one_by_one(place, 25)
                half, least = percentile(mine, 0.5), percentile(bare, 0.5)
                said = f"{half / least:.1f} x ({half * 1e3:.2f} to {least * 1e3:.2f} ms)"
                report.add("idle: p50 to a bare Bolt app's", kind, said, "5 x", half <= 5 * least)
                acknowledged, asked = await meanwhile(place, args.executions)
                _tell(report, kind, f"while {args.executions} executions run: /runbook", acknowledged, 0.1)
                for question, waits in asked.items():
                    _tell(report, kind, f"while they run: /runbook {question}", waits, 0.05)
                late = place.not_stored
                rate = await flood(place, args.flood)
                said = f"{rate:.0f} a second"
                report.add("flood: accepted on one core", kind, said, "1,000 a second", rate >= 1000)
                said = f"{late} meanwhile, {place.not_stored - late} in the flood"
                report.add("acknowledged as not yet stored", kind, said)
    report.notes.append(
        "Every request is signed as Slack signs, committed to the database, and begins a dry run that is planned like "
        "any other; `list` and `status` are the acknowledgements of these commands. Bolt has `process_before_response`."
    )
    return report


def _tell(report: Report, kind: str, what: str, waits: Sequence[float], goal: float) -> None:
    p50, p99 = percentile(waits, 0.5), percentile(waits, 0.99)
    said = f"p99 {p99 * 1e3:.0f} ms, p50 {p50 * 1e3:.1f} ms of {len(waits)}"
    report.add(what, kind, said, f"p99 {goal * 1e3:.0f} ms", p99 <= goal)


def main() -> int:
    """By itself."""
    return run(measure, executions=100, flood=1000)


if __name__ == "__main__":
    sys.exit(main())
