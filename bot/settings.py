"""Settings: the environment and `handrail.yml`. This module alone reads the environment.

`load` says everything that is wrong at once, a sentence each, and otherwise returns frozen values that the rooms
understand (`Policy`, `Inventory`, `Catalog`).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import durationpy
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from runbooks import catalog as catalogs
from runbooks.catalog import Catalog, Override
from runbooks.inventory import Inventory
from runbooks.remote import Host
from safety.review import Policy
from safety.roles import PERMISSIONS, Directory, NoGroups, People, Permission, Role
from safety.token_bucket import Rate, parse_rate
from storage.database import parse_url
from storage.errors import ConfigurationError
from storage.records import Consent, Danger, Platform

DEFAULT_DATABASE = "sqlite+aiosqlite:///handrail.db"
SLACK = "https://slack.com/api/"


class Environment(BaseSettings):
    """The variables operators set."""

    model_config = SettingsConfigDict(extra="ignore", case_sensitive=True)

    SLACK_BOT_TOKEN: SecretStr | None = None
    SLACK_SIGNING_SECRET: SecretStr | None = None
    SLACK_APP_TOKEN: SecretStr | None = None
    SLACK_API_URL: str = SLACK
    HANDRAIL_CONFIG: Path = Path("handrail.yml")
    HANDRAIL_DATABASE_URL: SecretStr = SecretStr(DEFAULT_DATABASE)
    HANDRAIL_LISTEN: str = "127.0.0.1:3000"
    HANDRAIL_SECRET_KEY: SecretStr | None = None


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


def _rate(value: Any) -> Any:
    return value if isinstance(value, Rate) else parse_rate(value)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("it must be longer than nothing")
    return value


def _cron(value: str) -> str:
    from apscheduler.triggers.cron import CronTrigger

    try:
        CronTrigger.from_crontab(value, timezone="UTC")
    except ValueError as error:
        raise ValueError(f"{value!r} is not a cron line of five fields ({error})") from error
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{value!r} is no timezone: write one like Europe/Berlin") from error
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Length = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_positive)]
"""A duration that cannot be zero."""
RateText = Annotated[Any, BeforeValidator(_rate)]
PersonId = Annotated[str, Field(pattern=r"^([UWS][A-Z0-9]{1,20}|cli:[A-Za-z0-9._-]{1,60})$")]
ChannelId = Annotated[str, Field(pattern=r"^[CGD][A-Z0-9]{1,20}$")]
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChannelsPart(_Part):
    """Where announcements and digests go."""

    alerts: ChannelId | None = None
    digest: ChannelId | None = None


class DigestPart(_Part):
    """When the digest is posted."""

    cron: Annotated[str, AfterValidator(_cron)] = "0 9 * * 1-5"
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"


class ApprovalsPart(_Part):
    """What HIGH and DANGEROUS runbooks ask for, for how long, and who is told."""

    high: Annotated[Consent, BeforeValidator(_lower)] = Consent.CONFIRM
    dangerous: Annotated[Consent, BeforeValidator(_lower)] = Consent.APPROVE
    expire: Length = timedelta(minutes=15)
    notify: PersonId | None = None


class SshPart(_Part):
    """How hosts are reached."""

    known_hosts: Path = Path("known_hosts")
    user: str = Field(default="ops", pattern=r"^[a-z_][a-z0-9_.-]{0,31}$")
    key_file: Path | None = None


class HostPart(_Part):
    """One host."""

    address: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:_-]{0,252}$")
    port: int = Field(default=22, ge=1, le=65535)
    user: str | None = Field(default=None, pattern=r"^[a-z_][a-z0-9_.-]{0,31}$")
    key_file: Path | None = None
    platform: Annotated[Platform, BeforeValidator(_upper)] = Platform.LINUX
    tags: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


class LimitsPart(_Part):
    """Token buckets, and how many hosts at once."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, arbitrary_types_allowed=True)

    global_: RateText = Field(default=Rate(limit=50, period=60.0), alias="global")
    service: RateText = Rate(limit=10, period=60.0)
    runbook: RateText = Rate(limit=5, period=60.0)


class RunbookPart(_Part):
    """What the team overrides of one runbook."""

    cooldown: Duration | None = None
    timeout: Length | None = None
    danger: Annotated[Danger, BeforeValidator(_lower)] | None = None
    max_hosts: int | None = Field(default=None, ge=1, le=1000)


class RetentionPart(_Part):
    """How long output and sent messages are kept; the audit and executions are kept for ever."""

    output: Length = timedelta(days=90)
    outbox: Length = timedelta(days=30)


