"""Who may do what where: roles against permissions, and rights against a model that was written apart from them."""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.roles import Can, Lack, NoGroups, People, Permission, Place, Role, matches

ALL = {
    "runbooks.read",
    "runbooks.execute",
    "runbooks.approve",
    "executions.read",
    "executions.cancel",
    "schedules.manage",
    "killswitch.engage",
    "killswitch.release",
    "audit.read",
}
TABLE: Mapping[str, set[str]] = {
    "SUPER_ADMIN": ALL,
    "ADMIN": ALL,
    "MANAGER": ALL - {"killswitch.release"},
    "NOC": {"runbooks.read", "runbooks.execute", "executions.read", "executions.cancel", "killswitch.engage"},
    "HELPDESK": {"runbooks.read", "executions.read"},
    "HR": set(),
    "FINANCE": set(),
}


@dataclass
class Groups:
    """A directory whose members the test says; None: not known now."""

    members: dict[str, frozenset[str] | None] = field(default_factory=dict)

    def groups_of(self, person: str) -> frozenset[str]:
        """The groups this person is known to be in."""
        return frozenset(group for group, members in self.members.items() if members and person in members)

    def members_of(self, group: str) -> frozenset[str] | None:
        """The people of a group."""
        return self.members.get(group)


def people(roles: Mapping[str, str], **more: Any) -> People:
    """These entries."""
    return People(roles={name: Role(role) for name, role in roles.items()}, **more)


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("role", list(Role))
def test_a_role_allows_what_the_table_says_and_nothing_else(role: Role, permission: Permission) -> None:
    right = people({"UBOB": role.value}).decide("UBOB", permission, NoGroups())
    assert right.allowed == (permission.value in TABLE[role.value])
    assert right.rule == ("roles:UBOB" if right.allowed else permission.value)


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("person", ["UDAVE", "", "cli:root", "S0ONCALL", "ubob", "UBOB "])
def test_who_is_not_named_may_nothing(person: str, permission: Permission) -> None:
    named = people({"UBOB": "SUPER_ADMIN", "S0ONCALL": "ADMIN"}, emergency=frozenset({"S0ONCALL"}))
    assert not named.may(person, permission, Groups({"S0ONCALL": frozenset({"UCAROL"})}))


@pytest.mark.parametrize("role", list(Role))
def test_only_the_emergency_list_overrides_and_it_gives_releasing_too(role: Role) -> None:
    named = people({"UBOB": role.value, "UALICE": "HR"}, emergency=frozenset({"UALICE"}))
    assert not named.may("UBOB", Permission.EMERGENCY, NoGroups())
    assert named.decide("UALICE", Permission.EMERGENCY, NoGroups()).rule == "emergency:UALICE"
    assert named.may("UALICE", Permission.RELEASE, NoGroups())
    assert not named.may("UALICE", Permission.EXECUTE, NoGroups())


def test_a_role_that_is_given_other_permissions_has_exactly_those() -> None:
    named = people(
        {"UBOB": "HELPDESK", "UALICE": "ADMIN"},
        permissions={Role.HELPDESK: frozenset({Permission.ENGAGE, Permission.EMERGENCY})},
    )
    allowed = {p for p in Permission if named.may("UBOB", p, NoGroups())}
    assert allowed == {Permission.ENGAGE}, "emergency.override comes from its own list alone"
    assert not any(named.may("UALICE", p, NoGroups()) for p in Permission), "a role nobody wrote anything for is empty"


def test_a_person_has_what_their_own_entry_and_their_groups_give_together() -> None:
    named = people({"UBOB": "HELPDESK", "S0ONCALL": "NOC", "S0BOSS": "MANAGER"})
    groups = Groups({"S0ONCALL": frozenset({"UBOB"}), "S0BOSS": frozenset({"UCAROL"})})
    assert named.roles_of("UBOB", groups) == {Role.HELPDESK, Role.NOC}
    assert named.decide("UBOB", Permission.EXECUTE, groups).rule == "roles:S0ONCALL"
    assert named.decide("UBOB", Permission.READ, groups).rule == "roles:UBOB, roles:S0ONCALL"
    assert not named.may("UBOB", Permission.APPROVE, groups)


