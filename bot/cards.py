"""What a channel and its threads show of executions, kill switches and breakers. Pure: records in, messages out.

In the order a reader meets them: the headline (`card`), the plan, the approval, the steps, the ending; then what goes
to the alerts channel. Buttons stand where they can be pressed now, and only there.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from bot.blocks import (
    EMOJI,
    LABELS,
    LONGEST_SECTION,
    MOST_TEXT,
    Block,
    Message,
    actions,
    bar,
    channel_link,
    clock_time,
    code,
    code_blocks,
    context,
    counted,
    inline,
    listed,
    mention,
    message,
    moment,
    newest,
    ours,
    paragraphs,
    release_button,
    said_why,
    section,
    told,
    units,
    who,
    why_alone,
)
from runbooks.progress import (
    ApprovalAsked,
    ApprovalReminded,
    BreakerMoved,
    EmergencyUsed,
    ExecutionEnded,
    ExecutionInterrupted,
    LimitRefuses,
    SwitchEngaged,
    SwitchReleased,
    SwitchStopped,
    WaveEnded,
)
from safety.clock import words as duration
from storage.records import (
    TRANSPORT,
    Approval,
    ApprovalState,
    BreakerState,
    Consent,
    Execution,
    HostLock,
    HostRun,
    HostState,
    KillSwitch,
    OutputLine,
    Phase,
    State,
    StepRun,
    StepState,
)

HOSTS_SHOWN = 15
HOSTS_ON_A_PAGE = 25
WAVES_SHOWN = 8
PLAN_MESSAGES = 8
BLOCKS_OF_A_PLAN = 40
STEPS_IN_AN_APPROVAL = 10

STEP_EMOJI = {
    StepState.STARTED: ":large_blue_circle:",
    StepState.SUCCEEDED: ":white_check_mark:",
    StepState.FAILED: ":x:",
    StepState.TIMED_OUT: ":alarm_clock:",
    StepState.STOPPED: ":octagonal_sign:",
    StepState.SKIPPED: ":fast_forward:",
    StepState.INTERRUPTED: ":warning:",
}
HOST_EMOJI = {
    HostState.WAITING: ":hourglass_flowing_sand:",
    HostState.RUNNING: ":large_blue_circle:",
    HostState.SUCCEEDED: ":white_check_mark:",
    HostState.FAILED: ":x:",
    HostState.TIMED_OUT: ":alarm_clock:",
    HostState.CANCELLED: ":octagonal_sign:",
    HostState.INTERRUPTED: ":warning:",
    HostState.SKIPPED: ":fast_forward:",
}
# Colours of a bar: over hosts, and of the steps of one host.
_SQUARES = {
    HostState.SUCCEEDED: "large_green_square",
    HostState.FAILED: "large_red_square",
    HostState.TIMED_OUT: "large_red_square",
    HostState.CANCELLED: "large_orange_square",
    HostState.INTERRUPTED: "large_orange_square",
    HostState.RUNNING: "large_blue_square",
}
_TO_COME = "white_large_square"
# What a reader looks for first stands first when there are more hosts than lines.
_URGENCY = (
    HostState.INTERRUPTED,
    HostState.FAILED,
    HostState.TIMED_OUT,
    HostState.CANCELLED,
    HostState.RUNNING,
    HostState.WAITING,
    HostState.SKIPPED,
    HostState.SUCCEEDED,
)


# --- the headline -----------------------------------------------------------------------------------------------------


LONGEST_PATTERN = 40
_NOT_BEGUN = {HostState.WAITING, HostState.SKIPPED}


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What the headline needs beyond the execution itself; what isn't known is left at its default."""

    hosts: tuple[HostRun, ...] = ()
    approval: Approval | None = None
    locks: tuple[HostLock, ...] = ()
    holders: tuple[Execution, ...] = ()
    resumable: bool = False
    undoable: bool = False
    retriable: bool = False
    way_back: Execution | None = None  # what takes it back at this moment
    usual: timedelta | None = None  # how long the same took before
    printed: int = 0  # lines of output that the full log has


NOTHING_MORE = Situation()


def subject(execution: Execution, most: int = 240) -> str:
    """ "#42 restart-service nginx on web-01", escaped: a service bare, what else was given a value with its name.

    What was left as the runbook has it is not named: the plan shows what comes of it. A value of several words stands
    as code, so that "on web-02" within it is not taken for the host.
    """
    left = {*execution.unsaid}
    given = {key: value for key, value in execution.params.items() if value is not None and key not in left}
    bare = [value for value in given.values() if _is_service(value, execution)]
    named = {key: _short(value) for key, value in given.items() if not _is_service(value, execution)}
    words = inline(" ".join([execution.runbook, *map(str, bare)]), most)
    for number, (key, text) in enumerate(named.items()):
        name, room = inline(key, 60), most - units(words) - units(key) - 4
        if room < LEAST_OF_A_VALUE:
            words += f" … ({len(named) - number} more)"
            break
        words += f" {name}={_value(text, room)}"
    where = f" on {listed(execution.hosts)}" if execution.hosts else ""
    kind = "dry run of " if execution.dry_run else ""
    back = f"roll back of #{execution.rolls_back}: " if execution.rolls_back is not None else ""
    return f"#{execution.id} {back}{kind}{words}{where}"


def card(execution: Execution, now: datetime, situation: Situation = NOTHING_MORE) -> Message:
    """The headline, as it stands now: who, what, where, state, progress, times, and what can be done."""
    state = _state_words(execution, situation)
    why = said_why(execution)
    text = f"{subject(execution)}: {state}{_progress(execution)}{_times(execution, now, situation)}{why}"
    return message(
        text,
        [
            section(f"{EMOJI[execution.state]} *{subject(execution)}*"),
            section("\n".join(_details(execution, state, situation, now))),
            *_host_rows(_begun(execution, situation.hosts)),
            *_changes(execution, situation.hosts),
            *actions(execution.id, _verbs(execution, situation), fingerprint=execution.fingerprint),
            *_holder_buttons(situation),
            context(_asked(execution, situation.approval)),
        ],
    )


def _is_service(value: Any, execution: Execution) -> bool:
    return isinstance(value, str) and (
        value in execution.services or value.removesuffix(".service") in execution.services
    )


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


