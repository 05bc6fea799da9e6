"""What slash commands mean: text to a request, a request to one call, its answer to words.

`/runbook`, `/killswitch` and `/audit` are read by `request.py`, `/incident` goes on to `incidents.py`; nothing here
decides who may do what: that is the engine's and the policy's.
"""

import asyncio
import math
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from functools import partial
from typing import Literal, assert_never

from sqlalchemy import Connection

from bot import blocks, cards, chart, dead_letters, digest, help_on, schedules
from bot.blocks import Message
from bot.dead_letters import SLACK
from bot.digest import ByHand
from bot.filling import Forms
from bot.incidents import USUAL, Customs, Handled, Incidents
from bot.request import (
    SCHEDULED,
    WHAT_THEN,
    AuditSearch,
    Query,
    RunCommand,
    ScheduleCommand,
    SwitchCommand,
    SwitchStatus,
    TemplateCommand,
    Unclear,
    Verb,
    kept_text,
    length_of,
    moment,
    parse_audit,
    parse_killswitch,
    parse_runbook,
    question,
    spelling,
)
from bot.situation import situation_of
from runbooks import schedules as keeping
from runbooks import templates
from runbooks.answer import Answer, said
from runbooks.catalog import Entry, usage
from runbooks.engine import Engine
from runbooks.parameters import is_positional
from runbooks.waves import over
from safety.clock import words
from safety.decision import Decision
from safety.roles import Permission
from storage import audit, controls, executions, outbox
from storage import digest as figures
from storage import templates as kept
from storage.errors import Invalid, NotFound, NotPermitted
from storage.records import (
    HANDRAIL,
    Actor,
    Execution,
    Origin,
    OutboxKind,
    Priority,
    Received,
    RunRequest,
    Scope,
    State,
    Template,
)

HELP: tuple[tuple[Permission | None, str], ...] = (
    (None, "*Handrail* shows what it would run, asks where it is dangerous, runs it, and can be stopped."),
    (Permission.EXECUTE, "`/runbook` alone opens a form: choose a runbook, fill it in, see the plan, run it"),
    (Permission.EXECUTE, "`/runbook restart nginx on web-01` runs a runbook; add `--dry-run` to see the plan only"),
    (Permission.READ, "`/runbook list` the runbooks · `/runbook show NAME` one of them, with its parameters"),
    (Permission.EXECUTIONS_READ, "`/runbook status [ID]` what runs and ran · `/runbook logs ID` output"),
    (
        Permission.EXECUTIONS_READ,
        "`/runbook history [RUNBOOK] [failed] [me] [2d] [on HOST]` the newest executions · "
        "`/runbook why ID` what was judged",
    ),
    (
        Permission.EXECUTE,
        "`/runbook template save NAME REQUEST` keeps a request · `template run NAME [what differs]` runs it · "
        "`template list`",
    ),
    (
        Permission.SCHEDULES,
        '`/runbook schedule "0 2 * * *" disk-cleanup path=/var/log on web-01 [tz Europe/Berlin] [as "nightly"]` '
        "runs it again and again, `/runbook schedule` alone opens a form · `schedule pause|resume|delete NAME`",
    ),
    (Permission.READ, "`/runbook schedule list` · `schedule show NAME` when it runs next, and how it went"),
    (Permission.EXECUTE, "`/runbook schedule run NAME` runs it now, as you"),
    (
        Permission.APPROVE,
        "`/runbook schedule approve NAME limit=20` approves a schedule for good, up to so many changes at a time · "
        "`schedule revoke NAME`",
    ),
    (Permission.EXECUTIONS_READ, "`/runbook digest [7d]` what the last days were like, in numbers that can be opened"),
    (Permission.CANCEL, "`/runbook cancel ID` stops one"),
    (
        Permission.EXECUTE,
        "`… on tag:web --waves 1,25%,rest --pause 30s --max-failures 1` how it goes over many hosts",
    ),
    (
        Permission.EXECUTE,
        "`/runbook retry ID` · `/runbook retry ID failed` the failed hosts only · `/runbook resume ID` · "
        "`/runbook rollback ID`",
    ),
    (Permission.APPROVE, "`/runbook approve ID` · `/runbook deny ID [reason]` what waits for somebody else"),
    (None, "`/runbook can` what you may do · `/runbook can restart nginx on web-01` whether it would run"),
    (Permission.AUDIT, "`/runbook can @someone [restart nginx on web-01]` the same of somebody else"),
    (
        Permission.ENGAGE,
        "`/killswitch global on` stops everything, `service|runbook|host|tag NAME on` a part of it; "
        "`--now` ends what runs",
    ),
    (Permission.RELEASE, "`/killswitch … off REASON` lets it run again"),
    (Permission.EXECUTIONS_READ, "`/killswitch status` what is engaged · `/runbook breaker` what failed too often"),
    (Permission.RELEASE, "`/runbook breaker reset NAME [on HOST]` closes a circuit breaker"),
    (Permission.EXECUTIONS_READ, "`/runbook dead-letters` what Slack would not take"),
    (
        Permission.AUDIT,
        "`/audit [words] [who=@someone] [runbook=NAME] [host=NAME] [kind=KIND] [since=2h]` who did what",
    ),
    (
        Permission.EXECUTE,
        '`/incident open "checkout is slow" sev2 service=checkout` opens an incident with a channel of its own',
    ),
    (Permission.EXECUTIONS_READ, "`/incident` what this channel is about · `/incident help` the rest"),
)
"""What help says, and what it takes to do it."""

_CHANNEL = re.compile(r"[CDG][A-Z0-9]{1,30}")
_PERSON = re.compile(r"[UW][A-Z0-9]{1,30}|cli:[A-Za-z0-9._-]{1,60}")
_USUAL = ByHand()


