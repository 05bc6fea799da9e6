"""Forms: a runbook's parameters as a modal, and what was filled in read back. Pure: values in, views out.

A person goes picker, form, plan: they choose a runbook, fill in what it asks, and see exactly what would run before
*Run*. A form with a time on it makes a schedule of the same, and its last page says when that fires before *Create*.
Every answer is text, read by the same door as what is typed after `/runbook`, so that both say the same.
Whatever a view holds when it comes back came from outside: reading it never raises.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot import cards
from bot.blocks import Block, context, counted, escape, inline, listed, ours, section, units
from bot.request import RunCommand, ScheduleCommand, spelling
from bot.timing import LINE, NIGHT, USUAL, Timing, timing_of
from runbooks.answer import Prospect
from runbooks.catalog import Entry
from runbooks.parameters import Asks, Question, is_positional, questions, written
from runbooks.plans import StoredPlan, to_json
from safety.clock import words
from storage.errors import Invalid
from storage.records import UNSAID, Consent, Danger, Execution, Priority, Rollout, Template

View = Mapping[str, Any]
Json = dict[str, Any]

PICKER, FORM, PLANNED = "handrail:picker", "handrail:form", "handrail:planned"
"""The views, by callback id."""
PICK = "handrail:pick"
"""What is chosen in the picker, by action id."""
HOSTS, SERVICES, CHOICES = "handrail:hosts", "handrail:services", "handrail:choices"
ZONES = "handrail:zones"
"""What is searched while it is filled in, by action id."""
SUGGESTED = (PICK, HOSTS, SERVICES, CHOICES, ZONES)
TIMES = ("often", "at", "line", "timezone", "name")
"""What a schedule's form asks beside what its runbook does, by block id."""
VALUE = "value"
PARAMETER = "parameter:"
"""Before the name of a parameter, in the id of its block."""
LAST, TEMPLATE = "last:", "template:"
"""Before the number of an execution, or the name of a template, in what is chosen to fill in the form."""

LONGEST_METADATA = 2_900  # Slack takes 3,000
MOST_OPTIONS = 100
LONGEST_OPTION, LONGEST_OPTION_VALUE = 75, 150
MOST_QUESTIONS = 85
"""Parameters of one form: Slack takes 100 blocks."""
MOST_PLAN_BLOCKS = 90
MOST_PLAN_BYTES = 180_000  # Slack takes 250,000 in a view
LONGEST_REASON = 600
KEEP_OUT = (
    "This looks like a secret, and what is filled in here stays in histories and logs: leave it out. If it was real, "
    "change it now."
)
MASKED = "A value was masked because it looked like a secret, so it can't be used."


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A request that is being put together. `values` by parameter, as text; nothing of it was judged."""

    runbook: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    dry_run: bool = False
    emergency: bool = False
    reason: str | None = None
    priority: Priority = Priority.NORMAL
    rollout: Rollout = UNSAID
    channel: str | None = None
    thread: str | None = None  # of the message it is about
    template: str | None = None  # the name under which it is to be kept
    timing: Timing | None = None  # when a schedule makes it; None for what is run once, now


NOWHERE = Draft()


# --- the picker -------------------------------------------------------------------------------------------------------


def picker(*, channel: str | None, thread: str | None = None, timing: Timing | None = None) -> View:
    """Which runbook? It needs nothing that takes time: what it offers is asked for once it is open."""
    then = "Next you fill in what it needs, then you see the plan. Nothing runs before that."
    if timing is not None:
        then = "Next you say when and fill in what it needs, then you see when it fires. Nothing is kept before that."
    select = {
        "type": "external_select",
        "action_id": PICK,
        "min_query_length": 0,
        "placeholder": plain("Search runbooks"),
        "focus_on_load": True,
    }
    return {
        "type": "modal",
        "callback_id": PICKER,
        "private_metadata": _metadata(Draft(channel=channel, thread=thread, timing=timing)),
        "title": plain("Run a runbook" if timing is None else "New schedule"),
        "close": plain("Cancel"),
        "blocks": [
            section("*Which runbook?* What was run here last comes first."),
            {"type": "actions", "block_id": "pick", "elements": [select]},
            context(then),
        ],
    }


def runbook_options(
    entries: Sequence[Entry], last: Sequence[Execution], typed: str, templates: Sequence[Template] = ()
) -> Json:
    """What the picker offers as far as it matches what was typed: what was run here last, templates, the runbooks."""
    known = {entry.name: entry for entry in entries}
    again = [(one, _typed(one, known[one.runbook])) for one in last if one.runbook in known]
    groups = [("Run here last", [_last_option(one, text) for one, text in again if matches(typed, [text])])]
    kept = [one for one in templates if matches(typed, [one.name, one.text])]
    groups.append(("Templates", [option(one.name, f"{TEMPLATE}{one.name}", about=readable(one.text)) for one in kept]))
    found = [entry for entry in entries if matches(typed, _words_of(entry))]
    found.sort(key=lambda entry: not matches(typed, [entry.name, *entry.runbook.aliases]))  # called so before about it
    for category in dict.fromkeys(str(entry.runbook.category) for entry in found):
        of_it = [_runbook_option(entry) for entry in found if str(entry.runbook.category) == category]
        groups.append((category.capitalize(), of_it))
    return groups_of(groups)


def _words_of(entry: Entry) -> list[str]:
    return [entry.name, *entry.runbook.aliases, entry.runbook.summary(), str(entry.runbook.category)]


def _runbook_option(entry: Entry) -> Json:
    return option(entry.name, entry.name, about=_in_short(entry.runbook.summary()))


def _in_short(summary: str) -> str:
    """A summary in an option's one line: what is too long ends with its last whole sentence or clause that fits."""
    line = summary.replace("`", "")
    ends = [found.start() for found in re.finditer(r"[.:;,] ", line) if found.start() < LONGEST_OPTION - 1]
    return line if units(line) <= LONGEST_OPTION or not ends else line[: ends[-1]]


