"""Forms being filled in: opened, searched in, checked, planned, and kept until *Run*.

What is asked while a form is open (a search, whether it can go on) is answered within Slack's three seconds from what
is known here; only what was run last is read from the database, and left out where it does not answer in time. Looking
at hosts comes after the acknowledgement, and its result takes the place of the page that says so.
"""

import asyncio
import html
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

import structlog
from sqlalchemy import Connection

from bot import forms, timing
from bot.blocks import spoken, units
from bot.forms import Draft, View
from bot.modals import UPDATE_PAUSES, OpensViews, Shown, Submitted
from bot.replies import words_of
from bot.request import (
    RunCommand,
    ScheduleCommand,
    TemplateCommand,
    Unclear,
    kept_text,
    parse_runbook,
    schedule_spelling,
    spelling,
)
from bot.schedules import ScheduleDesk, may_make
from bot.timing import Timing, timing_of
from runbooks import cron, templates
from runbooks.answer import Prospect, Seen
from runbooks.catalog import Entry, by_name, missing_values, wrong_values
from runbooks.engine import Engine
from runbooks.parameters import questions
from runbooks.plans import from_json, to_json
from runbooks.remote import Host
from safety.clock import words
from safety.redaction import MASK, Redactor
from safety.roles import Permission
from storage import executions, inbox, outbox
from storage import templates as stored_templates
from storage.canonical import canonical
from storage.database import surely
from storage.errors import Invalid, NotFound, NotPermitted, OperatorError, StorageUnavailable, TooLate
from storage.records import Actor, Execution, Origin, OutboxKind, Received, RunRequest, Template

log = structlog.get_logger(__name__)

PATIENCE = 0.7
"""Seconds the database gets to say what was run here last, before the menu is shown without that."""
RECENT = 5
MOST_TAGS = 25
"""Of a hundred places in a menu, so that tags are offered however many hosts there are."""
LOOK_PAUSES = (1.0, 3.0, 5.0, 10.0, 20.0, 30.0, 30.0, 30.0)
"""Seconds between the tries to show what came of a look, while Slack is away: some minutes in all."""
TOLD_AFTER = timedelta(minutes=6)
"""Later than the last of them: whoever waits for a look is told so then, whatever became of it."""


class ShowsViews(OpensViews, Protocol):
    """Shows a view, and another one in its place."""

    async def update(
        self,
        view: View,
        *,
        view_id: str | None = None,
        external_id: str | None = None,
        pauses: Sequence[float] = UPDATE_PAUSES,
    ) -> Shown:
        """Whether it is shown now; NO when the other one was closed meanwhile."""
        ...


