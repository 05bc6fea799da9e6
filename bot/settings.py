"""Settings: the environment and `handrail.yml`. This module alone reads the environment.

`load` says everything that is wrong at once, a sentence each, and otherwise returns frozen values that the rooms
understand (`Policy`, `Inventory`, `Catalog`).
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import unquote, urlsplit

import durationpy
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from runbooks import catalog as catalogs
from runbooks.catalog import Catalog, Override
from runbooks.cron import cron_of, next_after, zone_of
from runbooks.inventory import Inventory
from runbooks.remote import Host
from runbooks.waves import budget_of, waves_of
from safety.approval import Demand, Demands, parse_demand
from safety.clock import words
from safety.command_guard import ExtraRule, GuardException, GuardPolicy, Severity
from safety.review import Policy
from safety.roles import PERMISSIONS, Can, Directory, NoGroups, People, Permission, Place, Role
from safety.sealing import Keyring, checked_name, parse_keyring
from safety.token_bucket import Limits, Rate, parse_rate
from storage.database import parse_url
from storage.errors import ConfigurationError, Invalid
from storage.records import Caps, Danger, Platform, Rollout

DEFAULT_DATABASE = "sqlite+aiosqlite:///handrail.db"
SLACK = "https://slack.com/api/"


class Environment(BaseModel):
    """The variables operators set."""

    SLACK_BOT_TOKEN: SecretStr | None = None
    SLACK_SIGNING_SECRET: SecretStr | None = None
    SLACK_APP_TOKEN: SecretStr | None = None
    SLACK_API_URL: str = SLACK
    HANDRAIL_CONFIG: Path = Path("handrail.yml")
    HANDRAIL_DATABASE_URL: SecretStr = SecretStr(DEFAULT_DATABASE)
    HANDRAIL_LISTEN: str = "127.0.0.1:3000"
    HANDRAIL_SECRET_KEY: SecretStr | None = None
    HANDRAIL_SECRET_KEY_FILE: Path | None = None


KNOWN = frozenset(Environment.model_fields)
"""Anything else that starts with HANDRAIL_ is a typing error."""


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        units = re.fullmatch(r"\s*([0-9]+)\s*d\s*", value)
        try:
            length = timedelta(days=int(units[1])) if units else durationpy.from_str(value.strip())
        except Exception as error:  # durationpy raises several kinds
            raise ValueError(f"{value!r} is not a duration: write 90s, 10m, 2h or 30d") from error
        if length < timedelta(0):
            raise ValueError(f"{value!r} is negative")
        return length
    raise ValueError(f"{value!r} is not a duration: write 90s, 10m, 2h or 30d")


def duration(text: str) -> timedelta | None:
    """A duration as it is written in `handrail.yml`; None for what is none."""
    try:
        length: timedelta = _duration(text)
    except ValueError:
        return None
    return length


def _rates(value: Any) -> Any:
    """One rate, or a list of them: windows that must all have room."""
    several = value if isinstance(value, list | tuple) else [value]
    if not several:
        raise ValueError("the list is empty: write one rate like 50/min, or several like [5/min, 7/day]")
    return tuple(one if isinstance(one, Rate) else parse_rate(one) for one in several)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("it must be longer than nothing")
    return value


def _within(least: timedelta, most: timedelta) -> Callable[[timedelta], timedelta]:
    def checked(value: timedelta) -> timedelta:
        if not least <= value <= most:
            raise ValueError(f"it must be from {words(least.total_seconds())} to {words(most.total_seconds())}")
        return value

    return checked


def _said(read: Callable[[str], str]) -> Callable[[str], str]:
    """A reader's Invalid as pydantic takes it."""

    def checked(value: str) -> str:
        try:
            return read(value)
        except Invalid as error:
            raise ValueError(error.message) from None

    return checked


NEVER = "never"


def _weekly(value: str) -> str:
    return NEVER if value.strip().lower() == NEVER else cron_of(value)


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Length = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_positive)]
"""A duration that cannot be zero."""
RateTexts = Annotated[Any, BeforeValidator(_rates)]
PersonId = Annotated[str, Field(pattern=r"^([UWS][A-Z0-9]{1,20}|cli:[A-Za-z0-9._-]{1,60})$")]
ChannelId = Annotated[str, Field(pattern=r"^[CGD][A-Z0-9]{1,20}$")]
Demanded = Annotated[Any, BeforeValidator(parse_demand)]
"""none, confirm, approve, 2, or 2 of S0DBA."""
Pattern = Annotated[str, Field(pattern=r"^([A-Za-z]{3}:)?[A-Za-z0-9*?][A-Za-z0-9._@*?-]{0,252}$")]
"""A name, or one with `*` and `?` for any characters; with `tag:` or `env:` before it where hosts are named."""
GuardName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}$")]
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChannelsPart(_Part):
    """Where announcements and digests go."""

    alerts: ChannelId | None = None
    digest: ChannelId | None = None


