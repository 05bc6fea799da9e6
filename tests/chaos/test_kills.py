"""A few of the kills of `python -m tests.chaos.kills`, and whether its proofs notice what they are there for."""

import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.playground.delivery import Ack
from bot.playground.state import Message
from storage.audit import Verification
from storage.records import State
from tests.chaos import kills, proof
from tests.chaos.hosts import Ledger
from tests.chaos.kills import Totals
from tests.chaos.people import Done
from tests.fakes import START
from tests.postgres import missing
from tests.system import openssh
from tests.system.serving import require_program


async def test_what_must_hold_holds_after_a_few_kills_on_sqlite(tmp_path: Path) -> None:
    await _a_few_kills(Totals(database="sqlite", replicas=1, seed=int(time.time()), kills=5), tmp_path)


async def test_what_must_hold_holds_after_a_few_kills_of_two_processes_on_postgresql(tmp_path: Path) -> None:
    require_program(missing())
    await _a_few_kills(Totals(database="postgresql", replicas=2, seed=int(time.time()), kills=3), tmp_path)


async def _a_few_kills(totals: Totals, folder: Path) -> None:
    require_program(openssh.missing())
    try:
        await kills.run(totals, folder, pace=0.3, life=1.0, in_flight=8)
    finally:
        print(totals.table())
    assert totals.killed == totals.kills


def test_an_interrupted_run_goes_on_from_its_file(tmp_path: Path) -> None:
    totals = Totals(database="sqlite", replicas=1, seed=7, kills=100, killed=41, counted={"executions": 12})
    totals.at_most("seconds", 1.25)
    totals.write(tmp_path / "totals.json")
    assert Totals.read(tmp_path / "totals.json") == totals
    assert "41" in totals.table()


# --- what the proofs notice -------------------------------------------------------------------------------------------

LEDGER = "begin restart r1.h01.1@0.3\nend restart r1.h01.1@0.3\n"


def execution(number: int = 1, **more: Any) -> proof.Row:
    """A row as it would be read, of one that succeeded."""
    return {
        "id": number,
        "params": {"tag": f"r{number}"},
        "hosts": ["h01"],
        "state": "succeeded",
        "danger": "low",
        "dry_run": False,
        "retry_of": None,
        "rolls_back": None,
        "started_at": None,
        "owner": None,
        **more,
    }


def step(**more: Any) -> proof.Row:
    """Its only step."""
    return {
        "execution_id": 1,
        "host": "h01",
        "step": "1",
        "attempt": 1,
        "state": "succeeded",
        "changing": True,
        "sent": True,
        **more,
    }


WELL = proof.Found(
    at=START,
    too_late=0,
    verified=Verification(entries=3, head="h", problems=()),
    seq=3,
    executions={1: execution()},
    hosts=({"execution_id": 1, "host": "h01", "state": "succeeded"},),
    steps=(step(),),
    approvals={},
    locks=(),
    admissions={1},
    continued=(),
    cooldowns=(),
    breakers=(),
    outbox=(),
    requests={"command:t1": "handled"},
    said_no=(),
    last_kinds={1: "execution.succeeded"},
    proofs={1: "p"},
    hashes={1: "p"},
)
ASKED = Done(who="bob", what="/runbook quick r1", ack=Ack(status=200, trigger_id="t1"), tag="r1")
CLICKED = Done(who="carol", what="Approve", ack=Ack(status=200, trigger_id="t2"), execution=1, at=START)
APPROVAL = {
    "id": 1,
    "execution_id": 1,
    "state": "waiting",
    "decided_by": None,
    "requested_at": START - timedelta(seconds=5),
    "expires_at": START + timedelta(seconds=55),
}
BUSY = execution(state="running", owner="77-abc")


def changed(**more: Any) -> proof.Found:
    """All is well but for this."""
    return replace(WELL, **more)


def seen(found: proof.Found, ledger: str = LEDGER, memory: proof.Memory | None = None, *done: Done) -> str:
    """What the proofs say."""
    said = proof.problems(found, Ledger.read(ledger), [ASKED, *done], memory or proof.Memory(), Counter())
    return "\n".join(said)


def test_where_all_is_well_nothing_is_said() -> None:
    assert seen(WELL) == ""


def test_what_was_judged_anew_after_its_owner_died_may_be_refused() -> None:
    refused = {"executions": {1: execution(state="refused")}, "last_kinds": {1: "execution.refused"}}
    assert "and yet admitted" not in seen(changed(continued={1}, **refused))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (changed(verified=Verification(entries=3, head="h", problems=("entry 2 is missing",))), "entry 2 is missing"),
        (changed(last_kinds={1: "execution.running"}), "the newest entry about it is execution.running"),
        (changed(hashes={1: "q"}), "its steps are not those"),
        (changed(steps=()), "was marked started 0 times"),
        (changed(steps=(step(state="started"),)), "is marked started"),
        (changed(hosts=({"execution_id": 1, "host": "h01", "state": "failed"},)), "succeeded, but its hosts are"),
        (changed(executions={1: execution(danger="dangerous")}), "ran without its consent"),
        (changed(approvals={1: APPROVAL}), "an approval waits: True"),
        (changed(locks=({"host": "h01", "execution_id": 1},)), "is held by #1, which is succeeded"),
        (changed(executions={1: BUSY}, last_kinds={1: "execution.running"}), "and holds []"),
        (changed(executions={1: execution(started_at=1)}, admissions=()), "without being admitted"),
        (changed(executions={1: execution(state="refused")}, last_kinds={1: "execution.refused"}), "and yet admitted"),
        (
            changed(cooldowns=({"runbook": "rare", "host": "h02", "execution_id": 1},)),
            "cools down for #1, which changed nothing there",
        ),
        (
            changed(breakers=({"runbook": "quick", "host": "h01", "state": "half_open", "probing": 1},)),
            "is #1, which has ended",
        ),
        (changed(requests={}), "was acknowledged and is not in the inbox"),
        (
            changed(
                executions={1: execution(), 2: execution(2, params={"tag": "r1"})},
                last_kinds={1: "execution.succeeded", 2: "execution.succeeded"},
                hosts=tuple({"execution_id": n, "host": "h01", "state": "succeeded"} for n in (1, 2)),
            ),
            "r1 was asked for once and is 2 executions",
        ),
    ],
)
def test_what_does_not_hold_is_said(found: proof.Found, said: str) -> None:
    assert said in seen(found)