LEAST_OF_A_VALUE = 45
_ONE_WORD = re.compile(r"[\w./:@,+%=?&-]*[^\W_]")


def _value(text: str, room: int) -> str:
    return inline(text, room) if _ONE_WORD.fullmatch(text) else f"`{inline(text, room)}`"


def _state_words(execution: Execution, situation: Situation) -> str:
    match execution.state:
        case State.PENDING if execution.phase is Phase.PLAN and (execution.owner is not None or not execution.note):
            return "planning" if execution.stage == 1 else f"planning stage {execution.stage}"
        case State.PENDING:
            return "waiting" if execution.note else "about to run"
        case State.AWAITING_APPROVAL:
            confirm = situation.approval is not None and situation.approval.kind is Consent.CONFIRM
            return "waiting for your confirmation" if confirm else "waiting for approval"
        case _:
            return execution.state_words


def _details(execution: Execution, state: str, situation: Situation, now: datetime) -> Iterator[str]:
    yield f"*{state[:1].upper()}{state[1:]}*{_progress(execution)}{_times(execution, now, situation)}"
    if execution.started_at is not None and (shown := _bar(execution, situation.hosts)):
        yield shown
    counts = hosts_words(situation.hosts) if len(_begun(execution, situation.hosts)) > 1 else ""
    if counts:
        yield ", ".join(filter(None, (counts, _wave_words(situation.hosts))))
    if counts and execution.state is State.FAILED and (execution.ending or "").startswith(counts):
        pass  # what else the ending says, the rows of the hosts say below
    elif execution.ending:
        yield why_alone(execution, 600)
    elif execution.note:
        yield told(execution.note, 400)
    yield from lock_lines(situation.locks, situation.holders)
    if situation.approval is not None and execution.state is State.AWAITING_APPROVAL:
        given = given_so_far(situation.approval, ())
        others = "" if situation.approval.kind is Consent.CONFIRM else ". Its thread names those who may approve."
        yield f"{f'{given}. ' if given else ''}Good until {moment(situation.approval.expires_at)}{others}"
    if execution.cancel_at is not None and execution.state in {State.PENDING, State.AWAITING_APPROVAL, State.RUNNING}:
        yield f":octagonal_sign: being cancelled ({inline(execution.cancel_reason or 'asked to stop')})"
    if situation.way_back is not None:
        yield f":leftwards_arrow_with_hook: being taken back by #{situation.way_back.id}"


def _bar(execution: Execution, hosts: Sequence[HostRun]) -> str:
    """How far it is, in colours: over its hosts, or over the steps where there is one host."""
    if len(hosts) > 1:
        counts = dict.fromkeys(dict.fromkeys((*_SQUARES.values(), _TO_COME)), 0)
        for host in hosts:
            counts[_SQUARES.get(host.state, _TO_COME)] += 1
        return bar(list(counts.items()))
    if execution.steps_total < 2 or (execution.state.is_final and execution.state is not State.SUCCEEDED):
        return ""
    if execution.state is State.SUCCEEDED:
        return bar([("large_green_square", execution.steps_total)])
    done = min(execution.steps_done, execution.steps_total)
    return bar([("large_blue_square", done), (_TO_COME, execution.steps_total - done)])


def _progress(execution: Execution) -> str:
    if execution.state is not State.RUNNING or not execution.steps_total:
        return ""
    number = min(execution.steps_done + 1, execution.steps_total)
    current = f": {inline(execution.current)}" if execution.current else ""
    return f", step {number} of {execution.steps_total}{current}"


LATE = 1.5
"""So many times as long as usual is worth a word."""


def _times(execution: Execution, now: datetime, situation: Situation) -> str:
    took = took_words(execution)
    usual = situation.usual.total_seconds() if situation.usual is not None else None
    if took:
        return f" after {took}{f', usually {duration(usual)}' if usual is not None else ''}"
    if execution.started_at is None:
        return ""
    seconds = (now - execution.started_at).total_seconds()
    so_far = f"{duration(seconds)} so far"
    if usual is not None:
        slow = ":turtle: " if seconds > usual * LATE + 5 else ""
        so_far = f"{slow}{so_far}, usually {duration(usual)}"
    return f", since {clock_time(execution.started_at)} ({so_far})"


def took_words(execution: Execution) -> str:
    """How long it ran ("12 s"); empty if it never started or hasn't ended."""
    if execution.started_at is None or execution.ended_at is None:
        return ""
    return duration((execution.ended_at - execution.started_at).total_seconds())


def lock_lines(locks: Sequence[HostLock], holders: Sequence[Execution]) -> list[str]:
    """Which hosts are held, by which execution, since when; at most five lines."""
    known = {holder.id: holder for holder in holders}
    lines = [_lock_line(lock, known.get(lock.execution_id)) for lock in locks[:5]]
    return lines + ([f"… and {counted(len(locks) - 5, 'more host')}"] if len(locks) > 5 else [])


def _lock_line(lock: HostLock, holder: Execution | None) -> str:
    held = f":lock: {inline(lock.host, 100)} is held by #{lock.execution_id} since {moment(lock.since, seconds=True)}"
    if holder is None:
        return held
    return f"{held} ({inline(holder.runbook, 100)}, {holder.state.words}, asked by {who(holder.actor)})"


def hosts_words(hosts: Sequence[HostRun]) -> str:
    """ "4 of 5 hosts succeeded"."""
    good = sum(1 for host in hosts if host.state is HostState.SUCCEEDED)
    return f"{good} of {counted(len(hosts), 'host')} succeeded"


def _wave_words(hosts: Sequence[HostRun]) -> str:
    """ "wave 2 of 3"; empty where one host follows the other, or nothing has begun."""
    waves = {host.wave for host in hosts if host.wave is not None}
    begun = [host.wave for host in hosts if host.wave is not None and host.state not in _NOT_BEGUN]
    return f"wave {max(begun)} of {len(waves)}" if begun and 1 < len(waves) < len(hosts) else ""


def _begun(execution: Execution, hosts: Sequence[HostRun]) -> Sequence[HostRun]:
    """The hosts, once there is something to say of one: before an execution starts, all of them only wait."""
    waits = execution.started_at is None and all(host.state is HostState.WAITING for host in hosts)
    return () if waits else hosts