class DigestPart(_Part):
    """When digests are posted, and what the time that was saved is estimated by.

    `cron` is that of the daily one, which covers what passed since the one before. `weekly` covers seven days; without
    it, it comes on Mondays at the first time of day of `cron`.
    """

    cron: Annotated[str, AfterValidator(_said(cron_of))] = "0 9 * * 1-5"
    timezone: Annotated[str, AfterValidator(_said(zone_of))] = "UTC"
    weekly: Annotated[str, AfterValidator(_said(_weekly))] | None = None
    by_hand: Duration = timedelta(minutes=5)

    @property
    def first_time(self) -> str:
        """The first time of day that `cron` names, as a cron line begins: "0 9"."""
        minute, hour = self.cron.split()[:2]
        midnight = datetime(2000, 1, 1, tzinfo=UTC)
        first = next_after(f"{minute} {hour} * * *", "UTC", midnight - timedelta(seconds=1)) or midnight
        return f"{first.minute} {first.hour}"

    @property
    def every_day(self) -> str:
        """The cron line of what comes each day, whatever the days of `cron` are."""
        return f"{self.first_time} * * *"

    @property
    def every_week(self) -> str | None:
        """The cron line of the weekly one; None for never."""
        if self.weekly is None:
            return f"{self.first_time} * * 1"
        return None if self.weekly == NEVER else self.weekly


def _alternatives(value: Any) -> Any:
    """One `can`, or a list of them."""
    if isinstance(value, Mapping):
        return (value,)
    if isinstance(value, list) and not value:
        raise ValueError("it is an empty list: leave it out, or say what it limits")
    return value


