"""Who may do what where: roles, permissions, rights, and the policy a team writes in `handrail.yml`. No rule means no.

A person's right comes from the entries of `roles:` that name them or a group of theirs. Of an entry the role says what
(permissions), and its `can`, else the role's under `can:`, says where (runbooks, hosts, how many at once). Entries and
alternatives add up: a request is within the rights of a person when for each of its hosts there is one `can` that
allows this runbook on that host in a request of this size.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Protocol


class Permission(StrEnum):
    """Everything that can be allowed."""

    READ = "runbooks.read"
    EXECUTE = "runbooks.execute"
    APPROVE = "runbooks.approve"
    EXECUTIONS_READ = "executions.read"
    CANCEL = "executions.cancel"
    SCHEDULES = "schedules.manage"
    ENGAGE = "killswitch.engage"
    RELEASE = "killswitch.release"
    AUDIT = "audit.read"
    EMERGENCY = "emergency.override"


class Role(StrEnum):
    """The built-in roles."""

    SUPER_ADMIN = "SUPER_ADMIN"
    ADMIN = "ADMIN"
    MANAGER = "MANAGER"
    NOC = "NOC"
    HELPDESK = "HELPDESK"
    HR = "HR"
    FINANCE = "FINANCE"


_EVERYTHING = frozenset(Permission) - {Permission.EMERGENCY}
PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.SUPER_ADMIN: _EVERYTHING,
    Role.ADMIN: _EVERYTHING,
    Role.MANAGER: frozenset(
        {
            Permission.READ,
            Permission.EXECUTE,
            Permission.APPROVE,
            Permission.EXECUTIONS_READ,
            Permission.CANCEL,
            Permission.ENGAGE,
            Permission.SCHEDULES,
            Permission.AUDIT,
        }
    ),
    Role.NOC: frozenset(
        {
            Permission.READ,
            Permission.EXECUTE,
            Permission.EXECUTIONS_READ,
            Permission.CANCEL,
            Permission.ENGAGE,
        }
    ),
    Role.HELPDESK: frozenset({Permission.READ, Permission.EXECUTIONS_READ}),
    Role.HR: frozenset(),
    Role.FINANCE: frozenset(),
}


class Directory(Protocol):
    """Who is in which Slack user group, from what was looked up last; asked in the writer's thread, so never waits."""

    def groups_of(self, person: str) -> frozenset[str]:
        """The ids of the groups this person is known to be in."""
        ...

    def members_of(self, group: str) -> frozenset[str] | None:
        """The people of a group; None when it was never looked up."""
        ...


