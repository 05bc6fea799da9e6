"""Logs: events with fields on standard error, redacted last; readable on a terminal, JSON lines elsewhere.

Libraries' logs go the same way. Standard output is never written to: it belongs to what a command was asked for.
"""

import logging
import os
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import structlog

from safety.redaction import Redactor

TALKATIVE = ("asyncssh", "slack_bolt", "slack_sdk", "aiohttp.access", "aiosqlite", "alembic")
"""Libraries that are heard from WARNING on only."""


_redactor = Redactor()
"""One for the process, as logging is: what is once known to be secret stays out of its logs."""


def hold(secret: str) -> None:
    """Mask this value, too, in every log from now on."""
    _redactor.hold(secret)


def configure(*, secrets: Iterable[str], verbose: bool = False, quiet: bool = False) -> None:
    """Once, at start. `secrets` are exact values to mask; `quiet` keeps warnings and worse only."""
    for secret in secrets:
        _redactor.hold(secret)
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # One text, in both forms: so a secret in a traceback is found like any other. Locals are not shown.
        structlog.processors.format_exc_info,
    ]
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
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _Mask(_redactor),
                _renderer(is_terminal=sys.stderr.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _renderer(*, is_terminal: bool) -> Any:
    if is_terminal:
        return structlog.dev.ConsoleRenderer(colors=not os.environ.get("NO_COLOR"))
    return structlog.processors.JSONRenderer(ensure_ascii=False)


class _Mask:
    """Masks secrets in whatever is about to be rendered, however deep they are."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: self._masked(key, value) for key, value in event.items()}

    def _masked(self, name: str, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self._redactor.redact_field(name, value).text
        if isinstance(value, Mapping):
            return {str(key): self._masked(str(key), inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._masked(name, inner) for inner in value]
        # An exception or a record: its words may hold anything, so they are made here and not by the renderer.
        return self._redactor.redact_field(name, str(value)).text
