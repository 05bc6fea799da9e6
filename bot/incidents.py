"""The door to incidents: what `/incident` and the buttons of its messages mean, each to one change or one answer.

Who may what: looking, notes and drafts take `executions.read`; opening, and all that changes an incident,
`runbooks.execute`. A runbook that is offered is judged like any other request when somebody presses its button. What
the channel is shown of a change is the business of `incident_channels.py`, which reads it from the rows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from bot import blocks, cards, modals
from bot import incident_cards as shown
from bot.blocks import Message
from bot.modals import OpensViews, Shown
from bot.postmortem import attach
from bot.request import IncidentCommand, Unclear, parse_incident
from runbooks import incidents as core
from runbooks.engine import Engine
from runbooks.incidents import Offer, Opening, Outcome, offers
from safety.roles import Permission
from storage import incidents
from storage.errors import Invalid, NotFound, OperatorError, TooLate
from storage.records import (
    Actor,
    Incident,
    IncidentRole,
    IncidentStatus,
    Origin,
    Received,
    RunRequest,
)

MOST_INVITED = 50
LOOKS = frozenset({"show", "list", "timeline", "runbooks", "postmortem", "note", "help"})
"""What takes `executions.read`; all else takes `runbooks.execute`."""
RESOLVE = "handrail:inc_resolve"
Handled = Callable[[Connection], object]
Change = Callable[[Connection, Incident], Outcome | OperatorError]


@dataclass(frozen=True, kw_only=True)
class Customs:
    """The `incidents:` part of the settings: who is invited, and whether channels are made."""

    create: bool = True
    private: bool = False
    invite: tuple[str, ...] = ()


USUAL = Customs()


@dataclass(kw_only=True)
class Incidents:
    """Answers one command or click at a time. `changed` is set when a channel is to be seen to."""

    engine: Engine
    customs: Customs = USUAL
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    # --- /incident ----------------------------------------------------------------------------------------------------

    async def answer(self, received: Received, origin: Origin, handled: Handled) -> Message | None:
        """What to say to the person, or None when the channel shows it. Raises OperatorError."""
        parsed = parse_incident(received.text)
        actor = received.actor
        if isinstance(parsed, Unclear):
            await self._require(actor, Permission.EXECUTIONS_READ, "see incidents", origin)
            suggestion = f" Try `{parsed.suggestion}`." if parsed.suggestion else ""
            return blocks.spoken(f"{parsed.message}{suggestion}")
        needed = Permission.EXECUTIONS_READ if parsed.action in LOOKS else Permission.EXECUTE
        await self._require(actor, needed, f"{parsed.action} incidents", origin)
        looks: Mapping[str, Callable[[], Awaitable[Message]]] = {
            "show": lambda: self._show(received, parsed.number),
            "list": self._list,
            "timeline": lambda: self._timeline(received, parsed.number),
            "runbooks": lambda: self._runbooks(received),
            "help": self._help,
        }
        if parsed.action in looks:
            return await looks[parsed.action]()
        if parsed.action == "postmortem":
            return await self._attach(await self._find(received, parsed.number), received, handled, origin)
        if parsed.action == "open" or (parsed.action == "bind" and parsed.number is None):
            return await self._open(parsed, received, origin, handled)
        return await self._changed(parsed, received, origin, handled)

    async def _require(self, actor: Actor, permission: Permission, what: str, origin: Origin) -> None:
        await self.engine.require(actor, permission, what, origin)

    async def _help(self) -> Message:
        return blocks.markdown(shown.HELP)

    async def _list(self) -> Message:
        database = self.engine.tools.database
        newest = [one for one in await database.read(incidents.newest, 20) if not one.is_open]
        return shown.listing(await database.read(incidents.unresolved), newest[:5])

    async def _find(self, received: Received, number: int | None) -> Incident:
        """The one that is named, else the channel's; raises NotFound."""
        database = self.engine.tools.database
        if number is not None:
            return await database.read(core.find, number)
        found = await database.read(incidents.of_channel, received.channel)
        if found is not None:
            return found
        raise NotFound(
            'This channel is about no incident. `/incident open "checkout is slow" sev2` opens one with a channel of '
            'its own, `/incident bind "checkout is slow" sev2` makes it this one, `/incident list` shows what is open.'
        )

    async def _show(self, received: Received, number: int | None) -> Message:
        incident = await self._find(received, number)
        return shown.headline(incident, self.offers(incident))

    async def _timeline(self, received: Received, number: int | None) -> Message:
        incident = await self._find(received, number)
        return shown.timeline(incident, await self.engine.tools.database.read(core.story, incident))

    async def _runbooks(self, received: Received) -> Message:
        incident = await self._find(received, None)
        found = self.offers(incident)
        if found:
            return shown.headline(incident, found)
        if incident.service is None:
            return blocks.spoken("It names no service, so nothing is offered. `/runbook list` shows all runbooks.")
        return blocks.spoken(f"No host lists the service {incident.service}. `/runbook list` shows all runbooks.")

    def offers(self, incident: Incident) -> list[Offer]:
        """What may help with it."""
        return offers(self.engine.catalog, self.engine.tools.inventory, incident)

    async def _open(self, parsed: IncidentCommand, received: Received, origin: Origin, handled: Handled) -> Message:
        here = parsed.action == "bind" or not self.customs.create
        opening = Opening(
            title=parsed.title,
            actor=received.actor,
            origin=origin,
            severity=parsed.severity or core.USUAL_SEVERITY,
            service=parsed.service,
            asked_in=received.channel,
            here=here,
            invite=() if here else self._invited(received.actor),
        )
        now = self.engine.tools.clock.now()

        def within(connection: Connection) -> Outcome | OperatorError:
            outcome = core.open_incident(connection, opening, now)
            handled(connection)
            return outcome

        outcome = await self._write(within)
        where = f" It is in {blocks.channel_link(outcome.incident.channel)}." if outcome.incident.channel else ""
        said = blocks.inline(outcome.message, 600)
        return blocks.markdown(said + ("" if outcome.is_new else where))

    def _invited(self, opener: Actor) -> tuple[str, ...]:
        """The opener, and whom the settings name; of a group, its members as they are known now."""
        named = self.customs.invite or tuple(filter(None, [self.engine.policy.notify]))
        found = [opener.id] if opener.is_slack else []
        for one in named:
            found += sorted(self.engine.policy.directory.members_of(one) or ()) if one.startswith("S") else [one]
        return tuple(dict.fromkeys(one for one in found if one.startswith(("U", "W"))))[:MOST_INVITED]

    async def _changed(
        self, parsed: IncidentCommand, received: Received, origin: Origin, handled: Handled
    ) -> Message | None:
        how: dict[str, Any] = {"actor": received.actor, "origin": origin, "now": self.engine.tools.clock.now()}
        match parsed:
            case IncidentCommand(action="bind", number=int(number)):

                def bind(connection: Connection) -> Outcome | OperatorError:
                    outcome = core.bind_channel(connection, number, received.channel, **how)
                    handled(connection)
                    return outcome

                return blocks.spoken((await self._write(bind)).message)
            case IncidentCommand(action="severity", severity=int(severity)):
                return await self._apply(received, handled, lambda c, i: core.set_severity(c, i, severity, **how))
            case IncidentCommand(action="status", status=IncidentStatus() as status):
                return await self._apply(received, handled, lambda c, i: core.set_status(c, i, status, **how))
            case IncidentCommand(action="role", role=IncidentRole() as role):
                return await self._apply(
                    received, handled, lambda c, i: core.give_role(c, i, role, parsed.person, **how)
                )
            case IncidentCommand(action="note"):
                return await self._apply(received, handled, lambda c, i: core.note(c, i, parsed.text, **how))
            case IncidentCommand(action="resolve"):
                return await self._apply(received, handled, lambda c, i: core.resolve(c, i, parsed.text, **how))
            case _:
                raise NotFound(f"`/incident {parsed.action}` is not in this version. `/incident help` lists what is.")

    async def _apply(
        self, received: Received, handled: Handled, change: Change, number: int | None = None
    ) -> Message | None:
        """Change the channel's incident, or the one that a button names; the channel is told."""

        def within(connection: Connection) -> Outcome | OperatorError:
            incident = (
                core.current(connection, received.channel) if number is None else core.open_one(connection, number)
            )
            outcome = change(connection, incident)
            handled(connection)
            return outcome

        outcome = await self._write(within)
        return None if outcome.is_new and outcome.incident.channel else blocks.spoken(outcome.message)

    async def _write(self, within: Callable[[Connection], Outcome | OperatorError]) -> Outcome:
        outcome = await self.engine.tools.database.write(within)
        if isinstance(outcome, OperatorError):
            raise outcome
        self.changed.set()
        return outcome

    # --- buttons ------------------------------------------------------------------------------------------------------

    async def take(self, number: int, mark: str | None, received: Received, handled: Handled) -> Message | None:
        """Whoever presses it is the commander."""
        await self._require(received.actor, Permission.EXECUTE, "take command of incidents", Origin.BUTTON)
        how = self._pressed(received)

        def take(connection: Connection, incident: Incident) -> Outcome | OperatorError:
            has = incident.roles.get(IncidentRole.COMMANDER.value)
            if has is not None and has != received.actor.id:
                return TooLate(f"<@{has}> is in command already. `/incident role commander @someone` hands it over.")
            return core.give_role(connection, incident, IncidentRole.COMMANDER, received.actor.id, **how)

        return await self._apply(received, handled, take, number)

    async def status(self, number: int, mark: str | None, received: Received, handled: Handled) -> Message | None:
        """The status that the button names."""
        await self._require(received.actor, Permission.EXECUTE, "change incidents", Origin.BUTTON)
        if mark not in set(IncidentStatus):
            raise Invalid("This button does not say which status it is about. Use `/incident status`.")
        status, how = IncidentStatus(mark), self._pressed(received)
        return await self._apply(received, handled, lambda c, i: core.set_status(c, i, status, **how), number)

    async def timeline(self, number: int, mark: str | None, received: Received, handled: Handled) -> Message | None:
        """Everything with its time, to whoever presses it."""
        await self._require(received.actor, Permission.EXECUTIONS_READ, "see incidents", Origin.BUTTON)
        return await self._timeline(received, number)

    async def postmortem(self, number: int, mark: str | None, received: Received, handled: Handled) -> Message | None:
        """A draft, attached to the incident's channel."""
        await self._require(received.actor, Permission.EXECUTIONS_READ, "see incidents", Origin.BUTTON)
        return await self._attach(await self._find(received, number), received, handled, Origin.BUTTON)

    async def _attach(self, incident: Incident, received: Received, handled: Handled, origin: Origin) -> Message:
        now = self.engine.tools.clock.now()

        def within(connection: Connection) -> str:
            said = attach(connection, incident, received.actor, origin=origin, channel=received.channel, now=now)
            handled(connection)
            return said

        return blocks.spoken(await self.engine.tools.database.write(within))

    async def ask_to_resolve(self, number: int, received: Received, views: OpensViews) -> Message | None:
        """A modal asks for the summary; where it can't be shown, the slash command is named."""
        await self._require(received.actor, Permission.EXECUTE, "resolve incidents", Origin.BUTTON)
        incident = await self._find(received, number)
        if not incident.is_open:
            raise TooLate("It is resolved already.")
        trigger = str(received.payload.get("trigger_id") or "")
        said = f"*{blocks.inline(incident.title)}* is over. What was it, and what helped?"
        view = modals.asks(
            RESOLVE, value=str(incident.id), channel=received.channel, title="Resolve", label="Resolve",
            said=said, asked="Summary",
        )  # fmt: skip
        if trigger and await views.open(trigger, view) is Shown.YES:
            return None
        return blocks.spoken("What was it, and what helped? Say `/incident resolve SUMMARY`.")

    async def resolve(self, number: int, summary: str | None, received: Received, handled: Handled) -> Message | None:
        """What was filled into the modal."""
        await self._require(received.actor, Permission.EXECUTE, "resolve incidents", Origin.MODAL)
        if received.payload.get("altered"):
            raise Invalid("The summary holds what looks like a secret, so it was not kept. Leave the secret out.")
        how = {**self._pressed(received), "origin": Origin.MODAL}
        return await self._apply(received, handled, lambda c, i: core.resolve(c, i, summary or "", **how), number)

    async def try_runbook(self, number: int, mark: str | None, received: Received, handled: Handled) -> Message | None:
        """What only reads is run; of what changes hosts the plan is shown first, and running it is one press more."""
        await self._require(received.actor, Permission.EXECUTE, "run runbooks", Origin.BUTTON)
        incident, offer = await self._offered(number, mark, received)
        if not offer.danger.changes_hosts:
            return await self._submit(incident, offer, received, handled, dry_run=False)
        refused = await self._submit(incident, offer, received, handled, dry_run=True)
        if refused is not None:
            return refused
        where = blocks.channel_link(incident.channel or received.channel or "")
        return shown.run_it(incident, offer, f"The plan of `{blocks.inline(offer.words)}` is being shown in {where}.")

    async def run_runbook(self, number: int, mark: str | None, received: Received, handled: Handled) -> Message | None:
        """Run it: planned anew, and reviewed as whatever is typed."""
        await self._require(received.actor, Permission.EXECUTE, "run runbooks", Origin.BUTTON)
        incident, offer = await self._offered(number, mark, received)
        return await self._submit(incident, offer, received, handled, dry_run=False)

    async def _offered(self, number: int, mark: str | None, received: Received) -> tuple[Incident, Offer]:
        incident = await self._find(received, number)
        if not incident.is_open:
            raise TooLate(f"Incident {number} is resolved. `/runbook` runs what you need.")
        offer = next((one for one in self.offers(incident) if one.runbook == mark), None)
        if offer is None:
            raise TooLate("That is not offered any more. `/incident runbooks` shows what may help now.")
        return incident, offer

    async def _submit(
        self, incident: Incident, offer: Offer, received: Received, handled: Handled, *, dry_run: bool
    ) -> Message | None:
        """None when it is on its way; else why not."""
        request = RunRequest(
            actor=received.actor,
            origin=Origin.BUTTON,
            runbook=offer.runbook,
            named=offer.named,
            targets=offer.hosts,
            channel=incident.channel or received.channel,
            text=offer.words + (" --dry-run" if dry_run else ""),
            dry_run=dry_run,
            reason=f"incident {incident.id}: {incident.title}"[:300],
            request_id=received.id,
        )
        answer = await self.engine.submit(request, also=handled)
        if answer.duplicate and answer.execution is not None:
            return cards.duplicate(answer.execution)
        refused = answer.decision is not None and answer.decision.refusal is not None
        return blocks.spoken(answer.message) if refused or answer.execution is None else None

    def _pressed(self, received: Received) -> dict[str, Any]:
        return {"actor": received.actor, "origin": Origin.BUTTON, "now": self.engine.tools.clock.now()}
