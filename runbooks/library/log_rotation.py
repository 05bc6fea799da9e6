"""Rotate one log: by logrotate where the host has a configuration for it, else by copying and emptying it."""

import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import Field

from runbooks import (
    AbsolutePath,
    Category,
    Danger,
    Expect,
    Facts,
    Parameters,
    Plan,
    Probe,
    Require,
    Run,
    Runbook,
    Sample,
    minutes,
    positional,
)

MAIN = "/etc/logrotate.conf"
CONFIGURATIONS = "/etc/logrotate.d"
IGNORED = re.compile(r"(?:~|,v|\.(?:bak|cfsaved|disabled|orig|rej|swp|dpkg-\w+|rpm\w+|ucf-\w+))\Z")
"""Files of that folder that logrotate does not read."""
NEVER = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/run", "/sbin", "/sys", "/usr", "/var/log/journal")


class LogRotation(Runbook):
    """Rotate one log: by logrotate where the host has a configuration for it, else by copying and emptying it.

    logrotate knows how a log's writer is told, and how many old ones are kept; its configuration may name more logs,
    which are rotated with this one. Without one, the log is copied beside itself, the copy is compared with it, and the
    log is emptied in place, so that its writer goes on writing to it. What is written between the copy and the emptying
    is lost.
    """

    name, aliases, category = "log-rotation", ("rotate-log",), Category.MAINTENANCE
    danger, cooldown, timeout = Danger.HIGH, minutes(10), minutes(30)
    max_hosts = 10
    example = "log-rotation /var/log/nginx/access.log on web-01"
    no_undo = "A rotated log is not put together again; logrotate deletes the oldest as its configuration says."

    class Params(Parameters):
        """Which log, and how."""

        log: AbsolutePath = positional("the log to rotate")
        how: Literal["auto", "logrotate", "copy"] = Field("auto", description="auto: logrotate where it knows the log")
        compress: bool = Field(True, description="whether a copy is compressed afterwards; logrotate decides by itself")

    async def probe(self, host: Probe, params: Params) -> Facts:
        """The log itself, the configuration that names it, the room for a copy, and what root would be needed for."""
        found = await _log(host, params.log)
        folder = params.log.rpartition("/")[0] or "/"
        free = int((await host.read("df", "-B1", "--output=avail", "--", folder)).split()[-1])
        if params.how != "copy":
            configured = await _configuration(host, params)
            if configured is not None:
                command = ("logrotate", "-f", configured["config"])
                rights = await _rights(host, command)
                return Facts(**found, **configured, free=free, sudo=host.login != "root", **rights)
        if free < found["size"] * 1.05:
            raise ValueError(
                f"A copy of {params.log} takes {found['size']:,} bytes, and {free:,} are free on {host.name}. "
                f"`/runbook disk-cleanup {folder} older=0 how=truncate` empties it without a copy."
            )
        ours = await host.read("find", folder, "-maxdepth", "0", "-writable", "-printf", "ours")
        sudo = host.login != "root" and not (ours and found["writable"] and found["user"] == host.login)
        if not sudo:
            stamp = await host.read("date", "-u", "+%Y%m%dT%H%M%SZ")
            return Facts(**found, config=None, copy=f"{params.log}-{stamp}", sudo=False, lacks=[])
        # A name that is the same each time, so that sudoers can allow exactly these commands.
        copy = f"{params.log}.copy"
        commands = [command for _, command in _copying(params, copy)]
        return Facts(**found, config=None, copy=copy, sudo=True, **await _rights(host, *commands))

    def plan(self, params: Params, facts: Facts) -> Plan:
        """By logrotate: rotate, then it is another file or a smaller one. Else copy, compare, empty, compress."""
        if facts.size == 0:
            raise ValueError(f"{params.log} on {facts.host} is empty: there is nothing to rotate.")
        if facts.lacks:
            lines = "\n".join(facts.lacks)
            better = "" if facts.config else "Give it a configuration of logrotate, which is the better way, or "
            move = f"{better}{'add' if better else 'Add'} this to sudoers:"
            raise ValueError(f"{facts.login} may not rotate {params.log} on {facts.host}. {move}\n{lines}")
        if facts.config is not None:
            return _by_logrotate(params, facts)
        return _by_copy(params, facts)

    def outcome(self, params: Params, before: Facts, after: Facts | None) -> str | None:
        """How large the log was and is, and where its copy lies."""
        now = f"is now {after['size']:,}" if after is not None else "was not seen again"
        kept = f"; the copy is {before['copy']}{'.gz' if params.compress else ''}" if before["config"] is None else ""
        return f"{params.log} was {before['size']:,} bytes and {now}{kept}"

    samples = (
        Sample(
            "/var/log/nginx/access.log",
            Facts(
                login="ops",
                inode=11,
                size=50_000_000,
                user="www-data",
                writable=False,
                config="/etc/logrotate.d/nginx",
                logs=["/var/log/nginx/*.log"],
                free=900_000_000,
                sudo=True,
                lacks=[],
            ),
            when="logrotate knows the log",
        ),
        Sample(
            "/srv/app/logs/app.log",
            Facts(
                login="ops",
                inode=11,
                size=50_000_000,
                user="ops",
                writable=True,
                config=None,
                copy="/srv/app/logs/app.log-20261125T120000Z",
                sudo=False,
                lacks=[],
            ),
            when="nobody rotates it",
        ),
    )