def _typed(execution: Execution, entry: Entry) -> str:
    """What would be typed to have it again."""
    command = command_of(entry, last_draft(execution, entry))
    return readable(spelling(replace(command, rollout=UNSAID, priority=Priority.NORMAL)))


def readable(text: str) -> str:
    """A request without Slack's entities, as it was typed."""
    for entity, char in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, char)
    return text


def _last_option(execution: Execution, text: str) -> Json:
    return option(text, f"{LAST}{execution.id}", about=f"#{execution.id}, {execution.state_words}")


def matches(typed: str, texts: Iterable[str]) -> bool:
    """Whether every word that was typed is in one of these."""
    known = " ".join(texts).lower()
    return all(word in known for word in typed.lower().split())


def option(text: str, value: str, *, about: str = "") -> Json:
    """One entry of a menu; cut where Slack would refuse it."""
    shown: Json = {"text": plain(_cut(text, LONGEST_OPTION)), "value": value}
    return shown | ({"description": plain(_cut(about, LONGEST_OPTION))} if about else {})


def groups_of(groups: Sequence[tuple[str, Sequence[Json]]]) -> Json:
    """Named groups of options, a hundred in all; a plain empty list where there is nothing."""
    room, kept = MOST_OPTIONS, []
    for name, options in groups:
        fitting = [one for one in options if len(one["value"]) <= LONGEST_OPTION_VALUE][:room]
        room -= len(fitting)
        if fitting:
            kept.append({"label": plain(_cut(name, LONGEST_OPTION)), "options": fitting})
    return {"option_groups": kept} if kept else {"options": []}


def last_draft(execution: Execution, entry: Entry, place: Draft = NOWHERE) -> Draft:
    """The same again, to be looked at first. `place`: where it is asked for, and when."""
    kind = entry.runbook.Params
    values = {
        name: text
        for name, value in execution.params.items()
        if name in kind.model_fields and (text := written(kind.model_fields[name], value)) is not None
    }
    return replace(
        place,
        runbook=entry.name,
        values=values,
        targets=execution.hosts,
        priority=execution.priority,
        rollout=execution.rollout,
    )


# --- the form ---------------------------------------------------------------------------------------------------------


