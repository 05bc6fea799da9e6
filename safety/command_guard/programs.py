"""Programs that are judged by what their operands mean: paths, modes, units, processes, code.

`EXAMINERS` names them. An examiner returns what it has to say; the tables of `rules.py` are asked as well, and the
strictest answer counts.
"""

# ruff: noqa: S108
# Reasons stay whole sentences, patterns whole patterns. The scratch folders are named to be judged, not used.

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from safety.command_guard.arguments import Arguments, parse
from safety.command_guard.paths import (
    Zone,
    depth,
    folders,
    holds_data,
    is_backup,
    is_gits_own,
    is_run,
    is_secret,
    is_throwaway,
    normalised,
    whole_folder,
    zone,
)
from safety.command_guard.places import BROAD_LOGS, SCRATCH, names
from safety.command_guard.rules import PRECIOUS_PROCESSES, PRECIOUS_UNITS
from safety.command_guard.shell import Invocation
from safety.command_guard.values import TOKEN, UNKNOWN, as_typed, has_glob, has_unknown, is_plain, origins, shown
from safety.command_guard.verdicts import Finding, Severity, allow, ask, refuse
from safety.command_guard.wrappers import found_paths, is_old


@dataclass(frozen=True, kw_only=True)
class Case:
    """One command to examine. `sources` answers which commands print an unknown word."""

    arguments: Arguments
    words: tuple[str, ...]
    invocation: Invocation
    sources: Callable[[str], tuple[tuple[str, ...], ...]]

    @property
    def cwd(self) -> str | None:
        """The folder relative names are in, None if nobody changed it."""
        return self.invocation.env.cwd

    @property
    def program(self) -> str:
        """The program's name without its folder."""
        return self.arguments.program


Examiner = Callable[[Case], Iterable[Finding]]

_NEXT = "Name a folder below /tmp or /var/tmp, or ask for approval."
_BACKUP = re.compile(
    rf"([._-](bak|old|orig|save|saved|backup|bkp|copy|prev|before|org|dist|rpmsave|dpkg-old|"
    rf"ok)[\w.{TOKEN}-]*|~|[._-]\d{{6,}}\S*|[._-]\d{{4}}[._-]\d\d[._-]?\d\d\S*|"
    rf"[._-][\d_-]*{TOKEN}\S*)\Z"
)


_SOCKETS = names("mysql* maria* postgres* redis* mongo* docker* snapd* libvirt* lvm*")
"""Whose sockets nobody removes: their programs make no new one."""


# What is done to a path


def removing(case: Case, path: str, *, recursive: bool, old: bool = False) -> Finding:
    """A path goes away, with everything below it if `recursive`. `old`: only what is older than some days."""
    where, name = zone(path, case.cwd), shown(path)
    if where is Zone.UNKNOWN and re.fullmatch(rf"/(var/)?tmp/[\w.-]{{2,}}{UNKNOWN}[\w.-]*", path):
        return ask("paths.scratch-unknown", f"`{case.program}` on `{name}`, of which a part is not known.")
    how = f"`{case.program}{' -r' if recursive and case.program == 'rm' else ''}` on `{name}`"
    match where:
        case Zone.UNKNOWN:
            return refuse(
                "paths.unknown", f"{how}: what that is stands only in a variable or an output. Write the path."
            )
        case Zone.TOP | Zone.DEVICE:
            return refuse("paths.protected", f"{how} deletes what the host cannot work without. {_NEXT}")
        case Zone.SINK:
            return refuse("paths.device", f"{how} removes a device every program needs.")
        case Zone.CRITICAL:
            return refuse("paths.protected", f"{how} deletes protected files. {_NEXT}")
        case Zone.PROTECTED:
            return _removing_protected(how, path, case, recursive=recursive)
        case Zone.SCRATCH:
            return _removing_scratch(how, path, case, old=old)
        case Zone.LOG:
            return _removing_log(how, path, recursive=recursive, old=old)
        case Zone.RELATIVE:
            return _removing_relative(how, path, recursive=recursive)
    return _removing_plain(how, path, case, recursive=recursive, old=old)


def _removing_protected(how: str, path: str, case: Case, *, recursive: bool) -> Finding:
    where = normalised(path, case.cwd)
    left = r"/(var/)?(run|lock)/\S+\.(pid|lock|lck)|/(var/)?run/[^/]+/[^/]+\.sock"
    if not recursive and re.fullmatch(left, where) and not has_glob(path):
        owners = {name.partition(".")[0] for name in folders(where)[1:]}
        if not any(fnmatchcase(owner, pattern) for owner in owners for pattern in (*PRECIOUS_PROCESSES, *_SOCKETS)):
            return allow("paths.pid-file")
    if re.match(r"/var/(lib|spool|opt)/[^/]+/", where) and is_throwaway(path.rpartition("/")[0]):
        return ask("paths.throwaway", f"{how} deletes a cache.") if recursive else allow("paths.throwaway")
    system = where.startswith(("/etc", "/usr", "/boot", "/lib", "/var/lib"))
    if not recursive and not has_glob(path) and ((depth(path, case.cwd) >= 4 and not system) or _rotated(path)):
        return ask("paths.protected", f"{how} deletes a file in a protected folder.")
    return refuse("paths.protected", f"{how} deletes protected files. {_NEXT}")


def _removing_plain(how: str, path: str, case: Case, *, recursive: bool, old: bool) -> Finding:
    """Below an application's own folder, or somewhere nobody has said anything about."""
    wipes = has_glob(path) and whole_folder(path)
    logs = bool({"log", "logs"} & set(folders(path)[1:-1]))
    deep = depth(path, case.cwd) >= 3
    if _hidden_folder(path):
        return refuse("paths.protected", f"{how} deletes hidden files, which are settings or keys. {_NEXT}")
    if deep and is_throwaway(path) and not holds_data(path):
        return allow("paths.throwaway")
    if not recursive:
        if deep and (_throwaway_file(path) or (logs and _rotated(path))) and not wipes:
            return allow("paths.throwaway")
        if wipes and not old:
            return refuse("paths.recursive", f"{how} deletes everything there. {_NEXT}")
        if deep and logs and old:
            return allow("paths.old-logs")
        return ask("paths.delete", f"{how} deletes something outside of the scratch folders.")
    if not deep or wipes or has_glob(path) or holds_data(path) or depth(path, case.cwd) == 3:
        return refuse("paths.recursive", f"{how} deletes a whole tree outside of the scratch folders. {_NEXT}")
    return ask("paths.delete", f"{how} deletes a tree outside of the scratch folders.")


def _hidden_folder(path: str) -> bool:
    return any(re.match(r"\.(?!cache|\.|pytest|mypy|tmp|sass|gradle)\w", name) for name in folders(path))


def _removing_relative(how: str, path: str, *, recursive: bool) -> Finding:
    if recursive and _hidden_folder(path):
        return refuse("paths.relative", f"{how} deletes hidden files in a folder the text does not name.")
    if is_throwaway(path) and not has_glob(folders(path)[0]):
        return allow("paths.throwaway")
    if not recursive and (_throwaway_file(path) or (_rotated(path) and not has_glob(path))):
        return allow("paths.throwaway")
    return ask("paths.relative", f"{how} deletes in a folder the text does not name. Give the full path.")


def _removing_scratch(how: str, path: str, case: Case, *, old: bool) -> Finding:
    where = normalised(path, case.cwd)
    if not old and has_glob(path) and whole_folder(path) and where.rpartition("/")[0] in SCRATCH:
        return ask("paths.scratch-all", f"{how} empties the scratch folder for everybody. Name what is yours.")
    if ".." in path.split("/"):
        return ask("paths.climbing", f"{how} climbs out of folders with `..`. Write the path without it.")
    return allow("paths.scratch")


def _rotated(path: str) -> bool:
    return bool(
        re.search(
            r"(\.gz|\.bz2|\.xz|\.zst|\.\d+|\.old|\.bak|-\d{8}|\.log\.\S+|\.1|\.\d{4}-\d\d-\d\d)\Z", as_typed(path)
        )
        and not re.search(r"sql|dump|backup|\.db\b|\.tar|\.t[gx]z", as_typed(path), re.IGNORECASE)
    )


def _throwaway_file(path: str) -> bool:
    """`x.pid`, `core.123`, `tmp.txt`, `maintenance.flag`: files nobody would miss."""
    name = as_typed(path).rstrip("/").rsplit("/", 1)[-1]
    return bool(
        re.search(r".\.(pid|lock|lck|tmp|temp|swp|swo|part|partial|flag|enable|pyc|pyo|hprof|trace|orig|rej)\Z", name)
        or re.match(r"core(\.\d+)?\Z|(tmp|temp|maintenance|sess)[._-][\w.*-]*\Z|nohup\.out\Z|heap\S*\.hprof\Z", name)
    )


def _removing_log(how: str, path: str, *, recursive: bool, old: bool) -> Finding:
    wipes = has_glob(path) and whole_folder(path)
    if recursive or (wipes and not old) or (has_glob(path) and not _rotated(path) and not old):
        return refuse("logs.wipe", f"{how} wipes logs. Empty one log by name, or let logrotate do it.")
    if _rotated(path) and (not has_glob(path) or old or depth(path) >= 4):
        return allow("logs.rotated")
    return ask("logs.delete", f"{how} deletes logs.")


def writing(case: Case, path: str, *, append: bool = False, what: str = "overwrites") -> Finding:
    """A file is created, overwritten or appended to."""
    where, name = zone(path, case.cwd), shown(path)
    how = f"`{case.program}` {'appends to' if append else what} `{name}`"
    if normalised(path, case.cwd) in ("/proc/sys/vm/drop_caches", "/proc/sys/vm/compact_memory"):
        return ask("boot.kernel", f"{how}: the kernel lets go of what it keeps in memory, and is slow for a while.")
    match where:
        case Zone.UNKNOWN:
            return refuse(
                "paths.unknown", f"{how}: where that is stands only in a variable or an output. Write the path."
            )
        case Zone.SINK | Zone.SCRATCH:
            return allow("paths.scratch")
        case Zone.DEVICE:
            return refuse("paths.device", f"{how}, a device.")
        case Zone.TOP | Zone.CRITICAL:
            return refuse("paths.protected", f"{how}, which the host needs to work, to let people in or to witness.")
        case Zone.PROTECTED:
            if (_BACKUP.search(path) or (is_backup(path, case.cwd) and what == "fills")) and not append:
                return allow("paths.backup")
            if (
                normalised(path, case.cwd).startswith("/etc/")
                and what == "overwrites"
                and not append
                and case.program in (">", "tee", "truncate")
            ):
                return refuse("paths.protected", f"{how}, a configuration, without a copy to go back to.")
            return ask("paths.protected", f"{how}, in a protected folder.")
        case Zone.LOG:
            if has_glob(path):
                return refuse("logs.wipe", f"{how}: many logs at once. Name one.")
            if what == "rewrites":
                return refuse("logs.rewrite", f"{how}: a log is emptied or rotated, never written anew.")
            if not append and normalised(path, case.cwd).rsplit("/", 1)[-1] in BROAD_LOGS:
                return ask("logs.broad", f"{how}, a log many programs write to.")
            return allow("logs.one")
    if is_gits_own(path):
        return refuse("paths.runs", f"{how}: git runs what stands there.")
    if is_run(path) and not _BACKUP.search(path):
        return ask("paths.runs", f"{how}, which something may run.")
    if where is Zone.RELATIVE:
        if has_glob(path):
            return ask("paths.relative", f"{how} in a folder the text does not name. Give the full path.")
        return allow("paths.relative")
    if (
        append
        or _BACKUP.search(path)
        or (where is Zone.APP and (_named_log(path) or is_throwaway(path) or _throwaway_file(path)))
    ):
        return allow("paths.plain")
    if case.program == ">" and what == "fills" and where is Zone.APP and depth(path, case.cwd) >= 3:
        return allow("paths.output")
    return ask("paths.write", f"{how}.")


def _live_log(path: str) -> bool:
    """A log that is written to, by its name: not a rotated one, not a folder."""
    name = as_typed(path).rstrip("/").rsplit("/", 1)[-1]
    return not _rotated(path) and (name in BROAD_LOGS or name.endswith((".log", "_log", ".err", "-error")))


def _named_log(path: str) -> bool:
    """One log of an application, by its name."""
    inside = bool({"log", "logs"} & set(folders(path)[:-1]))
    return not has_glob(path) and (path.endswith((".log", ".out")) or inside)


def adding(case: Case, path: str) -> Finding:
    """A new file or folder is made; what is there stays."""
    where = zone(path, case.cwd)
    if where in (Zone.UNKNOWN, Zone.TOP, Zone.CRITICAL, Zone.DEVICE):
        return writing(case, path, what="creates")
    return allow("paths.add")


