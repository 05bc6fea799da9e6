"""Keep a copy of one file, checked by its checksum, and put one back."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

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
    Word,
    minutes,
    positional,
)

TIMES = "%Y%m%dT%H%M%SZ"
STAMP = re.compile(r"\.(\d{8}T\d{6}Z)\Z")
ANY_STAMP = "[0-9]" * 8 + "T" + "[0-9]" * 6 + "Z"
SPARE = 1024**2
"""Bytes that stay free beside a copy."""
FOLDER = "/var/backups/handrail"


class FileBackup(Runbook):
    """Copy a file into a folder of backups, and see that the copy has its checksum.

    The copy keeps owner, mode and times, lies below the folder under the file's own path, and has the time of the
    backup at the end of its name. Before anything is written, the file must still have the checksum that was seen, and
    there must be room. *Roll back* puts the file back as it was then; `file-restore` does the same at any later time.
    """

    name, aliases, category = "file-backup", ("backup",), Category.MAINTENANCE
    danger, cooldown, timeout = Danger.LOW, minutes(1), minutes(30)
    max_hosts = 20
    example = "file-backup /etc/nginx/nginx.conf on web-01"
    no_undo = "An older copy that is deleted, because newer ones are kept, does not come back."

    class Params(Parameters):
        """Which file, where to, and how many copies stay."""

        file: AbsolutePath = positional("the file to copy")
        to: AbsolutePath = Field(FOLDER, description="the folder of backups; the file's own path continues it")
        keep: int = Field(5, ge=0, le=100, description="so many of the newest copies stay, this one included; 0: all")
        undo: bool = Field(
            True, description="whether *Roll back* puts the file back; for a protected file this asks an approver"
        )

    async def probe(self, host: Probe, params: Params) -> Facts:
        """The file with its checksum, its earlier copies, the room for one more, and what root would be needed for."""
        found = await _file(host, params.file)
        await _room(host, params.to, found["size"])
        copies = await _copies(host, params.file, params.to)
        stamp = await _stamp(host, copies)
        surplus = copies[params.keep - 1 :] if params.keep else []
        facts = Facts(**found, copy=f"{params.to}{params.file}.{stamp}", copies=copies, surplus=surplus)
        folder, writable = await _writable(host, f"{params.to}{params.file}".rpartition("/")[0])
        ours = found["readable"] and writable and host.login == found["user"]
        sudo = host.login != "root" and not ours
        commands = [command for _, command in _backing_up(params, facts, folder=folder)]
        lacks = await _lacks(host, commands, stamp) if sudo else []
        if host.login != "root" and not found["writable"] and params.undo:
            lacks += await _lacks(host, [_copy(facts.copy, params.file)], stamp)
        undo_sudo = host.login != "root" and not found["writable"]
        return facts.having(folder=folder, sudo=sudo, undo_sudo=undo_sudo, lacks=lacks)

    def plan(self, params: Params, facts: Facts) -> Plan:
        """The file is the one that was seen; copy it; the copy has its checksum; the oldest copies go."""
        _refuse_lacking(facts, f"copy {params.file}")
        undo = Run(
            f"Put {params.file} back", *_copy(facts.copy, params.file), sudo=facts.undo_sudo, timeout=minutes(10)
        )
        steps: list[Require | Run | Expect] = [
            _has_checksum(params.file, facts.checksum, facts, kind=Require),
        ]
        for title, command in _backing_up(params, facts, folder=facts.folder):
            if command[0] == "mkdir":
                steps.append(Run(title, *command, sudo=facts.sudo, idempotent=True))
            elif command[0] == "cp":
                steps.append(
                    Run(title, *command, sudo=facts.sudo, timeout=minutes(10), undo=undo if params.undo else None)
                )
                steps.append(_has_checksum(facts.copy, facts.checksum, facts, kind=Expect))
            else:
                there = ("find", command[-1], "-maxdepth", "0", "-type", "f", "-links", "1", "-printf", "there")
                steps.append(Require(f"{command[-1]} is a plain file", *there, sudo=False, output="there"))
                steps.append(Run(title, *command, sudo=facts.sudo))
        size = f"{facts.size:,} bytes, SHA-256 {facts.checksum[:12]}…"
        return Plan(*steps, note=f"{params.file} on {facts.host}: {size}; {len(facts.copies)} earlier copies.")

    def outcome(self, params: Params, before: Facts, after: Facts | None) -> str | None:
        """Where the copy lies, and how many there are."""
        kept = len(before["copies"]) - len(before["surplus"]) + 1
        return f"{before['size']:,} bytes are in {before['copy']} (SHA-256 {before['checksum'][:12]}…); {kept} copies"

    samples = (
        Sample(
            "/srv/app/app.yml keep=2",
            Facts(
                login="ops",
                size=2_048,
                user="ops",
                readable=True,
                writable=True,
                checksum="0" * 64,
                copy="/var/backups/handrail/srv/app/app.yml.20261125T120000Z",
                copies=[
                    "/var/backups/handrail/srv/app/app.yml.20261124T120000Z",
                    "/var/backups/handrail/srv/app/app.yml.20261123T120000Z",
                ],
                surplus=["/var/backups/handrail/srv/app/app.yml.20261123T120000Z"],
                folder=None,
                sudo=False,
                undo_sudo=False,
                lacks=[],
            ),
            when="two copies are kept, and there are two",
        ),
        Sample(
            "/etc/nginx/nginx.conf undo=no",
            Facts(
                login="ops",
                size=2_048,
                user="root",
                readable=True,
                writable=False,
                checksum="0" * 64,
                copy="/var/backups/handrail/etc/nginx/nginx.conf.20261125T120000Z",
                copies=[],
                surplus=[],
                folder="/var/backups/handrail/etc/nginx",
                sudo=True,
                undo_sudo=True,
                lacks=[],
            ),
            when="the first copy of a file of root",
        ),
    )


class FileRestore(Runbook):
    """Put a file back from one of the copies that `file-backup` has made.

    What the file holds now is copied first, so that *Roll back* can put that back in turn. The copy must have the
    checksum that was seen, and so must the file afterwards. It is written in place, so that links to it stay true.
    """

    name, aliases, category = "file-restore", ("restore",), Category.RECOVERY
    danger, cooldown, timeout = Danger.HIGH, minutes(5), minutes(30)
    max_hosts = 5
    example = "file-restore /etc/nginx/nginx.conf on web-01"
    no_undo = "The copy of what the file holds now stays among the backups."

    class Params(Parameters):
        """Which file, and which of its copies."""

        file: AbsolutePath = positional("the file to put back")
        copy_of: Word = Field("latest", description="the time in the copy's name, like 20261125T120000Z, or latest")
        source: AbsolutePath = Field(FOLDER, description="the folder of backups")

    async def probe(self, host: Probe, params: Params) -> Facts:
        """The file as it is, its copies, and the checksums of both."""
        copies = await _copies(host, params.file, params.source)
        if not copies:
            raise ValueError(
                f"{host.name} has no copy of {params.file} below {params.source} that {host.login} can see."
            )
        wanted = [copy for copy in copies if params.copy_of in {"latest", copy[-16:]}]
        if not wanted:
            times = ", ".join(copy[-16:] for copy in copies[:10])
            raise ValueError(f"{host.name} has no copy of {params.file} of {params.copy_of}. There are: {times}.")
        now, copy = await _file(host, params.file), await _file(host, wanted[0])
        await _room(host, params.source, now["size"])
        await _room(host, params.file.rpartition("/")[0] or "/", copy["size"])
        stamp = await _stamp(host, copies)
        present = f"{params.source}{params.file}.{stamp}"
        _, writable = await _writable(host, wanted[0].rpartition("/")[0])
        keeps = host.login != "root" and not (writable and now["user"] == host.login and now["readable"])
        puts = host.login != "root" and not (now["writable"] and copy["readable"])
        lacks = await _lacks(host, [_copy(params.file, present)], stamp) if keeps else []
        lacks += await _lacks(host, [_copy(wanted[0], params.file)], wanted[0][-16:]) if puts else []
        return Facts(
            **now, copy=wanted[0], wanted=copy["checksum"], present=present, keeps=keeps, puts=puts, lacks=lacks
        )

    def plan(self, params: Params, facts: Facts) -> Plan:
        """Both are as they were seen; keep what is there; put the copy in its place; it has the copy's checksum."""
        if facts.checksum == facts.wanted:
            raise ValueError(f"{params.file} on {facts.host} is the same as {facts.copy} already.")
        _refuse_lacking(facts, f"put {params.file} back")
        back = Run(f"Put back what {params.file} held", *_copy(facts.present, params.file), sudo=facts.puts)
        return Plan(
            _has_checksum(params.file, facts.checksum, facts, kind=Require),
            _has_checksum(facts.copy, facts.wanted, facts, kind=Require),
            Run(
                f"Keep what {params.file} holds",
                *_copy(params.file, facts.present),
                sudo=facts.keeps,
                timeout=minutes(10),
            ),
            _has_checksum(facts.present, facts.checksum, facts, kind=Expect),
            _has_checksum(params.file, facts.checksum, facts, kind=Require),
            Run(f"Put {facts.copy} in its place", *_copy(facts.copy, params.file), sudo=facts.puts, undo=back),
            _has_checksum(params.file, facts.wanted, facts, kind=Expect),
        )

    def outcome(self, params: Params, before: Facts, after: Facts | None) -> str | None:
        """Which copy it is now, and where what it held lies."""
        return f"{params.file} is {before['copy'][-16:]} again; what it held is in {before['present']}"

    samples = (
        Sample(
            "/srv/app/app.yml",
            Facts(
                login="ops",
                size=2_048,
                user="ops",
                readable=True,
                writable=True,
                checksum="0" * 64,
                copy="/var/backups/handrail/srv/app/app.yml.20261124T120000Z",
                wanted="1" * 64,
                present="/var/backups/handrail/srv/app/app.yml.20261125T120000Z",
                keeps=False,
                puts=False,
                lacks=[],
            ),
            when="from the latest copy",
        ),
    )


