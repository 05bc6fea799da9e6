"""Saved templates: a request under a name. What runs it is a request like any other, of the person who asks.

Everything here happens inside one transaction of its caller's.
"""

from datetime import datetime

from sqlalchemy import Connection

from runbooks.answer import Answer
from storage import audit, templates
from storage.errors import NotFound, NotPermitted, OperatorError
from storage.records import Actor, Origin, Template

MOST = 500
"""Templates that are kept."""


def find(connection: Connection, name: str) -> Template:
    """Raises NotFound."""
    found = templates.get(connection, name)
    if found is None:
        raise NotFound(f"There is no template '{name}'. `/runbook template list` shows those there are.")
    return found


def save(connection: Connection, template: Template, *, manages: bool, origin: Origin) -> Answer | OperatorError:
    """Keep it. Somebody else's is only replaced by who `manages` them all."""
    actor, former = template.saved_by, templates.get(connection, template.name)
    if former is not None and former.saved_by.id != actor.id and not manages:
        return _not_theirs(former)
    if former is None and len(templates.every(connection)) >= MOST:
        return NotPermitted(f"There are {MOST} templates already. Delete one first: `/runbook template delete NAME`.")
    templates.put(connection, template)
    _witness(
        connection, "template.saved", template.name, actor, origin, template.saved_at, before=former, after=template
    )
    verb = "saved" if former is None else "replaced"
    return Answer(message=f"Template '{template.name}' is {verb}. Run it with `/runbook template run {template.name}`.")


def delete(
    connection: Connection, name: str, *, actor: Actor, manages: bool, origin: Origin, now: datetime
) -> Answer | OperatorError:
    """Forget it. Only who saved it may, and who `manages` them all. Raises NotFound."""
    former = find(connection, name)
    if former.saved_by.id != actor.id and not manages:
        return _not_theirs(former)
    templates.remove(connection, name)
    _witness(connection, "template.deleted", name, actor, origin, now, before=former, after=None)
    return Answer(message=f"Template '{name}' is deleted.")


def _not_theirs(former: Template) -> NotPermitted:
    who = f"<@{former.saved_by.id}>" if former.saved_by.is_slack else former.saved_by.id
    return NotPermitted(
        f"The template '{former.name}' is {who}'s. Choose another name, or ask them or an admin to change it."
    )


def _witness(
    connection: Connection,
    kind: str,
    name: str,
    actor: Actor,
    origin: Origin,
    now: datetime,
    *,
    before: Template | None,
    after: Template | None,
) -> None:
    audit.append(
        connection,
        at=now,
        kind=kind,
        actor=actor,
        origin=origin,
        template=name,
        before=None if before is None else {"text": before.text, "saved_by": before.saved_by.id},
        after=None if after is None else {"text": after.text, "saved_by": after.saved_by.id},
    )
