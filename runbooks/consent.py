"""Consent: who may give it, and what giving, denying and letting it expire does, each inside one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from runbooks.answer import Answer, mention
from runbooks.execution import Tools, end_execution, witness
from runbooks.progress import ApprovalDecided, ApprovalReminded
from safety import kill_switch
from safety.clock import words
from safety.review import Policy
from safety.roles import Permission
from storage import approvals, controls, executions
from storage.errors import NotPermitted, OperatorError, TooLate
from storage.records import Actor, ApprovalState, Consent, Execution, Origin, Phase, State


@dataclass(frozen=True, kw_only=True)
class Consents:
    """What decides about waiting approvals. A denied attempt is witnessed, then answered with an OperatorError."""

    tools: Tools
    policy: Policy

    def approve(
        self, connection: Connection, execution_id: int, actor: Actor, mark: str | None, origin: Origin
    ) -> Answer | OperatorError:
        now = self.tools.clock.now()
        execution = executions.get(connection, execution_id)
        waiting = approvals.find_waiting(connection, execution_id)
        if waiting is None or execution.state is not State.AWAITING_APPROVAL:
            return TooLate(
                f"#{execution_id} waits for nobody: it is {execution.state.words}.{_decided(connection, execution_id)}"
            )
        wrong = self._may_not_consent(connection, execution, waiting.kind, actor)
        if wrong is None and mark is not None and not waiting.fingerprint.startswith(mark):
            wrong = TooLate(f"#{execution_id} has a new plan since you looked. Read it, then decide about that one.")
        if wrong is not None:
            witness(connection, "approval.refused", execution, actor, origin, now, wrong.message)
            return wrong
        given = approvals.decide(connection, execution_id, to=ApprovalState.GIVEN, by=actor.id, now=now)
        if given is None:
            return TooLate(f"The time to approve #{execution_id} is over. Ask for it again.")
        moved = executions.move(
            connection,
            execution_id,
            leaving=(State.AWAITING_APPROVAL,),
            to=State.PENDING,
            now=now,
            actor=actor,
            origin=origin,
            reason="approved",
            phase=Phase.APPLY.value,
            queued_at=now,
        )
        witness(connection, "approval.given", moved, actor, origin, now, None)
        self.tools.reporter.report(connection, ApprovalDecided(execution=moved, approval=given, actor=actor), now)
        verb = "approved" if given.kind is Consent.APPROVE else "confirmed"
        return Answer(message=f"You {verb} #{execution_id}.", execution=moved)

    def _may_not_consent(
        self, connection: Connection, execution: Execution, kind: Consent, actor: Actor
    ) -> OperatorError | None:
        for switch in controls.engaged(connection):
            if kill_switch.holds(switch, execution):
                return NotPermitted(
                    f"The kill switch ({switch.words}) is engaged: #{execution.id} keeps waiting, but nobody can "
                    "approve it until the switch is released."
                )
        if kind is Consent.CONFIRM:
            if actor.id != execution.actor.id:
                return NotPermitted(f"Only <@{execution.actor.id}>, who asked for it, can confirm #{execution.id}.")
            return None
        if actor.id == execution.actor.id:
            return NotPermitted(f"You asked for #{execution.id} yourself: somebody else must approve it.")
        if not self.policy.may(actor.id, Permission.APPROVE):
            return NotPermitted(f"You may not approve: that takes a role with {Permission.APPROVE.value}.")
        return None

    def deny(
        self, connection: Connection, execution_id: int, actor: Actor, reason: str | None, origin: Origin
    ) -> Answer | OperatorError:
        now = self.tools.clock.now()
        execution = executions.get(connection, execution_id)
        if execution.state is not State.AWAITING_APPROVAL:
            return TooLate(
                f"#{execution_id} waits for nobody: it is {execution.state.words}.{_decided(connection, execution_id)}"
            )
        if actor.id != execution.actor.id and not self.policy.may(actor.id, Permission.APPROVE):
            wrong = NotPermitted(f"You may not deny: that takes a role with {Permission.APPROVE.value}.")
            witness(connection, "approval.refused", execution, actor, origin, now, wrong.message)
            return wrong
        denied = approvals.decide(
            connection, execution_id, to=ApprovalState.DENIED, by=actor.id, now=now, reason=reason
        )
        if denied is None:
            return TooLate(f"The time to decide about #{execution_id} is over.")
        words_ = f"denied by {mention(actor)}" + (f": {reason}" if reason else "")
        ended = end_execution(
            connection,
            self.tools.reporter,
            execution,
            to=State.DENIED,
            reason=words_,
            now=now,
            leaving=(State.AWAITING_APPROVAL,),
            by=actor,
            origin=origin,
        )
        self.tools.reporter.report(connection, ApprovalDecided(execution=ended, approval=denied, actor=actor), now)
        return Answer(message=f"You denied #{execution_id}.", execution=ended)

    def expire(self, connection: Connection, late: Sequence[int], half: Sequence[int]) -> None:
        now = self.tools.clock.now()
        for execution_id in late:
            expired = approvals.decide(connection, execution_id, to=ApprovalState.EXPIRED, by="handrail", now=now)
            if expired is None:
                continue
            execution = executions.get(connection, execution_id)
            length = words((expired.expires_at - expired.requested_at).total_seconds())
            ended = end_execution(
                connection,
                self.tools.reporter,
                execution,
                to=State.EXPIRED,
                reason=f"nobody decided within {length}; nothing was run",
                now=now,
                leaving=(State.AWAITING_APPROVAL,),
            )
            self.tools.reporter.report(connection, ApprovalDecided(execution=ended, approval=expired, actor=None), now)
        for execution_id in half:
            waiting = approvals.find_waiting(connection, execution_id)
            if waiting is None or waiting.reminded_at is not None or waiting.kind is not Consent.APPROVE:
                continue
            approvals.mark_reminded(connection, [waiting.id], now)
            event = ApprovalReminded(
                execution=executions.get(connection, execution_id),
                approval=waiting,
                notify=self.policy.notify,
                approvers=self.policy.approvers(),
            )
            self.tools.reporter.report(connection, event, now)


def _decided(connection: Connection, execution_id: int) -> str:
    found = approvals.latest(connection, execution_id)
    if found is None or found.decided_by is None or found.state is ApprovalState.WAITING:
        return ""
    by = f"<@{found.decided_by}>" if found.decided_by.startswith(("U", "W")) else found.decided_by
    return f" It was {found.state.value} by {by}."


def half_time(start: datetime, end: datetime) -> datetime:
    return start + (end - start) / 2