def altering(case: Case, path: str, *, recursive: bool, what: str) -> Finding:
    """Owner, mode or attributes of a path change."""
    where, name = zone(path, case.cwd), shown(path)
    how = f"`{case.program}{' -R' if recursive else ''}` on `{name}` changes {what}"
    match where:
        case Zone.UNKNOWN:
            return refuse("permissions.unknown", f"{how} of something that stands only in a variable. Write the path.")
        case Zone.TOP | Zone.CRITICAL | Zone.DEVICE | Zone.SINK:
            return refuse("permissions.protected", f"{how} of what the host cannot work without.")
        case Zone.PROTECTED:
            if (recursive and depth(path, case.cwd) <= 2) or normalised(path, case.cwd).startswith(("/usr", "/lib")):
                return refuse("permissions.protected", f"{how} of a protected folder.")
            if (
                not recursive
                and not has_glob(path)
                and re.match(r"/(srv|data|opt|backups?|mnt|var/www)/[^/]+\Z", normalised(path, case.cwd))
            ):
                return allow("permissions.one")
            return ask("permissions.change", f"{how} in a protected folder.")
        case Zone.SCRATCH:
            return allow("permissions.scratch")
        case Zone.APP if depth(path, case.cwd) >= 3 + whole_folder(path) and not _hidden_folder(path):
            return allow("permissions.app")
    if recursive and depth(path, case.cwd) <= 1 and where is not Zone.RELATIVE:
        return refuse("permissions.recursive", f"{how} of a whole top folder.")
    if recursive or has_glob(path):
        return ask("permissions.change", f"{how} of everything there.")
    return allow("permissions.one")


def reading(case: Case, paths: Iterable[str]) -> Iterator[Finding]:
    """Files are read; secrets need a person."""
    for path in paths:
        if is_secret(path, case.cwd):
            yield ask("secrets.read", f"`{shown(path)}` holds passwords or keys.")


ENDLESS = ("/dev/zero", "/dev/urandom", "/dev/random", "/dev/full")
"""Files that never end."""
HUGE = 20 * 2**30
"""Bytes that a command may not write in one go."""
_UNITS = {"": 1, "b": 512, "c": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}


def size_of(text: str) -> int:
    """`10G` and the like in bytes; 0 where it is no size."""
    match = re.fullmatch(r"[+<>/%-]?(\d{1,12})(?:([kmgtpbc])(?:i?b)?)?", text, re.IGNORECASE)
    return int(match[1]) * _UNITS[(match[2] or "").lower()] if match else 0


def _fallocate(case: Case) -> Iterator[Finding]:
    a = case.arguments
    for path in a.operands:
        yield writing(
            case, path, append=not a.has("-p", "-z", "-c", "--punch-hole", "--zero-range", "--collapse-range")
        )
    if size_of(a.value("-l", "--length") or "0") > HUGE:
        yield refuse("process.endless", f"`{case.program}` takes more room than a host can spare.")
    yield allow("paths.none")


# Programs that work on files


def _rm(case: Case) -> Iterator[Finding]:
    a = case.arguments
    recursive = a.has("-r", "-R", "--recursive")
    if a.has("--no-preserve-root"):
        yield refuse("paths.protected", "`--no-preserve-root` is only ever needed to delete everything.")
    for path in a.operands:
        yield removing(case, path, recursive=recursive, old=case.invocation.old)
    if case.program in ("shred", "wipe", "srm"):
        yield ask("paths.shred", f"`{case.program}` destroys contents for good.")
    yield allow("paths.none")


def _rmdir(case: Case) -> Iterator[Finding]:
    for path in case.arguments.operands:
        found = removing(case, path, recursive=False)
        yield allow("paths.empty-folder") if zone(path, case.cwd) in (Zone.APP, Zone.RELATIVE, Zone.LOG) else found
    yield allow("paths.none")


def _mv(case: Case) -> Iterator[Finding]:
    a = case.arguments
    target = a.value("-t", "--target-directory")
    operands = list(a.operands)
    if target is None and len(operands) > 1:
        target = operands.pop()
    if target is None:
        yield refuse("paths.unread", f"`{case.program}` without a target the guard can read.")
        return
    for path in operands:
        where = zone(path, case.cwd)
        if where in (Zone.TOP, Zone.CRITICAL, Zone.DEVICE, Zone.UNKNOWN):
            yield removing(case, path, recursive=True)
        elif where is Zone.PROTECTED or (where is Zone.PLAIN and depth(path, case.cwd) <= 1):
            if depth(path, case.cwd) <= 2 or has_glob(path):
                yield removing(case, path, recursive=True)
            else:
                yield ask("paths.move", f"`mv` takes `{shown(path)}` away from a protected folder.")
        elif where is Zone.LOG and (has_glob(path) or zone(target, case.cwd) is not Zone.LOG):
            yield ask("logs.move", f"`mv` takes `{shown(path)}` away from the logs.")
        elif (where in (Zone.PLAIN, Zone.APP) and (depth(path, case.cwd) <= 2 or _hidden_folder(path))) or (
            where in (Zone.PLAIN, Zone.RELATIVE, Zone.APP) and has_glob(path)
        ):
            yield ask("paths.move", f"`mv` takes `{shown(path)}` away.")
    if zone(target, case.cwd) is Zone.SINK:
        yield refuse("paths.device", "`mv` to a device throws the file away, or the device.")
    yield arriving(case, operands, target)


def arriving(case: Case, sources: list[str], target: str) -> Finding:
    """What is copied or moved lands in `target`, a file or a folder."""
    where = zone(target, case.cwd)
    if is_gits_own(target):
        return refuse("paths.runs", f"`{case.program}` puts something where git runs what stands there.")
    if where is Zone.UNKNOWN and sources and target.startswith(sources[0]) and zone(sources[0]) is not Zone.UNKNOWN:
        return ask("paths.backup", "A copy whose name is not known.")
    if (
        where is Zone.CRITICAL
        and _BACKUP.search(target)
        and not normalised(target, case.cwd).startswith(
            ("/etc/cron", "/etc/sudoers.d", "/etc/profile.d", "/etc/rc", "/etc/init.d")
        )
    ):
        return allow("paths.backup")
    if (
        where is Zone.TOP
        and (depth(target, case.cwd) >= 1)
        and normalised(target, case.cwd)
        not in ("/etc", "/usr", "/boot", "/bin", "/sbin", "/lib", "/lib64", "/dev", "/proc", "/sys", "/root", "/etc/.")
    ):
        if _BACKUP.search(target) or normalised(target, case.cwd).startswith(
            (
                "/tmp",
                "/home",
                "/backup",
                "/mnt",
                "/srv",
                "/data",
                "/opt",
                "/var/backups",
                "/var/tmp",
                "/media",
                "/var/cache",
                "/var/log",
            )
        ):
            return allow("paths.backup")
        if normalised(target, case.cwd).startswith("/etc/"):
            return ask("paths.write", f"`{case.program}` writes to `{shown(target)}`.")
    if where is Zone.PROTECTED and normalised(target, case.cwd).startswith(
        (
            "/backup",
            "/backups",
            "/var/backups",
            "/mnt",
            "/media",
            "/home",
            "/opt/backup",
            "/data",
            "/nfs",
            "/srv/backup",
        )
    ):
        return allow("paths.backup")
    if where is Zone.PROTECTED and normalised(target, case.cwd) in ("/home", "/mnt", "/srv", "/data", "/root"):
        return allow("paths.backup")
    if where is Zone.TOP and normalised(target) == ".":
        return allow("paths.relative")
    if sources and all(s == "/dev/null" for s in sources):
        return writing(case, target)
    landing = [f"{target}{source.rsplit('/', 1)[-1]}" for source in sources] if target.endswith("/") else [target]
    if where is Zone.LOG and any(map(_live_log, landing)) and not (case.program == "mv" and _rotated(target)):
        if all(zone(source, case.cwd) is Zone.LOG for source in sources):
            return ask("logs.rewrite", f"`{case.program}` puts another log in the place of `{shown(target)}`.")
        return refuse("logs.rewrite", f"`{case.program}` writes the log `{shown(target)}` anew.")
    if where is Zone.PROTECTED and zone(f"{target}/x", case.cwd) is Zone.APP:
        return allow("paths.copy")
    if where is Zone.PLAIN or (where is Zone.APP and not _hidden_folder(target)):
        return allow("paths.copy")
    if where is Zone.PROTECTED and is_backup(target, case.cwd):
        return allow("paths.backup")
    return writing(case, target)


def _cp(case: Case) -> Iterator[Finding]:
    a = case.arguments
    target = a.value("-t", "--target-directory")
    operands = list(a.operands)
    if target is None and len(operands) > 1:
        target = operands.pop()
    if case.program == "install" and a.has("-d", "--directory"):
        for path in a.operands:
            yield adding(case, path)
        return
    if target is None:
        yield refuse("paths.unread", f"`{case.program}` without a target the guard can read.")
        return
    yield from reading(case, operands)
    if any(is_secret(o, case.cwd) for o in operands) and zone(target, case.cwd) is Zone.SCRATCH:
        yield refuse("secrets.copy", "A copy of passwords or keys where everybody may read.")
    mode = a.value("-m", "--mode")
    if mode is not None and _sets_id(mode):
        yield refuse("permissions.setuid", "A program that runs as its owner for everybody.")
    if (
        operands == ["/dev/zero"]
        or operands == ["/dev/urandom"]
        or any(zone(o, case.cwd) is Zone.DEVICE for o in operands)
    ):
        yield refuse("paths.device", "Copying a device never ends, or reads a whole disk.")
    if (
        any(as_typed(o).rsplit("/", 1)[-1] in ("sh", "bash", "dash", "zsh", "su", "sudo") for o in operands)
        and case.program != "ln"
    ):
        yield refuse("permissions.shell-copy", "A copy of a shell is a way back in.")
    yield arriving(case, operands, target)


def _ln(case: Case) -> Iterator[Finding]:
    a = case.arguments
    target = a.operands[-1] if len(a.operands) > 1 else (a.operands[0].rsplit("/", 1)[-1] if a.operands else ".")
    where = zone(target, case.cwd)
    if where in (Zone.TOP, Zone.CRITICAL, Zone.DEVICE, Zone.UNKNOWN, Zone.SINK):
        yield refuse("paths.link", f"`ln` puts a link in the place of `{shown(target)}`.")
    elif where is Zone.LOG or any(as_typed(o) == "/dev/null" for o in a.operands[:-1]):
        yield refuse("logs.link", f"`ln` makes what is written to `{shown(target)}` go elsewhere.")
    elif any(zone(o, case.cwd) in (Zone.CRITICAL, Zone.UNKNOWN) or as_typed(o) == "/" for o in a.operands[:-1]):
        yield ask("paths.link", "A link to a critical file gives it a second way in.")
    elif where is Zone.SCRATCH and any(_leads_in(case, o) for o in a.operands[:-1]):
        yield ask("paths.link", "A link in a scratch folder to a protected place gives it a second way in.")
    elif where is Zone.SCRATCH or (
        where is Zone.APP
        and depth(target, case.cwd) >= 3
        and all(zone(o, case.cwd) in (Zone.APP, Zone.RELATIVE) for o in a.operands[:-1])
    ):
        yield allow("paths.link")
    else:
        yield ask("paths.link", f"`ln` changes what `{shown(target)}` means.")


def _leads_in(case: Case, path: str) -> bool:
    """Whether it is a place that must not be written to through another name."""
    where = zone(path, case.cwd)
    return (
        where is Zone.TOP and path.startswith("/") and not normalised(path).startswith(("/var/log", "/tmp", "/var/tmp"))
    )


def _tee(case: Case) -> Iterator[Finding]:
    append = case.arguments.has("-a", "--append")
    feed = case.invocation.feed
    fed = {p[0].rsplit("/", 1)[-1] for p in feed.producers if p}
    filled = bool(fed - {"echo", "printf", ":", "true", "cat", "?"})
    for path in case.arguments.operands:
        sums = re.search(r"(SUMS?|\.(sha\d+|md5|list|manifest|txt|log))\Z", as_typed(path))
        fills = filled and (sums is not None or not is_backup(path, case.cwd))
        if (
            zone(path, case.cwd) is Zone.LOG
            and not append
            and any("/var/log/" in word for p in feed.producers for word in p)
        ):
            yield refuse("logs.rewrite", f"`{case.program}` writes the log `{shown(path)}` anew.")
        yield writing(case, path, append=append, what="fills" if fills and is_backup(path, case.cwd) else "overwrites")
    yield allow("paths.none")


def _sponge(case: Case) -> Iterator[Finding]:
    for path in case.arguments.operands:
        yield writing(case, path, append=case.arguments.has("-a"), what="rewrites")
    yield allow("paths.none")


def _truncate(case: Case) -> Iterator[Finding]:
    if size_of(case.arguments.value("-s", "--size") or "0") > HUGE:
        yield refuse("process.endless", "`truncate` makes a file of a size no disk has.")
    for path in case.arguments.operands:
        yield writing(case, path, what="empties") if zone(path, case.cwd) is not Zone.PROTECTED else writing(case, path)
    yield allow("paths.none")