def form(entry: Entry, draft: Draft, *, may_override: bool = False, problems: Sequence[str] = ()) -> View:
    """What a runbook needs, with what is known already filled in. `problems`: what is wrong with that.

    Raises Invalid when it asks for more than a form can hold.
    """
    asked = questions(entry.runbook.Params)
    metadata = _metadata(draft)
    if len(asked) > MOST_QUESTIONS or units(metadata) > LONGEST_METADATA:
        raise Invalid(f"{entry.name} asks for more than a form can hold: type it. Try `/runbook show {entry.name}`.")
    first = [one for one in asked if one.required or is_positional(entry.runbook.Params.model_fields[one.name])]
    blocks: list[Block] = [section(_about(entry))]
    if problems:
        blocks.append(section(":warning: " + ours(" ".join(problems), 1_500)))
    blocks += _times(draft.timing) if draft.timing is not None else []
    blocks += [_question(one, draft.values.get(one.name)) for one in first]
    blocks.append(_hosts(entry, draft.targets))
    blocks += [_question(one, draft.values.get(one.name)) for one in asked if one not in first]
    blocks += [_secrets(entry)] if len(asked) < len(entry.runbook.Params.model_fields) else []
    blocks += [*_options(draft, may_override=may_override), _reason(draft, may_override=may_override)]
    blocks += [_channel()] if draft.channel is None else []
    blocks += [_template()] if draft.timing is None else []
    blocks += [context(said)] if (said := _carried(draft)) else []
    return {
        "type": "modal",
        "callback_id": FORM,
        "private_metadata": metadata,
        "title": plain(_cut(entry.name, 24)),
        "submit": plain("See the plan" if draft.timing is None else "See when it fires"),
        "close": plain("Cancel"),
        "blocks": blocks,
    }


def _about(entry: Entry) -> str:
    harm = {
        Danger.READ: "It only reads.",
        Danger.LOW: "It changes hosts.",
        Danger.HIGH: "It can do harm.",
        Danger.DANGEROUS: "It is dangerous.",
    }[entry.danger]
    cooldown = entry.cooldown.total_seconds() if entry.danger.changes_hosts else 0
    pause = f" Once in {words(cooldown)} on a host." if cooldown else ""
    most = f" At most {counted(entry.max_hosts, 'host')} at once."
    return f"{inline(entry.runbook.summary())}\n_{harm}{pause}{most}_"


def _question(asked: Question, typed: str | None) -> Block:
    """One input. What was typed and the element can't show is left out: it is among the problems."""
    value = asked.default if typed is None else typed
    return {
        "type": "input",
        "block_id": PARAMETER + asked.name,
        "optional": not asked.required or asked.asks is Asks.SWITCH,
        "label": plain(_cut(asked.name.replace("_", " ").capitalize(), 200)),
        "element": _element(asked, value),
        **({"hint": plain(hint)} if (hint := _hint(asked)) else {}),
    }


def _hint(asked: Question) -> str:
    return _cut(_capital(asked.about), 1_900) if asked.asks is not Asks.SWITCH else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _element(asked: Question, value: str | None) -> Json:
    match asked.asks:
        case Asks.SWITCH:
            ticked = option(_cut(_capital(asked.about) or "Yes", 70), "yes")
            on = value is not None and value.lower() in {"yes", "true", "on"}
            return {
                "type": "checkboxes",
                "action_id": VALUE,
                "options": [ticked],
                **({"initial_options": [ticked]} if on else {}),
            }
        case Asks.CHOICE:
            return _choices(asked, value)
        case Asks.SERVICE:
            known = [option(value, value)] if value and len(value) <= LONGEST_OPTION_VALUE else []
            return {
                "type": "external_select",
                "action_id": SERVICES,
                "min_query_length": 0,
                "placeholder": plain("Search services"),
                **({"initial_option": known[0]} if known else {}),
            }
        case Asks.WHOLE | Asks.DECIMAL:
            return {
                "type": "number_input",
                "action_id": VALUE,
                "is_decimal_allowed": asked.asks is Asks.DECIMAL,
                **({"min_value": _number(asked.least)} if asked.least is not None else {}),
                **({"max_value": _number(asked.most)} if asked.most is not None else {}),
                **({"initial_value": value} if value is not None and _is_number(value, asked) else {}),
                "placeholder": plain(_cut(asked.example, 140)),
            }
        case _:
            fits = value is not None and 0 < units(value) <= asked.limit and "\n" not in value
            return {
                "type": "plain_text_input",
                "action_id": VALUE,
                "max_length": asked.limit,
                **({"initial_value": value} if fits else {}),
                "placeholder": plain(_cut(asked.example, 140)),
            }


