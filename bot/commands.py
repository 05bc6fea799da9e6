"""What slash commands mean: text to a request, a request to one call, its answer to words.

`/runbook`, `/killswitch` and `/audit` are read by `request.py`; nothing here decides who may do what: that is the
engine's and the policy's.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import assert_never

from sqlalchemy import Connection

from bot import blocks, cards
from bot.blocks import Message
from bot.request import (
    AuditSearch,
    Query,
    RunCommand,
    SwitchCommand,
    SwitchStatus,
    Unclear,
    Verb,
    parse_audit,
    parse_killswitch,
    parse_runbook,
)
from runbooks.catalog import Entry, usage
from runbooks.definition import is_positional
from runbooks.engine import Engine
from safety.clock import words
from safety.roles import Permission
from storage import audit, controls, executions
from storage.errors import Invalid, NotFound
from storage.records import Actor, Execution, Origin, Priority, Received, RunRequest, Scope, State

HELP = """*Handrail* shows what it would run, asks where it is dangerous, runs it, and can be stopped.
`/runbook restart nginx on web-01` runs a runbook; add `--dry-run` to see the plan only
`/runbook list` all runbooks · `/runbook show NAME` one of them, with its parameters
`/runbook status [ID]` what runs and ran · `/runbook logs ID` output · `/runbook why ID` what was judged
`/runbook cancel ID` · `/runbook retry ID` · `/runbook resume ID` · `/runbook rollback ID`
`/runbook history [RUNBOOK]` the newest executions · `/runbook can` what you may do
`/killswitch global on` stops everything, `service|runbook|host|tag NAME on` a part of it; `--now` ends what runs
`/killswitch status` what is engaged
`/audit [words]` who did what"""

Handled = Callable[[Connection], object]


class Commands:
    """Answers one command at a time; shared by every door that takes text."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

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
            case _:
                raise NotFound(f"{command} is not a command of this version. `/runbook help` lists them.")

    # --- /runbook -----------------------------------------------------------------------------------------------------

    async def _runbook(self, received: Received, origin: Origin, handled: Handled) -> Message | None:
        parsed = parse_runbook(received.text)
        match parsed:
            case Unclear():
                return _unclear(parsed)
            case RunCommand():
                return await self._run(parsed, received, origin, handled)
            case Query():
                return await self._query(parsed, received, origin)
            case _:
                assert_never(parsed)

    async def _run(self, command: RunCommand, received: Received, origin: Origin, handled: Handled) -> Message | None:
        request = RunRequest(
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
            request_id=received.id,
        )
        answer = await self.engine.submit(request, also=handled)
        refused = answer.decision is not None and answer.decision.refusal is not None
        if answer.duplicate and answer.execution is not None:
            return cards.duplicate(answer.execution)
        return blocks.spoken(answer.message) if refused else None

    async def _query(self, query: Query, received: Received, origin: Origin) -> Message | None:
        actor = received.actor
        asks: Mapping[Verb, Callable[[], Awaitable[Message | None]]] = {
            Verb.HELP: self._help,
            Verb.LIST: lambda: self._list(actor),
            Verb.SHOW: lambda: self._show(actor, query.words),
            Verb.STATUS: lambda: self._status(actor, query.words),
            Verb.HISTORY: lambda: self._history(actor, query.words),
            Verb.LOGS: lambda: self._logs(actor, query.words),
            Verb.WHY: lambda: self._why(actor, query.words),
            Verb.CAN: lambda: self._can(actor, query.words),
            Verb.CANCEL: lambda: self._cancel(actor, query, origin),
            Verb.RETRY: lambda: self._retry(actor, query, received, origin),
            Verb.ROLLBACK: lambda: self._rollback(actor, query, origin),
            Verb.RESUME: lambda: self.resume(actor, _id(query.words, query.verb)),
        }
        return await asks[query.verb]()

    async def _help(self) -> Message:
        return blocks.markdown(HELP)

    async def _list(self, actor: Actor) -> Message:
        await self.engine.require(actor, Permission.READ, "see that", Origin.COMMAND)
        entries = sorted(self.engine.catalog.entries.values(), key=lambda e: (e.runbook.category, e.name))
        return blocks.catalog_list([(e.name, e.runbook.summary(), str(e.runbook.category), e.danger) for e in entries])

    async def _show(self, actor: Actor, named: Sequence[str]) -> Message:
        await self.engine.require(actor, Permission.READ, "see that", Origin.COMMAND)
        if not named:
            raise Invalid("Which runbook? Try `/runbook show restart-service`; `/runbook list` shows all.")
        return blocks.markdown(_about(self.engine.catalog.get(named[0])))

    async def _status(self, actor: Actor, named: Sequence[str]) -> Message:
        await self.engine.require(actor, Permission.EXECUTIONS_READ, "see that", Origin.COMMAND)
        database, now = self.engine.tools.database, self.engine.tools.clock.now()
        if named:
            execution = await database.read(executions.get, _id(named, Verb.STATUS))
            hosts = await database.read(executions.hosts_of, execution.id)
            return cards.card(execution, now, cards.Situation(hosts=tuple(hosts)))
        unfinished = (State.RUNNING, State.AWAITING_APPROVAL, State.PENDING, State.INTERRUPTED)
        shown = await database.read(executions.in_states, unfinished)
        if not shown:
            newest = await database.read(executions.newest, 5)
            if not newest:
                return blocks.spoken("Nothing runs and nothing ran yet. Try `/runbook list`.")
            shown = newest
        return blocks.execution_lines(shown[:20], now)

    async def _history(self, actor: Actor, named: Sequence[str]) -> Message:
        await self.engine.require(actor, Permission.EXECUTIONS_READ, "see that", Origin.COMMAND)
        runbook = self.engine.catalog.get(named[0]).name if named else None
        shown = await self.engine.tools.database.read(executions.newest, 20, runbook=runbook)
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
            verdicts = entry.data.get("verdicts")
            if not verdicts:
                continue
            said.append(f"*{entry.at:%H:%M:%S} UTC: {entry.kind.removeprefix('decision.')}*")
            said += [f"• {v['gate']}: {v['outcome']} ({blocks.ours(str(v['reason']), 600)})" for v in verdicts]
        return blocks.markdown("\n".join(said))

    async def _can(self, actor: Actor, named: Sequence[str]) -> Message:
        policy = self.engine.policy
        wanted = named[0].strip("<@>").split("|")[0] if named and named[0].startswith("<@") else actor.id
        if wanted != actor.id:
            await self.engine.require(actor, Permission.AUDIT, "see that", Origin.COMMAND)
        roles = ", ".join(sorted(policy.people.roles_of(wanted, policy.directory))) or "no role"
        given = sorted(p.value for p in Permission if policy.may(wanted, p)) or ["nothing"]
        person = "You have" if wanted == actor.id else f"<@{wanted}> has"
        return blocks.spoken(f"{person} {roles}, which allows: {', '.join(given)}.")

    async def _cancel(self, actor: Actor, query: Query, origin: Origin) -> Message:
        reason = query.reason or " ".join(query.words[1:]) or None
        answer = await self.engine.cancel(_id(query.words, query.verb), actor, reason=reason, origin=origin)
        return blocks.spoken(answer.message)

    async def _retry(self, actor: Actor, query: Query, received: Received, origin: Origin) -> Message | None:
        execution_id = _id(query.words, query.verb)
        answer = await self.engine.retry(execution_id, actor, origin=origin, channel=received.channel)
        return blocks.spoken(answer.message)

    async def _rollback(self, actor: Actor, query: Query, origin: Origin) -> Message:
        answer = await self.engine.roll_back(_id(query.words, query.verb), actor, origin=origin)
        return blocks.spoken(answer.message)

    async def resume(self, actor: Actor, execution_id: int) -> Message:
        """Look, show what was found, and ask how to go on."""
        execution, found, host, place = await self.engine.look_before_resuming(execution_id, actor)
        return cards.resume_choice(execution, found, host=host, place=place)

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

    async def _audit_page(self, wanted: AuditSearch, typed: str) -> Message:
        """The newest that match, and how to see those before them. The request's own entry says who looked."""
        found = await self.engine.tools.database.read(
            audit.search, words=wanted.words, before=wanted.before, limit=AUDIT_PAGE + 1
        )
        if not found:
            return blocks.spoken("No audit entry holds all these words. Try fewer.")
        page = found[:AUDIT_PAGE]
        rest = " ".join(word for word in typed.split() if not word.lower().startswith("before="))
        older = " ".join(filter(None, ("/audit", rest, f"before={page[-1].seq}")))
        return blocks.audit_lines(page, older=older if len(found) > AUDIT_PAGE else None)


