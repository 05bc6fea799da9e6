"""Requests kept under a name."""

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from storage import tables as t
from storage.records import Actor, Template


def get(connection: Connection, name: str) -> Template | None:
    """The one of this name, or None."""
    row = connection.execute(select(t.templates).where(t.templates.c.name == name)).first()
    return None if row is None else _template(row)


def every(connection: Connection) -> list[Template]:
    """All of them, by name."""
    return [_template(row) for row in connection.execute(select(t.templates).order_by(t.templates.c.name))]


def put(connection: Connection, template: Template) -> None:
    """Keep it; another of this name is replaced."""
    values = {
        "text": template.text,
        "saved_by": template.saved_by.id,
        "saved_by_name": template.saved_by.name,
        "saved_at": template.saved_at,
    }
    changed = connection.execute(
        update(t.templates).where(t.templates.c.name == template.name).values(**values).returning(t.templates.c.name)
    ).first()
    if changed is None:
        connection.execute(insert(t.templates).values(name=template.name, **values))


def remove(connection: Connection, name: str) -> None:
    """Forget it."""
    connection.execute(delete(t.templates).where(t.templates.c.name == name))


def _template(row: Row[Any]) -> Template:
    return Template(
        name=row.name,
        text=row.text,
        saved_by=Actor(id=row.saved_by, name=row.saved_by_name),
        saved_at=row.saved_at,
    )
