"""users.*, usergroups.*, auth.*, bots.* and team.*: who is here, and who the app is."""

from __future__ import annotations

from bot.playground.arguments import Arguments, page_of
from bot.playground.state import Group, Json, Person, Refused, State


def auth_test(state: State, arguments: Arguments) -> Json:
    who = state.identity
    return {
        "ok": True,
        "url": f"https://{who.team_domain}.slack.com/",
        "team": who.team_name,
        "user": state.people[who.bot_user].name,
        "team_id": who.team_id,
        "user_id": who.bot_user,
        "bot_id": who.bot_id,
        "is_enterprise_install": False,
    }


def api_test(state: State, arguments: Arguments) -> Json:
    given = {name: value for name, value in arguments.values.items() if name != "token"}
    if "error" in arguments:
        raise Refused(arguments.text("error"), args=given)
    return {"ok": True} | ({"args": given} if given else {})


def team_info(state: State, arguments: Arguments) -> Json:
    who = state.identity
    team = {"id": who.team_id, "name": who.team_name, "domain": who.team_domain, "email_domain": "", "icon": {}}
    return {"ok": True, "team": team}


def bots_info(state: State, arguments: Arguments) -> Json:
    who = state.identity
    if "bot" in arguments and arguments.text("bot") != who.bot_id:
        raise Refused("bot_not_found")
    bot = {"id": who.bot_id, "deleted": False, "name": who.app_name, "app_id": who.app_id, "user_id": who.bot_user}
    return {"ok": True, "bot": bot}


def users_list(state: State, arguments: Arguments) -> Json:
    page, cursor = page_of(list(state.people.values()), arguments, default=1000)
    found = [person_wire(state, person) for person in page]
    return {"ok": True, "members": found, "cache_ts": int(state.now()), "response_metadata": {"next_cursor": cursor}}


def users_info(state: State, arguments: Arguments) -> Json:
    person = state.people.get(arguments.text("user"))
    if person is None:
        raise Refused("user_not_found")
    return {"ok": True, "user": person_wire(state, person)}


def users_lookup_by_email(state: State, arguments: Arguments) -> Json:
    email = arguments.text("email").lower()
    for person in state.people.values():
        if person.email.lower() == email and not person.deleted:
            return {"ok": True, "user": person_wire(state, person)}
    raise Refused("users_not_found")


def usergroups_list(state: State, arguments: Arguments) -> Json:
    with_users = arguments.flag("include_users")
    found = [group_wire(state, group, with_users=with_users) for group in state.groups.values()]
    return {"ok": True, "usergroups": found}


def usergroups_users_list(state: State, arguments: Arguments) -> Json:
    group = state.groups.get(arguments.text("usergroup"))
    if group is None:
        raise Refused("no_such_subteam")
    return {"ok": True, "users": list(group.members)}


def person_wire(state: State, person: Person) -> Json:
    """The person as the Web API shows them; the email only with its own scope."""
    profile: Json = {"display_name": person.shown, "real_name": person.shown, "title": person.title}
    if person.email and "users:read.email" in state.scopes:
        profile["email"] = person.email
    return {
        "id": person.id,
        "team_id": state.identity.team_id,
        "name": person.name,
        "deleted": person.deleted,
        "real_name": person.shown,
        "tz": person.tz,
        "profile": profile,
        "is_bot": person.is_bot,
        "is_app_user": False,
        "is_admin": False,
        "is_owner": False,
        "is_restricted": person.is_guest,
        "is_ultra_restricted": False,
    }


def group_wire(state: State, group: Group, *, with_users: bool) -> Json:
    """The user group as the Web API shows it."""
    body: Json = {
        "id": group.id,
        "team_id": state.identity.team_id,
        "is_usergroup": True,
        "name": group.name or group.handle,
        "handle": group.handle,
        "date_delete": 0,
        "user_count": len(group.members),
    }
    return body | ({"users": list(group.members)} if with_users else {})
