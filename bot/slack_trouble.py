"""What went wrong with a call to Slack, sorted by what to do about it. Pure."""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slack_sdk.errors import SlackApiError

RETRY_AFTER_UNKNOWN = 5.0
LONGEST_RETRY_AFTER = 3_600.0


class Trouble(Enum):
    """Kinds of trouble, by the remedy."""

    BUSY = auto()  # Slack asked us to wait; nothing was done
    TOKEN = auto()  # a person must repair the app's token or scopes
    CHANNEL = auto()  # we can't post there
    CONTENT = auto()  # Slack doesn't take the message as it is
    GONE = auto()  # the message or thread it belongs to isn't there any more
    NOT_SENT = auto()  # no connection; certain that nothing was done
    SERVER = auto()  # Slack failed; it may have been done
    UNKNOWN = auto()  # no answer; it may have been done
    REFUSED = auto()  # anything else Slack says no to
    FAULT = auto()  # we failed ourselves; it may have been done


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One failed call. `error` is Slack's name for it, or words; it never holds a token or an address.

    `method`: Slack's, where the one that failed is known.
    """

    trouble: Trouble
    error: str
    retry_after: float = RETRY_AFTER_UNKNOWN
    method: str | None = None

    @property
    def may_be_done(self) -> bool:
        """Whether the call may have had its effect."""
        return self.trouble in {Trouble.SERVER, Trouble.UNKNOWN, Trouble.FAULT}

    @property
    def is_passing(self) -> bool:
        """Whether the same call may work later without anybody changing it; then nothing is given up for it."""
        return self.trouble in _PASSING


_PASSING = {Trouble.BUSY, Trouble.TOKEN, Trouble.NOT_SENT, Trouble.SERVER, Trouble.UNKNOWN}
_NAMES = {
    Trouble.BUSY: {"ratelimited", "rate_limited", "message_limit_exceeded"},
    Trouble.TOKEN: {
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "missing_scope",
        "not_allowed_token_type",
        "accesslimited",
        "app_access_restricted",
        "ekm_access_denied",
        "org_login_required",
        "team_access_not_granted",
        "two_factor_setup_required",
    },
    Trouble.CHANNEL: {
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "user_not_in_channel",
        "no_permission",  # Slack's words for it: be a member of the conversation
        "access_denied",
        "channel_is_limited_access",
        "method_not_supported_for_channel_type",
        "team_not_found",
        "channel_type_not_supported",
    },
    Trouble.CONTENT: {
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_arguments",
        "invalid_attachments",
        "attachment_payload_limit_exceeded",
        "msg_too_long",
        "msg_blocks_too_long",
        "no_text",
        "too_many_attachments",
        "markdown_text_conflict",
        "block_mismatch",
    },
    Trouble.GONE: {
        "message_not_found",
        "cant_update_message",
        "edit_window_closed",
        "thread_not_found",
        "cannot_reply_to_message",
        "thread_locked",
    },
    Trouble.SERVER: {
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
        "external_channel_migrating",
    },
}
_BY_NAME = {name: trouble for trouble, names in _NAMES.items() for name in names}


def understand(error: Exception) -> Failure:
    """What an exception of one call means."""
    # Here, not above: the command line knows troubles by their names alone, and should not wait for the SDK.
    import aiohttp
    from slack_sdk.errors import SlackApiError

    if isinstance(error, SlackApiError):
        return _answered(error)
    # A proxy's refusal to connect is one, too: what was to be said comes after that.
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.ClientHttpProxyError):
        return Failure(trouble=Trouble.NOT_SENT, error="Slack cannot be reached")
    if isinstance(error, TimeoutError):
        return Failure(trouble=Trouble.UNKNOWN, error="Slack did not answer in time")
    return Failure(trouble=Trouble.UNKNOWN, error=f"the answer was lost ({type(error).__name__})")


def by_status(status: int, retry_after: str | None, body: str = "") -> Failure:
    """What an HTTP status other than 200 means."""
    if status == 429:
        return Failure(trouble=Trouble.BUSY, error="ratelimited", retry_after=seconds(retry_after))
    if status >= 500:
        return Failure(trouble=Trouble.SERVER, error=f"HTTP {status}")
    return Failure(trouble=Trouble.REFUSED, error=_name(body) or f"HTTP {status}")


def by_name(name: str, retry_after: str | None = None) -> Failure:
    """What one of Slack's error names means."""
    trouble = Trouble.CHANNEL if name.startswith("restricted_action") else _BY_NAME.get(name, Trouble.REFUSED)
    return Failure(trouble=trouble, error=_name(name) or "an error without a name", retry_after=seconds(retry_after))


def seconds(retry_after: str | None) -> float:
    """The header in seconds, within reason."""
    try:
        return min(max(float(retry_after or RETRY_AFTER_UNKNOWN), 1.0), LONGEST_RETRY_AFTER)
    except ValueError:
        return RETRY_AFTER_UNKNOWN


def _answered(error: "SlackApiError") -> Failure:
    # For a body that can't be read, the SDK puts aiohttp's response where its own should be.
    response: Any = error.response
    status = int(getattr(response, "status_code", None) or getattr(response, "status", None) or 0)
    headers = getattr(response, "headers", None) or {}
    retry_after = headers.get("Retry-After") or headers.get("retry-after")
    data = getattr(response, "data", None)
    name = data.get("error") if isinstance(data, dict) else None
    if status == 429 or status >= 500:
        return by_status(status, retry_after)
    if isinstance(name, str):
        return by_name(name, retry_after)
    return Failure(trouble=Trouble.UNKNOWN, error=f"an answer that cannot be read (HTTP {status})")


def _name(text: str) -> str:
    return text if re.fullmatch(r"[a-z0-9_]{1,60}", text) else ""
