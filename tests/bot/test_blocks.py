"""Whatever is in a record, Slack takes the message, and nobody is pinged by it."""

import importlib
import inspect
import json
import os
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import Phase as Phases
from hypothesis import strategies as st

import bot
from bot import (
    actions,
    blocks,
    cards,
    commands,
    dead_letters,
    digest,
    forms,
    home,
    incident_cards,
    ledger,
    modals,
    schedules,
)
from bot.blocks import Message
from bot.playground.block_kit import (
    ALL_TEXT_IN_A_MESSAGE,
    VIEW_BYTES,
    Surface,
    check_blocks,
    check_view,
    text_length,
)
from bot.request import Unclear
from runbooks.answer import Answer
from runbooks.incidents import Moment, Offer, Story
from runbooks.progress import (
    ApprovalAsked,
    ApprovalReminded,
    BreakerMoved,
    EmergencyUsed,
    ExecutionEnded,
    ExecutionInterrupted,
    FiringLost,
    LimitRefuses,
    ScheduleChanged,
    SwitchEngaged,
    SwitchReleased,
    SwitchStopped,
    WaveEnded,
)
from storage import digest as figures
from storage.dead_letters import Count
from storage.outbox import Held
from storage.records import (
    SEVERITIES,
    TRANSPORT,
    Actor,
    Approval,
    ApprovalState,
    AuditEntry,
    Breaker,
    BreakerState,
    Consent,
    Danger,
    Death,
    Execution,
    Firing,
    FiringOutcome,
    HostLock,
    HostRun,
    HostState,
    Incident,
    IncidentChange,
    IncidentEntry,
    IncidentRole,
    IncidentStatus,
    KillSwitch,
    Origin,
    OutboxKind,
    OutboxMessage,
    OutputLine,
    Phase,
    Priority,
    Schedule,
    Scope,
    State,
    StepRun,
    StepState,
)

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
BOB = Actor(id="UBOB", name="bob")

nasty = st.sampled_from(
    [
        "<!here>",
        "<@UALICE>",
        "<https://evil.example|click>",
        "&&&&",
        "```",
        "`",
        "\u202e",
        "🧨",
        "\x00",
        "\ud800",
        "\n",
        "*b*",
    ]
)
texts = st.one_of(
    st.text(max_size=60),
    st.lists(nasty, min_size=1, max_size=8).map("".join),
    st.builds(lambda piece, times: piece * times, nasty, st.sampled_from([1, 400, 4_000])),
)
maybe = st.one_of(st.none(), texts)
times = st.integers(0, 10**7).map(lambda seconds: NOW + timedelta(seconds=seconds))
actors = st.builds(Actor, id=st.one_of(st.just("UBOB"), texts), name=texts)
hosts_of = st.one_of(
    st.lists(texts, min_size=1, max_size=3).map(tuple), st.just(tuple(f"web-{number:03}" for number in range(300)))
)
executions = st.builds(
    Execution,
    id=st.integers(1, 2**53),
    runbook=texts,
    params=st.dictionaries(texts, st.one_of(texts, st.integers(), st.none()), max_size=4),
    hosts=hosts_of,
    services=st.just(("nginx",)),
    danger=st.sampled_from(Danger),
    actor=actors,
    origin=st.sampled_from(Origin),
    channel=st.one_of(st.just("C0INC"), st.none(), texts),
    text=texts,
    reason=maybe,
    dry_run=st.booleans(),
    priority=st.sampled_from(Priority),
    state=st.sampled_from(State),
    phase=st.sampled_from(Phase),
    created_at=times,
    queued_at=times,
    timeout=st.just(300.0),
    emergency_at=st.one_of(st.none(), times),
    fingerprint=st.one_of(st.none(), st.just("f" * 64)),
    started_at=st.one_of(st.none(), times),
    ended_at=st.one_of(st.none(), times),
    ending=maybe,
    note=maybe,
    cancel_at=st.one_of(st.none(), times),
    cancel_reason=maybe,
    retry_of=st.one_of(st.none(), st.integers(1, 99)),
    steps_total=st.integers(0, 900),
    steps_done=st.integers(0, 900),
    current=maybe,
)
facts = st.dictionaries(
    st.one_of(texts, st.sampled_from(["state", "pid"])), st.one_of(texts, st.integers(), st.none(), st.lists(texts))
)
host_runs = st.builds(
    HostRun,
    execution_id=st.just(42),
    host=texts,
    position=st.integers(0, 300),
    state=st.sampled_from(HostState),
    reason=maybe,
    outcome=maybe,
    before=st.one_of(st.none(), facts),
    after=st.one_of(st.none(), facts),
)
many_hosts = st.one_of(
    st.lists(host_runs, max_size=4).map(tuple),
    st.tuples(host_runs, st.just(300)).map(lambda pair: (pair[0],) * pair[1]),
)
step_runs = st.builds(
    StepRun,
    execution_id=st.just(42),
    host=texts,
    step=st.sampled_from(["1", "3.1"]),
    attempt=st.integers(1, 4),
    title=texts,
    state=st.sampled_from(StepState),
    started_at=times,
    ended_at=st.one_of(st.none(), times),
    exit_status=st.one_of(st.none(), st.integers(0, 255)),
    signal=maybe,
    death=st.one_of(st.none(), st.sampled_from(Death)),
    reason=maybe,
    lines=st.integers(0, 10**6),
    dropped=st.integers(0, 10**6),
)
many_steps = st.one_of(st.lists(step_runs, max_size=3).map(tuple), step_runs.map(lambda step: (step,) * 300))
output_lines = st.builds(
    OutputLine,
    host=texts,
    step=st.just("1"),
    attempt=st.just(1),
    seq=st.integers(0, 9),
    stream=st.just("out"),
    text=texts,
    at=times,
)
tails = st.one_of(st.lists(output_lines, max_size=5), output_lines.map(lambda line: [line] * 200))
approvals = st.builds(
    Approval,
    id=st.integers(1, 99),
    execution_id=st.just(42),
    fingerprint=st.just("f" * 64),
    kind=st.sampled_from([Consent.CONFIRM, Consent.APPROVE]),
    state=st.sampled_from(ApprovalState),
    requested_at=times,
    expires_at=times,
    decided_by=st.one_of(st.none(), st.just("UBOB"), texts),
    good_until=st.one_of(st.none(), times),
    reason=maybe,
    quorum=st.integers(1, 20),
    votes=st.lists(st.one_of(st.just("UCAROL"), texts), max_size=5).map(tuple),
    decided_at=st.one_of(st.none(), times),
)
locks = st.lists(st.builds(HostLock, host=texts, execution_id=st.integers(1, 50), since=times), max_size=8).map(tuple)
situations = st.builds(
    cards.Situation,
    hosts=many_hosts,
    approval=st.one_of(st.none(), approvals),
    locks=locks,
    holders=st.lists(executions, max_size=2).map(tuple),
    resumable=st.booleans(),
    undoable=st.booleans(),
    retriable=st.booleans(),
    way_back=st.one_of(st.none(), executions),
    usual=st.one_of(st.none(), st.timedeltas(timedelta(0), timedelta(days=400))),
    printed=st.integers(0, 10**6),
)
needs = st.lists(st.one_of(st.just("2 of S0DBA"), texts), max_size=3).map(tuple)
switches = st.builds(
    KillSwitch,
    scope=st.sampled_from(Scope),
    subject=texts,
    engaged_by=actors,
    engaged_at=times,
    now=st.booleans(),
    reason=maybe,
)


def _check(title: str, command: str, kind: str) -> dict[str, Any]:
    return {"kind": kind, "title": title, "command": command, "output": title, "pattern": None, "allow_exit": [0]}


