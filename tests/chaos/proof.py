"""What must hold after each kill, asked of the database, the hosts' ledger, Slack and what the people did.

`look` reads everything in one transaction; the checks are pure functions that return sentences, one for each thing that
does not hold. `Memory` is what held before: a head of the audit, what was decided, what had ended.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, func, select, text

from bot.playground.state import Message
from storage import audit, executions
from storage import tables as t
from storage.audit import Verification
from storage.records import ApprovalState, BreakerState, OutboxKind, OutboxState, State
from tests.chaos.hosts import Ledger, Unit
from tests.chaos.people import Done

Row = Mapping[str, Any]
DECIDED = {ApprovalState.GIVEN, ApprovalState.DENIED, ApprovalState.EXPIRED, ApprovalState.WITHDRAWN}
UNFINISHED = {state.value for state in State if not state.is_final}
_SAID_FIRST = {OutboxKind.HEADLINE.value, OutboxKind.APPROVAL.value, OutboxKind.ENDING.value, OutboxKind.ALERT.value}
NEVER_ADMITTED = {State.REFUSED.value, State.DENIED.value, State.EXPIRED.value}


@dataclass(frozen=True, kw_only=True)
class Found:
    """The database at one moment."""

    at: datetime
    verified: Verification
    seq: int
    executions: Mapping[int, Row]
    hosts: Sequence[Row]
    steps: Sequence[Row]
    approvals: Mapping[int, Row]
    locks: Sequence[Row]
    admissions: Collection[int]
    continued: Collection[int]  # executions whose owner died, and that were judged anew before they went on
    cooldowns: Sequence[Row]
    breakers: Sequence[Row]
    outbox: Sequence[Row]
    requests: Mapping[str, str]  # key -> state
    said_no: Collection[int]  # executions about which a consent was refused
    too_late: int  # consents that came when their time was over
    last_kinds: Mapping[int, str]  # execution -> kind of its newest entry about a state
    proofs: Mapping[int, str]  # execution -> the hash over its steps in its newest entry
    hashes: Mapping[int, str]  # execution -> that hash, computed now

    @property
    def tag_of(self) -> dict[int, str]:
        """What people called each request."""
        return {number: str(row["params"].get("tag", "")) for number, row in self.executions.items()}

    @property
    def back(self) -> set[int]:
        """Executions that roll others back."""
        return {number for number, row in self.executions.items() if row["rolls_back"] is not None}

    def in_state(self, *states: State) -> list[Row]:
        """Executions in these states."""
        wanted = {state.value for state in states}
        return [row for row in self.executions.values() if row["state"] in wanted]


@dataclass
class Memory:
    """What was true at the last look."""

    head: str | None = None
    seq: int = 0
    endings: dict[int, str] = field(default_factory=dict)
    approvals: dict[int, tuple[str, str | None]] = field(default_factory=dict)


def look(connection: Connection, memory: Memory) -> Found:
    """Everything, in one transaction; the steps of an ending are compared with its entry once."""
    snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ"
    connection.execute(text(snapshot if connection.dialect.name == "postgresql" else "BEGIN"))
    found = {row["id"]: row for row in _rows(connection, t.executions, but=("plan",))}
    kinds, proofs = _state_entries(connection)
    ended = [n for n, row in found.items() if row["state"] not in _OPEN and memory.endings.get(n) != row["state"]]
    return Found(
        at=datetime.now(UTC),
        verified=audit.verify(connection, against=memory.head),
        seq=audit.head(connection)[0],
        executions=found,
        hosts=_rows(connection, t.host_runs, but=("before", "after")),
        steps=_rows(connection, t.step_runs),
        approvals={row["id"]: row for row in _rows(connection, t.approvals)},
        locks=_rows(connection, t.host_locks),
        admissions=set(connection.scalars(select(t.admissions.c.execution_id))),
        continued=set(
            connection.scalars(
                select(t.audit.c.execution_id)
                .where(t.audit.c.kind == "execution.pending", t.audit.c.data.like("%continued after an interruption%"))
                .distinct()
            )
        ),
        cooldowns=_rows(connection, t.cooldowns),
        breakers=_rows(connection, t.breakers),
        outbox=_rows(connection, t.outbox, but=("payload",)),
        requests={row.key: row.state for row in connection.execute(select(t.requests.c.key, t.requests.c.state))},
        said_no=set(
            connection.scalars(select(t.audit.c.execution_id).where(t.audit.c.kind == "approval.refused").distinct())
        ),
        too_late=connection.scalar(
            select(func.count()).select_from(t.requests).where(t.requests.c.answer.like("The time to approve%"))
        )
        or 0,
        last_kinds=kinds,
        proofs=proofs,
        hashes={number: executions.steps_hash(connection, number) for number in ended},
    )


_TO_SAY = {OutboxState.WAITING.value, OutboxState.SENDING.value}
_OPEN = {State.PENDING.value, State.AWAITING_APPROVAL.value, State.RUNNING.value}


def _rows(connection: Connection, table: Table, but: Collection[str] = ()) -> list[Row]:
    columns = [column for column in table.c if column.name not in but]
    return [dict(row._mapping) for row in connection.execute(select(*columns))]


def _state_entries(connection: Connection) -> tuple[dict[int, str], dict[int, str]]:
    kinds: dict[int, str] = {}
    proofs: dict[int, str] = {}
    query = select(t.audit.c.execution_id, t.audit.c.kind, t.audit.c.data).where(t.audit.c.kind.like("execution.%"))
    for row in connection.execute(query.order_by(t.audit.c.seq)):
        kinds[row.execution_id] = row.kind
        steps = re.search(r'"steps":"([0-9a-f]{64})"', row.data)
        if steps:
            proofs[row.execution_id] = steps[1]
    return kinds, proofs


def problems(
    found: Found, ledger: Ledger, done: Sequence[Done], memory: Memory, wished: Counter[tuple[str, str]]
) -> list[str]:
    """What does not hold; none after a kill from which everything recovered. Remembers what it saw."""
    seen = [
        *the_audit(found, memory),
        *what_ran(found, ledger, wished),
        *endings(found, memory),
        *the_approvals(found, done, memory),
        *the_locks(found),
        *the_budgets(found),
        *the_inbox(found, done),
    ]
    memory.head, memory.seq = found.verified.head, found.seq
    memory.endings = {n: row["state"] for n, row in found.executions.items() if State(row["state"]).is_final}
    memory.approvals = {n: (row["state"], row["decided_by"]) for n, row in found.approvals.items()}
    return seen


def the_audit(found: Found, memory: Memory) -> Iterator[str]:
    """It verifies, against the head noted before too; every state is witnessed, and every ending over its steps."""
    yield from (f"audit: {problem}" for problem in found.verified.problems)
    if found.seq < memory.seq:
        yield f"audit: it had {memory.seq} entries and has {found.seq}"
    for number, row in found.executions.items():
        kind = found.last_kinds.get(number)
        if kind != f"execution.{row['state']}":
            yield f"#{number} is {row['state']}, but the newest entry about it is {kind}"
    for number, now in found.hashes.items():
        if found.proofs.get(number) != now:
            yield f"#{number}: its steps are not those that its ending was witnessed with"


def what_ran(found: Found, ledger: Ledger, wished: Counter[tuple[str, str]]) -> Iterator[str]:
    """Nothing ran that was not marked started, and nothing twice unless it may be repeated or a person asked for it."""
    tag_of = found.tag_of
    marked = Counter(
        Unit(tag=tag_of[row["execution_id"]], host=row["host"], place=row["step"])
        for row in found.steps
        if found.executions[row["execution_id"]]["rolls_back"] is None
    )
    rows = found.executions
    failed = {  # hosts that were asked for once more because they, and not others, had failed
        (tag_of[number], host)
        for number, row in rows.items()
        if row["retry_of"] in rows
        and row["rolls_back"] is None
        and len(row["hosts"]) < len(rows[row["retry_of"]]["hosts"])
        for host in row["hosts"]
    }
    for (verb, ran), times in Counter(ledger.begun).items():
        # `2.broken` is step 2; `2.1` is the first of the group 2.
        unit = Unit(tag=ran.tag, host=ran.host, place=ran.place.removesuffix(".broken"))
        place = unit.place.partition(".")[0]
        if verb == "stop":
            # The steps of a way back are numbered anew, so that any step that was run again may have been one of them.
            allowed = sum(n for (tag, what), n in wished.items() if tag == unit.tag and what != "all")
        else:
            allowed = 1 + wished[unit.tag, "all"] + wished[unit.tag, place]
            if (unit.tag, unit.host) in failed:
                allowed += wished[unit.tag, "failed"]
            if times > marked[unit]:
                yield f"{ran} began {times} times and was marked started {marked[unit]} times"
        if verb != "reload" and times > allowed:
            yield f"{verb} of {ran} ran {times} times, and people asked for {allowed}"


def endings(found: Found, memory: Memory) -> Iterator[str]:
    """What has ended stays ended; what has not has no step that is being run by nobody."""
    for number, before in memory.endings.items():
        now = found.executions[number]["state"] if number in found.executions else "gone"
        if now not in {before, State.ROLLED_BACK.value}:
            yield f"#{number} had ended as {before} and is {now}"
    for step in found.steps:
        state = found.executions[step["execution_id"]]["state"]
        if step["state"] == "started" and state != State.RUNNING.value:
            yield f"#{step['execution_id']} is {state}, but its step {step['step']} on {step['host']} is marked started"
    states: dict[int, list[str]] = defaultdict(list)
    for host in found.hosts:
        states[host["execution_id"]].append(host["state"])
    for row in found.in_state(State.SUCCEEDED):
        if not row["dry_run"] and set(states[row["id"]]) != {"succeeded"}:
            yield f"#{row['id']} succeeded, but its hosts are {states[row['id']]}"


def the_approvals(found: Found, done: Sequence[Done], memory: Memory) -> Iterator[str]:
    """None is lost: what was decided stays decided, what waits stands beside an execution that waits, and a click that
    was acknowledged and handled has either decided or been refused in the audit."""
    for number, (state, by) in memory.approvals.items():
        row = found.approvals.get(number)
        if row is None:
            yield f"approval {number} was {state} and is gone"
        elif ApprovalState(state) in DECIDED and (row["state"], row["decided_by"]) != (state, by):
            yield f"approval {number} was {state} by {by} and is {row['state']} by {row['decided_by']}"
    waiting = {
        row["execution_id"]: row for row in found.approvals.values() if row["state"] == ApprovalState.WAITING.value
    }
    asking = {row["id"] for row in found.in_state(State.AWAITING_APPROVAL)}
    for number in waiting.keys() ^ asking:
        yield f"#{number} is {found.executions[number]['state']}; an approval waits: {number in waiting}"
    given = {row["execution_id"] for row in found.approvals.values() if row["state"] == ApprovalState.GIVEN.value}
    for row in found.steps:
        execution = found.executions[row["execution_id"]]
        needs = execution["danger"] in {"high", "dangerous"} and execution["rolls_back"] is None
        if needs and execution["id"] not in given:
            yield f"#{execution['id']} ran without its consent"
    for click in done:
        if click.what not in {"Approve", "Confirm"} or found.requests.get(click.key) != "handled":
            continue
        asked = waiting.get(click.execution or 0)
        if asked is None or click.at is None or click.at < asked["requested_at"] or asked["expires_at"] <= found.at:
            continue
        if click.execution not in found.said_no:
            yield f"#{click.execution} still waits although the click of {click.who} was handled"


def the_locks(found: Found) -> Iterator[str]:
    """Only unfinished executions hold hosts, and what changes something, or was interrupted at it, holds all of its
    own; while it is rolled back, the rollback does."""
    back = {row["rolls_back"] for row in found.executions.values() if row["state"] in UNFINISHED}
    held: dict[int, set[str]] = defaultdict(set)
    for lock in found.locks:
        held[lock["execution_id"]].add(lock["host"])
        holder = found.executions[lock["execution_id"]]
        never_ran = holder["started_at"] is None and holder["rolls_back"] is None
        waits_first = holder["state"] == State.AWAITING_APPROVAL.value and never_ran
        if holder["state"] not in UNFINISHED or waits_first:
            yield f"{lock['host']} is held by #{holder['id']}, which is {holder['state']}"
    for row in found.in_state(State.RUNNING, State.INTERRUPTED):
        if row["danger"] != "read" and row["id"] not in back and not held[row["id"]] >= set(row["hosts"]):
            yield f"#{row['id']} is {row['state']} on {row['hosts']} and holds {sorted(held[row['id']])}"


def the_budgets(found: Found) -> Iterator[str]:
    """Admitted is what has started, nothing that was refused, unless its owner died before it started; a cooldown
    belongs to what was admitted and may have changed something; a half-open breaker's trial belongs to something
    unfinished."""
    for row in found.executions.values():
        if row["started_at"] is not None and row["id"] not in found.admissions:
            yield f"#{row['id']} has started without being admitted"
        never = row["state"] in NEVER_ADMITTED and row["started_at"] is None and row["id"] not in found.continued
        if never and row["id"] in found.admissions:
            yield f"#{row['id']} was {row['state']} and yet admitted"
    changed = {(row["execution_id"], row["host"]) for row in found.steps if row["changing"] and row["sent"]}
    for row in found.cooldowns:
        owner = found.executions[row["execution_id"]]
        if owner["id"] not in found.admissions:
            yield f"{row['runbook']} on {row['host']} cools down for #{owner['id']}, which was not admitted"
        if State(owner["state"]).is_final and (owner["id"], row["host"]) not in changed:
            yield f"{row['runbook']} on {row['host']} cools down for #{owner['id']}, which changed nothing there"
    for row in found.breakers:
        trial = row["probing"]
        if trial is not None and found.executions[trial]["state"] not in UNFINISHED:
            yield f"the trial of {row['runbook']} on {row['host']} is #{trial}, which has ended"
        if row["state"] == BreakerState.CLOSED.value and trial is not None:
            yield f"the closed breaker of {row['runbook']} on {row['host']} has a trial"


def the_inbox(found: Found, done: Sequence[Done]) -> Iterator[str]:
    """What was acknowledged as stored is stored, and one request has made at most one execution."""
    for one in done:
        if one.is_stored and one.key not in found.requests:
            yield f"{one.who}: {one.what!r} was acknowledged and is not in the inbox"
    asked = Counter(
        row["params"]["tag"]
        for row in found.executions.values()
        if row["retry_of"] is None and row["rolls_back"] is None and "tag" in row["params"]
    )
    yield from (f"{tag} was asked for once and is {times} executions" for tag, times in asked.items() if times > 1)


def ownerless(found: Found, living: Collection[int]) -> list[int]:
    """What is running although its owner's process is none of these, or although it was let go."""
    owners = [(row["id"], row["owner"]) for row in found.in_state(State.RUNNING)]
    return [number for number, owner in owners if owner is None or int(owner.split("-")[0]) not in living]