class Forms:
    """One for a process. Whoever asks is judged by the engine's policy, as ever."""

    def __init__(self, engine: Engine, redactor: Redactor, views: ShowsViews) -> None:
        self.engine, self.redactor, self.views = engine, redactor, views
        self.schedules = ScheduleDesk(engine)

    # --- opening ------------------------------------------------------------------------------------------------------

    async def pick(self, received: Received) -> bool:
        """Whether the picker was shown to whoever asked, for where they asked."""
        trigger = str(received.payload.get("trigger_id") or "")
        view = forms.picker(channel=received.channel, thread=_thread_of(received))
        return bool(trigger) and await self.views.open(trigger, view) is Shown.YES

    async def pick_for_schedule(self, command: ScheduleCommand, received: Received) -> bool:
        """The same for what is to be scheduled, where whoever asks may have schedules."""
        trigger = str(received.payload.get("trigger_id") or "")
        times = self._timing(command)
        view = forms.picker(channel=received.channel, timing=times)
        return bool(trigger) and self._may(received.actor, times) and await self.views.open(trigger, view) is Shown.YES

    async def complete_schedule(self, command: ScheduleCommand, received: Received) -> bool:
        """Whether a form was shown because something of a typed schedule's request is missing."""
        return command.request is not None and await self.complete(command.request, received, self._timing(command))

    def _timing(self, command: ScheduleCommand) -> Timing:
        zone = command.timezone or self.engine.policy.timezone
        try:
            zone = cron.zone_of(zone)
        except Invalid:
            pass  # it is said to be none when it is filled in
        return timing_of(command.cron, timezone=zone, name=command.name)

    def _may(self, actor: Actor, times: Timing | None) -> bool:
        return (
            may_make(self.engine, actor) if times is not None else self.engine.policy.may(actor.id, Permission.EXECUTE)
        )

    async def complete(self, command: RunCommand, received: Received, times: Timing | None = None) -> bool:
        """Whether a form was shown because something of a typed request is missing, with what was typed filled in."""
        trigger = str(received.payload.get("trigger_id") or "")
        if not trigger or not self._may(received.actor, times):
            return False
        try:
            entry = self.engine.runbook(command.runbook, received.actor)
            missing = missing_values(entry, command.values, command.named)
            if (command.targets and not missing) or not self._runs(received.actor, entry):
                return False
            given = by_name(entry, command.values, command.named)
            if len(given) < len(command.values) + len(command.named):
                return False  # something has no place, or two: that is answered in words
            draft = self._draft(command, entry, Draft(channel=received.channel, timing=times))
            problems = list(timing.wrong(times).values()) if times is not None else []
            problems += [said for name, said in wrong_values(entry, given).items() if name in given]
            problems += self._unusable(draft, entry, received.actor)
            return await self.views.open(trigger, self._form(entry, draft, received.actor, problems)) is Shown.YES
        except OperatorError:
            return False

    def _unusable(self, draft: Draft, entry: Entry, actor: Actor) -> list[str]:
        """What else was typed that the form can't show as it is."""
        long = draft.reason is not None and units(draft.reason) > forms.LONGEST_REASON
        said = [f"The reason is longer than {forms.LONGEST_REASON} characters: give it anew."] if long else []
        try:
            if draft.targets:
                self.engine.hosts_meant(draft.targets, actor, entry)
        except OperatorError as error:
            said.append(error.message)
        return said

    async def picked(self, received: Received) -> None:
        """The form of what was chosen takes the place of the picker. Raises OperatorError."""
        await self.engine.require(received.actor, Permission.EXECUTE, "run runbooks", Origin.MODAL)
        chosen, place = str(received.payload.get("value") or ""), _place_of(received)
        if not (view_id := str(received.payload.get("view_id") or "")):
            raise Invalid("There is no form to fill in here. `/runbook` opens the list to choose from.")
        if place.timing is not None:
            await self.engine.require(received.actor, Permission.SCHEDULES, "make schedules", Origin.MODAL)
        try:
            if chosen.startswith(forms.LAST):
                draft = await self._again(received.actor, chosen.removeprefix(forms.LAST), place)
            elif chosen.startswith(forms.TEMPLATE):
                draft = await self._from_template(received.actor, chosen.removeprefix(forms.TEMPLATE), place)
            else:
                draft = replace(place, runbook=self.engine.runbook(chosen, received.actor).name)
            view = self._form(self.engine.runbook(draft.runbook, received.actor), draft, received.actor)
        except OperatorError as error:
            view = forms.note("Run a runbook" if place.timing is None else "New schedule", error.message)
        shown = await self.views.update(view, view_id=view_id)
        if shown is Shown.UNSURE:
            raise TooLate("Slack did not take the form of what you chose. Choose it again, or type it.")

    def _form(self, entry: Entry, draft: Draft, actor: Actor, problems: Sequence[str] = ()) -> View:
        may_override = self.engine.policy.may(actor.id, Permission.EMERGENCY)
        return forms.form(entry, draft, may_override=may_override, problems=problems)

    async def _again(self, actor: Actor, number: str, place: Draft) -> Draft:
        """What an execution was, to be asked for once more; raises NotFound, also for what is not theirs to see."""
        missing = NotFound("That execution is not there any more. Choose a runbook instead.")
        if not (number.isascii() and number.isdigit()) or len(number) > 15:
            raise missing
        execution = await self.engine.tools.database.read(executions.find, int(number))
        if execution is None:
            raise missing
        entry = self.engine.runbook(execution.runbook, actor)
        may_see = self.engine.policy.sees(actor.id, Permission.EXECUTIONS_READ, entry.name)
        if not may_see or not self._runs(actor, entry):
            raise missing
        return forms.last_draft(execution, entry, place)

    async def _from_template(self, actor: Actor, name: str, place: Draft) -> Draft:
        """What a template holds, to be looked at first; raises NotFound, also for one that is not theirs to run."""
        template = await self.engine.tools.database.read(templates.find, name)
        command = self._run_of(actor, template)
        if command is None:
            raise NotFound(f"The template '{template.name}' is of a runbook that is not among yours.")
        return self._draft(command, self.engine.runbook(command.runbook, actor), place)

    def _run_of(self, actor: Actor, template: Template) -> RunCommand | None:
        """What a template would run; None where this person may not, or where nobody can any more."""
        command = parse_runbook(template.text)
        try:
            known = isinstance(command, RunCommand) and self._runs(actor, self.engine.runbook(command.runbook, actor))
        except NotFound:
            return None
        return command if known and isinstance(command, RunCommand) else None

    def _draft(self, command: RunCommand, entry: Entry, place: Draft) -> Draft:
        return replace(
            place,
            runbook=entry.name,
            values=by_name(entry, command.values, command.named),
            targets=command.targets,
            dry_run=command.dry_run,
            emergency=command.emergency,
            reason=command.reason,
            priority=command.priority,
            rollout=command.rollout,
        )

    def _runs(self, actor: Actor, entry: Entry) -> bool:
        return self.engine.policy.sees(actor.id, Permission.EXECUTE, entry.name)

    # --- searching ----------------------------------------------------------------------------------------------------

    async def suggest(self, actor: Actor, action_id: str, block_id: str, typed: str, view: View) -> Mapping[str, Any]:
        """What a menu offers for what was typed: only what this person may run, and where."""
        if not self.engine.policy.may(actor.id, Permission.EXECUTE):
            return {"options": []}
        if action_id == forms.PICK:
            return await self._suggest_runbooks(actor, typed, forms.carried(view))
        if action_id == forms.ZONES:
            return {"options": [forms.option(one, one) for one in self._zones(typed)]}
        draft = forms.filled(view)
        try:
            entry = self.engine.runbook(draft.runbook, actor)
        except NotFound:
            return {"options": []}
        match action_id:
            case forms.HOSTS:
                return self._suggest_hosts(actor, entry, draft, typed)
            case forms.SERVICES:
                return self._suggest_services(actor, entry, draft, block_id, typed)
            case forms.CHOICES:
                name = block_id.removeprefix(forms.PARAMETER)
                asked = next((one for one in questions(entry.runbook.Params) if one.name == name), None)
                found = [one for one in (asked.choices if asked else ()) if forms.matches(typed, [one])]
                return {"options": [forms.option(one, one) for one in found[: forms.MOST_OPTIONS]]}
            case _:
                return {"options": []}

    def _zones(self, typed: str) -> list[str]:
        """Time zones with what was typed in their names; the usual ones first."""
        words_ = typed.replace(" ", "_")
        found = [one for one in (self.engine.policy.timezone, "UTC", *cron.zones()) if forms.matches(words_, [one])]
        return list(dict.fromkeys(found))[: forms.MOST_OPTIONS]

    async def _suggest_runbooks(self, actor: Actor, typed: str, place: Draft) -> Mapping[str, Any]:
        mine = self.engine.catalog.only(lambda name: self.engine.policy.sees(actor.id, Permission.EXECUTE, name))
        entries = sorted(mine.entries.values(), key=lambda entry: (entry.runbook.category, entry.name))
        last: list[Execution] = []
        kept: list[Template] = []
        try:
            async with asyncio.timeout(PATIENCE):
                kept = await self.engine.tools.database.read(stored_templates.every)
                among = [n for n in mine.entries if self.engine.policy.sees(actor.id, Permission.EXECUTIONS_READ, n)]
                if place.channel is not None and among:
                    last = await self.engine.tools.database.read(
                        executions.asked_in, place.channel, among=among, limit=RECENT
                    )
        except (StorageUnavailable, TimeoutError):
            log.warning("menu_without_what_ran")
        return forms.runbook_options(entries, last, typed, [one for one in kept if self._run_of(actor, one)])

    def _suggest_hosts(self, actor: Actor, entry: Entry, draft: Draft, typed: str) -> Mapping[str, Any]:
        """Those that run the chosen service come first; of a tag, how many hosts it means."""
        reach = self.engine.where(actor, entry).hosts
        services = {draft.values.get(one.name) for one in questions(entry.runbook.Params)} - {None}
        found = [host for host in reach if forms.matches(typed, [host.name, *host.tags, *sorted(host.services)])]
        running = [host for host in found if services & host.services]
        others = [host for host in found if host not in running]
        tags: dict[str, int] = {}
        for host in reach:
            for tag in sorted(host.tags):
                tags[f"tag:{tag}"] = tags.get(f"tag:{tag}", 0) + 1
            if host.environment is not None:
                tags[f"env:{host.environment}"] = tags.get(f"env:{host.environment}", 0) + 1
        several = [(tag, number) for tag, number in sorted(tags.items()) if forms.matches(typed, [tag])]
        named = next((name for name in draft.values.values() if any(name in h.services for h in running)), "it")
        together = [forms.option(tag, tag, about=f"{n} of your hosts") for tag, n in several[:MOST_TAGS]]
        room = forms.MOST_OPTIONS - len(together)
        first = [_host_option(host) for host in running][:room]
        return forms.groups_of(
            [
                (f"Hosts that run {named}", first),
                ("Hosts", [_host_option(host) for host in others][: room - len(first)]),
                ("Several at once", together),
            ]
        )

    def _suggest_services(
        self, actor: Actor, entry: Entry, draft: Draft, block_id: str, typed: str
    ) -> Mapping[str, Any]:
        """What the inventory says runs on the chosen hosts; on all of theirs while none is chosen. And what was typed,
        if it could be a service: the inventory need not know them all."""
        reach = self.engine.where(actor, entry).hosts
        try:
            meant = {host.name for host in self.engine.tools.inventory.resolve(draft.targets)}
        except OperatorError:
            meant = set()
        there = [host for host in reach if host.name in meant] or reach
        known = sorted({service for host in there for service in host.services})
        options = [forms.option(name, name) for name in known if forms.matches(typed, [name])]
        name = block_id.removeprefix(forms.PARAMETER)
        if typed.strip() and typed.strip() not in known and name not in wrong_values(entry, {name: typed.strip()}):
            options.append(forms.option(typed.strip(), typed.strip(), about="as typed; the inventory does not name it"))
        return {
            "options": [one for one in options if len(one["value"]) <= forms.LONGEST_OPTION_VALUE][: forms.MOST_OPTIONS]
        }

    # --- submitting ---------------------------------------------------------------------------------------------------

    def submitted(self, actor: Actor, view: View) -> Submitted | None:
        """What a form or a plan page says; None for any other view. Nothing is looked up and nothing waits."""
        callback = str(view.get("callback_id") or "")
        if callback == forms.FORM:
            return self._form_submitted(actor, view)
        if callback == forms.PLANNED:
            wanted = forms.wanted(view)
            return Submitted(
                kind="run",
                key=str(view.get("id") or ""),
                channel=wanted.channel,
                text=wanted.text,
                payload={"command": "/runbook", "planned": wanted.planned, "thread": wanted.thread},
                then={"response_action": "clear"},
            )
        return None

    def _form_submitted(self, actor: Actor, view: View) -> Submitted:
        draft, external_id = forms.filled(view), uuid.uuid4().hex
        errors: dict[str, str] = {}
        text, title, where = draft.runbook, "The plan" if draft.timing is None else "The schedule", draft.targets
        if self.engine.policy.may(actor.id, Permission.EXECUTE):  # who may run nothing learns nothing here either
            try:
                entry = self.engine.runbook(draft.runbook, actor)
                errors = self._wrong(entry, draft, actor)
                text = _text_of(entry, draft)
            except OperatorError as error:
                errors = {"hosts": forms.error_text(error.message)}
        return Submitted(
            kind="view",
            key=external_id,
            channel=draft.channel,
            text=text,
            payload={
                "verb": forms.FORM,
                "view": external_id,
                "thread": draft.thread,
                "template": draft.template,
            },
            errors=errors,
            then={"response_action": "push", "view": forms.planning(title, where, external_id=external_id)},
        )

    def _wrong(self, entry: Entry, draft: Draft, actor: Actor) -> dict[str, str]:
        """What is wrong, by the block it stands in, in the words that the same typed request would be answered with."""
        asked = {one.name for one in questions(entry.runbook.Params)}
        given = {name: value for name, value in draft.values.items() if name in asked}
        wrong = {forms.PARAMETER + name: said for name, said in wrong_values(entry, given).items()}
        entered = {**{forms.PARAMETER + name: value for name, value in given.items()}, "reason": draft.reason or ""}
        entered["template"] = draft.template or ""
        entered["name"] = draft.timing.name if draft.timing is not None else ""
        for block, value in entered.items():
            typed = f"{block.removeprefix(forms.PARAMETER)}={value}"
            if MASK in value:
                wrong[block] = forms.MASKED
            elif self.redactor.redact(value).altered or self.redactor.redact(typed).altered:
                wrong[block] = forms.KEEP_OUT
        if draft.emergency and not draft.reason:
            wrong["reason"] = "An emergency needs its reason."
        try:
            self.engine.hosts_meant(draft.targets, actor, entry)
        except OperatorError as error:
            wrong["hosts"] = error.message
        if not wrong:
            try:
                self.engine.understand(_request(forms.command_of(entry, draft), actor))
            except OperatorError as error:
                wrong["hosts"] = error.message
        if draft.timing is not None:
            wrong = {**self._wrong_times(draft.timing), **wrong}
        if not wrong and self.redactor.redact(_text_of(entry, draft)).altered:
            wrong["hosts"] = forms.KEEP_OUT
        if draft.template is not None and (said := self._not_a_template(entry, draft)) is not None:
            wrong["template"] = said
        if not wrong and not self._can_be_kept(entry, draft):
            wrong["hosts"] = "Together this is more than a form can carry. Shorten it, or type it as a command."
        known = {forms.PARAMETER + name for name in asked} | {"reason", "hosts"}
        known |= {"template"} if draft.timing is None else set(forms.TIMES)
        return {block if block in known else "hosts": forms.error_text(said) for block, said in wrong.items()}

    def _not_a_template(self, entry: Entry, draft: Draft) -> str | None:
        """Why it can't be kept under that name, as the grammar of templates says it."""
        parsed = parse_runbook(f"template save {draft.template} {spelling(forms.command_of(entry, draft))}")
        if isinstance(parsed, Unclear):
            return parsed.message
        named = isinstance(parsed, TemplateCommand) and parsed.name == (draft.template or "").lower()
        return None if named else "A template's name is one word of letters, digits and dashes, at most 64."

    def _can_be_kept(self, entry: Entry, draft: Draft) -> bool:
        """Whether the request can be written as it would be typed, and a page can carry that."""
        text = _text_of(entry, draft)
        try:
            kept_text(forms.command_of(entry, draft))
        except Invalid:
            return False
        is_same = draft.timing is None or parse_runbook(text) == forms.schedule_of(entry, draft, draft.timing)
        return is_same and forms.fits(text, draft)

    def _wrong_times(self, times: Timing) -> dict[str, str]:
        """What is wrong with the times, and with the name as the grammar of schedules says it."""
        found = timing.wrong(times)
        try_it = ScheduleCommand(action="make", name=times.name, cron="0 2 * * *", request=RunCommand(runbook="x"))
        parsed = parse_runbook(schedule_spelling(try_it))
        if isinstance(parsed, Unclear):
            found["name"] = parsed.message
        elif parsed != try_it:
            found["name"] = "That cannot be the name of a schedule: letters, digits, spaces and dashes, at most 64."
        return found

    # --- the plan, until *Run* ----------------------------------------------------------------------------------------

    async def look(self, received: Received) -> None:
        """Plan what was filled in, and show it where the form's next page stands. The plan is kept for *Run*."""
        external_id = str(received.payload.get("view") or "")
        try:
            await self.engine.require(received.actor, Permission.EXECUTE, "run runbooks", Origin.MODAL)
        except NotPermitted as error:
            await self.views.update(forms.note("No plan", error.message), external_id=external_id)
            raise
        tools = self.engine.tools
        # Marked before it begins, as it may take longer than others wait to take it up: it can be asked for again.
        if not await tools.database.write(self._begin, received):
            return
        said = _without_its_page(received, "Slack did not take the page with the plan of your form")
        try:
            view = await self._planned(received, _place_of(received), external_id)
        except Exception as error:  # the door to a person: whatever it is becomes words and a reference in the log
            said = words_of(error, doing="planning a form")
            view = forms.note("No plan", said, external_id=external_id)
        shown = await self.views.update(view, external_id=external_id, pauses=LOOK_PAUSES)
        end = partial(self._end, received=received, said=said if shown is Shown.UNSURE else None)
        await surely(lambda: tools.database.write(end), sleep=tools.clock.sleep)

    def _begin(self, connection: Connection, received: Received) -> bool:
        """Whether it is ours to look. Should this process die, or Slack stay away, the person is told so later."""
        if not inbox.handled(connection, received.id):
            return False
        why = "The plan of your form is not shown yet: Slack did not take its page so far, or Handrail was restarted"
        self._tell(connection, received, received.id, _without_its_page(received, why), after=TOLD_AFTER)
        return True

    def _end(self, connection: Connection, *, received: Received, said: str | None) -> None:
        """Nobody need be told later; with `said`, who looked is told that now, if they were told nothing yet."""
        if outbox.take_back(connection, received.id) and said is not None:
            self._tell(connection, received, uuid.uuid4().hex, said)

    def _tell(
        self, connection: Connection, received: Received, number: str, said: str, after: timedelta = timedelta(0)
    ) -> None:
        now = self.engine.tools.clock.now()
        outbox.put(
            connection,
            id=number,
            kind=OutboxKind.ANSWER,
            method="respond",
            channel=received.channel,
            payload=spoken(said).payload(user=received.actor.id),
            now=now,
            not_before=now + after,
        )

    async def _planned(self, received: Received, draft: Draft, external_id: str) -> View:
        if received.payload.get("altered"):
            raise Invalid(forms.KEEP_OUT)
        command = parse_runbook(received.text)
        if isinstance(command, ScheduleCommand) and command.request is not None:
            return await self._considered(command, command.request, received, draft, external_id)
        if not isinstance(command, RunCommand):
            raise Invalid("What was filled in cannot be read. Go back, and change it.")
        prospect = await self.engine.look_ahead(_request(command, received.actor))
        page = forms.plan_page(
            prospect,
            command,
            text=received.text,
            planned=received.id,
            draft=draft,
            external_id=external_id,
            template=await self._keep_template(received),
        )
        if prospect.plan is not None:
            await self.engine.tools.database.write(inbox.answered, received.id, _to_keep(prospect, whole=page.whole))
        return page.view

    async def _considered(
        self, command: ScheduleCommand, request: RunCommand, received: Received, draft: Draft, external_id: str
    ) -> View:
        """What the schedule would be, and what it would do if it came now; of that, as much as can be known."""
        considered = await self.schedules.consider(command, received.actor, received.channel, Origin.MODAL)
        prospect, trouble = None, ""
        try:
            prospect = await self.engine.look_ahead(_request(request, received.actor))
        except StorageUnavailable:
            raise
        except OperatorError as error:  # a host that does not answer now may answer then
            trouble = error.message
        button = "Create" if considered.former is None else "Replace" if considered.replaces else None
        return forms.schedule_page(
            self.schedules.outlook(considered),
            text=received.text,
            draft=draft,
            external_id=external_id,
            prospect=prospect,
            trouble=trouble,
            button=button,
        )

    async def _keep_template(self, received: Received) -> str | None:
        """Keep what was filled in under the name that was given with it: what became of that, None without a name."""
        name = received.payload.get("template")
        if not name:
            return None
        template = Template(
            name=str(name).lower(),
            text=received.text,
            saved_by=received.actor,
            saved_at=self.engine.tools.clock.now(),
        )
        manages = self.engine.policy.may(received.actor.id, Permission.SCHEDULES)
        answer = await self.engine.tools.database.write(templates.save, template, manages=manages, origin=Origin.MODAL)
        return answer.message

    async def seen(self, received: Received) -> Seen | None:
        """The plan that somebody saw and now wants to run; None for what was typed. Raises TooLate, Invalid."""
        planned = received.payload.get("planned")
        if not planned:
            return None
        again = "Nothing was run. Ask for it again, to see a new plan."
        found = await self.engine.tools.database.read(inbox.find, str(planned))
        looked, answer = found or (None, None)
        if looked is None or answer is None:
            raise TooLate(f"The plan you saw is not kept any more. {again}")
        is_look = looked.kind == "view" and looked.payload.get("verb") == forms.FORM
        if not is_look or looked.actor.id != received.actor.id or looked.text != received.text:
            raise Invalid(f"That is not the plan of this request. {again}")
        expire = self.engine.policy.expire
        if received.received_at - looked.received_at > expire:
            raise TooLate(f"The plan you saw is older than {words(expire.total_seconds())}. {again}")
        kept = json.loads(answer)
        return Seen(plan=from_json(kept["plan"]), fingerprint=kept["fingerprint"], whole=kept["whole"])