class Commands:
    """Answers one command at a time; shared by every door that takes text."""

    def __init__(self, engine: Engine, forms: Forms, customs: Customs = USUAL, by_hand: ByHand = _USUAL) -> None:
        self.engine, self.forms, self.by_hand = engine, forms, by_hand
        self.schedules = schedules.ScheduleDesk(engine)
        self.incidents = Incidents(engine=engine, customs=customs)

    async def answer(self, received: Received, *, origin: Origin, handled: Handled) -> Message | None:
        """Carry it out; what to say to the person, or None when the channel already shows it.

        `handled` is called inside the transaction that accepts a run. Raises OperatorError.
        """
        command = str(received.payload.get("command", "/runbook")).lower()
        if received.payload.get("altered"):
            raise Invalid(
                "Your request holds what looks like a secret, so it was masked and not carried out. A secret on a "
                "command line would stay in histories and logs: leave it out."
            )
        match command:
            case "/runbook":
                return await self._runbook(received, origin, handled)
            case "/killswitch":
                return await self._killswitch(received, origin)
            case "/audit":
                return await self._audit(received)
            case "/incident":
                return await self.incidents.answer(received, origin, handled)
            case _:
                raise NotFound(f"{command} is not a command of this version. `/runbook help` lists them.")

    # --- /runbook -----------------------------------------------------------------------------------------------------

    async def _runbook(self, received: Received, origin: Origin, handled: Handled) -> Message | None:
        may_run = self.engine.policy.may(received.actor.id, Permission.EXECUTE)
        if not received.text.strip() and may_run and await self.forms.pick(received):
            return None
        parsed = parse_runbook(received.text)
        match parsed:
            case Unclear():
                return _unclear(parsed)
            case RunCommand():
                if await self.forms.complete(parsed, received):
                    return None
                return await self._run(parsed, received, origin, handled)
            case Query():
                return await self._query(parsed, received, origin, handled)
            case TemplateCommand():
                return await self._template(parsed, received, origin, handled)
            case ScheduleCommand():
                return await self._schedule(parsed, received, origin, handled)
            case _:
                assert_never(parsed)

    async def ask(self, received: Received) -> Message | None:
        """What a button asks, as if it had been typed; nothing that does anything. None where a form was opened.

        Raises OperatorError.
        """
        parsed = parse_runbook(str(received.payload.get("value") or ""))
        if isinstance(parsed, ScheduleCommand) and parsed.action in {"list", "show", "new"}:
            return await self._schedule(parsed, received, Origin.BUTTON, lambda connection: None)
        if not isinstance(parsed, Query) or not _only_shows(parsed):
            raise Invalid("This button asks nothing that this version knows. Use the slash command instead.")
        answer = await self._query(parsed, received, Origin.BUTTON, lambda connection: None)
        if answer is None:
            raise AssertionError("a question has an answer")
        return answer

    async def show_meant(self, received: Received, handled: Handled) -> Message | None:
        """What a near miss was perhaps meant to be: an answer, a dry run, or what the help says. Never a run."""
        text = str(received.payload.get("value") or "")
        match parse_runbook(text):
            case Query() as query if _only_shows(query):
                return await self.ask(received)
            case RunCommand() as command:
                wanted = replace(command, dry_run=True, emergency=False)
                if await self.forms.complete(wanted, received):
                    return None
                return await self._run(wanted, replace(received, text=spelling(wanted)), Origin.BUTTON, handled)
            case Query() as query:
                return await self._help(received.actor, (query.verb.value,))
            case TemplateCommand():
                return await self._help(received.actor, ("template",))
            case ScheduleCommand():
                return await self._help(received.actor, ("schedule",))
            case Unclear() as unclear:
                return _unclear(unclear)
            case other:
                assert_never(other)

    async def _run(self, command: RunCommand, received: Received, origin: Origin, handled: Handled) -> Message | None:
        seen = await self.forms.seen(received)
        try:
            answer = await self.engine.submit(
                _request_of(command, received, origin),
                also=handled,
                then=lambda connection, answer: self._tell_thread(connection, received, answer),
                seen=seen,
            )
        except NotFound as error:
            return self._near(command, received.actor, error)
        refused = answer.decision is not None and answer.decision.refusal is not None
        if answer.duplicate and answer.execution is not None:
            return cards.duplicate(answer.execution)
        return blocks.spoken(answer.message) if refused else None

    def _near(self, command: RunCommand, actor: Actor, error: NotFound) -> Message:
        """What was perhaps meant, as buttons that only show it. Raises the error where nothing is like it."""
        try:
            entry = self.engine.runbook(command.runbook, actor)
        except NotFound:
            return self._near_name(command, actor, error)
        meant = [
            replace(command, targets=tuple(name if target == wrong else target for target in command.targets))
            for wrong in command.targets
            for name in self.engine.near_hosts(wrong, actor, entry)
        ]
        if not meant:
            raise error
        return blocks.near_misses(error.message, [(f"Show {spelling(one)}", spelling(one)) for one in meant])

    def _near_name(self, command: RunCommand, actor: Actor, error: NotFound) -> Message:
        verbs = get_close_matches(command.runbook, [*Verb, "template", "schedule", "plan"], n=1, cutoff=0.7)
        names = [] if verbs else self.engine.near_runbooks(command.runbook, actor)
        words = spelling(command).partition(" ")[2]
        meant = [f"{name} {words}".strip() for name in (*verbs, *names)]
        if not meant:
            raise error
        hint = f" Did you mean `/runbook {verbs[0]}`?" if verbs else ""
        said = f"There is no runbook `{command.runbook}`.{hint}" if verbs else error.message
        return blocks.near_misses(said, [(f"Show {text}", text) for text in meant])

    def _tell_thread(self, connection: Connection, received: Received, answer: Answer) -> None:
        """The message that it was asked for from, if it was, says so to whoever follows that."""
        thread = received.payload.get("thread")
        if answer.execution is None or answer.duplicate or not thread or not received.channel:
            return
        outbox.put(
            connection,
            id=uuid.uuid4().hex,
            kind=OutboxKind.PLAN,
            method="post",
            channel=received.channel,
            payload=cards.asked_from_here(answer.execution).payload(thread_ts=str(thread)),
            now=self.engine.tools.clock.now(),
        )

    async def _template(
        self, command: TemplateCommand, received: Received, origin: Origin, handled: Handled
    ) -> Message | None:
        """A request under a name: to keep, to see, to forget, or to run as whoever asks."""
        actor, database = received.actor, self.engine.tools.database
        needed = Permission.EXECUTE if command.action in {"save", "run"} else Permission.READ
        await self.engine.require(actor, needed, f"{command.action} templates", origin)
        manages = self.engine.policy.may(actor.id, Permission.SCHEDULES)
        match command.action:
            case "list":
                shown = [one for one in await database.read(kept.every) if self._is_seen(actor, one)]
                return blocks.markdown("\n".join(map(_template_line, shown)) or _NO_TEMPLATES)
            case "show":
                return blocks.markdown(_template_line(await self._saved(actor, command.name)))
            case "delete":
                await self._saved(actor, command.name)
                now = self.engine.tools.clock.now()
                answer = await database.write(
                    templates.delete, command.name, actor=actor, manages=manages, origin=origin, now=now
                )
                return blocks.spoken(said(answer).message)
            case "save":
                return await self._save(command, received, origin, manages=manages)
            case "run":
                wanted = await self._merged(command, await self._saved(actor, command.name), actor)
                return await self._run(wanted, received, origin, handled)
            case _:
                assert_never(command.action)

    async def _schedule(
        self, command: ScheduleCommand, received: Received, origin: Origin, handled: Handled
    ) -> Message | None:
        """To run one now is a request of whoever asks: neither its maker's rights nor a consent to it count."""
        if command.action == "new":
            return await self._new_schedule(command, received, origin)
        if command.action == "make" and await self.forms.complete_schedule(command, received):
            return None
        if command.action != "run":
            return await self.schedules.answer(command, received.actor, received.channel, origin, handled)
        found = await self.schedules.find(command.name, received.actor, origin)
        return await self._run(schedules.command_of(found), received, origin, handled)

    async def change_schedule(
        self, action: Literal["pause", "resume", "delete"], number: int, shown: str | None, received: Received,
        handled: Handled,
    ) -> Message:  # fmt: skip
        """What a schedule's button does, where it is still what was `shown`. Raises OperatorError."""
        change = {"pause": keeping.pause, "resume": keeping.resume, "delete": keeping.delete}[action]
        command = ScheduleCommand(action=action, name=str(number))
        return await self.schedules.pressed(change, command, shown, received.actor, handled)

    async def run_schedule(
        self, number: int, shown: str | None, received: Received, handled: Handled
    ) -> Message | None:
        """What a schedule stands for, now, as a request of whoever pressed its button."""
        found = await self.schedules.as_shown(number, shown, received.actor)
        command = schedules.command_of(found)
        return await self._run(command, replace(received, text=spelling(command)), Origin.BUTTON, handled)

    async def _new_schedule(self, command: ScheduleCommand, received: Received, origin: Origin) -> Message | None:
        """The form; where none can be shown, what there is and how it is typed."""
        if await self.forms.pick_for_schedule(command, received):
            return None
        if command.cron:
            raise Invalid(f"{WHAT_THEN} Try `{SCHEDULED}`.")
        every = ScheduleCommand(action="list")
        return await self.schedules.answer(every, received.actor, received.channel, origin, lambda connection: None)

    def _is_seen(self, actor: Actor, template: Template) -> bool:
        """Lists show a template to whom they show its runbook."""
        parsed = parse_runbook(template.text)
        if not isinstance(parsed, RunCommand):
            return False
        try:
            name = self.engine.catalog.get(parsed.runbook).name
        except NotFound:
            return True  # of a runbook that is gone: it can be seen, and deleted
        return self.engine.policy.sees(actor.id, Permission.READ, name)

    async def _saved(self, actor: Actor, name: str) -> Template:
        """Raises NotFound, also for one that this person is not to see."""
        template = await self.engine.tools.database.read(templates.find, name)
        if not self._is_seen(actor, template):
            raise NotFound(f"There is no template '{name}'. `/runbook template list` shows those there are.")
        return template

    async def _save(self, command: TemplateCommand, received: Received, origin: Origin, *, manages: bool) -> Message:
        """What makes no sense now is not kept; what would be refused now may be."""
        request = command.request
        if request is None:
            raise AssertionError("the grammar gives a request to save")
        await self.engine.preview(_request_of(request, received, origin))
        template = Template(
            name=command.name,
            text=kept_text(request),
            saved_by=received.actor,
            saved_at=self.engine.tools.clock.now(),
        )
        answer = await self.engine.tools.database.write(templates.save, template, manages=manages, origin=origin)
        return blocks.spoken(said(answer).message)

    async def _merged(self, command: TemplateCommand, template: Template, actor: Actor) -> RunCommand:
        """What was saved, with what this request says otherwise: values and names, targets, flags."""
        saved, new = parse_runbook(template.text), command.request
        if not isinstance(saved, RunCommand) or new is None:
            raise Invalid(f"The template '{template.name}' cannot be read any more. Save it again.")
        entry = self.engine.runbook(saved.runbook, actor)
        places = [name for name, info in entry.runbook.Params.model_fields.items() if is_positional(info)]
        if len(new.values) > len(places):
            raise Invalid(f"{entry.name} has no place for so many values. {usage(entry)}")
        named = {**dict(zip(places, saved.values, strict=False)), **_underscored(saved.named)}
        named |= {**dict(zip(places, new.values, strict=False)), **_underscored(new.named)}
        return replace(
            new,
            runbook=saved.runbook,
            values=(),
            named=named,
            targets=new.targets or saved.targets,
            dry_run=new.dry_run or saved.dry_run,
            reason=new.reason or saved.reason,
            priority=new.priority if new.priority is not Priority.NORMAL else saved.priority,
            rollout=over(new.rollout, saved.rollout),
        )

    async def _query(self, query: Query, received: Received, origin: Origin, handled: Handled) -> Message | None:
        actor = received.actor
        asks: Mapping[Verb, Callable[[], Awaitable[Message | None]]] = {
            Verb.HELP: lambda: self._help(actor, query.words),
            Verb.LIST: lambda: self._list(actor, query),
            Verb.SHOW: lambda: self._show(actor, query.words),
            Verb.STATUS: lambda: self._status(actor, query),
            Verb.HISTORY: lambda: self._history(actor, query),
            Verb.DIGEST: lambda: self._digest(actor, query.words),
            Verb.LOGS: lambda: self._logs(actor, query),
            Verb.WHY: lambda: self._why(actor, query.words),
            Verb.CAN: lambda: self._can(actor, query, received, origin),
            Verb.APPROVE: lambda: self._approve(received, query, origin),
            Verb.DENY: lambda: self._deny(actor, query, origin),
            Verb.CANCEL: lambda: self._cancel(actor, query, origin),
            Verb.RETRY: lambda: self._retry(actor, query, received, origin, handled),
            Verb.ROLLBACK: lambda: self._rollback(actor, query, origin, handled),
            Verb.RESUME: lambda: self.resume(actor, _id(query.words, query.verb)),
            Verb.BREAKER: lambda: self._breaker(actor, query, origin),
            Verb.DEAD_LETTERS: lambda: self._dead_letters(actor, query.words, origin),
        }
        if query.verb not in asks:
            raise NotFound(f"`/runbook {query.verb}` is not in this version. `/runbook help` lists what is.")
        return await asks[query.verb]()

    async def _help(self, actor: Actor, typed: Sequence[str] = ()) -> Message:
        """What this person may do, and nothing else; or all about one command, with examples."""
        policy = self.engine.policy
        if typed:
            return self._help_on(actor, " ".join(typed))
        said = [line for needed, line in HELP if needed is None or policy.may(actor.id, needed)]
        if not any(policy.may(actor.id, permission) for permission in Permission):
            said.append("You have no role here yet: ask an admin for one in handrail.yml.")
        else:
            said.append("`/runbook help TOPIC` says more of each, with examples: `/runbook help history`")
        return blocks.markdown("\n".join(said))

    def _help_on(self, actor: Actor, typed: str) -> Message:
        topic = help_on.topic(typed)
        if topic is not None:
            return blocks.markdown("\n".join(help_on.lines(topic)))
        try:
            return blocks.markdown(_about(self._seen(actor, typed, Permission.READ)))
        except (NotFound, NotPermitted):
            near = help_on.near(typed)
            shown = [(f"Help on {name}", f"help {name}") for name in near]
            topics = ", ".join(f"`{name}`" for name in help_on.TOPICS)
            return blocks.near_misses(f"There is no help on '{typed[:60]}'. There is on {topics}.", shown)

    async def _list(self, actor: Actor, query: Query) -> Message:
        await self.engine.require(actor, Permission.READ, "see that", Origin.COMMAND)
        shown = self.engine.catalog.only(lambda name: self.engine.policy.sees(actor.id, Permission.READ, name))
        words = [word.lower() for word in query.words]
        entries = sorted(
            (entry for entry in shown.entries.values() if _is_about(entry, words)),
            key=lambda e: (e.runbook.category, e.name),
        )
        if words and not entries:
            raise NotFound(f"No runbook is about '{' '.join(words)[:60]}'. `/runbook list` shows all of yours.")
        pages = max(1, math.ceil(len(entries) / RUNBOOKS_ON_A_PAGE))
        page = min(max(1, int(query.named.get("page", "1").lstrip("#"))), pages)
        part = entries[(page - 1) * RUNBOOKS_ON_A_PAGE : page * RUNBOOKS_ON_A_PAGE]
        lines = [(e.name, str(e.runbook.category), e.runbook.summary(), e.danger) for e in part]
        if pages == 1:
            return blocks.catalog_list(lines)
        first, last = (page - 1) * RUNBOOKS_ON_A_PAGE + 1, (page - 1) * RUNBOOKS_ON_A_PAGE + len(part)
        place = f"{first} to {last} of {blocks.counted(len(entries), 'runbook')}"
        return blocks.paged(
            blocks.catalog_list(lines, place),
            newer=_page(query, page=page - 1) if page > 1 else None,
            older=_page(query, page=page + 1) if page < pages else None,
            labels=("Previous", "Next"),
            note=place,
        )

    async def _show(self, actor: Actor, named: Sequence[str]) -> Message:
        await self.engine.require(actor, Permission.READ, "see that", Origin.COMMAND)
        if not named:
            raise Invalid("Which runbook? Try `/runbook show restart-service`; `/runbook list` shows all.")
        return blocks.markdown(_about(self._seen(actor, named[0], Permission.READ)))

    def _seen(self, actor: Actor, name: str, permission: Permission) -> Entry:
        """A runbook by name, if lists show it to this person. Raises NotFound, NotPermitted."""
        entry = self.engine.runbook(name, actor)
        if not self.engine.policy.sees(actor.id, permission, entry.name):
            raise NotPermitted(f"{entry.name} is not among your runbooks. `/runbook list` shows those that are.")
        return entry

    def _among(self, actor: Actor) -> list[str] | None:
        """The runbooks whose executions lists show to this person; None for all, also those that are gone by now."""
        policy, known = self.engine.policy, self.engine.catalog.entries
        mine = [name for name in known if policy.sees(actor.id, Permission.EXECUTIONS_READ, name)]
        return None if len(mine) == len(known) else mine

    async def _status(self, actor: Actor, query: Query) -> Message:
        await self.engine.require(actor, Permission.EXECUTIONS_READ, "see that", Origin.COMMAND)
        database, now = self.engine.tools.database, self.engine.tools.clock.now()
        if query.words:
            execution = await database.read(executions.get, _id(query.words, Verb.STATUS))
            if "from" in query.named:
                return await self._hosts_of(execution, query)
            [execution] = await self.engine.in_their_places([execution])
            shown_card = cards.card(execution, now, await database.read(situation_of, execution))
            return blocks.with_question(shown_card, *_every_host(execution, query))
        unfinished = (State.RUNNING, State.AWAITING_APPROVAL, State.PENDING, State.INTERRUPTED)
        among, after = self._among(actor), int(query.named.get("after", "0").lstrip("#"))
        hosts_meant = self._meant_hosts(query.targets)
        shown = [
            execution
            for execution in await database.read(executions.in_states, unfinished)
            if (among is None or execution.runbook in among)
            and (hosts_meant is None or hosts_meant & set(execution.hosts))
        ]
        if not shown:
            where = f" on {', '.join(query.targets)}" if query.targets else ""
            newest = [] if query.targets else await database.read(executions.newest, 5, among=among)
            if not newest:
                return blocks.spoken(f"Nothing runs{where}. Try `/runbook history` or `/runbook list`.")
            return blocks.execution_lines(newest, now, title="Nothing runs or waits. The newest that did:")
        later = [execution for execution in shown if execution.id > after]
        page, before = later[:ON_A_PAGE], [execution for execution in shown if execution.id <= after]
        said = blocks.execution_lines(await self.engine.in_their_places(page), now)
        if len(page) == len(shown):
            return said
        back = before[-ON_A_PAGE - 1].id if len(before) > ON_A_PAGE else 0
        return blocks.paged(
            said,
            newer=_page(query, after=back or None) if before else None,
            older=_page(query, after=page[-1].id) if page and len(later) > len(page) else None,
            labels=("Previous", "Next"),
            note=f"{len(before) + 1} to {len(before) + len(page)} of {len(shown)} that run or wait",
        )

    async def _hosts_of(self, execution: Execution, query: Query) -> Message:
        """One page of the hosts of an execution of many."""
        hosts = await self.engine.tools.database.read(executions.hosts_of, execution.id)
        step = cards.HOSTS_ON_A_PAGE
        first = min(max(1, int(query.named["from"].lstrip("#"))), max(1, len(hosts)))
        last = min(first + step - 1, len(hosts))
        return blocks.paged(
            cards.host_page(execution, hosts, first),
            newer=_page(query, **{"from": max(1, first - step)}) if first > 1 else None,
            older=_page(query, **{"from": last + 1}) if last < len(hosts) else None,
            labels=("Previous", "Next"),
            note=f"{first:,} to {last:,} of {blocks.counted(len(hosts), 'host')}",
        )

    def _meant_hosts(self, targets: Sequence[str]) -> set[str] | None:
        return {host.name for host in self.engine.tools.inventory.resolve(targets)} if targets else None

    async def _history(self, actor: Actor, query: Query) -> Message:
        """One page of what is sought; the buttons carry the whole question, so that any page is found again."""
        await self.engine.require(actor, Permission.EXECUTIONS_READ, "see that", Origin.COMMAND)
        now = self.engine.tools.clock.now()
        sought = self._sought(actor, query, now)
        page = await self.engine.tools.database.read(executions.history, sought, limit=ON_A_PAGE)
        newer = _page(query, before=None, after=page.newer) if page.newer is not None else None
        older = _page(query, before=page.older, after=None) if page.older is not None else None
        what = _in_words(query)
        if not page.found and newer is None and older is None:
            said = f"Nothing in the history is like that ({what})." if what else "Nothing has run yet."
            return blocks.spoken(f"{said} `/runbook help history` shows what can be asked.")
        title = f"*History* {f'({blocks.ours(what, 600)})' if what else ''}".strip()
        if not page.found:
            note = f"Nothing like that from #{page.looked_from} on; *Older* looks further."
            return blocks.paged(blocks.markdown(title), newer=newer, older=older, note=note)
        return blocks.paged(blocks.execution_lines(page.found, now, title=title), newer=newer, older=older)

    def _sought(self, actor: Actor, query: Query, now: datetime) -> executions.Sought:
        """The filters as storage takes them. Raises Invalid, NotFound."""
        named = query.named
        person = actor.id if named.get("who") == "me" else named.get("who")
        if person is not None and not (_PERSON.fullmatch(person) or person == HANDRAIL.id):
            raise Invalid(f"Who is '{person}'? Mention them: `/runbook history @someone`.")
        return executions.Sought(
            runbook=self._once(actor, named["runbook"]) if "runbook" in named else None,
            host=named.get("host"),
            person=person,
            states=tuple(State(state) for state in named["state"].split(",")) if "state" in named else (),
            since=moment(named["since"], now) if "since" in named else None,
            until=moment(named["until"], now) if "until" in named else None,
            dry_runs=named["dry"] == "yes" if "dry" in named else None,
            before=int(named["before"]) if "before" in named else None,
            after=int(named["after"]) if "after" in named else None,
            among=self._among(actor),
        )

    def _once(self, actor: Actor, name: str) -> str:
        """A runbook's own name, also of one that is gone by now, for whoever sees them all."""
        try:
            return self._seen(actor, name, Permission.EXECUTIONS_READ).name
        except NotFound:
            if self._among(actor) is None and not self.engine.near_runbooks(name, actor):
                return name
            raise

    async def _digest(self, actor: Actor, typed: Sequence[str]) -> Message:
        """What the last days were like, of the runbooks whose executions this person sees; or the chart of that."""
        await self.engine.require(actor, Permission.EXECUTIONS_READ, "see that", Origin.COMMAND)
        words = [word for word in typed if word.lower() != "chart"]
        length = length_of("".join(words)) if words else timedelta(days=7)
        since, until = digest.period(length, self.engine.tools.clock.now())
        database, among = self.engine.tools.database, self._among(actor)
        found, zone = await database.read(figures.gather, since, until, among=among), self.engine.policy.timezone
        if len(words) == len(typed):
            return digest.answer(found, self.by_hand, until - since, zone)
        if not chart.can_draw() or not actor.is_slack:
            raise Invalid("Charts are drawn for people in Slack, where `handrail[charts]` is installed.")
        await database.write(digest.ask_for_chart, found, zone, person=actor.id, among=among)
        return blocks.spoken("The chart comes as a direct message.")

    async def _logs(self, actor: Actor, query: Query) -> Message:
        """A page of lines, the newest where none is named; lines are counted from 1 in the order they were printed."""
        await self.engine.require(actor, Permission.EXECUTIONS_READ, "see that", Origin.COMMAND)
        database = self.engine.tools.database
        execution = await database.read(executions.get, _id(query.words, Verb.LOGS))
        host = query.named.get("host") or (query.words[1] if len(query.words) > 1 else None)
        start = int(query.named["from"].lstrip("#")) if "from" in query.named else None
        page = await database.read(
            executions.output_page, execution.id, host=host, step=query.named.get("step"), start=start, limit=LINES
        )
        if not page.lines:
            where = f" on '{host}'" if host else ""
            return blocks.spoken(f"#{execution.id} has printed nothing{where} that is kept.")
        last = page.start + len(page.lines) - 1
        return blocks.paged(
            blocks.logs(page.lines, counted_in=f"lines {page.start:,} to {last:,} of {page.total:,}"),
            newer=_page(query, **{"from": last + 1}) if last < page.total else None,
            older=_page(query, **{"from": max(1, page.start - LINES)}) if page.start > 1 else None,
        )

    async def _why(self, actor: Actor, named: Sequence[str]) -> Message:
        """Every decision about an execution, gate by gate, as the audit has it."""
        await self.engine.require(actor, Permission.EXECUTIONS_READ, "see that", Origin.COMMAND)
        database = self.engine.tools.database
        execution = await database.read(executions.get, _id(named, Verb.WHY))
        entries = await database.read(audit.search, execution_id=execution.id, limit=50)
        said = [_headline(execution)]
        for entry in reversed(entries):
            when, reason = f"{entry.at:%H:%M:%S} UTC", entry.data.get("reason")
            if entry.data.get("verdicts"):
                said.append(f"*{when}: {entry.kind.removeprefix('decision.')}*")
                said += [_verdict_line(verdict) for verdict in entry.data["verdicts"]]
            elif entry.kind.startswith(("approval.", "emergency.", "cancel.")):
                what = entry.kind.replace(".", " ")
                why = f": {blocks.inline(reason, 300)}" if reason else ""
                said.append(f"*{when}: {what}* by {blocks.who(Actor(id=entry.actor))}{why}")
        return blocks.markdown("\n".join(said))

    async def _can(self, actor: Actor, query: Query, received: Received, origin: Origin) -> Message:
        """What somebody may do; with the words of a run, what every gate would say to it now. Nothing is run."""
        wanted = query.person or actor.id
        if not _PERSON.fullmatch(wanted):
            raise Invalid(f"Who is '{wanted}'? Mention them: `/runbook can @someone`.")
        if wanted != actor.id:
            await self.engine.require(actor, Permission.AUDIT, "see what others may do", origin)
        if wanted != actor.id or query.words:
            await self.engine.witness_view(actor, "can", origin, about=wanted, text=received.text)
        if not query.words:
            # Every runbook with every host: in a large inventory that is too much for the event loop.
            said = await asyncio.to_thread(self._rights, wanted, is_other=wanted != actor.id)
            return blocks.markdown("\n".join(said))
        name, *values = query.words
        request = RunRequest(
            actor=Actor(id=wanted),
            origin=origin,
            runbook=name,
            values=tuple(values),
            named=query.named,
            targets=query.targets,
            channel=received.channel,
            text=received.text,
        )
        decision = await self.engine.preview(request)
        return blocks.markdown("\n".join(_preview(request, decision)))

    def _rights(self, person: str, *, is_other: bool) -> list[str]:
        """A person's roles, permissions, and the runbooks they may run on which hosts."""
        policy, who = self.engine.policy, blocks.who(Actor(id=person))
        roles = ", ".join(sorted(policy.people.roles_of(person, policy.directory))) or "no role"
        lines = ", ".join(f"`{r}`" for r in policy.people.rules_of(person, policy.directory))
        given = ", ".join(sorted(p.value for p in Permission if policy.may(person, p))) or "nothing"
        said = [
            f"{f'{who} has' if is_other else 'You have'} {roles}{f' ({lines})' if lines else ''}.",
            f"Allowed: {given}.",
        ]
        for permission, verb in ((Permission.EXECUTE, "Runs"), (Permission.APPROVE, "Approves")):
            if policy.may(person, permission):
                said += [f"{verb}:", *(self._reach(person, permission) or ["• nothing on any host"])]
        return said

    def _reach(self, person: str, permission: Permission) -> list[str]:
        """Runbooks with the same hosts in one line."""
        found: dict[tuple[tuple[str, ...], int | None], list[str]] = {}
        names = [host.name for host in self.engine.tools.inventory.hosts]
        for runbook, entry in sorted(self.engine.catalog.entries.items()):
            includes = tuple(one.name for one in entry.includes)
            decide = partial(self.engine.policy.decide, person, permission, runbook=runbook, includes=includes)
            rights = {name: decide(hosts=(name,)) for name in names}
            allowed = {name: right for name, right in rights.items() if right.allowed}
            most = [right.max_hosts for right in allowed.values()]
            if allowed:
                bound = None if None in most else max(m for m in most if m is not None)
                found.setdefault((tuple(allowed), bound), []).append(runbook)
        return [
            f"• {blocks.listed(runbooks, 30)} on {'every host' if list(hosts) == names else blocks.listed(hosts, 10)}"
            + (f", at most {blocks.counted(most, 'host')} at once" if most is not None else "")
            for (hosts, most), runbooks in found.items()
        ]

    async def _approve(self, received: Received, query: Query, origin: Origin) -> Message:
        answer = await self.engine.approve(
            _id(query.words, query.verb), received.actor, said_at=received.received_at, origin=origin
        )
        mark = answer.execution.fingerprint if answer.execution is not None else None
        return blocks.spoken(f"{answer.message} The plan was `{mark[:16]}`." if mark else answer.message)

    async def _deny(self, actor: Actor, query: Query, origin: Origin) -> Message:
        reason = query.reason or " ".join(query.words[1:]) or None
        answer = await self.engine.deny(_id(query.words, query.verb), actor, reason=reason, origin=origin)
        return blocks.spoken(answer.message)

    async def _cancel(self, actor: Actor, query: Query, origin: Origin) -> Message:
        reason = query.reason or " ".join(query.words[1:]) or None
        answer = await self.engine.cancel(_id(query.words, query.verb), actor, reason=reason, origin=origin)
        return blocks.spoken(answer.message)

    async def _retry(
        self, actor: Actor, query: Query, received: Received, origin: Origin, handled: Handled
    ) -> Message | None:
        answer = await self.engine.retry(
            _id(query.words, query.verb),
            actor,
            only_failed="failed" in query.words[1:],
            reason=query.reason,
            emergency=query.emergency,
            origin=origin,
            channel=received.channel,
            also=handled,
        )
        return blocks.spoken(answer.message)

    async def _rollback(self, actor: Actor, query: Query, origin: Origin, handled: Handled) -> Message:
        answer = await self.engine.roll_back(_id(query.words, query.verb), actor, origin=origin, also=handled)
        return blocks.spoken(answer.message)

    async def _breaker(self, actor: Actor, query: Query, origin: Origin) -> Message:
        """List the circuit breakers that are not simply closed, or close some."""
        if query.words[:1] == ("reset",):
            hosts = query.targets or (None,)
            answers = [await self.engine.reset_breaker(query.words[1], host, actor, origin=origin) for host in hosts]
            return blocks.spoken(" ".join(answer.message for answer in answers))
        await self.engine.require(actor, Permission.EXECUTIONS_READ, "see that", origin)
        found = await self.engine.tools.database.read(controls.used_breakers)
        return blocks.breaker_list(found, self.engine.tools.clock.now())

    async def resume(self, actor: Actor, execution_id: int) -> Message:
        """Look, show what was found, and ask how to go on."""
        execution, found, stopped = await self.engine.look_before_resuming(execution_id, actor)
        return cards.resume_choice(execution, found, host=stopped.host, place=stopped.place, mark=stopped.mark)

    async def _dead_letters(self, actor: Actor, typed: Sequence[str], origin: Origin) -> Message:
        """What could not be delivered: to list, to look at, to have said again, to take away."""
        what, ids = (typed[0].lower(), typed[1:]) if typed else ("list", ())
        if what not in {"list", "show", "requeue", "discard"} or (what == "show" and len(ids) != 1):
            raise Invalid(f"There are `{SLACK.command} list`, `show ID`, `requeue ID`, `requeue all` and `discard ID`.")
        permission = Permission.EXECUTIONS_READ if what in {"list", "show"} else Permission.AUDIT
        await self.engine.require(actor, permission, f"{what} dead letters", origin)
        database, now = self.engine.tools.database, self.engine.tools.clock.now()
        asked = dead_letters.Asked(actor=actor, origin=origin, door=SLACK, now=now)
        match what:
            case "list":
                return dead_letters.list_message(await database.read(dead_letters.listing, dead_letters.LISTED), now)
            case "show":
                letter = await database.read(dead_letters.find, ids[0], SLACK)
                # An answer is for one person; what only auditors could ask for must not be read here by others.
                is_theirs = letter.payload.get("user") in {None, actor.id}
                with_text = is_theirs or self.engine.policy.may(actor.id, Permission.AUDIT)
                return dead_letters.show_message(letter, with_text=with_text)
            case "requeue":
                moved = await database.write(dead_letters.requeue, ids, asked)
                return blocks.spoken(dead_letters.requeued_words(moved, SLACK))
            case _:
                moved = await database.write(dead_letters.discard, ids, asked)
                return blocks.spoken(dead_letters.discarded_words(moved))

    # --- /killswitch --------------------------------------------------------------------------------------------------

    async def _killswitch(self, received: Received, origin: Origin) -> Message:
        parsed = parse_killswitch(received.text)
        match parsed:
            case Unclear():
                return _unclear(parsed)
            case SwitchStatus():
                await self.engine.require(received.actor, Permission.EXECUTIONS_READ, "see that", Origin.COMMAND)
                return blocks.switch_list(await self.engine.tools.database.read(controls.engaged))
            case SwitchCommand():
                return await self._switch(parsed, received, origin)
            case _:
                assert_never(parsed)

    async def engage_at_once(self, received: Received) -> str | None:
        """Engage a kill switch while the database does not answer; None for anything else."""
        parsed = parse_killswitch(received.text)
        if not isinstance(parsed, SwitchCommand) or not parsed.engage:
            return None
        # The inbox has waited for the database already; what is to be stopped runs on meanwhile.
        return (await self._switch(parsed, received, Origin.COMMAND, patience=0.05)).text

    async def _switch(
        self, command: SwitchCommand, received: Received, origin: Origin, *, patience: float = 1.0
    ) -> Message:
        scope = Scope(command.scope)
        if command.engage:
            answer = await self.engine.engage(
                scope=scope,
                subject=command.subject,
                actor=received.actor,
                now=command.now,
                reason=command.reason,
                origin=origin,
                channel=received.channel,
                patience=patience,
            )
        else:
            answer = await self.engine.release(
                scope=scope,
                subject=command.subject,
                actor=received.actor,
                reason=command.reason,
                origin=origin,
                channel=received.channel,
            )
        return blocks.spoken(answer.message)

    # --- /audit -------------------------------------------------------------------------------------------------------

    async def _audit(self, received: Received) -> Message:
        await self.engine.require(received.actor, Permission.AUDIT, "see that", Origin.COMMAND)
        parsed = parse_audit(received.text)
        match parsed:
            case Unclear():
                return _unclear(parsed)
            case AuditSearch():
                return await self._audit_page(parsed, received.text)
            case _:
                assert_never(parsed)

    async def _audit_page(self, parsed: AuditSearch, typed: str) -> Message:
        """The newest that match, and how to see those before them. The request's own entry says who looked."""
        found = await self.engine.tools.database.read(
            audit.search,
            before=parsed.before,
            limit=AUDIT_PAGE + 1,
            **_wanted(parsed, self.engine.tools.clock.now()),
        )
        if not found:
            return blocks.spoken("No audit entry is like that. Leave a word or a filter out.")
        page = found[:AUDIT_PAGE]
        rest = " ".join(word for word in typed.split() if not word.lower().startswith("page="))
        older = " ".join(filter(None, ("/audit", rest, f"page={page[-1].seq}")))
        return blocks.audit_lines(page, older=older if len(found) > AUDIT_PAGE else None)


