"""Statements that are asked many times for each execution: written as any other, handed to the driver as text.

SQLAlchemy compiles each once for a database and a set of parameters. Running it then takes a tenth of what it costs to
go through SQLAlchemy's own layers every time, which was half of all that the bookkeeping of an execution took.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Delete, Insert, Select, Update
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.selectable import CompoundSelect

from storage.database import at_the_end

Statement = Select[Any] | CompoundSelect[Any] | Insert | Update | Delete
Process = Callable[[Any], Any]
_Bind = tuple[str, tuple[str, int | None] | None, Process | None, Any]  # its name; where its value is, or a constant


class Prepared:
    """One statement. Parameters are given by name, values for an `expanding` one as a list.

    An INSERT or UPDATE sets the columns that are among the parameters, beside those that it names itself. Rows are
    named tuples. Raises what SQLAlchemy raises.
    """

    def __init__(self, statement: Statement) -> None:
        self.statement: Any = statement
        self._texts: dict[Any, _Text] = {}
        self._lists: tuple[str, ...] | None = None

    def all(self, connection: Connection, params: Mapping[str, Any] = {}) -> list[Any]:
        """Its rows."""
        text = self._text(connection, params)
        cursor = text.run(connection, params)
        return text.rows(cursor, cursor.fetchall())

    def first(self, connection: Connection, params: Mapping[str, Any] = {}) -> Any:
        """Its first row; None when there is none."""
        text = self._text(connection, params)
        cursor = text.run(connection, params)
        found = cursor.fetchall()  # of all rows, so that nothing stays open
        return text.rows(cursor, found[:1])[0] if found else None

    def scalar(self, connection: Connection, params: Mapping[str, Any] = {}) -> Any:
        """The first column of its first row; None when there is none."""
        row = self.first(connection, params)
        return None if row is None else row[0]

    def run(self, connection: Connection, params: Mapping[str, Any] = {}) -> int:
        """For what returns no rows: how many were changed."""
        return cast(int, self._text(connection, params).run(connection, params).rowcount)

    def run_each(self, connection: Connection, many: Sequence[Mapping[str, Any]]) -> None:
        """Once with each of these, which all have the same names."""
        if len(many) == 1:
            self.run(connection, many[0])
        elif many:
            self._text(connection, many[0]).run_each(connection, many)

    def later(self, connection: Connection, params: Mapping[str, Any]) -> None:
        """Before this transaction is committed, with all others that are put off like that: in one go, in their order.

        Whoever reads there what it writes says `catch_up` before.
        """
        pending = at_the_end(connection)
        if pending is None:
            self.run(connection, params)
            return
        found = pending.setdefault(self, _Later(self))
        if isinstance(found, _Later):
            found.many.append(params)

    def catch_up(self, connection: Connection) -> None:
        """What was put off is done now."""
        pending = at_the_end(connection)
        if pending and self in pending:
            pending.pop(self)(connection)

    def _text(self, connection: Connection, params: Mapping[str, Any]) -> "_Text":
        dialect = connection.dialect
        if self._lists is None:
            compiled = self.statement.compile(dialect=dialect, column_keys=list(params))
            self._lists = tuple(name for name, bind in compiled.binds.items() if bind.expanding and name in params)
        key = (dialect.name, *params, *(_room(params[name]) for name in self._lists))
        found = self._texts.get(key)
        if found is None:
            found = self._texts[key] = _Text(self.statement, dialect, params)
        return found


def _room(values: Sequence[Any]) -> int:
    """The next power of two, so that there are few texts for all lengths; the last value fills what is left."""
    return len(values) if len(values) < 2 else 1 << (len(values) - 1).bit_length()


class _Later:
    """Runs of one statement that are put off."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared, self.many = prepared, list[Mapping[str, Any]]()

    def __call__(self, connection: Connection) -> None:
        self.prepared.run_each(connection, self.many)


class _Text:
    """A statement in a driver's words, for parameters of these names and lists with this much room."""

    def __init__(self, statement: Statement, dialect: Dialect, params: Mapping[str, Any]) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=list(params))
        lists = {name: [*params[name]] for name, bind in compiled.binds.items() if bind.expanding and name in params}
        lists = {name: [*values, *values[-1:] * (_room(values) - len(values))] for name, values in lists.items()}
        state = compiled.construct_expanded_state({**params, **lists})
        self._dialect, self._sql = dialect, state.statement
        part_of = {
            part: (name, place) for name, parts in state.parameter_expansion.items() for place, part in enumerate(parts)
        }
        binds: list[_Bind] = []
        named = [name for name in state.parameters if name not in state.parameter_expansion]
        for name in state.positiontup if compiled.positional else named:
            source = part_of.get(name, (name, None))
            process = compiled.binds[source[0]].type.dialect_impl(dialect).bind_processor(dialect)
            if source[0] in params:
                binds.append((name, source, process, None))
            else:
                constant = state.parameters[name]
                binds.append((name, None, None, constant if process is None else process(constant)))
        self._binds = binds
        self._is_positional: bool = compiled.positional
        columns = list(_columns(statement))
        self._row: Any = namedtuple("Row", [str(column.key) for column in columns], rename=True) if columns else tuple
        self._types = [column.type.dialect_impl(dialect) for column in columns]
        self._processors: Sequence[tuple[int, Process]] | None = None

    def run(self, connection: Connection, params: Mapping[str, Any]) -> Any:
        """The driver's cursor."""
        try:
            return connection.connection.driver_connection.execute(self._sql, self._bound(params))  # type: ignore[union-attr]
        except self._dialect.loaded_dbapi.Error as error:
            raise self._as_sqlalchemy_says(connection, error) from error

    def run_each(self, connection: Connection, many: Sequence[Mapping[str, Any]]) -> None:
        cursor = connection.connection.cursor()
        try:
            cursor.executemany(self._sql, [self._bound(params) for params in many])
        except self._dialect.loaded_dbapi.Error as error:
            raise self._as_sqlalchemy_says(connection, error) from error
        finally:
            cursor.close()

    def rows(self, cursor: Any, found: Iterable[Sequence[Any]]) -> list[Any]:
        """As what the types of their columns make of them."""
        if self._processors is None:
            made = (
                kind.result_processor(self._dialect, column[1])
                for kind, column in zip(self._types, cursor.description, strict=True)
            )
            self._processors = [(place, process) for place, process in enumerate(made) if process is not None]
        make, processors = self._row._make, self._processors
        if not processors:
            return [make(row) for row in found]
        rows = []
        for one in found:
            values = list(one)
            for place, process in processors:
                values[place] = process(values[place])
            rows.append(make(values))
        return rows

    def _bound(self, params: Mapping[str, Any]) -> Any:
        values = []
        for _, source, process, constant in self._binds:
            if source is None:
                values.append(constant)
                continue
            name, place = source
            value = params[name]
            if place is not None:
                value = value[min(place, len(value) - 1)]
            values.append(value if process is None else process(value))
        if self._is_positional:
            return values
        return {bind[0]: value for bind, value in zip(self._binds, values, strict=True)}

    def _as_sqlalchemy_says(self, connection: Connection, error: Exception) -> BaseException:
        dialect: Any = self._dialect
        raw: Any = connection.connection
        gone = dialect.is_disconnect(error, raw, None)
        return DBAPIError.instance(
            self._sql,
            None,
            error,
            dialect.loaded_dbapi.Error,
            hide_parameters=True,
            connection_invalidated=gone,
            dialect=dialect,
        )


def _columns(statement: Statement) -> Iterable[Any]:
    return cast(Iterable[Any], statement.exported_columns)
