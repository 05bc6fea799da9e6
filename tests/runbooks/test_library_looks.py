"""health-check and top: on a demo host, and against hosts that answer from a table."""

from typing import Any

import pytest

from runbooks.catalog import bind
from runbooks.definition import Facts
from runbooks.library import readings
from runbooks.planning import HostProbe, Planner
from safety.command_guard import CommandGuard
from storage.database import Database
from storage.errors import Invalid, PlanningFailed
from storage.records import Danger, State
from tests.builders import a_house, hosts
from tests.fakes import FakeRemote, Reply
from tests.runbooks.demo_hosts import CATALOG, Demo

DF = """\
Filesystem     1024-blocks    Used Available Capacity Mounted on
udev                 10000       0     10000       0% /dev
overlay            4000000  900000   3100000      23% /
/dev/sdb1          1000000  970000     30000      97% /var/lib/my data
/dev/loop3           60000   60000         0     100% /snap/core/1
tmpfs                10000    9900       100      99% /run/user/1000
"""
WELL = {
    "df -P -l": Reply(out=DF.replace("97%", "47%")),
    "df -P -l -i": Reply(out=DF.replace("97%", "7%")),
    "cat /proc/meminfo": Reply(out="MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 400 kB"),
    "cat /proc/loadavg": Reply(out="3.00 2.00 1.00 1/100 4711"),
    "nproc": Reply(out="2"),
    "timedatectl show": Reply(out="yes"),
    "systemctl list-units": Reply(),
    "systemctl show nginx": Reply(out="LoadState=loaded\nActiveState=active\nSubState=running"),
    "ss -Hltn": Reply(out="LISTEN 0 511 0.0.0.0:443 0.0.0.0:*\nLISTEN 0 511 [::]:443 [::]:*"),
    "curl": Reply(out="200 0.004"),
    "openssl x509": Reply(out="notAfter=Dec  5 12:00:00 2026 GMT"),
    "date +%s": Reply(out="1795262400"),  # 2026-11-21 12:00 UTC
}


async def checked(typed: dict[str, str] | None = None, *values: str, **replies: Reply) -> str:
    """The table that a host with these differences gets."""
    entry = CATALOG.get("health")
    params = bind(entry, values, typed or {})
    remote = FakeRemote(replies={**WELL, **replies})
    probe = HostProbe(hosts().hosts[0], remote, CommandGuard())
    found = await entry.runbook.probe(probe, params)
    return str(entry.runbook.outcome(params, found, None))


async def test_a_host_that_is_well_is_said_to_be(demo: Demo) -> None:
    plan = await demo.plan("health", "nginx", port="80", url="http://127.0.0.1/")
    ended = await demo.apply("health", plan)
    assert (ended.state, CATALOG.get("health").danger) == (State.SUCCEEDED, Danger.READ)
    assert str(ended.ending).splitlines() == [
        "all is well",
        "• ok: disk /: 32 % used (at most 90 %)",
        "• ok: inodes of /: 6 % used (at most 90 %)",
        "• ok: memory: 58 % used (at most 95 %)",
        "• ok: load: 2.36 over 5 minutes on 2 processors (at most 4 each)",
        "• ok: clock: synchronised",
        "• ok: units: none has failed",
        "• ok: nginx: active (running)",
        "• ok: port 80: open on 0.0.0.0",
        "• ok: http://127.0.0.1/: status 200 after 0.004217 s (200 to 399)",
    ]


