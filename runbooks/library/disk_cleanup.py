"""Free space on a full disk: empty, delete or compress large old files, each named in the plan and guarded."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from runbooks import (
    AbsolutePath,
    Category,
    Danger,
    Expect,
    Facts,
    Glob,
    Parameters,
    Plan,
    Probe,
    Require,
    Run,
    Runbook,
    Sample,
    Seconds,
    Size,
    minutes,
    positional,
)

MOST = 20
"""Files of one plan: more than somebody can read is more than somebody can agree to."""
QUIET = 3_600
"""Seconds without a change, after which a file that we can't look behind counts as held by nobody."""
HOPED = 0.8
"""The share of the named bytes that must be free afterwards: others go on writing meanwhile."""
NOTICED = 0.01
"""The share of the disk from which on freeing it shows in what `df` says, whatever others write."""
PROTECTED = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run", "/sbin", "/sys", "/usr"),
    *("/var/backups", "/var/lib", "/var/log/audit", "/var/log/journal", "/var/mail", "/var/run", "/var/spool"),
)
"""Folders in which nothing is ever touched, whatever somebody types."""
WITNESSES = frozenset(
    {"audit.log", "auth.log", "btmp", "faillog", "lastlog", "secure", "sudo.log", "tallylog", "utmp", "wtmp"}
)
"""Files that say who was here and did what, also when rotated: logrotate's business alone."""
KEPT_PARTS = frozenset({".git", ".gnupg", ".ssh"})
SCRATCH = frozenset({"cache", "crash", "tmp"})
PLACES = SCRATCH | {"log", "logs"}
"""A folder with such a part in its path holds what may go; any other needs `names`."""
PACKED = re.compile(r"\.(?:gz|tgz|xz|bz2|zst|lz4|zip)\Z")
ROTATED = re.compile(r"(?:\.\d{1,3}|[.-]\d{8}(?:[-T]?\d{2,10})?(?:\.log)?|\.old)\Z")

File = Mapping[str, Any]


def _file(path: str, how: str, *, size: int, **more: Any) -> dict[str, Any]:
    """A file as the probe finds it, for the samples."""
    found = {"path": path, "how": how, "inode": 11, "size": size, "bytes": size, "changed": 0, "age": 900_000}
    return {**found, "user": "ops", "writable": True, "open": False, "root": False, "lacks": None, **more}


