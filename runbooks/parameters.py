"""What a runbook may ask for, and the door every value passes before it is one.

`Parameters` is the base of a runbook's `Params`. Its door looks at each value first: text is one visible line, without
white space at its ends, not longer than it may be, of ASCII characters unless its type takes more, and does not start
with a dash unless its type allows it. Nothing is converted by guess: a number is written in digits, a choice is one of
those listed, and a type that nobody taught the door to read is refused when the class is made. Then the type itself
looks. Every complaint is a sentence for the person who typed the value.

Authors import these names from `runbooks`.
"""

import ipaddress
import re
import types
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    WrapValidator,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined, SchemaError, SchemaValidator, core_schema

from safety.command_guard.telling import gives_credentials
from safety.sealing import checked_name
from storage.errors import DefinitionError, Invalid

LONGEST = 1_000
"""Characters of one value, unless its type says less."""
LARGEST = 10**18
"""No number has more than 18 digits."""


class Names(Enum):
    """What a parameter's value is, where others must know: kill switches, menus, the planner."""

    SERVICE = "service"
    PATTERN = "pattern"
    SECRET = "secret"  # noqa: S105 - the kind, not one


@dataclass(frozen=True, kw_only=True)
class Accepts:
    """What the door lets through to a type, and the words for what it does not."""

    what: str  # follows "is not"
    like: tuple[str, ...]  # examples; each is accepted
    limit: int = LONGEST  # characters
    any_language: bool = False  # letters beyond ASCII
    dash: bool = False  # may start with one; then the plan must put `--` before it
    number: bool = False  # kept as an int
    unit: str = ""  # what a number counts
    least: int | None = None  # of a number that is typed in digits alone
    most: int | None = None

    def wrong(self, value: object, why: str) -> ValueError:
        """The complaint, as one or two sentences."""
        return ValueError(f"{shown(value)} is not {self.what}: {why}. Write it like {_listed(self.like)}.")


_ANYTHING = Accepts(what="a usable value", like=("nginx", "2.4.1"))
_WHOLE = Accepts(what="a whole number", like=("1", "20"), number=True)
_DECIMAL = Accepts(what="a number", like=("1.0", "0.5"), number=True)
_YES_NO = Accepts(what="yes or no", like=("yes", "no"))
_WORDS_FOR_YES_AND_NO = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


# --- the door ---------------------------------------------------------------------------------------------------------


class _Sort(Enum):
    """How the door reads what was typed for a parameter."""

    TEXT = "text"
    WHOLE = "whole"
    DECIMAL = "decimal"
    YES_NO = "yes or no"
    CHOICE = "choice"
    OWN = "own"  # its type brings a validator that reads text


@dataclass(frozen=True, kw_only=True)
class _Door:
    """One parameter's door."""

    sort: _Sort
    optional: bool
    accepts: Accepts
    negative: bool = False
    choices: Mapping[str, Any] = field(default_factory=dict)
    pattern: SchemaValidator | None = None
    form: str = ""  # what has the form of the pattern, in words

    def read(self, value: Any) -> Any:
        """What its type is given; raises ValueError in words."""
        if value is None:
            if self.optional:
                return None
            raise ValueError(f"it needs a value. Write it like {_listed(self.accepts.like)}.")
        if self.sort is _Sort.CHOICE:
            return self._choice(value)
        if isinstance(value, str):
            _look_at(value, self.accepts, negative=self.negative)
        match self.sort:
            case _Sort.TEXT:
                return self._text(value)
            case _Sort.WHOLE:
                return _whole(value, self.accepts, negative=self.negative)
            case _Sort.DECIMAL:
                return _decimal(value, self.accepts, negative=self.negative)
            case _Sort.YES_NO:
                return _yes_no(value)
            case _:
                return self._own(value)

    def _text(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self.accepts.wrong(value, f"it is {_kind_of(value)}, not text")
        if self.pattern is not None and not _fits(self.pattern, value):
            wanted = f"wanted is the {self.form}" if self.form else "it does not have the form that is asked for"
            raise self.accepts.wrong(value, wanted)
        return value

    def _own(self, value: Any) -> Any:
        wanted: type[Any] = int if self.accepts.number else object
        if isinstance(value, str) or (isinstance(value, wanted) and not isinstance(value, bool)):
            return value
        raise self.accepts.wrong(value, f"it is {_kind_of(value)}")

    def _choice(self, value: Any) -> Any:
        for choice in self.choices.values():
            kept = choice.value if isinstance(choice, Enum) else choice
            if value is choice or (type(value) is type(kept) and value == kept):
                return choice
        if isinstance(value, str):
            found = self.choices.get(value)
            same = [choice for name, choice in self.choices.items() if name.lower() == value.lower()]
            if found is not None or len(same) == 1:
                return found if found is not None else same[0]
        raise ValueError(f"{shown(value)} is none of the choices: {_listed(tuple(self.choices)[:20])}.")


def _look_at(value: str, accepts: Accepts, *, negative: bool) -> None:
    """What holds for every text; raises ValueError."""
    if not value:
        raise accepts.wrong(value, "it is empty")
    if len(value) > accepts.limit:
        raise accepts.wrong(value, f"it has {len(value):,} characters, and at most {accepts.limit:,} are taken")
    for char in value:
        if is_hidden(char):
            raise accepts.wrong(value, f"it holds a hidden character ({_named(char)}); type it instead of pasting it")
    if value != value.strip():
        raise accepts.wrong(value, "it starts or ends with white space")
    if not accepts.any_language and not value.isascii():
        odd = next(char for char in value if not char.isascii())
        raise accepts.wrong(value, f"it holds {shown(odd)} ({_named(odd)}), which is no plain ASCII character")
    if value.startswith("-") and not accepts.dash and not negative:
        why = "it is below zero" if accepts.number else "a value that starts with a dash could be taken for an option"
        raise accepts.wrong(value, why)


_SEEN_AS_NOTHING = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, range(0xFE00, 0xFE10)))
)


