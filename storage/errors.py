"""The whole tree of errors, drawn.

OperatorError                  its message is a full sentence, safe to post
  NotFound                     a runbook, host, execution or parameter that isn't there
  Invalid                      a value that cannot be used
  NotPermitted                 this person may not
  TooLate                      somebody was faster, or it is over
  StorageUnavailable           the database does not answer
  ConfigurationError           a setting is missing or wrong; knows every complaint at once
  DefinitionError              a runbook's class or plan is not usable
  PlanningFailed               a probe could not be read, or the plan made of it
  SecretUnavailable            a stored secret that isn't there or doesn't open
  HostError                    something about one host
    HostUnreachable            nothing was sent: may be tried again
    HostKeyRefused             unknown or changed host key: never tried again
    LoginRefused               the host does not let us in: never tried again
    ConnectionLost             the command was sent; its outcome is unknown
LeaseLost                      we are not the owner of this execution any more (never shown to a person)
"""

from collections.abc import Sequence


class OperatorError(Exception):
    """An answer a person can act on: names the thing and the next move."""

    @property
    def message(self) -> str:
        """What to post."""
        return str(self)


class NotFound(OperatorError):
    """What was named does not exist."""


class Invalid(OperatorError):
    """What was given cannot be used."""


class NotPermitted(OperatorError):
    """This person may not do that."""


class TooLate(OperatorError):
    """The thing has moved on."""


class StorageUnavailable(OperatorError):
    """The database does not answer."""


class ConfigurationError(OperatorError):
    """Everything that is wrong with the settings, one sentence each."""

    def __init__(self, complaints: Sequence[str]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("\n".join(self.complaints))


class DefinitionError(OperatorError):
    """A runbook that cannot be used as it is written."""


class PlanningFailed(OperatorError):
    """No plan could be made; nothing was changed."""


class SecretUnavailable(OperatorError):
    """A stored secret that isn't there, or that no key of ours opens. Names it, never shows it."""


class HostError(OperatorError):
    """Something about one host. `host` names it. Whatever answered there may be quoted in it: of that only what can be
    printed stays.
    """

    def __init__(self, host: str, message: str) -> None:
        self.host = host
        super().__init__("".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in message))


class HostUnreachable(HostError):
    """No connection or no channel; nothing was sent."""


class HostKeyRefused(HostError):
    """The host showed a key we don't know for it."""


class LoginRefused(HostError):
    """The host refused our login."""


class ConnectionLost(HostError):
    """The command was sent and the connection broke: it may have run, or be running."""


class LeaseLost(Exception):
    """Another owner has taken this execution over: stop writing."""