steps = st.one_of(
    st.builds(
        lambda title, command, undo: {
            "kind": "run",
            "title": title,
            "command": command,
            "idempotent": True,
            "undo": {"kind": "run", "command": command} if undo else None,
            "unless": _check(title, command, "expect"),
        },
        texts,
        texts,
        st.booleans(),
    ),
    st.builds(_check, texts, texts, st.sampled_from(["expect", "require"])),
    st.builds(
        lambda title, body: {"kind": "call", "title": title, "method": "POST", "url": title, "body": body}, texts, texts
    ),
    st.builds(lambda title: {"kind": "wait", "title": title, "seconds": 3.0}, texts),
)
plans = st.builds(
    lambda hosts, planned, notes, many: {
        "hosts": [{"host": host, "facts": {}, "steps": planned * (20 if many else 1)} for host in hosts],
        "services": [],
        "notes": notes,
    },
    hosts_of,
    st.lists(st.one_of(steps, steps.map(lambda s: {"kind": "parallel", "title": "p", "steps": [s, s]})), max_size=3),
    st.lists(texts, max_size=2),
    st.booleans(),
)
news = st.builds(
    cards.StepNews,
    execution=executions,
    step=step_runs,
    tail=tails,
    lines=st.integers(0, 10**6),
    command=maybe,
    note=maybe,
)

offered = st.lists(
    st.builds(
        Offer,
        runbook=texts,
        named=st.dictionaries(texts, texts, max_size=1),
        hosts=hosts_of,
        danger=st.sampled_from(Danger),
    ),
    max_size=5,
    unique_by=lambda offer: offer.runbook,
)
incidents = st.builds(
    Incident,
    id=st.integers(1, 2**53),
    name=st.just("inc-20261121-checkout-slow"),
    title=texts,
    severity=st.sampled_from(SEVERITIES),
    service=maybe,
    status=st.sampled_from(IncidentStatus),
    opened_by=actors,
    origin=st.sampled_from(Origin),
    opened_at=times,
    asked_in=maybe,
    channel=st.one_of(st.none(), st.just("C0INC"), texts),
    roles=st.dictionaries(
        st.sampled_from([role.value for role in IncidentRole]), st.one_of(st.just("UBOB"), texts), max_size=3
    ),
    acknowledged_at=st.one_of(st.none(), times),
    resolved_at=st.one_of(st.none(), times),
    summary=maybe,
)

breakers = st.builds(
    Breaker,
    runbook=st.one_of(texts, st.just(TRANSPORT)),
    host=texts,
    state=st.sampled_from(BreakerState),
    failures=st.integers(0, 10**6),
    opened_at=st.one_of(st.none(), times),
    probing=st.one_of(st.none(), st.integers(1, 99)),
)
channels = st.one_of(st.none(), st.just("C0INC"), texts.map(lambda text: text[:40]))  # as the door cuts them
ready = st.lists(texts.map(blocks.inline), min_size=1, max_size=60).map("\n".join)
letters = st.builds(
    OutboxMessage,
    id=st.just("0123456789abcdef" * 2),
    kind=st.sampled_from(OutboxKind),
    method=st.sampled_from(["post", "update", "respond"]),
    channel=st.one_of(st.none(), st.just("C0INC"), texts),
    execution_id=st.one_of(st.none(), st.integers(1, 99)),
    coalesce_key=st.none(),
    payload=st.fixed_dictionaries({"text": texts, "user": st.one_of(st.just("UBOB"), texts)}),
    created_at=times,
    attempts=st.integers(0, 99),
    sent_at=st.one_of(st.none(), times),
    error=maybe,
)
health = st.builds(
    home.Health,
    host=texts,
    runbook=maybe,
    last=st.one_of(st.none(), host_runs),
    breakers=st.lists(breakers, max_size=5).map(tuple),
)
schedules_ = st.builds(
    Schedule,
    id=st.integers(1, 99),
    name=texts,
    text=texts,
    cron=st.sampled_from(["0 2 * * *", "*/5 * * * 1-5"]),
    timezone=st.just("Europe/Berlin"),
    channel=channels,
    made_by=actors,
    made_at=times,
    next_at=st.none() | times,
)
homes = st.builds(
    home.Home,
    person=st.one_of(st.just("UBOB"), texts),
    may_read=st.booleans(),
    may_run=st.booleans(),
    may_schedule=st.booleans(),
    incidents=st.lists(incidents, max_size=12).map(tuple),
    may_release=st.booleans(),
    waiting=st.lists(st.tuples(executions, approvals), max_size=7, unique_by=lambda pair: pair[0].id).map(tuple),
    running=st.one_of(
        st.lists(executions, max_size=4).map(tuple), executions.map(lambda execution: (execution,) * 300)
    ),
    stoppable=st.sets(st.integers(1, 9)).map(frozenset),
    switches=st.lists(switches, max_size=8).map(tuple),
    schedules=st.lists(schedules_, max_size=7).map(tuple),
    yours=st.lists(executions, max_size=7).map(tuple),
    health=st.one_of(st.lists(health, max_size=4).map(tuple), health.map(lambda one: (one,) * 300)),
)

outcomes = st.dictionaries(st.sampled_from(State), st.integers(0, 10**7), max_size=12).map(
    lambda of: figures.Outcomes(of=of)
)
by_hands = st.builds(digest.ByHand, of=st.dictionaries(texts, st.just(timedelta(minutes=9)), max_size=9))
digests = st.builds(
    figures.Digest,
    since=st.just(datetime(2026, 11, 16, 9, tzinfo=UTC)),
    until=st.just(datetime(2026, 11, 23, 9, tzinfo=UTC)),
    outcomes=outcomes,
    before=outcomes,
    dry_runs=st.integers(0, 10**6),
    runbooks=st.dictionaries(texts, outcomes, max_size=9),
    hosts=st.lists(
        st.builds(figures.HostOutcomes, host=texts, succeeded=st.integers(0, 99), failed=st.integers(0, 99)), max_size=9
    ),
    done=st.dictionaries(texts, st.integers(0, 10**6), max_size=9),
    series=st.lists(
        st.builds(figures.Bucket, since=st.just(datetime(2026, 11, 16, 9, tzinfo=UTC)), outcomes=outcomes),
        min_size=1,
        max_size=31,
    ),
    slowest=st.lists(
        st.builds(
            figures.Slow,
            id=st.integers(1, 10**9),
            runbook=texts,
            hosts=st.lists(texts, max_size=9).map(tuple),
            took=st.timedeltas(timedelta(0), timedelta(days=9)),
        ),
        max_size=3,
    ),
    waits=st.builds(
        figures.Waits,
        of=st.dictionaries(st.sampled_from(ApprovalState), st.integers(1, 10**6)),
        median=st.just(timedelta(minutes=2)),
        longest=st.just(timedelta(minutes=9)),
        longest_id=st.integers(1, 10**9),
    ),
    switches=st.lists(switches, max_size=9),
    dead_letters=st.integers(0, 10**6),
    firings=st.dictionaries(st.sampled_from(FiringOutcome), st.integers(1, 10**6)),
    missed=st.lists(texts, max_size=5),
    head=st.just((10**9, "a" * 64)),
)