# --- looking ----------------------------------------------------------------------------------------------------------


async def _file(host: Probe, path: str) -> dict[str, Any]:
    """A plain file with its checksum; raises ValueError where there is none."""
    flags = (
        "(",
        "-readable",
        "-printf",
        "r",
        "-o",
        "-printf",
        "-",
        ")",
        "(",
        "-writable",
        "-printf",
        "w",
        "-o",
        "-printf",
        "-",
        ")",
    )
    shown = await host.read("find", path, "-maxdepth", "0", *flags, "-printf", " %y %s %u", allow_exit={0, 1})
    if shown.exit_status != 0:
        raise ValueError(f"{host.name} has no file {path} that {host.login} can see.")
    rights, kind, size, user = shown.split(" ")
    if kind != "f":
        raise ValueError(f"{path} on {host.name} is no plain file; a link's target can be named itself.")
    found = {"login": host.login, "size": int(size), "user": user, "readable": "r" in rights, "writable": "w" in rights}
    sudo = not found["readable"]
    if sudo and (line := await host.lacks("sha256sum", "--", path)) is not None:
        raise ValueError(f"{host.login} may not read {path} on {host.name}. Add this to sudoers:\n{line}")
    summed = await host.read("sha256sum", "--", path, sudo=sudo, timeout=60)
    return {**found, "checksum": summed.lstrip("\\").split()[0]}