AUDIT_PAGE = 20
"""Entries shown at once."""
ON_A_PAGE = 15
"""Executions shown at once."""
RUNBOOKS_ON_A_PAGE = 25
LINES = 40
"""Lines of output shown at once."""
_SHOWS = {Verb.HELP, Verb.LIST, Verb.DIGEST, Verb.SHOW, Verb.STATUS, Verb.LOGS, Verb.HISTORY, Verb.WHY}


def _only_shows(query: Query) -> bool:
    """Whether it changes nothing and asks for nothing."""
    lists = query.verb in {Verb.BREAKER, Verb.DEAD_LETTERS} and query.words[:1] in {(), ("list",), ("show",)}
    return query.verb in _SHOWS or lists


def _page(query: Query, **state: int | None) -> str:
    """The same question about another page."""
    kept = {name: value for name, value in query.named.items() if name not in state}
    return question(replace(query, named={**kept, **{n: str(v) for n, v in state.items() if v is not None}}))


def _every_host(execution: Execution, query: Query) -> tuple[str, str] | tuple[()]:
    """The button for the hosts that a card has no room for: its label and its question."""
    many = len(execution.hosts)
    return (f"All {many:,} hosts", _page(query, **{"from": 1})) if many > cards.HOSTS_SHOWN else ()


