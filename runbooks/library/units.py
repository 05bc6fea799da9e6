"""Systemd units as runbooks about services see them: what a host says of one, how its configuration is tested."""

import re
from difflib import get_close_matches
from typing import Any

from runbooks import Expect, Facts, Probe, Require, Run, minutes

PROPERTIES = (
    "Type,RemainAfterExit,MainPID,NRestarts,Result,LoadState,LoadError,ActiveState,SubState,ActiveEnterTimestamp,"
    "StateChangeTimestamp,CanReload,Job,TriggeredBy"
)
"""Asked in one command; a systemd that does not know one of them leaves it out."""

CHECKS: dict[str, tuple[str, ...]] = {
    "apache2": ("apache2ctl", "configtest"),
    "bind9": ("named-checkconf",),
    "caddy": ("caddy", "validate", "--config", "/etc/caddy/Caddyfile"),
    "dnsmasq": ("dnsmasq", "--test"),
    "haproxy": ("haproxy", "-c", "-f", "/etc/haproxy/haproxy.cfg"),
    "httpd": ("httpd", "-t"),
    "keepalived": ("keepalived", "-t"),
    "named": ("named-checkconf",),
    "nginx": ("nginx", "-t"),
    "postfix": ("postfix", "check"),
    "prometheus": ("promtool", "check", "config", "/etc/prometheus/prometheus.yml"),
    "rsyslog": ("rsyslogd", "-N1"),
    "smbd": ("testparm", "-s"),
    "squid": ("squid", "-k", "parse"),
    "ssh": ("sshd", "-t"),
    "sshd": ("sshd", "-t"),
    "unbound": ("unbound-checkconf",),
}
"""The program's own test of its configuration, by unit. Each only reads, and ends with 0 when all is well."""

UP = {"active", "reloading", "activating"}
NOT_THERE = 127  # a shell's status for a program it does not find


async def look_at(host: Probe, service: str) -> Facts:
    """What systemd says of a unit. Raises ValueError, in words, for one that it does not have or cannot read."""
    shown = await host.read("systemctl", "show", service, f"--property={PROPERTIES}")
    found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    load, state = found.get("LoadState", "loaded"), found.get("ActiveState", "unknown")
    if load == "not-found" and state not in UP:
        near = await _like(host, service)
        more = f"Did you mean {' or '.join(near)}?" if near else "`systemctl list-units` there shows the names."
        raise ValueError(f"{host.name} has no unit {service}. {more}")
    if load in {"error", "bad-setting"}:
        said = found.get("LoadError", "").strip()
        raise ValueError(
            f"systemd on {host.name} cannot read the unit {service} ({load}{f': {said}' if said else ''}), so it was "
            f"left as it is: {state}. `systemctl status {service}` there says more."
        )
    return Facts(
        load=load,
        state=state,
        sub_state=found.get("SubState", "unknown"),
        main_pid=int(found.get("MainPID") or 0),
        active_since=found.get("ActiveEnterTimestamp", ""),
        changed=found.get("StateChangeTimestamp", ""),
        result=found.get("Result", "success"),
        respawned=int(found["NRestarts"]) if found.get("NRestarts", "").isdigit() else None,
        job=found.get("Job", "0") not in {"", "0"},
        reloads=found.get("CanReload") == "yes",
        # What such a unit does is done when it ends: it is never seen active.
        passing=found.get("Type") == "oneshot" and found.get("RemainAfterExit") == "no",
        triggers=found.get("TriggeredBy", "").split(),
        root=host.login == "root",
    )


async def _like(host: Probe, service: str) -> list[str]:
    """Services there whose names look like this one, the nearest first; at most two."""
    argv = ("systemctl", "list-units", "--type=service", "--all", "--plain", "--no-legend", "--no-pager")
    listed = await host.read(*argv, allow_exit=range(256))
    names = [line.split()[0].removesuffix(".service") for line in listed.splitlines() if line.strip()]
    return get_close_matches(service.removesuffix(".service"), names, n=2, cutoff=0.7)


def a_unit(state: str = "active", **more: Any) -> Facts:
    """A unit as `look_at` finds it, without any host: for samples."""
    up = state == "active"
    usual = Facts(
        load="loaded",
        state=state,
        sub_state="running" if up else "dead",
        main_pid=4711 if up else 0,
        changed="",
        result="success",
        respawned=0,
        job=False,
        reloads=True,
        passing=False,
        triggers=[],
        root=False,
        check=None,
        check_sudo=False,
        unchecked="",
    )
    return usual.having(**more)


def refuse_masked(host: Probe, service: str, facts: Facts) -> None:
    """Raises ValueError for a unit that somebody masked."""
    if facts.load == "masked":
        raise ValueError(
            f"{service} is masked on {host.name}: somebody decided that it must not start. It is {facts.state} now, "
            f"and was left alone. Whoever masked it can `systemctl unmask {service}`."
        )


def standing(facts: Facts) -> str:
    """ "active (running), pid 40" and its like."""
    pid = f", pid {facts.main_pid}" if facts.main_pid else ""
    return f"{facts.state} ({facts.sub_state}){pid}"