class File(_Part):
    """`handrail.yml`."""

    channels: ChannelsPart = ChannelsPart()
    digest: DigestPart | None = None
    roles: dict[PersonId, Annotated[Role, BeforeValidator(_upper)]] = Field(default_factory=dict)
    permissions: dict[Annotated[Role, BeforeValidator(_upper)], tuple[Permission, ...]] = Field(default_factory=dict)
    emergency: tuple[PersonId, ...] = ()
    approvals: ApprovalsPart = ApprovalsPart()
    ssh: SshPart = SshPart()
    hosts: dict[HostName, HostPart] = Field(default_factory=dict)
    limits: LimitsPart = LimitsPart()
    runbooks: dict[str, RunbookPart] = Field(default_factory=dict)
    library: tuple[Path, ...] = ()
    calls: tuple[HostName, ...] = ()
    retention: RetentionPart = RetentionPart()


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
    secret_key: SecretStr | None = None

    def policy(self, directory: Directory | None = None) -> Policy:
        """What `safety` judges by."""
        consents = {
            Danger.READ: Consent.NONE,
            Danger.LOW: Consent.NONE,
            Danger.HIGH: self.file.approvals.high,
            Danger.DANGEROUS: self.file.approvals.dangerous,
        }
        overrides = {role: frozenset(given) for role, given in self.file.permissions.items()}
        return Policy(
            people=People(
                roles=self.file.roles,
                permissions={**PERMISSIONS, **overrides},
                emergency=frozenset(self.file.emergency),
            ),
            directory=directory or NoGroups(),
            consents=consents,
            expire=self.file.approvals.expire,
            notify=self.file.approvals.notify,
            global_rate=self.file.limits.global_,
            service_rate=self.file.limits.service,
            runbook_rate=self.file.limits.runbook,
        )

    def secrets(self) -> list[str]:
        """The exact values that must never be posted or stored."""
        held: list[str] = []
        url = self.database_url.get_secret_value()
        password = parse_url(url).password
        if password:
            held += [url, str(password)]
        if self.secret_key is not None:
            held.append(self.secret_key.get_secret_value())
        if self.slack is not None:
            for secret in (self.slack.bot_token, self.slack.signing_secret, self.slack.app_token):
                if secret is not None:
                    held.append(secret.get_secret_value())
        return held

    @property
    def groups(self) -> frozenset[str]:
        """The Slack user groups that the settings name."""
        named = {*self.file.roles, *self.file.emergency, self.file.approvals.notify or ""}
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
    file = _file(env.HANDRAIL_CONFIG, complaints, needed=hosts)
    folder = env.HANDRAIL_CONFIG.absolute().parent
    inventory, known = _hosts(file, folder, complaints) if hosts else (Inventory(), b"")
    catalog = _catalog(file, folder, complaints) if hosts else Catalog(entries={})
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
        secret_key=env.HANDRAIL_SECRET_KEY,
    )


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
    settings = Settings(
        slack=None,
        database_url=env.HANDRAIL_DATABASE_URL,
        host="127.0.0.1",
        port=0,
        config=env.HANDRAIL_CONFIG,
        file=_file(env.HANDRAIL_CONFIG, passed_over, needed=False),
        inventory=Inventory(),
        catalog=Catalog(entries={}),
        known_hosts=b"",
        secret_key=env.HANDRAIL_SECRET_KEY,
    )
    return settings, tuple(passed_over)


def held_secrets(environment: Mapping[str, str] | None = None) -> list[str]:
    """The secret values that are set, whether or not they are right: for logs made before `load`."""
    variables = os.environ if environment is None else environment
    secret = [name for name, field in Environment.model_fields.items() if "SecretStr" in str(field.annotation)]
    held = [variables[name].strip() for name in secret if name != _URL and variables.get(name, "").strip()]
    try:
        password = urlsplit(variables.get(_URL, "")).password
    except ValueError:
        password = None
    if password:
        held += [variables[_URL].strip(), password, unquote(password)]
    return held


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
    where = ".".join(str(part) for part in item["loc"] if part != "[key]")
    kind, message = item["type"], str(item["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return f"{path}: {where} is not a setting."
    if kind == "missing":
        return f"{path}: {where} is missing."
    if kind == "string_pattern_mismatch":
        return f"{path}: {where}: {item['input']!r} is not allowed here ({_meaning(item)})."
    return f"{path}: {where}: {message[:1].lower()}{message[1:]}."


def _meaning(item: Any) -> str:
    pattern = str(item.get("ctx", {}).get("pattern", ""))
    if "UWS" in pattern:
        return "a Slack user id like U024BE7LH, a user-group id like S0614TZR7, or cli:LOGIN"
    if "CGD" in pattern:
        return "a Slack channel id like C024BE91L; it is at the bottom of the channel's details"
    if "_][a-z0-9" in pattern:
        return "a login name"
    return "letters, digits, dots, dashes and underscores"


def _hosts(file: File, folder: Path, complaints: list[str]) -> tuple[Inventory, bytes]:
    known = _known_hosts(file, folder, complaints)
    default_key = file.ssh.key_file
    hosts: list[Host] = []
    for name, part in file.hosts.items():
        key = part.key_file or default_key
        if key is not None and not (folder / key).is_file():
            complaints.append(f"hosts.{name}: the key file {folder / key} does not exist.")
        if key is None:
            complaints.append(f"hosts.{name}: no key. Set ssh.key_file, or key_file for this host.")
        hosts.append(
            Host(
                name=name,
                address=part.address,
                port=part.port,
                user=part.user or file.ssh.user,
                platform=part.platform,
                tags=frozenset(part.tags),
                services=frozenset(part.services),
                key_file=folder / key if key is not None else None,
            )
        )
    lower = [host.name.lower() for host in hosts]
    complaints += [
        f"hosts: '{name}' is there twice, in another case." for name in {n for n in lower if lower.count(n) > 1}
    ]
    return Inventory(hosts=tuple(hosts)), known


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
    overrides = {
        name: Override(danger=part.danger, cooldown=part.cooldown, timeout=part.timeout, max_hosts=part.max_hosts)
        for name, part in file.runbooks.items()
    }
    try:
        return catalogs.build([folder / path for path in file.library], overrides)
    except ConfigurationError as error:
        complaints.extend(error.complaints)
        return Catalog(entries={})