def _in_words(query: Query) -> str:
    """What was looked for: "state=failed since=2d"."""
    pages = ("before", "after")
    return " ".join(f"{name}={_person_or(value)}" for name, value in sorted(query.named.items()) if name not in pages)


def _person_or(value: str) -> str:
    """A person's id as a mention, which only who asked sees; anything else as it is."""
    return f"<@{value}>" if re.fullmatch(r"[UW][A-Z0-9]{1,30}", value) else value


def _is_about(entry: Entry, words: Sequence[str]) -> bool:
    text = " ".join([entry.name, *entry.runbook.aliases, str(entry.runbook.category), entry.runbook.summary()]).lower()
    return all(word in text for word in words)


def _wanted(parsed: AuditSearch, now: datetime) -> audit.Wanted:
    """The filters as the audit takes them; raises Invalid for a person or a channel that is only a name."""
    if parsed.actor is not None and not (_PERSON.fullmatch(parsed.actor) or parsed.actor == HANDRAIL.id):
        raise Invalid(f"Who is '{parsed.actor}'? Mention them: `/audit who=@someone`.")
    if parsed.incident is not None and not _CHANNEL.fullmatch(parsed.incident):
        raise Invalid(f"Which channel is '{parsed.incident}'? Let Slack complete it: `/audit incident=#channel`.")
    return audit.Wanted(
        words=parsed.words,
        execution_id=parsed.execution_id,
        incident=parsed.incident,
        actor=parsed.actor,
        runbook=parsed.runbook,
        host=parsed.host,
        kind=parsed.kind,
        since=moment(parsed.since, now) if parsed.since else None,
        until=moment(parsed.until, now) if parsed.until else None,
    )