@dataclass(frozen=True, kw_only=True)
class Place:
    """A host as rights see it."""

    name: str
    tags: frozenset[str] = frozenset()
    environment: str | None = None

    def is_named_by(self, pattern: str) -> bool:
        """Whether `web-01`, `web-*`, `tag:web` or `env:prod` means this host, whatever the case."""
        kind, colon, wanted = pattern.partition(":")
        if colon and kind.lower() == "tag":
            return any(matches(wanted, tag) for tag in self.tags)
        if colon and kind.lower() == "env":
            return self.environment is not None and matches(wanted, self.environment)
        return matches(pattern, self.name)


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern means the whole name: `*` is any characters, `?` any one, the case does not matter."""
    first, *others = pattern.lower().split("*")
    text = name.lower()
    if not others:
        return _fits(first, text)
    *middle, last = others
    if len(text) < len(first) + len(last) or not _fits(first, text[: len(first)]):
        return False
    if not _fits(last, text[len(text) - len(last) :]):
        return False
    # The first place where a part fits leaves the most room for the rest, so nothing has to be tried twice.
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = next((i for i in range(at, end - len(part) + 1) if _fits(part, text[i : i + len(part)])), None)
        if found is None:
            return False
        at = found + len(part)
    return True


def _fits(part: str, text: str) -> bool:
    return len(part) == len(text) and all(p in {"?", c} for p, c in zip(part, text, strict=True))


@dataclass(frozen=True, kw_only=True)
class Can:
    """Where what a role allows holds; None is no limit. `rule` names the line of the settings: `roles:UBOB can`."""

    rule: str
    runbooks: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None
    max_hosts: int | None = None

    def allows_runbook(self, runbook: str) -> bool:
        """Whether this runbook is among its runbooks."""
        return self.runbooks is None or any(matches(pattern, runbook) for pattern in self.runbooks)

    def allows_host(self, place: Place) -> bool:
        """Whether this host is among its hosts."""
        return self.hosts is None or any(place.is_named_by(pattern) for pattern in self.hosts)

    def holds(self, size: int) -> bool:
        """Whether a request may have so many hosts."""
        return self.max_hosts is None or size <= self.max_hosts


LIMITED = frozenset({Permission.EXECUTE, Permission.APPROVE, Permission.SCHEDULES})
"""What `can` limits. Reading and stopping are never limited by it."""


class Lack(Enum):
    """What somebody lacks who may not."""

    PERMISSION = "permission"
    RUNBOOK = "runbook"
    HOST = "host"
    SIZE = "size"


@dataclass(frozen=True, kw_only=True)
class Right:
    """Whether somebody may do one thing there, the lines of the settings that say so, and why not in a sentence.

    `max_hosts` is how many hosts a request on these may have; None is no limit.
    """

    allowed: bool
    rule: str
    reason: str
    lacks: Lack | None = None
    max_hosts: int | None = None


class NoGroups:
    """A directory for those who use no groups."""

    def groups_of(self, person: str) -> frozenset[str]:
        """None."""
        return frozenset()

    def members_of(self, group: str) -> frozenset[str] | None:
        """Unknown."""
        return None


@dataclass(frozen=True, kw_only=True)
class People:
    """The `roles:`, `can:`, `permissions:` and `emergency:` parts of the settings.

    `can` is by the name of an entry, `role_can` by role; several are alternatives.
    """

    roles: Mapping[str, Role] = field(default_factory=dict)  # user id, group id or cli:LOGIN -> role
    permissions: Mapping[Role, frozenset[Permission]] = field(default_factory=lambda: PERMISSIONS)
    emergency: frozenset[str] = frozenset()
    can: Mapping[str, tuple[Can, ...]] = field(default_factory=dict)
    role_can: Mapping[Role, tuple[Can, ...]] = field(default_factory=dict)

    def roles_of(self, person: str, directory: Directory) -> frozenset[Role]:
        """A person's own role and those of their groups."""
        return frozenset(self.roles[name] for name in self.entries_of(person, directory))

    def entries_of(self, person: str, directory: Directory) -> tuple[str, ...]:
        """The names under `roles:` that mean this person: their own first, then those of their groups."""
        return tuple(name for name in self._names(person, directory) if name in self.roles)

    def _names(self, person: str, directory: Directory) -> tuple[str, ...]:
        """What a person answers to. A group is nobody, even if somebody should be called like one."""
        own = () if person.startswith("S") else (person,)
        return (*own, *sorted(directory.groups_of(person)))

    def cans_of(self, name: str) -> tuple[Can, ...]:
        """The alternatives of one entry: its own, else its role's, else one without limits."""
        return self.can.get(name) or self.role_can.get(self.roles[name]) or (Can(rule=f"roles:{name}"),)

    def rules_of(self, person: str, directory: Directory) -> tuple[str, ...]:
        """The lines of the settings that give this person anything."""
        listed = [name for name in self._names(person, directory) if name in self.emergency]
        cans = (can.rule for name in self.entries_of(person, directory) for can in self.cans_of(name))
        return tuple(dict.fromkeys((*cans, *(f"emergency:{name}" for name in listed))))

    def decide(
        self,
        person: str,
        permission: Permission,
        directory: Directory,
        *,
        runbook: str | None = None,
        hosts: Sequence[Place] = (),
    ) -> Right:
        """Whether a person may do this, there. Every door asks here. Without `runbook`: whether they may anywhere."""
        listed = [name for name in self._names(person, directory) if name in self.emergency]
        if listed and permission in {Permission.EMERGENCY, Permission.RELEASE}:
            return Right(allowed=True, rule=f"emergency:{listed[0]}", reason="listed under emergency:")
        if permission is Permission.EMERGENCY:
            reason = "--emergency is only for the people under emergency: in handrail.yml."
            return Right(allowed=False, rule=permission.value, reason=reason, lacks=Lack.PERMISSION)
        return self._right(self.entries_of(person, directory), permission, directory, runbook, hosts)

    def _right(
        self,
        entries: Sequence[str],
        permission: Permission,
        directory: Directory,
        runbook: str | None,
        hosts: Sequence[Place],
    ) -> Right:
        roles = ", ".join(sorted({self.roles[name] for name in entries})) or "no role"
        giving = [name for name in entries if permission in self.permissions.get(self.roles[name], frozenset())]
        if not giving:
            reason = f"That takes a role with {permission.value}.{self._unknown(directory)}"
            return Right(allowed=False, rule=permission.value, reason=reason, lacks=Lack.PERMISSION)
        if permission not in LIMITED or runbook is None:
            return Right(allowed=True, rule=", ".join(f"roles:{name}" for name in giving), reason=roles)
        return _within([can for name in giving for can in self.cans_of(name)], runbook, hosts, roles)

    def _unknown(self, directory: Directory) -> str:
        """A note about groups that nobody can be looked for in now."""
        named = sorted(n for n in self.roles if n.startswith("S") and directory.members_of(n) is None)
        if not named:
            return ""
        return f" Who is in {', '.join(named)} is not known now; if your role comes from there, try again in a minute."

    def may(self, person: str, permission: Permission, directory: Directory) -> bool:
        """Whether any of a person's roles allows it; the emergency list gives its two permissions itself."""
        return self.decide(person, permission, directory).allowed

    def sees(self, person: str, permission: Permission, runbook: str, directory: Directory) -> bool:
        """Whether lists show this runbook to a person who may read: one of their entries covers it."""
        return any(
            can.allows_runbook(runbook)
            for name in self.entries_of(person, directory)
            if permission in self.permissions.get(self.roles[name], frozenset())
            for can in self.cans_of(name)
        )

    def holders(
        self, permission: Permission, directory: Directory, *, runbook: str, hosts: Sequence[Place]
    ) -> tuple[str, ...]:
        """The user and group ids whose own entry is enough for it there, as they stand in the settings."""
        return tuple(
            name for name in sorted(self.roles) if self._right((name,), permission, directory, runbook, hosts).allowed
        )

    def everybody(
        self, permission: Permission, directory: Directory, *, runbook: str, hosts: Sequence[Place]
    ) -> tuple[frozenset[str], bool]:
        """All known people who may do this there, and whether there may be more: a group that is not known now."""
        names = [n for n, role in self.roles.items() if permission in self.permissions.get(role, frozenset())]
        people = {name for name in names if not name.startswith("S")}
        complete = True
        for group in (name for name in names if name.startswith("S")):
            members = directory.members_of(group)
            complete = complete and members is not None
            people |= members or frozenset()
        rights: dict[tuple[str, ...], bool] = {}
        found = set()
        for person in people:
            entries = self.entries_of(person, directory)
            if entries not in rights:  # most members of a group have the same entries
                rights[entries] = self._right(entries, permission, directory, runbook, hosts).allowed
            if rights[entries]:
                found.add(person)
        return frozenset(found), complete


