"""How a host is: disks, memory, load, clock, and what is asked of it: a service, a port, an address, a certificate."""

import asyncio
import re
from datetime import UTC, datetime

from pydantic import Field

from runbooks import (
    AbsolutePath,
    Category,
    Danger,
    Expect,
    Facts,
    HttpAddress,
    Parameters,
    Percent,
    Plan,
    Port,
    Probe,
    Runbook,
    Sample,
    ServiceName,
    minutes,
    positional,
)
from runbooks.library import readings

ANY = range(256)
Finding = dict[str, str | bool | None]


class HealthCheck(Runbook):
    """Say how a host is: a table of findings, the bad ones first. Changes nothing.

    Always looked at: the use of every local file system in bytes and inodes, memory, load for each processor, whether
    the clock is synchronised, and units that have failed. When asked for: a service, a listening TCP port, an HTTP or
    HTTPS address (asked from the host itself; anything but a status of 200 to 399 is bad, and of HTTPS also the days
    that its certificate is good for), and a certificate in a file. Every threshold is a parameter.

    The run succeeds when the host could be looked at, whatever was found. What a host has no program for is *unknown*.
    """

    name, aliases, category = "health-check", ("health", "check"), Category.DIAGNOSTICS
    danger, cooldown, timeout = Danger.READ, minutes(0), minutes(2)
    max_hosts = 100
    example = "health nginx on web-01 port=443"

    class Params(Parameters):
        """What to look at beyond the host itself, and from where on it is bad."""

        service: ServiceName | None = positional("systemd unit that has to be active", None)
        port: Port | None = Field(None, description="TCP port that somebody has to listen on")
        url: HttpAddress | None = Field(None, description="address that has to answer")
        certificate: AbsolutePath | None = Field(None, description="file with a certificate")
        disk: Percent = Field(90, description="use of a file system that is still good")
        inodes: Percent = Field(90, description="use of its inodes that is still good")
        memory: Percent = Field(95, description="use of memory that is still good")
        load: float = Field(
            4.0, gt=0, le=1000, description="load of five minutes for each processor that is still good"
        )
        days: int = Field(14, ge=0, le=3650, description="days that a certificate must at least be good for")
        clock: bool = Field(True, description="whether the clock has to be synchronised")

    async def probe(self, host: Probe, params: Params) -> Facts:
        """All findings: what, how it is, whether that is bad, and the threshold."""
        found = await asyncio.gather(
            _disks(host, params.disk, inodes=False),
            _disks(host, params.inodes, inodes=True),
            _memory(host, params.memory),
            _load(host, params.load),
            _clock(host, wanted=params.clock),
            _failed_units(host),
            _service(host, params.service),
            _port(host, params.port),
            _address(host, params.url, params.days),
            _certificate(host, params.certificate, params.days),
        )
        return Facts(findings=[finding for group in found for finding in group])

    def plan(self, params: Params, facts: Facts) -> Plan:
        """Nothing but to see that it answers: the findings are the ending."""
        return Plan(Expect("It answers", "uptime", within=0))

    def outcome(self, params: Params, before: Facts, after: Facts | None) -> str | None:
        """The table, the bad ones first."""
        findings = (after or before).findings
        order = {True: 0, None: 1, False: 2}
        bad, unknown = (sum(1 for one in findings if one["bad"] is sort) for sort in (True, None))
        said = [f"{bad} of {len(findings)} findings {'is' if bad == 1 else 'are'} bad" if bad else "all is well"]
        said += [f"{unknown} unknown"] if unknown else []
        rows = [_row(one) for one in sorted(findings, key=lambda one: order[one["bad"]])]
        return "\n".join([", ".join(said), *rows])

    samples = (
        Sample(
            "nginx port=443",
            Facts(
                findings=[
                    {"what": "disk /", "found": "97 % used", "bad": True, "limit": "at most 90 %"},
                    {"what": "memory", "found": "41 % used", "bad": False, "limit": "at most 95 %"},
                    {"what": "nginx", "found": "active", "bad": False, "limit": ""},
                    {"what": "clock", "found": "the host has no timedatectl", "bad": None, "limit": ""},
                ]
            ),
            when="a disk is nearly full",
        ),
    )


def _row(finding: Finding) -> str:
    mark = {True: "BAD", None: "unknown", False: "ok"}[finding["bad"]]  # type: ignore[index]
    limit = f" ({finding['limit']})" if finding["limit"] else ""
    return f"• {mark}: {finding['what']}: {finding['found']}{limit}"


def _finding(what: str, found: str, *, bad: bool | None, limit: str = "") -> Finding:
    return {"what": what, "found": found, "bad": bad, "limit": limit}


def _unknown(what: str, why: str) -> Finding:
    return _finding(what, why, bad=None)


async def _disks(host: Probe, most: int, *, inodes: bool) -> list[Finding]:
    what = "inodes of" if inodes else "disk"
    used = await readings.file_systems(host, inodes=inodes)
    if not used:
        return [] if inodes else [_unknown("disk", "df shows no local file system")]
    worst = sorted(used.items(), key=lambda one: -one[1])[:5]
    return [
        _finding(f"{what} {place}", f"{use} % used", bad=use > most, limit=f"at most {most} %") for place, use in worst
    ]