def _request_of(command: RunCommand, received: Received, origin: Origin) -> RunRequest:
    return RunRequest(
        actor=received.actor,
        origin=origin,
        runbook=command.runbook,
        values=command.values,
        named=command.named,
        targets=command.targets,
        channel=received.channel,
        text=received.text,
        dry_run=command.dry_run,
        reason=command.reason,
        priority=Priority(command.priority),
        emergency=command.emergency,
        rollout=command.rollout,
        request_id=received.id,
    )


_NO_TEMPLATES = "There are no templates yet. Try `/runbook template save weekly restart nginx on web-01`."


def _template_line(template: Template) -> str:
    who = blocks.who(template.saved_by)
    return f"• `{template.name}`: `/runbook {template.text}` (saved by {who}, {template.saved_at:%Y-%m-%d})"


def _underscored(named: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in named.items()}


def _unclear(parsed: Unclear) -> Message:
    if parsed.near is not None:
        return blocks.near_misses(parsed.message, [(f"Show {parsed.near}", parsed.near)])
    suggestion = f" Try `{parsed.suggestion}`." if parsed.suggestion else ""
    return blocks.spoken(f"{parsed.message}{suggestion}")


def _id(named: Sequence[str], verb: Verb) -> int:
    typed = named[0].lstrip("#") if named else ""
    if not (typed.isascii() and typed.isdigit()) or len(typed) > 15:
        raise Invalid(f"Which execution? Try `/runbook {verb.value} 42`; `/runbook status` lists them.")
    return int(typed)