def _touch(case: Case) -> Iterator[Finding]:
    if case.arguments.has("-t", "-d", "-r", "--date", "--reference") and case.program == "touch":
        yield ask("logs.timestamps", "`touch` with a date of its own hides when a file changed.")
    for path in case.arguments.operands:
        yield adding(case, path)
    yield allow("paths.none")


def _dd(case: Case) -> Iterator[Finding]:
    given = dict(as_typed(word).partition("=")[::2] for word in case.words)
    if given.get("if") in ENDLESS and "count" not in given and given.get("of") not in (None, "/dev/null"):
        yield refuse("process.endless", "`dd` from a source that never ends fills the disk.")
    if (
        given.get("if") in ENDLESS
        and size_of(given.get("bs", "512"))
        * int(given["count"][:12] if given.get("count", "").isascii() and given.get("count", "").isdigit() else 1)
        > HUGE
    ):
        yield refuse("process.endless", "`dd` fills the disk.")
    for word in case.words:
        name, _, path = as_typed(word).partition("=")
        if name == "of":
            where = zone(path, case.cwd)
            if where is Zone.PLAIN:
                yield ask("paths.write", f"`dd` writes `{shown(path)}`.")
            elif where in (Zone.LOG, Zone.PROTECTED):
                yield refuse("paths.protected", f"`dd` overwrites `{shown(path)}`.")
            else:
                yield writing(case, path)
        elif name == "if":
            if zone(path, case.cwd) is Zone.DEVICE and given.get("of") != "/dev/null":
                yield ask("exfiltration.device", f"`dd` reads the device `{shown(path)}` whole.")
            yield from reading(case, [path])
        elif has_unknown(word):
            yield refuse("paths.unknown", "`dd` with a word that is not known. Write it out.")
    yield allow("paths.none")


def _sets_id(mode: str) -> bool:
    return bool(re.search(r"[ugao]*[+=][rwxXt]*s|\A0?[2467]\d{3}\Z", as_typed(mode)))


def _chmod(case: Case) -> Iterator[Finding]:
    a = case.arguments
    recursive = a.has("-R", "--recursive")
    words = [
        w
        for w in case.words
        if w not in ("--",)
        and not re.fullmatch(
            r"-[Rvcfh]+|--(recursive|verbose|changes|quiet|silent|no-preserve-root|preserve-root)", as_typed(w)
        )
    ]
    if a.value("--reference") is not None:
        words = ["--reference", *[w for w in words if not w.startswith("--reference")]]
    if not words:
        yield allow("permissions.none")
        return
    mode, paths = as_typed(words[0])[:40], words[1:]
    if has_unknown(mode):
        yield refuse("permissions.unknown", "A mode that stands only in a variable. Write it out.")
    if _sets_id(mode):
        yield refuse("permissions.setuid", f"`chmod {shown(mode)}` makes a program run as its owner for everybody.")
    wide = bool(
        re.search(
            r"\A[0-7]{0,4}[2367]\Z|(\A|,)[augo]*[oa][augo]*[+=][rxX]*w|(\A|,)[+=][rxX]*w",
            mode,
        )
    )
    shut = bool(re.fullmatch(r"0+[0-7]?0*|a?-[rwxX]+|a=|ugo-[rwx]+|0", mode)) and mode not in (
        "0640",
        "0600",
        "0700",
        "700",
        "600",
    )
    for path in paths:
        where = zone(path, case.cwd)
        if wide and where is not Zone.SCRATCH:
            yield refuse(
                "permissions.world",
                f"`chmod {shown(mode)}` on `{shown(path)}` lets everybody write there. Give the group what it needs.",
            )
        elif wide and recursive:
            yield ask("permissions.world", f"`chmod -R {shown(mode)}` lets everybody write there.")
        elif shut and where is not Zone.SCRATCH:
            yield refuse(
                "permissions.shut", f"`chmod {shown(mode)}` on `{shown(path)}` takes it away from those who use it."
            )
        yield (
            _strict_mode(case, mode, path)
            if not recursive and mode in _STRICT
            else altering(case, path, recursive=recursive, what="the mode")
        )
    yield allow("permissions.none")


_STRICT = names(
    """
    600 0600 400 0400 700 0700 640 0640 644 0644 755 0755 go-rwx og-rwx go=
    """
)
"""Modes that open nothing to everybody's pen."""


def _strict_mode(case: Case, mode: str, path: str) -> Finding:
    """The usual mode for one file, also for one that matters."""
    found = altering(case, path, recursive=False, what="the mode")
    where = normalised(path, case.cwd)
    if zone(path, case.cwd) is Zone.CRITICAL and found.severity is Severity.REFUSE and not has_glob(path):
        private = mode.lstrip("0").endswith("00") or mode.startswith(("go", "og"))
        if private and re.search(r"/\.(ssh|aws|kube|gnupg|docker|pgpass|netrc|my\.cnf)(/|\Z)", where):
            return allow("permissions.private")
        if re.match(
            r"/etc/(cron\.\w+|logrotate\.d|sysctl\.d|systemd/system|profile\.d|rsyslog\.d|modprobe\.d)/", where
        ) and mode.lstrip("0") in ("644", "640", "600", "755"):
            return ask("permissions.change", f"`chmod {shown(mode)}` on `{shown(path)}`, which the host obeys.")
    if (
        zone(path, case.cwd) is Zone.PROTECTED
        and not mode.lstrip("0").endswith("00")
        and where.startswith(("/srv", "/home", "/data", "/var/www"))
    ):
        return allow("permissions.one")
    return found


def _chown(case: Case) -> Iterator[Finding]:
    a = case.arguments
    recursive = a.has("-R", "--recursive")
    paths = a.operands if a.value("--reference") is not None else a.operands[1:]
    if a.operands and has_unknown(a.operands[0]):
        yield refuse("permissions.unknown", "An owner that stands only in a variable. Write it out.")
    for path in paths:
        yield altering(case, path, recursive=recursive, what="the owner")
    yield allow("permissions.none")


def _chattr(case: Case) -> Iterator[Finding]:
    for path in [w for w in case.words if not re.fullmatch(r"[-+=][a-zA-Z]+", as_typed(w))]:
        found = altering(case, path, recursive=case.arguments.has("-R"), what="attributes")
        yield (
            found
            if found.severity.rank
            else ask("permissions.change", "`chattr` changes what even root may do to a file.")
        )
    if any(
        "i" in as_typed(w) or "a" in as_typed(w) for w in case.words if re.fullmatch(r"[-+=][a-zA-Z]+", as_typed(w))
    ):
        yield refuse(
            "permissions.attributes", "`chattr` with `i` or `a` makes a file unchangeable, or takes that away."
        )


def _setfacl(case: Case) -> Iterator[Finding]:
    recursive = case.arguments.has("-R", "--recursive")
    if any("--restore" in word for word in case.words):
        yield refuse("permissions.change", "`setfacl --restore` changes permissions the guard cannot see.")
    for path in [w for w in case.words if "/" in w and not w.startswith("-")]:
        yield altering(case, path, recursive=recursive, what="access lists")
    words = [as_typed(w) for w in case.words]
    files = [w for w in case.words if "/" in w and not w.startswith("-")]
    added = [words[i + 1] for i, w in enumerate(words[:-1]) if w in ("-m", "--modify")]
    narrow = all(re.fullmatch(r"[ug]:[\w.-]+:[rwxX-]+(,[ug]:[\w.-]+:[rwxX-]+)*", one) for one in added)
    others = case.arguments.has("-b", "-k", "-x", "-X", "-M", "-d", "--set", "--set-file", "--remove-all", "--default")
    if len(added) == len(files) == 1 and narrow and not recursive and not others and zone(files[0]) is Zone.APP:
        yield allow("permissions.one")
        return
    yield ask("permissions.change", "`setfacl` changes who may do what.")


def _find(case: Case) -> Iterator[Finding]:
    words = [as_typed(word) for word in case.words]
    starts: list[str] = []
    for raw, word in zip(case.words, words, strict=True):
        if (word.startswith("-") and word not in ("-L", "-H", "-P")) or word in ("(", "!", ","):
            break
        if not word.startswith("-"):
            starts.append(raw)
    if "-delete" in words:
        for path in found_paths(("find", *case.words)) or ():
            yield _deleting_found(case, path, old=is_old(case.words))
    for index, word in enumerate(words):
        if word in ("-fprint", "-fprint0", "-fprintf", "-fls") and index + 1 < len(words):
            yield writing(case, case.words[index + 1])
    if any(has_unknown(w) for w in case.words[len(starts) :]) and any(
        w in words for w in ("-delete", "-exec", "-execdir", "-ok")
    ):
        yield refuse("paths.unknown", "`find` that acts, with a word that is not known.")
    yield allow("paths.find")


def _deleting_found(case: Case, path: str, *, old: bool) -> Finding:
    """What `find -delete` finds: files, and folders that became empty."""
    found = removing(case, path, recursive=False, old=old)
    if found.severity is Severity.ALLOW:
        return found
    if found.severity is Severity.APPROVE and (not (has_glob(path) and whole_folder(path)) or old):
        return found
    return refuse(
        "paths.find-delete", f"`find -delete` on `{shown(path)}` deletes what nobody has listed. List it first."
    )


_SETTINGS_FILE = r"\.(ya?ml|json|toml|ini|conf|cfg|env|properties|xml|rb)\Z|/\.env(\.\w+)?\Z"
"""Names of an application's settings, which a copy beside them brings back."""


def _sed(case: Case) -> Iterator[Finding]:
    a = case.arguments
    scripts = [v for n, v in a.options if n in ("-e", "--expression") and v is not None]
    files = list(a.operands)
    if not scripts and a.value("-f", "--file") is None and files:
        scripts = [as_typed(files.pop(0))]
    if a.value("-f", "--file") is not None:
        yield ask("code.file", "A sed script from a file.")
    for script in scripts:
        if _sed_runs(script):
            yield refuse("code.sed", "A sed script that runs a command or writes another file.")
        if has_unknown(script) and a.has("-i", "--in-place"):
            yield ask("code.sed", "A sed script of which a part is not known changes a file.")
    if a.has("-i", "--in-place", "-i*", "--in-place=*"):
        for path in files:
            where = zone(path, case.cwd)
            if where is Zone.SCRATCH:
                continue
            found = writing(case, path, what="rewrites")
            kept = any(re.fullmatch(r"(-[a-zA-Z]*i|--in-place=)\.[\w.-]+", as_typed(word)) for word in case.words)
            own = (
                kept
                and where is Zone.APP
                and depth(path, case.cwd) >= 3
                and not _hidden_folder(path.rpartition("/")[0])
            )
            if own and not has_glob(path) and re.search(_SETTINGS_FILE, as_typed(path)):
                continue
            yield found if found.severity.rank else ask("paths.write", f"`sed -i` rewrites `{shown(path)}`.")
    else:
        yield from reading(case, files)
    yield allow("code.sed")


def _sed_runs(script: str) -> bool:
    """Whether a sed script has an `e` or `w` command or flag."""
    if re.search(r"(\A|[;\n{}]|\d|\$|/)\s*(e\s+\S|e\Z|w\s*\S|W\s*\S)", script) and not re.fullmatch(
        r"s(.).*\1.*\1[gpI0-9]*", script
    ):
        return True
    for match in re.finditer(r"(?:\A|[;{}\n\d$/!])\s*s([^\w\s\\])", script):
        mark = re.escape(match[1])
        tail = re.match(
            rf"(?:\\.|(?!{mark}).)*{mark}(?:\\.|(?!{mark}).)*{mark}([^;}}\n]*)", script[match.end() :], re.DOTALL
        )
        if tail and re.search(r"e|w\s*\S", re.sub(r"[gpimIM0-9\s]+", "", tail[1])[:2] + tail[1][-1:]):
            return True
    return False


def _tar(case: Case) -> Iterator[Finding]:
    words = [as_typed(w) for w in case.words]
    first = words[0] if words else ""
    letters = first.lstrip("-") if not first.startswith("--") else ""
    a = case.arguments
    if any(
        w.startswith(
            (
                "--to-command",
                "--checkpoint-action",
                "--use-compress-program",
                "--info-script",
                "--new-volume-script",
                "--rsh-command",
                "--rmt-command",
            )
        )
        for w in words
    ) or a.has("-F"):
        yield refuse("code.tar", "`tar` that runs another program.")
    if a.value("-I") is not None and not re.fullmatch(
        r"(p?igz|gzip|zstd|xz|lz4|bzip2|pbzip2|lbzip2|pixz|zstdmt)( -[\dTt]+\d*)*", a.value("-I") or ""
    ):
        yield refuse("code.tar", "`tar -I` with a program the guard does not know.")
    if "--remove-files" in words or "--delete" in words or "--recursive-unlink" in words or "--unlink-first" in words:
        yield refuse("paths.tar", "`tar` that deletes files after packing them.")
    mode = (
        "x"
        if "x" in letters or a.has("-x", "--extract", "--get")
        else "c"
        if "c" in letters or a.has("-c", "--create")
        else "t"
    )
    archive = a.value("-f", "--file")
    if archive is None and "f" in letters and not first.startswith("-") and len(words) > 1:
        archive = case.words[1]
    if mode == "x" and (a.has("-O", "--to-stdout") or "O" in letters):
        yield allow("paths.tar")
    elif mode == "x":
        folder = a.value("-C", "--directory") or (case.cwd if case.cwd else None)
        if "-P" in words or "--absolute-names" in words or letters.count("P"):
            yield refuse("paths.tar", "`tar -P` unpacks to wherever the archive says.")
        if folder is None:
            yield ask("paths.tar", "`tar` unpacks into a folder the text does not name.")
        else:
            yield unpacking(case, folder)
    elif mode == "c" or a.has("-r", "-u", "--append", "--update"):
        if archive not in (None, "-") and archive is not None:
            yield arriving(case, ["archive"], archive)
        yield from reading(case, a.operands)
        if archive in (None, "-") and any(zone(o, case.cwd) is Zone.TOP and o[:1] == "/" for o in a.operands):
            yield ask("exfiltration.archive", "`tar` packs a folder of the system onto a pipe.")
    yield allow("paths.tar")