class DiskCleanup(Runbook):
    """Free space on a full disk: empty, delete or compress large old files.

    The plan names every file. Right before each change the file must still be the one that was shown: the same inode,
    one name only, the size it had, and not changed for as long as was asked. Files that a process holds open are
    emptied, since deleting them would free nothing. The system's own folders, databases, the journal's and the audit's
    files and the records of logins are never touched, nor are files with names that hold control characters.
    """

    name, aliases, category = "disk-cleanup", ("cleanup",), Category.MAINTENANCE
    danger, cooldown, timeout = Danger.HIGH, minutes(10), minutes(30)
    max_hosts = 5
    example = "disk-cleanup /var/log larger=100M older=2d on web-01"
    no_undo = "What is emptied or deleted does not come back; only what is compressed can be unpacked again."

    class Params(Parameters):
        """Where to look, what counts as large and old, and what to do with it."""

        folder: AbsolutePath = positional(
            "where to look, on that file system only; also `path=`", default="/var/log", also=("path",)
        )
        larger: Size = Field(50 * 1024**2, ge=1024, description="only files of more than this")
        older: Seconds = Field(86_400, description="only files not changed for this long; 0 takes those in use too")
        how: Literal["auto", "truncate", "compress", "delete"] = Field(
            "auto", description="auto deletes rotated and scratch files, compresses other logs, empties open files"
        )
        names: Glob | None = Field(None, description="only files of such names; needed outside of log and tmp folders")
        journal: Size | None = Field(None, ge=8 * 1024**2, description="also cut the journal's old files to this")

    async def probe(self, host: Probe, params: Params) -> Facts:
        """How full the disk is, the large files, who holds them, what would be done to each, and who may."""
        folder = await _folder(host, params)
        size, used, free, target = await _usage(host, folder)
        now = int(await host.read("date", "+%s"))
        files, odd, closed = await _large_files(host, params, folder)
        await _see_holders(host, folder, files)
        chosen = _chosen(params, files, now=now)
        await _see_rights(host, chosen)
        no_room = [file for file in chosen if not _has_room(file, chosen, free)]
        chosen = [file for file in chosen if file not in no_room]
        journal = await _journal(host, params)
        return Facts(
            login=host.login,
            folder=folder,
            file_system=target,
            size=size,
            used=used,
            free=free,
            now=now,
            files=chosen,
            largest=files[:5],
            no_room=no_room,
            more=max(0, len(files) - len(chosen) - len(no_room)),
            odd_names=odd,
            closed_folders=closed,
            **journal,
        )

    def plan(self, params: Params, facts: Facts) -> Plan:
        """For each file: it is still the one that was shown, then what is done to it; then so much less is used."""
        steps: list[Require | Run | Expect] = []
        may = [file for file in facts.files if not file["lacks"]]
        for file in sorted(may, key=_turn):
            steps += _steps(file, params, sudo=file["root"] and facts.login != "root")
        if params.journal is not None and not facts.journal_lacks:
            keep = f"--vacuum-size={params.journal // 1024**2}M"
            title = f"Cut the journal's old files to {_size(params.journal)}"
            steps.append(Run(title, "journalctl", keep, sudo=facts.login != "root", idempotent=True, timeout=120))
        if not steps:
            raise ValueError(_nothing(params, facts))
        freed = [file for file in may if file["how"] != "compress"]
        steps += [_freed(freed, params, facts)] if freed else []
        return Plan(*steps, note=_note(params, facts))

    def outcome(self, params: Params, before: Facts, after: Facts | None) -> str | None:
        """How many files, and how full the disk was and is."""
        done = [file for file in before.files if not file["lacks"]]
        as_they, them = ("as it was", "it") if len(before.no_room) == 1 else ("as they were", "them")
        left = f"; no room to compress {_cramped(before)}, left {as_they}: `how=truncate` empties {them}"
        left = left if before.no_room else ""
        words = {"truncate": "emptied", "delete": "deleted", "compress": "compressed"}
        counts = [(sum(1 for file in done if file["how"] == how), word) for how, word in words.items()]
        said = ", ".join(f"{count} {word}" for count, word in counts if count) or "the journal cut"
        if after is None:
            return f"{said}; how full {before.file_system} is now was not seen{left}"
        change = before.used - after.used
        freed = f"{_size(change)} freed" if change >= 0 else f"{_size(-change)} more are used by others"
        return f"{said}; {freed}, {after.file_system} was {_full(before)} and is {_full(after)} full{left}"

    samples = (
        Sample(
            "/var/log larger=10M",
            Facts(
                login="ops",
                folder="/var/log",
                file_system="/",
                size=4_000_000_000,
                used=3_800_000_000,
                free=200_000_000,
                now=1_700_000_000,
                files=[
                    _file("/var/log/app/debug.log", "truncate", size=2 * 10**9, open=True, root=True),
                    _file("/var/log/app/old one.log.2.gz", "delete", size=5 * 10**7),
                    _file("/var/log/app/import.log", "compress", size=9 * 10**7),
                ],
                largest=[],
                no_room=[],
                more=0,
                odd_names=0,
                closed_folders=0,
            ),
            when="a large log that is in use, an old rotated one, and one that is neither",
        ),
        Sample(
            "journal=200M",
            Facts(
                login="ops",
                folder="/var/log",
                file_system="/",
                size=4_000_000_000,
                used=3_800_000_000,
                free=200_000_000,
                now=1_700_000_000,
                files=[],
                largest=[],
                no_room=[],
                more=0,
                odd_names=0,
                closed_folders=0,
                journal="Archived and active journals take up 1.2G in the file system.",
                journal_lacks=None,
            ),
            when="only the journal is large",
        ),
    )


# --- looking ----------------------------------------------------------------------------------------------------------


async def _folder(host: Probe, params: DiskCleanup.Params) -> str:
    """The folder itself, where a link may have been given; raises ValueError where nothing may be touched."""
    _refuse_place(params.folder, params)
    found = await host.read("readlink", "-e", "--", params.folder, allow_exit={0, 1})
    if found.exit_status != 0 or await host.read("stat", "-c", "%F", "--", str(found)) != "directory":
        raise ValueError(f"{host.name} has no folder {params.folder} that {host.login} can see.")
    folder = str(found)
    _refuse_place(folder, params)
    return folder


def _refuse_place(folder: str, params: DiskCleanup.Params) -> None:
    if _is_protected(folder):
        raise ValueError(f"Nothing in {folder} is ever touched: the host needs it. Name another folder.")
    if folder == "/":
        raise ValueError("Name one folder, not the whole system.")
    if not PLACES & set(folder.split("/")) and params.names is None:
        raise ValueError(
            f"{folder} is no folder of logs or scratch files, so say which files may go: `names=*.dump`, for example."
        )


