"""Alembic's environment: the connection is handed in by `storage.migrations`."""

from alembic import context

from storage.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=False,
    transactional_ddl=False,  # the caller's transaction holds everything
)
context.run_migrations()