def test_a_group_that_is_not_known_gives_nobody_a_right_and_the_refusal_says_so() -> None:
    right = people({"S0ONCALL": "NOC"}).decide("UBOB", Permission.EXECUTE, Groups({"S0ONCALL": None}))
    assert not right.allowed
    assert "S0ONCALL is not known now" in right.reason


WEB, DB = Place(name="web-01", tags=frozenset({"web"}), environment="prod"), Place(name="db-01", environment="staging")
WEB_2 = Place(name="web-02", tags=frozenset({"Web", "edge"}), environment="Prod")


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("web-01", {"web-01"}),
        ("WEB-01", {"web-01"}),
        ("web", set()),
        ("web-0", set()),
        ("web-*", {"web-01", "web-02"}),
        ("*", {"web-01", "web-02", "db-01"}),
        ("??-01", {"db-01"}),
        ("tag:web", {"web-01", "web-02"}),
        ("TAG:Edge", {"web-02"}),
        ("tag:e*", {"web-02"}),
        ("tag:prod", set()),
        ("env:prod", {"web-01", "web-02"}),
        ("env:*", {"web-01", "web-02", "db-01"}),
        ("env:web", set()),
        ("env:", set()),
        ("tag:", set()),
        ("", set()),
        ("role:web", set()),
        ("web-01\n", set()),
        ("web.01", set()),
        ("web-[0-9]*", set()),
    ],
)
def test_a_pattern_means_whole_names(pattern: str, meant: set[str]) -> None:
    assert {place.name for place in (WEB, WEB_2, DB) if place.is_named_by(pattern)} == meant


def test_a_pattern_of_many_stars_is_no_trap() -> None:
    assert not matches("a" + "*a" * 12 + "*b", "a" * 250)


def noc(*cans: Can) -> People:
    """Bob is NOC within these."""
    return people({"UBOB": "NOC"}, can={"UBOB": cans} if cans else {})


def ask(named: People, *hosts: Place, runbook: str = "restart-service", **more: Any) -> Any:
    """May Bob run it there?"""
    return named.decide("UBOB", more.pop("permission", Permission.EXECUTE), NoGroups(), runbook=runbook, hosts=hosts)