async def test_what_is_down_on_a_demo_host_is_seen(demo: Demo) -> None:
    await demo.apply("stop", await demo.plan("stop", "nginx"))
    demo.system.break_service("app", "start fails")
    await demo.apply("restart", await demo.plan("restart", "app"))
    await demo.plan("health", "nginx", port="80", url="http://127.0.0.1/")
    found = await demo.tools.planner.probe(CATALOG.get("health"), demo.params, demo.tools.inventory.host("web-01"))
    said = str(CATALOG.get("health").runbook.outcome(demo.params, found, None)).splitlines()
    assert said[:5] == [
        "4 of 9 findings are bad",
        "• BAD: units: failed: app.service",
        "• BAD: nginx: inactive (dead)",
        "• BAD: port 80: nobody listens",
        "• BAD: http://127.0.0.1/: Failed to connect to 127.0.0.1 port 80 after 0 ms",
    ]


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        ({"df -P -l": Reply(out=DF)}, "BAD: disk /var/lib/my data: 97 % used (at most 90 %)"),
        ({"df -P -l -i": Reply(out=DF)}, "BAD: inodes of /var/lib/my data: 97 % used (at most 90 %)"),
        ({"cat /proc/meminfo": Reply(out="MemTotal: 1000 kB\nMemAvailable: 20 kB")}, "BAD: memory: 98 % used"),
        ({"cat /proc/loadavg": Reply(out="1.0 9.5 1.0 1/1 1")}, "BAD: load: 9.5 over 5 minutes on 2 processors"),
        ({"timedatectl show": Reply(out="no")}, "BAD: clock: not synchronised"),
        ({"timedatectl show": Reply(status=127)}, "unknown: clock: timedatectl does not say"),
        ({"systemctl list-units": Reply(out="a.service x\nb.timer x")}, "BAD: units: failed: a.service, b.timer"),
        ({"systemctl show nginx": Reply(out="LoadState=not-found")}, "BAD: nginx: there is no such unit"),
        ({"systemctl show nginx": Reply(out="LoadState=masked\nActiveState=active\nSubState=up")}, "(up, masked)"),
        ({"ss -Hltn": Reply(out="LISTEN 0 5 127.0.0.1:4430 0.0.0.0:*")}, "BAD: port 443: nobody listens"),
        ({"curl": Reply(out="503 0.1")}, "BAD: https://127.0.0.1/: status 503"),
        ({"curl": Reply(err="curl: (28) timed out", status=28)}, "BAD: https://127.0.0.1/: timed out"),
        ({"curl": Reply(status=127)}, "unknown: https://127.0.0.1/: curl is not there"),
        (
            {"curl": Reply(out="200 0.1", err="*  expire date: Nov 30 12:00:00 2026 GMT\n* verify ok.")},
            "BAD: certificate of https://127.0.0.1/: good for 9 days, until 2026-11-30 (at least 14 days)",
        ),
        (
            {"curl": Reply(out="200 1", err="* expire date: Nov 30 12:00:00 2027 GMT\n* verify result: own (18)")},
            "ok: certificate of https://127.0.0.1/: good for 374 days, until 2027-11-30; not trusted there: own",
        ),
        ({"openssl x509": Reply(out="notAfter=Nov  1 12:00:00 2026 GMT")}, "BAD: /etc/x.pem: expired on 2026-11-01"),
        ({"openssl x509": Reply(err="No such file", status=1)}, "BAD: /etc/x.pem: cannot be read as a certificate"),
    ],
)  # fmt: skip
async def test_each_finding_has_its_threshold(replies: dict[str, Reply], said: str) -> None:
    asked = {"port": "443", "url": "https://127.0.0.1/", "certificate": "/etc/x.pem"}
    assert said in await checked(asked, "nginx", **replies)
    assert (await checked(asked, "nginx")).startswith("all is well")


async def test_thresholds_are_the_persons() -> None:
    assert (await checked({"disk": "20"})).startswith("2 of 8 findings are bad\n• BAD: disk /var/lib/my data: 47 %")
    assert "clock" not in await checked({"clock": "no"})
    assert "at least 20 days" in await checked({"certificate": "/x", "days": "20"})


@pytest.mark.parametrize(
    "url",
    [
        "http://u:p@host/",
        "file:///etc/passwd",
        "http://h/;id",
        "http://h/ x",
        "gopher://h/",
        "http://169.254.169.254/",
        "http://[fd00:ec2::254]/x",
    ],
)
def test_an_address_is_http_without_anything_odd(url: str) -> None:
    with pytest.raises(Invalid):
        bind(CATALOG.get("health"), [], {"url": url})


async def test_a_host_that_cannot_be_read_is_no_healthy_host() -> None:
    with pytest.raises(PlanningFailed, match="ended with status 2"):
        await Planner(remote=FakeRemote(replies={**WELL, "df -P -l": Reply(status=2)}), guard=CommandGuard()).make_plan(
            CATALOG.get("health"), bind(CATALOG.get("health"), [], {}), hosts().hosts[:1]
        )


async def test_of_many_hosts_the_ending_says_the_first_line_each(sqlite: Database) -> None:
    def load(line: str) -> Reply:
        return Reply(out="20.0 20.0 20.0 1/100 4711") if house.remote.ran[-1][0] == "web-02" else WELL[line]

    async with a_house(sqlite, replies={**WELL, "uptime": Reply(out="up"), "cat /proc/loadavg": load}) as house:
        ended = await house.ends(await house.ask("health on web-01,web-02"))
        assert (ended.state, ended.ending) == (
            State.SUCCEEDED,
            "web-01: all is well; web-02: 1 of 8 findings is bad",
        )