class CanPart(_Part):
    """Where a role holds. What is left out is no limit; an empty value is a mistake, not a limit that is gone."""

    runbooks: tuple[Pattern, ...] | None = None
    hosts: tuple[Pattern, ...] | None = None
    max_hosts: int | None = Field(default=None, ge=1, le=1000)

    @model_validator(mode="before")
    @classmethod
    def _says_something(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            empty = [str(name) for name, given in value.items() if given is None]
            if empty:
                raise ValueError(f"{', '.join(empty)} is empty: say what it limits, or leave the line out")
            if not value:
                raise ValueError("it limits nothing: name runbooks, hosts or max_hosts, or leave it out")
        return value


Alternatives = Annotated[tuple[CanPart, ...], BeforeValidator(_alternatives)]


class RolePart(_Part):
    """An entry under `roles:`: a role, and where it holds for this person or group."""

    role: Annotated[Role, BeforeValidator(_upper)]
    can: Alternatives = ()


def _role(value: Any) -> Any:
    return {"role": value} if isinstance(value, str) else value


class ApprovalsPart(_Part):
    """Who must consent, by danger, by runbook, and by tag of a host; for how long, and who is told."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    high: Demanded = parse_demand("confirm")
    dangerous: Demanded = parse_demand("approve")
    runbooks: dict[str, Demanded] = Field(default_factory=dict)
    tags: dict[str, Demanded] = Field(default_factory=dict)
    expire: Length = timedelta(minutes=15)
    notify: PersonId | None = None


def _secret_name(value: str) -> str:
    try:
        return checked_name(value)
    except Invalid as error:
        raise ValueError(error.message) from None


def _listed(value: object) -> object:
    """Numbers and lists as YAML has them, as text."""
    if isinstance(value, list):
        return ",".join(str(one) for one in value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class SecretPart(_Part):
    """A stored secret, by its name; its value never stands in the file."""

    secret: Annotated[str, AfterValidator(_secret_name)]


class LoginPart(_Part):
    """What we log in with: a key (from a file, or stored) with its passphrase, or a password."""

    key_file: Path | None = None
    key: SecretPart | None = None
    passphrase: SecretPart | None = None
    password: SecretPart | None = None

    @property
    def names_one(self) -> bool:
        """Whether it says how to log in at all."""
        return self.key_file is not None or self.key is not None or self.password is not None


class SshPart(LoginPart):
    """How hosts are reached."""

    known_hosts: Path = Path("known_hosts")
    user: str = Field(default="ops", pattern=r"^[a-z_][a-z0-9_.-]{0,31}$")


class HostPart(LoginPart):
    """One host. A login of its own stands in place of that of `ssh`, in whole."""

    address: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:_-]{0,252}$")
    port: int = Field(default=22, ge=1, le=65535)
    user: str | None = Field(default=None, pattern=r"^[a-z_][a-z0-9_.-]{0,31}$")
    platform: Annotated[Platform, BeforeValidator(_upper)] = Platform.LINUX
    tags: tuple[str, ...] = ()
    environment: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    services: tuple[str, ...] = ()


class LimitsPart(_Part):
    """Token buckets, and how many hosts at once."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, arbitrary_types_allowed=True)

    global_: RateTexts = Field(default=Limits().everything, alias="global")
    service: RateTexts = Limits().service
    runbook: RateTexts = Limits().runbook
    person: RateTexts = Limits().person
    look: RateTexts = Limits().look


class QueuePart(_Part):
    """How many executions are carried at once over all processes, on one host, of one runbook; how many may wait."""

    running: int = Field(default=Caps().overall, ge=1, le=100_000)
    host: int = Field(default=Caps().host, ge=1, le=1_000)
    runbook: int = Field(default=Caps().runbook, ge=1, le=100_000)
    waiting: int = Field(default=Caps().waiting, ge=1, le=100_000)


class RunbookPart(_Part):
    """What the team overrides of one runbook."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    cooldown: Duration | None = None
    timeout: Length | None = None
    danger: Annotated[Danger, BeforeValidator(_lower)] | None = None
    max_hosts: int | None = Field(default=None, ge=1, le=1000)
    at_once: int | None = Field(default=None, ge=1, le=100_000)
    limit: RateTexts | None = None
    waves: Annotated[str, BeforeValidator(_listed), AfterValidator(_said(waves_of))] | None = None
    pause: Annotated[Duration, AfterValidator(_within(timedelta(0), timedelta(hours=1)))] | None = None
    max_failures: Annotated[str, BeforeValidator(_listed), AfterValidator(_said(budget_of))] | None = None
    rollback: Annotated[Literal["auto", "by hand"], BeforeValidator(_lower)] | None = None
    by_hand: Duration | None = None  # what one host would take by hand, for the digest's estimate

    @property
    def override(self) -> Override:
        """As the catalogue takes it."""
        return Override(
            danger=self.danger,
            cooldown=self.cooldown,
            timeout=self.timeout,
            max_hosts=self.max_hosts,
            rollout=Rollout(
                waves=self.waves,
                pause=self.pause.total_seconds() if self.pause is not None else None,
                max_failures=self.max_failures,
            ),
            rollback=self.rollback == "auto" if self.rollback is not None else None,
        )


class RetentionPart(_Part):
    """How long output and sent messages are kept; the audit and executions are kept for ever."""

    output: Length = timedelta(days=90)
    outbox: Length = timedelta(days=30)


class IncidentsPart(_Part):
    """Whether an incident gets a channel of its own, of which kind, and who is invited beside whoever opens it."""

    create: bool = True
    private: bool = False
    invite: tuple[PersonId, ...] = ()


class GuardRulePart(_Part):
    """One more rule of the command guard; see `docs/guard.md`."""

    name: GuardName
    program: str = Field(min_length=1, max_length=60)
    verdict: Annotated[Severity, BeforeValidator(_lower)]
    reason: str = Field(min_length=1, max_length=300)
    options: tuple[str, ...] = ()
    operands: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class GuardExceptionPart(_Part):
    """A command the team has looked at and allows."""

    name: GuardName
    command: str = Field(min_length=1, max_length=4000)
    pattern: bool = False
    tags: tuple[str, ...] = ()


class GuardPart(_Part):
    """What the team adds to the command guard."""

    rules: tuple[GuardRulePart, ...] = ()
    exceptions: tuple[GuardExceptionPart, ...] = ()

    def policy(self) -> GuardPolicy:
        """As the guard takes it."""
        return GuardPolicy(
            rules=tuple(ExtraRule(**{**dict(one), "tags": frozenset(one.tags)}) for one in self.rules),
            exceptions=tuple(GuardException(**{**dict(one), "tags": frozenset(one.tags)}) for one in self.exceptions),
        )


class SchedulesPart(_Part):
    """How late a schedule may still run, and the time zone of one that names none."""

    catch_up: Annotated[Duration, AfterValidator(_within(timedelta(minutes=1), timedelta(days=7)))] = timedelta(hours=1)
    timezone: Annotated[str, AfterValidator(_said(zone_of))] = "UTC"


class File(_Part):
    """`handrail.yml`."""

    channels: ChannelsPart = ChannelsPart()
    digest: DigestPart | None = None
    roles: dict[PersonId, Annotated[RolePart, BeforeValidator(_role)]] = Field(default_factory=dict)
    can: dict[Annotated[Role, BeforeValidator(_upper)], Alternatives] = Field(default_factory=dict)
    permissions: dict[Annotated[Role, BeforeValidator(_upper)], tuple[Permission, ...]] = Field(default_factory=dict)
    emergency: tuple[PersonId, ...] = ()
    approvals: ApprovalsPart = ApprovalsPart()
    ssh: SshPart = SshPart()
    hosts: dict[HostName, HostPart] = Field(default_factory=dict)
    limits: LimitsPart = LimitsPart()
    queue: QueuePart = QueuePart()
    runbooks: dict[str, RunbookPart] = Field(default_factory=dict)
    library: tuple[Path, ...] = ()
    calls: tuple[HostName, ...] = ()
    retention: RetentionPart = RetentionPart()
    schedules: SchedulesPart = SchedulesPart()
    guard: GuardPart = GuardPart()
    incidents: IncidentsPart = IncidentsPart()


@dataclass(frozen=True, kw_only=True)
class Slack:
    """How we talk to Slack. `app_token` set: Socket Mode; `signing_secret` set: signed HTTP requests."""

    bot_token: SecretStr
    signing_secret: SecretStr | None
    app_token: SecretStr | None
    api_url: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything, checked. `slack` is None only where it was not asked for."""

    slack: Slack | None
    database_url: SecretStr
    host: str
    port: int
    config: Path
    file: File
    inventory: Inventory
    catalog: Catalog
    known_hosts: bytes
    keyring: Keyring = field(default_factory=Keyring)
    key_file: Path | None = None  # where the keyring came from, if from a file
    file_hash: str | None = None  # SHA-256 of handrail.yml; None where there is none
    listens: bool = False  # whether HANDRAIL_LISTEN was given, for a process that need not listen

    def policy(self, directory: Directory | None = None) -> Policy:
        """What `safety` judges by."""
        return Policy(
            people=self._people(),
            directory=directory or NoGroups(),
            demands=self._demands(),
            places=self.inventory.places(),
            expire=self.file.approvals.expire,
            notify=self.file.approvals.notify,
            catch_up=self.file.schedules.catch_up,
            timezone=self.file.schedules.timezone,
            limits=Limits(
                everything=self.file.limits.global_,
                service=self.file.limits.service,
                runbook=self.file.limits.runbook,
                person=self.file.limits.person,
                look=self.file.limits.look,
                runbooks={name: part.limit for name, part in self.file.runbooks.items() if part.limit is not None},
            ),
        )

    def caps(self) -> Caps:
        """What the queue keeps to."""
        part = self.file.queue
        own = {self._runbook(name): part.at_once for name, part in self.file.runbooks.items() if part.at_once}
        return Caps(overall=part.running, host=part.host, runbook=part.runbook, runbooks=own, waiting=part.waiting)

    def _people(self) -> People:
        overrides = {role: frozenset(given) for role, given in self.file.permissions.items()}
        return People(
            roles={name: part.role for name, part in self.file.roles.items()},
            permissions={**PERMISSIONS, **overrides},
            emergency=frozenset(self.file.emergency),
            can={n: self._cans(f"roles:{n} can", part.can) for n, part in self.file.roles.items() if part.can},
            role_can={role: self._cans(f"can:{role.value}", parts) for role, parts in self.file.can.items()},
        )

    def _cans(self, rule: str, parts: Sequence[CanPart]) -> tuple[Can, ...]:
        return tuple(
            Can(
                rule=rule if len(parts) == 1 else f"{rule}[{number}]",
                runbooks=tuple(self._runbook(name) for name in part.runbooks) if part.runbooks is not None else None,
                hosts=part.hosts,
                max_hosts=part.max_hosts,
            )
            for number, part in enumerate(parts, 1)
        )

    def _runbook(self, name: str) -> str:
        """An alias means its runbook."""
        return self.catalog.aliases.get(name.lower(), name.lower())

    def _demands(self) -> Demands:
        part = self.file.approvals

        def named(demand: Demand, rule: str) -> Demand:
            return replace(demand, rule=f"approvals.{rule}")

        return Demands(
            dangers={Danger.HIGH: named(part.high, "high"), Danger.DANGEROUS: named(part.dangerous, "dangerous")},
            runbooks={self._runbook(n): named(d, f"runbooks.{n}") for n, d in part.runbooks.items()},
            tags={name.lower().removeprefix("tag:"): named(d, f"tags.{name}") for name, d in part.tags.items()},
        )

    def secrets(self) -> list[str]:
        """The exact values that must never be posted or stored."""
        held: list[str] = []
        url = self.database_url.get_secret_value()
        password = parse_url(url).password
        if password:
            held += [url, str(password)]
        held += self.keyring.held()
        if self.slack is not None:
            for secret in (self.slack.bot_token, self.slack.signing_secret, self.slack.app_token):
                if secret is not None:
                    held.append(secret.get_secret_value())
        return held

    def secret_names(self) -> dict[str, list[str]]:
        """The stored secrets that the file names, each with the places where it does."""
        found: dict[str, list[str]] = {}
        logins: dict[str, LoginPart] = {"ssh": self.file.ssh}
        logins |= {f"hosts.{name}": part for name, part in self.file.hosts.items()}
        for place, login in logins.items():
            for what in ("key", "passphrase", "password"):
                part: SecretPart | None = getattr(login, what)
                if part is not None:
                    found.setdefault(part.secret, []).append(f"{place}.{what}")
        return found

    @property
    def groups(self) -> frozenset[str]:
        """The Slack user groups that the settings name."""
        named = {*self.file.roles, *self.file.emergency, self.file.approvals.notify or "", *self._demands().groups}
        named |= {*self.file.incidents.invite}
        return frozenset(name for name in named if name.startswith("S"))


def load(*, slack: bool = True, environment: Mapping[str, str] | None = None, hosts: bool = True) -> Settings:
    """Read everything. Raises ConfigurationError with every complaint at once.

    `slack`: whether tokens are needed; `hosts`: whether the files of hosts and runbooks are (short commands on the
    database need neither).
    """
    variables = dict(os.environ if environment is None else environment)
    complaints: list[str] = []
    env = _environment(variables, complaints)
    tokens = _slack(env, complaints) if slack else None
    host, port = _listen(env.HANDRAIL_LISTEN, complaints)
    _database(env, complaints)
    keyring = _keyring(env, complaints)
    file = _file(env.HANDRAIL_CONFIG, complaints, needed=hosts)
    folder = env.HANDRAIL_CONFIG.absolute().parent
    complaints += file.guard.policy().complaints(frozenset(tag for host in file.hosts.values() for tag in host.tags))
    inventory, known = _hosts(file, folder, complaints) if hosts else (Inventory(), b"")
    catalog = _catalog(file, folder, complaints) if hosts else Catalog(entries={})
    if hosts and catalog.entries:
        complaints += _unknown_names(env.HANDRAIL_CONFIG, file, inventory, catalog)
    if complaints:
        raise ConfigurationError(complaints)
    return Settings(
        slack=tokens,
        database_url=env.HANDRAIL_DATABASE_URL,
        host=host,
        port=port,
        config=env.HANDRAIL_CONFIG,
        file=file,
        inventory=inventory,
        catalog=catalog,
        known_hosts=known,
        keyring=keyring,
        key_file=env.HANDRAIL_SECRET_KEY_FILE,
        file_hash=_hash_of(env.HANDRAIL_CONFIG),
        listens=bool(variables.get("HANDRAIL_LISTEN")),
    )


def _hash_of(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def load_for_switch(environment: Mapping[str, str] | None = None) -> tuple[Settings, tuple[str, ...]]:
    """What a kill switch needs, and the complaints that were passed over: only the database can stop it.

    A mistake in `handrail.yml` must not take the switch from people who need it now; without that file the
    announcement has no alerts channel. Raises ConfigurationError when the database URL is wrong.
    """
    variables = dict(os.environ if environment is None else environment)
    passed_over: list[str] = []
    fatal: list[str] = []
    env = _environment(variables, passed_over)
    _database(env, fatal)
    if fatal:
        raise ConfigurationError(fatal)
    file = _file(env.HANDRAIL_CONFIG, passed_over, needed=False)
    inventory, _ = _hosts(file, env.HANDRAIL_CONFIG.absolute().parent, [])  # their names; nothing is connected to
    settings = Settings(
        slack=None,
        database_url=env.HANDRAIL_DATABASE_URL,
        host="127.0.0.1",
        port=0,
        config=env.HANDRAIL_CONFIG,
        file=file,
        inventory=inventory,
        catalog=Catalog(entries={}),
        known_hosts=b"",
        keyring=_keyring(env, passed_over),
    )
    return settings, tuple(passed_over)


def load_guard(environment: Mapping[str, str] | None = None) -> GuardPolicy:
    """The team's rules and exceptions, where a `handrail.yml` is found; the keys of hosts need not be there.

    Raises ConfigurationError when that file is wrong.
    """
    complaints: list[str] = []
    env = _environment(dict(os.environ if environment is None else environment), complaints)
    usual = Environment.model_fields["HANDRAIL_CONFIG"].default
    file = _file(env.HANDRAIL_CONFIG, complaints, needed=usual != env.HANDRAIL_CONFIG)
    policy = file.guard.policy()
    complaints += policy.complaints(frozenset(tag for host in file.hosts.values() for tag in host.tags) or None)
    if complaints:
        raise ConfigurationError(complaints)
    return policy


def known_tags(environment: Mapping[str, str] | None = None) -> frozenset[str] | None:
    """The tags of the hosts, and those that the guard's rules and exceptions name; None without a `handrail.yml`."""
    file, _ = _library_file(environment)
    if file == File():
        return None
    named = [one.tags for one in file.hosts.values()]
    named += [one.tags for one in file.guard.rules] + [one.tags for one in file.guard.exceptions]
    return frozenset().union(*named)


def load_library(environment: Mapping[str, str] | None = None) -> tuple[Catalog, GuardPolicy]:
    """All runbooks and the guard's rules, where a `handrail.yml` is found; nothing else of it need be right."""
    complaints: list[str] = []
    policy = load_guard(environment)
    file, folder = _library_file(environment)
    catalog = _catalog(file, folder, complaints)
    if complaints:
        raise ConfigurationError(complaints)
    return catalog, policy


def library_folders(environment: Mapping[str, str] | None = None) -> list[Path]:
    """The team's own folders of runbooks, as `library:` names them."""
    file, folder = _library_file(environment)
    return [folder / path for path in file.library]


def _library_file(environment: Mapping[str, str] | None) -> tuple[File, Path]:
    complaints: list[str] = []
    env = _environment(dict(os.environ if environment is None else environment), complaints)
    usual = Environment.model_fields["HANDRAIL_CONFIG"].default
    file = _file(env.HANDRAIL_CONFIG, complaints, needed=usual != env.HANDRAIL_CONFIG)
    if complaints:
        raise ConfigurationError(complaints)
    return file, env.HANDRAIL_CONFIG.parent


def held_secrets(environment: Mapping[str, str] | None = None) -> list[str]:
    """The secret values that are set, whether or not they are right: for logs made before `load`."""
    variables = os.environ if environment is None else environment
    secret = [name for name, field in Environment.model_fields.items() if "SecretStr" in str(field.annotation)]
    held = [variables[name].strip() for name in secret if name != _URL and variables.get(name, "").strip()]
    keys = re.split(r"[,\s]+", variables.get(_KEY, ""))  # it may hold several
    held += [key.rstrip("=") for key in keys if key]
    try:
        password = urlsplit(variables.get(_URL, "")).password
    except ValueError:
        password = None
    if password:
        held += [variables[_URL].strip(), password, unquote(password)]
    return held


_KEY = "HANDRAIL_SECRET_KEY"
_URL = "HANDRAIL_DATABASE_URL"  # no secret as a whole, unless a password is in it


def _environment(variables: Mapping[str, str], complaints: list[str]) -> Environment:
    given = {name: value for name, value in variables.items() if name in KNOWN and value != ""}
    for name in sorted(variables):
        if name.startswith("HANDRAIL_") and name not in KNOWN and not name.startswith("HANDRAIL_TEST_"):
            complaints.append(f"{name} is not a setting of Handrail. Did you mean {_nearest(name)}?")
    return Environment.model_construct(
        **{
            name: _typed(name, given[name]) if name in given else field.default
            for name, field in Environment.model_fields.items()
        }
    )


def _typed(name: str, value: str) -> Any:
    annotation = str(Environment.model_fields[name].annotation)
    if "SecretStr" in annotation:
        return SecretStr(value.strip())
    return Path(value) if "Path" in annotation else value.strip()


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    return (get_close_matches(name, sorted(KNOWN), n=1, cutoff=0.0) or ["HANDRAIL_CONFIG"])[0]


def _slack(env: Environment, complaints: list[str]) -> Slack | None:
    if env.SLACK_BOT_TOKEN is None:
        complaints.append("SLACK_BOT_TOKEN is missing: the app's bot token, which starts with xoxb-.")
    elif not env.SLACK_BOT_TOKEN.get_secret_value().startswith("xoxb-"):
        complaints.append(
            "SLACK_BOT_TOKEN is not a bot token: it starts with xoxb- (app settings, OAuth & Permissions)."
        )
    if env.SLACK_APP_TOKEN is None and env.SLACK_SIGNING_SECRET is None:
        complaints.append(
            "Neither SLACK_SIGNING_SECRET (for requests over HTTP) nor SLACK_APP_TOKEN (for Socket Mode) is set: "
            "set one of them (app settings, Basic Information)."
        )
    if env.SLACK_APP_TOKEN is not None and not env.SLACK_APP_TOKEN.get_secret_value().startswith("xapp-"):
        complaints.append(
            "SLACK_APP_TOKEN is not an app-level token: it starts with xapp- and needs connections:write."
        )
    if not re.match(r"\Ahttps?://[^\s/]+(/\S*)?\Z", env.SLACK_API_URL):
        complaints.append(f"SLACK_API_URL is '{env.SLACK_API_URL}', which is no http address. Slack's own is {SLACK}.")
    if complaints and env.SLACK_BOT_TOKEN is None:
        return None
    return Slack(
        bot_token=env.SLACK_BOT_TOKEN or SecretStr(""),
        signing_secret=env.SLACK_SIGNING_SECRET,
        app_token=env.SLACK_APP_TOKEN,
        api_url=env.SLACK_API_URL.rstrip("/") + "/",
    )


def _listen(value: str, complaints: list[str]) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        complaints.append(f"HANDRAIL_LISTEN is '{value}': write an address and a port, like 127.0.0.1:3000.")
        return "127.0.0.1", 0
    return host.strip("[]"), int(port)


def _database(env: Environment, complaints: list[str]) -> None:
    try:
        url = parse_url(env.HANDRAIL_DATABASE_URL.get_secret_value())
    except ConfigurationError as error:
        complaints.extend(error.complaints)
        return
    if url.get_backend_name() == "sqlite":
        folder = Path(str(url.database)).absolute().parent
        if not folder.is_dir():
            complaints.append(f"HANDRAIL_DATABASE_URL: the folder {folder} does not exist. Make it, or name another.")


def _keyring(env: Environment, complaints: list[str]) -> Keyring:
    given, file = env.HANDRAIL_SECRET_KEY, env.HANDRAIL_SECRET_KEY_FILE
    if given is not None and file is not None:
        complaints.append("HANDRAIL_SECRET_KEY and HANDRAIL_SECRET_KEY_FILE are both set: which counts? Unset one.")
        return Keyring()
    if given is None and file is None:
        return Keyring()
    try:
        if given is not None:
            return parse_keyring(given.get_secret_value(), _KEY)
        return parse_keyring((file or Path()).read_text(encoding="ascii"), f"HANDRAIL_SECRET_KEY_FILE ({file})")
    except ConfigurationError as error:
        complaints.extend(error.complaints)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        complaints.append(f"HANDRAIL_SECRET_KEY_FILE: {file} cannot be read: {why}.")
    return Keyring()


def _file(path: Path, complaints: list[str], *, needed: bool) -> File:
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - it is a SafeLoader
    except FileNotFoundError:
        if needed:
            complaints.append(
                f"{path} does not exist (HANDRAIL_CONFIG). Copy handrail.example.yml and fill in roles and hosts."
            )
        return File()
    except (OSError, UnicodeDecodeError) as error:
        complaints.append(f"{path} cannot be read: {error}")
        return File()
    except yaml.YAMLError as error:
        complaints.append(f"{path} cannot be understood: {_where(error)}.")
        return File()
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        complaints.append(f"{path} must hold settings by name, like `roles:` and `hosts:`.")
        return File()
    try:
        return File.model_validate(raw)
    except ValidationError as error:
        complaints.extend(_complaint(path, item) for item in error.errors(include_url=False))
        return File()


def _where(error: yaml.YAMLError) -> str:
    """What is wrong and on which line, without the excerpt: a line may hold a secret."""
    problem = getattr(error, "problem", None) or "it is not YAML"
    mark = getattr(error, "problem_mark", None)
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else str(problem)


class _Loader(yaml.SafeLoader):
    """YAML as it is safe, and without the habit of letting the last of two equal keys win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name in seen and name != "<<":
                raise yaml.constructor.ConstructorError(None, None, f"{name!r} is there twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


def _complaint(path: Path, item: Any) -> str:
    loc = [part for part in item["loc"] if part != "[key]"]
    where, kind = ".".join(map(str, loc)), item["type"]
    if kind == "extra_forbidden":
        return f"{path}: {where} is not a setting.{_meant(str(loc[-1]), _names_in(loc[:-1]))}"
    if kind == "missing":
        return f"{path}: {where} is missing."
    if kind == "model_type" and loc[-1] in {"password", "key", "passphrase"}:
        return f"{path}: {where}: name a stored secret, like {{secret: host/web-01}}; its value never stands here."
    if kind == "string_pattern_mismatch":
        return f"{path}: {where}: {item['input']!r} is not allowed here ({_meaning(item)})."
    said = _asked_for(item)
    return f"{path}: {where}: {said}" + ("" if said.endswith((".", "?", "!")) else ".")


def _asked_for(item: Any) -> str:
    """What to write there instead, in the file's own terms."""
    match item["type"]:
        case "tuple_type" | "list_type":
            given = str(item["input"])
            return f"write a list, like [{given if isinstance(item['input'], str) and len(given) <= 60 else 'web'}]"
        case "dict_type" | "mapping_type" | "model_type":
            return "write settings by name, like `name: value`"
        case "string_type":
            return "write text; in quotes, where it looks like a number, a date or yes and no"
        case "int_type" | "int_parsing" | "int_from_float":
            return "write a whole number"
        case "bool_type" | "bool_parsing":
            return "write true or false"
        case "path_type":
            return "write the path of a file or folder"
        case "greater_than_equal":
            return f"it must be at least {item['ctx']['ge']}"
        case "less_than_equal":
            return f"it must be at most {item['ctx']['le']}"
        case _:
            message = str(item["msg"]).removeprefix("Value error, ").replace("Input should be", "write")
            return f"{message[:1].lower()}{message[1:]}"


def _names_in(loc: Sequence[int | str]) -> list[str]:
    """The settings that there are at this place of the file."""
    kind: Any = File
    for part in loc:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields = {info.alias or name: info.annotation for name, info in kind.model_fields.items()}
            kind = _bare(fields.get(str(part)))
        else:
            inner = get_args(kind) or (None,)
            kind = _bare(inner[-1] if get_origin(kind) is dict else inner[0])
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return []
    return [info.alias or name for name, info in kind.model_fields.items()]


def _bare(kind: Any) -> Any:
    """A type without its validators, and without None."""
    while get_origin(kind) in {Annotated, Union, UnionType}:
        kind = next((one for one in get_args(kind) if one is not NoneType), None)
    return kind


def _meaning(item: Any) -> str:
    pattern = str(item.get("ctx", {}).get("pattern", ""))
    if "UWS" in pattern:
        return "a Slack user id like U024BE7LH, a user-group id like S0614TZR7, or cli:LOGIN"
    if "CGD" in pattern:
        return "a Slack channel id like C024BE91L; it is at the bottom of the channel's details"
    if "*?" in pattern:
        return "a name, with * for any characters; for hosts also tag:NAME and env:NAME"
    if "_][a-z0-9" in pattern:
        return "a login name"
    return "letters, digits, dots, dashes and underscores"


def _hosts(file: File, folder: Path, complaints: list[str]) -> tuple[Inventory, bytes]:
    known = _known_hosts(file, folder, complaints)
    hosts: list[Host] = []
    for name, part in file.hosts.items():
        login: LoginPart = part if part.names_one else file.ssh
        key = login.key_file
        if key is not None and not (folder / key).is_file():
            complaints.append(f"hosts.{name}: the key file {folder / key} does not exist.")
        if key is not None and login.key is not None:
            complaints.append(f"hosts.{name}: key_file and key are both set: which counts? Leave one out.")
        if not login.names_one:
            complaints.append(
                f"hosts.{name}: no key and no password. Set key_file, key or password, for this host or under ssh."
            )
        hosts.append(
            Host(
                name=name,
                address=part.address,
                port=part.port,
                user=part.user or file.ssh.user,
                platform=part.platform,
                tags=frozenset(part.tags),
                environment=part.environment,
                services=frozenset(part.services),
                key_file=folder / key if key is not None else None,
                key=_named(login.key),
                passphrase=_named(login.passphrase),
                password=_named(login.password),
            )
        )
    lower = [host.name.lower() for host in hosts]
    complaints += [
        f"hosts: '{name}' is there twice, in another case." for name in {n for n in lower if lower.count(n) > 1}
    ]
    return Inventory(hosts=tuple(hosts)), known


def _named(part: SecretPart | None) -> str | None:
    return part.secret if part is not None else None


def _known_hosts(file: File, folder: Path, complaints: list[str]) -> bytes:
    path = folder / file.ssh.known_hosts
    try:
        return path.read_bytes()
    except OSError:
        if file.hosts:
            complaints.append(
                f"ssh.known_hosts: {path} cannot be read. Hosts are only trusted by their keys: collect them with "
                "`ssh-keyscan`, compare the fingerprints with the hosts' owners, and put them there."
            )
        return b""


def _catalog(file: File, folder: Path, complaints: list[str]) -> Catalog:
    overrides = {name: part.override for name, part in file.runbooks.items()}
    try:
        return catalogs.build([folder / path for path in file.library], overrides)
    except ConfigurationError as error:
        complaints.extend(error.complaints)
        return Catalog(entries={})


def _unknown_names(path: Path, file: File, inventory: Inventory, catalog: Catalog) -> Iterable[str]:
    """Names in rights and approvals that mean nothing here. A pattern may wait for what it will match."""
    places = list(inventory.places().values())
    for rule, parts in _all_cans(file):
        for part in parts:
            for name in part.runbooks or ():
                if not _is_open(name) and not _may_be_a_runbook(name, catalog):
                    yield f"{path}: {rule}.runbooks: there is no runbook '{name}'.{_meant(name, catalog.entries)}"
            for name in part.hosts or ():
                complaint = _host_complaint(name, places)
                if complaint:
                    yield f"{path}: {rule}.hosts: {complaint}"
    for name in file.approvals.runbooks:
        if not _may_be_a_runbook(name, catalog):
            yield f"{path}: approvals.runbooks: there is no runbook '{name}'.{_meant(name, catalog.entries)}"
    for name in file.approvals.tags:
        if _is_open(name):
            yield f"{path}: approvals.tags: '{name}' is a pattern; name one tag, or env:NAME."
        complaint = _host_complaint(name if ":" in name else f"tag:{name}", places)
        if complaint:
            yield f"{path}: approvals.tags: {complaint}"


def _may_be_a_runbook(name: str, catalog: Catalog) -> bool:
    """Whether it is one, or one that was left out, for which nothing else is kept from starting."""
    return name.lower() in {*catalog.entries, *catalog.aliases} or bool(catalog.left_out)


def _all_cans(file: File) -> Iterable[tuple[str, Sequence[CanPart]]]:
    for name, part in file.roles.items():
        yield f"roles.{name}.can", part.can
    for role, parts in file.can.items():
        yield f"can.{role.value}", parts


def _is_open(name: str) -> bool:
    return "*" in name or "?" in name


def _host_complaint(pattern: str, places: Sequence[Place]) -> str:
    kind, colon, name = pattern.partition(":")
    if colon and kind.lower() not in {"tag", "env"}:
        return f"'{pattern}' is no target: name a host, tag:NAME or env:NAME."
    if _is_open(pattern) or any(place.is_named_by(pattern) for place in places):
        return ""
    if not colon:
        return f"there is no host '{pattern}'.{_meant(pattern, [place.name for place in places])}"
    tags = {tag for place in places for tag in place.tags}
    environments = {place.environment for place in places if place.environment is not None}
    what, known = ("tag", tags) if kind.lower() == "tag" else ("environment", environments)
    return f"no host has the {what} '{name}'.{_meant(name, known)}"


def _meant(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), sorted(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