AUDIT_PAGE = 20
"""Entries shown at once."""


def _unclear(parsed: Unclear) -> Message:
    suggestion = f" Try `{parsed.suggestion}`." if parsed.suggestion else ""
    return blocks.spoken(f"{parsed.message}{suggestion}")


def _id(named: Sequence[str], verb: Verb) -> int:
    typed = named[0].lstrip("#") if named else ""
    if not (typed.isascii() and typed.isdigit()) or len(typed) > 15:
        raise Invalid(f"Which execution? Try `/runbook {verb.value} 42`; `/runbook status` lists them.")
    return int(typed)


def _headline(execution: Execution) -> str:
    return f"*#{execution.id}* {cards.subject(execution)}: {execution.state.words}"


def _about(entry: Entry) -> str:
    runbook = entry.runbook
    names = ", ".join(runbook.aliases)
    said = [
        f"*{entry.name}*" + (f" (also {names})" if names else ""),
        blocks.escape(" ".join((type(runbook).__doc__ or "").split())),
        f"Danger: {entry.danger.value} · cooldown {words(entry.cooldown.total_seconds())} · "
        f"timeout {words(entry.timeout.total_seconds())} a host · at most {entry.max_hosts} hosts",
    ]
    for name, info in runbook.Params.model_fields.items():
        place = "by place or name" if is_positional(info) else "by name"
        default = "required" if info.is_required() else f"default {info.default}"
        said.append(f"• `{name}` ({place}, {default}): {blocks.escape(info.description or 'no description')}")
    said.append(usage(entry))
    return "\n".join(said)
