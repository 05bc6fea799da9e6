"""Consent: who may give it, and what giving, denying and letting it expire does, each inside one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from runbooks.answer import Answer, mention
from runbooks.ending import end_execution, has_begun, witness
from runbooks.plans import stage_json
from runbooks.progress import ApprovalAsked, ApprovalDecided, ApprovalReminded, ApprovalVoted
from runbooks.steps import Tools
from safety import kill_switch
from safety.approval import Demand, together
from safety.clock import words
from safety.review import Policy
from safety.roles import Permission, Right
from storage import approvals, controls, executions, inbox
from storage.errors import NotPermitted, OperatorError, TooLate
from storage.records import Actor, Approval, ApprovalState, Consent, Execution, Origin, Phase, State


@dataclass(frozen=True, kw_only=True)
class Consents:
    """What decides about waiting approvals. A denied attempt is witnessed, then answered with an OperatorError."""

    tools: Tools
    policy: Policy

    def approve(
        self,
        connection: Connection,
        execution_id: int,
        actor: Actor,
        mark: str | None,
        said_at: datetime | None,
        origin: Origin,
    ) -> Answer | OperatorError:
        now = self.tools.clock.now()
        said_at = min(now, said_at or now)
        execution = executions.get(connection, execution_id)
        waiting = approvals.find_waiting(connection, execution_id)
        if waiting is None or execution.state is not State.AWAITING_APPROVAL:
            return self._waits_for_nobody(connection, execution, actor, origin, now)
        wrong = self._may_not_consent(connection, execution, waiting, actor)
        if wrong is None and mark is not None and not waiting.fingerprint.startswith(mark):
            wrong = TooLate(f"#{execution_id} has a new plan since you looked. Read it, then decide about that one.")
        if wrong is None and waiting.expires_at <= said_at:
            wrong = TooLate(f"The time to approve #{execution_id} is over. Ask for it again.")
        if wrong is not None:
            witness(connection, "approval.refused", execution, actor, origin, now, wrong.message)
            return wrong
        late = TooLate(f"#{execution_id} was decided about at this very moment.")
        if waiting.kind is Consent.APPROVE:
            if not approvals.vote(connection, waiting.id, by=actor.id, said_at=said_at):
                return late
            voted = replace(waiting, votes=(*waiting.votes, actor.id))
            missing = self._missing(execution, voted)
            if missing:
                return self._voted(connection, execution, voted, missing, actor, origin, now)
        given = approvals.decide(
            connection, execution_id, to=ApprovalState.GIVEN, by=actor.id, now=now, said_at=said_at
        )
        if given is None:
            return late
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
            note=None,
        )
        witness(connection, "approval.given", moved, actor, origin, now, self._rule(execution, waiting, actor))
        self.tools.reporter.report(connection, ApprovalDecided(execution=moved, approval=given, actor=actor), now)
        verb = "approved" if given.kind is Consent.APPROVE else "confirmed"
        return Answer(message=f"You {verb} #{execution_id}.", execution=moved)

    def _waits_for_nobody(
        self, connection: Connection, execution: Execution, actor: Actor, origin: Origin, now: datetime
    ) -> OperatorError:
        """What became of it; who could not have decided is not told."""
        right = self.policy.decide(actor.id, Permission.APPROVE)
        if right.allowed or actor.id == execution.actor.id:
            what = _decided(connection, execution.id)
            return TooLate(f"#{execution.id} waits for nobody's approval ({execution.state.words}).{what}")
        wrong = NotPermitted(f"You may not decide about #{execution.id}: {right.reason} ({right.rule})")
        witness(connection, "approval.refused", execution, actor, origin, now, wrong.message)
        return wrong

    def _voted(
        self,
        connection: Connection,
        execution: Execution,
        voted: Approval,
        missing: Sequence[Demand],
        actor: Actor,
        origin: Origin,
        now: datetime,
    ) -> Answer:
        """A yes that is not enough yet."""
        still = _words(missing)
        witness(connection, "approval.vote", execution, actor, origin, now, f"still to be given: {still}")
        plan = stage_json(executions.plan_of(connection, execution.id) or {"hosts": []}, execution.stage)
        asked = request_for(
            connection, self.policy, execution, voted, plan, execution.note or "", self._demands(voted, execution)
        )
        event = ApprovalVoted(asked=asked, actor=actor, missing=tuple(demand.words for demand in missing))
        self.tools.reporter.report(connection, event, now)
        return Answer(message=f"You approved #{execution.id}. Still needed: {still}.", execution=execution)

    def _rule(self, execution: Execution, waiting: Approval, actor: Actor) -> str | None:
        """The line of the settings that lets this person approve, for the audit."""
        if waiting.kind is not Consent.APPROVE:
            return None
        return self._right(execution, actor).rule

    def _right(self, execution: Execution, actor: Actor) -> Right:
        """To approve it, with everything that is a part of it."""
        return self.policy.decide(
            actor.id,
            Permission.APPROVE,
            runbook=execution.runbook,
            hosts=execution.hosts,
            includes=execution.includes,
        )

    def _demands(self, waiting: Approval, execution: Execution) -> tuple[Demand, ...]:
        """What was asked for when it began to wait, and what the settings ask for now."""
        if waiting.kind is not Consent.APPROVE:
            return ()
        asked = Demand(consent=Consent.APPROVE, quorum=waiting.quorum, group=waiting.group)
        demanded = (
            demand
            for runbook in (execution.runbook, *execution.includes)
            for demand in self.policy.demanded(execution.danger, runbook, execution.hosts)
        )
        return together((*demanded, asked))

    def _missing(self, execution: Execution, waiting: Approval) -> tuple[Demand, ...]:
        """What is still to be given. A yes of somebody who may no longer approve does not count."""
        demands = self._demands(waiting, execution)
        electorate = self.policy.electorate(
            execution.runbook,
            execution.hosts,
            besides=execution.actor.id,
            demands=demands,
            includes=execution.includes,
        )
        return electorate.lacking(demands, waiting.votes)

    def _may_not_consent(
        self, connection: Connection, execution: Execution, waiting: Approval, actor: Actor
    ) -> OperatorError | None:
        for switch in controls.engaged(connection):
            if kill_switch.holds(switch, execution):
                return NotPermitted(
                    f"The kill switch ({switch.words}) is engaged: #{execution.id} keeps waiting, but nobody can "
                    "approve it until the switch is released."
                )
        if waiting.kind is Consent.CONFIRM:
            if actor.id != execution.actor.id:
                return NotPermitted(f"Only <@{execution.actor.id}>, who asked for it, can confirm #{execution.id}.")
            return None
        if actor.id == execution.actor.id:
            able = self._may_approve(execution, waiting)
            who = f" Those who may: {_people(able)}." if able else ""
            return NotPermitted(f"You asked for #{execution.id} yourself: somebody else must approve it.{who}")
        right = self._right(execution, actor)
        if not right.allowed:
            return NotPermitted(f"You may not approve #{execution.id}: {right.reason} ({right.rule})")
        if actor.id in waiting.votes:
            missing = _words(self._missing(execution, waiting))
            return NotPermitted(f"You have approved #{execution.id} already. Still needed: {missing}.")
        return self._is_not_asked(execution, waiting, actor)

    def _is_not_asked(self, execution: Execution, waiting: Approval, actor: Actor) -> NotPermitted | None:
        """Somebody who may approve, but whose yes counts for nothing that is asked for."""
        demands = self._demands(waiting, execution)
        electorate = self.policy.electorate(
            execution.runbook,
            execution.hosts,
            besides=execution.actor.id,
            demands=demands,
            includes=execution.includes,
        )
        if any(actor.id in electorate.fitting(demand) for demand in demands):
            return None
        return NotPermitted(f"#{execution.id} needs the approval of {_words(demands)}, and you are not one of them.")

    def deny(
        self, connection: Connection, execution_id: int, actor: Actor, reason: str | None, origin: Origin
    ) -> Answer | OperatorError:
        now = self.tools.clock.now()
        execution = executions.get(connection, execution_id)
        if execution.state is not State.AWAITING_APPROVAL:
            return self._waits_for_nobody(connection, execution, actor, origin, now)
        if not self._may_say_no(execution, actor):
            right = self.policy.decide(actor.id, Permission.APPROVE)
            wrong = NotPermitted(f"You may not deny #{execution_id}: {right.reason} ({right.rule})")
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
        still = " It is interrupted as before." if ended.state is State.INTERRUPTED else ""
        return Answer(message=f"You denied #{execution_id}.{still}", execution=ended)

    def may_consent(self, connection: Connection, execution: Execution, waiting: Approval, actor: Actor) -> bool:
        """Whether a yes of this person would count now; nothing is witnessed."""
        return self._may_not_consent(connection, execution, waiting, actor) is None

    def may_deny(self, execution: Execution, actor: Actor) -> bool:
        """Whether it waits, and this person may say no to it."""
        return execution.state is State.AWAITING_APPROVAL and self._may_say_no(execution, actor)

    def _may_say_no(self, execution: Execution, actor: Actor) -> bool:
        """The requester, and whoever may approve anywhere: like every way of stopping, `can` does not limit it."""
        return actor.id == execution.actor.id or self.policy.may(actor.id, Permission.APPROVE)

    def expire(self, connection: Connection, late: Sequence[int], half: Sequence[int]) -> None:
        now = self.tools.clock.now()
        for execution_id in late:
            waiting = approvals.find_waiting(connection, execution_id)
            if waiting is None or inbox.waits_since(connection, waiting.expires_at):
                continue  # what was said in time, and nobody has come to yet, may be the yes
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
                reason=f"nobody decided within {length}" + ("" if has_begun(execution) else "; nothing was run"),
                now=now,
                leaving=(State.AWAITING_APPROVAL,),
            )
            self.tools.reporter.report(connection, ApprovalDecided(execution=ended, approval=expired, actor=None), now)
        for execution_id in half:
            waiting = approvals.find_waiting(connection, execution_id)
            if waiting is None or waiting.reminded_at is not None or waiting.kind is not Consent.APPROVE:
                continue
            approvals.mark_reminded(connection, [waiting.id], now)
            execution = executions.get(connection, execution_id)
            missing = self._missing(execution, waiting)
            event = ApprovalReminded(
                execution=execution,
                approval=replace(waiting, reminded_at=now),
                notify=self.policy.notify,
                approvers=self._may_approve(execution, waiting),
                missing=tuple(demand.words for demand in missing),
            )
            self.tools.reporter.report(connection, event, now)

    def _may_approve(self, execution: Execution, waiting: Approval) -> tuple[str, ...]:
        """Those whose yes is still asked for, as Slack can mention them."""
        able = self.policy.approvers(
            execution.runbook,
            execution.hosts,
            besides=execution.actor.id,
            demands=self._demands(waiting, execution),
            includes=execution.includes,
        )
        return tuple(name for name in able if name not in waiting.votes)


def _people(ids: Sequence[str]) -> str:
    """People in a sentence, at most five; a group by its id, since only people are mentioned in an answer."""
    shown = [f"<@{one}>" if one[:1] in {"U", "W"} else one for one in ids[:5]]
    return ", ".join(shown) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")


def request_for(
    connection: Connection,
    policy: Policy,
    execution: Execution,
    approval: Approval,
    plan: Mapping[str, Any],
    why: str,
    demands: Sequence[Demand],
) -> ApprovalAsked:
    """The request as those who decide see it: the plan, why, from whom, and how it went there lately."""
    others = approval.kind is Consent.APPROVE
    return ApprovalAsked(
        execution=execution,
        approval=approval,
        plan=plan,
        why=why,
        notify=policy.notify if others else None,
        approvers=policy.approvers(
            execution.runbook,
            execution.hosts,
            besides=execution.actor.id,
            demands=demands,
            includes=execution.includes,
        )
        if others
        else (),
        needs=tuple(demand.words for demand in demands) if others else (),
        last=tuple(executions.last_on(connection, execution.runbook, execution.hosts, before=execution.id)),
    )


def _words(demands: Sequence[Demand]) -> str:
    return " and ".join(demand.words for demand in demands) or "nothing more"


def _decided(connection: Connection, execution_id: int) -> str:
    found = approvals.latest(connection, execution_id)
    if found is None or found.decided_by is None or found.state is ApprovalState.WAITING:
        return ""
    if found.state is ApprovalState.EXPIRED:
        return " Nobody decided in time."
    names = found.votes if found.state is ApprovalState.GIVEN and found.votes else (found.decided_by,)
    by = " and ".join(f"<@{name}>" if name.startswith(("U", "W")) else name for name in names)
    return f" It was {found.state.value} by {by}."


def half_time(start: datetime, end: datetime) -> datetime:
    return start + (end - start) / 2