def is_hidden(char: str) -> bool:
    """Whether a character is invisible, turns the reading direction, breaks the line, or belongs to nobody."""
    if " " <= char <= "~":
        return False
    category = unicodedata.category(char)
    return (
        category in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
        or char in _SEEN_AS_NOTHING
        or "\U000e0000" <= char <= "\U000e0fff"
    )


def _whole(value: Any, accepts: Accepts, *, negative: bool) -> int:
    if isinstance(value, str):
        if not re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", value):
            raise accepts.wrong(value, "only the digits 0 to 9 are taken, without a leading zero, and at most 18")
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise accepts.wrong(value, f"it is {_kind_of(value)}")
    return int(_in_range(value, accepts, negative=negative))


def _decimal(value: Any, accepts: Accepts, *, negative: bool) -> float:
    if isinstance(value, str):
        if not re.fullmatch(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?", value):
            raise accepts.wrong(value, "only the digits 0 to 9 are taken, with at most one point between them")
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise accepts.wrong(value, f"it is {_kind_of(value)}")
    return float(_in_range(value, accepts, negative=negative))


def _in_range(value: float, accepts: Accepts, *, negative: bool) -> float:
    if value < 0 and not negative:
        raise accepts.wrong(value, "it is below zero")
    if not -LARGEST < value < LARGEST:  # neither are inf and nan
        raise accepts.wrong(value, "nobody means that much")
    return value


def _yes_no(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _WORDS_FOR_YES_AND_NO:
        return _WORDS_FOR_YES_AND_NO[value.lower()]
    raise _YES_NO.wrong(value, "yes, true and on mean yes; no, false and off mean no")


def _fits(pattern: SchemaValidator, value: str) -> bool:
    try:
        pattern.validate_python(value)
    except ValidationError:
        return False
    return True


# --- words ------------------------------------------------------------------------------------------------------------


def shown(value: object, most: int = 60) -> str:
    """A value as it may stand in a sentence: one short line in quotes that hides nothing and mentions nobody."""
    text = value if isinstance(value, str) else _written(value)
    cut = text[:most]
    visible = "".join(f"\\u{ord(char):04x}" if is_hidden(char) else char for char in cut)
    visible = visible.replace("<@", "< @").replace("<!", "< !").replace("`", "'")
    return f"'{visible}{'…' if len(text) > most else ''}'"


def _written(value: object) -> str:
    if isinstance(value, int) and abs(value) >= LARGEST:
        return "a very large number"  # Python itself refuses to write the largest
    return repr(value)


def _named(char: str) -> str:
    return f"U+{ord(char):04X}, {unicodedata.name(char, 'control character').lower()}"


def _kind_of(value: object) -> str:
    kinds = {bool: "yes or no", int: "a number", float: "a number with a point", list: "a list", dict: "a mapping"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def _listed(words: tuple[str, ...]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def what_is_wrong(kind: "type[Parameters]", error: ValidationError, given: Mapping[str, Any]) -> list[str]:
    """What is wrong with each value, a sentence or two each, in nobody's jargon. `given`: what was typed."""
    return [sentence for _, sentence in complaints(kind, error, given)]


def complaints(
    kind: "type[Parameters]", error: ValidationError, given: Mapping[str, Any]
) -> list[tuple[str | None, str]]:
    """The same, each with the name of the parameter it is about; None for what is about several."""
    return [
        (str(item["loc"][0]) if item["loc"] else None, _complaint(kind, item, given))
        for item in error.errors(include_url=False)
    ]


def _complaint(kind: "type[Parameters]", item: ErrorDetails, given: Mapping[str, Any]) -> str:
    name = str(item["loc"][0]) if item["loc"] else ""
    known = kind.model_fields.get(name)
    if item["type"] == "missing":
        meaning = f" ({known.description})" if known is not None and known.description else ""
        return f"'{name}'{meaning} is missing."
    if item["type"] == "extra_forbidden":
        return f"There is no parameter {shown(name)}."
    said = _said(item, given.get(name, item["input"]), unit=accepted(known).unit if known is not None else "")
    said = said if said.endswith((".", "?", "!")) else f"{said}."
    return f"'{name}': {said}" if name else said[:1].upper() + said[1:]


def _said(item: ErrorDetails, value: Any, *, unit: str) -> str:
    context = item.get("ctx", {})
    if item["type"] in {"value_error", "assertion_error"}:
        words = str(context["error"])
        return words if words.strip() else f"{shown(value)} cannot be used here"
    if item["type"] in _BOUNDS:
        bound = f"{next(iter(context.values()), '')}{f' {unit}' if unit else ''}"
        return f"{shown(value)} is {_BOUNDS[item['type']].format(bound)}"
    return f"{shown(value)} cannot be used here"


_BOUNDS = {
    "greater_than_equal": "too little: at least {}",
    "greater_than": "too little: more than {}",
    "less_than_equal": "too much: at most {}",
    "less_than": "too much: less than {}",
    "multiple_of": "not a multiple of {}",
    "string_too_short": "too short: at least {} characters",
    "string_too_long": "too long: at most {} characters",
}


# --- the base ---------------------------------------------------------------------------------------------------------


class Parameters(BaseModel):
    """Base of a runbook's `Params`: unknown names are refused, values never change after validation.

    Making a subclass raises DefinitionError when a parameter's type is not one the door can read, when a default does
    not pass the door, or when a secret would have to be typed.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_default=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=False,
    )
    _doors: ClassVar[Mapping[str, _Door]] = {}

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        cls._doors = {name: _door(f"{cls.__qualname__}.{name}", info) for name, info in cls.model_fields.items()}
        for name, info in cls.model_fields.items():
            if Names.SECRET in _metadata(info) and info.is_required():
                raise DefinitionError(
                    f"{cls.__qualname__}.{name} is a secret, which nobody may type: give it a default that names it."
                )
        if cls.model_fields:
            _check_defaults(cls)

    @field_validator("*", mode="before")
    @classmethod
    def _at_the_door(cls, value: Any, info: ValidationInfo) -> Any:
        return cls._doors[info.field_name or ""].read(value)


def _check_defaults(kind: type[Parameters]) -> None:
    if any(info.default_factory is not None for info in kind.model_fields.values()):
        return  # it may need what was typed
    try:
        kind.model_validate({})
    except ValidationError as error:
        defaults = {name: info.default for name, info in kind.model_fields.items() if not info.is_required()}
        for item in error.errors(include_url=False):
            if item["type"] != "missing" and item["loc"]:
                raise DefinitionError(
                    f"A default of {kind.__qualname__} cannot be used: {_complaint(kind, item, defaults)}"
                ) from error


def positional(
    description: str, default: Any = PydanticUndefined, *, also: Sequence[str] = (), **constraints: Any
) -> Any:
    """A parameter that may be given by place, in the order of the class, as well as by name.

    `also`: other names under which people ask for it.
    """
    extra: dict[str, Any] = {"positional": True, **({"also": list(also)} if also else {})}
    return Field(default, description=description, json_schema_extra=extra, **constraints)


def is_called(name: str, field: FieldInfo) -> tuple[str, ...]:
    """All names of a parameter, its own first."""
    extra = field.json_schema_extra
    return (name, *map(str, extra.get("also", ()) if isinstance(extra, Mapping) else ()))  # type: ignore[arg-type]


def unsaid(params: Parameters) -> tuple[str, ...]:
    """The parameters whose values are what the runbook has for them anyway."""
    return tuple(
        name
        for name, info in type(params).model_fields.items()
        if not info.is_required() and getattr(params, name) == info.get_default(call_default_factory=True)
    )


def is_positional(field: FieldInfo) -> bool:
    """Whether a parameter was declared by `positional`."""
    extra = field.json_schema_extra
    return isinstance(extra, Mapping) and extra.get("positional") is True


def is_secret(info: FieldInfo) -> bool:
    """Whether a parameter names a secret."""
    return Names.SECRET in _metadata(info)


def names_service(info: FieldInfo) -> bool:
    """Whether a parameter names a service."""
    return Names.SERVICE in _metadata(info)


def accepted(info: FieldInfo) -> Accepts:
    """What a parameter's type takes."""
    return _with_examples(next((one for one in reversed(_metadata(info)) if isinstance(one, Accepts)), _ANYTHING), info)


def _with_examples(accepts: Accepts, info: FieldInfo) -> Accepts:
    return replace(accepts, like=tuple(map(str, info.examples))) if info.examples else accepts


def sample(info: FieldInfo) -> str:
    """A value that the parameter takes, where its own bounds and patterns don't narrow it down."""
    door = _door("", info)
    return next(iter(door.choices)) if door.choices else door.accepts.like[0]


def one_of(info: FieldInfo) -> tuple[str, ...]:
    """The choices of a parameter that has some, or yes and no; else nothing."""
    door = _door("", info)
    return ("yes", "no") if door.sort is _Sort.YES_NO else tuple(door.choices)


class Asks(Enum):
    """How a form asks for a parameter."""

    TEXT = "text"
    WHOLE = "whole"  # digits alone
    DECIMAL = "decimal"
    SWITCH = "switch"  # yes or no, with a default that is one of them
    CHOICE = "choice"
    SERVICE = "service"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a form asks for one parameter. Every answer is text, read by the same door as what is typed."""

    name: str
    asks: Asks
    about: str  # the author's words
    example: str
    required: bool
    default: str | None  # as it would be typed
    limit: int  # characters
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None


def questions(kind: type["Parameters"]) -> list[Question]:
    """One for each parameter that a person may give, in the order of the class. Nobody is asked for a secret."""
    return [_question(name, info) for name, info in kind.model_fields.items() if not is_secret(info)]


def _question(name: str, info: FieldInfo) -> Question:
    door = _door("", info)
    default = written(info, info.default) if not info.is_required() and info.default_factory is None else None
    accepts = door.accepts
    digits = accepts.number and accepts.least is not None
    bounds = [(_bound(one, "ge", "gt"), _bound(one, "le", "lt")) for one in _metadata(info)]
    if door.sort is _Sort.CHOICE:
        asks = Asks.CHOICE
    elif door.sort is _Sort.YES_NO:
        asks = Asks.SWITCH if isinstance(info.default, bool) else Asks.CHOICE
    elif names_service(info):
        asks = Asks.SERVICE
    elif door.sort is _Sort.WHOLE or digits:
        asks = Asks.WHOLE
    else:
        asks = Asks.DECIMAL if door.sort is _Sort.DECIMAL else Asks.TEXT
    none_below = 0 if door.sort in {_Sort.WHOLE, _Sort.DECIMAL} and not door.negative else None
    return Question(
        name=name,
        asks=asks,
        about=info.description or "",
        example=sample(info),
        required=info.is_required(),
        default=default,
        limit=accepts.limit,
        choices=one_of(info),
        least=max((b for b in (accepts.least, none_below, *(low for low, _ in bounds)) if b is not None), default=None),
        most=min((b for b in (accepts.most, *(high for _, high in bounds)) if b is not None), default=None),
    )


def _bound(metadata: object, inclusive: str, exclusive: str) -> float | None:
    """What a number must not pass; where it must not be met either, the door has the last word."""
    found = getattr(metadata, inclusive, None)
    found = getattr(metadata, exclusive, None) if found is None else found
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def written(info: FieldInfo, value: Any) -> str | None:
    """A validated value as it would be typed; the door reads the same out of it. None for no value."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    accepts = accepted(info)
    if isinstance(value, int) and value > 0 and accepts is _SECONDS:
        parts = []
        for unit, seconds in _UNITS_OF_TIME.items():
            count, value = divmod(value, seconds)
            parts += [f"{count}{unit}"] if count else []
        return "".join(parts)
    if isinstance(value, int) and value > 0 and accepts is _SIZE:
        power = max((n for n in range(5) if value % 1024**n == 0), default=0)
        return f"{value // 1024**power}{' KMGT'[power].strip()}"
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".")
    return str(value)


def starting_with_a_dash(params: Parameters) -> frozenset[str]:
    """The words that values become, where a program could take them for options."""
    return frozenset(word for _, value in params if (word := str(value)).startswith("-"))


def patterns_of(params: Parameters) -> frozenset[str]:
    """Patterns that a person gave and that can keep a searching engine busy: those that repeat more than once."""
    kind = type(params)
    values = (value for name, value in params if Names.PATTERN in _metadata(kind.model_fields[name]))
    return frozenset(value for value in values if isinstance(value, str) and len(re.findall(r"[*+{]", value)) > 1)


def _metadata(info: FieldInfo) -> list[Any]:
    _, found = _unwrapped(info.annotation)
    return [*found, *info.metadata]


def _unwrapped(annotation: Any) -> tuple[Any, list[Any]]:
    """The plain type inside `Annotated` and `… | None`, and everything that was annotated on the way."""
    if get_origin(annotation) is Annotated:
        inner, *outer = get_args(annotation)
        plain, found = _unwrapped(inner)
        return plain, [*found, *outer]
    if get_origin(annotation) in {Union, types.UnionType}:
        arms = [arm for arm in get_args(annotation) if arm is not types.NoneType]
        return _unwrapped(arms[0]) if len(arms) == 1 else (annotation, [])
    return annotation, []


def _is_optional(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return _is_optional(get_args(annotation)[0])
    return get_origin(annotation) in {Union, types.UnionType} and types.NoneType in get_args(annotation)


def _door(where: str, info: FieldInfo) -> _Door:
    plain, _ = _unwrapped(info.annotation)
    metadata = _metadata(info)
    choices = _choices(plain, where)
    own = any(isinstance(one, BeforeValidator | PlainValidator | WrapValidator) for one in metadata)
    sorts = {str: _Sort.TEXT, int: _Sort.WHOLE, float: _Sort.DECIMAL, bool: _Sort.YES_NO}
    if choices:
        sort = _Sort.CHOICE
    elif own:
        sort = _Sort.OWN
    elif plain in sorts:
        sort = sorts[plain]
    else:
        raise DefinitionError(
            f"{where} is {_type_name(plain)}, which nobody can type safely: use one of the types of `runbooks`, str, "
            "int, float, bool, an Enum or a Literal, or bring a BeforeValidator that reads text."
        )
    by_sort = {_Sort.WHOLE: _WHOLE, _Sort.DECIMAL: _DECIMAL, _Sort.YES_NO: _YES_NO}
    accepts = next((one for one in reversed(metadata) if isinstance(one, Accepts)), by_sort.get(sort, _ANYTHING))
    return _Door(
        sort=sort,
        optional=_is_optional(info.annotation),
        accepts=_with_examples(accepts, info),
        negative=any(_below_zero(one) for one in metadata),
        choices=choices,
        pattern=_whole_pattern(metadata, where),
        form=info.description or "",
    )


def _type_name(plain: Any) -> str:
    return f"a {plain.__name__}" if isinstance(plain, type) else str(plain)


def _choices(plain: Any, where: str) -> dict[str, Any]:
    if get_origin(plain) is Literal:
        found = {str(choice): choice for choice in get_args(plain)}
    elif isinstance(plain, type) and issubclass(plain, Enum):
        found = {str(member.value): member for member in plain}
    else:
        return {}
    for name in found:
        if not name or name.startswith("-") or name != name.strip() or any(map(is_hidden, name)):
            raise DefinitionError(
                f"{where} offers {shown(name)}, which nobody can type as a value: choose another word."
            )
    return found


def _below_zero(metadata: object) -> bool:
    bounds = (getattr(metadata, "ge", None), getattr(metadata, "gt", None))
    return any(isinstance(bound, int | float) and bound < 0 for bound in bounds)


def _whole_pattern(metadata: list[Any], where: str) -> SchemaValidator | None:
    """An author's pattern, for the whole value: pydantic's own is content with a part of it."""
    pattern = next((found for one in metadata if (found := getattr(one, "pattern", None)) is not None), None)
    if pattern is None:
        return None
    text = pattern.pattern if isinstance(pattern, re.Pattern) else str(pattern)
    return _linear(rf"\A(?:{text})\z", where)


def _linear(pattern: str, where: str) -> SchemaValidator:
    """A pattern in an engine that never goes back, so that no value can keep it busy."""
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError as error:
        raise DefinitionError(f"The pattern of {where} cannot be read: write it without looking around.") from error


# --- the types --------------------------------------------------------------------------------------------------------


def _text(read: Callable[[str], str], accepts: Accepts) -> tuple[AfterValidator, Accepts]:
    return AfterValidator(read), accepts


def _first_outside(value: str, allowed: str) -> str | None:
    """The first character that is not of a class, shown; None if there is none."""
    found = re.search(f"[^{allowed}]", value)
    return shown(found[0]) if found else None


_UNIT = Accepts(what="a unit name", like=("nginx", "celery@1", "logrotate.timer"), limit=255)
_UNIT_KINDS = "service|socket|device|mount|automount|swap|target|path|timer|slice|scope"
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def _service_name(value: str) -> str:
    # systemd.unit(5): letters, digits and ":-_.\@"; of backslashes only what systemd-escape makes of other characters.
    odd = _first_outside(_ESCAPE.sub("", value), r"A-Za-z0-9:_.@\-")
    if odd is not None:
        raise _UNIT.wrong(value, f"it holds {odd}; letters, digits, : _ . @ - and escapes like \\x2d are allowed")
    for code in _ESCAPE.findall(value):
        if not re.fullmatch(r"[^\x00-\x1f\x7fA-Za-z0-9/:_]", chr(int(code, 16))):
            raise _UNIT.wrong(value, f"\\x{code} is no escape that systemd-escape makes of a visible character")
    name = value.removesuffix(".service")
    if re.fullmatch(rf".*\.({_UNIT_KINDS})", name) and value != name:
        raise _UNIT.wrong(value, "it ends with two kinds of unit")
    prefix, at, instance = name.partition("@")
    if at and (not instance or re.fullmatch(rf"\.({_UNIT_KINDS})", instance)):
        raise ValueError(
            f"{shown(value)} is a template: name an instance of it, like {prefix or 'celery'}@1{instance}."
        )
    if not prefix or name[0] in ".@" or name.endswith(".") or ".." in name or instance.startswith("@"):
        raise _UNIT.wrong(value, "a name starts with a letter or digit, and has no empty part")
    suffix = "" if re.search(rf"\.({_UNIT_KINDS})\Z", name) else ".service"
    if len(name) + len(suffix) > _UNIT.limit:
        raise _UNIT.wrong(value, f"with its kind it is longer than {_UNIT.limit} characters")
    return name


ServiceName = Annotated[str, *_text(_service_name, _UNIT), Names.SERVICE]
"""A systemd unit; `.service` is dropped, `name@instance` is kept."""

_PATH = Accepts(what="an absolute path", like=("/var/log/nginx", "/srv/app/current"))


def _absolute_path(value: str) -> str:
    if not value.startswith("/"):
        raise _PATH.wrong(value, "it must start with /")
    odd = _first_outside(value, r"A-Za-z0-9 /._@:+,=~\-")
    if odd is not None:
        raise _PATH.wrong(value, f"it holds {odd}; letters, digits, space and / . _ - @ : + , = ~ are allowed")
    path = value[:-1] if len(value) > 2 and value.endswith("/") else value
    parts = path[1:].split("/") if path != "/" else []
    if ".." in parts:
        raise _PATH.wrong(value, "it goes up with '..'; give the path it leads to")
    if "" in parts or "." in parts:
        raise _PATH.wrong(value, "it has an empty or a '.' part; give the plain path")
    if any(part != part.strip() for part in parts):
        raise _PATH.wrong(value, "a part of it starts or ends with white space")
    if any(len(part) > 255 for part in parts):
        raise _PATH.wrong(value, "a part of it has more than 255 characters")
    return path


AbsolutePath = Annotated[str, *_text(_absolute_path, _PATH)]
"""A path from the root, without `..`, `.` or empty parts; a slash at its end is dropped."""

_HOST_NAME = Accepts(what="a host name", like=("web-01", "db-1.example.com"), limit=254)
_HOST_ADDRESS = Accepts(what="a host name or address", like=("web-01", "192.0.2.10", "2001:db8::10"), limit=254)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def _host_name(value: str, accepts: Accepts = _HOST_NAME) -> str:
    name = value.removesuffix(".").lower()
    odd = _first_outside(name, r"a-z0-9.\-")
    if odd is not None:
        raise accepts.wrong(value, f"it holds {odd}; letters, digits, dots and dashes are allowed")
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise accepts.wrong(value, "each part has 1 to 63 letters, digits or dashes, and no dash at its start or end")
    if len(name) > 253:
        raise accepts.wrong(value, "it has more than 253 characters")
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        # Programs read 127.1, 0x7f000001 and 2130706433 as addresses; only a plain address may be one.
        raise accepts.wrong(value, "a name does not end in a number")
    return name


def _host_address(value: str) -> str:
    if ":" in value or re.fullmatch(r"[0-9.]+", value):
        try:
            if "%" in value:
                raise ValueError
            return str(ipaddress.ip_address(value))
        except ValueError:
            raise _HOST_ADDRESS.wrong(value, "no IPv4 or IPv6 address is written like that") from None
    return _host_name(value, _HOST_ADDRESS)


HostName = Annotated[str, *_text(_host_name, _HOST_NAME)]
"""A name after RFC 1123, in lower case."""
HostAddress = Annotated[str, *_text(_host_address, _HOST_ADDRESS)]
"""A host name, or an IPv4 or IPv6 address in its usual form."""

_USER = Accepts(what="a user name", like=("deploy", "www-data"), limit=32)


def _user_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", value) or value.endswith(".") or ".." in value:
        raise _USER.wrong(value, "it starts with a letter or _, and holds letters, digits, _ . and -")
    return value


UserName = Annotated[str, *_text(_user_name, _USER)]
"""An account of the host."""

_WORD = Accepts(what="a plain word", like=("release-42", "report.worker"), limit=128)


def _word(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.:@+-]*", value) or ".." in value:
        raise _WORD.wrong(value, "it starts with a letter, digit or _, and holds letters, digits, _ . : @ + and -")
    return value


Word = Annotated[str, *_text(_word, _WORD)]
"""One word: a version, a queue, a program, an id."""

_TEXT = Accepts(what="a line of text", like=("deploy of friday",), limit=500, any_language=True, dash=True)
Text = Annotated[str, _TEXT]
"""One line of any text, given to a command as one word; a plan puts `--` before it."""

_COMMAND = Accepts(what="a command line", like=("df -h /var", "systemctl status nginx"))
CommandLine = Annotated[str, _COMMAND]
"""One line for a shell on the host, as one word (`sh -c`); the guard reads it too."""

_GLOB = Accepts(what="a file name pattern", like=("*.log", "access-?.gz"), limit=255)


def _glob(value: str) -> str:
    odd = _first_outside(value, r"A-Za-z0-9 ._@:+,=~*?\[\]\-")
    if odd is not None:
        raise _GLOB.wrong(value, f"it holds {odd}; letters, digits, space, . _ - @ : + , = ~ and * ? [ ] are allowed")
    if value.strip(".") == "" or not re.fullmatch(r"(?:[^\[\]]|\[[^\[\]]+\])*", value):
        raise _GLOB.wrong(value, "it names no file, or has a bracket without its partner")
    return value


Glob = Annotated[str, *_text(_glob, _GLOB)]
"""A pattern for one file name, without folders: for `find -name`."""

_PATTERN = Accepts(what="a pattern", like=("ERROR", "timeout|refused"), limit=200)


def _pattern(value: str) -> str:
    try:
        _linear(value, "it")
    except DefinitionError:
        why = "it is no regular expression without references and looking around"
        raise _PATTERN.wrong(value, why) from None
    if _repeats_repetition(value):
        raise _PATTERN.wrong(value, "it repeats a group that can repeat or choose, which may take for ever")
    return value


def _repeats_repetition(pattern: str) -> bool:
    """Whether a group with a quantifier or a choice inside is itself repeated, like `(a+)+` or `(a|ab)*`."""
    variable = [False]  # for each open group: whether it can match in several ways
    pieces = re.findall(
        r"\((?:\?(?:P?<\w+>|[a-zA-Z-]*:))?|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{[0-9]*,?[0-9]*\}|.", pattern, re.DOTALL
    )
    for piece, following in zip(pieces, [*pieces[1:], ""], strict=True):
        if piece.startswith("("):
            variable.append(False)
        elif piece == ")":
            inside = variable.pop() if len(variable) > 1 else False
            if inside and _repeats(following):
                return True
            variable[-1] = variable[-1] or inside
        elif piece in {"|", "?"} or _repeats(piece):
            variable[-1] = True
    return False


def _repeats(piece: str) -> bool:
    return piece in {"*", "+"} or (len(piece) > 2 and piece[0] == "{" and piece not in {"{0}", "{1}", "{0,1}", "{,1}"})


Pattern = Annotated[str, *_text(_pattern, _PATTERN), Names.PATTERN]
"""A regular expression for `grep -E` and the like on the host; Handrail itself never searches with it."""

_SECRET = Accepts(what="the name of a secret", like=("deploy-token", "images/ops"), limit=200)


def _secret(value: str) -> str:
    try:
        return checked_name(value)
    except Invalid:
        why = "it is words of letters, digits, . _ @ and -, with slashes between them"
        raise _SECRET.wrong(value, why) from None


Secret = Annotated[str, AfterValidator(_secret), _SECRET, Names.SECRET]
"""The name of a secret, given as the default by the runbook. Nobody types a secret, or another name."""

_HTTP = Accepts(what="an http address", like=("http://127.0.0.1/health", "https://[::1]:8443/"), limit=2_000)
_HTTP_FORM = re.compile(
    r"https?://([A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/%?=&+\-]*)?", re.ASCII
)


def _http_address(value: str) -> str:
    if not _HTTP_FORM.fullmatch(value):
        raise _HTTP.wrong(value, "it is http:// or https://, a host, a port and a path, without a login")
    if gives_credentials(value):
        raise _HTTP.wrong(value, "a cloud hands out a host's credentials there")
    return value


HttpAddress = Annotated[str, *_text(_http_address, _HTTP)]
"""An address to ask over HTTP: without a login in it, and not where a cloud hands out credentials."""

_PID = Accepts(what="a process id", like=("4711",), limit=20, number=True, least=2, most=4_194_304)
_PORT = Accepts(what="a port", like=("443",), limit=20, number=True, least=1, most=65_535)
_PERCENT = Accepts(what="a percentage", like=("85", "85%"), limit=20, number=True, unit="%")
_SIZE = Accepts(what="a size", like=("100M", "2G", "1.5GiB"), limit=32, number=True, unit="bytes")
_SECONDS = Accepts(what="a duration", like=("30", "90s", "5m", "1h30m"), limit=32, number=True, unit="seconds")
_UNITS_OF_TIME = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
TEN_YEARS = 3_650 * 86_400
MOST_BYTES = 2**60


def _between(least: int, most: int, accepts: Accepts, why: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        number = _whole(value, accepts, negative=True)
        if not least <= number <= most:
            raise accepts.wrong(value, why)
        return number

    return read


_pid = _between(2, 4_194_304, _PID, "they go from 2 to 4194304, and 1 is the system itself")
_port = _between(1, 65_535, _PORT, "ports go from 1 to 65535")
_number_of_percent = _between(0, 100, _PERCENT, "it goes from 0 to 100")


def _percent(value: Any) -> Any:
    is_signed = isinstance(value, str) and re.fullmatch(r"[0-9]+%", value)
    return _number_of_percent(value.removesuffix("%") if is_signed else value)


def _size(value: Any) -> Any:
    size = value
    if isinstance(value, str):
        match = re.fullmatch(r"(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,3}))?([KMGT]?)(I?)(B?)", value.upper())
        if match is None or (match[4] and not match[3]):
            raise _SIZE.wrong(value, "one is a number and K, M, G or T (1024 each; KB, MB and so on are 1000 each)")
        base = 1000 if match[3] and match[5] and not match[4] else 1024
        thousandths = int(match[1]) * 1000 + int((match[2] or "0").ljust(3, "0"))
        whole, rest = divmod(thousandths * base ** " KMGT".index(match[3] or " "), 1000)
        if rest and not match[3]:
            raise _SIZE.wrong(value, "there are no parts of a byte")
        size = whole
    if not 0 <= size <= MOST_BYTES:
        raise _SIZE.wrong(value, "sizes go from 0 to 1048576T")
    return size


def _seconds(value: Any) -> Any:
    length = value
    if isinstance(value, str) and not re.fullmatch(r"[0-9]+", value):
        match = re.fullmatch("".join(f"(?:([0-9]{{1,18}}){unit})?" for unit in _UNITS_OF_TIME), value.lower())
        if match is None:
            raise _SECONDS.wrong(
                value, "one is a number of seconds, or whole numbers with w, d, h, m or s, largest first"
            )
        counts = (int(count or 0) for count in match.groups())
        length = sum(count * unit for count, unit in zip(counts, _UNITS_OF_TIME.values(), strict=True))
    seconds = _whole(length, _SECONDS, negative=False)
    if seconds > TEN_YEARS:
        raise _SECONDS.wrong(value, "at most ten years (3650d) are taken")
    return seconds


def _number(read: Callable[[Any], Any], accepts: Accepts) -> tuple[BeforeValidator, Accepts]:
    return BeforeValidator(read), accepts


Pid = Annotated[int, *_number(_pid, _PID)]
"""A process id; never 1 (the upper bound is Linux's PID_MAX_LIMIT)."""
Port = Annotated[int, *_number(_port, _PORT)]
"""A TCP or UDP port."""
Percent = Annotated[int, *_number(_percent, _PERCENT)]
"""A whole number of percent, also typed with its sign."""
Size = Annotated[int, *_number(_size, _SIZE)]
"""Bytes; also typed as 100M, 2G or 1.5GiB."""
Seconds = Annotated[int, *_number(_seconds, _SECONDS)]
"""Whole seconds; also typed as 90s, 5m, 1h30m or 2d."""


def services_named(params: Parameters) -> tuple[str, ...]:
    """The services that the parameters name, as typed."""
    return tuple(
        str(getattr(params, name))
        for name, info in type(params).model_fields.items()
        if getattr(params, name) is not None and names_service(info)
    )