BUILDERS: dict[str, st.SearchStrategy[Any]] = {
    "incident_cards.headline": st.builds(incident_cards.headline, incidents, offered),
    "incident_cards.run_it": st.builds(
        incident_cards.run_it,
        incidents,
        st.builds(
            Offer,
            runbook=texts.map(lambda text: text[:100]),
            named=st.just({}),
            hosts=hosts_of,
            danger=st.just(Danger.LOW),
        ),
        st.just("It is being planned."),
    ),
    "incident_cards.announcement": incidents.map(incident_cards.announcement),
    "incident_cards.line": st.builds(
        incident_cards.line,
        incidents,
        st.builds(
            IncidentEntry,
            incident_id=st.just(1),
            seq=st.integers(1, 99),
            at=times,
            actor=actors,
            change=st.sampled_from(sorted(set(IncidentChange) - {IncidentChange.OPENED, IncidentChange.CHANNEL})),
            text=texts,
        ),
    ),
    "incident_cards.timeline": st.builds(
        incident_cards.timeline,
        incidents,
        st.builds(
            Story,
            moments=st.lists(
                st.builds(Moment, at=times, actor=st.one_of(st.none(), actors), what=texts, quoted=texts), max_size=60
            ).map(tuple),
            ran=st.just(()),
            earlier=st.sampled_from([0, 1, 3_000]),
        ),
    ),
    "incident_cards.listing": st.builds(
        incident_cards.listing, st.lists(incidents, max_size=40), st.lists(incidents, max_size=5)
    ),
    "cards.card": st.builds(cards.card, executions, times, situations),
    "cards.plan_messages": st.builds(cards.plan_messages, executions, plans),
    "cards.approval_message": st.builds(
        ApprovalAsked,
        execution=executions,
        approval=approvals,
        plan=plans,
        why=texts,
        notify=st.one_of(st.just("S0ONCALL"), maybe),
        approvers=st.lists(st.one_of(st.just("UBOB"), texts), max_size=20).map(tuple),
        needs=needs,
        last=st.lists(executions, max_size=3).map(tuple),
    ).flatmap(lambda asked: st.builds(cards.approval_message, st.just(asked), needs)),
    "cards.reminder": st.builds(
        cards.reminder,
        st.builds(
            ApprovalReminded,
            execution=executions,
            approval=approvals,
            notify=maybe,
            approvers=st.just(("UBOB",)),
            missing=needs,
        ),
        times,
    ),
    "cards.decided": st.builds(cards.decided, executions, approvals),
    "cards.step_message": news.map(cards.step_message),
    "cards.ending": st.builds(
        ExecutionEnded, execution=executions, hosts=many_hosts, steps=many_steps, tail=tails, gate=maybe
    ).map(cards.ending),
    "cards.interruption": st.builds(
        ExecutionInterrupted,
        execution=executions,
        steps=many_steps,
        reason=texts,
        resumable=st.booleans(),
        undoable=st.booleans(),
    ).map(cards.interruption),
    "cards.continued": st.builds(cards.continued, executions, st.none(), texts),
    "cards.switch_engaged": st.builds(
        SwitchEngaged,
        switch=switches,
        actor=actors,
        running=st.lists(executions, max_size=7).map(tuple),
        waiting=st.lists(executions, max_size=2).map(tuple),
        channel=st.none(),
    ).map(cards.switch_engaged),
    "cards.switch_stopped": st.builds(
        SwitchStopped,
        switch=switches,
        found=st.lists(st.tuples(st.integers(1, 99), texts, st.sampled_from(Death)), max_size=30).map(tuple),
        seconds=st.floats(0, 90),
        channel=st.none(),
    ).map(cards.switch_stopped),
    "cards.switch_released": st.builds(
        SwitchReleased, switch=switches, actor=actors, reason=texts, channel=st.none()
    ).map(cards.switch_released),
    "cards.emergency": st.builds(
        EmergencyUsed, execution=executions, switches=st.lists(switches, max_size=7).map(tuple)
    ).map(cards.emergency),
    "cards.breaker_moved": st.builds(
        BreakerMoved,
        breaker=st.builds(Breaker, runbook=texts, host=texts, state=st.sampled_from(BreakerState)),
        execution=executions,
    ).map(cards.breaker_moved),
    "cards.duplicate": executions.map(cards.duplicate),
    "cards.asked_from_here": executions.map(cards.asked_from_here),
    "cards.resume_choice": st.builds(
        cards.resume_choice, executions, texts, host=texts, place=st.sampled_from(["1", "3.1"]), mark=texts
    ),
    "blocks.spoken": texts.map(blocks.spoken),
    "cards.moved_elsewhere": st.builds(
        cards.moved_elsewhere, st.integers(1, 99), texts, st.one_of(maybe, st.just("https://a.example/p1"))
    ),
    "blocks.catalog_list": st.lists(st.tuples(texts, texts, texts, st.sampled_from(Danger)), max_size=60).map(
        blocks.catalog_list
    ),
    "blocks.execution_lines": st.builds(blocks.execution_lines, st.lists(executions, max_size=30), times),
    "blocks.switch_list": st.lists(switches, max_size=40).map(blocks.switch_list),
    "blocks.audit_lines": st.lists(
        st.builds(
            AuditEntry,
            seq=st.integers(1, 10**9),
            at=times,
            kind=texts,
            actor=texts,
            origin=st.just("command"),
            execution_id=st.one_of(st.none(), st.integers(1, 99)),
            data=st.dictionaries(texts, texts, max_size=3),
            previous=st.just("0" * 64),
            hash=st.just("a" * 64),
        ),
        max_size=40,
    ).map(blocks.audit_lines),
    "blocks.logs": tails.map(blocks.logs),
    "blocks.plain": texts.map(blocks.plain),
    "blocks.message": st.builds(
        lambda words, many: blocks.message(words, [blocks.section(words)] * many), ready, st.sampled_from([1, 60])
    ),
    "blocks.markdown": ready.map(blocks.markdown),
    "blocks.breaker_list": st.builds(blocks.breaker_list, st.lists(breakers, max_size=60), times),
    "cards.wave_message": st.builds(
        WaveEnded,
        execution=executions,
        number=st.integers(1, 300),
        of=st.integers(1, 300),
        hosts=hosts_of,
        succeeded=st.integers(0, 300),
        pause=st.floats(0, 10**6),
    ).map(cards.wave_message),
    "cards.limit_refuses": st.builds(
        LimitRefuses, execution=executions, rule=texts, reason=texts, count=st.integers(1, 10**6)
    ).map(cards.limit_refuses),
    "cards.switch_reminded": st.builds(cards.switch_reminded, switches, times),
    "actions._private": texts.map(lambda words: actions._private(Answer(message=words))),
    "commands._unclear": st.builds(Unclear, message=texts, suggestion=maybe).map(commands._unclear),
    "dead_letters.list_message": st.builds(
        dead_letters.list_message,
        st.builds(
            dead_letters.Listing,
            shown=st.lists(letters, max_size=25),
            counts=st.lists(st.builds(Count, kind=st.sampled_from(OutboxKind), number=st.integers(1, 99), error=texts)),
            length=st.just(8),
            unannounced=st.just(0),
            held=st.one_of(st.none(), st.builds(Held, number=st.integers(1, 9), since=times, error=texts)),
        ),
        times,
    ),
    "dead_letters.show_message": st.builds(dead_letters.show_message, letters, with_text=st.booleans()),
    "dead_letters._announcement": st.builds(
        dead_letters._announcement, st.integers(1, 99), st.lists(letters, min_size=1, max_size=12)
    ),
    "ledger.head_message": st.builds(ledger.head_message, st.integers(0, 10**12), st.just("a" * 64), times),
    "modals.deny": st.builds(modals.deny, executions, channels),
    "modals.release": st.builds(modals.release, switches.filter(blocks.release_button), channels),
    "forms.picker": st.builds(forms.picker, channel=channels, thread=st.one_of(st.none(), st.just("1.000001"))),
    "forms.planning": st.builds(forms.planning, texts, hosts_of, external_id=st.just("x")),
    "forms.note": st.builds(forms.note, texts, texts),
    "schedules.changed": st.builds(ScheduleChanged, schedule=schedules_, actor=st.none() | actors, words=texts).map(
        schedules.changed
    ),
    "schedules.lost": st.builds(
        FiringLost,
        schedule=schedules_,
        firing=st.builds(
            Firing,
            schedule_id=st.just(1),
            name=texts,
            due_at=times,
            outcome=st.sampled_from(FiringOutcome),
            at=times,
            count=st.integers(1, 99),
            last_due=st.none() | times,
            reason=maybe,
        ),
        caught_up=st.booleans(),
    ).map(schedules.lost),
    "schedules.listed": st.builds(
        schedules.listed,
        st.lists(
            st.builds(schedules.Shown, schedule=schedules_, verbs=st.just(tuple(schedules.LABELS))),
            max_size=25,
            unique_by=lambda one: one.schedule.id,
        ),
        times,
        page=st.integers(0, 4),
        offers_new=st.booleans(),
    ),
    "home.home_view": st.builds(home.home_view, homes, times),
    "blocks.with_question": st.builds(blocks.with_question, texts.map(blocks.plain), st.just("All"), texts),
    "cards.host_page": st.builds(cards.host_page, executions, st.lists(host_runs, max_size=60), st.integers(1, 40)),
    "blocks.paged": st.builds(
        blocks.paged, texts.map(blocks.plain), newer=maybe, older=maybe, note=st.sampled_from(["", "1 to 15 of 40"])
    ),
    "blocks.near_misses": st.builds(
        blocks.near_misses, texts, st.lists(st.tuples(texts.filter(str.strip), texts.filter(str.strip)), max_size=5)
    ),
    "digest.digest_message": st.builds(
        digest.digest_message, digests, by_hands, title=st.just("Digest"), zone=st.just("Europe/Berlin")
    ),
    "digest.answer": st.builds(
        digest.answer, digests, by_hands, st.timedeltas(timedelta(hours=1), digest.LONGEST), st.just("UTC")
    ),
}
"""A strategy for every message and view Handrail can make, by the function that makes it."""

