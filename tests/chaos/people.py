"""People who keep about twenty executions in flight: they ask, approve, deny, cancel, retry, resume, roll back, give up
and pull kill switches, by chance, from what the thread offers them. What they did is kept: it is the evidence.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bot.playground.delivery import Ack
from bot.playground.state import Message, NotPossible
from bot.playground.workspace import Workspace

CHANNELS = {f"C{number}INC": f"incidents-{number}" for number in range(1, 7)}
"""Several, because one channel takes one post a second."""
ASKERS = ("bob", *(f"asker{number}" for number in range(1, 10)))
APPROVERS = ("carol", "erin")
MOST_UNDER_WAY = 6
"""Requests and clicks that are on their way at once."""
BETWEEN_REQUESTS = 0.3
"""Seconds at least: with more, Slack's own pace would let what must be said pile up."""
PATIENCE = 5.0
"""Seconds before anybody presses the same button again."""

# How often each runbook is asked for, on how many hosts at most.
RUNBOOKS = {
    "quick": (5, 1),
    "steady": (5, 1),
    "sure": (4, 1),
    "mixed": (4, 1),
    "undoable": (3, 1),
    "failing": (2, 1),
    "late": (1, 1),
    "wide": (3, 4),
    "glance": (2, 4),
    "grave": (5, 1),
    "serious": (3, 1),
    "rare": (2, 1),
}
# How much each offer tempts.
TEMPTING = {
    "Approve": 8.0,
    "Confirm": 8.0,
    "Deny": 0.6,
    "Resume": 5.0,
    "Give up": 2.0,
    "Roll back": 0.8,
    "Retry": 0.6,
    "Cancel": 0.3,
    "Run step": 5.0,
    "Continue after": 3.0,
}
# Once they only bring to an end what is open: nothing new is begun.
CLOSING = {"Approve": 8.0, "Confirm": 8.0, "Deny": 1.0, "Resume": 3.0, "Give up": 6.0, "Run step": 5.0, "Cancel": 0.5}


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A button that somebody sees."""

    message: Message
    label: str
    execution: int
    block: str

    @property
    def kind(self) -> str:
        """`Run step 3 again` is of the kind `Run step`."""
        return next((kind for kind in TEMPTING if self.label.startswith(kind)), self.label)


@dataclass(frozen=True, kw_only=True)
class Done:
    """A command or a click, and what Slack was told about it."""

    who: str
    what: str
    ack: Ack
    tag: str | None = None
    execution: int | None = None
    told_otherwise: bool = False  # who clicked was told that it is not stored yet
    at: datetime | None = None  # when it was clicked

    @property
    def is_stored(self) -> bool:
        """Whether it was acknowledged without the words that it is not stored yet, or could not be recorded."""
        said = str(self.ack.body)
        otherwise = self.told_otherwise or "not yet stored" in said or "could not be recorded" in said
        return self.ack.ok and not otherwise

    @property
    def key(self) -> str:
        """Under which it is in the inbox."""
        return f"{'command' if self.execution is None else 'click'}:{self.ack.trigger_id}"


@dataclass
class People:
    """`living` gives the addresses of the processes that take requests now."""

    workspace: Workspace
    chance: random.Random
    hosts: Sequence[str]
    living: Callable[[], Sequence[str]]
    pace: float = 3.1
    in_flight: int = 20
    open: frozenset[int] = frozenset()  # what has not ended, told by whoever looks into the database
    is_closing: bool = False
    done: list[Done] = field(default_factory=list)
    under_way: int = 0
    approving: int = 0
    switches: dict[str, float] = field(default_factory=dict)
    asked: int = 0
    _asked_at: float = 0.0
    _slowness: float = 0.0  # seconds that the last acknowledgement took
    _pressed: dict[tuple[str, str], float] = field(default_factory=dict)
    _offers: dict[str, tuple[Message, tuple[Offer, ...]]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def live(self) -> None:
        """Until cancelled."""
        try:
            while True:
                if self.living() and self.under_way < MOST_UNDER_WAY:
                    task = asyncio.create_task(self._act())
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                # Who waits for an answer does not go on at full speed.
                await asyncio.sleep(self.chance.uniform(0.02, 0.4) + 2 * self._slowness)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _act(self) -> None:
        self.under_way += 1
        try:
            await self._choose()
        except (NotPossible, KeyError):
            pass  # the button was gone before the finger was there
        finally:
            self.under_way -= 1

    async def _choose(self) -> None:
        if self.switches and (self.is_closing or self.chance.random() < 0.2):
            await self._release()
        elif self.is_closing:
            await self._press(CLOSING)
        elif self.chance.random() < 0.01 and not self.switches:
            await self._engage()
        elif self._may_ask() and self.chance.random() < 0.8:
            await self._ask()
        else:
            await self._press(TEMPTING)

    # --- asking -------------------------------------------------------------------------------------------------------

    def _may_ask(self) -> bool:
        wait = self._asked_at + BETWEEN_REQUESTS - time.monotonic()
        return len(self.open) + self.under_way < self.in_flight and wait <= 0

    async def _ask(self) -> None:
        self._asked_at = time.monotonic()
        self.asked += 1
        tag = f"r{self.asked}"
        names, weights = list(RUNBOOKS), [weight for weight, _ in RUNBOOKS.values()]
        name = self.chance.choices(names, weights)[0]
        hosts = self.chance.sample(list(self.hosts), self.chance.randint(1, RUNBOOKS[name][1]))
        pace = round(self.pace * self.chance.choice((0.2, 1, 1, 2, 5)), 2)
        dry = " --dry-run" if self.chance.random() < 0.08 else ""
        priority = f" --priority {self.chance.choice(('high', 'low'))}" if self.chance.random() < 0.2 else ""
        text = f"/runbook {name} {tag} {pace} on {','.join(sorted(hosts))}{dry}{priority}"
        await self.say(self.chance.choice(ASKERS), text, tag=tag, twice=self.chance.random() < 0.05)

    async def say(self, who: str, text: str, *, tag: str | None = None, twice: bool = False) -> Ack:
        """Type it. `twice`: a network that delivers it a second time."""
        self._route()
        channel = self.chance.choice(list(CHANNELS.values()))
        ack = await self.workspace.command(who, channel, text)
        self._slowness = ack.elapsed
        self.done.append(Done(who=who, what=text, ack=ack, tag=tag))
        if twice:
            await self.workspace.command(who, channel, text, trigger_id=ack.trigger_id)
        return ack

    def _route(self) -> None:
        living = self.living()
        if living:
            self.workspace.events_url = self.chance.choice(list(living))

    # --- kill switches ------------------------------------------------------------------------------------------------

    async def _engage(self) -> None:
        host, name = self.chance.choice(list(self.hosts)), self.chance.choice(list(RUNBOOKS))
        what = self.chance.choice((f"host {host}", f"runbook {name}", "global"))
        now = self.chance.choice((" --now", ""))
        self.switches[what] = 0.0
        await self.say("alice", f"/killswitch {what} on{now}")

    async def _release(self) -> None:
        what = self.chance.choice(list(self.switches))
        ack = await self.say("alice", f"/killswitch {what} off all clear")
        if ack.ok:
            self.switches.pop(what, None)

    # --- pressing -----------------------------------------------------------------------------------------------------

    async def _press(self, tempting: dict[str, float]) -> None:
        offers = [o for o in self.offers() if o.kind in tempting]
        # Mostly what is open; of the rest the newest, now and then a button that no longer means anything.
        stale = [] if self.is_closing or self.chance.random() < 0.8 else offers[-30:]
        now = time.monotonic()
        recent = [
            offer
            for offer in [*(o for o in offers if o.execution in self.open), *stale]
            if now - self._pressed.get((offer.message.ts, offer.label), -PATIENCE) >= PATIENCE
        ]
        if not recent:
            return
        chosen = self.chance.choices(recent, [tempting[offer.kind] for offer in recent])[0]
        self._pressed[chosen.message.ts, chosen.label] = now
        if chosen.kind == "Approve":
            await self._approve(chosen)
        else:
            await self._click(self._who_presses(chosen), chosen)

    async def _approve(self, offer: Offer) -> None:
        """Mostly one of those who may; now and then both at once, or somebody who may not."""
        self.approving += 1
        try:
            luck = self.chance.random()
            people = APPROVERS if luck < 0.15 else ("dave",) if luck < 0.2 else (self.chance.choice(APPROVERS),)
            await asyncio.gather(*(self._click(who, offer) for who in people))
        finally:
            self.approving -= 1

    def _who_presses(self, offer: Offer) -> str:
        if offer.message.visible_to is not None:
            return offer.message.visible_to
        if offer.kind == "Deny":
            return self.chance.choice(APPROVERS)
        if offer.kind == "Confirm":
            return self._asker_of(offer)
        return self.chance.choice(ASKERS)

    def _asker_of(self, offer: Offer) -> str:
        said = str(offer.message.blocks)
        return next((who for who in ASKERS if f"<@U{who.upper()}>" in said), "bob")

    async def _click(self, who: str, offer: Offer) -> None:
        self._route()
        before, at = self._told(who, offer), datetime.now(UTC)
        ack = await self.workspace.click(who, offer.message, offer.label, block_id=offer.block)
        self._slowness = ack.elapsed
        otherwise = self._told(who, offer) > before
        self.done.append(
            Done(who=who, what=offer.label, ack=ack, execution=offer.execution, told_otherwise=otherwise, at=at)
        )

    def _told(self, who: str, offer: Offer) -> int:
        heard = self.workspace.ephemeral(who, offer.message.channel)
        return sum("not yet stored" in message.text for message in heard)

    def offers(self) -> list[Offer]:
        """Every button that somebody sees, oldest message first."""
        found: list[Offer] = []
        for message in messages(self.workspace):
            known = self._offers.get(message.ts)
            if known is None or known[0] is not message:
                known = self._offers[message.ts] = (message, tuple(_buttons(message)))
            found += known[1]
        return found

    # --- the evidence -------------------------------------------------------------------------------------------------

    def wished(self, tag_of: dict[int, str], back: Collection[int]) -> Counter[tuple[str, str]]:
        """(tag, what) -> how often a person asked for one more run: of "all", the "failed" hosts, a step, or "back".

        `back`: executions that roll others back; who retries one of them asks for the way back once more.
        """
        found: Counter[tuple[str, str]] = Counter()
        for one in self.done:
            if one.execution is None or one.execution not in tag_of:
                continue
            if one.what.startswith("Retry") and one.execution in back:
                found[tag_of[one.execution], "back"] += 1
            elif one.what == "Retry":
                found[tag_of[one.execution], "all"] += 1
            elif one.what == "Retry failed hosts":
                found[tag_of[one.execution], "failed"] += 1
            elif one.what == "Roll back":
                found[tag_of[one.execution], "back"] += 1
            elif one.what.startswith("Run step"):
                found[tag_of[one.execution], one.what.split()[2]] += 1
        return found

    def let_go(self) -> set[int]:
        """Executions that a person decided about while a command of theirs might still run."""
        loose = ("Give up", "Roll back", "Continue after", "Run step", "Cancel")
        return {one.execution for one in self.done if one.execution is not None and one.what.startswith(loose)}


def messages(workspace: Workspace) -> list[Message]:
    """All there are in the channels, oldest first."""
    found = [message for channel in CHANNELS for message in workspace.state.all_messages(channel)]
    return sorted(found, key=lambda message: message.ts)


def _buttons(message: Message) -> list[Offer]:
    found: list[Offer] = []
    for block in message.blocks:
        for element in block.get("elements", ()) if block.get("type") == "actions" else ():
            with contextlib.suppress(ValueError):
                found.append(_offer(message, block, element))
    return found


def _offer(message: Message, block: dict[str, Any], element: dict[str, Any]) -> Offer:
    execution = int(str(element.get("value", "")).partition(":")[0])
    label = str(element.get("text", {}).get("text", ""))
    return Offer(message=message, label=label, execution=execution, block=str(block.get("block_id", "")))