def _is_protected(path: str) -> bool:
    parts = path.split("/")
    return (
        any(path == one or path.startswith(f"{one}/") for one in PROTECTED)
        or bool(KEPT_PARTS & set(parts))
        or any(parts[-1] == name or parts[-1].startswith(f"{name}.") for name in WITNESSES)
    )


async def _usage(host: Probe, folder: str) -> tuple[int, int, int, str]:
    shown = await host.read("df", "-B1", "--output=size,used,avail,target", "--", folder)
    size, used, free, target = shown.splitlines()[-1].split(None, 3)
    return int(size), int(used), int(free), target


async def _large_files(host: Probe, params: DiskCleanup.Params, folder: str) -> tuple[list[dict[str, Any]], int, int]:
    """All that are large, largest first; how many have names that can't be shown; how many folders are closed to us.

    In the C locale only ASCII is printable, so a name that passes is one line of plain characters, and what stands
    last in a line is all of it.
    """
    large = ["-type", "f", "-size", f"+{params.larger}c", *(["-name", params.names] if params.names else [])]
    never = [word for path in PROTECTED for word in ("-o", "-path", path)][1:]
    shown = await host.read(
        *("env", "LC_ALL=C", "find", folder, "-xdev"),
        *("(", *never, ")", "-prune"),
        *("-o", "-type", "d", "(", "!", "-readable", "-o", "!", "-executable", ")", "-printf", r"closed\n", "-prune"),
        *("-o", *large, "-path", "*[![:print:]]*", "-printf", r"odd\n"),
        *("-o", *large, "(", "-writable", "-printf", "file w ", "-o", "-printf", "file - ", ")"),
        *("-printf", r"%i %n %s %b %T@ %u %p\n"),
        allow_exit={0, 1},  # 1: something vanished, or was closed, on the way
        timeout=60,
    )
    files: list[dict[str, Any]] = []
    for line in shown.splitlines():
        if line.startswith("file "):
            _, writable, inode, links, size, blocks, changed, user, path = line.split(" ", 8)
            if _is_protected(path) or links != "1":
                continue  # a second name keeps the bytes, and may lead to something else than a log
            files.append(
                {
                    "path": path,
                    "inode": int(inode),
                    "size": int(size),
                    "bytes": int(blocks) * 512,
                    "changed": int(float(changed)),
                    "user": user,
                    "writable": writable == "w",
                }
            )
    files.sort(key=lambda file: (-file["bytes"], file["path"]))
    kinds = [line.split(" ", 1)[0] for line in shown.splitlines()]
    return files[: 5 * MOST], kinds.count("odd"), kinds.count("closed")


async def _see_holders(host: Probe, folder: str, files: Iterable[dict[str, Any]]) -> None:
    """Whether a process holds each open; None where we can't see every process and none of ours does."""
    look: tuple[str, ...] = ("find", "/proc", "-mindepth", "3", "-maxdepth", "3", "-path", "/proc/[0-9]*/fd/*")
    look += ("-lname", f"{folder}/*", "-printf", r"%l\n")
    sudo = host.login != "root" and await host.lacks(*look) is None
    shown = await host.read(*look, sudo=sudo, allow_exit={0, 1})
    held = set(shown.splitlines())
    for file in files:
        file["open"] = True if file["path"] in held else False if sudo or host.login == "root" else None


def _chosen(params: DiskCleanup.Params, files: Iterable[dict[str, Any]], *, now: int) -> list[dict[str, Any]]:
    """The files of the plan, each with its age and what is done to it."""
    chosen: list[dict[str, Any]] = []
    for file in files:
        age = max(0, now - file["changed"])
        how = _how(params, file, age)
        if age >= params.older and how is not None:
            chosen.append({**file, "age": age, "how": how})
    return chosen[:MOST]


def _has_room(file: File, chosen: Iterable[File], free: int) -> bool:
    """Whether its compressed twin fits beside it, once everything before it is freed, even if nothing is gained."""
    freed: int = sum(one["bytes"] for one in chosen if one["how"] != "compress" and not one["lacks"])
    return bool(file["how"] != "compress" or file["size"] < free + freed)


