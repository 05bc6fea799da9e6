"""The digest: what a period was like, as a message whose numbers open what is behind them, and when it is posted.

`storage/digest.py` counts. Here the counts become words, bars as text, and rows with a button each that asks the
history. One of all processes posts each digest, claimed with its message.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot import chart
from bot.blocks import Block, Message, asking, context, counted, inline, listed, message, moment, question_row, section
from bot.chart import percent
from bot.files import chart_payload
from bot.request import Query, Verb, question
from bot.settings import DigestPart
from runbooks.cron import newest_firing
from safety.clock import Clock
from safety.clock import words as duration
from storage import chores, outbox
from storage import digest as figures
from storage.database import Database, repeat
from storage.digest import FAILURES, OPEN, REFUSALS, Digest, Outcomes
from storage.errors import Invalid
from storage.records import ApprovalState, FiringOutcome, OutboxKind, State

ROWS = 5
"""Runbooks and hosts that have a row of their own."""
LONGEST = timedelta(days=92)
"""Of a period; more would keep others waiting."""
LOOK = 30.0
"""Seconds between two looks whether it is time."""
BARS = "▁▂▃▄▅▆▇█"
NEVER_MIND = "·"


@dataclass(frozen=True, kw_only=True)
class ByHand:
    """What one host would have taken somebody by hand: what the time that was saved is estimated by."""

    usual: timedelta = timedelta(minutes=5)
    of: Mapping[str, timedelta] = field(default_factory=dict)  # by runbook, where it is another

    def saved(self, done: Mapping[str, int]) -> timedelta:
        """The estimate, from how many hosts each runbook succeeded on."""
        return sum((number * self.of.get(runbook, self.usual) for runbook, number in done.items()), timedelta())

    @property
    def words(self) -> str:
        """How it is estimated."""
        others = [f"{duration(one.total_seconds())} for {runbook}" for runbook, one in sorted(self.of.items())][:5]
        rest = f", {', '.join(others)}" if others else ""
        return f"{duration(self.usual.total_seconds())} by hand for each host where it succeeded{rest}"


# --- the message ------------------------------------------------------------------------------------------------------


def digest_message(digest: Digest, by_hand: ByHand, *, title: str, zone: str = "UTC") -> Message:
    """All of it. `title` is ready mrkdwn; `zone` is where days begin in the picture."""
    found = [
        section(f":bar_chart: *{title}*\n{moment(digest.since)} to {moment(digest.until)}"),
        *_first_row(digest, by_hand),
        *_picture(digest, zone),
        *_runbook_rows(digest),
        *_host_rows(digest),
        *_slow_rows(digest),
        *_approval_row(digest),
        *_schedule_row(digest),
        *_now_rows(digest),
        context(_footer(digest, by_hand)),
    ]
    return message(_in_short(digest, by_hand, title), found)


def _in_short(digest: Digest, by_hand: ByHand, title: str) -> str:
    """For notifications and screen readers: the numbers, without a picture."""
    if not digest.outcomes.total:
        return f"{title}: nothing was run."
    parts = [f"{title}: {_rate_words(digest.outcomes)}{_trend(digest)}", counted(digest.outcomes.total, "execution")]
    parts += [f"{digest.outcomes.failed} failed", f"{digest.outcomes.refused} never run"]
    parts += [f"about {duration(by_hand.saved(digest.done).total_seconds())} saved"]
    return ", ".join(parts)


def _first_row(digest: Digest, by_hand: ByHand) -> Iterator[Block]:
    now, before = digest.outcomes, digest.before
    if not now.total:
        rest = f" In the period before it were {counted(before.total, 'execution')}." if before.total else ""
        yield section(f"Nothing was run.{rest}")
        return
    more = now.total - before.total
    than = f" ({f'{more:+,} against' if more else 'as many as in'} the period before)" if before.total else ""
    lines = [
        f"*{_rate_words(now)}*{_trend(digest)} · *{counted(now.total, 'execution')}*{than}",
        f"{now.succeeded:,} succeeded, {now.failed:,} failed, {now.refused:,} never run, "
        f"{now.count(State.CANCELLED):,} cancelled, {now.count(*OPEN):,} not ended"
        + (f"; {counted(digest.dry_runs, 'dry run')} beside them" if digest.dry_runs else ""),
        f"About *{duration(by_hand.saved(digest.done).total_seconds())}* of work by hand saved",
    ]
    yield _row("\n".join(lines), "Show", _history(digest))
    yield from question_row(
        asking("ask.failed", f"Failed ({now.failed})", _history(digest, states=FAILURES)) if now.failed else None,
        asking("ask.refused", f"Never run ({now.refused})", _history(digest, states=REFUSALS)) if now.refused else None,
        asking("ask.open", f"Not ended ({now.count(*OPEN)})", "status") if now.count(*OPEN) else None,
        place="digest",
    )


def _rate_words(outcomes: Outcomes) -> str:
    return "no rate" if outcomes.rate is None else f"{percent(outcomes.rate)} % succeeded"


def _trend(digest: Digest) -> str:
    now, before = digest.outcomes.rate, digest.before.rate
    if now is None or before is None:
        return ""
    points = percent(now) - percent(before)
    if not points:
        return ", as in the period before"
    way = "up" if points > 0 else "down"
    return f", {way} {counted(abs(points), 'point')} from {percent(before)} %"


def sparkline(numbers: Sequence[int], most: int) -> str:
    """Bars as text, one a number, the highest for `most`; nothing is a dot."""
    return "".join(NEVER_MIND if not one else BARS[min(7, (one * 8 - 1) // most)] for one in numbers)


def _picture(digest: Digest, zone: str) -> Iterator[Block]:
    if not digest.outcomes.total:
        return
    parts, zone_info = digest.series, ZoneInfo(zone)
    width = len(str(digest.outcomes.total))
    rows = {
        "all": [part.outcomes.total for part in parts],
        "failed": [part.outcomes.failed for part in parts],
        "never run": [part.outcomes.refused for part in parts],
    }
    lines = []
    for name, numbers in rows.items():
        if name == "all" or any(numbers):
            lines.append(f"{name:<9} {sparkline(numbers, max(rows['all']))} {sum(numbers):>{width}}")
    first, last = (parts[place].since.astimezone(zone_info) for place in (0, -1))
    shape = "%H:%M" if digest.until - digest.since <= timedelta(hours=48) else "%a %d %b"
    each = duration((parts[1].since - parts[0].since).total_seconds()) if len(parts) > 1 else "all of it"
    scale = f"{first:{shape}} to {last:{shape}}, a bar is {each} ({zone})"
    yield section("```\n" + "\n".join(lines) + "\n```\n" + scale)


def _runbook_rows(digest: Digest) -> Iterator[Block]:
    if digest.runbooks:
        yield section("*Runbooks*")
    for number, (name, outcomes) in enumerate(digest.runbooks.items()):
        if number == ROWS:
            yield context(f"… and {counted(len(digest.runbooks) - ROWS, 'more runbook')}")
            return
        yield _row(f"`{inline(name, 100)}` {_in_numbers(outcomes)}", "Show", _history(digest, runbook=name))
    refused = sorted(digest.runbooks.items(), key=lambda item: (-item[1].refused, item[0]))
    name, outcomes = refused[0] if refused else ("", Outcomes(of={}))
    if outcomes.refused:
        yield _row(
            f"Most refused: `{inline(name, 100)}`, {counted(outcomes.refused, 'time')}",
            "Show",
            _history(digest, runbook=name, states=REFUSALS),
        )


def _in_numbers(outcomes: Outcomes) -> str:
    parts = [f"*{outcomes.total:,}*", _rate_words(outcomes) if outcomes.rate is not None else ""]
    parts += [f":x: {outcomes.failed:,} failed" if outcomes.failed else ""]
    parts += [f":no_entry: {outcomes.refused:,} never run" if outcomes.refused else ""]
    return " · ".join(filter(None, parts))


def _host_rows(digest: Digest) -> Iterator[Block]:
    if digest.hosts:
        yield section("*Hosts*")
    for one in digest.hosts[:ROWS]:
        failed = f" · :x: {one.failed:,} failed" if one.failed else ""
        words = f"`{inline(one.host, 100)}` *{one.succeeded + one.failed:,}*{failed}"
        yield _row(words, "Show", _history(digest, host=one.host))
    if len(digest.hosts) > ROWS:
        yield context(f"… and {counted(len(digest.hosts) - ROWS, 'more host')}")


def _slow_rows(digest: Digest) -> Iterator[Block]:
    if digest.slowest:
        yield section("*Slowest*")
    for one in digest.slowest:
        where = f" on {listed(one.hosts)}" if one.hosts else ""
        took = duration(one.took.total_seconds())
        yield _row(f"*#{one.id}* `{inline(one.runbook, 100)}`{where}: {took}", "Show", f"status {one.id}")


def _approval_row(digest: Digest) -> Iterator[Block]:
    waits = digest.waits
    asked = sum(waits.of.values())
    if not asked:
        return
    known = [f"{waits.of[state]:,} {state.value}" for state in ApprovalState if waits.of.get(state)]
    words = f"*Approvals*: {asked:,} asked for, {', '.join(known)}"
    if waits.median is not None and waits.longest is not None:
        half, longest = duration(waits.median.total_seconds()), duration(waits.longest.total_seconds())
        words += f"; half were decided within {half}, the longest waited {longest} (#{waits.longest_id})"
    yield _row(words, "Show", f"why {waits.longest_id}" if waits.longest_id is not None else "status")


def _schedule_row(digest: Digest) -> Iterator[Block]:
    if digest.firings:
        known = [f"{digest.firings[one]:,} {one.value}" for one in FiringOutcome if digest.firings.get(one)]
        missed = f" (missed: {listed(digest.missed, 5)})" if digest.missed else ""
        yield section(f"*Schedules*: {', '.join(known)}{missed}")


def _now_rows(digest: Digest) -> Iterator[Block]:
    if digest.switches:
        named = listed([switch.words for switch in digest.switches], 5)
        yield section(f":octagonal_sign: *Engaged now*: {named}")
    if digest.dead_letters:
        words = f":email: *{counted(digest.dead_letters, 'dead letter')}*: what Slack would not take"
        yield _row(words, "Show", "dead-letters list")


def _footer(digest: Digest, by_hand: ByHand) -> str:
    seq, mark = digest.head
    return (
        f"What was asked for in the period. Time saved: {inline(by_hand.words, 600)}; what is saved is an estimate. "
        f"Audit head: #{seq} `{mark[:16]}`"
    )


def _row(text: str, label: str, asked: str) -> Block:
    """A line with the button that shows what is behind it, where that is short enough for a button."""
    button = asking("ask", label, asked)
    return {**section(text), "accessory": button} if button is not None else section(text)


def _history(
    digest: Digest, *, runbook: str | None = None, host: str | None = None, states: Sequence[State] = ()
) -> str:
    """The question that the history answers with what was counted."""
    named = {"dry": "no", "since": f"{digest.since:%Y-%m-%dT%H:%M:%S}", "until": f"{digest.until:%Y-%m-%dT%H:%M:%S}"}
    named |= {"runbook": runbook} if runbook is not None else {}
    named |= {"host": host} if host is not None else {}
    named |= {"state": ",".join(state.value for state in State if state in states)} if states else {}
    return question(Query(verb=Verb.HISTORY, named=named))


# --- at once ----------------------------------------------------------------------------------------------------------


def period(length: timedelta | None, now: datetime) -> tuple[datetime, datetime]:
    """The period of so long until now, in whole seconds. Raises Invalid for one that is none, or too long."""
    if length is None:
        raise Invalid("How long back? Say `/runbook digest 7d`, `24h`, `day`, `week` or `month`.")
    if not timedelta(hours=1) <= length <= LONGEST:
        raise Invalid(f"A digest covers an hour at least and {LONGEST.days} days at most. Say `/runbook digest 7d`.")
    until = now.replace(microsecond=0) + timedelta(seconds=1)
    return until - length, until


# --- posted by itself -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DigestPoster:
    """Posts the daily and the weekly digest to their channel, once each over all processes."""

    database: Database
    clock: Clock
    channel: str | None
    digest: DigestPart
    by_hand: ByHand

    async def run(self) -> None:
        """Until cancelled. Without a channel there is nobody to tell."""
        if self.channel is not None:
            await repeat("digest", self.post_what_is_due, every=LOOK, sleep=self.clock.sleep)

    async def post_what_is_due(self) -> list[str]:
        """The names of those that were due, and that nobody else had posted."""
        return [name for name in ("weekly digest", "daily digest") if await self._post_if_due(name)]

    async def _post_if_due(self, name: str) -> bool:
        line = self.digest.every_week if name == "weekly digest" else self.digest.cron
        now, zone = self.clock.now(), self.digest.timezone
        due = newest_firing(line, zone, now) if line is not None else None
        if line is None or due is None:
            return False
        done = await self.database.read(chores.last, name)
        if done is not None and done >= due:
            return False
        if name == "weekly digest":
            since, title = due - timedelta(days=7), "The week"
        else:
            # The one before covered what passed up to the moment at which it was due; the first has none before it.
            before = newest_firing(line, zone, done or due - timedelta(seconds=1))
            since = max(before or due - timedelta(days=1), due - timedelta(days=31))
            title = "Since yesterday" if due - since <= timedelta(hours=26) else "Since the last digest"
        found = await self.database.read(figures.gather, since, due)
        said = digest_message(found, self.by_hand, title=f"Digest: {title.lower()}", zone=zone)
        picture = found if found.outcomes.total and chart.can_draw() else None
        return await self.database.write(self._post, name, said, picture, due=due, now=now)

    def _post(
        self, connection: Connection, name: str, said: Message, picture: Digest | None, *, due: datetime, now: datetime
    ) -> bool:
        if not chores.claim(connection, name, due=due, now=now):
            return False
        outbox.put(
            connection,
            id=uuid4().hex,
            kind=OutboxKind.ALERT,
            method="post",
            channel=self.channel,
            payload=said.payload(),
            now=now,
        )
        if picture is not None:
            title = chart.title(picture, self.digest.timezone)
            outbox.put(
                connection,
                id=uuid4().hex,
                kind=OutboxKind.ALERT,
                method="upload",
                channel=self.channel,
                payload=chart_payload(picture, self.digest.timezone, title=title),
                now=now,
            )
        return True


def by_hand_of(digest: DigestPart | None, runbooks: Mapping[str, timedelta | None]) -> ByHand:
    """As the settings say it."""
    usual = digest.by_hand if digest is not None else ByHand().usual
    return ByHand(usual=usual, of={name: one for name, one in runbooks.items() if one is not None})


def answer(digest: Digest, by_hand: ByHand, length: timedelta, zone: str) -> Message:
    """The digest of so long until now, for who asked."""
    shown = digest_message(digest, by_hand, title=f"Digest: the last {duration(length.total_seconds())}", zone=zone)
    if not digest.outcomes.total or not chart.can_draw():
        return shown
    typed = question(Query(verb=Verb.DIGEST, words=(f"{int(length.total_seconds())}s", "chart")))
    return message(shown.text, [*shown.blocks, *question_row(asking("ask.chart", "Chart", typed), place="chart")])


def ask_for_chart(connection: Connection, digest: Digest, zone: str, *, person: str, among: list[str] | None) -> None:
    """Put the chart into the outbox, for this person alone."""
    outbox.put(
        connection,
        id=uuid4().hex,
        kind=OutboxKind.ANSWER,
        method="upload",
        channel=None,
        payload={**chart_payload(digest, zone, title=chart.title(digest, zone), among=among), "user": person},
        now=digest.until,
    )