ELSEWHERE = {"forms.form", "forms.plan_page", "forms.schedule_page"}
"""Tried in the same way, in `tests/bot/test_forms.py`."""

PARTS = {
    "blocks.section",
    "blocks.context",
    "digest._row",
    "manifest.as_dict",
    "modals.asks",
    "shown.shown",
    "shown._shown",
}
"""Parts of messages, what calls others to make them, and what is none. A private function that gives a mapping is a
part of a view."""


def makers() -> Iterator[str]:
    """Every function of the bot whose result is said or shown, by its annotation."""
    for module in pkgutil.walk_packages(bot.__path__, "bot."):
        if module.name.startswith("bot.playground") or module.name == "bot.__main__":
            continue
        found = importlib.import_module(module.name)
        for name, one in vars(found).items():
            if inspect.isfunction(one) and one.__module__ == module.name:
                result = one.__annotations__.get("return")
                is_view = result in (Mapping[str, Any], forms.PlanPage) and not name.startswith("_")
                if is_view or result in (Message, list[Message], Message | None):
                    yield f"{module.name.removeprefix('bot.')}.{name}"


def test_every_function_that_makes_a_message_or_a_view_is_tried_with_whatever_a_record_holds() -> None:
    assert set(makers()) - PARTS == set(BUILDERS) | ELSEWHERE


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("type") == "mrkdwn":
            assert value["verbatim"] is True
            yield value["text"]
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


OURS = re.compile(
    r"<(@[UW][A-Z0-9]+|#[CDG][A-Z0-9]+|!subteam\^S[A-Z0-9]+"
    r"|!date\^\d+\^(\{date_short_pretty\} )?\{time(_secs)?\}\|[^<>|]+"
    r"|https?://[^<>|\s]+\|another channel)>"
)


def assert_slack_takes(message: Message) -> None:
    """Every limit, and no mention or link that isn't ours."""
    assert check_blocks(list(message.blocks), surface=Surface.MESSAGE) == []
    assert text_length(message.blocks) <= ALL_TEXT_IN_A_MESSAGE - 500
    assert len(message.blocks) <= 48
    assert 0 < blocks.units(message.text) <= 4_000
    json.dumps(message.payload()).encode()
    for text in [message.text, *_strings(list(message.blocks))]:
        assert blocks.units(text) <= 3_000 or text is message.text
        assert_harmless(text)
    for text in _strings(list(message.blocks)):
        assert text.count("```") % 2 == 0, text


def assert_slack_takes_view(view: Mapping[str, Any]) -> None:
    """The same for a modal or Home tab."""
    assert check_view(dict(view)) == []
    assert text_length(view["blocks"]) <= ALL_TEXT_IN_A_MESSAGE - 500
    assert len(json.dumps(view).encode()) < VIEW_BYTES // 2
    for text in _strings(view["blocks"]):
        assert_harmless(text)
        assert text.count("```") % 2 == 0, text


def assert_harmless(text: str) -> None:
    """It can be sent, and nothing in it is a mention or link that isn't ours, or turns what stands around it."""
    text.encode()
    assert not re.search(r"[<>]", OURS.sub("", text)), text
    assert not re.search(r"&(?!amp;|lt;|gt;)", text), text
    assert not re.search("[\u202a-\u202e\x00]", text)


EXAMPLES = int(os.environ.get("HANDRAIL_TEST_EXAMPLES", "25"))


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_slack_takes_whatever_a_record_holds(name: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phases.explicit, Phases.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large],
    )
    @given(BUILDERS[name])
    def holds(made: Message | list[Message] | Mapping[str, Any]) -> None:
        if isinstance(made, Mapping):
            assert_slack_takes_view(made)
            return
        for message in made if isinstance(made, list) else [made]:
            assert_slack_takes(message)

    holds()


@given(st.lists(schedules_, max_size=12, unique_by=lambda one: one.id), times)
@settings(deadline=None, max_examples=EXAMPLES)
def test_no_schedule_of_a_page_is_left_out_and_each_stands_above_its_buttons(
    some: list[Schedule], now: datetime
) -> None:
    every = [schedules.Shown(schedule=one, verbs=tuple(schedules.LABELS)) for one in some]
    made = schedules.listed(every, now, offers_new=True)
    rows = [place for place, block in enumerate(made.blocks) if "schedule:" in str(block.get("block_id"))]
    assert len(rows) == min(len(some), schedules.SHOWN)
    assert [made.blocks[place - 1]["type"] for place in rows] == ["section"] * len(rows)
    assert "was left out" not in str(made.blocks)


