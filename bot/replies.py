"""Exceptions to words: the only place where an error becomes something a person reads."""

import secrets

import structlog

from storage.errors import OperatorError

log = structlog.get_logger(__name__)


def words_of(error: Exception, *, doing: str) -> str:
    """The message of an OperatorError; for anything else a reference that the log explains."""
    if isinstance(error, OperatorError):
        return error.message
    reference = secrets.token_hex(4)
    log.error("unexpected_error", reference=reference, doing=doing, exc_info=error)
    return (
        f"Something went wrong in Handrail itself while {doing} (reference {reference}). Nothing was run by this "
        "request beyond what the thread shows. The log has the details under that reference."
    )