def _how(params: DiskCleanup.Params, file: File, age: int) -> str | None:
    held = file["open"] or (file["open"] is None and age < QUIET)
    name, packed = file["path"].rpartition("/")[2], bool(PACKED.search(file["path"]))
    if params.how == "truncate" or (held and params.how != "compress"):
        return "truncate"
    if params.how == "compress":
        return None if held or packed else "compress"
    if params.how == "delete" or packed or ROTATED.search(name) or SCRATCH & set(file["path"].split("/")):
        return "delete"
    return "compress"


async def _see_rights(host: Probe, files: list[dict[str, Any]]) -> None:
    """Whether root is needed for each, and the line that sudoers lacks for it."""
    folders = sorted({file["path"].rpartition("/")[0] for file in files})
    shown = (
        await host.read("find", *folders, "-maxdepth", "0", "-writable", "-printf", r"%m %u %p\n", allow_exit={0, 1})
        if folders
        else ""
    )
    ours = {path: (int(mode, 8), user) for mode, user, path in (line.split(" ", 2) for line in shown.splitlines())}
    for file in files:
        mode, owner = ours.get(file["path"].rpartition("/")[0], (None, ""))
        is_ours = host.login in {file["user"], owner}
        removable = mode is not None and (is_ours or not mode & 0o1000)
        enough = {
            "truncate": file["writable"],
            "delete": removable,
            "compress": removable and file["user"] == host.login,  # by anybody else, the new file had another owner
        }
        file["root"] = not enough[file["how"]]
        file["lacks"] = await host.lacks(*_command(file)) if file["root"] else None


async def _journal(host: Probe, params: DiskCleanup.Params) -> dict[str, Any]:
    if params.journal is None:
        return {}
    shown = await host.read("journalctl", "--disk-usage")
    lacks = await host.lacks("journalctl", f"--vacuum-size={params.journal // 1024**2}M")
    return {"journal": str(shown), "journal_lacks": lacks}


# --- planning ---------------------------------------------------------------------------------------------------------


def _turn(file: File) -> tuple[int, int]:
    """What frees most for certain comes first; what needs room for a while comes last, smallest first."""
    return {"truncate": (0, -file["bytes"]), "delete": (1, -file["bytes"]), "compress": (2, file["bytes"])}[file["how"]]


def _command(file: File) -> tuple[str, ...]:
    path: str = file["path"]
    commands = {"truncate": ("truncate", "-c", "-s", "0"), "delete": ("rm",), "compress": ("gzip",)}
    return (*commands[file["how"]], "--", path)


def _steps(file: File, params: DiskCleanup.Params, *, sudo: bool) -> list[Require | Run | Expect]:
    path, how = file["path"], file["how"]
    words = {"truncate": "Empty", "delete": "Delete", "compress": "Compress"}
    old = ("!", "-newermt", f"-{params.older} seconds") if params.older else ()
    size = f"+{file['size'] - 1}c" if how == "truncate" else f"{file['size']}c"
    still = ("find", path, "-maxdepth", "0", "-type", "f", "-links", "1", "-inum", str(file["inode"]), "-size", size)
    title = f"{path} is still that file, of {_size(file['size'])}" + (
        f", unchanged for {_age(params.older)}" if old else ""
    )
    undo = None
    if how == "compress":
        undo = Run(f"Unpack {path}.gz", "gzip", "-d", "--", f"{path}.gz", sudo=sudo, timeout=minutes(10))
    held = ", which a process holds open" if file["open"] else ""
    steps: list[Require | Run | Expect] = [
        Require(title, *still, *old, "-printf", "same", output="same"),
        Run(f"{words[how]} {path}{held}", *_command(file), sudo=sudo, timeout=minutes(10), undo=undo),
    ]
    if how == "compress":
        smaller = ("find", f"{path}.gz", "-maxdepth", "0", "-size", f"-{file['size']}c", "-printf", "smaller")
        steps.append(Expect(f"{path}.gz is smaller", *smaller, output="smaller"))
    return steps


def _freed(files: list[File], params: DiskCleanup.Params, facts: Facts) -> Expect:
    """So much less is used; where that is too little to be told from what others write, no file is large any more."""
    gain = int(sum(file["bytes"] for file in files) * HOPED)
    bound = max(0, facts.used - gain)
    if gain >= facts.size * NOTICED:
        return Expect(
            f"{_size(facts.used - bound)} less are used on {facts.file_system}, at most {_size(bound)}",
            *("df", "--output=used", "-B1", "--", facts.folder),
            pattern=rf"^\s*{_at_most(bound)}\s*$",
            within=30,
        )
    paths = [file["path"] for file in files]
    large = ("find", *paths, "-maxdepth", "0", "-size", f"+{params.larger}c", "-printf", "large")
    return Expect("None of them is large any more", *large, output="", allow_exit={0, 1})