PINGS = "<@UALICE> <!channel> <!here> <!subteam^S0ONCALL> <#C0OPS> <https://evil.example|click> @here @everyone"


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.TIMED_OUT])
def test_what_a_host_printed_mentions_nobody_and_links_nowhere(state: State) -> None:
    lines = [OutputLine(host=PINGS, step="1", attempt=1, seq=1, stream="stdout", text=PINGS, at=NOW)]
    execution = an_execution(state=state, ending=PINGS, note=PINGS, current=PINGS)
    host = HostRun(
        execution_id=42,
        host="web-01",
        position=0,
        state=HostState.FAILED,
        reason=PINGS,
        outcome=PINGS,
        before={"a": "", PINGS: 1},
        after={"a": PINGS, PINGS: 2},
    )
    step = StepRun(
        execution_id=42,
        host="web-01",
        step="1",
        attempt=1,
        title="Look",
        state=StepState.FAILED,
        started_at=NOW,
        reason=PINGS,
        death=Death.UNKNOWN,
    )
    mine = home.Home(
        person="UBOB",
        has_role=True,
        may_read=True,
        may_run=True,
        may_release=True,
        running=(execution,),
        yours=(execution,),
    )
    said = [
        cards.card(execution, NOW, cards.Situation(hosts=(host, host))).payload(),
        cards.ending(ExecutionEnded(execution=execution, hosts=(host, host), steps=(step,), tail=lines)).payload(),
        cards.step_message(cards.StepNews(execution=execution, step=step, tail=lines, note=PINGS)).payload(),
        cards.resume_choice(execution, PINGS, host="web-01", place="1", mark="m").payload(),
        blocks.logs(lines).payload(),
        blocks.execution_lines([execution], NOW).payload(),
        home.home_view(mine, NOW),
    ]
    for one in said:
        found = re.findall(r"<[^>]*>", json.dumps(one))
        assert [name for name in found if name not in {"<@UBOB>", "<#C0INC>"} and not name.startswith("<!date^")] == []
        assert "click" in json.dumps(one)


@settings(deadline=None)
@given(st.one_of(st.text(alphabet=st.characters(), max_size=40), st.lists(nasty, max_size=8).map("".join)))
def test_every_character_is_escaped_and_counted_as_if_it_stood_alone(text: str) -> None:
    assert blocks.escape(text) == "".join(blocks.escape(f"{one}é")[:-1] for one in text)
    assert blocks.units(text) == sum(2 if ord(one) > 0xFFFF else 1 for one in text)


@pytest.mark.parametrize("character", ["&", "<", ">", "\x00", "\r", "\x1b", "\x7f", "\u202e", "\ud800"])
def test_what_must_be_escaped_is_also_within_plain_text(character: str) -> None:
    assert character not in blocks.escape(f"a{character}b").replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")


def test_a_home_with_too_much_in_it_is_cut_from_below() -> None:
    long = "&" * 4_000
    many = tuple(
        an_execution(id=n, state=State.AWAITING_APPROVAL, params={"note": long}, note=long, reason=long, ending=long)
        for n in range(1, 11)
    )
    later = tuple(replace(execution, id=execution.id + 100) for execution in many)
    votes = tuple(long[:n] for n in range(80, 100))
    asked = tuple((execution, an_approval(votes=votes)) for execution in many)
    switch = KillSwitch(scope=Scope.SERVICE, subject=long[:280], engaged_by=BOB, engaged_at=NOW, now=False, reason=long)
    mine = home.Home(
        person="UBOB", has_role=True, may_read=True, may_run=True, may_release=True, waiting=asked, running=later,
        switches=(switch,) * 5, yours=many,
    )  # fmt: skip
    view = home.home_view(mine, NOW)
    assert "Waiting for you (10)" in str(view)
    assert "More than fits here" in str(view)
    assert sum(blocks.weight(block) for block in view["blocks"]) < 12_500


def test_nothing_is_said_twice_of_how_it_came_out_and_people_are_mentioned_by_name() -> None:
    denied = an_execution(state=State.DENIED, ending="denied by <@UCAROL>: not\ntoday")
    assert "web-01, denied by <@UCAROL>: not today (<@UBOB>" in blocks.execution_line(denied, NOW)
    assert cards.ending(ExecutionEnded(execution=denied, hosts=(), steps=())).text.endswith(
        "was denied by <@UCAROL>: not\ntoday"
    )
    failed = StepRun(
        execution_id=42,
        host="web-01",
        step="1",
        attempt=1,
        title="Look",
        state=StepState.FAILED,
        started_at=NOW,
        ended_at=NOW,
        exit_status=1,
        reason="ended with exit status 1",
    )
    said = cards.step_message(cards.StepNews(execution=denied, step=failed, tail=())).text
    assert said.endswith("failed after 0 s exit status 1")
    reason = "cancelled by <@UBOB>; the command is stopped"
    stopped = replace(failed, state=StepState.STOPPED, exit_status=143, death=Death.STOPPED, reason=reason)
    said = cards.step_message(cards.StepNews(execution=denied, step=stopped, tail=())).text
    assert said.count("stopped") == 2, "the step, and its command"
    told = cards.ending(ExecutionEnded(execution=denied, hosts=(), steps=(stopped,))).blocks[-1]
    assert told["text"]["text"] == "web-01, step 1 (Look): cancelled by <@UBOB>; the command is stopped"


@pytest.mark.parametrize("state", [State.AWAITING_APPROVAL, State.REFUSED, State.DENIED, State.EXPIRED])
def test_what_never_began_says_nothing_of_each_host(state: State) -> None:
    """Of twenty hosts that never run none waits; and where somebody is asked, the buttons come first on a phone."""
    execution = an_execution(state=state, hosts=tuple(f"web-{n:02}" for n in range(20)), ending="not today")
    hosts = tuple(
        HostRun(execution_id=42, host=name, position=n, state=HostState.WAITING)
        for n, name in enumerate(execution.hosts)
    )
    said = [cards.card(execution, NOW, cards.Situation(hosts=hosts)), cards.host_page(execution, hosts, 1)]
    if state.is_final:
        said.append(cards.ending(ExecutionEnded(execution=execution, hosts=hosts, steps=())))
    for one in said:
        assert "succeeded" not in str(one)
        assert "web-03 waiting" not in str(one)
    assert "• web-19" in str(said[1])


def an_execution(**changes: Any) -> Execution:
    values: dict[str, Any] = {
        "id": 42,
        "runbook": "restart-service",
        "params": {"service": "nginx", "settle": 5},
        "hosts": ("web-01",),
        "services": ("nginx",),
        "danger": Danger.HIGH,
        "actor": BOB,
        "origin": Origin.COMMAND,
        "channel": "C0INC",
        "text": "",
        "reason": None,
        "dry_run": False,
        "priority": Priority.NORMAL,
        "state": State.RUNNING,
        "phase": Phase.APPLY,
        "created_at": NOW,
        "queued_at": NOW,
        "timeout": 300.0,
        "fingerprint": "f" * 64,
    }
    return Execution(**values | changes)


def labels(message: Message) -> list[str]:
    """The buttons of a message, in order."""
    return [
        element["text"]["text"]
        for block in message.blocks
        if block["type"] == "actions"
        for element in block["elements"]
    ]


def an_approval(kind: Consent = Consent.APPROVE, **changes: Any) -> Approval:
    values: dict[str, Any] = {"state": ApprovalState.WAITING, "decided_by": None} | changes
    return Approval(
        id=1,
        execution_id=42,
        fingerprint="f" * 64,
        kind=kind,
        requested_at=NOW,
        expires_at=NOW + timedelta(minutes=15),
        **values,
    )


@pytest.mark.parametrize(
    ("state", "situation", "expected"),
    [
        (State.PENDING, cards.Situation(), ["Cancel", "Show plan"]),
        (
            State.AWAITING_APPROVAL,
            cards.Situation(approval=an_approval()),
            ["Approve", "Deny", "Cancel", "Show plan"],
        ),
        (
            State.AWAITING_APPROVAL,
            cards.Situation(approval=an_approval(Consent.CONFIRM)),
            ["Confirm", "Cancel", "Show plan"],
        ),
        (State.RUNNING, cards.Situation(), ["Cancel", "Show plan"]),
        (State.FAILED, cards.Situation(retriable=True, undoable=True), ["Retry", "Roll back", "Show plan"]),
        (State.INTERRUPTED, cards.Situation(resumable=True), ["Resume", "Roll back", "Give up", "Show plan"]),
        (State.SUCCEEDED, cards.Situation(), ["Show plan"]),
        (State.DENIED, cards.Situation(), ["Show plan"]),
    ],
)
def test_the_headline_offers_what_can_be_done_now(
    state: State, situation: cards.Situation, expected: list[str]
) -> None:
    assert labels(cards.card(an_execution(state=state), NOW, situation)) == expected


