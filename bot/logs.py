"""Logs: events with fields, redacted last; readable on a terminal, JSON elsewhere. Libraries' logs go the same way."""

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog

from safety.redaction import Redactor


def configure(*, secrets: Iterable[str], verbose: bool = False, quiet: bool = False) -> None:
    """Once, at start. `quiet` keeps warnings and worse only."""
    redactor = Redactor(secrets)
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO

    def masked(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: redactor.redact(value).text if isinstance(value, str) else value for key, value in event.items()}

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            if not sys.stderr.isatty()
            else structlog.processors._format_exception
        ),
    ]
    terminal = sys.stderr.isatty()
    renderer: Any = structlog.dev.ConsoleRenderer(colors=True) if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, masked, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in ("asyncssh", "slack_bolt", "slack_sdk", "aiohttp.access", "aiosqlite", "alembic", "apscheduler"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))
