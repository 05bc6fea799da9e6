"""Where a path leads, and how much harm is done there. Nothing here looks at a disk."""

import re
from collections.abc import Iterable
from enum import Enum
from fnmatch import fnmatchcase
from functools import lru_cache

from safety.command_guard.places import (
    APPS,
    BACKUPS,
    CRITICAL,
    DATA_FOLDERS,
    DEVICES,
    HARMLESS_DEVICES,
    LOGINS,
    PROTECTED,
    RUN_FOLDERS,
    RUN_NAMES,
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


@lru_cache(maxsize=4096)
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
    if _LOGINS.hold(f"/home/x/{where}"):
        return Zone.CRITICAL
    return Zone.RELATIVE


class _Places:
    """A table of places, by the first name of each, so that few have to be compared."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._by_first: dict[str, list[list[str]]] = {}
        for pattern in patterns:
            wanted = pattern.split("/")
            self._by_first.setdefault(wanted[1], []).append(wanted)

    def hold(self, where: str) -> bool:
        """Whether an absolute path, which may hold globs itself, may be one of them."""
        names = where.split("/")
        return any(_matches(names, wanted) for first in {names[1], "*"} for wanted in self._by_first.get(first, ()))


_LOGINS = _Places(LOGINS)
_CRITICAL = _Places((*CRITICAL, *LOGINS, *WITNESS_LOGS))
_TOP = _Places(TOP)
_DEVICES = _Places(DEVICES)
_SCRATCH = _Places(f"{folder}/**" for folder in SCRATCH)
_LOGS = _Places(("/var/log/**",))
_APPS = _Places(f"{folder}/**" for folder in APPS)
_PROTECTED = _Places(place for folder in PROTECTED for place in (folder, f"{folder}/**"))
_BACKUPS = _Places(place for folder in BACKUPS for place in (folder, f"{folder}/**"))
_SECRETS = _Places(SECRETS)


def _absolute_zone(where: str) -> Zone:
    if where in HARMLESS_DEVICES:
        return Zone.SINK
    if _CRITICAL.hold(where):
        return Zone.CRITICAL
    if _TOP.hold(where):
        return Zone.TOP
    if _DEVICES.hold(where):
        return Zone.DEVICE
    if _SCRATCH.hold(where):
        return Zone.SCRATCH
    if _LOGS.hold(where):
        return Zone.LOG
    if _APPS.hold(where) and not is_backup(where):
        return Zone.APP
    if _PROTECTED.hold(where):
        return Zone.PROTECTED
    return Zone.PLAIN


def is_backup(path: str, cwd: str | None = None) -> bool:
    """Whether it is a folder of backups, or below one."""
    where = normalised(path, cwd)
    return where.startswith("/") and _BACKUPS.hold(where)


def folders(path: str) -> list[str]:
    """The names on the way, the last one included."""
    return [part for part in normalised(path).split("/") if part not in ("", ".")]


def is_throwaway(path: str) -> bool:
    """Whether a folder on the way is one that programs fill again by themselves."""
    return any(fnmatchcase(name, pattern) for name in folders(path) for pattern in THROWAWAY_FOLDERS)


def holds_data(path: str) -> bool:
    """Whether the last names speak of what cannot be made again."""
    return any(fnmatchcase(name, pattern) for name in folders(path)[-2:] for pattern in DATA_FOLDERS)


def is_run(path: str) -> bool:
    """Whether something will run it, by its name or its folder's."""
    *above, name = folders(path) or [""]
    return any(fnmatchcase(name, pattern) for pattern in RUN_NAMES) or any(
        fnmatchcase(folder, pattern) for folder in above for pattern in RUN_FOLDERS
    )


def is_gits_own(path: str) -> bool:
    """Whether git reads there what it will run: its settings and hooks."""
    parts = folders(path)
    return any(part == ".git" and parts[at + 1 : at + 2] in (["hooks"], ["config"]) for at, part in enumerate(parts))


@lru_cache(maxsize=4096)
def is_secret(path: str, cwd: str | None = None) -> bool:
    """Whether reading it gives away passwords or keys."""
    return not has_unknown(path) and _SECRETS.hold(normalised(path, cwd or "/home/x"))


def depth(path: str, cwd: str | None = None) -> int:
    """How many names deep it is."""
    return len([part for part in normalised(path, cwd).split("/") if part])


def whole_folder(path: str) -> bool:
    """Whether the last name is only a glob: `/x/*`, `/x/.*`, `/x/?*`."""
    last = path.rstrip("/").rsplit("/", 1)[-1]
    return has_glob(last) and all(char in GLOBS or char in ".-]!^" for char in last)


def _matches(names: list[str], wanted: list[str]) -> bool:
    """`*` is one name, and does not cross a slash; `**` at the end is everything below."""
    if wanted[-1] == "**":
        if len(names) < len(wanted):
            return False
    elif len(names) != len(wanted):
        return False
    return all(part == "**" or name == part or _meets(name, part) for name, part in zip(names, wanted, strict=False))


def _meets(name: str, wanted: str) -> bool:
    if has_glob(name):
        return wanted == "*" or bool(_as_pattern(name).fullmatch(wanted))
    if not any(char in wanted for char in "*?["):
        return False
    return fnmatchcase(name.replace(TOKEN, "x"), wanted)


@lru_cache(maxsize=1024)
def _as_pattern(name: str) -> re.Pattern[str]:
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
    return re.compile("".join(out))