def _choices(asked: Question, value: str | None) -> Json:
    """A menu; a searched one where there are too many for it; text where they are too long for either."""
    if any(units(one) > LONGEST_OPTION for one in asked.choices):
        return _element(replace(asked, asks=Asks.TEXT), value)
    same = [one for one in asked.choices if value is not None and one.lower() == value.lower()]
    chosen = [value] if value in asked.choices else same[:1]
    start = {"initial_option": option(chosen[0], chosen[0])} if chosen else {}
    if len(asked.choices) > MOST_OPTIONS:
        return {
            "type": "external_select",
            "action_id": CHOICES,
            "min_query_length": 0,
            "placeholder": plain("Search"),
            **start,
        }
    options = [option(one, one) for one in asked.choices]
    return {"type": "static_select", "action_id": VALUE, "options": options, "placeholder": plain("Choose"), **start}


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _is_number(value: str, asked: Question) -> bool:
    """Whether Slack takes it as the start of a number input."""
    digits = value.removeprefix("-")
    whole, _, rest = digits.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 15):
        return False
    if (rest and not (rest.isascii() and rest.isdigit() and asked.asks is Asks.DECIMAL)) or digits.endswith("."):
        return False
    return (asked.least is None or float(value) >= asked.least) and (asked.most is None or float(value) <= asked.most)


def _hosts(entry: Entry, targets: Sequence[str]) -> Block:
    start = [option(one, one) for one in targets if len(one) <= LONGEST_OPTION_VALUE]
    return {
        "type": "input",
        "block_id": "hosts",
        "label": plain("On which hosts"),
        "element": {
            "type": "multi_external_select",
            "action_id": HOSTS,
            "min_query_length": 0,
            "placeholder": plain("Search hosts and tags"),
            **({"initial_options": start[:MOST_OPTIONS]} if start else {}),
        },
    }


def _secrets(entry: Entry) -> Block:
    kind = entry.runbook.Params
    asked = {one.name for one in questions(kind)}
    names = [f"`{inline(info.default)}`" for name, info in kind.model_fields.items() if name not in asked]
    return context(f"It gets stored secrets by itself: {', '.join(names)}. Nobody types one.")


def _times(timing: Timing) -> list[Block]:
    """When, in whose time, and under which name."""
    offered = [*(option(name, often) for often, (name, _) in USUAL.items()), option("The cron line below", LINE)]
    chosen = [one for one in offered if one["value"] == timing.often]
    often = {"type": "static_select", "action_id": VALUE, "options": offered, "placeholder": plain("Choose")}
    zone = [option(timing.timezone, timing.timezone)] if 0 < len(timing.timezone) <= LONGEST_OPTION else []
    zones = {
        "type": "external_select",
        "action_id": ZONES,
        "min_query_length": 0,
        "placeholder": plain("Search time zones"),
    }
    return [
        _input("often", "How often", {**often, **({"initial_option": chosen[0]} if chosen else {})}),
        _input(
            "at",
            "At",
            {"type": "timepicker", "action_id": VALUE, "initial_time": timing.at or NIGHT},
            hint="Of every hour only the minutes count; of a cron line nothing does.",
            optional=True,
        ),
        _input(
            "line",
            "Cron line",
            _text_input(timing.line, 100, "*/30 8-18 * * mon-fri"),
            hint="For any other time: minute, hour, day of month, month, day of week.",
            optional=True,
        ),
        _input("timezone", "Time zone", {**zones, **({"initial_option": zone[0]} if zone else {})}),
        _input(
            "name",
            "Name",
            _text_input(timing.name, 64, "nightly cleanup"),
            hint="Without one it is called after its runbook. A name that is taken replaces that schedule.",
            optional=True,
        ),
    ]