async def _memory(host: Probe, most: int) -> list[Finding]:
    use = await readings.memory_used(host)
    if use is None:
        return [_unknown("memory", "the host does not say")]
    return [_finding("memory", f"{use} % used", bad=use > most, limit=f"at most {most} %")]


async def _load(host: Probe, most: float) -> list[Finding]:
    _, five, _ = await readings.loads(host)
    processors = await readings.processors(host)
    each = five / processors
    said = f"{five:g} over 5 minutes on {processors} {'processor' if processors == 1 else 'processors'}"
    return [_finding("load", said, bad=each > most, limit=f"at most {most:g} each")]


async def _clock(host: Probe, *, wanted: bool) -> list[Finding]:
    if not wanted:
        return []
    asked = await host.read("timedatectl", "show", "--property=NTPSynchronized", "--value", allow_exit=ANY)
    if asked not in {"yes", "no"}:
        return [_unknown("clock", "timedatectl does not say whether it is synchronised")]
    return [_finding("clock", "synchronised" if asked == "yes" else "not synchronised", bad=asked == "no")]


async def _failed_units(host: Probe) -> list[Finding]:
    listed = await host.read(
        "systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--no-pager", allow_exit=ANY
    )
    if listed.exit_status != 0:
        return [_unknown("units", "systemctl does not answer")]
    failed = [line.split()[0] for line in listed.splitlines() if line.strip()]
    shown = ", ".join(failed[:5]) + (f" and {len(failed) - 5} more" if len(failed) > 5 else "")
    return [_finding("units", f"failed: {shown}" if failed else "none has failed", bad=bool(failed))]


async def _service(host: Probe, service: str | None) -> list[Finding]:
    if service is None:
        return []
    shown = await host.read("systemctl", "show", service, "--property=LoadState,ActiveState,SubState")
    found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    load, state = found.get("LoadState", "unknown"), found.get("ActiveState", "unknown")
    if load == "not-found":
        return [_finding(service, "there is no such unit", bad=True)]
    extra = f", {load}" if load != "loaded" else ""
    return [_finding(service, f"{state} ({found.get('SubState', '?')}{extra})", bad=state != "active")]


async def _port(host: Probe, port: int | None) -> list[Finding]:
    if port is None:
        return []
    listed = await host.read("ss", "-Hltn", allow_exit=ANY)
    if listed.exit_status != 0:
        return [_unknown(f"port {port}", "ss does not answer")]
    local = [line.split()[3] for line in listed.splitlines() if len(line.split()) > 3]
    where = sorted({address.rpartition(":")[0] for address in local if address.rpartition(":")[2] == str(port)})
    return [_finding(f"port {port}", f"open on {', '.join(where)}" if where else "nobody listens", bad=not where)]


async def _address(host: Probe, url: str | None, days: int) -> list[Finding]:
    if url is None:
        return []
    words = ["curl", "-sS", "-o", "/dev/null", "--max-time", "10", "-w", "%{http_code} %{time_total}"]
    if url.startswith("https:"):
        words += ["-k", "-v"]  # whether it is trusted is said below; here we ask whether it answers
    asked = await host.read(*words, url, allow_exit=ANY, timeout=15)
    said = asked.errors.splitlines()
    if asked.exit_status == 127:
        return [_unknown(url, "curl is not there")]
    if asked.exit_status != 0:
        why = next(
            (line.partition(") ")[2] or line for line in reversed(said) if line.startswith("curl:")), "no answer"
        )
        return [_finding(url, why, bad=True)]
    code, _, seconds = asked.partition(" ")
    good = code.isdigit() and 200 <= int(code) < 400
    found = [_finding(url, f"status {code} after {seconds} s", bad=not good, limit="200 to 399")]
    ends = next((line.partition("expire date:")[2].strip() for line in said if "expire date:" in line), None)
    if ends is not None:
        trusted = next((line.partition("verify result:")[2] for line in said if "verify result:" in line), "")
        doubt = f"; not trusted there: {trusted.partition('(')[0].strip()}" if trusted else ""
        found.append(await _days_left(host, f"certificate of {url}", ends, days, doubt))
    return found


async def _certificate(host: Probe, path: str | None, days: int) -> list[Finding]:
    if path is None:
        return []
    asked = await host.read("openssl", "x509", "-enddate", "-noout", "-in", path, allow_exit=ANY)
    if asked.exit_status == 127:
        return [_unknown(path, "openssl is not there")]
    if not asked.startswith("notAfter="):
        return [_finding(path, f"cannot be read as a certificate: {' '.join(asked.errors.split())[:120]}", bad=True)]
    return [await _days_left(host, path, asked.removeprefix("notAfter="), days)]


async def _days_left(host: Probe, what: str, ends: str, days: int, doubt: str = "") -> Finding:
    """By the host's own clock, which is the one that a client there goes by."""
    now = int(await host.read("date", "+%s"))
    try:
        end = datetime.strptime(re.sub(r"\s+", " ", ends), "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    except ValueError:
        return _unknown(what, f"it ends at {ends}, which is no time we can read")
    left = int((end.timestamp() - now) // 86_400)
    words = f"good for {left} days, until {end:%Y-%m-%d}" if left >= 0 else f"expired on {end:%Y-%m-%d}"
    return _finding(what, words + doubt, bad=left < days, limit=f"at least {days} days")
