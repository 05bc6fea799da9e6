"""Where a path leads, and how much harm is done there. Nothing here looks at a disk."""

import re
from enum import Enum
from fnmatch import fnmatchcase

from safety.command_guard.places import (
    APPS,
    BACKUPS,
    CRITICAL,
    DATA_FOLDERS,
    DEVICES,
    HARMLESS_DEVICES,
    LOGINS,
    PROTECTED,
    SCRATCH,
    SECRETS,
    THROWAWAY_FOLDERS,
    TOP,
    WITNESS_LOGS,
)
from safety.command_guard.values import (
    BRACKET,
    GLOBS,
    QUESTION,
    STAR,
    TOKEN,
    has_glob,
    has_unknown,
)


class Zone(Enum):
    """What stands where a path points, from the harmless to the worst."""

    SINK = "a harmless device"
    SCRATCH = "a scratch folder"
    LOG = "a log"
    APP = "a place below an application's or a person's own folder"
    PLAIN = "an ordinary place"
    RELATIVE = "a place relative to an unknown folder"
    PROTECTED = "a protected place"
    CRITICAL = "a file the host cannot work without"
    DEVICE = "a device"
    TOP = "a top folder"
    UNKNOWN = "a place nobody can read from the text"


def normalised(path: str, cwd: str | None = None) -> str:
    """Absolute where that can be known, without `.`, `..`, doubled slashes and /proc/self/root."""
    if not path.startswith("/"):
        if cwd is None:
            return _relative(path)
        path = f"{cwd}/{path}"
    parts: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if parts:
                parts.pop()
            continue
        parts.append(part)
        if len(parts) == 3 and parts[0] == "proc" and parts[2] in ("root", "cwd"):
            parts.clear()  # the root of another process is the root again
    return "/" + "/".join(parts)


def _relative(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts) or "."


def zone(path: str, cwd: str | None = None) -> Zone:
    """The zone of a path; of a glob, the worst it may reach."""
    if has_unknown(path):
        return Zone.UNKNOWN
    where = normalised(path, cwd)
    if not where.startswith("/"):
        return _relative_zone(where)
    if has_glob(where.split("/")[1]):
        return Zone.TOP
    return _absolute_zone(where)


def _relative_zone(where: str) -> Zone:
    first = where.split("/", 1)[0]
    if first in (".", "..") or all(char in GLOBS or char in "." for char in first):
        return Zone.TOP
    if any(_matches(f"/home/x/{where}", pattern) for pattern in LOGINS):
        return Zone.CRITICAL
    return Zone.RELATIVE


def _absolute_zone(where: str) -> Zone:
    if where in HARMLESS_DEVICES:
        return Zone.SINK
    if any(_matches(where, pattern) for pattern in (*CRITICAL, *LOGINS, *WITNESS_LOGS)):
        return Zone.CRITICAL
    if any(_matches(where, pattern) for pattern in TOP):
        return Zone.TOP
    if any(_matches(where, pattern) for pattern in DEVICES):
        return Zone.DEVICE
    if any(_matches(where, f"{folder}/**") for folder in SCRATCH):
        return Zone.SCRATCH
    if _below(where, "/var/log"):
        return Zone.LOG
    if any(_matches(where, f"{folder}/**") for folder in APPS) and not is_backup(where):
        return Zone.APP
    if any(where == folder or _below(where, folder) for folder in PROTECTED):
        return Zone.PROTECTED
    return Zone.PLAIN


def is_backup(path: str, cwd: str | None = None) -> bool:
    """Whether it is a folder of backups, or below one."""
    where = normalised(path, cwd)
    return any(_matches(where, folder) or _matches(where, f"{folder}/**") for folder in BACKUPS)


def folders(path: str) -> list[str]:
    """The names on the way, the last one included."""
    return [part for part in normalised(path).split("/") if part not in ("", ".")]


def is_throwaway(path: str) -> bool:
    """Whether a folder on the way is one that programs fill again by themselves."""
    return any(fnmatchcase(name, pattern) for name in folders(path) for pattern in THROWAWAY_FOLDERS)


def holds_data(path: str) -> bool:
    """Whether the last names speak of what cannot be made again."""
    return any(fnmatchcase(name, pattern) for name in folders(path)[-2:] for pattern in DATA_FOLDERS)


def is_secret(path: str, cwd: str | None = None) -> bool:
    """Whether reading it gives away passwords or keys."""
    if has_unknown(path):
        return False
    where = normalised(path, cwd or "/home/x")
    return any(_matches(where, pattern) for pattern in SECRETS)


def depth(path: str, cwd: str | None = None) -> int:
    """How many names deep it is."""
    return len([part for part in normalised(path, cwd).split("/") if part])


def whole_folder(path: str) -> bool:
    """Whether the last name is only a glob: `/x/*`, `/x/.*`, `/x/?*`."""
    last = path.rstrip("/").rsplit("/", 1)[-1]
    return has_glob(last) and all(char in GLOBS or char in ".-]!^" for char in last)


def _below(where: str, folder: str) -> bool:
    return where.startswith(folder + "/") and where != folder + "/"


def _matches(where: str, pattern: str) -> bool:
    """Whether a path, which may hold globs itself, may be one the pattern means. `*` does not cross a slash."""
    names, wanted = where.split("/"), pattern.split("/")
    if wanted[-1] == "**":
        wanted = wanted[:-1]
        if len(names) <= len(wanted):
            return False
        names = names[: len(wanted)]
    return len(names) == len(wanted) and all(_meets(n, w) for n, w in zip(names, wanted, strict=True))


def _meets(name: str, wanted: str) -> bool:
    if has_glob(name):
        return bool(re.fullmatch(_as_pattern(name), wanted)) or wanted == "*"
    return fnmatchcase(name.replace(TOKEN, "x"), wanted)


def _as_pattern(name: str) -> str:
    out, at = [], 0
    while at < len(name):
        char = name[at]
        if char == STAR:
            out.append(".*")
        elif char == QUESTION:
            out.append(".")
        elif char == BRACKET:
            end = name.find("]", at + 2)
            out.append(".")
            at = end if end > 0 else at
        else:
            out.append(re.escape(char))
        at += 1
    return "".join(out)