async def _room(host: Probe, folder: str, size: int) -> None:
    """Raises ValueError where a copy would not fit; a folder that is not there yet is made below the nearest."""
    while True:
        shown = await host.read("df", "-B1", "--output=avail", "--", folder, allow_exit={0, 1})
        if shown.exit_status == 0 or folder == "/":
            break
        folder = folder.rpartition("/")[0] or "/"
    free = int(shown.split()[-1])
    if free < size + SPARE:
        raise ValueError(f"A copy takes {size:,} bytes, and only {free:,} are free in {folder} on {host.name}.")


async def _stamp(host: Probe, copies: list[str]) -> str:
    """The time for the name of a new copy: no older one may be written over, however soon after it this is."""
    moment = datetime.strptime(await host.read("date", "-u", f"+{TIMES}"), TIMES).replace(tzinfo=UTC)
    taken = {copy[-16:] for copy in copies}
    while (stamp := moment.strftime(TIMES)) in taken:
        moment += timedelta(seconds=1)
    return stamp


async def _copies(host: Probe, file: str, folder: str) -> list[str]:
    """The copies there are, newest first."""
    path = f"{folder}{file}"
    there, _, name = path.rpartition("/")
    shown = await host.read(
        *("find", there, "-maxdepth", "1", "-type", "f", "-name", f"{name}.????????T??????Z", "-printf", r"%p\n"),
        allow_exit={0, 1},
    )
    return sorted((line for line in shown.splitlines() if STAMP.search(line)), reverse=True)


async def _writable(host: Probe, folder: str) -> tuple[str | None, bool]:
    """The folder, where it must be made first, and whether the login may make files in it, or make it."""
    missing, nearest = None, folder
    while True:
        shown = await host.read(
            *("find", nearest, "-maxdepth", "0", "-printf", "%y", "-writable", "-printf", " ours"), allow_exit={0, 1}
        )
        if shown.exit_status == 0 or nearest == "/":
            return missing, shown.endswith(" ours")
        missing, nearest = folder, nearest.rpartition("/")[0] or "/"


async def _lacks(host: Probe, commands: list[tuple[str, ...]], stamp: str) -> list[str]:
    """The lines that sudoers lacks, made to hold for every time and not only for this one."""
    lines = [await host.lacks(*command) for command in commands]
    return [STAMPED.sub(f".{ANY_STAMP}", line) for line in lines if line is not None]


STAMPED = re.compile(r"\.\d{8}T\d{6}Z(?=\s|\Z)")


# --- planning ---------------------------------------------------------------------------------------------------------


def _copy(source: str, target: str) -> tuple[str, ...]:
    return ("cp", "-p", "-T", "--", source, target)


def _backing_up(params: FileBackup.Params, facts: Facts, *, folder: str | None) -> list[tuple[str, tuple[str, ...]]]:
    """The commands that change something, each with its title."""
    made = [(f"Make {folder}", ("mkdir", "-p", "--", folder))] if folder is not None else []
    copied = (f"Copy {params.file} to {facts.copy}", _copy(params.file, facts.copy))
    deleted = [(f"Delete the older copy {old}", ("rm", "--", old)) for old in facts.surplus]
    return [*made, copied, *deleted]


def _has_checksum(path: str, checksum: str, facts: Facts, *, kind: type[Require] | type[Expect]) -> Require | Expect:
    return kind(
        f"{path} has the checksum {checksum[:12]}…",
        *("sha256sum", "--", path),
        pattern=rf"\A\\?{checksum}\s",
        sudo=not facts.readable,
        timeout=minutes(5),
    )


def _refuse_lacking(facts: Facts, what: str) -> None:
    if facts.lacks:
        lines = "\n".join(dict.fromkeys(facts.lacks))
        raise ValueError(f"{facts.login} may not {what} on {facts.host}. Add this to sudoers:\n{lines}")