def _headline(execution: Execution) -> str:
    return f"*{cards.subject(execution)}*: {execution.state_words}"


def _verdict_line(verdict: Mapping[str, object]) -> str:
    """One gate's answer as the audit keeps it, with the lines of the settings that decided."""
    rule = f" `{blocks.inline(verdict['rule'], 200)}`" if verdict.get("rule") else ""
    return f"• {verdict['gate']}: {verdict['outcome']} ({blocks.ours(str(verdict['reason']), 600)}){rule}"


def _preview(request: RunRequest, decision: Decision) -> list[str]:
    """The whole decision: its outcome first, then gate by gate."""
    where = f" on {blocks.inline(', '.join(request.targets), 200)}" if request.targets else ""
    refusal, demands = decision.refusal, decision.demands
    if refusal is not None:
        outcome = f"would be *refused* by the {refusal.gate} gate"
    elif demands:
        needed = " and ".join(demand.words for demand in demands)
        outcome = f"would *wait for the consent* of {needed}"
    else:
        outcome = "would *run*"
    head = f"{blocks.who(request.actor)}: {blocks.inline(request.runbook, 100)}{where} {outcome}."
    lines = [_verdict_line(verdict) for verdict in decision.as_data()]
    return [head, *lines, "_Judged now, without a plan: nothing was looked at, run or kept._"]