def _input(block_id: str, label: str, element: Json, *, hint: str = "", optional: bool = False) -> Block:
    more = {"hint": plain(hint)} if hint else {}
    shown = {"type": "input", "block_id": block_id, "optional": optional, "label": plain(label), "element": element}
    return {**shown, **more}


def _text_input(value: str, most: int, example: str) -> Json:
    fits = 0 < units(value) <= most and "\n" not in value
    return {
        "type": "plain_text_input",
        "action_id": VALUE,
        "max_length": most,
        **({"initial_value": value} if fits else {}),
        "placeholder": plain(example),
    }


DRY_RUN, EMERGENCY = "dry_run", "emergency"


def _options(draft: Draft, *, may_override: bool) -> list[Block]:
    offered = [option("Dry run: show the plan in the channel, run nothing", DRY_RUN)]
    if (
        may_override and draft.timing is None
    ) or draft.emergency:  # what was asked for is refused by its gate, and not dropped here
        offered.append(option("Emergency: run in spite of kill switches", EMERGENCY))
    chosen = {DRY_RUN: draft.dry_run, EMERGENCY: draft.emergency}
    start = [one for one in offered if chosen[one["value"]]]
    element = {"type": "checkboxes", "action_id": VALUE, "options": offered}
    return [
        {
            "type": "input",
            "block_id": "options",
            "optional": True,
            "label": plain("Options"),
            "element": {**element, **({"initial_options": start} if start else {})},
        }
    ]


def _reason(draft: Draft, *, may_override: bool) -> Block:
    reason = draft.reason if draft.reason and 0 < units(draft.reason) <= LONGEST_REASON else None
    return {
        "type": "input",
        "block_id": "reason",
        "optional": True,
        "label": plain("Reason"),
        "hint": plain(
            "An emergency needs one. Whoever approves reads it." if may_override else "Whoever approves reads it."
        ),
        "element": {
            "type": "plain_text_input",
            "action_id": VALUE,
            "max_length": LONGEST_REASON,
            **({"initial_value": reason} if reason else {}),
        },
    }


def _template() -> Block:
    return {
        "type": "input",
        "block_id": "template",
        "optional": True,
        "label": plain("Keep as a template"),
        "hint": plain("A name, under which it is found here and run by /runbook template run NAME."),
        "element": {
            "type": "plain_text_input",
            "action_id": VALUE,
            "max_length": 64,
            "placeholder": plain("weekly-cleanup"),
        },
    }


def _channel() -> Block:
    return {
        "type": "input",
        "block_id": "channel",
        "label": plain("Channel it reports in"),
        "element": {
            "type": "conversations_select",
            "action_id": VALUE,
            "default_to_current_conversation": True,
            "filter": {"include": ["public", "private"], "exclude_bot_users": True},
        },
    }


def _carried(draft: Draft) -> str:
    """What was typed and is not asked here, so that nobody wonders whether it still counts."""
    said = [f"priority {draft.priority}"] if draft.priority is not Priority.NORMAL else []
    said += [f"waves {draft.rollout.waves}"] if draft.rollout.waves is not None else []
    said += [f"{words(draft.rollout.pause)} between two"] if draft.rollout.pause is not None else []
    said += [f"at most {draft.rollout.max_failures} may fail"] if draft.rollout.max_failures is not None else []
    return f"As asked: {inline(', '.join(said))}." if said else ""


# --- reading it back --------------------------------------------------------------------------------------------------


def carried(view: View) -> Draft:
    """What a view carries with it beside what is filled in."""
    try:
        kept = json.loads(str(view.get("private_metadata") or "{}"))
    except (ValueError, RecursionError):
        kept = {}
    kept = kept if isinstance(kept, dict) else {}
    texts = {name: value for name, value in kept.items() if isinstance(value, str) and value}
    pause = kept.get("pause")
    priority = texts.get("priority", "")
    return Draft(
        runbook=texts.get("runbook", ""),
        priority=Priority(priority) if priority in set(Priority) else Priority.NORMAL,
        rollout=Rollout(
            waves=texts.get("waves"),
            pause=float(pause) if isinstance(pause, int | float) and 0 <= pause < 10**9 else None,
            max_failures=texts.get("max_failures"),
        ),
        channel=texts.get("channel", "")[:40] or None,
        thread=texts.get("thread", "")[:40] or None,
        timing=_carried_timing(kept.get("timing")),
    )