def _host_rows(hosts: Sequence[HostRun]) -> list[Block]:
    if len(hosts) < 2:
        return []
    ordered = sorted(hosts, key=lambda host: (_URGENCY.index(host.state), host.position))
    lines = [_host_line(host) for host in ordered[:HOSTS_SHOWN]]
    hidden = ordered[HOSTS_SHOWN:]
    if hidden:
        states = {state: sum(1 for host in hidden if host.state is state) for state in _URGENCY}
        lines.append("… and " + ", ".join(f"{number} {state.value}" for state, number in states.items() if number))
    return paragraphs(lines)


def host_page(execution: Execution, hosts: Sequence[HostRun], first: int) -> Message:
    """The hosts of one execution from the `first` on (counted from 1), the most urgent first."""
    ordered = sorted(hosts, key=lambda host: (_URGENCY.index(host.state), host.position))
    shown = ordered[first - 1 : first - 1 + HOSTS_ON_A_PAGE]
    head, lines = f"{subject(execution)}: {execution.state_words}", [f"• {inline(host.host, 100)}" for host in shown]
    if _begun(execution, hosts):
        head, lines = f"{head}, {hosts_words(hosts)}", [_host_line(host) for host in shown]
    return message(head, [section(f"{EMOJI[execution.state]} *{head}*"), *paragraphs(lines)])


def _host_line(host: HostRun) -> str:
    said = host.reason or host.outcome
    detail = f": {inline(said, 150)}" if said else ""
    return f"{HOST_EMOJI[host.state]} {inline(host.host, 100)} {host.state.value.replace('_', ' ')}{detail}"


def _verbs(execution: Execution, situation: Situation) -> list[str]:
    rest = (["plan"] if execution.fingerprint else []) + (["log"] if situation.printed else [])
    undo = ["rollback"] if situation.undoable and situation.way_back is None else []
    match execution.state:
        case State.AWAITING_APPROVAL:
            confirm = situation.approval is not None and situation.approval.kind is Consent.CONFIRM
            return (["confirm"] if confirm else ["approve", "deny"]) + ["cancel", *rest]
        case State.PENDING | State.RUNNING:
            return [*(["cancel"] if execution.cancel_at is None else []), *rest]
        case State.INTERRUPTED if situation.way_back is not None:
            return rest
        case State.INTERRUPTED:
            return [*_ways_on(resumable=situation.resumable), *rest]
        case State.SUCCEEDED if execution.dry_run:
            return ["runit", *rest]
        case _:
            return [*_again(execution, situation), *undo, *rest]


def _again(execution: Execution, situation: Situation) -> list[str]:
    """The whole once more, or only the hosts without success where some have succeeded; a rollback is of those."""
    if not situation.retriable:
        return []
    if execution.rolls_back is not None:
        return ["retry"]
    good = sum(1 for host in situation.hosts if host.state is HostState.SUCCEEDED)
    return ["retryfailed", "retry"] if 0 < good < len(situation.hosts) else ["retry"]


def _ways_on(*, resumable: bool) -> list[str]:
    """After an interruption. *Roll back* always stands: what can't be undone is answered with why."""
    return [*(["resume"] if resumable else []), "rollback", "giveup"]


def _holder_buttons(situation: Situation) -> list[Block]:
    """An interrupted execution keeps its hosts: whoever waits for them can see to it here."""
    for holder in situation.holders:
        if holder.state is State.INTERRUPTED:
            words = f"#{holder.id} was interrupted and keeps its hosts until somebody decides:"
            return [section(words), *actions(holder.id, ["giveup"], place="holder")]
    return []


_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}")
CHANGES_SHOWN = 6
HOSTS_WITH_CHANGES = 5


def _changes(execution: Execution, hosts: Sequence[HostRun]) -> list[Block]:
    """What is different from before, fact by fact; for at most five hosts."""
    if not execution.state.is_final or not execution.danger.changes_hosts:
        return []
    changed = [(host.host, _differences(host)) for host in hosts]
    told = [(name, words) for name, words in changed if words][:HOSTS_WITH_CHANGES]
    several = len(hosts) > 1
    return [context(f"Changed{f' on {inline(name, 100)}' if several else ''}: {words}") for name, words in told]


def _differences(host: HostRun) -> str:
    """ "main_pid 812 → 1043, state failed → active"; empty where nothing is known to have changed."""
    if host.before is None or host.after is None:
        return ""
    before, after = host.before, host.after
    names = [name for name in after if name in before and before[name] != after[name]]
    # That a time is a later one now says nothing that the change itself does not.
    names = [name for name in names if not (_is_time(before[name]) and _is_time(after[name]))]
    # Of lists and tables only the sizes are told: two of a size look the same.
    names = [name for name in names if _fact(before[name]) != _fact(after[name])]
    shown = [f"{inline(name, 40)} {_fact(before[name])} → {_fact(after[name])}" for name in names[:CHANGES_SHOWN]]
    more = [f"{len(names) - CHANGES_SHOWN} more"] if len(names) > CHANGES_SHOWN else []
    return ", ".join([*shown, *more])


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and _TIME.search(value) is not None


def _fact(value: Any) -> str:
    """A fact in a word: a list or table by how much there is of it."""
    if isinstance(value, list | tuple | dict):
        return counted(len(value), "entry").replace("entrys", "entries")
    if value is None or value == "":
        return "none"
    return inline(_short(value), 60)


def _asked(execution: Execution, approval: Approval | None) -> str:
    parts = [f"asked by {who(execution.actor)}"]
    if approval is not None and approval.state is ApprovalState.GIVEN:
        names = approval.votes or tuple(filter(None, [approval.decided_by]))
        verb = "confirmed" if approval.kind is Consent.CONFIRM else "approved"
        parts.append(f"{verb} by {' and '.join(map(_named, names[:5]))}")
    if execution.reason:
        parts.append(f"reason: {inline(execution.reason)}")
    if execution.emergency_at is not None:
        parts.append(":rotating_light: emergency: engaged kill switches are overridden")
    if execution.retry_of is not None:
        parts.append(f"continues #{execution.retry_of}")
    return " · ".join(parts)


# --- the plan ---------------------------------------------------------------------------------------------------------