def test_consent_carries_the_fingerprint_of_what_was_shown() -> None:
    message = cards.card(an_execution(state=State.AWAITING_APPROVAL), NOW, cards.Situation(approval=an_approval()))
    [row] = [block for block in message.blocks if block["type"] == "actions"]
    values = {element["action_id"]: element["value"] for element in row["elements"]}
    assert values["handrail:approve"] == f"42:{'f' * 16}"
    assert values["handrail:cancel"] == "42"


@given(st.integers(1, 2**53), st.one_of(st.none(), st.just("ab" * 32)))
def test_a_button_value_is_read_as_it_was_written(number: int, fingerprint: str | None) -> None:
    assert blocks.parse_value(blocks.button_value(number, fingerprint)) == (
        number,
        fingerprint[:16] if fingerprint else None,
    )


@pytest.mark.parametrize("value", ["", "x", "-1", "4 2", "²", ":abc", "9" * 40])
def test_a_value_that_is_none_of_ours_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="not the value"):
        blocks.parse_value(value)


def test_the_headline_says_who_what_where_and_how_far() -> None:
    running = an_execution(
        started_at=NOW, steps_total=3, steps_done=1, current="Restart the service", reason="pool exhausted"
    )
    text = json.dumps(cards.card(running, NOW + timedelta(seconds=12)).payload())
    for words in (
        "#42 restart-service nginx settle=5 on web-01",
        "step 2 of 3: Restart the service",
        "12 s so far",
        "asked by <@UBOB>",
        "reason: pool exhausted",
    ):
        assert words in text


def test_the_headline_says_how_long_it_takes_usually_and_that_it_is_late() -> None:
    running = an_execution(started_at=NOW)
    usual = cards.Situation(usual=timedelta(seconds=30))
    said = str(cards.card(running, NOW + timedelta(seconds=42), usual).blocks)
    assert "(42 s so far, usually 30 s)" in said
    assert ":turtle: 3 min so far, usually 30 s" in str(cards.card(running, NOW + timedelta(minutes=3), usual).blocks)
    done = an_execution(state=State.SUCCEEDED, started_at=NOW, ended_at=NOW + timedelta(seconds=42))
    assert "Succeeded* after 42 s, usually 30 s" in str(cards.card(done, NOW, usual).blocks)


def test_the_text_of_a_headline_says_what_its_blocks_say_to_a_screen_reader() -> None:
    running = an_execution(started_at=NOW, steps_total=3, steps_done=1, current="Restart the service")
    said = cards.card(running, NOW + timedelta(seconds=12)).text
    assert said.startswith("#42 restart-service nginx settle=5 on web-01: running, step 2 of 3: Restart the service")
    assert said.endswith("|03:00:00 UTC> (12 s so far)")


def test_a_bar_shows_how_far_it_is_in_colours() -> None:
    assert blocks.bar([("large_blue_square", 1), ("white_large_square", 2)]).count("white_large_square") == 7
    assert blocks.bar([("large_green_square", 299), ("large_red_square", 1)]).count("large_red_square") == 1
    assert blocks.bar([]) == blocks.bar([("large_green_square", 0)]) == ""


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=6).filter(any))
def test_a_bar_has_always_ten_squares_and_leaves_nothing_out(numbers: list[int]) -> None:
    shown = blocks.bar([(f"square_{place}", number) for place, number in enumerate(numbers)])
    assert shown.count(":square_") == blocks.BAR
    assert [place for place, number in enumerate(numbers) if number] == [
        place for place in range(len(numbers)) if f":square_{place}:" in shown
    ]


def test_after_the_end_the_headline_says_what_changed_who_approved_and_gives_the_whole_log() -> None:
    host = HostRun(
        execution_id=42,
        host="web-01",
        position=0,
        state=HostState.SUCCEEDED,
        before={"state": "failed", "main_pid": 812, "triggers": ["a"], "load": "loaded", "at": "2026-11-20 03:00:00"},
        after={"state": "active", "main_pid": 1043, "triggers": [], "load": "loaded", "at": "2026-11-21 03:00:00"},
    )
    approval = an_approval(state=ApprovalState.GIVEN, decided_by="UCAROL", votes=("UCAROL", "UALICE"))
    situation = cards.Situation(hosts=(host,), approval=approval, printed=1_224)
    message = cards.card(an_execution(state=State.SUCCEEDED), NOW, situation)
    said = str(message.blocks)
    assert "Changed: state failed → active, main_pid 812 → 1043, triggers 1 entry → 0 entries'" in said
    assert "asked by <@UBOB> · approved by <@UCAROL> and <@UALICE>" in said
    assert labels(message) == ["Show plan", "Full log"]


@pytest.mark.parametrize(
    ("state", "ending", "line"),
    [
        (State.DENIED, "denied by <@UCAROL>: not now", "denied by <@UCAROL>: not now"),
        (State.CANCELLED, "cancelled by <@UCAROL> (during: Touch)", "cancelled by <@UCAROL> (during: Touch)"),
        (State.REFUSED, "by the cooldown gate: it ran. `x` helps.", "refused by the cooldown gate: it ran. `x` helps."),
        (State.FAILED, "no `unit` there", "failed: no `unit` there"),
        (State.SUCCEEDED, "all is well\nok: disk", "succeeded: all is well ok: disk"),
    ],
)
def test_why_it_ended_goes_on_after_the_word_for_its_state_and_names_people(
    state: State, ending: str, line: str
) -> None:
    execution = an_execution(state=state, ending=ending)
    assert f", {line} (" in blocks.execution_line(execution, NOW)
    again = cards.card(execution, NOW).payload()["blocks"][1]["text"]["text"].lower()
    assert again.count(execution.state.words) == 1, "once, in bold"


def test_a_headline_names_no_parameter_that_was_left_as_the_runbook_has_it() -> None:
    params = {"service": "nginx", "reload": False, "settle": 60}
    assert cards.subject(an_execution(params=params, unsaid=("reload",))) == (
        "#42 restart-service nginx settle=60 on web-01"
    )


def test_what_takes_back_another_says_so_in_its_headline() -> None:
    typed = an_execution(runbook="run-command", params={"command": "echo *a* ~b~ on web-02"}, services=())
    assert cards.subject(typed) == "#42 run-command command=`echo *a* ~b~ on web-02` on web-01"
    closing = an_execution(runbook="run-command", params={"command": "x` on web-02 `", "as": "_y_"}, services=())
    assert cards.subject(closing) == "#42 run-command command=`xˋ on web-02 ˋ` as=`_y_` on web-01"
    long = cards.subject(an_execution(params={"command": "y " * 4_000, "folder": "/var/log/x"}, services=()))
    assert long.count("`") == 2
    assert len(long) < 300
    assert long.endswith(" more characters)` … (1 more) on web-01")
    assert cards.subject(an_execution(rolls_back=41)).startswith("#42 roll back of #41: restart-service nginx")


def test_what_only_reads_has_changed_nothing() -> None:
    host = HostRun(
        execution_id=42,
        host="web-01",
        position=0,
        state=HostState.SUCCEEDED,
        before={"load": "1", "disks": [1]},
        after={"load": "2", "disks": [2]},
    )
    changed = cards.card(an_execution(state=State.SUCCEEDED), NOW, cards.Situation(hosts=(host,)))
    assert "Changed: load 1 → 2" in str(changed.payload())
    assert "disks" not in str(changed.payload()), "one entry before, one after: nothing can be told of it"
    read = cards.card(an_execution(state=State.SUCCEEDED, danger=Danger.READ), NOW, cards.Situation(hosts=(host,)))
    assert "Changed" not in str(read.payload())