def _without_its_page(received: Received, why: str) -> str:
    """How to go on, in words. What was filled in is named only if it is kept as it was."""
    if received.payload.get("altered"):
        return f"{why}. Nothing came of it. Fill it in again."
    typed = " ".join(html.unescape(received.text).replace("`", "ˋ").split())
    parsed = parse_runbook(received.text)
    if isinstance(parsed, ScheduleCommand):
        return f"{why}. Nothing was scheduled. `/runbook {typed}` makes the schedule."
    if isinstance(parsed, RunCommand) and parsed.dry_run:
        return f"{why}. `/runbook {typed}` shows it."
    return f"{why}. Nothing was run. `/runbook {typed} --dry-run` shows the plan, and without `--dry-run` it is run."


def _to_keep(prospect: Prospect, *, whole: bool) -> str:
    if prospect.plan is None:
        raise AssertionError("only a plan is kept")
    return canonical({"plan": to_json(prospect.plan), "fingerprint": prospect.fingerprint, "whole": whole})


def _text_of(entry: Entry, draft: Draft) -> str:
    """What was filled in, as it would be typed."""
    if draft.timing is not None:
        return schedule_spelling(forms.schedule_of(entry, draft, draft.timing))
    return spelling(forms.command_of(entry, draft))


def _request(command: RunCommand, actor: Actor) -> RunRequest:
    """What was filled in, as the engine is asked."""
    return RunRequest(
        actor=actor,
        origin=Origin.MODAL,
        runbook=command.runbook,
        values=command.values,
        named=command.named,
        targets=command.targets,
        dry_run=command.dry_run,
        reason=command.reason,
        priority=command.priority,
        emergency=command.emergency,
        rollout=command.rollout,
    )


def _thread_of(received: Received) -> str | None:
    thread = received.payload.get("thread")
    return str(thread) if thread else None


def _place_of(received: Received) -> Draft:
    """Where the picker was opened, and whether it is for a schedule."""
    times = forms.carried({"private_metadata": received.payload.get("metadata")}).timing
    return Draft(channel=received.channel, thread=_thread_of(received), timing=times)


def _host_option(host: Host) -> dict[str, Any]:
    about = ", ".join([*sorted(host.tags), *([host.environment] if host.environment else [])])
    return forms.option(host.name, host.name, about=about)