def plan_messages(execution: Execution, plan: Mapping[str, Any]) -> list[Message]:
    """The whole plan: hosts with the same steps together, every command in full up to 10,000 characters.

    At most eight messages; what doesn't fit is counted in the last one.
    """
    stage = next((part["stage"] for part in plan["hosts"] if "stage" in part), 0)
    title = f"{f'Stage {stage}' if stage else 'Plan'} of {subject(execution)}"
    messages: list[list[Block]] = [[section(f":clipboard: *{title}*")]]
    left_out = 0
    for block in plan_blocks(plan):
        if left_out:
            left_out += 1
            continue
        if len(messages[-1]) >= BLOCKS_OF_A_PLAN or sum(map(_text_of, [*messages[-1], block])) > MOST_TEXT - 500:
            if len(messages) == PLAN_MESSAGES:
                left_out += 1
                continue
            messages.append([])
        messages[-1].append(block)
    if left_out:
        messages[-1].append(context(f"_{counted(left_out, 'more part')} of the plan not shown here._"))
    else:
        messages[-1].append(context(_plan_footer(execution, plan)))
    return [
        message(_plan_text(title, plan, number, len(messages)), blocks) for number, blocks in enumerate(messages, 1)
    ]


def plan_blocks(plan: Mapping[str, Any]) -> Iterator[Block]:
    for note in plan.get("notes", ()):
        yield context(inline(note, 1_000))
    for line in [*waves_lines(plan), *_final_lines(plan)]:
        yield section(line)
    for hosts, steps in grouped(plan):
        yield section(f"*On {listed(hosts, 20)}*")
        later = _later_stages(plan, hosts[0])
        for number, step in numbered_json(steps):
            stage = later.pop(number.partition(".")[0], None)
            if stage is not None:
                yield context(f"*Stage {stage}*, planned once the steps above had run")
            yield from _step_blocks(number, step)
        if not steps:
            yield context("Nothing to do.")
    for hosts, checks in grouped(plan, "health"):
        if checks:
            yield section(f"*After each wave, on {listed(hosts, 20)}*")
            for number, step in numbered_json(checks):
                yield from _step_blocks(number, step)


def waves_lines(plan: Mapping[str, Any]) -> list[str]:
    """How it goes over several hosts, and when it stops; nothing for a single host, or where all are only read."""
    waves, most = plan.get("waves", ()), plan.get("max_failures", 0)
    lines = []
    if waves:
        pause = f", {duration(float(plan['pause']))} apart" if plan.get("pause") else ""
        if all(len(wave) == 1 for wave in waves):
            how = f"One host after the other{pause}, in this order"
        else:
            named = [f"{number}: {listed(wave, 10)}" for number, wave in enumerate(waves[:WAVES_SHOWN], 1)]
            named += [f"… and {counted(len(waves) - WAVES_SHOWN, 'more wave')}"] if len(waves) > WAVES_SHOWN else []
            how = f"In {counted(len(waves), 'wave')}{pause}. {' · '.join(named)}"
        budget = "the first failure" if not most else f"more than {counted(most, 'failed host')}"
        stop = "a host that fails does not stop the others" if most >= len(plan["hosts"]) else f"{budget} stops it"
        lines.append(f":ocean: {how}; {stop}.")
    if plan.get("rollback"):
        lines.append(":leftwards_arrow_with_hook: If it fails, what was applied is taken back by itself.")
    return lines


def _final_lines(plan: Mapping[str, Any]) -> list[str]:
    """Said beforehand: what can't be taken back."""
    steps = [step for part in plan["hosts"] for _, step in numbered_json(part["steps"])]
    titles = dict.fromkeys(inline(step["title"], 100) for step in steps if _is_final(step))
    return [f":warning: Cannot be undone: {'; '.join(list(titles)[:10])}{'; …' if len(titles) > 10 else ''}."] * bool(
        titles
    )


def _is_final(step: Mapping[str, Any]) -> bool:
    """Whether it changes something for good. A request that reads changes nothing."""
    return _is_changing(step) and not step.get("undo")


def _is_changing(step: Mapping[str, Any]) -> bool:
    return step["kind"] == "run" or (step["kind"] == "call" and step["method"] not in {"GET", "HEAD"})


def _later_stages(plan: Mapping[str, Any], host: str) -> dict[str, int]:
    """Where the stages of a whole plan begin after the first: the place of the step, and the stage's number."""
    later = next((part.get("later", ()) for part in plan["hosts"] if part["host"] == host), ())
    return {str(one["first"]): number for number, one in enumerate(later, 2)}


def grouped(plan: Mapping[str, Any], what: str = "steps") -> list[tuple[list[str], Sequence[Mapping[str, Any]]]]:
    """Hosts that get exactly the same steps (or health checks), together, in the order of the plan."""
    groups: dict[str, tuple[list[str], Sequence[Mapping[str, Any]]]] = {}
    for part in plan["hosts"]:
        steps = part.get(what, [])
        key = json.dumps(steps, sort_keys=True, default=str)
        groups.setdefault(key, ([], steps))[0].append(str(part["host"]))
    return list(groups.values())


