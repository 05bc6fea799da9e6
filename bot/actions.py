"""What clicks and filled-in modals mean: the verb to one call of the engine."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from bot import blocks, cards, full_log, modals
from bot.blocks import Message, parse_value
from bot.commands import Commands
from bot.filling import Forms
from bot.incidents import Handled
from bot.modals import OpensViews, Shown
from runbooks.answer import Answer
from runbooks.engine import Engine
from safety.roles import Permission
from storage import controls, executions
from storage.database import surely
from storage.errors import Invalid, NotFound, TooLate
from storage.records import Origin, Received, Scope

PREFIX = "handrail:"


class Actions:
    """Answers one click at a time. What changed is shown by the thread; only the rest is said to the person."""

    def __init__(self, engine: Engine, commands: Commands, views: OpensViews, forms: Forms) -> None:
        self.engine, self.commands, self.views = engine, commands, views
        # These begin a request, or go on putting it together; what they are about is in what was chosen or filled in.
        self.choices: Mapping[str, Callable[[Received], Awaitable[None]]] = {"pick": forms.picked}
        self.form_submissions: Mapping[str, Callable[[Received], Awaitable[None]]] = {"form": forms.look}
        self.shortcuts: Mapping[str, Callable[[Received], Awaitable[Message | None]]] = {
            "run": self._pick,
            "run_here": self._pick,
        }
        self.forms = forms
        self.verbs: Mapping[str, Callable[[int, str | None, Received], Awaitable[Message | None]]] = {
            "approve": self._approve,
            "confirm": self._approve,
            "cancel": self._cancel,
            "resume": self._resume,
            "again": self._again,
            "after": self._after,
            "giveup": self._give_up,
            "plan": self._plan,
            "log": self._log,
        }

        # These are about what could be typed: their value is that text. They show something, and carry nothing out; the
        # dry run that a near miss is shown by is marked handled with it.
        self.questions: Mapping[str, Callable[[Received, Handled], Awaitable[Message | None]]] = {
            "ask": lambda received, _: commands.ask(received),
            "older": lambda received, _: self._turn(received),
            "newer": lambda received, _: self._turn(received),
            "meant": commands.show_meant,
        }
        self.incidents: Mapping[str, Callable[[int, str | None, Received, Handled], Awaitable[Message | None]]] = {
            "inc_take": commands.incidents.take,
            "inc_status": commands.incidents.status,
            "inc_timeline": commands.incidents.timeline,
            "inc_resolve": self._ask_to_resolve,
            "inc_postmortem": commands.incidents.postmortem,
            "inc_try": commands.incidents.try_runbook,
            "inc_run": commands.incidents.run_runbook,
        }
        self.schedules: Mapping[str, Callable[[int, str | None, Received, Handled], Awaitable[Message | None]]] = {
            "sched_pause": partial(commands.change_schedule, "pause"),
            "sched_resume": partial(commands.change_schedule, "resume"),
            "sched_delete": partial(commands.change_schedule, "delete"),
            "sched_run": commands.run_schedule,
        }
        self.incident_submissions: Mapping[
            str, Callable[[int, str | None, Received, Handled], Awaitable[Message | None]]
        ] = {"inc_resolve": commands.incidents.resolve}
        # These must not be done again, and no state says that they were: they begin another execution, or open a form.
        # The click is marked handled with it.
        self.once: Mapping[str, Callable[[int, Received, Handled], Awaitable[Message | None]]] = {
            "retry": self._retry,
            "retryfailed": self._retry_failed,
            "runit": self._run_it,
            "rollback": self._roll_back,
            "deny": self._deny,
        }
        self.submissions: Mapping[str, Callable[[int, str | None, Received], Awaitable[Message | None]]] = {
            "deny": self._denied
        }
        # These are about a kill switch: their value is its kind and name.
        self.switches: Mapping[str, Callable[[Scope, str, Received], Awaitable[Message | None]]] = {
            "release": self._ask_to_release
        }
        self.switch_submissions: Mapping[str, Callable[[Scope, str, Received], Awaitable[Message | None]]] = {
            "release": self._release
        }

    def heard(self) -> Mapping[str, frozenset[str]]:
        """All that is understood, by how it comes: a click, a choice from a menu, a filled-in view, a shortcut."""
        clicks = (self.verbs, self.once, self.questions, self.switches, self.incidents, self.schedules)
        views = (self.submissions, self.switch_submissions, self.form_submissions, self.incident_submissions)
        return {
            "click": frozenset(verb for of in clicks for verb in of),
            "choice": frozenset(self.choices),
            "view": frozenset(verb for of in views for verb in of),
            "shortcut": frozenset(self.shortcuts),
        }

    async def answer(self, received: Received, handled: Handled = lambda connection: None) -> Message | None:
        """Carry it out; what to say privately, or None. Raises OperatorError.

        `handled` is called inside the transaction that changes something, where that must not be repeated by a crash.
        """
        if received.kind == "view":
            return await self._submitted(received, handled)
        # What follows a dot tells several buttons of one message apart.
        verb = received.text.removeprefix(PREFIX).partition(".")[0]
        if verb in self.questions:
            return await self.questions[verb](received, handled)
        if received.kind == "shortcut":
            return await self._shortcut(verb, received)
        if verb in self.choices:
            await self.choices[verb](received)
            return None
        if verb in self.incidents:
            return await self.incidents[verb](*_number_of(received), received, handled)
        if verb in self.schedules:
            return await self.schedules[verb](*_schedule_of(received), received, handled)
        if verb in self.switches:
            return await self.switches[verb](*_switch_of(received), received)
        if verb not in self.verbs and verb not in self.once:
            raise NotFound("This button is of another version of Handrail. Use the slash command instead.")
        try:
            execution_id, mark = parse_value(str(received.payload.get("value", "")))
        except ValueError as error:
            raise Invalid("This button does not say which execution it is about. Use the slash command.") from error
        if verb in self.once:
            return await self.once[verb](execution_id, received, handled)
        return await self.verbs[verb](execution_id, mark, received)

    async def _submitted(self, received: Received, handled: Handled) -> Message | None:
        verb = str(received.payload.get("verb", "")).removeprefix(PREFIX)
        if verb in self.incident_submissions:
            number, _ = _number_of(received)
            return await self.incident_submissions[verb](number, received.text.strip() or None, received, handled)
        if verb in self.form_submissions:
            await self.form_submissions[verb](received)
            return None
        if verb in self.switch_submissions:
            return await self.switch_submissions[verb](*_switch_of(received), received)
        if verb not in self.submissions:
            raise NotFound("This form is of another version of Handrail. Use the slash command instead.")
        try:
            execution_id, _ = parse_value(str(received.payload.get("value", "")))
        except ValueError as error:
            raise Invalid("This form does not say which execution it is about. Use the slash command.") from error
        return await self.submissions[verb](execution_id, received.text.strip() or None, received)

    async def _turn(self, received: Received) -> Message | None:
        """The other page, in the place of this one."""
        page = await self.commands.ask(received)
        return replace(page, replaces=True) if page is not None else None

    async def _ask_to_resolve(
        self, number: int, mark: str | None, received: Received, handled: Handled
    ) -> Message | None:
        return await self.commands.incidents.ask_to_resolve(number, received, self.views)

    async def _shortcut(self, verb: str, received: Received) -> Message | None:
        if verb not in self.shortcuts:
            raise NotFound("This shortcut is of another version of Handrail. Use the slash command instead.")
        return await self.shortcuts[verb](received)

    async def _pick(self, received: Received) -> Message | None:
        """The picker, for the place where it was asked for."""
        await self.engine.require(received.actor, Permission.EXECUTE, "run runbooks", Origin.SHORTCUT)
        shown = await self.forms.pick(received)
        return None if shown else blocks.spoken("The form could not be opened in time. Try it again, or `/runbook`.")

    async def _ask_to_release(self, scope: Scope, subject: str, received: Received) -> Message | None:
        """A modal asks for the reason, which a release needs; where it can't be shown, the slash command is named."""
        await self.engine.require(received.actor, Permission.RELEASE, "release a kill switch", Origin.BUTTON)
        engaged = await self.engine.tools.database.read(controls.engaged)
        switch = next((one for one in engaged if (one.scope, one.subject) == (scope, subject)), None)
        if switch is None:
            raise TooLate("That kill switch is not engaged any more. `/killswitch status` lists those that are.")
        trigger = str(received.payload.get("trigger_id") or "")
        if trigger and await self.views.open(trigger, modals.release(switch, received.channel)) is Shown.YES:
            return None
        return blocks.spoken(f"Why is it safe again? Say `/killswitch {switch.words} off REASON`.")

    async def _release(self, scope: Scope, subject: str, received: Received) -> Message | None:
        return _private(
            await self.engine.release(
                scope=scope,
                subject=subject,
                actor=received.actor,
                reason=received.text.strip() or None,
                origin=Origin.MODAL,
                channel=received.channel,
            )
        )

    async def _approve(self, execution_id: int, mark: str | None, received: Received) -> Message | None:
        await self.engine.approve(execution_id, received.actor, mark=mark, said_at=received.received_at)
        return None

    async def _deny(self, execution_id: int, received: Received, handled: Handled) -> Message | None:
        """A modal asks why. Where it surely can't be shown, the click itself decides.

        The click is marked handled before that: taken up again, it would find its trigger used and decide by itself,
        while somebody looks at the modal or has closed it.
        """
        database, trigger = self.engine.tools.database, str(received.payload.get("trigger_id") or "")
        execution = await database.read(executions.find, execution_id)
        if not trigger or execution is None or not self.engine.may_deny(execution, received.actor):
            await self.engine.deny(execution_id, received.actor)
            return None
        await database.write(handled)
        match await self.views.open(trigger, modals.deny(execution, received.channel)):
            case Shown.YES:
                return None
            case Shown.NO:
                # Nobody takes this click up again: it waits here for a database that is away.
                await surely(
                    lambda: self.engine.deny(execution_id, received.actor), sleep=self.engine.tools.clock.sleep
                )
                return None
            case Shown.UNSURE:
                return blocks.spoken(
                    f"#{execution_id} is not denied yet: Slack did not say whether you see the form that asks why. "
                    f"If you don't, `/runbook deny {execution_id} REASON` denies it."
                )

    async def _denied(self, execution_id: int, reason: str | None, received: Received) -> Message | None:
        await self.engine.deny(execution_id, received.actor, reason=reason, origin=Origin.MODAL)
        return None

    async def _cancel(self, execution_id: int, mark: str | None, received: Received) -> Message | None:
        return _private(await self.engine.cancel(execution_id, received.actor))

    async def _retry(self, execution_id: int, received: Received, handled: Handled) -> Message | None:
        return _private(await self.engine.retry(execution_id, received.actor, also=handled))

    async def _retry_failed(self, execution_id: int, received: Received, handled: Handled) -> Message | None:
        return _private(await self.engine.retry(execution_id, received.actor, only_failed=True, also=handled))

    async def _run_it(self, execution_id: int, received: Received, handled: Handled) -> Message | None:
        return _private(await self.engine.retry(execution_id, received.actor, for_real=True, also=handled))

    async def _roll_back(self, execution_id: int, received: Received, handled: Handled) -> Message | None:
        return _private(await self.engine.roll_back(execution_id, received.actor, also=handled))

    async def _resume(self, execution_id: int, mark: str | None, received: Received) -> Message | None:
        return await self.commands.resume(received.actor, execution_id)

    async def _again(self, execution_id: int, mark: str | None, received: Received) -> Message | None:
        await self.engine.resume(execution_id, received.actor, again=True, mark=mark)
        return None

    async def _after(self, execution_id: int, mark: str | None, received: Received) -> Message | None:
        await self.engine.resume(execution_id, received.actor, again=False, mark=mark)
        return None

    async def _give_up(self, execution_id: int, mark: str | None, received: Received) -> Message | None:
        await self.engine.give_up(execution_id, received.actor)
        return None

    async def _plan(self, execution_id: int, mark: str | None, received: Received) -> Message | None:
        await self.engine.require(received.actor, Permission.EXECUTIONS_READ, "see plans", Origin.BUTTON)
        execution = await self.engine.tools.database.read(executions.get, execution_id)
        plan = await self.engine.tools.database.read(executions.plan_of, execution_id)
        if plan is None:
            return blocks.spoken(f"#{execution_id} has no plan: it is {execution.state.words}.")
        return cards.plan_messages(execution, plan)[0]

    async def _log(self, execution_id: int, mark: str | None, received: Received) -> Message | None:
        """Attach the full log to the execution's thread, once; by itself it is attached where it is long."""
        await self.engine.require(received.actor, Permission.EXECUTIONS_READ, "see logs", Origin.BUTTON)
        database, now = self.engine.tools.database, self.engine.tools.clock.now()
        return blocks.spoken(await database.write(full_log.attach, execution_id, received.actor.id, now))


def _switch_of(received: Received) -> tuple[Scope, str]:
    """Kind and name of the switch that a button or form is about; raises Invalid."""
    kind, _, subject = str(received.payload.get("value", "")).partition(" ")
    if kind not in set(Scope) or bool(subject) == (kind == Scope.GLOBAL):
        raise Invalid("This button does not say which kill switch it is about. Use `/killswitch`.")
    return Scope(kind), subject


def _number_of(received: Received) -> tuple[int, str | None]:
    """The incident that a button or form is about, and what else it says; raises Invalid."""
    try:
        return parse_value(str(received.payload.get("value", "")))
    except ValueError as error:
        raise Invalid("This button does not say which incident it is about. Use `/incident`.") from error


def _schedule_of(received: Received) -> tuple[int, str | None]:
    """The schedule that a button is about, and a mark of what was shown of it; raises Invalid."""
    try:
        return parse_value(str(received.payload.get("value", "")))
    except ValueError as error:
        raise Invalid("This button does not say which schedule it is about. Use `/runbook schedule list`.") from error


def _private(answer: Answer) -> Message:
    return blocks.spoken(answer.message)