class TestCan:
    """Where what a role allows holds."""

    def test_without_limits_a_role_holds_everywhere(self) -> None:
        assert ask(noc(), WEB, DB).allowed

    def test_a_refusal_names_what_is_outside_and_the_line_that_decided(self) -> None:
        named = noc(Can(rule="roles:UBOB can", runbooks=("restart-service", "disk-*"), hosts=("tag:web",), max_hosts=1))
        runbook = ask(named, WEB, runbook="kill-process")
        assert (runbook.lacks, runbook.rule) == (Lack.RUNBOOK, "roles:UBOB can.runbooks")
        assert (
            "kill-process is outside of the rights given (NOC), which cover restart-service, disk-*." in runbook.reason
        )
        host = ask(named, WEB, DB)
        assert (host.lacks, host.rule) == (Lack.HOST, "roles:UBOB can.hosts")
        assert "db-01 is outside" in host.reason
        assert "tag:web" in host.reason
        size = ask(named, WEB, WEB_2)
        assert (size.lacks, size.rule, size.max_hosts) == (Lack.SIZE, "roles:UBOB can.max_hosts", 1)
        assert "2 hosts at once" in size.reason
        assert ask(named, WEB, runbook="disk-usage").rule == "roles:UBOB can"

    def test_alternatives_add_up_host_by_host(self) -> None:
        named = noc(Can(rule="a", hosts=("tag:web",)), Can(rule="b", hosts=("db-*",), runbooks=("restart-service",)))
        assert ask(named, WEB, DB).rule == "a, b"
        assert ask(named, WEB, DB, runbook="kill-process").lacks is Lack.HOST

    def test_a_request_is_as_large_as_each_of_its_hosts_allows(self) -> None:
        named = noc(Can(rule="a", hosts=("web-*",), max_hosts=3), Can(rule="b", hosts=("*",), max_hosts=1))
        assert ask(named, WEB, WEB_2).allowed
        assert ask(named, DB).allowed
        both = ask(named, WEB, DB)
        assert (both.lacks, both.rule, both.max_hosts) == (Lack.SIZE, "b.max_hosts", 1)

    def test_an_entry_of_its_own_takes_the_place_of_the_role_s(self) -> None:
        role = {Role.NOC: (Can(rule="can:NOC", hosts=("db-01",)),)}
        named = people(
            {"UBOB": "NOC", "UALICE": "NOC"},
            can={"UBOB": (Can(rule="roles:UBOB can", hosts=("web-01",)),)},
            role_can=role,
        )
        assert ask(named, WEB).allowed
        assert not ask(named, DB).allowed
        alice = named.decide("UALICE", Permission.EXECUTE, NoGroups(), runbook="x", hosts=(WEB,))
        assert (alice.allowed, alice.rule) == (False, "can:NOC.hosts")

    def test_an_entry_lends_its_where_only_to_its_own_what(self) -> None:
        named = people(
            {"UBOB": "HELPDESK", "S0DBA": "NOC"}, can={"S0DBA": (Can(rule="roles:S0DBA can", hosts=("db-*",)),)}
        )
        groups = Groups({"S0DBA": frozenset({"UBOB"})})
        assert named.decide("UBOB", Permission.EXECUTE, groups, runbook="x", hosts=(DB,)).allowed
        assert not named.decide("UBOB", Permission.EXECUTE, groups, runbook="x", hosts=(WEB,)).allowed

    @pytest.mark.parametrize("permission", [Permission.CANCEL, Permission.ENGAGE, Permission.EXECUTIONS_READ])
    def test_reading_and_stopping_are_never_limited(self, permission: Permission) -> None:
        named = noc(Can(rule="r", runbooks=(), hosts=(), max_hosts=1))
        assert ask(named, WEB, WEB_2, permission=permission).allowed
        assert not ask(named, WEB).allowed

    def test_lists_show_the_runbooks_of_the_entries_that_may_read(self) -> None:
        named = noc(Can(rule="r", runbooks=("disk-*",), hosts=("db-01",)))
        assert named.sees("UBOB", Permission.READ, "disk-usage", NoGroups())
        assert not named.sees("UBOB", Permission.READ, "restart-service", NoGroups())
        assert not named.sees("UDAVE", Permission.READ, "disk-usage", NoGroups())


# --- the same, against a model ----------------------------------------------------------------------------------------