def test_a_step_that_ran_twice_is_said_unless_somebody_asked_for_it() -> None:
    twice = changed(steps=(step(), step(attempt=2)))
    assert "ran 2 times, and people asked for 1" in seen(twice, LEDGER + LEDGER)
    again = Counter({("r1", "1"): 1})
    assert proof.problems(twice, Ledger.read(LEDGER + LEDGER), [ASKED], proof.Memory(), again) == []
    assert seen(twice, (LEDGER + LEDGER).replace("restart", "reload")) == "", "that may be repeated"


def test_a_retry_of_failed_hosts_lets_nothing_run_again_on_the_others() -> None:
    rows = {1: execution(hosts=["h01", "h02"]), 2: {**execution(hosts=["h02"], retry_of=1), "params": {"tag": "r1"}}}
    again = Counter({("r1", "failed"): 1})

    def said(host: str) -> str:
        steps = (step(host=host), step(host=host, execution_id=2))
        ledger = Ledger.read((LEDGER + LEDGER).replace("h01", host))
        found = changed(executions=rows, steps=steps)
        return "\n".join(proof.what_ran(found, ledger, again))

    assert said("h02") == ""
    assert "ran 2 times, and people asked for 1" in said("h01")


def test_what_was_decided_or_had_ended_must_stay_so() -> None:
    memory = proof.Memory(seq=9, endings={1: State.FAILED.value}, approvals={1: ("given", "UCAROL")})
    said = seen(WELL, LEDGER, memory)
    assert "it had 9 entries and has 3" in said
    assert "#1 had ended as failed and is succeeded" in said
    assert "approval 1 was given and is gone" in said
    denied = changed(approvals={1: {**APPROVAL, "state": "denied", "decided_by": "UERIN"}})
    memory = proof.Memory(approvals={1: ("given", "UCAROL")})
    assert "approval 1 was given by UCAROL and is denied by UERIN" in seen(denied, LEDGER, memory)


def test_a_click_that_was_handled_and_decided_nothing_is_said() -> None:
    waiting = changed(
        executions={1: execution(state="awaiting_approval")},
        steps=(),
        last_kinds={1: "execution.awaiting_approval"},
        approvals={1: APPROVAL},
        hashes={},
        admissions=(),
        requests={"command:t1": "handled", "click:t2": "handled"},
    )
    assert seen(waiting, "", None) == ""
    assert "still waits although the click of carol was handled" in seen(waiting, "", None, CLICKED)
    of_an_earlier_request = replace(CLICKED, at=START - timedelta(seconds=9))
    assert seen(waiting, "", None, of_an_earlier_request) == ""


def test_an_execution_of_a_process_that_is_gone_is_ownerless() -> None:
    assert proof.ownerless(changed(executions={1: BUSY}), {77}) == []
    assert proof.ownerless(changed(executions={1: BUSY}), {78}) == [1]


def test_two_executions_on_one_host_are_said_unless_a_person_let_the_first_go() -> None:
    ledger = Ledger.read("overlap r2.h01.1@1 r1.h01.1@1\noverlap r1.h01.2.1@1 r1.h01.2.2@1\n")
    assert len(proof.overlaps(WELL, ledger, ())) == 1
    assert proof.overlaps(WELL, ledger, {1}) == []


def test_what_was_not_said_is_said() -> None:
    assert proof.what_was_said(WELL, [ASKED], []) == ["#1 ended as succeeded, and its thread does not say so"]
    other = Done(who="bob", what="/runbook quick r9", ack=Ack(status=200, trigger_id="t9"), tag="r9")
    assert "'/runbook quick r9' became nothing" in proof.what_was_said(WELL, [other], [])


def test_a_dry_run_ends_as_planned() -> None:
    row = {"kind": "ending", "method": "post", "state": "sent", "execution_id": 1, "coalesce_key": None, "ts": "7.1"}
    planned = changed(executions={1: execution(dry_run=True)}, outbox=[row])
    says = Message(channel="C1", ts="7.1", user="UBOT", text="#1 quick r1 on h01 planned in 2 s")
    claims = Message(channel="C1", ts="7.1", user="UBOT", text="#1 quick r1 on h01 succeeded in 2 s")
    assert proof.what_was_said(planned, [ASKED], [says]) == []
    assert "#1 ended as planned, and its thread does not say so" in proof.what_was_said(planned, [ASKED], [claims])


def test_a_step_that_stands_as_running_after_the_end_is_said() -> None:
    row = {"kind": "progress", "state": "sent", "execution_id": 1, "coalesce_key": "step:1", "ts": "7.1"}
    stands = Message(channel="C1", ts="7.1", user="UBOT", text="h01 · step 1: Work: running")
    for_ever = "#1 has ended, and its thread says for ever: h01 · step 1: Work: running"
    assert for_ever in proof.what_was_said(changed(outbox=[row]), [ASKED], [stands])
    to_come = {**row, "state": "waiting", "ts": None}
    assert for_ever not in proof.what_was_said(changed(outbox=[row, to_come]), [ASKED], [stands])