# --- looking ----------------------------------------------------------------------------------------------------------


async def _log(host: Probe, log: str) -> dict[str, Any]:
    """The file; raises ValueError where it is no log that can be rotated."""
    parts = log.split("/")
    if any(log == one or log.startswith(f"{one}/") for one in NEVER):
        raise ValueError(f"{log} is no log that may be rotated: the host needs what lies there.")
    if not {"log", "logs"} & set(parts[:-1]) and not re.search(r"\.(?:log|out|err)\b", parts[-1]):
        raise ValueError(f"{log} neither lies in a folder of logs nor is called like one.")
    shown = await host.read(
        *("find", log, "-maxdepth", "0", "(", "-writable", "-printf", "w ", "-o", "-printf", "- ", ")"),
        *("-printf", "%y %i %n %s %u"),
        allow_exit={0, 1},
    )
    if shown.exit_status != 0:
        raise ValueError(f"{host.name} has no file {log} that {host.login} can see.")
    writable, kind, inode, links, size, user = shown.split(" ")
    if kind != "f" or links != "1":
        what = "is no plain file" if kind != "f" else "has more names than one"
        raise ValueError(f"{log} on {host.name} {what}, and is left alone.")
    found = {"inode": int(inode), "size": int(size), "user": user, "writable": writable == "w"}
    return {"login": host.login, **found}


async def _configuration(host: Probe, params: LogRotation.Params) -> dict[str, Any] | None:
    """The file of logrotate's configuration that names this log, and all that it names; None where none does."""
    lines = r"""^[[:space:]]*(["'/}]|rotate[[:space:]])|\{"""
    shown = await host.read("grep", "-rHsE", lines, MAIN, CONFIGURATIONS, allow_exit={0, 1, 2})
    for config, patterns, keeps in _blocks(shown):
        if not any(_names(pattern, params.log) for pattern in patterns):
            continue
        if not keeps and config != MAIN:
            # By itself, a file without this keeps none: what says otherwise is in the main file.
            raise ValueError(
                f"{config} on {host.name} does not say how many old logs are kept (`rotate`), so rotating by it alone "
                "would delete them. Say it there, or use `how=copy`."
            )
        return {"config": config, "logs": patterns}
    if params.how == "logrotate":
        raise ValueError(f"No configuration of logrotate on {host.name} names {params.log}; `how=copy` needs none.")
    return None


def _blocks(text: str) -> Iterator[tuple[str, list[str], bool]]:
    """Each `logs { … }` of the files: its file, what it names, and whether it says how many are kept."""
    names: list[str] = []
    block: tuple[str, list[str]] | None = None
    keeps, last = False, ""
    for line in text.splitlines():
        config, _, said = line.partition(":")
        if config != last:
            names, block, last = [], None, config
        if IGNORED.search(config):
            continue
        one_line = block is None
        if block is None:
            before, opens, rest = said.partition("{")
            if before.strip()[:1] in {'"', "'", "/"}:
                names += _words(before)
            if not opens:
                continue
            block, names, keeps, said = (config, names), [], False, rest
        keeps = keeps or re.search(r"(?:^|\s)rotate\s+[1-9]", said) is not None
        if said.strip() == "}" or (one_line and said.strip().endswith("}")):
            yield *block, keeps
            block = None


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _names(pattern: str, path: str) -> bool:
    """As glob(3) does: a star stands for no slash."""
    parts, wanted = pattern.split("/"), path.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, wanted, parts))


