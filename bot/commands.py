"""What slash commands mean: text to a request, a request to one call, its answer to words.

`/runbook`, `/killswitch` and `/audit` are read by `request.py`, `/incident` goes on to `incidents.py`; nothing here
decides who may do what: that is the engine's and the policy's.
"""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from sqlalchemy import Connection

from bot import blocks, cards, dead_letters, schedules
from bot.blocks import Message
from bot.dead_letters import SLACK
from bot.filling import Forms
from bot.incidents import USUAL, Customs, Handled, Incidents
from bot.request import (
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
    moment,
    parse_audit,
    parse_killswitch,
    parse_runbook,
)
from bot.situation import situation_of
from runbooks import templates
from runbooks.answer import said
from runbooks.catalog import Entry, usage
from runbooks.engine import Engine
from runbooks.parameters import is_positional
from runbooks.waves import over
from safety.clock import words
from safety.decision import Decision
from safety.roles import Permission
from storage import audit, controls, executions, outbox
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
        "`/runbook history [RUNBOOK]` the newest executions · `/runbook why ID` what was judged",
    ),
    (
        Permission.EXECUTE,
        "`/runbook template save NAME REQUEST` keeps a request · `template run NAME [what differs]` runs it · "
        "`template list`",
    ),
    (
        Permission.SCHEDULES,
        '`/runbook schedule "0 2 * * *" disk-cleanup path=/var/log on web-01 [tz Europe/Berlin] [as "nightly"]` '
        "runs it again and again · `schedule pause|resume|delete NAME`",
    ),
    (Permission.READ, "`/runbook schedule list` · `schedule show NAME` when it runs next, and how it went"),
    (Permission.EXECUTE, "`/runbook schedule run NAME` runs it now, as you"),
    (
        Permission.APPROVE,
        "`/runbook schedule approve NAME limit=20` approves a schedule for good, up to so many changes at a time · "
        "`schedule revoke NAME`",
    ),
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


class Commands:
    """Answers one command at a time; shared by every door that takes text."""

    def __init__(self, engine: Engine, forms: Forms, customs: Customs = USUAL) -> None:
        self.engine, self.forms = engine, forms
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

    async def _run(self, command: RunCommand, received: Received, origin: Origin, handled: Handled) -> Message | None:
        seen = await self.forms.seen(received)
        answer = await self.engine.submit(_request_of(command, received, origin), also=handled, seen=seen)
        refused = answer.decision is not None and answer.decision.refusal is not None
        thread = received.payload.get("thread")
        if answer.execution is not None and not answer.duplicate and thread and received.channel:
            await self.engine.tools.database.write(self._tell_thread, answer.execution, received.channel, str(thread))
        if answer.duplicate and answer.execution is not None:
            return cards.duplicate(answer.execution)
        return blocks.spoken(answer.message) if refused else None

    def _tell_thread(self, connection: Connection, execution: Execution, channel: str, thread: str) -> None:
        """The message that it was asked for from says so, to whoever follows that."""
        said = cards.asked_from_here(execution)
        outbox.put(
            connection,
            id=uuid.uuid4().hex,
            kind=OutboxKind.PLAN,
            method="post",
            channel=channel,
            payload=said.payload(thread_ts=thread),
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
        if command.action != "run":
            return await self.schedules.answer(command, received.actor, received.channel, origin, handled)
        found = await self.schedules.find(command.name, received.actor, origin)
        return await self._run(schedules.command_of(found), received, origin, handled)

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
            Verb.HELP: lambda: self._help(actor),
            Verb.LIST: lambda: self._list(actor),
            Verb.SHOW: lambda: self._show(actor, query.words),
            Verb.STATUS: lambda: self._status(actor, query.words),
            Verb.HISTORY: lambda: self._history(actor, query.words),
            Verb.LOGS: lambda: self._logs(actor, query.words),
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

    async def _help(self, actor: Actor) -> Message:
        """What this person may do, and nothing else."""
        policy = self.engine.policy
        said = [line for needed, line in HELP if needed is None or policy.may(actor.id, needed)]
        if not any(policy.may(actor.id, permission) for permission in Permission):
            said.append("You have no role here yet: ask an admin for one in handrail.yml.")
        return blocks.markdown("\n".join(said))

    async def _list(self, actor: Actor) -> Message:
        await self.engine.require(actor, Permission.READ, "see that", Origin.COMMAND)
        shown = self.engine.catalog.only(lambda name: self.engine.policy.sees(actor.id, Permission.READ, name))
        entries = sorted(shown.entries.values(), key=lambda e: (e.runbook.category, e.name))
        return blocks.catalog_list([(e.name, e.runbook.summary(), str(e.runbook.category), e.danger) for e in entries])

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

    async def _status(self, actor: Actor, named: Sequence[str]) -> Message:
        await self.engine.require(actor, Permission.EXECUTIONS_READ, "see that", Origin.COMMAND)
        database, now = self.engine.tools.database, self.engine.tools.clock.now()
        if named:
            execution = await database.read(executions.get, _id(named, Verb.STATUS))
            [execution] = await self.engine.in_their_places([execution])
            return cards.card(execution, now, await database.read(situation_of, execution))
        unfinished = (State.RUNNING, State.AWAITING_APPROVAL, State.PENDING, State.INTERRUPTED)
        among = self._among(actor)
        shown = await database.read(executions.in_states, unfinished)
        shown = [execution for execution in shown if among is None or execution.runbook in among]
        if not shown:
            newest = await database.read(executions.newest, 5, among=among)
            if not newest:
                return blocks.spoken("Nothing runs and nothing ran yet. Try `/runbook list`.")
            shown = newest
        return blocks.execution_lines(await self.engine.in_their_places(shown[:20]), now)

    async def _history(self, actor: Actor, named: Sequence[str]) -> Message:
        await self.engine.require(actor, Permission.EXECUTIONS_READ, "see that", Origin.COMMAND)
        runbook = self._seen(actor, named[0], Permission.EXECUTIONS_READ).name if named else None
        among = self._among(actor)
        shown = await self.engine.tools.database.read(executions.newest, 20, runbook=runbook, among=among)
        if not shown:
            return blocks.spoken(f"{runbook or 'Nothing'} has not run yet.")
        return blocks.execution_lines(shown, self.engine.tools.clock.now())

    async def _logs(self, actor: Actor, named: Sequence[str]) -> Message:
        await self.engine.require(actor, Permission.EXECUTIONS_READ, "see that", Origin.COMMAND)
        execution = await self.engine.tools.database.read(executions.get, _id(named, Verb.LOGS))
        lines = await self.engine.tools.database.read(
            executions.output_of, execution.id, host=named[1] if len(named) > 1 else None, last=100
        )
        return blocks.logs(lines) if lines else blocks.spoken(f"#{execution.id} has printed nothing.")

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
        for runbook in sorted(self.engine.catalog.entries):
            rights = {n: self.engine.policy.decide(person, permission, runbook=runbook, hosts=(n,)) for n in names}
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
    suggestion = f" Try `{parsed.suggestion}`." if parsed.suggestion else ""
    return blocks.spoken(f"{parsed.message}{suggestion}")


def _id(named: Sequence[str], verb: Verb) -> int:
    typed = named[0].lstrip("#") if named else ""
    if not (typed.isascii() and typed.isdigit()) or len(typed) > 15:
        raise Invalid(f"Which execution? Try `/runbook {verb.value} 42`; `/runbook status` lists them.")
    return int(typed)


def _headline(execution: Execution) -> str:
    return f"*{cards.subject(execution)}*: {execution.state.words}"


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
