"""The runbooks about files on demo hosts, as somebody meets them who tries Handrail for the first time."""

from storage.records import State
from tests.runbooks.demo_hosts import Demo

REPORT = "/var/log/app/report.log"


async def test_the_large_log_of_a_demo_host_is_compressed_and_can_be_unpacked(demo: Demo) -> None:
    plan = await demo.plan("cleanup", "/var/log", older="0", larger="1G")
    assert [step.title for step in plan.hosts[0].steps][1] == f"Compress {REPORT}"
    ended = await demo.apply("cleanup", plan)
    assert (ended.state, ended.ending) == (
        State.SUCCEEDED,
        "1 compressed; 2.9G freed, / was 32 % and is 25 % full",
    )
    assert REPORT not in demo.system.files.nodes
    assert 0 < demo.system.files.nodes[f"{REPORT}.gz"].size < 200_000_000


async def test_or_emptied(demo: Demo) -> None:
    ended = await demo.apply("cleanup", await demo.plan("cleanup", older="0", larger="1G", how="truncate"))
    assert ended.ending == "1 emptied; 3.0G freed, / was 32 % and is 24 % full"
    assert demo.system.files.nodes[REPORT].size == 0


async def test_a_log_that_changed_hands_since_the_plan_is_left_alone(demo: Demo) -> None:
    plan = await demo.plan("cleanup", "/var/log", older="0", larger="1G")
    demo.system.files.write(REPORT, "new", owner="ops", padding=3_500_000_000)
    assert (await demo.apply("cleanup", plan)).state is State.FAILED
    assert demo.system.files.nodes[REPORT].size > 3_000_000_000