async def _rights(host: Probe, *commands: tuple[str, ...]) -> dict[str, list[str]]:
    lines = [await host.lacks(*command) for command in commands]
    return {"lacks": [line for line in lines if line is not None]}


# --- planning ---------------------------------------------------------------------------------------------------------


def _by_logrotate(params: LogRotation.Params, facts: Facts) -> Plan:
    logs = ", ".join(facts.logs[:5]) + (" and more" if len(facts.logs) > 5 else "")
    said = [f"{facts.config} rotates {logs}, all together."] if len(facts.logs) > 1 or "*" in logs else []
    if facts.free < facts.size / 5:
        said.append(f"Only {facts.free:,} bytes are free there: where logrotate compresses, it may fail half way.")
    unrotated = ("-maxdepth", "0", "-inum", str(facts.inode), "-size", f"+{facts.size - 1}c", "-printf", "unrotated")
    return Plan(
        Require(f"{params.log} is still that file", *_still(params, facts), output="same"),
        Run(f"Rotate {logs}", "logrotate", "-f", facts.config, sudo=facts.sudo, timeout=minutes(20)),
        Expect(
            f"{params.log} is another file, or smaller", "find", params.log, *unrotated, output="", allow_exit={0, 1}
        ),
        note=" ".join(said) or None,
    )


def _by_copy(params: LogRotation.Params, facts: Facts) -> Plan:
    log, copy, size = params.log, facts.copy, facts.size
    (copying, emptying, *compressing) = _copying(params, copy)
    taken = [copy, f"{copy}.gz"]
    if facts.sudo:  # it may not be ours to read, and a size is seen without
        whole = Expect(
            f"The copy has at least the {size:,} bytes",
            *("find", copy, "-maxdepth", "0", "-size", f"+{size - 1}c", "-printf", "whole"),
            output="whole",
        )
    else:
        same = ("cmp", "-n", str(size), "--", log, copy)
        whole = Expect("The copy is the same, byte for byte", *same, timeout=minutes(10), within=0)
    steps: list[Require | Run | Expect] = [
        Require(f"{log} is still that file", *_still(params, facts), output="same"),
        Require(
            "No file has the copy's name",
            *("find", *taken, "-maxdepth", "0", "-printf", "there"),
            output="",
            allow_exit={0, 1},
        ),
        Run(copying[0], *copying[1], sudo=facts.sudo, timeout=minutes(10)),
        whole,
        Require(f"{log} is still that file", *_still(params, facts), output="same"),
        Run(emptying[0], *emptying[1], sudo=facts.sudo),
    ]
    for title, command in compressing:
        undo = Run(f"Unpack {copy}.gz", "gzip", "-d", "--", f"{copy}.gz", sudo=facts.sudo, timeout=minutes(10))
        steps.append(Run(title, *command, sudo=facts.sudo, timeout=minutes(10), undo=undo))
    return Plan(*steps, note=f"What is written to {log} between the copy and the emptying is lost.")


def _copying(params: LogRotation.Params, copy: str) -> list[tuple[str, tuple[str, ...]]]:
    """The commands that change something, each with its title."""
    log = params.log
    steps: list[tuple[str, tuple[str, ...]]] = [
        (f"Copy it to {copy}", ("cp", "-p", "-T", "--", log, copy)),
        (f"Empty {log}", ("truncate", "-c", "-s", "0", "--", log)),
    ]
    return [*steps, ("Compress the copy", ("gzip", "--", copy))] if params.compress else steps


def _still(params: LogRotation.Params, facts: Facts) -> tuple[str, ...]:
    """It may have grown meanwhile, but is the same file by the same one name."""
    same = ("-maxdepth", "0", "-type", "f", "-links", "1", "-inum", str(facts.inode), "-size", f"+{facts.size - 1}c")
    return ("find", params.log, *same, "-printf", "same")