def _within(cans: Sequence[Can], runbook: str, hosts: Sequence[Place], roles: str) -> Right:
    """The right that these alternatives give: each host needs one that allows this runbook there at this size."""
    fitting = [can for can in cans if can.allows_runbook(runbook)]
    if not fitting:
        reason = f"{runbook} is outside of the rights given ({roles}), which cover {_listed(c.runbooks for c in cans)}."
        return Right(allowed=False, rule=_rules(cans, "runbooks"), reason=reason, lacks=Lack.RUNBOOK)
    here = {place.name: [can for can in fitting if can.allows_host(place)] for place in hosts}
    outside = [name for name, allowing in here.items() if not allowing]
    if outside:
        reason = (
            f"{', '.join(outside[:5])}{f' and {len(outside) - 5} more' if len(outside) > 5 else ''} "
            f"{'is' if len(outside) == 1 else 'are'} outside of the rights given ({roles}), "
            f"which cover {runbook} on {_listed(c.hosts for c in fitting)}."
        )
        return Right(allowed=False, rule=_rules(fitting, "hosts"), reason=reason, lacks=Lack.HOST)
    size = len(here)
    tight = [allowing for allowing in here.values() if not any(can.holds(size) for can in allowing)]
    bounds = [max(c.max_hosts or 0 for c in found) for found in here.values() if all(c.max_hosts for c in found)]
    most = min(bounds, default=None)
    if tight:
        reason = f"{size} hosts at once; the rights given ({roles}) cover {most} for {runbook} there. Name fewer hosts."
        rule = _rules(tight[0], "max_hosts")
        return Right(allowed=False, rule=rule, reason=reason, lacks=Lack.SIZE, max_hosts=most)
    used = [next(can for can in allowing if can.holds(size)) for allowing in here.values()] or fitting[:1]
    return Right(allowed=True, rule=_rules(used), reason=roles, max_hosts=most)


def _rules(cans: Iterable[Can], part: str = "") -> str:
    """The lines that decided; a `can` without that part is no reason for a refusal."""
    said = [c for c in cans if not part or getattr(c, part) is not None]
    return ", ".join(dict.fromkeys(f"{can.rule}.{part}" if part else can.rule for can in said))


def _listed(patterns: Iterable[Collection[str] | None]) -> str:
    """What the alternatives name, in a sentence."""
    named = dict.fromkeys(pattern for group in patterns for pattern in group or ())
    shown = list(named)[:8]
    return (", ".join(shown) + (f" and {len(named) - 8} more" if len(named) > 8 else "")) if named else "none"