def _rsync(case: Case) -> Iterator[Finding]:
    a = case.arguments
    if a.value("-e", "--rsh") is not None and not re.fullmatch(r"ssh( -[pilo46q] ?\S+)*", a.value("-e", "--rsh") or ""):
        yield refuse("code.rsync", "`rsync -e` with a program the guard does not know.")
    if a.has("--rsync-path", "--rsync-path=*") or any(as_typed(w).startswith("--rsync-path") for w in case.words):
        yield refuse("code.rsync", "`rsync --rsync-path` runs a command on the other side.")
    deletes = any(as_typed(w).startswith(("--del", "--remove-source-files")) for w in case.words)
    dry = a.has("-n", "--dry-run")
    if deletes and not dry:
        yield refuse("paths.rsync", "`rsync` that deletes what is only on one side. Try it with --dry-run first.")
    if not a.operands or dry:
        yield allow("paths.rsync")
        return
    target = a.operands[-1]
    if ":" in as_typed(target).split("/")[0]:
        if any(
            is_secret(o, case.cwd) or zone(o, case.cwd) in (Zone.TOP, Zone.DEVICE) for o in a.operands[:-1]
        ) and not _to_backup(a.operands):
            yield refuse(
                "exfiltration.secrets", "It carries passwords, keys or a folder of the system to another host."
            )
        elif _to_backup(a.operands):
            yield allow("paths.backup")
        else:
            yield ask("exfiltration.copy", "`rsync` carries files to another host.")
        return
    yield from reading(case, a.operands[:-1])
    yield arriving(case, list(a.operands[:-1]), target)


def unpacking(case: Case, folder: str) -> Finding:
    """An archive's files, whatever their names, land in `folder` and replace what is there."""
    where = zone(folder, case.cwd)
    if normalised(folder, case.cwd) in ("/tmp", "/var/tmp") or where is Zone.SCRATCH:
        return allow("paths.unpack")
    if where in (Zone.APP, Zone.PLAIN) and not _hidden_folder(folder):
        return allow("paths.unpack")
    if where in (Zone.TOP, Zone.CRITICAL, Zone.DEVICE, Zone.UNKNOWN) or normalised(folder, case.cwd).startswith(
        ("/etc", "/usr", "/boot", "/lib", "/bin", "/sbin", "/root", "/var/lib", "/var/spool")
    ):
        return refuse("paths.unpack", f"`{case.program}` unpacks over `{shown(folder)}`, whatever the archive holds.")
    return ask("paths.unpack", f"`{case.program}` unpacks into `{shown(folder)}`.")


def _unpack(case: Case) -> Iterator[Finding]:
    words = [as_typed(w) for w in case.words]
    if case.program in ("7z", "7za", "7zr"):
        folder = next(
            (raw[2:] for raw, word in zip(case.words, words, strict=True) if re.match(r"-o.", word)), case.cwd
        )
        if words[:1] in (["x"], ["e"]):
            yield (
                unpacking(case, folder)
                if folder
                else ask("paths.unpack", "It unpacks into a folder the text does not name.")
            )
        elif words[:1] in (["d"], ["rn"]) or any(re.match(r"-sdel", word) for word in words):
            yield refuse("paths.unpack", f"`{case.program}` that deletes.")
        return
    for index, word in enumerate(words):
        if word in ("-d", "--directory") and index + 1 < len(words) and case.program in ("unzip", "unrar"):
            yield unpacking(case, case.words[index + 1])
            return
    if case.program == "unzip" and case.arguments.has("-l", "-t", "-p", "-Z", "-v"):
        yield allow("paths.unpack")
    elif case.program == "zip" and (
        case.arguments.has("-m", "--move", "-T", "-TT", "--unzip-command") or "-TT" in words
    ):
        yield refuse("paths.zip", "`zip` that deletes files or runs a command.")
    elif (
        case.program == "cpio"
        and case.arguments.has("-i", "-p", "--extract")
        and not case.arguments.has("-t", "--list")
    ):
        folder = case.arguments.value("-D", "--directory") or case.cwd
        yield (
            unpacking(case, folder) if folder else ask("paths.unpack", "`cpio` unpacks to wherever the archive says.")
        )
    elif case.program == "unzip" and case.cwd and zone(".", case.cwd) is not Zone.UNKNOWN:
        yield unpacking(case, case.cwd)
    elif case.program == "unzip":
        yield ask("paths.unpack", "It unpacks into a folder the text does not name.")


def _compress(case: Case) -> Iterator[Finding]:
    if case.arguments.has("-c", "--stdout", "--to-stdout", "-l", "-t", "--list", "--test", "-k", "--keep") or (
        case.program == "zstd" and not case.arguments.has("--rm")
    ):
        yield allow("paths.compress")
        return
    for path in case.arguments.operands:
        where = zone(path, case.cwd)
        if where in (Zone.TOP, Zone.CRITICAL, Zone.DEVICE, Zone.UNKNOWN) or (
            case.arguments.has("-r") and where is Zone.PROTECTED
        ):
            yield refuse("paths.compress", f"`{case.program}` takes `{shown(path)}` away and leaves a packed copy.")
        elif where is Zone.PROTECTED:
            yield ask("paths.compress", f"`{case.program}` replaces `{shown(path)}` by a packed copy.")
    yield allow("paths.compress")


def _cat(case: Case) -> Iterator[Finding]:
    endless = any(as_typed(o) in ENDLESS for o in case.arguments.operands)
    if endless and case.program in ("tail", "sort", "less", "more", "grep", "strings", "base64", "cut"):
        yield refuse("process.endless", f"`{case.program}` of a source that never ends takes all memory.")
    if case.program == "head" and size_of(case.arguments.value("-c", "--bytes") or "0") > 2**32:
        yield refuse("process.endless", "`head` of so much fills a disk or memory.")
    yield from reading(case, case.arguments.operands)


def _output_option(case: Case) -> Iterator[Finding]:
    path = case.arguments.value(
        "-o", "--output", "-O", "--output-document", "-out", "-f", "--file", "-r", "--result-file"
    )
    if path is not None and path != "-":
        found = arriving(case, ["output"], path)
        yield found
        if case.program in ("wget", "sort") and zone(path, case.cwd) not in (Zone.SINK, Zone.SCRATCH, Zone.RELATIVE):
            yield ask("paths.write", f"`{case.program}` writes `{shown(path)}`.")


_BODIES = names(
    """
    -d --data --data-raw --data-binary --data-urlencode --data-ascii --json -F --form
    """
)
_HTTP_DESTROYS = re.compile(
    r"(\b|_)(delete|destroy|drop|truncate|purge|wipe|erase|terminate|shut_?down|stop|quit|"
    r"quitquitquit|exit|abort|kill|reboot|"
    r"restart|leave|force-leave|deregister|seal|step-?down|evict|drain|decommission|deactivate|reset|"
    r"flush\w*|clear|close|"
    r"forget|unmount|poweroff|power|halt|rekey|remove|delete_series|clean_tombstones|failover|fence|disable|unregister|"
    r"delete_by_query|forcemerge|_settings|settings|maintenance|voting_config_exclusions)(\b|_)",
    re.IGNORECASE,
)
_HTTP_HARMLESS = re.compile(
    r"/-/reload\b|/reload\b|/actuator/refresh\b|/_(search|msearch|count|analyze|field_caps|"
    r"validate/query|sql|cat)\b|retry_failed"
    r"|/api/v1/(query|query_range|labels|series)\b|/graphql\?query|/health\w*\b|/ping\b|/_refresh\b|"
    r"/_flush/synced\b|/select/"
)


def _sent_file(case: Case, path: str) -> Finding:
    """A file goes out as the body of a request."""
    typed = as_typed(path)
    inside = all(
        re.match(r"(https?://)?(localhost|127\.0\.0\.1|\[::1\]|[a-z][\w-]*)([:/?]|\Z)", as_typed(url))
        for url in case.arguments.operands
    )
    ordinary = zone(path, case.cwd) in (Zone.RELATIVE, Zone.APP, Zone.SCRATCH) and re.search(
        r"\.(json|ya?ml|ndjson|xml|graphql|csv)\Z", typed
    )
    if inside and ordinary and not is_secret(path, case.cwd):
        return ask("http.write", f"`curl` sends `{shown(path)}` to another service.")
    return refuse("exfiltration.file", f"`curl` carries `{shown(path) or 'its input'}` away.")


_HOOK = re.compile(
    r"https://(hooks\.slack\.com/|[\w.-]+\.webhook\.office\.com/|discord(app)?\.com/api/webhooks/|hc-ping\.com/|"
    r"chat\.googleapis\.com/v1/spaces/|hooks\.[\w.-]+/|api\.telegram\.org/bot)\S*",
    re.IGNORECASE,
)


def _is_hook(case: Case, url: str) -> bool:
    """Whether it is an address that takes a message for people: a known one, or a variable named after a hook."""
    said = [p for origin in origins(url) if len(url) == 1 for p in case.sources(chr(0xE100 + origin))]
    return bool(_HOOK.fullmatch(as_typed(url))) or (
        len(said) == 1 and re.fullmatch(r"\$\w*HOOK\w*", said[0][0]) is not None
    )


def _curl(case: Case) -> Iterator[Finding]:
    a = case.arguments
    for name, value in a.options:
        if name in (
            "-o",
            "--output",
            "-D",
            "--dump-header",
            "-c",
            "--cookie-jar",
            "--trace",
            "--trace-ascii",
            "--output-dir",
            "--stderr",
        ) and value not in (None, "-"):
            found = writing(case, value or "")
            yield found
            if found.severity.rank == 0 and zone(value or "", case.cwd) not in (Zone.SINK, Zone.SCRATCH):
                yield ask("paths.write", f"`curl` writes `{shown(value or '')}`.")
    if a.has("-O", "--remote-name", "-J", "--remote-header-name", "--remote-name-all"):
        yield ask("paths.write", "`curl -O` writes a file whose name the other side gives.")
    bodies = [value or "" for name, value in a.options if name in _BODIES]
    hook = len(a.operands) == 1 and _is_hook(case, a.operands[0]) and not any("@" in b[:1] for b in bodies)
    method = (a.value("-X", "--request") or ("POST" if bodies and not a.has("-G", "--get") else "GET")).upper()
    if method in ("DELETE", "PURGE"):
        yield refuse("http.delete", "It asks another service to delete something.")
    elif method not in ("GET", "HEAD", "OPTIONS"):
        typed = " ".join(as_typed(url) for url in a.operands)
        destroys = _HTTP_DESTROYS.search(re.sub(r"^\w+://[^/]*|\bmaintenance\?enable=false\b", "", typed))
        if destroys:
            yield refuse(
                "http.delete", f"`curl -X {shown(method)}` on `{shown(destroys[0])}` stops or deletes something."
            )
        elif method == "POST" and hook and not any(has_unknown(body) for body in bodies):
            yield allow("http.hook")
        elif method == "POST" and _HTTP_HARMLESS.search(typed) and not any(has_unknown(body) for body in bodies):
            yield allow("http.read")
        else:
            yield ask("http.write", f"`curl -X {shown(method)}` changes something over HTTP.")
    for name, value in a.options:
        if name in (
            "-d",
            "--data",
            "--data-raw",
            "--data-binary",
            "--data-urlencode",
            "--json",
            "-F",
            "--form",
            "-T",
            "--upload-file",
            "-H",
            "--header",
            "-u",
            "--user",
            "-A",
            "-b",
        ):
            if (
                value is not None
                and name.startswith(("-d", "--data", "--json"))
                and "@" in value
                and name != "--data-raw"
            ):
                yield _sent_file(case, value.partition("@")[2])
            if value is not None and (
                has_unknown(value) and name not in ("-H", "--header", "-u", "--user", "-b", "-A")
            ):
                yield ask("exfiltration.unknown", "It sends something that is not known.")
            if (
                value is not None
                and re.search(
                    r"_delete_by_query|remove_index|\"?delete\"?|drop|truncate|\bkill\b|shutdown", value, re.IGNORECASE
                )
                and name.startswith(("-d", "--data", "--json"))
                and not hook
            ):
                yield refuse("http.delete", "It asks another service to delete something.")
    for url in a.operands:
        typed = as_typed(url)
        if re.search(
            r"_delete_by_query|_shutdown|/_flushall|/shutdown|/quitquitquit|[?&/](delete|destroy|drop|"
            r"truncate|terminate|kill|reboot)\b|_close\b",
            typed,
            re.IGNORECASE,
        ):
            yield refuse("http.delete", f"`{shown(typed)}` looks as if it deleted or stopped something.")
        if typed.startswith("file:") and any(is_secret(typed[typed.find("/", 7) :]) for _ in (1,)):
            yield ask("secrets.read", "It reads passwords or keys.")
        for origin in origins(url) if len(url) > 1 else []:
            printed = [p for p in case.sources(chr(0xE100 + origin)) if p]
            is_host = re.fullmatch(rf"(https?://)?{chr(0xE100 + origin)}(:\d+)?(/[^{TOKEN}]*)?", url)
            if is_host and all(p[0].endswith("cat") and all(map(_LISTS_HOSTS.search, p[1:])) for p in printed):
                continue  # each of which is asked
            if any(p[0].rsplit("/", 1)[-1] in ("cat", "base64", "tar", "env", "gzip", "xxd") for p in printed):
                yield refuse("exfiltration.url", "It puts the contents of files into an address.")