async def check_configuration(host: Probe, service: str, facts: Facts, what: str) -> Facts:
    """The facts and `check`: the words that test the configuration, and whether through sudo; none if none is known.

    `unchecked` says why there is none where there could be one. Raises ValueError when the test fails, before anything
    is touched. `what`: what is not done then ("restarted").
    """
    words = _check_of(service)
    if words is None:
        return facts.having(check=None, check_sudo=False, unchecked="")
    sudo = not facts.root and await is_allowed(host, *words)
    tested = await host.read(*words, sudo=sudo, allow_exit=range(256), timeout=30)
    if tested.exit_status == 0:
        return facts.having(check=list(words), check_sudo=sudo, unchecked="")
    line = " ".join(words)
    if sudo or (facts.root and tested.exit_status != NOT_THERE):
        said = " ".join((tested.errors or tested).split())[:400].rstrip(".") or "it says nothing"
        raise ValueError(
            f"{service} was not {what} on {host.name}, because its configuration does not pass `{line}`: {said}. "
            f"It is {standing(facts)}, as before."
        )
    # Without root it also fails for files that it may not read, so this says nothing of the configuration.
    why = "is not there" if facts.root else f"is not allowed to {host.login} by sudo"
    return facts.having(check=None, check_sudo=False, unchecked=f"`{line}` {why}: the configuration was not checked.")


def _check_of(service: str) -> tuple[str, ...] | None:
    if re.fullmatch(r"php[0-9.]*-fpm", service):
        return (f"php-fpm{service[3:-4]}", "-t")
    return CHECKS.get(service)


async def is_allowed(host: Probe, *words: str) -> bool:
    """Whether sudo lets the login user run exactly these words as root without a password. Runs none of them."""
    asked = await host.read("sudo", "-n", "-l", *words, allow_exit=range(256))
    return asked.exit_status == 0


async def require_right(host: Probe, verb: str, service: str) -> None:
    """Raises ValueError where sudo is known not to allow it, so that nobody approves what can't work."""
    if host.login == "root":
        return
    asked = await host.read("sudo", "-n", "-l", "systemctl", verb, service, allow_exit=range(256))
    if asked.exit_status != 1 or "password" in asked.errors:
        return  # it may, or sudo tells nobody what it would allow
    line = await host.lacks("systemctl", verb, service)
    if line is not None:
        raise ValueError(
            f"{host.login} may not {verb} {service} on {host.name}: its sudoers lacks the line `{line}`. "
            "Nothing was touched."
        )


def configuration_is_good(facts: Facts) -> list[Require]:
    """The configuration once more, right before the change."""
    if facts.check is None:
        return []
    return [Require("Its configuration is good", *facts.check, sudo=facts.check_sudo, timeout=30)]


def past_failures_forgotten(service: str, facts: Facts) -> list[Run]:
    """After too many failed starts in a row systemd starts nothing any more, until it is told to forget them."""
    if facts.result != "start-limit-hit":
        return []
    words = ("systemctl", "reset-failed", service)
    return [Run("Forget its failed starts", *words, sudo=not facts.root, idempotent=True, timeout=20)]


def stays_up(service: str, facts: Facts, *, settle: int) -> list[Expect]:
    """It is active and stays so, and systemd did not have to bring it back; or, if it is one that ends, ended well."""
    if facts.passing:
        result = ("systemctl", "show", service, "--property=Result,ActiveState")
        pattern = r"(?s)\A(?=.*^Result=success$)(?=.*^ActiveState=inactive$)"
        return [Expect("It has done its work, and ended well", *result, pattern=pattern, within=10, timeout=10)]
    active = ("systemctl", "is-active", service)
    found = [Expect("It is active, and stays so", *active, output="active", settle=settle, timeout=10)]
    if facts.respawned is not None:
        # The count starts anew with a start by hand, except where systemd was about to bring the unit back just then.
        counted = ("systemctl", "show", service, "--property=NRestarts", "--value")
        either = rf"\A(0|{facts.respawned})\Z" if facts.respawned else None
        only = None if facts.respawned else "0"
        found.append(Expect("It did not end meanwhile", *counted, output=only, pattern=either, within=0, timeout=10))
    return found


def is_well(service: str, facts: Facts) -> list[Expect]:
    """It is active still, while others are changed; of a unit that ends by itself there is nothing more to see."""
    if facts.passing:
        return []
    return [Expect("It is active still", "systemctl", "is-active", service, output="active", within=0, timeout=10)]


def note_on(service: str, facts: Facts) -> str | None:
    """What a person should know of the unit before it is touched."""
    said = [str(facts.unchecked)] if facts.get("unchecked") else []
    if facts.job:
        said.append(
            f"systemd is at work on {service} on {facts.host} now: {facts.state} ({facts.sub_state}) since "
            f"{facts.changed or 'it says no time'}. What is asked for here takes the place of that."
        )
    return " ".join(said) or None


def pids(service: str, before: Facts, after: Facts | None) -> str | None:
    """The old and the new main pid."""
    if after is None:
        return None
    return f"{service} pid {before.main_pid or 'none'} -> {after.main_pid or 'none'}"


def systemctl(title: str, verb: str, service: str, facts: Facts, **more: Any) -> Run:
    """A job for systemd, and what it says of the unit if the job fails or is stopped. Twice is no more than once."""
    return Run(
        title,
        "systemctl",
        verb,
        service,
        sudo=not facts.root,
        idempotent=True,
        timeout=minutes(2),
        look=("systemctl", "is-active", service),
        **more,
    )
