"""The command guard: judges every command on its syntax tree before it may reach a host.

`CommandGuard.judge` answers allow, approve or refuse with the rule, the place and a plain reason;
`CommandGuard.judge_read_only` is the stricter guard of probes and expectations. `rules` and `routine` are the tables
to read, `policy` is what a team may add.
"""

from safety.command_guard.guard import CommandGuard
from safety.command_guard.policy import DEFAULT_POLICY, ExtraRule, GuardException, GuardPolicy
from safety.command_guard.verdicts import Judgement, Severity

__all__ = [
    "DEFAULT_POLICY",
    "CommandGuard",
    "ExtraRule",
    "GuardException",
    "GuardPolicy",
    "Judgement",
    "Severity",
]