_LISTS_HOSTS = re.compile(r"(host|server|node|inventory|target|endpoint|machine|backend|peer)[^/]*\Z", re.IGNORECASE)
"""Files by whose name one may take their lines for hosts."""
_PROBES = re.compile(
    r"\s*(ruok|stat|mntr|srvr|conf|cons|envi|isro|dump|wchs|stats?( \w+)?|version|quit|ping|"
    r"info( \w+)?|role|hello|helo \S+|ehlo \S+|noop|get /\S*( http/1\.[01])?|"
    r"head /\S*( http/1\.[01])?|host: \S+|connection: close|show [\w .-]+|help|status|q|x|\d{0,3}|"
    r"get \S+|list|uptime)\s*",
    re.IGNORECASE,
)
"""What may be said to a port or a control socket: questions."""
_SPOKEN_DANGER = re.compile(
    r"\b(flush_?all|flushdb|shutdown|kill|delete|del|config|slaveof|replicaof|eval|drop|truncate|stop|"
    r"quit_qemu|system_reset|system_powerdown|"
    r"device_del|clear (table|counters all)|disable (agent|frontend)|halt|restart|reset|purge|erase|"
    r"debug|script|migrate|restore|exec|sh|bash|import|EXPN|VRFY)\b",
    re.IGNORECASE,
)


def _network_out(case: Case) -> Iterator[Finding]:
    """nc and friends: asking a port something is fine, carrying data is not."""
    feed = case.invocation.feed
    if set(feed.producers) == {("cat", "/dev/null")} or (
        case.program == "openssl" and case.arguments.operands[:1] != ("s_client",)
    ):
        yield from [allow("network.probe")] if case.program == "telnet" else []
        return
    if not feed.given:
        yield from (
            [ask("shell.remote-session", "`telnet` opens a session nobody watches.")]
            if case.program == "telnet"
            else []
        )
        return
    if feed.text is None:
        yield refuse("exfiltration.pipe", f"`{case.program}` carries what is piped into it to another host.")
        return
    text = feed.text.replace("\r", "")
    if all(_PROBES.fullmatch(line) for line in re.split(r"[\n;]", text)):
        yield allow("network.probe")
    elif _SPOKEN_DANGER.search(text):
        yield refuse("databases.destroy", f"`{case.program}` tells another program `{shown(text.strip())}`.")
    else:
        yield ask("exfiltration.pipe", f"`{case.program}` sends text to another host.")


def _mail(case: Case) -> Iterator[Finding]:
    """A few typed words may go out by mail; files may not unseen."""
    feed = case.invocation.feed
    files = [p[-1] for p in feed.producers if p and p[0] == "cat"]
    if any(is_secret(path, case.cwd) or zone(path, case.cwd) in (Zone.TOP, Zone.CRITICAL) for path in files) or (
        case.arguments.has("-a", "-A", "--attach") and case.program != "sendmail"
    ):
        yield refuse("exfiltration.mail", f"`{case.program}` mails files away.")
    elif feed.text is not None and len(feed.text) < 2000:
        yield allow("network.mail")
    else:
        yield ask("exfiltration.mail", f"`{case.program}` mails what the guard cannot see.")


def _tcpdump(case: Case) -> Iterator[Finding]:
    a = case.arguments
    if a.has("-z", "-Z", "--postrotate-command"):
        yield refuse("code.tcpdump", "`tcpdump -z` runs a command.")
    path = a.value("-w")
    if path is not None and path != "-":
        yield writing(case, path, what="fills")
    elif path is not None:
        yield ask("exfiltration.copy", "A capture onto a pipe.")
    yield from reading(case, [path for path in [a.value("-r")] if path is not None])
    yield allow("network.capture")


def _mknod(case: Case) -> Iterator[Finding]:
    if any(as_typed(word) in ("b", "c", "u") for word in case.words):
        yield refuse("paths.device", "`mknod` makes a second door to a device.")
    yield from _touch(case)


_PACKAGE_OPTION = re.compile(
    r"Invoke|Pre-|Post-|Dir|Command|Proxy|Sandbox|dpkg::options|trusted|AllowUnauth|AllowInsecure", re.IGNORECASE
)


def _exec_free(case: Case) -> Iterator[Finding]:
    """apt and friends: an option may name a command to run."""
    for name, value in case.arguments.options:
        setting = value or ""
        risky = name in ("-o", "--option") and _PACKAGE_OPTION.search(setting)
        if risky and not re.fullmatch(r"dpkg::options::=--force-conf(old|def|new|miss)", setting, re.IGNORECASE):
            yield refuse("packages.option", f"`-o {shown(setting)}` changes what {case.program} runs or trusts.")
    for word in case.arguments.operands:
        typed = as_typed(word)[:300]
        if any(("<(",) in case.sources(chr(0xE100 + n)) for n in origins(word)):
            yield refuse("packages.foreign", "A package made by another command.")
        if re.search(r"^(https?|ftp)://|\.(deb|rpm|apk|pkg\.tar\S*|whl|tgz|tar\.gz)\Z", typed) or typed.startswith(
            "git+"
        ):
            yield refuse("packages.foreign", f"`{shown(typed)}` comes from outside the host's own sources.")


_DIAGNOSTICS = frozenset(
    names(
        """
        htop iotop iotop-c atop btop sysstat strace ltrace lsof tcpdump jq tree ncdu tmux screen vim
        vim-tiny nano less curl wget dnsutils bind-utils bind9-dnsutils bind9-host net-tools telnet
        traceroute mtr mtr-tiny iputils-ping iproute2 iperf3 ethtool nload iftop nethogs dstat dool
        smartmontools nvme-cli hdparm pciutils usbutils lshw procps psmisc unzip zip rsync git file bc pv
        parallel moreutils multitail lnav ripgrep fd-find silversearcher-ag yq gdb linux-perf perf
        bpfcc-tools bcc-tools xz-utils zstd pigz lz4 man-db whois ca-certificates logrotate chrony
        postgresql-client default-mysql-client mysql-client redis-tools numactl hwloc ipcalc conntrack
        debugfs-tools bind-tools drill busybox-extras socat-doc htop-doc ldnsutils whowatch glances sysdig
        """
    )
)
"""Packages that only bring tools to look with."""


def _ordinary_package(name: str) -> bool:
    """One package by its plain name, which is not what the host stands on."""
    return bool(re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name)) and not re.match(
        r"(linux|kernel|libc|glibc|systemd|openssh|grub|shim|dbus|udev|sudo|bash|coreutils|dpkg|apt|rpm|yum|dnf|init|"
        r"libpam|pam|network|netplan|ifupdown|docker|containerd|kube|postgresql|mysql|mariadb|mongo|redis)",
        name,
    )


def _packages(case: Case) -> Iterator[Finding]:
    yield from _exec_free(case)
    operands = [as_typed(o) for o in case.arguments.operands]
    if operands[:1] in (["install"], ["add"], ["in"]) and 1 < len(operands) <= 6:
        risky = case.arguments.has(
            "--force-yes",
            "--allow-downgrades",
            "--allow-unauthenticated",
            "--nogpgcheck",
            "--allow-untrusted",
            "--allow-change-held-packages",
            "--reinstall",
            "--allow-remove-essential",
            "--purge",
            "--no-gpg-checks",
            "--force-resolution",
            "--repository",
            "-X",
        )
        if risky:
            yield ask("packages.install", "An installation that is told to overlook warnings.")
        elif case.arguments.has("--only-upgrade") and len(operands) == 2 and _ordinary_package(operands[1]):
            yield allow("packages.upgrade-one")
        elif set(operands[1:]) <= _DIAGNOSTICS:
            yield allow("packages.diagnostics")


def _scp(case: Case) -> Iterator[Finding]:
    operands = case.arguments.operands
    if any(is_secret(o, case.cwd) or zone(o, case.cwd) is Zone.TOP for o in operands[:-1] if ":" not in as_typed(o)):
        yield refuse(
            "exfiltration.secrets", "It carries passwords, keys or a whole folder of the system to another host."
        )
    elif operands and ":" not in as_typed(operands[-1]):
        yield arriving(case, ["remote"], operands[-1])
    elif operands and _to_backup(operands):
        yield allow("paths.backup")
    else:
        yield ask("exfiltration.copy", f"`{case.program}` carries files to another host.")


def _to_backup(operands: tuple[str, ...]) -> bool:
    """Whether a copy goes to the backups of a host of our own, which has a plain name."""
    host, _, path = as_typed(operands[-1]).partition(":")
    return bool(re.fullmatch(r"([\w.-]+@)?[a-z][\w-]*(\.(internal|local|lan))?", host)) and is_backup(path or "/")


# Units and processes


def _unit(word: str) -> str:
    return as_typed(word).removesuffix(".service").removesuffix(".socket").removesuffix(".timer")


def precious_unit(word: str) -> bool:
    unit = _unit(word.rsplit("/", 1)[-1])
    return (
        any(char in unit for char in "*?[")
        or any(fnmatchcase(unit, pattern) for pattern in PRECIOUS_UNITS)
        or unit.endswith((".target", ".slice", ".mount", ".swap"))
    )


_GENTLE = names(
    """
    0 HUP 1 USR1 USR2 10 12 CONT WINCH QUIT 3
    """
)
"""Signals programs handle: they look, reload, or write a dump."""
_LOOKING = names(
    """
    status is-active is-enabled is-failed show cat list-dependencies help list-units
    """
)
_STOPPING = ("stop", "kill", "disable", "mask", "clean", "revert", "freeze", "condstop")
_STARTING = names(
    """
    link start restart reload try-restart reload-or-restart try-reload-or-restart force-reload condrestart
    enable unmask reenable preset thaw reload-or-try-restart graceful rotate configtest test checkconfig
    force-restart
    """
)


def _systemctl(case: Case) -> Iterator[Finding]:
    operands = case.arguments.operands
    verb, units = (as_typed(operands[0]), operands[1:]) if operands else ("", ())
    yield from _service_verb(case, verb, units)


def _service(case: Case) -> Iterator[Finding]:
    operands = case.arguments.operands
    if len(operands) >= 2:
        yield from _service_verb(case, as_typed(operands[1]), operands[:1])
    elif case.arguments.has("--status-all"):
        yield allow("services.status")