RUNBOOKS = ("restart-service", "kill-process", "disk-usage", "disk-clean")
TAGS, ENVIRONMENTS = ("web", "db", "edge"), ("prod", "staging")
PEOPLE, GROUPS = ("UALICE", "UBOB", "cli:deploy"), ("S0ONE", "S0TWO")
places = st.lists(
    st.builds(
        Place,
        name=st.sampled_from(["web-01", "web-02", "db-01", "db-02", "edge"]),
        tags=st.frozensets(st.sampled_from(TAGS), max_size=2),
        environment=st.one_of(st.none(), st.sampled_from(ENVIRONMENTS)),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda place: place.name,
)
host_patterns = st.sampled_from(
    ["*", "web-*", "web-01", "db-01", "?b-0?", "tag:web", "tag:d*", "env:prod", "env:staging", "edge", "tag:none"]
)
cans = st.lists(
    st.builds(
        Can,
        rule=st.just("r"),
        runbooks=st.one_of(st.none(), st.lists(st.sampled_from([*RUNBOOKS, "disk-*", "*"]), max_size=2).map(tuple)),
        hosts=st.one_of(st.none(), st.lists(host_patterns, max_size=3).map(tuple)),
        max_hosts=st.one_of(st.none(), st.integers(1, 4)),
    ),
    min_size=1,
    max_size=3,
).map(tuple)
LIMITED = [Permission.EXECUTE, Permission.APPROVE, Permission.SCHEDULES]
names = st.sampled_from([*PEOPLE, *GROUPS])
worlds = st.builds(
    People,
    roles=st.dictionaries(names, st.sampled_from(Role), max_size=5),
    can=st.dictionaries(names, cans, max_size=4),
    role_can=st.dictionaries(st.sampled_from(Role), cans, max_size=3),
    emergency=st.frozensets(names, max_size=2),
    permissions=st.one_of(
        st.just(
            {role: frozenset(map(Permission, allowed)) for role, allowed in ((Role(r), v) for r, v in TABLE.items())}
        ),
        st.dictionaries(st.sampled_from(Role), st.frozensets(st.sampled_from(Permission), max_size=5)),
    ),
)
directories = st.dictionaries(
    st.sampled_from(GROUPS), st.one_of(st.none(), st.frozensets(st.sampled_from(PEOPLE), max_size=3))
).map(Groups)


def model(
    world: People, groups: Groups, person: str, permission: Permission, runbook: str, hosts: Sequence[Place]
) -> bool:
    """The rules once more, as one long sentence over sets, by other means than the code's."""
    entries = {person} | {group for group, members in groups.members.items() if person in (members or ())}
    if permission in {Permission.EMERGENCY, Permission.RELEASE} and entries & world.emergency:
        return True
    if permission is Permission.EMERGENCY:
        return False
    grants = [
        (can.runbooks, can.hosts, can.max_hosts)
        for name in entries & set(world.roles)
        if permission in world.permissions.get(world.roles[name], ())
        for can in world.can.get(name, world.role_can.get(world.roles[name], (Can(rule="any"),)))
    ]
    if permission not in LIMITED:
        return bool(grants)

    def named(place: Place) -> set[str]:
        return {
            place.name,
            *(f"tag:{t}" for t in place.tags),
            *([f"env:{place.environment}"] if place.environment else []),
        }

    def fits(patterns: Sequence[str] | None, found: set[str]) -> bool:
        if patterns is None:
            return True
        plain = [p for p in patterns if ":" not in p]
        return any(
            fnmatch.fnmatchcase(n, p) for n in found for p in (plain if ":" not in n else set(patterns) - set(plain))
        )

    return all(
        any(
            fits(runbooks, {runbook}) and fits(allowed, named(place)) and len(hosts) <= (most or 999)
            for runbooks, allowed, most in grants
        )
        for place in hosts
    )


@settings(max_examples=600, deadline=None)
@given(
    world=worlds,
    groups=directories,
    person=st.sampled_from([*PEOPLE, "UDAVE"]),
    permission=st.one_of(st.sampled_from(LIMITED), st.sampled_from(Permission)),
    runbook=st.sampled_from(RUNBOOKS),
    hosts=places,
)
def test_rights_are_what_the_model_says(
    world: People, groups: Groups, person: str, permission: Permission, runbook: str, hosts: list[Place]
) -> None:
    right = world.decide(person, permission, groups, runbook=runbook, hosts=hosts)
    assert right.allowed == model(world, groups, person, permission, runbook, hosts)
    assert right.rule
    assert right.allowed == (right.lacks is None)
    everybody, _ = world.everybody(permission, groups, runbook=runbook, hosts=hosts)
    if permission in LIMITED:
        assert everybody == {p for p in PEOPLE if model(world, groups, p, permission, runbook, hosts)}


@settings(max_examples=200, deadline=None)
@given(world=worlds, groups=directories, runbook=st.sampled_from(RUNBOOKS), hosts=places)
def test_fewer_hosts_are_never_more_dangerous(world: People, groups: Groups, runbook: str, hosts: list[Place]) -> None:
    right = world.decide("UBOB", Permission.EXECUTE, groups, runbook=runbook, hosts=hosts)
    if right.allowed:
        for place in hosts:
            assert world.decide("UBOB", Permission.EXECUTE, groups, runbook=runbook, hosts=[place]).allowed