def _about(entry: Entry) -> str:
    runbook = entry.runbook
    names = ", ".join(runbook.aliases)
    said = [
        f"*{entry.name}*" + (f" (also {names})" if names else ""),
        blocks.escape(" ".join((type(runbook).__doc__ or "").split())),
        f"Danger: {entry.danger.value} · cooldown {words(entry.cooldown.total_seconds())} · "
        f"timeout {words(entry.timeout.total_seconds())} a host · at most {entry.max_hosts} hosts",
    ]
    said += _about_hosts(entry)
    for name, info in runbook.Params.model_fields.items():
        place = "by place or name" if is_positional(info) else "by name"
        default = "required" if info.is_required() else f"default {info.default}"
        said.append(f"• `{name}` ({place}, {default}): {blocks.escape(info.description or 'no description')}")
    if entry.includes:
        said.append(f"Includes: {', '.join(one.name for one in entry.includes)}")
    said.append(usage(entry))
    return "\n".join(said)


def _about_hosts(entry: Entry) -> list[str]:
    """How it goes over many hosts, as far as that is not what every runbook does, and what becomes of a failure."""
    if not entry.danger.changes_hosts:
        return []
    said = [f"waves {entry.rollout.waves}"] if entry.rollout.waves is not None else []
    said += [f"{words(entry.rollout.pause)} between two"] if entry.rollout.pause else []
    said += [f"at most {entry.rollout.max_failures} may fail"] if entry.rollout.max_failures not in {None, "0"} else []
    lines = [f"On many hosts: {', '.join(said)}"] if said else []
    return lines + (["What it applied is taken back by itself when it fails."] if entry.rollback else [])