def _service_verb(case: Case, verb: str, units: tuple[str, ...]) -> Iterator[Finding]:
    if has_unknown(verb):
        yield refuse("services.unknown", "What is to happen to the unit stands only in a variable. Write it out.")
        return
    if verb in ("edit", "set-property") and any(precious_unit(unit) for unit in units if "=" not in unit):
        yield refuse("services.precious", f"`{verb} {shown(units[0])}` changes what keeps the host going.")
    elif verb in _LOOKING:
        yield allow("services.status")
    elif verb in _STOPPING:
        for unit in units:
            if has_unknown(unit) or precious_unit(unit):
                yield refuse(
                    "services.precious", f"`{verb} {shown(unit)}` may take away our way in, the host or its watchers."
                )
            elif (
                verb == "kill" and (case.arguments.value("-s", "--signal") or "").upper().removeprefix("SIG") in _GENTLE
            ):
                continue
            elif verb in ("mask", "disable", "kill", "clean", "revert"):
                yield ask("services.stop", f"`{verb} {shown(unit)}` lasts, or is abrupt.")
            elif re.match(
                r"(docker|mysql|mariadb|postgres|mongo|redis|kafka|elasticsearch|etcd|rabbitmq|cassandra|haproxy|"
                r"keepalived|corosync|pacemaker|libvirt|nfs|k3s|rke2|crio|cri-o|zookeeper|consul|vault|chrony|ntp|"
                r"prometheus|node_exporter|bind|named|slapd)",
                _unit(unit),
            ):
                yield ask("services.stop", f"Stopping {shown(unit)} takes others along.")
        yield allow("services.stop")
    elif verb in _STARTING:
        for unit in units:
            if has_unknown(unit):
                yield ask("services.unknown", "Which unit it is stands only in a variable.")
            elif (
                (has_glob(unit) and not re.match(r"[a-z][\w.-]{2,}(@|-)", unit))
                or _unit(unit).endswith((".target", ".mount", ".swap", ".slice"))
                or re.match(
                    r"(emergency|rescue|poweroff|reboot|halt|systemd-(poweroff|reboot|halt|suspend|hibernate)|kexec|"
                    r"ctrl-alt-del|debug-shell)",
                    _unit(unit),
                )
            ):
                yield refuse("services.precious", f"`{verb} {shown(unit)}` changes what the whole host does.")
            elif verb in (
                "restart",
                "try-restart",
                "force-restart",
                "condrestart",
                "reload-or-restart",
            ) and precious_unit(unit.rstrip("\ue002*")):
                if re.fullmatch(
                    r"dbus|dbus-broker|systemd-logind|network|networking|NetworkManager|network-manager|"
                    r"systemd-networkd|firewalld|iptables|nftables|ufw",
                    _unit(unit),
                ):
                    yield refuse("services.precious", f"Restarting {shown(unit)} may cut us off.")
                elif not re.fullmatch(
                    r"cron|crond|rsyslog|syslog-ng|systemd-journald|systemd-resolved|systemd-timesyncd|sssd|"
                    r"rsyslogd|fail2ban",
                    _unit(unit),
                ):
                    yield ask("services.precious", f"Restarting {shown(unit)} may cut us off.")
            elif verb in ("enable", "unmask", "link") and case.program == "systemctl" and "/" in unit:
                if zone(unit, case.cwd) not in (Zone.APP, Zone.PLAIN):
                    yield refuse("services.foreign", f"`{shown(unit)}` is no place for a unit the host is to run.")
                yield ask("services.enable", "It enables a unit from a file.")
        yield allow("services.start")


def _precious_process(name: str) -> bool:
    plain = as_typed(name).strip("^$").rsplit("/", 1)[-1]
    return any(fnmatchcase(word, pattern) for word in {plain, plain.lower()} for pattern in PRECIOUS_PROCESSES)


def _reaches_precious(pattern: str) -> bool:
    """Whether a regular expression finds a precious process: `[s]shd`, `ss.d`, `^dbus`."""
    plain = re.sub(r"\[(\w)\]", r"\1", re.sub(r"\[:\w+:\]", r"\\w", as_typed(pattern)))
    if re.search(r"\[\[|--|&&|~~|\|\|", plain):
        return False  # Python means to give these inside of brackets another meaning, and warns
    if not re.search(r"[\[\].^$*+?\\{}]", plain):
        return _precious_process(plain)
    if len(plain) > 60 or "(" in plain or len(re.findall(r"[*+?{]", plain)) > 5:
        return False
    try:
        return any(re.search(plain, name) for name in _PRECIOUS_NAMES)
    except re.error:
        return False


_PRECIOUS_NAMES = tuple(name.rstrip("*") for name in PRECIOUS_PROCESSES if len(name) > 3 and not name.endswith("-*"))


def _kill(case: Case) -> Iterator[Finding]:
    words = list(case.words)
    if words and as_typed(words[0]) in ("-l", "-L", "-0", "--list", "--table"):
        yield allow("process.look")
        return
    gentle = False
    pids: list[str] = []
    skip = False
    ended = False
    for index, word in enumerate(words):
        typed = as_typed(word)
        if skip:
            skip, gentle = (
                False,
                gentle
                or typed.upper().removeprefix("SIG")
                in ("0", "HUP", "1", "USR1", "USR2", "10", "12", "CONT", "WINCH", "QUIT_NEVER"),
            )
            continue
        if typed == "--":
            ended = True
        elif not ended and typed in ("-s", "-n", "--signal", "-q"):
            skip = True
        elif not ended and typed.startswith("--signal="):
            gentle = False
        elif not ended and index == 0 and re.fullmatch(r"-(\d+|[A-Z][A-Z0-9+-]*|[a-z]+)", typed) and len(words) > 1:
            gentle = typed[1:].upper().removeprefix("SIG") in (
                "0",
                "HUP",
                "1",
                "USR1",
                "USR2",
                "10",
                "12",
                "CONT",
                "WINCH",
                "QUIT",
                "3",
            )
        else:
            pids.append(word)
    for pid in pids:
        yield _killing(case, pid, gentle=gentle)
    if not pids:
        yield ask("process.kill", "`kill` without a process the guard can read.")


def _killing(case: Case, pid: str, *, gentle: bool) -> Finding:
    typed = as_typed(pid)
    if typed == "1" and gentle and case.invocation.contained:
        return allow("process.container")
    if re.fullmatch(r"[+-]?0*[0-2]?", typed) or (typed.startswith("-") and re.fullmatch(r"-\d+", typed) is None):
        return refuse(
            "process.everything",
            f"`kill {shown(typed)}` ends the host's first process, our session, or everything at once. Name one pid.",
        )
    if re.fullmatch(r"-\d+", typed):
        return ask("process.group", "It ends a whole process group.")
    if typed.isascii() and typed.isdigit():
        return allow("process.one")
    if typed.startswith("%"):
        return allow("process.job")
    if pid == "$$":
        return refuse("process.suicide", "It ends our own session before it can write down what it did.")
    sources = [_without_sudo(p) for n in origins(pid) for p in case.sources(chr(0xE100 + n))]
    if not sources:
        if TOKEN in typed:
            return ask("process.unknown", "Which process ends stands only in a variable.")
        return refuse("process.unknown", f"Which process `{shown(typed)}` is cannot be told. Name one pid.")
    return _killing_found(sources, gentle=gentle)


_FINDERS = frozenset(
    names(
        """
    pidof pgrep cat lsof fuser systemctl grep egrep awk head supervisorctl docker sed ss netstat
    """
    )
)
_GUARDED_PORT = re.compile(
    r"\b(22|2222|53|111|443|80|2375|2376|2379|2380|6443|8443|8472|9345|10250|10255|10257|10259|10256|"
    r"179|500|3260|2049)\b|ssh"
)


def _killing_found(sources: list[tuple[str, ...]], *, gentle: bool) -> Finding:
    texts = [as_typed(word) for source in sources for word in source]
    names = [name for text in texts for name in re.findall(r"[A-Za-z][\w.-]*", text)]
    if (
        any(_precious_process(n) for n in names if n not in ("sh", "bash", "sudo", "login", "ssh") or len(sources) == 1)
        or any(_precious_process(n.partition(".")[0]) for n in names if n.endswith((".pid", ".lock")))
        or any(
            _reaches_precious(n) for source in sources if source for n in _looked_for(source) if "[" in n or "." in n
        )
        or "$PPID" in texts
    ) and not (gentle and [s[:1] for s in sources] == [("cat",)] and texts[-1:] != ["1"]):
        return refuse("process.suicide", "It ends what keeps the host, our session or its watchers going.")
    finders = {source[0].rsplit("/", 1)[-1] for source in sources if source}
    wanted = [name for source in sources if source for name in _looked_for(source)]
    nobody = refuse("process.everything", "It ends processes nobody has named.")
    if not finders & _FINDERS or (finders & {"ps", "ls"} and not wanted) or {"ls", "find"} & finders:
        return nobody
    if any(
        _GUARDED_PORT.search(word)
        for source in sources
        if source[:1] in (("lsof",), ("fuser",), ("ss",), ("netstat",))
        for word in map(as_typed, source[1:])
    ):
        return nobody
    if any(re.search(r":(22|2222|ssh)\b", text) for text in texts):
        return nobody
    if {"lsof"} & finders and not any(re.search(r":\d{2,5}\b", text) for text in texts):
        return nobody
    if any(
        s[0] == "pgrep"
        and (
            any(re.match(r"-\w*[uUgGvPst]\w*\Z|--(uid|euid|group|parent|session|inverse)", as_typed(w)) for w in s[1:])
            or not any(re.search(r"\w{3}", word) for word in _looked_for(s))
        )
        for s in sources
        if s
    ):
        return nobody
    if gentle or (finders == {"cat"} and all(word.endswith(".pid") or word == "cat" for word in texts)):
        return allow("process.found")
    if finders & {"lsof", "fuser", "ss", "netstat"}:
        return allow("process.port")
    if wanted and all(_one_of_ours(name) for name in wanted):
        return allow("process.named")
    return ask("process.found", "Which process ends is decided when it runs.")


def _without_sudo(source: tuple[str, ...]) -> tuple[str, ...]:
    while source and source[0] == "sudo":
        source = source[1:]
        while source and source[0].startswith("-"):
            source = source[2:] if source[0] in ("-u", "-g") else source[1:]
    return source or ("sudo",)


def _looked_for(source: tuple[str, ...]) -> list[str]:
    """The names a `pgrep`, `pidof`, `grep` or `awk '/x/'` looks for."""
    program, words = source[0].rsplit("/", 1)[-1], [as_typed(word) for word in source[1:]]
    match program:
        case "pgrep" | "pidof":
            return [word for word in words if not word.startswith("-")][:1]
        case "grep" | "egrep":
            if any(re.fullmatch(r"-\w*v\w*|--invert-match", word) for word in words):
                return []
            return [word for word in words if not word.startswith("-")][:1]
        case "awk":
            return re.findall(r"/([^/]+)/", " ".join(words))
    return []


def _one_of_ours(name: str) -> bool:
    """Whether a pattern names one program well enough: no interpreter, no database, no two letters."""
    plain = re.sub(r"[\[\]^$]", "", as_typed(name))
    return bool(re.search(r"[A-Za-z]\w*[._:/ -]?\w{2,}", plain)) and not (
        _GENERAL_PROCESS.fullmatch(plain) or DATABASE.search(plain) or re.search(r"[*+|?(]", plain) or len(plain) < 4
    )


_GENERAL_PROCESS = re.compile(
    r"(python|perl|ruby|node|nodejs|java|php|php-fpm|bash|docker|sh|root|user|http|sleep|main|worker|"
    r"server|service|kworker|usr|bin|lib|app|run|opt|proc|daemon|agent|manager|process)[\d.]*"
)
DATABASE = re.compile(
    r"\b(mysql|mysqld|mariadb|mariadbd|postgres|postgresql|postmaster|mongo|mongod|redis-server|redis|"
    r"kafka|elasticsearch|opensearch|etcd|rabbitmq\S*|beam\.smp|cassandra|influxd?|clickhouse\S*|"
    r"vault|consul|zookeeper|oracle|pmon|slapd|ceph\S*|minio|qemu\S*|kvm|libvirtd)\b"
)
"""Programs whose sudden end may cost data."""


_SIGNAL_WORD = re.compile(r"-(\d{1,2}|SIG[A-Z0-9]+|[A-Z]{3,}[A-Z0-9]*)")


def _pkill(case: Case) -> Iterator[Finding]:
    words = list(case.words)
    gentle = any(re.fullmatch(r"-(SIG)?(HUP|USR1|USR2|WINCH|CONT|0|1|10|12)", as_typed(w)) for w in words)
    named = [w for w in words if not _SIGNAL_WORD.fullmatch(as_typed(w))]
    a = parse(case.program, tuple(named))
    if a.value("-s", "--signal") and case.program == "killall":
        gentle = gentle or (a.value("-s", "--signal") or "").upper().removeprefix("SIG") in (
            "HUP",
            "USR1",
            "USR2",
            "0",
            "1",
        )
    by_owner = [
        w
        for w in named
        if re.match(
            r"-(u|U|g|G|t|v|s|P|-uid|-euid|-user|-group|-terminal|-inverse|-session|-ns|-nslist|-parent)", as_typed(w)
        )
        and not (case.program == "killall" and as_typed(w).startswith("-v"))
    ]
    targets = list(a.operands)
    if case.program == "killall" and a.has("-e", "-r", "--regexp") is False:
        targets = list(a.operands)
    if by_owner and not targets:
        yield refuse(
            "process.everything", f"`{case.program}` by owner ends everything of somebody, perhaps our own session."
        )
    if any(re.match(r"-(v|-inverse)", as_typed(w)) for w in by_owner):
        yield refuse("process.everything", f"`{case.program} -v` ends everything but what is named.")
    if by_owner and targets:
        yield ask("process.owner", f"`{case.program}` by owner or session.")
    for target in targets:
        typed = as_typed(target)
        if has_unknown(target):
            yield refuse("process.unknown", "Which process ends stands only in a variable. Name it.")
        elif (
            _precious_process(typed)
            or _reaches_precious(typed)
            or re.fullmatch(r"[.^$*+?a-z\[\]\\|()-]{0,2}|\.\*|\.\+|.*\|.*", typed)
            or re.search(r"\b(sshd|systemd|init|dbus|kubelet|containerd|dockerd)\b", typed)
        ):
            yield (
                refuse(
                    "process.suicide",
                    f"`{case.program} {shown(typed)}` ends what keeps the host, our session or its watchers going.",
                )
                if not (gentle and re.fullmatch(r"(rsyslogd|crond|cron|dnsmasq)", typed))
                else allow("process.signal")
            )
        elif gentle:
            yield allow("process.signal")
        elif DATABASE.search(typed) and any(re.fullmatch(r"-(9|KILL|SIGKILL)", as_typed(w)) for w in words):
            yield refuse(
                "process.database", f"`{case.program}` with KILL on `{shown(typed)}` may cost data. Stop its unit."
            )
        elif _one_of_ours(typed) and not by_owner:
            yield allow("process.named")
        else:
            yield ask("process.name", f"`{case.program}` ends every process called `{shown(typed)}`. One pid is safer.")
    file = a.value("-F", "--pidfile") if case.program == "pkill" else None
    if file is not None and not targets and not has_unknown(file):
        yield _killing_found([("cat", file)], gentle=gentle)
    elif not targets and not by_owner:
        yield ask("process.name", f"`{case.program}` without a name the guard can read.")