def _carried_timing(kept: object) -> Timing | None:
    if not isinstance(kept, Mapping):
        return None
    cron, zone, name = (str(kept.get(key) or "") for key in ("cron", "timezone", "name"))
    return timing_of(cron[:100], timezone=zone[:64], name=name[:64])


def _metadata(draft: Draft) -> str:
    rollout, timing = draft.rollout, draft.timing
    kept: dict[str, Any] = {
        "runbook": draft.runbook,
        "priority": draft.priority.value if draft.priority is not Priority.NORMAL else None,
        "waves": rollout.waves,
        "pause": rollout.pause,
        "max_failures": rollout.max_failures,
        "channel": draft.channel,
        "thread": draft.thread,
    }
    if timing is not None:
        kept["timing"] = {"cron": timing.cron[:100], "timezone": timing.timezone[:64], "name": timing.name[:64]}
    return _kept(kept)


def _kept(values: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in values.items() if value not in (None, "")}, ensure_ascii=False)


def filled(view: View) -> Draft:
    """A form as it stands: while something is searched in it, or when it is submitted."""
    state = view.get("state")
    state = state.get("values") if isinstance(state, Mapping) else None
    answers = {str(block): _answer(inputs) for block, inputs in (state.items() if isinstance(state, Mapping) else ())}
    draft, options = carried(view), answers.get("options", [])
    channel, reason = answers.get("channel", []), answers.get("reason", [])
    template = answers.get("template", [])
    return replace(
        draft,
        values={
            block.removeprefix(PARAMETER): found[0]
            for block, found in answers.items()
            if block.startswith(PARAMETER) and found
        },
        targets=tuple(answers.get("hosts", [])),
        dry_run=DRY_RUN in options,
        emergency=EMERGENCY in options,
        reason=" ".join(reason[0].split()) or None if reason else None,
        channel=draft.channel or (channel[0][:40] if channel else None),
        template=template[0] if template and draft.timing is None else None,
        timing=None if draft.timing is None else _filled_timing(answers),
    )


def _filled_timing(answers: Mapping[str, list[str]]) -> Timing:
    often, at, line, zone, name = ((answers.get(block) or [""])[0] for block in TIMES)
    return Timing(often=often, at=at, line=line, timezone=zone, name=" ".join(name.split()))


def _answer(inputs: object) -> list[str]:
    """What one input block holds, as text; unticked boxes and empty inputs are nothing."""
    held = next(iter(inputs.values()), None) if isinstance(inputs, Mapping) else None
    if not isinstance(held, Mapping):
        return []
    chosen = held.get("selected_options")
    one = held.get("selected_option")
    options = [*(chosen if isinstance(chosen, list) else []), *([one] if one else [])]
    found = [str(o["value"]) for o in options if isinstance(o, Mapping) and isinstance(o.get("value"), str)]
    for name in ("value", "selected_conversation", "selected_time"):
        if isinstance(held.get(name), str) and held[name].strip():
            found.append(held[name].strip())
    return found


def command_of(entry: Entry, draft: Draft) -> RunCommand:
    """The request as it would be typed: what is as it is anyway is left out."""
    kind = entry.runbook.Params
    asked = {one.name: one for one in questions(kind)}
    given = {name: value for name, value in draft.values.items() if name in asked and value != asked[name].default}
    for name, one in asked.items():
        if one.asks is Asks.SWITCH and name not in draft.values and one.default == "yes":
            given[name] = "no"
    places: list[str] = []
    for name in (name for name, info in kind.model_fields.items() if is_positional(info)):
        if name not in given:
            break
        places.append(given.pop(name))
    return RunCommand(
        runbook=entry.name,
        values=tuple(places),
        named=given,
        targets=draft.targets,
        dry_run=draft.dry_run,
        emergency=draft.emergency,
        reason=draft.reason,
        priority=draft.priority,
        rollout=draft.rollout,
    )