def numbered_json(steps: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every single step of a plan's JSON with its place: "1", "2", "3.1"."""
    for place, step in enumerate(steps, 1):
        place = step.get("place", place)  # of a further stage, whose steps go on counting
        if step["kind"] == "parallel":
            for inner, single in enumerate(step["steps"], 1):
                yield f"{place}.{inner}", single
        else:
            yield str(place), step


def _step_blocks(number: str, step: Mapping[str, Any]) -> list[Block]:
    blocks = [section(f"*{number}. {inline(step['title'])}*{_step_notes(step)}")]
    command = step_command(step)
    blocks += [section(block) for block in (code_blocks(command) if command else [])]
    undo = step.get("undo")
    if undo:
        gets = f" It {_secret_note(undo)}." if undo.get("secret") else ""
        blocks += [section(f"Undo:{gets}"), *(section(block) for block in code_blocks(step_command(undo)))]
    return blocks


def step_command(step: Mapping[str, Any]) -> str:
    """What a step does, as text: its shell command, or its HTTP request; empty for a pause."""
    if step["kind"] == "call":
        body = step.get("body")
        lines = [f"{step['method']} {step['url']}", *(f"{k}: {v}" for k, v in step.get("headers", {}).items())]
        return "\n".join([*lines, *([_short(body)] if body is not None else [])])
    return str(step.get("command", ""))


def _step_notes(step: Mapping[str, Any]) -> str:
    match step["kind"]:
        case "run":
            notes = ["can be undone" if step.get("undo") else "*cannot be undone*"]
            notes += ["may be run twice"] if step.get("idempotent") else []
            notes += [f"not if: {inline(step['unless']['title'], 100)}"] if step.get("unless") else []
            notes += [_secret_note(step)] if step.get("secret") else []
        case "require":
            notes = ["required: must hold right before the change", *_expected(step)]
        case "expect":
            notes = ["checked", *_expected(step)]
            notes += [f"for {duration(float(step['settle']))}"] if step.get("settle") else []
        case "call":
            notes = ["HTTP request"]
            notes += ["can be undone" if step.get("undo") else "*cannot be undone*"] if _is_changing(step) else []
            notes += [_secret_note(step)] if step.get("secret") else []
        case "wait":
            notes = [f"waits {duration(float(step['seconds']))}"]
        case _:
            notes = []
    return f"\n{', '.join(notes)}" if notes else ""


def _secret_note(step: Mapping[str, Any]) -> str:
    name = inline(step["secret"], 200)
    return f"sends the secret `{name}`" if step["kind"] == "call" else f"gets the secret `{name}` on its input"


def _expected(step: Mapping[str, Any]) -> list[str]:
    if step.get("output") is not None:
        return [f"prints `{inline(step['output'], 200)}`"]
    if step.get("pattern") is not None:
        pattern = str(
            step["pattern"]
        )  # a long one says nothing to a reader; the title does, and the audit has it whole
        return (
            [f"prints what matches `{inline(pattern)}`"] if len(pattern) <= LONGEST_PATTERN else ["by what it prints"]
        )
    exits = step.get("allow_exit") or [0]
    return [f"exit status {' or '.join(str(status) for status in exits)}"]


def _plan_footer(execution: Execution, plan: Mapping[str, Any]) -> str:
    steps = sum(1 for part in plan["hosts"] for _ in numbered_json(part["steps"]))
    # The whole plan has a fingerprint for each of its stages; this is the newest one's.
    of = f" of stage {execution.stage}" if execution.stage > 1 else ""
    bound = f" · fingerprint{of} `{inline(execution.fingerprint[:16])}`" if execution.fingerprint else ""
    more = " · what follows is planned once these have run" if any(part.get("then") for part in plan["hosts"]) else ""
    return f"{counted(steps, 'step')} on {counted(len(plan['hosts']), 'host')}{bound}{more}"


def _plan_text(title: str, plan: Mapping[str, Any], number: int, of: int) -> str:
    part = f" ({number} of {of})" if of > 1 else ""
    titles = [
        f"{place}. {inline(step['title'], 100)}"
        for _, steps in grouped(plan)[:1]
        for place, step in list(numbered_json(steps))[:20]
    ]
    return "\n".join([f"{title}{part}", *titles])


def _text_of(block: Block) -> int:
    if block["type"] == "context":
        return sum(units(element["text"]) for element in block["elements"])
    return units(block["text"]["text"]) if "text" in block else 0


# --- consent ----------------------------------------------------------------------------------------------------------


def approval_message(asked: ApprovalAsked, missing: Sequence[str] = ()) -> Message:
    """Who asks, what exactly would run where, why consent is needed, until when, who may give it, and how it went last.

    `missing` is what is still to be given once somebody said yes and it was not enough.
    """
    execution, approval = asked.execution, asked.approval
    confirm = approval.kind is Consent.CONFIRM
    stage = f" of its stage {execution.stage}" if execution.stage > 1 else ""
    head = f"needs your confirmation{stage}" if confirm else f"needs an approval{stage}"
    verbs = ["confirm"] if confirm else ["approve", "deny"]
    given = given_so_far(approval, missing)
    lines = [
        f":raised_hand: *{subject(execution)}* {head}",
        f"{who(execution.actor)} asks. {inline(asked.why, 600)}",
        *([f"Reason: {inline(execution.reason)}"] if execution.reason else []),
        f"Until {moment(approval.expires_at)}. {_who_may(asked, confirm=confirm)}",
        *([f"*{given}*"] if given else []),
        _blast(execution, asked.plan),
        *waves_lines(asked.plan),
    ]
    return message(
        f"{subject(execution)} {head}: {given or inline(asked.why)}",
        [
            section("\n".join(lines)),
            *_what_would_run(asked.plan),
            *([context("\n".join(_last(asked)))] if not confirm or asked.last else []),
            *actions(execution.id, [*verbs, "cancel", "plan"], fingerprint=approval.fingerprint),
        ],
    )


def given_so_far(approval: Approval, missing: Sequence[str] = ()) -> str:
    """ "1 of 2 given by @carol; still needed: 1 of @dba"."""
    if not approval.votes:
        return ""
    names = " and ".join(_named(person) for person in approval.votes)
    count = f"{len(approval.votes)} of {approval.quorum} given by {names}"
    return f"{count}; still needed: {_needs(missing)}" if missing else count


def _named(person: str) -> str:
    return mention(person) or inline(person, 80)


def _needs(needs: Sequence[str]) -> str:
    """What is asked for, its groups as Slack shows them."""
    return " and ".join(
        re.sub(r"\bS[A-Z0-9]{1,20}\b", lambda found: mention(found[0]), inline(need, 80)) for need in needs
    )


def _blast(execution: Execution, plan: Mapping[str, Any]) -> str:
    """How much it touches: hosts, services, changing steps and those that can't be taken back."""
    steps = [step for part in plan["hosts"] for _, step in numbered_json(part["steps"])]
    changing = [step for step in steps if _is_changing(step)]
    final = sum(1 for step in changing if _is_final(step))
    services = f", services {listed(execution.services)}" if execution.services else ""
    where = f"{counted(len(execution.hosts), 'host')} ({listed(execution.hosts)}){services}"
    return f"Blast radius: {where}; {counted(len(changing), 'changing step')}, {final} of them cannot be undone."


def _last(asked: ApprovalAsked) -> list[str]:
    """How this runbook went on these hosts lately."""
    if not asked.last:
        return [f"{inline(asked.execution.runbook, 100)} has not run on {listed(asked.execution.hosts)} before."]
    return ["Last results here:", *(_result(execution) for execution in asked.last)]


def _result(execution: Execution) -> str:
    when = f", {moment(execution.ended_at)}" if execution.ended_at is not None else ""
    why = f" ({inline(execution.ending, 150)})" if execution.ending else ""
    how = f"#{execution.id} on {listed(execution.hosts)} {execution.state_words}{why}{when}"
    return f"{EMOJI[execution.state]} {how}, by {who(execution.actor)}"


def _who_may(asked: ApprovalAsked | ApprovalReminded, *, confirm: bool) -> str:
    if confirm:
        return f"Only {who(asked.execution.actor)} can confirm."
    approvers = asked.approvers
    named = list(dict.fromkeys(filter(None, [mention(asked.notify), *map(mention, approvers[:10])])))
    more = f" and {len(approvers) - 10} more" if len(approvers) > 10 else ""
    needs = asked.needs if isinstance(asked, ApprovalAsked) else ()
    wanted = f"Needed: {_needs(needs)}. " if needs and tuple(needs) != ("somebody else",) else ""
    if not named:
        return f"{wanted}Somebody else who may approve has to consent."
    return f"{wanted}May approve: {', '.join(named)}{more}."


def _what_would_run(plan: Mapping[str, Any]) -> list[Block]:
    blocks: list[Block] = []
    room, shortened = STEPS_IN_AN_APPROVAL, False
    for hosts, steps in grouped(plan):
        if room <= 0:
            shortened = True
            break
        blocks.append(section(f"*On {listed(hosts, 10)}*"))
        for number, step in numbered_json(steps):
            if room <= 0:
                shortened = True
                break
            room -= 1
            command = step_command(step)
            shortened = shortened or len(command) > 500
            blocks.append(
                section(f"{number}. {inline(step['title'])}{_step_notes(step)}\n{_command(command, 600)}".rstrip())
            )
    pointer = "_Shortened here: the whole plan is in this thread, and under Show plan._"
    return [*blocks, context(pointer)] if shortened else blocks


def _command(command: str, most: int) -> str:
    return code(command, most) if command else ""


def reminder(event: ApprovalReminded, now: datetime) -> Message:
    """Half of the time is over; it names those who may decide once more, and how long it has waited."""
    execution, approval = event.execution, event.approval
    confirm = approval.kind is Consent.CONFIRM
    waited = duration((now - approval.requested_at).total_seconds())
    waits = f"{subject(execution)} has waited {waited} for {'a confirmation' if confirm else 'an approval'}"
    given = given_so_far(approval, event.missing)
    may = f"{f'{given}. ' if given else ''}{_who_may(event, confirm=confirm)}"
    until = f"It waits until {moment(approval.expires_at)}."
    return message(waits, [section(f":bell: {waits}. {until} {may}\nThe buttons are in the headline.")])


def decided(execution: Execution, approval: Approval) -> Message:
    """What became of an approval, who decided, and how long it waited; it takes the place of the request."""
    what = "Confirmation" if approval.kind is Consent.CONFIRM else "Approval"
    said_yes = approval.votes if approval.state is ApprovalState.GIVEN else ()
    names = said_yes or ((approval.decided_by,) if approval.decided_by else ())
    by = f" by {' and '.join(map(_named, names))}" if names else ""
    words = {
        ApprovalState.GIVEN: f":white_check_mark: {what} given{by}",
        ApprovalState.DENIED: f":no_entry_sign: {what} denied{by}",
        ApprovalState.EXPIRED: f":hourglass: {what} expired: nobody decided in time",
        ApprovalState.WITHDRAWN: f":octagonal_sign: {what} no longer needed: it ended before anybody decided",
        ApprovalState.WAITING: f":raised_hand: {what} is waited for",
    }[approval.state]
    if approval.state is ApprovalState.EXPIRED and approval.votes:
        words = f":hourglass: {what} expired: {given_so_far(approval)}, which was not enough in time"
    why = f"\n{inline(approval.reason, 600)}" if approval.reason else ""
    good = f"\nGood until {moment(approval.good_until)}" if approval.good_until else ""
    bound = f"Plan `{inline(approval.fingerprint[:16])}`{_waited(approval)}"
    return message(
        f"{subject(execution)}: {words.split(': ', 1)[-1]}",
        [section(f"*{subject(execution)}*\n{words}{why}{good}"), context(bound)],
    )


def _waited(approval: Approval) -> str:
    if approval.decided_at is None:
        return ""
    return f" · waited {duration((approval.decided_at - approval.requested_at).total_seconds())}"


# --- steps ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class StepNews:
    """What is known of one step run at this moment."""

    execution: Execution
    step: StepRun
    tail: Sequence[OutputLine] = ()
    lines: int = 0  # printed in all
    command: str | None = None
    note: str | None = None  # in words: a retry that follows, what a daemon says


def step_message(news: StepNews) -> Message:
    """One step on one host: its command, its newest lines, how it stands."""
    step = news.step
    wave = step.step.partition(".")[0][1:] if step.step.startswith("w") else ""
    place = f"health after wave {wave}" if wave else f"step {inline(step.step, 20)}"
    title = f"{inline(step.host, 100)} · {place}: {inline(step.title)}"
    block, shown = _tail(news.tail)
    total = max(news.lines, step.lines + step.dropped, len(news.tail))
    said = list(_step_words(news, total))
    return message(
        f"{title}: {' '.join(said)}",
        [
            section(f"{STEP_EMOJI[step.state]} *{title}*"),
            *([section(code(news.command, 1_500))] if news.command else []),
            *([context(f"_{counted(total - shown, 'line')} above, in the full log_")] if 0 < shown < total else []),
            *([section(block)] if news.tail else []),
            context(" · ".join(said)),
        ],
    )


def _tail(lines: Sequence[OutputLine]) -> tuple[str, int]:
    """A code block of the newest lines, and how many it tells of: what a check prints each time it asks stands once."""
    runs = [(text, len(list(same))) for text, same in groupby(line.text for line in lines)]
    block, shown = newest([text if many == 1 else f"{text}  ({many} times)" for text, many in runs], LONGEST_SECTION)
    return block, sum(many for _, many in runs[len(runs) - shown :])


def _step_words(news: StepNews, total: int) -> Iterator[str]:
    step = news.step
    took = f" after {duration((step.ended_at - step.started_at).total_seconds())}" if step.ended_at else ""
    yield f"{'running' if step.state is StepState.STARTED else step.state.value.replace('_', ' ')}{took}"
    if step.attempt > 1:
        yield f"try {step.attempt}"
    reason = step.reason or ""
    if step.exit_status is not None:
        yield f"exit status {step.exit_status}"
    if step.signal:
        yield f"signal {inline(step.signal, 20)}"
    if step.death is not None and _COMMAND not in reason:
        yield f"the command: {step.death.value}"
    if reason and reason != f"ended with exit status {step.exit_status}":
        yield _step_reason(step, 600)
    if news.note:
        yield inline(news.note)
    if total:
        yield counted(total, "line")
    if step.dropped:
        yield f"{step.dropped:,} not kept"


def wave_message(event: WaveEnded) -> Message:
    """How one wave went, and what follows."""
    many = f"{event.succeeded} of {counted(len(event.hosts), 'host')} succeeded"
    head = f"Wave {event.number} of {event.of}: {many}"
    follows = f". The next begins in {duration(event.pause)}" if event.pause else ""
    emoji = ":white_check_mark:" if event.succeeded == len(event.hosts) else ":x:"
    return message(f"{subject(event.execution)}: {head}{follows}", [section(f"{emoji} *{head}*{follows}")])


# --- answers about one execution --------------------------------------------------------------------------------------


def asked_from_here(execution: Execution) -> Message:
    """In the thread of the message whose menu was used: what came of it reports in a thread of its own."""
    said = f":arrow_forward: {who(execution.actor)} asked for *{subject(execution)}* because of this message."
    return message(said, [section(said)])


def duplicate(execution: Execution) -> Message:
    """The same was asked for before and has not ended."""
    text = f"You asked for exactly this already: {subject(execution)} is {execution.state.words}."
    return message(text, [section(text), *actions(execution.id, ["cancel"], place="duplicate")])


def resume_choice(execution: Execution, found: str, *, host: str, place: str, mark: str) -> Message:
    """What a look found after an interruption, and the two ways to go on, which are about this `mark` alone."""
    words = f"*{subject(execution)}* stopped at step {inline(place)} on {inline(host)}. {told(found, 2_000)}"
    row = actions(execution.id, ["again", "after", "giveup"], fingerprint=mark, place="resume")
    for button, label in zip(
        row[0]["elements"], (f"Run step {place} again", f"Continue after step {place}"), strict=False
    ):
        button["text"]["text"] = label
    return message(f"{subject(execution)}: run step {place} again, or continue after it?", [section(words), *row])


# --- endings ----------------------------------------------------------------------------------------------------------


def ending(ended: ExecutionEnded) -> Message:
    """How it ended, how long it took, what changed where, and why not, if not."""
    execution = ended.execution
    words = _ending_words(ended)
    tail, _ = newest([line.text for line in ended.tail], 2_000)
    return message(
        f"{subject(execution)} {words}",
        [
            section(f"{EMOJI[execution.state]} {who(execution.actor)} *{subject(execution)}* {words}"),
            *_host_rows(_begun(execution, ended.hosts)),
            *paragraphs(_deaths(ended.steps)),
            *([section(f"Last lines:\n{tail}")] if ended.tail else []),
        ],
    )


def _ending_words(ended: ExecutionEnded) -> str:
    execution = ended.execution
    why = said_why(execution, 800)
    took = took_words(execution)
    counts = hosts_words(ended.hosts) if len(_begun(execution, ended.hosts)) > 1 else ""
    many = f" ({counts})" if counts and not (execution.ending or "").startswith(counts) else ""
    if ended.rollback is not None:
        why += f"; what was applied is being taken back by #{ended.rollback.id}"
    match execution.state:
        case State.SUCCEEDED:
            return f"{execution.state_words}{f' in {took}' if took else ''}{many}{why}"
        case State.REFUSED:
            return f"was refused{why}"
        case State.DENIED:
            return f"was denied{why}"
        case State.EXPIRED:
            return f"expired and was never run{why}"
        case State.ROLLED_BACK:
            return f"was rolled back{f' after {took}' if took else ''}{many}{why}"
        case _:
            return f"{execution.state.words}{f' after {took}' if took else ''}{many}{why}"


def _step_reason(step: StepRun, most: int) -> str:
    """Who stopped it is mentioned; otherwise what a host printed may be in it."""
    return (ours if step.state is StepState.STOPPED else told)(step.reason or "", most)


_COMMAND = "; the command is "
"""Stands in a reason that says what became of the command by itself."""


def _death(step: StepRun) -> str:
    """What was found of its command, and why it was stopped; each once."""
    reason = step.reason or ""
    if _COMMAND in reason:
        return _step_reason(step, 300)
    return f"command {step.death}" + (f"; {_step_reason(step, 300)}" if reason else "")


def _deaths(steps: Sequence[StepRun]) -> list[str]:
    """What was found of the commands that were stopped, at most ten lines."""
    found = [step for step in steps if step.death is not None]
    lines = [
        f"{inline(step.host, 100)}, step {inline(step.step, 20)} ({inline(step.title, 100)}): {_death(step)}"
        for step in found[:10]
    ]
    return lines + ([f"… and {counted(len(found) - 10, 'more command')}"] if len(found) > 10 else [])


def interruption(event: ExecutionInterrupted) -> Message:
    """We stopped in the middle: what is unknown, and what a person has to decide."""
    execution = event.execution
    unknown = [
        f"• {inline(step.host, 100)}, step {inline(step.step, 20)} ({inline(step.title, 100)}): "
        + (f"command {step.death}" if step.death is not None else "its outcome is unknown")
        for step in event.steps[:10]
    ]
    unknown += [f"… and {counted(len(event.steps) - 10, 'more step')}"] if len(event.steps) > 10 else []
    verbs = _ways_on(resumable=event.resumable)
    what = f"*{subject(execution)}* was interrupted: {ours(event.reason, 600)}"
    lines = [
        f"{EMOJI[State.INTERRUPTED]} {who(execution.actor)} {what}",
        *unknown,
        f"It keeps its hosts until somebody decides: {' or '.join(f'*{LABELS[verb]}*' for verb in verbs)}.",
    ]
    return message(
        f"{subject(execution)} was interrupted: {ours(event.reason)}",
        [*paragraphs(lines), *actions(execution.id, verbs, place="interrupted")],
    )


def continued(execution: Execution, by: str | None, words: str) -> Message:
    """It goes on after an interruption; `by` is ready mrkdwn."""
    said = f"{subject(execution)} goes on: {inline(words, 600)}"
    return message(said, [section(f":arrow_forward: {said}{f' ({by})' if by else ''}")])


# --- for everybody ----------------------------------------------------------------------------------------------------


def switch_engaged(event: SwitchEngaged) -> Message:
    """A kill switch is on: who, why, what it stops and holds."""
    switch = event.switch
    name = inline(switch.words, 280)
    how = "; running commands are being ended now" if switch.now else "; running steps may finish, nothing starts"
    why = f"Reason: {inline(switch.reason)}" if switch.reason else "No reason was given yet."
    lines = [
        f":octagonal_sign: *Kill switch engaged: {name}* by {who(event.actor)}{how}",
        why,
        *_affected("Running", event.running),
        *_affected("Waiting", event.waiting),
        f"Release it with `/killswitch {name} off REASON`.",
    ]
    head = f"Kill switch engaged: {name} by {inline(event.actor.name or event.actor.id, 80)}"
    return message(head, [*paragraphs(lines), *release_button(switch)])


def _affected(what: str, executions: Sequence[Execution]) -> list[str]:
    if not executions:
        return []
    named = [f"{subject(execution)}{_in_channel(execution)}" for execution in executions[:5]]
    more = f" and {len(executions) - 5} more" if len(executions) > 5 else ""
    return [f"{what}: {'; '.join(named)}{more}"]


def _in_channel(execution: Execution) -> str:
    return f" (in {channel_link(execution.channel)})" if execution.channel else ""


def switch_stopped(event: SwitchStopped) -> Message:
    """What `--now` found after it ended the running commands."""
    name = inline(event.switch.words, 280)
    head = f"Kill switch {name}: {counted(len(event.found), 'command')} ended in {duration(event.seconds)}"
    lines = [f"• #{number} on {inline(host, 100)}: {death}" for number, host, death in event.found[:20]]
    more = [f"… and {len(event.found) - 20} more"] if len(event.found) > 20 else []
    return message(head, paragraphs([f":octagonal_sign: *{head}*", *lines, *more]))


def switch_released(event: SwitchReleased) -> Message:
    """A kill switch is off again."""
    head = f"Kill switch released: {inline(event.switch.words, 280)}"
    by = f"by {who(event.actor)}: {inline(event.reason, 600)}"
    return message(f"{head}: {inline(event.reason)}", [section(f":white_check_mark: *{head}* {by}")])


def emergency(event: EmergencyUsed) -> Message:
    """Somebody runs in spite of engaged switches."""
    switches = listed([switch.words for switch in event.switches], 5)
    head = f"Emergency: {subject(event.execution)} overrides {switches or 'the kill switches'}"
    why = f"\nReason: {inline(event.execution.reason)}" if event.execution.reason else ""
    return message(
        head,
        [
            section(
                f":rotating_light: *{head}*\nasked by {who(event.execution.actor)}{_in_channel(event.execution)}{why}"
            )
        ],
    )


def breaker_moved(event: BreakerMoved) -> Message:
    """A circuit breaker opened, half-opened or closed."""
    breaker = event.breaker
    if breaker.runbook == TRANSPORT:
        where, failed = f"the way to {inline(breaker.host, 100)}", "could not be reached"
    else:
        where, failed = f"{inline(breaker.runbook, 100)} on {inline(breaker.host, 100)}", "failed"
    head = {
        BreakerState.OPEN: f"Circuit breaker open: {where} {failed} {breaker.failures} times in a row",
        BreakerState.HALF_OPEN: f"Circuit breaker half-open: one execution may try {where}",
        BreakerState.CLOSED: f"Circuit breaker closed: {where} works again",
    }[breaker.state]
    why = f"after #{event.execution.id}" if event.execution is not None else "by itself"
    if event.actor is not None:
        head, why = f"Circuit breaker closed: {where}", f"reset by {who(event.actor)}"
    emoji = ":electric_plug:" if breaker.state is BreakerState.CLOSED else ":zap:"
    return message(head, [section(f"{emoji} *{head}* ({why})")])


def limit_refuses(event: LimitRefuses) -> Message:
    """A limit refuses more often than people notice one by one."""
    head = f"The limit {inline(event.rule, 200)} refused {event.count} times within an hour"
    said = f"Newest: #{event.execution.id}, asked by {who(event.execution.actor)}. {inline(event.reason, 300)}"
    return message(head, [section(f":no_entry: *{head}*"), section(said)])


def switch_reminded(switch: KillSwitch, now: datetime) -> Message:
    """A kill switch is still engaged."""
    since = duration((now - switch.engaged_at).total_seconds())
    head = f"The kill switch ({inline(switch.words, 200)}) is still engaged, since {since}"
    why = inline(switch.reason, 300) if switch.reason else "no reason given"
    said = section(f"By {who(switch.engaged_by)}: {why}")
    return message(head, [section(f":octagonal_sign: *{head}*"), said, *release_button(switch)])


def moved_elsewhere(execution_id: int, asked_in: str, link: str | None) -> Message:
    """For the requester, when the channel they asked in could not be posted to. `link` is Slack's own."""
    is_link = link is not None and re.fullmatch(r"https?://[^\s<>|]{1,1000}", link)
    where = f"<{link}|another channel>" if is_link else "the alerts channel"
    words = f"I cannot post in {channel_link(asked_in)}, so #{execution_id} reports in {where}."
    return message(words, [section(words)])


def repeated(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The same message, marked: an earlier try may have been delivered, and could not be found."""
    blocks = list(payload.get("blocks") or ())
    marked = [*blocks, context("*(repeated)*")] if blocks and len(blocks) < 50 else blocks
    return {**payload, "text": f"*(repeated)* {payload.get('text', '')}", "blocks": marked}


def without_blocks(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The same message as plain text, for when Slack refuses its blocks."""
    text = str(payload.get("text") or "This message could not be shown as it was meant.")
    return {**payload, "text": text if units(text) <= 3_900 else text[:1_900] + "…", "blocks": []}