def _fuser(case: Case) -> Iterator[Finding]:
    letters = "".join(
        as_typed(w)[1:] for w in case.words if re.match(r"-[a-z]", as_typed(w)) or as_typed(w) in ("-M", "-K")
    )
    if "k" not in letters and "K" not in letters and not case.arguments.has("--kill"):
        return
    typed = [as_typed(o) for o in case.arguments.operands]
    if (
        {"m", "M", "c"} & set(letters)
        or case.arguments.has("--mount")
        or any(
            _GUARDED_PORT.search(t) or (t.startswith("/") and zone(t) not in (Zone.SCRATCH, Zone.APP)) for t in typed
        )
        or any(not is_plain(o) for o in case.arguments.operands)
    ):
        yield refuse("process.everything", "`fuser -k` ends whoever uses this, perhaps our own session.")
    elif typed and all(re.fullmatch(r"(:?\d{4,5})(/tcp|/udp)?", t) for t in typed):
        yield allow("process.port")
    else:
        yield ask("process.users", "`fuser -k` ends whoever uses this.")


def _running(case: Case) -> Iterator[Finding]:
    """`taskset -p`, `chrt -p`, `ionice -p`: looking at a running process, or changing where and when it runs."""
    typed = [as_typed(word) for word in case.words]
    if not any(re.match(r"-[a-z]*p|--pid", word) for word in typed):
        return
    numbers = [word for word in typed if re.fullmatch(r"[\d,x-]+", word) and not word.startswith("-")]
    sets = len(numbers) > 1 or (case.program == "ionice" and any(re.match(r"-[cn]\d?", word) for word in typed))
    if sets and numbers[-1:] in (["0"], ["1"], ["2"]):
        yield refuse("process.priority", "It changes when the first process may run.")
    elif sets and case.program == "chrt":
        yield ask("process.priority", "It lets a process crowd out all others.")
    else:
        yield allow("process.priority")


def _renice(case: Case) -> Iterator[Finding]:
    typed = [as_typed(word) for word in case.words]
    if any(word in ("-u", "--user", "-g", "--pgrp") for word in typed) or any(word in ("1", "0") for word in typed[1:]):
        yield refuse("process.priority", "It changes the priority of everything of somebody, or of the first process.")
    elif any(re.match(r"-\d", word) for word in typed) or any(has_unknown(word) for word in case.words):
        yield ask("process.priority", "It gives a process more than its share.")
    else:
        yield allow("process.priority")


def _supervised(case: Case) -> Iterator[Finding]:
    """supervisorctl, monit, pm2, sv and the like: whether all of them stop at once."""
    operands = [as_typed(o) for o in case.arguments.operands]
    verb, names = (operands[0], operands[1:]) if operands else ("", [])
    stops = verb in (
        "stop",
        "down",
        "kill",
        "delete",
        "del",
        "exit",
        "shutdown",
        "unmonitor",
        "force-stop",
        "force-shutdown",
        "once",
        "quit",
        "remove",
        "clear",
        "halt",
    )
    if case.program in ("svc", "s6-svc", "runsvctrl"):
        if case.arguments.has("-d", "-k", "-x", "-D", "-t", "-p"):
            names, stops = operands, True
        elif case.arguments.has("-r", "-u", "-h", "-a", "-1", "-2", "-c") and len(operands) == 1:
            name = as_typed(operands[0]).rstrip("/").rsplit("/", 1)[-1]
            if precious_unit(name) or has_glob(operands[0]) or has_unknown(operands[0]):
                yield refuse("services.everything", f"`{case.program}` on what lets us in, or on everything.")
            else:
                yield allow("services.start")
        else:
            yield ask("services.supervised", f"`{case.program}` changes a supervised service.")
    if (
        verb in ("start", "restart")
        and case.program == "pm2"
        and any("/" in name or name.endswith((".js", ".sh", ".py")) for name in names)
    ):
        unsafe = any(zone(name, case.cwd) in (Zone.SCRATCH, Zone.UNKNOWN) for name in names)
        yield (
            refuse("code.scratch", "It runs a file from where everybody may write.")
            if unsafe
            else ask("code.file", "It runs a file the guard cannot see.")
        )
    if not stops:
        if verb in ("restart", "start", "reload", "status", "up", "hup", "cont") and case.program == "sv":
            yield allow("services.start")
        return
    if not names or any(name in ("all", "*") or "*" in name or precious_unit(name) for name in names):
        yield refuse(
            "services.everything", f"`{case.program} {shown(verb)}` stops everything it looks after, or our way in."
        )
    elif verb in ("delete", "del", "kill", "remove", "exit", "clear"):
        yield ask("services.stop", f"`{case.program} {shown(verb)}` lasts, or is abrupt.")
    else:
        yield allow("services.stop")


def _journalctl(case: Case) -> Iterator[Finding]:
    """Making room in the journal is daily work; leaving next to nothing of it is not."""
    for name, value in case.arguments.options:
        if not name.startswith("--vac"):
            continue
        match = re.fullmatch(r"(\d{1,6})\s*([a-zA-Z]*)", value or "")
        if match is None:
            yield refuse("logs.wipe", "How much of the journal goes cannot be read.")
        elif name.startswith("--vacuum-t"):
            days = int(match[1]) * {
                "y": 365,
                "year": 365,
                "years": 365,
                "month": 30,
                "months": 30,
                "w": 7,
                "week": 7,
                "weeks": 7,
                "d": 1,
                "day": 1,
                "days": 1,
            }.get(match[2].lower() if match[2] != "M" else "month", 0)
            yield _kept(days, 2, 1)
        elif name.startswith("--vacuum-s"):
            yield _kept(size_of(match[0]), 100 * 2**20, 50 * 2**20)
        else:
            yield _kept(int(match[1]), 10, 5)


def _kept(amount: int, fine: int, little: int) -> Finding:
    if amount >= fine:
        return allow("logs.journal")
    if amount >= little:
        return ask("logs.journal", "Little of the journal is left after that.")
    return refuse("logs.wipe", "It wipes the journal, which witnesses who did what.")


def _logrotate(case: Case) -> Iterator[Finding]:
    forced = case.arguments.has("-f", "--force")
    state = case.arguments.value("-s", "--state", "-l", "--log")
    if state is not None:
        yield writing(case, state, what="fills")
    for path in case.arguments.operands:
        where = normalised(path, case.cwd)
        if re.fullmatch(r"/etc/logrotate\.d/[\w.@-]+", where):
            yield allow("logs.rotate")
        elif where == "/etc/logrotate.conf":
            yield refuse("logs.wipe", "It rotates every log at once.") if forced else allow("logs.rotate")
        elif zone(path, case.cwd) in (Zone.SCRATCH, Zone.UNKNOWN, Zone.DEVICE):
            yield refuse(
                "code.scratch", "A configuration of logrotate runs commands; this one lies where everybody may write."
            )
        else:
            yield ask("code.file", "A configuration of logrotate runs commands, and the guard cannot see it.")


def _umount(case: Case) -> Iterator[Finding]:
    if any(has_unknown(operand) or has_glob(operand) for operand in case.arguments.operands):
        yield refuse("fs.unmount", "It takes away file systems nobody has named.")


def _mount(case: Case) -> Iterator[Finding]:
    operands = case.arguments.operands
    target = operands[-1] if operands else None
    if target is None:
        return
    where = normalised(target, case.cwd)
    rightly = re.match(
        r"/(mnt|media|data|srv|backups?|nfs|export|opt|home|vol|volumes|var/tmp|tmp|run/media)/", where + "/"
    )
    if len(operands) > 1 and (zone(target, case.cwd) is Zone.UNKNOWN or not rightly):
        yield refuse("fs.mount-over", f"`mount` hides what stands in `{shown(target)}`.")
    elif len(operands) > 1 and where.count("/") == 1 and where not in ("/mnt", "/media"):
        yield ask("fs.mount", f"`mount` hides what stands in `{shown(target)}`.")
    elif len(operands) == 1 and rightly:
        yield allow("fs.mount-known")


def _rename(case: Case) -> Iterator[Finding]:
    if case.arguments.has("-n", "--nono", "--no-act"):
        yield allow("paths.rename")
        return
    for path in case.arguments.operands[1:] if case.program != "mmv" else case.arguments.operands[:1]:
        found = removing(case, path, recursive=False)
        yield found if found.severity is not Severity.ALLOW else ask("paths.rename", "It renames whatever matches.")


def _gio(case: Case) -> Iterator[Finding]:
    operands = case.arguments.operands
    if operands and as_typed(operands[0]) in ("trash", "remove", "move", "rename"):
        for path in operands[1:]:
            yield removing(case, path, recursive=True)


def _dump(case: Case) -> Iterator[Finding]:
    """Programs that write a copy of data into a folder or file an option names."""
    path = case.arguments.value(
        "-o", "--out", "-D", "--pgdata", "--target-dir", "--archive", "--outputdir", "--file", "-f"
    )
    if path is not None and path != "-":
        yield arriving(case, ["dump"], path)
    elif path == "-":
        yield allow("paths.backup")


def _etcdctl(case: Case) -> Iterator[Finding]:
    operands = case.arguments.operands
    if [as_typed(o) for o in operands[:2]] == ["snapshot", "save"] and len(operands) > 2:
        yield arriving(case, ["snapshot"], operands[2])


def _dpkg_deb(case: Case) -> Iterator[Finding]:
    if case.arguments.has("-x", "-X", "-R", "--extract", "--vextract", "--raw-extract") and case.arguments.operands:
        yield unpacking(case, case.arguments.operands[-1])


def _network_gear(case: Case) -> Iterator[Finding]:
    """Routers speak through `vtysh -c` and the like: what begins with `show` only looks."""
    said = [value or "" for name, value in case.arguments.options if name in ("-c", "--command", "-x")]
    said += [line for line in (case.invocation.feed.text or "").splitlines() if line.strip()]
    if not said:
        said = [" ".join(as_typed(word) for word in case.words)]
    if all(
        re.match(r"\s*(do\s+)?(sh|sho|show|ping|traceroute|list|display)\b", text)
        and not re.search(
            r"[;|]\s*(?!(include|inc|grep|begin|section|match|json|count|exclude|no-more|display)\b)", text
        )
        for text in said
    ):
        yield allow("network.show")
    elif re.search(
        r"\b(clear|conf\w*|no|write|wr|reload|shutdown|erase|delete|copy|undo|reset|request|commit|"
        r"disable|restart|down|set|del|graceful)\b",
        " ".join(said),
    ):
        yield refuse("network.lock-out", "It changes how the network finds its way.")
    else:
        yield ask("network.gear", f"`{case.program}` with words the guard does not know.")


def _crontab(case: Case) -> Iterator[Finding]:
    if case.arguments.has("-l") and not case.arguments.has("-r", "-e"):
        yield allow("schedules.read")
    elif not case.arguments.operands:
        yield refuse("schedules.replace", "`crontab` replaces the whole table by what it reads.")


def _cd(case: Case) -> Iterator[Finding]:
    yield allow("shell.cd")


def _hostname(case: Case) -> Iterator[Finding]:
    if case.arguments.operands:
        yield refuse("boot.name", "It renames the host.")


def _date(case: Case) -> Iterator[Finding]:
    if any(re.match(r"--set|-[uR]*s", as_typed(word)) for word in case.words):
        yield refuse("boot.clock", "It sets the clock.")
    if any(not as_typed(o).startswith("+") for o in case.arguments.operands):
        yield refuse("boot.clock", "It sets the clock.")


def _test(case: Case) -> Iterator[Finding]:
    for word in case.words:
        typed = as_typed(word)
        if "[" in typed and ("$(" in typed or "`" in typed):
            yield refuse("guard.subscript", "The shell would run what stands in a subscript.")
    yield allow("shell.test")


