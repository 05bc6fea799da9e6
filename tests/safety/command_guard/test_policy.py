"""Rules and exceptions a team adds."""

import pytest

from safety.command_guard import CommandGuard, ExtraRule, GuardException, GuardPolicy, Severity

REBOOT = GuardPolicy(
    exceptions=(GuardException(name="canary reboots", command="sudo reboot", tags=frozenset({"canary"})),)
)
SPOOL = GuardPolicy(exceptions=(GuardException(name="old spool", command="rm -rf /srv/spool/*", pattern=True),))


def test_an_exception_allows_its_command_where_the_tag_is_and_is_named() -> None:
    judgement = CommandGuard(REBOOT).judge("sudo reboot", tags=frozenset({"web", "canary"}))
    assert (judgement.verdict, judgement.exception) == (Severity.ALLOW, "canary reboots")


def test_an_exception_says_nothing_about_other_hosts() -> None:
    judgement = CommandGuard(REBOOT).judge("sudo reboot", tags=frozenset({"web"}))
    assert (judgement.verdict, judgement.exception) == (Severity.REFUSE, None)


def test_an_exact_exception_covers_nothing_longer() -> None:
    assert CommandGuard(REBOOT).judge("sudo reboot; ls", tags=frozenset({"canary"})).verdict is Severity.REFUSE


def test_a_pattern_covers_what_it_names() -> None:
    assert CommandGuard(SPOOL).judge("rm -rf /srv/spool/2024").verdict is Severity.ALLOW


@pytest.mark.parametrize(
    "command",
    [
        "rm -rf /srv/spool/x /etc",
        "rm -rf /srv/spool/../../etc",
        "rm -rf /srv/spool/x; reboot",
        "rm -rf /srv/spool/$(reboot)",
        "rm -rf /srv/spool/x\nreboot",
        "rm -rf /srv/spool/x > /etc/passwd",
    ],
)
def test_a_pattern_lets_nothing_else_slip_in(command: str) -> None:
    assert CommandGuard(SPOOL).judge(command).verdict is Severity.REFUSE


def test_an_extra_rule_makes_the_guard_stricter() -> None:
    rule = ExtraRule(
        name="no-db-restart",
        program="systemctl",
        operands=("restart", "postgres*"),
        verdict=Severity.REFUSE,
        reason="The database team restarts it.",
        tags=frozenset({"db"}),
    )
    guard = CommandGuard(GuardPolicy(rules=(rule,)))
    judgement = guard.judge("sudo systemctl restart postgresql", tags=frozenset({"db"}))
    assert (judgement.verdict, judgement.rule) == (Severity.REFUSE, "team.no-db-restart")
    assert judgement.reason == "The database team restarts it."
    assert guard.judge("sudo systemctl restart postgresql", tags=frozenset({"web"})).verdict is Severity.ALLOW
    assert guard.judge("sudo systemctl restart nginx", tags=frozenset({"db"})).verdict is Severity.ALLOW


def test_an_extra_rule_cannot_undo_a_refusal() -> None:
    rule = ExtraRule(name="x", program="reboot", verdict=Severity.ALLOW, reason="We like it.")
    assert CommandGuard(GuardPolicy(rules=(rule,))).judge("reboot").verdict is Severity.REFUSE


def test_an_extra_rule_makes_a_program_of_the_team_known() -> None:
    rule = ExtraRule(name="ours", program="acme-status", verdict=Severity.ALLOW, reason="It only reads.")
    assert CommandGuard().judge("acme-status --all").verdict is Severity.APPROVE
    assert CommandGuard(GuardPolicy(rules=(rule,))).judge("acme-status --all").verdict is Severity.ALLOW


def test_sudo_without_a_password_is_sudo_to_an_exception() -> None:
    assert CommandGuard(REBOOT).judge("sudo -n reboot", tags=frozenset({"canary"})).exception == "canary reboots"
    assert CommandGuard(REBOOT).judge("reboot", tags=frozenset({"canary"})).verdict is Severity.REFUSE


@pytest.mark.parametrize(
    ("policy", "part"),
    [
        (GuardPolicy(exceptions=(*REBOOT.exceptions, *REBOOT.exceptions)), "'canary reboots' is there twice"),
        (GuardPolicy(exceptions=(GuardException(name="x", command="  "),)), "the command is empty"),
        (
            GuardPolicy(exceptions=(GuardException(name="x", command="r* -rf /tmp", pattern=True),)),
            "program's own name",
        ),
        (
            GuardPolicy(exceptions=(GuardException(name="x", command="sudo * /tmp", pattern=True),)),
            "program's own name",
        ),
        (GuardPolicy(exceptions=(GuardException(name="x", command="rm /a; rm /*", pattern=True),)), "plain words"),
        (GuardPolicy(exceptions=(GuardException(name="x", command="rm /srv/spool/*"),)), "`pattern: true`"),
        (
            GuardPolicy(
                rules=(ExtraRule(name="x", program="a", verdict=Severity.REFUSE, reason="No.", options=("f",)),)
            ),
            "'f' is no option",
        ),
    ],
)
def test_what_is_wrong_with_a_policy_is_said(policy: GuardPolicy, part: str) -> None:
    assert any(part in said for said in policy.complaints())


def test_a_tag_that_no_host_carries_is_a_typing_error() -> None:
    assert REBOOT.complaints(frozenset({"canary"})) == []
    assert REBOOT.complaints(frozenset({"canari"})) == [
        "guard.exceptions 'canary reboots': no host has the tag 'canary'."
    ]
    assert REBOOT.complaints() == []