def _at_most(number: int) -> str:
    """A pattern for whole numbers from 0 to this one, without leading zeros."""
    digits = str(number)
    parts = [rf"\d{{1,{len(digits) - 1}}}"] if len(digits) > 1 else []
    for place, digit in enumerate(digits):
        lowest = 1 if place == 0 and len(digits) > 1 else 0
        if int(digit) > lowest:
            parts.append(f"{digits[:place]}[{lowest}-{int(digit) - 1}]" + rf"\d{{{len(digits) - place - 1}}}")
    return f"(?:{'|'.join([*parts, digits])})"


def _note(params: DiskCleanup.Params, facts: Facts) -> str:
    said = [f"{facts.file_system} of {facts.host} is {_full(facts)} full: {_size(facts.used)} of {_size(facts.size)}."]
    left = [file for file in facts.files if file["lacks"]]
    if left:
        said.append(_rights(facts, left))
    if params.journal is not None and facts.journal_lacks:
        said.append(f"The journal is left alone: {facts.login} needs `{facts.journal_lacks}` in sudoers.")
    guessed = [file["path"] for file in facts.files if file["open"] is None and file["how"] != "truncate"]
    if guessed:
        said.append(f"{facts.login} can't see who has {guessed[0]} open; nobody has changed it for long.")
    if facts.more:
        said.append(
            f"{facts.more} more files of that size are left alone: too young, packed already, or one plan's too many."
        )
    return " ".join([*said, *_unseen(facts)])


def _unseen(facts: Facts) -> list[str]:
    said = []
    if facts.no_room:
        said.append(
            f"There is no room to compress {_cramped(facts)}: "
            "`how=truncate` empties such files, `how=delete` deletes them."
        )
    if facts.odd_names:
        said.append(f"{facts.odd_names} large files have names that can't be shown safely, and are left alone.")
    if facts.closed_folders:
        said.append(f"{facts.login} can't look into {facts.closed_folders} folders.")
    return said


def _cramped(facts: Facts) -> str:
    """The files that there is no room to compress: three by name, and how many more."""
    names = ", ".join(f"{file['path']} ({_size(file['bytes'])})" for file in facts.no_room[:3])
    return names + (f" and {len(facts.no_room) - 3} more" if len(facts.no_room) > 3 else "")


def _rights(facts: Facts, files: list[File]) -> str:
    lines = "\n".join(str(file["lacks"]) for file in files[:5])
    more = f"\n(and {len(files) - 5} more)" if len(files) > 5 else ""
    bytes_ = _size(sum(file["bytes"] for file in files))
    return (
        f"{facts.login} may not change {len(files)} of the files, {bytes_} in all. Let logrotate do it "
        f"(`/runbook log-rotation {files[0]['path']}`), or allow it in sudoers there:\n{lines}{more}\n"
    )


def _nothing(params: DiskCleanup.Params, facts: Facts) -> str:
    said = [f"{facts.file_system} of {facts.host} is {_full(facts)} full."]
    if facts.files:
        said.append(_rights(facts, facts.files))
    elif not facts.no_room:
        old = f" and unchanged for {_age(params.older)}" if params.older else ""
        said.append(f"No file in {facts.folder} that could go is larger than {_size(params.larger)}{old}.")
        if facts.largest:
            large = (
                f"{f['path']} ({_size(f['bytes'])}, changed {_age(facts.now - f['changed'])} ago)"
                for f in facts.largest
            )
            said.append(f"The largest are {', '.join(large)}.")
        if facts.largest and params.older:
            said.append("`older=0` takes files in use too; `how=` says what is done to them.")
    if params.journal is not None and facts.journal_lacks:
        said.append(f"For the journal, {facts.login} needs this in sudoers: {facts.journal_lacks}")
    return " ".join([*said, *_unseen(facts)])


def _full(facts: Facts) -> str:
    return f"{-(-100 * facts.used // max(1, facts.used + facts.free))} %"  # as df counts it: root's reserve left out


def _size(number: int) -> str:
    for unit, bytes_ in (("G", 1024**3), ("M", 1024**2), ("K", 1024)):
        if number >= bytes_:
            return f"{number / bytes_:.1f}{unit}"
    return f"{number} bytes"


def _age(seconds: int) -> str:
    for word, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {word}"
    return f"{seconds} s"