def _output_file(case: Case) -> Iterator[Finding]:
    """Programs that read, but write a file where an option says so."""
    for name, value in case.arguments.options:
        if name in (
            "-o",
            "--output",
            "-w",
            "--output-file",
            "--outfile",
            "--dump-bin",
            "-D",
            "--diag",
        ) and value not in (None, "-"):
            yield writing(case, value or "", what="fills")


def _strace(case: Case) -> Iterator[Finding]:
    """Watching a process is fine; what it runs itself is judged as any command."""
    a = case.arguments
    for name, value in a.options:
        if name in ("-o", "--output", "--result-file") and value is not None:
            if value.startswith(("|", "!")):
                yield refuse("code.strace", f"`{case.program} -o` runs a command.")
            else:
                yield writing(case, value, what="fills")
        if name in ("-e", "--inject") and value is not None and re.search(r"inject|fault", value):
            yield refuse("process.tamper", f"`{case.program}` makes the calls of another program fail.")
    if a.has("-p", "--attach", "-V", "-h"):
        yield (
            allow("process.look")
            if (a.value("-p") or "") not in ("1", "-1")
            else ask("process.look", "It slows the first process down.")
        )


def _bpftrace(case: Case) -> Iterator[Finding]:
    text = " ".join(as_typed(word) for word in case.words)
    if "--unsafe" in text or re.search(r"system\s*\(|signal\s*\(|override\s*\(", text):
        yield refuse("code.bpftrace", "`bpftrace` that acts on the host.")
    elif case.arguments.has("-e", "-l"):
        yield allow("process.look")
    else:
        yield ask("code.bpftrace", "A `bpftrace` program from a file.")


def _gdb(case: Case) -> Iterator[Finding]:
    commands = [as_typed(word) for word in case.words]
    said = " ; ".join(
        commands[i + 1] for i, word in enumerate(commands[:-1]) if word in ("-ex", "--ex", "-eval-command")
    )
    if re.search(
        r"call|print\s*\(?\s*\(?(int|void)|kill|shell|\bset\b|!|source|python|detach_and|return|jump|"
        r"\bp\s+\w+\(|compile|system|signal",
        said,
    ):
        yield refuse("code.editor", "`gdb` that acts on a running process.")
    elif said and re.fullmatch(r"[\w ;.,-]*", said) and not case.arguments.has("-x", "--command"):
        yield allow("process.look")
    else:
        yield ask("code.editor", "`gdb` with commands the guard cannot see.")


def _uniq(case: Case) -> Iterator[Finding]:
    if len(case.arguments.operands) > 1:
        yield writing(case, case.arguments.operands[1])


def _split(case: Case) -> Iterator[Finding]:
    if any(as_typed(w).startswith("--filter") for w in case.words):
        yield refuse("code.split", "`split --filter` runs a command.")
    yield arriving(case, ["parts"], case.arguments.operands[1] if len(case.arguments.operands) > 1 else "xaa")


def _mkdir(case: Case) -> Iterator[Finding]:
    mode = case.arguments.value("-m", "--mode")
    if mode and (_sets_id(mode) or re.search(r"[2367]\Z", mode)) and not mode.startswith("1"):
        yield ask("permissions.world", "A folder everybody may write to.")
    for path in case.arguments.operands:
        yield adding(case, path)
    yield allow("paths.none")


def _man(case: Case) -> Iterator[Finding]:
    for name, value in case.arguments.options:
        if name in ("-P", "--pager", "-H", "--html") and (value or "") not in ("cat", "less", "more", "/bin/cat"):
            yield refuse("code.pager", "`man` that hands its page to another program.")
    yield allow("routine.read")


def _script(case: Case) -> Iterator[Finding]:
    """`script -c` is judged by what it runs; its record goes into a file."""
    a = case.arguments
    for path in [*a.operands, *(v for n, v in a.options if v and n in ("-O", "-I", "-B", "-T", "--log-out"))]:
        yield writing(case, path, what="fills")
    if re.fullmatch(r"\s*(/\S*/)?(ba|z|da|k|c|tc|fi)?sh(\s+-\w+)*\s*", a.value("-c", "--command") or ""):
        yield refuse("exfiltration.shell", "`script` that opens a shell nobody watches.")
    elif not a.has("-c", "--command"):
        yield ask("shell.session", "`script` without a command opens a session nobody watches.")
    else:
        yield allow("shell.wrapper")


def _lnav(case: Case) -> Iterator[Finding]:
    """`lnav -n -c ';select …'` only prints."""
    said = [value or "" for name, value in case.arguments.options if name == "-c"]
    if case.arguments.has("-f", "-e", "-i", "-I") or not all(
        re.match(
            r"\s*(;\s*select\b|:(filter-in|filter-out|goto|hide-\w+|show-\w+|set-min-log-level)\b)", one, re.IGNORECASE
        )
        for one in said
    ):
        if any(re.match(r"\s*(:\s*(!|sh|exec|pipe|write|save|append|delete)|\|)", one) for one in said):
            yield refuse("code.editor", "`lnav` that runs a command or writes a file.")
        yield ask("code.editor", "`lnav` with commands the guard does not know.")
    else:
        yield allow("routine.read")


def _saving(case: Case) -> Iterator[Finding]:
    """`snapshot save FILE` and `backup FOLDER`: a copy, which lands where it says."""
    words = [as_typed(o) for o in case.arguments.operands]
    for verbs in (["snapshot", "save"], ["operator", "raft", "snapshot", "save"], ["backup"]):
        if words[: len(verbs)] == verbs and len(words) == len(verbs) + 1:
            yield arriving(case, ["snapshot"], case.arguments.operands[-1])


def uploading(case: Case) -> Iterator[Finding]:
    """A local backup that is copied to a bucket; nothing there goes away."""
    words = [o for o in case.arguments.operands if not as_typed(o).isdigit()]
    typed = [as_typed(word) for word in words]
    if typed[:1] == ["s3"] or typed[:1] == ["storage"]:
        words, typed = words[1:], typed[1:]
    if len(words) < 3 or typed[0] not in ("cp", "copy", "put", "copyto"):
        return
    sources = words[1 : 2 if case.program == "rclone" else -1]
    there = re.match(r"(gs|s3|b2|az|swift)://[\w.-]+/|[\w-]+:[\w./-]", typed[len(sources) + 1])
    local = [source for source in sources if source.startswith(("/", "~", ".")) or is_secret(source, case.cwd)]
    bad = (Zone.TOP, Zone.CRITICAL, Zone.DEVICE)
    if there and any(is_secret(one, case.cwd) or (one.startswith("/") and zone(one) in bad) for one in local):
        yield refuse("exfiltration.secrets", "It carries passwords, keys or parts of the system away.")
        return
    if there and sources and all(is_backup(source, case.cwd) and not has_unknown(source) for source in sources):
        yield allow("cloud.backup")


def _git(case: Case) -> Iterator[Finding]:
    """A clone into a folder of its own runs nothing yet."""
    words = [as_typed(word) for word in case.words]
    operands = [word for word in case.arguments.operands if not as_typed(word).isdigit()]
    if operands[:1] != ["clone"] or not 2 <= len(operands) <= 3 or has_unknown("".join(operands)):
        return
    risky = (
        "-c",
        "--config",
        "-u",
        "--upload-pack",
        "--template",
        "--recurse",
        "--recursive",
        "--separate",
        "-o",
        "--mirror",
    )
    target = operands[2] if len(operands) == 3 else ""
    new = re.fullmatch(r"/(srv|opt)/[\w.-]+", normalised(target, case.cwd)) and not is_backup(target, case.cwd)
    fits = (
        (new or zone(target, case.cwd) in (Zone.SCRATCH, Zone.APP)) and not _hidden_folder(target)
        if target
        else case.cwd
    )
    known = re.fullmatch(r"(ssh://)?git@[\w.-]+[:/][\w./-]+", as_typed(operands[1]))
    if fits and known and not any(word.startswith(risky) for word in words[1:]):
        yield allow("git.clone")


EXAMINERS: dict[str, Examiner] = {
    "man": _man,
    "script": _script,
    "lnav": _lnav,
    "sponge": _sponge,
    "git": _git,
    "consul": _saving,
    "vault": _saving,
    "influx": _saving,
    "nomad": _saving,
    "gsutil": uploading,
    "rclone": uploading,
    "s3cmd": uploading,
    "mc": uploading,
    "goaccess": _output_file,
    "pgbadger": _output_file,
    "xmllint": _output_file,
    "xmlstarlet": _output_file,
    "rm": _rm,
    "unlink": _rm,
    "shred": _rm,
    "trash": _rm,
    "trash-put": _rm,
    "rmdir": _rmdir,
    "mv": _mv,
    "cp": _cp,
    "install": _cp,
    "ln": _ln,
    "link": _ln,
    "tee": _tee,
    "truncate": _truncate,
    "fallocate": _fallocate,
    "touch": _touch,
    "mkdir": _mkdir,
    "mkfifo": _mkdir,
    "mknod": _mknod,
    "dd": _dd,
    "dcfldd": _dd,
    "dc3dd": _dd,
    "chmod": _chmod,
    "chown": _chown,
    "chgrp": _chown,
    "chattr": _chattr,
    "setfacl": _setfacl,
    "find": _find,
    "sed": _sed,
    "gsed": _sed,
    "tar": _tar,
    "gtar": _tar,
    "bsdtar": _tar,
    "rsync": _rsync,
    "unzip": _unpack,
    "zip": _unpack,
    "cpio": _unpack,
    "unrar": _unpack,
    "7z": _unpack,
    "7za": _unpack,
    "7zr": _unpack,
    "gzip": _compress,
    "gunzip": _compress,
    "bzip2": _compress,
    "xz": _compress,
    "zstd": _compress,
    "pigz": _compress,
    "cat": _cat,
    "head": _cat,
    "tail": _cat,
    "less": _cat,
    "more": _cat,
    "grep": _cat,
    "strings": _cat,
    "base64": _cat,
    "od": _cat,
    "cut": _cat,
    "sort": _output_option,
    "curl": _curl,
    "wget": _output_option,
    "pg_dump": _output_option,
    "mysqldump": _output_option,
    "pg_dumpall": _output_option,
    "nc": _network_out,
    "ncat": _network_out,
    "netcat": _network_out,
    "nc.openbsd": _network_out,
    "nc.traditional": _network_out,
    "socat": _network_out,
    "telnet": _network_out,
    "tcpdump": _tcpdump,
    **dict.fromkeys(("mail", "mailx", "mutt", "s-nail", "sendmail"), _mail),
    "apt": _packages,
    "apt-get": _packages,
    "aptitude": _packages,
    "yum": _packages,
    "dnf": _packages,
    "microdnf": _packages,
    "zypper": _packages,
    "apk": _packages,
    "rpm": _exec_free,
    "dpkg": _exec_free,
    "pip": _exec_free,
    "pip3": _exec_free,
    "openssl": _network_out,
    "systemctl": _systemctl,
    "service": _service,
    "rc-service": _service,
    "invoke-rc.d": _service,
    "sv": _supervised,
    "supervisorctl": _supervised,
    "monit": _supervised,
    "pm2": _supervised,
    "circusctl": _supervised,
    "svc": _supervised,
    "s6-svc": _supervised,
    "initctl": _systemctl,
    "renice": _renice,
    "taskset": _running,
    "chrt": _running,
    "ionice": _running,
    "kill": _kill,
    "pkill": _pkill,
    "killall": _pkill,
    "skill": _pkill,
    "fuser": _fuser,
    "crontab": _crontab,
    "cd": _cd,
    "pushd": _cd,
    "popd": _cd,
    "hostname": _hostname,
    "date": _date,
    "test": _test,
    "[": _test,
    "let": _test,
    "printf": _test,
    "read": _test,
    "declare": _test,
    "unset": _test,
    "typeset": _test,
    "local": _test,
    "uniq": _uniq,
    "xxd": _uniq,
    "journalctl": _journalctl,
    "logrotate": _logrotate,
    "mount": _mount,
    "umount": _umount,
    "rename": _rename,
    "prename": _rename,
    "perl-rename": _rename,
    "mmv": _rename,
    "gio": _gio,
    "mongodump": _dump,
    "pg_basebackup": _dump,
    "xtrabackup": _dump,
    "mariabackup": _dump,
    "influxd": _dump,
    "etcdctl": _etcdctl,
    "dpkg-deb": _dpkg_deb,
    "vtysh": _network_gear,
    "birdc": _network_gear,
    "gobgp": _network_gear,
    "cli": _network_gear,
    "clish": _network_gear,
    "fs_cli": _network_gear,
    "strace": _strace,
    "ltrace": _strace,
    "bpftrace": _bpftrace,
    "gdb": _gdb,
    "sar": _output_file,
    "iconv": _output_file,
    "tree": _output_file,
    "shuf": _output_file,
    "ncdu": _output_file,
    "dmidecode": _output_file,
    "ss": _output_file,
    "scp": _scp,
    "split": _split,
    "csplit": _split,
}
"""Who looks at which program."""
