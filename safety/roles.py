"""Who may do what: roles, permissions, and the policy a team writes in `handrail.yml`. No rule means no."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
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
    """The `roles:` and `emergency:` parts of the settings."""

    roles: Mapping[str, Role] = field(default_factory=dict)  # user id, group id or cli:LOGIN -> role
    permissions: Mapping[Role, frozenset[Permission]] = field(default_factory=lambda: PERMISSIONS)
    emergency: frozenset[str] = frozenset()

    def roles_of(self, person: str, directory: Directory) -> frozenset[Role]:
        """A person's own role and those of their groups."""
        names = {person, *directory.groups_of(person)}
        return frozenset(self.roles[name] for name in names if name in self.roles)

    def may(self, person: str, permission: Permission, directory: Directory) -> bool:
        """Whether any of a person's roles allows it; the emergency list gives its two permissions itself."""
        listed = bool(self.emergency & {person, *directory.groups_of(person)})
        if permission is Permission.EMERGENCY:
            return listed
        if permission is Permission.RELEASE and listed:
            return True
        return any(permission in self.permissions[role] for role in self.roles_of(person, directory))

    def holders(self, permission: Permission) -> tuple[str, ...]:
        """The user and group ids whose role allows it, as they stand in the settings."""
        return tuple(sorted(name for name, role in self.roles.items() if permission in self.permissions[role]))

    def someone_else_may(self, permission: Permission, person: str, directory: Directory) -> bool:
        """Whether anybody but this person holds it. A group that was never looked up counts as somebody."""
        for name in self.holders(permission):
            if name.startswith("S"):
                members = directory.members_of(name)
                if members is None or members - {person}:
                    return True
            elif name != person and not name.startswith("cli:"):
                return True
        return False