def schedule_of(entry: Entry, draft: Draft, timing: Timing) -> ScheduleCommand:
    """The schedule as it would be typed."""
    return ScheduleCommand(
        action="make",
        name=timing.name,
        cron=timing.cron,
        timezone=timing.timezone or None,
        request=command_of(entry, draft),
    )


# --- the plan ---------------------------------------------------------------------------------------------------------


def planning(title: str, where: Sequence[str], *, external_id: str) -> View:
    """What stands there while the hosts are looked at."""
    looking = f":hourglass_flowing_sand: Looking at {listed(where, 5)} and making the plan. Nothing is changed."
    return _page(title, [section(looking)], external_id=external_id)


def note(title: str, said: str, *, external_id: str | None = None) -> View:
    """A page that only says something."""
    return _page(title, [section(ours(said))], external_id=external_id)


def _page(title: str, blocks: Sequence[Block], *, external_id: str | None) -> View:
    return {
        "type": "modal",
        "callback_id": PLANNED,
        "title": plain(_cut(title, 24)),
        "close": plain("Back"),
        "blocks": list(blocks),
        **({"external_id": external_id} if external_id else {}),
    }


@dataclass(frozen=True, kw_only=True)
class PlanPage:
    """The last page, and whether the whole plan is on it."""

    view: View
    whole: bool


def plan_page(
    prospect: Prospect,
    command: RunCommand,
    *,
    text: str,
    planned: str,
    draft: Draft,
    external_id: str,
    template: str | None = None,
) -> PlanPage:
    """Exactly what would run, what the gates say to it, and *Run* where it may go on.

    `text`: the request as it would be typed. `planned`: where the plan is kept until then. `template`: what became of
    keeping it as one.
    """
    shown, left_out = _fitting(list(cards.plan_blocks(to_json(prospect.plan))) if prospect.plan is not None else [])
    blocks: list[Block] = [
        section(f"*{inline(readable(text), 600)}*"),
        section(_outcome(prospect, command, whole=not left_out)),
    ]
    blocks += [context(f":bookmark: {ours(template, 600)}")] if template else []
    blocks += shown
    if left_out:
        blocks.append(context(f"_{counted(left_out, 'more part')} of the plan not shown here: the thread has all._"))
    if prospect.plan is not None:
        blocks.append(context(_footer(prospect, prospect.plan)))
    page = dict(_page("The plan", blocks, external_id=external_id))
    if prospect.decision.refusal is None and prospect.plan is not None:
        page["private_metadata"] = _of_page(text, planned, draft)
        page["submit"] = plain(_run_label(prospect, command))
    return PlanPage(view=page, whole=not left_out)


def schedule_page(
    said: Sequence[str],
    *,
    text: str,
    draft: Draft,
    external_id: str,
    prospect: Prospect | None = None,
    trouble: str = "",
    button: str | None = "Create",
) -> View:
    """The last page of a schedule: what is `said` of it, and what it would do if it came now.

    `said`: paragraphs of ready mrkdwn, the last of them small print. `prospect`: what it would do, or None, and then
    `trouble` says why that is not known. `button`: None where it can't be made.
    """
    blocks: list[Block] = [*map(section, said[:-1]), context(said[-1])]
    plan = prospect.plan if prospect is not None else None
    refusal = prospect.decision.refusal if prospect is not None else None
    if refusal is not None:
        why = f"If it came now, it would be refused by the {refusal.gate} gate: {ours(refusal.reason, 800)}"
        blocks.append(section(f":no_entry: {why} Each time is judged anew."))
    if trouble:
        blocks.append(section(f":warning: What it would do now is not known: {ours(trouble, 800)}"))
    if plan is not None and prospect is not None:
        shown, left_out = _fitting(list(cards.plan_blocks(to_json(plan))), room=MOST_PLAN_BLOCKS - len(blocks))
        blocks += [section("*If it came now* (it is planned anew each time)"), *shown]
        blocks += [context(f"_{counted(left_out, 'more part')} of the plan not shown here._")] if left_out else []
        blocks.append(context(_footer(prospect, plan)))
    page = dict(_page("The schedule", blocks, external_id=external_id))
    if button is not None:
        page["private_metadata"] = _of_page(text, "", draft)
        page["submit"] = plain(button)
    return page