async def test_of_many_hosts_that_are_alike_the_ending_says_it_once(sqlite: Database) -> None:
    async with a_house(sqlite, replies={**WELL, "uptime": Reply(out="up")}) as house:
        ended = await house.ends(await house.ask("health on web-01,web-02"))
        assert (ended.state, ended.ending) == (State.SUCCEEDED, "all is well")


# --- top --------------------------------------------------------------------------------------------------------------


async def test_top_names_what_uses_a_demo_host(demo: Demo) -> None:
    ended = await demo.apply("top", await demo.plan("top", most="2"))
    polite, stuck = demo.pids("report-worker")
    assert ended.state is State.SUCCEEDED
    said = str(ended.ending).splitlines()
    assert said[0] == "load 2.42 2.36 2.31 on 2 processors, memory 58 % used, 0.4 % of the time waits for disks"
    assert said[1] == f"• processor: report-worker 97 % (pid {polite}, ops), report-worker 97 % (pid {stuck}, ops)"
    assert said[2].startswith(f"• memory: report-worker 1.8G (pid {polite}, ops)")
    assert said[-1] == "• disk space: / 32 %"


TOP = """\
top - 12:00:00 up 1 day,  1 user,  load average: 0.00, 0.00, 0.00

    PID USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND
      9 root      20   0    1000    500    100 R  99.9   0.1   0:00.01 only-before
top - 12:00:01 up 1 day,  1 user,  load average: 0.00, 0.00, 0.00
%Cpu(s):  1.0 us,  0.0 sy,  0.0 ni, 80.0 id, 19.0 wa,  0.0 hi,  0.0 si,  0.0 st

    PID USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND
      7 ana       20   0    1.2g   0.5g    100 D  12.5   0.1   0:00.01 two words
      8 root      20   0    1000    500    100 S   0.0   0.1   0:00.01 idle
"""


def probe_of(**replies: Reply) -> Any:
    return HostProbe(hosts().hosts[0], FakeRemote(replies=dict(replies)), CommandGuard())


async def test_what_runs_is_read_of_the_second_look_of_top() -> None:
    found, waits = await readings.processes(probe_of(**{"env LC_ALL=C top": Reply(out=TOP)}))
    assert [(one.pid, one.user, one.name, one.processor, one.state) for one in found] == [
        (7, "ana", "two words", 12.5, "D"),
        (8, "root", "idle", 0.0, "S"),
    ]
    assert (found[0].memory, found[1].memory, waits) == (512 * 1024**2, 500 * 1024, 19.0)


async def test_without_a_top_that_can_be_read_ps_tells() -> None:
    listed = "   7 ana  12.5 2048 Ds two words\n   8 root  0.0  500 S  idle\n"
    replies = {"env LC_ALL=C top": Reply(out="Mem: 1K used", status=0), "ps -eo": Reply(out=listed)}
    found, waits = await readings.processes(probe_of(**replies))
    assert [(one.name, one.processor, one.memory, one.state) for one in found] == [
        ("two words", 12.5, 2048 * 1024, "D"),
        ("idle", 0.0, 500 * 1024, "S"),
    ]
    assert waits is None


async def test_traffic_is_what_changed_between_two_looks() -> None:
    def stats(seconds: float, sectors: int, spent: int) -> Reply:
        row = f"8 0 {{}} 1 0 {sectors} 1 1 0 {sectors * 2} 1 0 {spent} 1"
        return Reply(out="\n".join([f"{seconds} 1.0", row.format("sda"), row.format("sda1"), row.format("loop0")]))

    answers = iter([stats(100.0, 0, 0), stats(102.0, 2048, 500)])
    remote = FakeRemote(replies={"cat /proc/uptime /proc/diskstats": lambda line: next(answers)})
    (one,) = await readings.traffic(HostProbe(hosts().hosts[0], remote, CommandGuard()))
    assert (one.disk, one.busy, one.read, one.written) == ("sda", 25, 512 * 1024, 1024**2)


@pytest.mark.parametrize(("number", "words"), [(0, "0B"), (1023, "1023B"), (1536, "1.5K"), (2**40 * 3, "3.0T")])
def test_sizes_are_short(number: int, words: str) -> None:
    assert readings.size(number) == words


def test_an_outcome_of_an_older_look_stands_when_the_host_is_gone_by_then() -> None:
    entry = CATALOG.get("top")
    before = Facts(
        load=[1, 2, 3],
        processors=2,
        memory=None,
        waiting=None,
        busiest=[],
        largest=[],
        stuck=[],
        disks=[],
        space={"/": 5},
    )
    said = entry.runbook.outcome(bind(entry, [], {}), before, None)
    assert str(said).splitlines()[0] == "load 1 2 3 on 2 processors"