def test_the_list_of_runbooks_has_a_title_for_each_category_and_the_names_in_front() -> None:
    shown = blocks.catalog_list(
        [("top", "diagnostics", "Who uses what.", Danger.READ), ("stop", "recovery", "Stop `it`.", Danger.DANGEROUS)]
    )
    said = "\n".join(block["text"]["text"] for block in shown.payload()["blocks"])
    assert said.splitlines() == [
        "*Diagnostics*",
        "• `top` _(only reads)_: Who uses what.",
        "*Recovery*",
        "• `stop` _(dangerous)_: Stop `it`.",
    ]


def test_what_is_being_taken_back_cannot_be_taken_back_again() -> None:
    situation = cards.Situation(undoable=True, way_back=an_execution(id=43))
    message = cards.card(an_execution(state=State.FAILED), NOW, situation)
    assert labels(message) == ["Show plan"]
    assert "being taken back by #43" in str(message.blocks)


def test_three_hundred_hosts_fit_and_those_that_went_wrong_come_first() -> None:
    states = [HostState.SUCCEEDED] * 280 + [HostState.FAILED] * 2 + [HostState.WAITING] * 18
    hosts = tuple(
        HostRun(execution_id=42, host=f"web-{place:03}", position=place, state=state, reason="exit status 1" * 20)
        for place, state in enumerate(states)
    )
    message = cards.card(an_execution(started_at=NOW), NOW, cards.Situation(hosts=hosts))
    rows = [line for block in message.blocks if "text" in block for line in block["text"]["text"].split("\n")]
    first = next(place for place, line in enumerate(rows) if "web-" in line and "failed" in line)
    assert "web-280" in rows[first]
    assert "web-281" in rows[first + 1]
    assert rows[-1] == "… and 5 waiting, 280 succeeded"
    assert len(message.blocks) < 10


def test_a_parameter_without_a_value_is_not_worth_a_word() -> None:
    looking = an_execution(runbook="health-check", params={"service": "nginx", "port": 80, "url": None})
    assert cards.subject(looking) == "#42 health-check nginx port=80 on web-01"


def test_whoever_meets_a_lock_sees_who_holds_it_and_can_free_an_interrupted_one() -> None:
    holder = an_execution(id=41, state=State.INTERRUPTED)
    waiting = cards.Situation(locks=(HostLock(host="web-01", execution_id=41, since=NOW),), holders=(holder,))
    message = cards.card(an_execution(state=State.PENDING, note="web-01 is held by #41"), NOW, waiting)
    assert "web-01 is held by #41 since <!date^" in json.dumps(message.payload())
    assert labels(message) == ["Cancel", "Show plan", "Give up"]


def test_an_ending_says_how_long_it_took_and_what_changed() -> None:
    done = an_execution(
        state=State.SUCCEEDED,
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=12),
        ending="nginx pid 812 -> 1043 on web-01",
    )
    message = cards.ending(ExecutionEnded(execution=done, hosts=(), steps=()))
    assert message.text.endswith("succeeded in 12 s: nginx pid 812 -&gt; 1043 on web-01")


def test_with_several_hosts_an_ending_counts_those_that_are_well() -> None:
    done = an_execution(
        state=State.FAILED, started_at=NOW, ended_at=NOW + timedelta(seconds=12), ending="web-05 failed"
    )
    hosts = tuple(
        HostRun(
            execution_id=42,
            host=f"web-0{number}",
            position=number,
            state=HostState.FAILED if number == 5 else HostState.SUCCEEDED,
        )
        for number in range(1, 6)
    )
    message = cards.ending(ExecutionEnded(execution=done, hosts=hosts, steps=()))
    assert "failed after 12 s (4 of 5 hosts succeeded): web-05 failed" in message.text


def test_a_refusal_says_why_and_when_it_may_work() -> None:
    refused = an_execution(state=State.REFUSED, ending="by the cooldown: it may work in 7 min 12 s.")
    message = cards.ending(ExecutionEnded(execution=refused, hosts=(), steps=(), gate="cooldown"))
    assert message.text.endswith("was refused by the cooldown: it may work in 7 min 12 s.")


def test_a_plan_shows_every_command_and_says_what_cannot_be_undone() -> None:
    plan: dict[str, Any] = {
        "hosts": [
            {
                "host": host,
                "facts": {},
                "steps": [
                    _check("nginx is the one we saw", "systemctl show nginx", "require"),
                    {"kind": "run", "title": "Restart", "command": "systemctl restart nginx", "undo": None},
                ],
            }
            for host in ("web-01", "web-02")
        ],
        "notes": [],
    }
    [message] = cards.plan_messages(an_execution(hosts=("web-01", "web-02")), plan)
    text = json.dumps(message.payload())
    assert "On web-01 and web-02" in text
    assert "systemctl restart nginx" in text
    assert "cannot be undone" in text
    assert "must hold right before the change" in text
    assert text.count("systemctl restart nginx") == 1


def a_call(title: str, method: str = "PUT", **more: Any) -> dict[str, Any]:
    return {"kind": "call", "title": title, "method": method, "url": "https://lb.example.com/web-01", **more}


def test_a_call_that_only_reads_or_can_be_undone_is_not_final() -> None:
    back = a_call("Take it back", "DELETE", secret="lb/token")
    steps = [a_call("Ask", "GET"), a_call("Drain", undo=back), a_call("Tell", "POST")]
    plan: dict[str, Any] = {"hosts": [{"host": "web-01", "facts": {}, "steps": steps}], "notes": []}
    text = json.dumps(cards.plan_messages(an_execution(), plan)[0].payload())
    assert "Cannot be undone: Tell." in text
    assert "Undo: It sends the secret `lb/token`." in text
    asked = ApprovalAsked(
        execution=an_execution(), approval=an_approval(), plan=plan, why="", notify=None, approvers=()
    )
    assert "2 changing steps, 1 of them cannot be undone" in json.dumps(cards.approval_message(asked).payload())


def a_plan_in_waves(**more: Any) -> dict[str, Any]:
    """Two kinds of steps on six hosts."""
    steps = [{"kind": "run", "title": "Reload", "command": "systemctl reload nginx", "undo": None}]
    health = [_check("It answers", "systemctl is-active nginx", "expect")]
    names = [f"web-0{number}" for number in range(1, 7)]
    hosts = [{"host": name, "facts": {}, "steps": steps, "health": health} for name in names]
    waves = [names[:1], names[1:3], names[3:]]
    return {"hosts": hosts, "notes": [], "waves": waves, "pause": 30, "max_failures": 1, **more}


def test_a_plan_says_its_waves_its_budget_its_health_and_what_is_final() -> None:
    [message] = cards.plan_messages(an_execution(), a_plan_in_waves(rollback=True))
    text = json.dumps(message.payload())
    assert (
        "In 3 waves, 30 s apart. 1: web-01 \\u00b7 2: web-02 and web-03 \\u00b7 3: web-04, web-05 and web-06; "
        "more than 1 failed host stops it."
    ) in text
    assert "Cannot be undone: Reload." in text
    assert "what was applied is taken back by itself" in text
    assert text.count("1. It answers*") == 1
    assert "After each wave, on web-01" in text
    asked = ApprovalAsked(
        execution=an_execution(), approval=an_approval(), plan=a_plan_in_waves(), why="", notify=None, approvers=()
    )
    assert "In 3 waves, 30 s apart" in json.dumps(cards.approval_message(asked).payload())