def _footer(prospect: Prospect, plan: StoredPlan) -> str:
    steps = f"{counted(plan.steps_total, 'step')} on {counted(len(plan.hosts), 'host')}"
    more = " · what follows is planned once these have run" if plan.goes_on else ""
    return f"{steps} · fingerprint `{inline((prospect.fingerprint or '')[:16])}`{more}"


def _of_page(text: str, planned: str, draft: Draft) -> str:
    return _kept({"text": text, "planned": planned, "channel": draft.channel, "thread": draft.thread})


def fits(text: str, draft: Draft) -> bool:
    """Whether a plan page can carry this request."""
    return units(_of_page(text, "0" * 32, draft)) <= LONGEST_METADATA


def _run_label(prospect: Prospect, command: RunCommand) -> str:
    if command.dry_run:
        return "Dry run"
    ask = prospect.decision.ask
    return "Ask for approval" if ask is not None and ask.consent is Consent.APPROVE else "Run"


def _outcome(prospect: Prospect, command: RunCommand, *, whole: bool) -> str:
    """What pressing the button does, in the gates' own words."""
    refusal, ask = prospect.decision.refusal, prospect.decision.ask
    if refusal is not None:
        return f":no_entry: This would be refused by the {refusal.gate} gate: {ours(refusal.reason, 800)}"
    if command.dry_run:
        return ":mag: A dry run: the channel is shown this plan, and nothing is run."
    if ask is not None and ask.consent is Consent.APPROVE:
        needed = " and ".join(demand.words for demand in prospect.decision.demands)
        return f":raised_hand: It waits for the approval of {escape(needed)}: {ours(ask.reason, 800)}"
    if ask is not None and not whole:
        return ":warning: It can do harm. As this page can't show all of it, its thread asks you to confirm it."
    if ask is not None:
        return ":warning: It can do harm. *Run* confirms that this is what you want."
    return f":white_check_mark: It runs as soon as you press *{_run_label(prospect, command)}*."


def _fitting(blocks: Sequence[Block], room: int = MOST_PLAN_BLOCKS) -> tuple[list[Block], int]:
    """The blocks that Slack takes in a view with room for so many, and how many were left out."""
    left, kept = MOST_PLAN_BYTES, []
    for block in blocks[:room]:
        left -= len(json.dumps(block))
        if left < 0:
            break
        kept.append(block)
    return kept, len(blocks) - len(kept)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a plan page says when *Run* is pressed."""

    text: str
    planned: str
    channel: str | None
    thread: str | None


def wanted(view: View) -> Wanted:
    """What is to run, and where its plan is kept."""
    try:
        kept = json.loads(str(view.get("private_metadata") or "{}"))
    except (ValueError, RecursionError):
        kept = {}
    kept = kept if isinstance(kept, dict) else {}
    texts = {name: value for name, value in kept.items() if isinstance(value, str)}
    return Wanted(
        text=texts.get("text", "")[:LONGEST_METADATA],
        planned=texts.get("planned", "")[:64],
        channel=texts.get("channel", "")[:40] or None,
        thread=texts.get("thread", "")[:40] or None,
    )


# --- small parts ------------------------------------------------------------------------------------------------------


def plain(text: str) -> Json:
    """Text in which nothing has a meaning of its own."""
    return {"type": "plain_text", "text": text or " ", "emoji": False}


def error_text(sentence: str) -> str:
    """A complaint as it stands beside its field."""
    return _cut(sentence, 1_500)


def _cut(text: str, most: int) -> str:
    """At most so many UTF-16 units of one visible line."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    if units(line) <= most:
        return line
    while units(line) > most - 1:
        line = line[: -max(1, (units(line) - most) // 2)]
    return line + "…"