def overlaps(found: Found, ledger: Ledger, let_go: Collection[int]) -> list[str]:
    """Hosts on which two executions ran at once, unless a person let the first one go."""
    loose = {tag for number, tag in found.tag_of.items() if number in let_go}
    return [
        f"{began} began while {holder} still ran"
        for began, holder in ledger.overlaps
        if began.tag != holder.tag and holder.tag not in loose
    ]


# --- after a quiet minute ---------------------------------------------------------------------------------------------


def unsettled(found: Found) -> list[str]:
    """What still goes on, or was not said yet."""
    open_ = [f"#{row['id']} is {row['state']}" for row in found.in_state(*(State(s) for s in UNFINISHED))]
    unread = [f"{key} is not handled" for key, state in found.requests.items() if state != "handled"]
    unsaid = [  # edits of headlines may take longer: Slack takes some forty a minute
        f"{row['kind']} of #{row['execution_id']} waits"
        for row in found.outbox
        if row["state"] in _TO_SAY and row["kind"] in _SAID_FIRST and row["method"] == "post"
    ]
    return [*open_, *unread, *unsaid]


def what_was_said(found: Found, done: Sequence[Done], messages: Sequence[Message]) -> list[str]:
    """Every request became an execution, every ending stands in its thread, nothing stands there twice unmarked."""
    seen: list[str] = []
    tags = set(found.tag_of.values())
    seen += [f"{one.what!r} became nothing" for one in done if one.tag and one.is_stored and one.tag not in tags]
    by_ts = {message.ts: message for message in messages}
    said: dict[int, list[str]] = defaultdict(list)
    for row in found.outbox:
        if row["kind"] == OutboxKind.ENDING.value and row["state"] == OutboxState.SENT.value:
            said[row["execution_id"]].append(row["ts"])
    for number, row in found.executions.items():
        texts = [by_ts[ts].text for ts in said[number] if ts in by_ts]
        words = _ended_as(row)
        if not any(f"#{number} " in one and words in one for one in texts):
            seen.append(f"#{number} ended as {words}, and its thread does not say so")
    posts: Counter[str] = Counter()
    for message in messages:
        if "(repeated)" not in message.text:
            posts[str(((message.metadata or {}).get("event_payload") or {}).get("id"))] += 1
    seen += [f"message {one} was posted {times} times" for one, times in posts.items() if times > 1 and one != "None"]
    seen += _stuck(found, by_ts)
    dead = [row for row in found.outbox if row["state"] == OutboxState.DEAD.value]
    seen += [f"dead letter: {row['kind']} of #{row['execution_id']}: {row['error']}" for row in dead]
    return seen


def _ended_as(row: Row) -> str:
    """What an ending says of its state: a dry run that went well was planned, and nothing else."""
    state = State(row["state"])
    return "planned" if row["dry_run"] and state is State.SUCCEEDED else state.words


def _stuck(found: Found, by_ts: Mapping[str, Message]) -> Iterator[str]:
    """Steps of what has ended that still stand as running, with nothing on its way to change that."""
    to_come = {row["coalesce_key"] for row in found.outbox if row["state"] in _TO_SAY}
    ended = {number for number, row in found.executions.items() if row["state"] not in _OPEN}
    for row in found.outbox:
        message = by_ts.get(row["ts"])
        if row["kind"] != OutboxKind.PROGRESS.value or message is None or row["execution_id"] not in ended:
            continue
        if row["coalesce_key"] not in to_come and re.search(r": running\b", message.text):
            yield f"#{row['execution_id']} has ended, and its thread says for ever: {message.text}"


def repeated(messages: Sequence[Message]) -> int:
    """How many posts are marked as repeated."""
    return sum("(repeated)" in message.text for message in messages)