def test_hosts_one_by_one_are_no_waves_to_a_reader() -> None:
    names = [["web-01"], ["web-02"]]
    plan = a_plan_in_waves(waves=names, pause=0, max_failures=0)
    assert cards.waves_lines(plan) == [":ocean: One host after the other, in this order; the first failure stops it."]
    assert cards.waves_lines({**plan, "waves": []}) == []


def test_an_ending_with_some_hosts_well_offers_the_failed_ones_alone() -> None:
    states = [HostState.SUCCEEDED, HostState.SUCCEEDED, HostState.FAILED, HostState.SKIPPED]
    hosts = tuple(
        HostRun(execution_id=42, host=f"web-0{n}", position=n, state=state, wave=1 if n < 1 else 2)
        for n, state in enumerate(states)
    )
    situation = cards.Situation(hosts=hosts, retriable=True, undoable=True)
    message = cards.card(an_execution(state=State.FAILED), NOW, situation)
    assert labels(message)[:3] == ["Retry failed hosts", "Retry", "Roll back"]
    assert "2 of 4 hosts succeeded, wave 2 of 2" in json.dumps(message.payload())
    none = replace(situation, hosts=tuple(replace(host, state=HostState.FAILED) for host in hosts))
    assert labels(cards.card(an_execution(state=State.FAILED), NOW, none))[:2] == ["Retry", "Roll back"]


def test_what_the_rows_of_the_hosts_say_is_not_said_twice() -> None:
    hosts = tuple(
        HostRun(execution_id=42, host=f"web-0{n}", position=n, state=state, reason=reason)
        for n, (state, reason) in enumerate(
            [(HostState.SUCCEEDED, None), (HostState.FAILED, "It is active: got failed")]
        )
    )
    ending = "1 of 2 hosts succeeded. web-01: It is active: got failed"
    said = str(cards.card(an_execution(state=State.FAILED, ending=ending), NOW, cards.Situation(hosts=hosts)).blocks)
    assert said.count("1 of 2 hosts succeeded") == 1
    assert said.count("got failed") == 1
    stopped = f"{ending}; the kill switch (global) was engaged"
    said = str(
        cards.card(an_execution(state=State.CANCELLED, ending=stopped), NOW, cards.Situation(hosts=hosts)).blocks
    )
    assert "the kill switch (global) was engaged" in said


def test_a_wave_says_how_it_went_and_what_follows() -> None:
    wave = WaveEnded(execution=an_execution(), number=2, of=3, hosts=("web-02", "web-03"), succeeded=2, pause=30)
    assert cards.wave_message(wave).text.endswith("Wave 2 of 3: 2 of 2 hosts succeeded. The next begins in 30 s")
    assert cards.wave_message(replace(wave, succeeded=1, pause=0)).text.endswith("1 of 2 hosts succeeded")


def test_a_command_of_four_thousand_characters_is_shown_whole_in_the_plan_and_cut_in_the_approval() -> None:
    command = "echo " + "x" * 4_000 + " the end"
    plan = {
        "hosts": [{"host": "web-01", "facts": {}, "steps": [{"kind": "run", "title": "Say", "command": command}]}],
        "notes": [],
    }
    shown = "".join(str(message.blocks) for message in cards.plan_messages(an_execution(), plan))
    asked = cards.approval_message(
        ApprovalAsked(
            execution=an_execution(),
            approval=an_approval(),
            plan=plan,
            why="it is dangerous",
            notify=None,
            approvers=(),
        )
    )
    assert shown.count("x") >= 4_000
    assert "the end" in shown
    assert "more characters" in str(asked.blocks)
    assert "the whole plan is in this thread" in str(asked.blocks)


def test_an_approval_names_those_who_may_and_until_when() -> None:
    asked = cards.approval_message(
        ApprovalAsked(
            execution=an_execution(),
            approval=an_approval(),
            plan={"hosts": [], "notes": []},
            why="restart-service is dangerous",
            notify="S0ONCALL",
            approvers=("UCAROL",),
        )
    )
    text = json.dumps(asked.payload())
    assert "<!subteam^S0ONCALL>, <@UCAROL>" in text
    assert "|2026-11-21 03:15 UTC>" in text
    assert labels(asked) == ["Approve", "Deny", "Cancel", "Show plan"]


@pytest.mark.parametrize("state", [s for s in ApprovalState if s is not ApprovalState.WAITING])
def test_a_decided_approval_has_no_buttons(state: ApprovalState) -> None:
    message = cards.decided(an_execution(), an_approval(state=state, decided_by="UCAROL"))
    assert labels(message) == []
    assert "Approval" in message.text


def test_the_newest_lines_are_the_ones_that_are_shown() -> None:
    lines = [f"line {number}" for number in range(1_000)]
    block, shown = blocks.newest(lines)
    assert block.rstrip("`\n").endswith("line 999")
    assert "line 0\n" not in block
    assert 0 < shown < 1_000


def test_what_a_check_prints_each_time_it_asks_stands_once() -> None:
    step = StepRun(
        execution_id=42, host="web-01", step="3", attempt=1, title="It stays up", state=StepState.SUCCEEDED,
        started_at=NOW, lines=8,
    )  # fmt: skip
    tail = [
        OutputLine(host="web-01", step="3", attempt=1, seq=n, stream="stdout", text=text, at=NOW)
        for n, text in enumerate(["activating", "active", "active", "active", "active", "active"], 3)
    ]
    said = json.dumps(cards.step_message(cards.StepNews(execution=an_execution(), step=step, tail=tail)).payload())
    assert said.count("active") == 1
    assert "activating\\nactive  (5 times)\\n" in said
    assert "2 lines above" in said, "the six that are told of are not counted again"


def test_an_audit_entry_reads_as_words_and_not_as_what_a_program_keeps() -> None:
    verdicts = [
        {"gate": "permission", "outcome": "allow", "reason": "NOC", "rule": "roles:UBOB", "until": None},
        {"gate": "cooldown", "outcome": "refuse", "reason": "It ran.", "rule": None, "until": None},
    ]

    def line(**data: Any) -> str:
        entry = AuditEntry(
            seq=7, at=NOW, kind="decision.allow", actor="UBOB", origin="command", execution_id=42, data=data,
            previous="0" * 64, hash="f" * 64,
        )  # fmt: skip
        return str(blocks.audit_lines([entry]).payload()["blocks"][0]["text"]["text"])

    said = line(request="9" * 32, dry_run=False, emergency=True, hosts=["web-01", "web-02"], fingerprint="ab" * 32)
    assert "#42 emergency: yes; hosts: web-01, web-02; fingerprint: abababababababab `a-" in said
    assert "params: service=nginx, settle=5 `a-" in line(params={"service": "nginx", "settle": 5, "port": None})
    assert "entries: 0 `a-" in line(entries=0), "none is a number, too"
    assert "verdicts: cooldown says refuse (It ran.) `a-" in line(verdicts=verdicts)
    assert "verdicts: 1 gate allowed it `a-" in line(verdicts=verdicts[:1])


def test_output_cannot_close_its_code_block_or_ping_anybody() -> None:
    block, _ = blocks.newest(["``` <!channel> ```", "````"])
    assert block.count("```") == 2
    assert "<!" not in block


def test_a_repeated_message_says_so_in_text_and_blocks() -> None:
    again = cards.repeated(blocks.plain("hello").payload(user="UBOB"))
    assert again["text"] == "*(repeated)* hello"
    assert "(repeated)" in str(again["blocks"][-1])
    assert again["user"] == "UBOB"
    assert check_blocks(again["blocks"], surface=Surface.MESSAGE) == []
