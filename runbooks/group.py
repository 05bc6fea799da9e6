"""The small POSIX shell texts around a command: give it a process group of its own, end groups, look at them.

Constants and pure builders; `ssh.py` sends them. They run in dash, bash and busybox's ash, for any login shell that
knows single quotes. Where a text looks odd, one of those shells is why:

- `kill -TERM -123`, not `kill -TERM -- -123`: dash takes the dashes for a number, busybox too.
- `kill -0` answers for processes that we may not signal, and for those that /proc hides from us (hidepid): "No such
  process" comes from the kernel and is the one certain proof that a group is gone. Its words are read in the C locale;
  many groups are asked about by one `kill`, which says them once for each, since a shell forks to read them.
- `ps` is asked only about what is not gone, to tell zombies (which run no more) from the living, and to name pids.

The command's own locale is left alone. LC_ALL=C would make dates and numbers easier to read, but a daemon that the
command starts inherits it and may then write its files in another encoding; a probe that parses words says
`env LC_ALL=C` itself.
"""

import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runbooks.record import Record, recorded
from storage.records import Death

MARK = "handrail-group "  # before the group id, on the first line that we print
_MARKED = re.compile(re.escape(MARK).encode() + rb"([0-9]{1,7})[ \t\r]*\n")  # Linux's PID_MAX_LIMIT has seven digits
NO_GROUP = 0  # what stands after it when the host has no means to make one; nothing was run then
AFTER_KILL = 0.5  # seconds until a killed group must be gone; a process in uninterruptible sleep may take longer

# sshd makes every session's shell the leader of a new session, so the first case is what happens; the others are for
# servers that don't. `setsid` doesn't fork here, since only a group leader needs that: the pid, and the channel, stay.
# The command line stands at the end of the same text, and again in $1 for those other cases.
_OWN_GROUP = """\
g=
if read -r s 2>/dev/null </proc/$$/stat; then set -- "$1" ${s##*) }; g=$4
else g=$(ps -o pgid= -p $$ 2>/dev/null); g=${g##* }; fi
if [ "$g" != $$ ]; then
again='echo "handrail-group $$"; exec sh -c "$1"'
command -v setsid >/dev/null 2>&1 && exec setsid sh -c "$again" handrail "$1"
command -v perl >/dev/null 2>&1 && exec perl -e 'setpgrp(0, 0); exec @ARGV' sh -c "$again" handrail "$1"
echo "handrail-group 0"; exit 126
fi
echo "handrail-group $$"
unset g s; set -- "${21}"
"""
# What is left in $1 is when this process started, where /proc says so; a recorded command begins with that.
_FORGET = "set --\n"
_NO_INPUT = "exec </dev/null\n"
_NUMBER = re.compile(r"[0-9]{1,10}")
_PROGRAM = re.compile(r"[\w./+-]+", re.ASCII)
# These are the shell's own; `exec` would look for a program, which for some of them doesn't exist.
_BUILTINS = """
. : [ alias bg break case cd command continue echo eval exec exit export false fc fg for function getopts hash if jobs
kill local newgrp printf pwd read readonly return set shift test times trap true type ulimit umask unalias unset until
wait while
"""
_KEPT = frozenset(_BUILTINS.split())

_FUNCTIONS = """\
LC_ALL=C; export LC_ALL
gone() {
said=$(kill -0 "$@" 2>&1); n=$#
while :; do case $said in *"No such process"*) said=${said#*"No such process"}; n=$((n - 1));; *) break;; esac; done
[ $n = 0 ]
}
left() {
rest=; dead=
for g; do if kill -0 -$g 2>/dev/null; then rest="$rest $g"; else dead="$dead -$g"; fi; done
[ -z "$dead" ] || gone $dead || for g in $dead; do gone $g || rest="$rest ${g#-}"; done
}
stats() { echo handrail-stat; cat /proc/[0-9]*/stat 2>/dev/null; }
lines() { (IFS='|'; echo "$table" | grep -E "^ *($*) "); }
report() {
left "$@"
echo "handrail-left $rest"
if [ -z "$rest" ]; then :
elif table=$(ps -A -o pgid= -o pid= -o stat= 2>/dev/null); then lines $rest
else stats; fi
echo handrail-end
}
"""
# Where nobody reaps orphans (containers), killed processes stay in the group as zombies; waiting for those would take
# the whole grace. `ps` costs a few ms, so it is asked ever more rarely.
_END = """\
zombies() {
table=$(ps -A -o pgid= -o stat= 2>/dev/null) || return 0
seen=" "; live=" "; kept=; g=
for word in $(lines $rest); do
case $g in "") g=$word; continue;; esac
case $word in [ZX]*) seen="$seen$g ";; *) live="$live$g ";; esac
g=
done
for g in $rest; do
case $live in *" $g "*) ;; *) case $seen in *" $g "*) continue;; esac;; esac
kept="$kept $g"
done
rest=$kept
}
wait_for() {
i=0
for n; do
left $rest
case $i in 3|6|12|24|48|96) [ -z "$rest" ] || zombies;; esac
[ -z "$rest" ] && return
i=$((i + 1)); sleep $n 2>/dev/null && continue
for n in $whole; do left $rest; [ -z "$rest" ] && return; sleep 1; done
break
done
left $rest
}
for g in $groups; do kill -TERM -$g; done 2>/dev/null
rest=$groups; whole=$slowly
wait_for $term
if [ -n "$rest" ]; then
for g in $rest; do kill -KILL -$g; done 2>/dev/null
whole=1; wait_for $kill
fi
report $groups
"""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a look found of one group. `pids`: its live members as far as we can see them."""

    death: Death
    pids: tuple[int, ...] = ()


UNKNOWN = Found(death=Death.UNKNOWN)


def own_group(line: str, *, stdin: bool, record: Record | None = None) -> str:
    """`line` as an exec request: first prints `MARK` and the group id, then becomes the command.

    Without `stdin` the command reads /dev/null, so that it can't notice when the connection goes. With a `record` it
    runs below a shell that keeps it.
    """
    command = _FORGET + replacing(line) if record is None else recorded(replacing(line), record)
    script = _OWN_GROUP + ("" if stdin else _NO_INPUT) + command
    return f"exec sh -c {shlex.quote(script)} handrail {shlex.quote(command)}"


def marked(head: bytes | bytearray) -> tuple[int, int] | None:
    """The group id that our first line tells, `NO_GROUP` among them, and where that line ends; None while it is not
    there. What a login prints before may look like its beginning.
    """
    found = _MARKED.search(head)
    return (int(found[1]), found.end()) if found else None


def end(groups: Sequence[int], *, grace: float) -> str:
    """TERM to all of them, KILL after `grace` seconds to those left, and a look. Over as soon as all are gone."""
    slowly = " ".join(["1"] * math.ceil(grace))  # where `sleep` knows no parts of a second
    naps_ = f"term='{naps(grace)}' kill='{naps(AFTER_KILL)}' slowly='{slowly}'"
    words = f"groups={shlex.quote(_words(groups))} {naps_}\n"
    return f"exec sh -c {shlex.quote(_FUNCTIONS + words + _END)} handrail-end"


def look(groups: Sequence[int]) -> str:
    """Only the look; touches nothing."""
    return f"exec sh -c {shlex.quote(_FUNCTIONS + 'report ' + _words(groups))} handrail-look"


def read_report(groups: Iterable[int], text: str) -> Mapping[int, Found]:
    """What a look printed, per group. Anything but a whole report makes all of them unknown."""
    lines = text.splitlines()
    start = next((n for n, line in enumerate(lines) if line.startswith("handrail-left")), None)
    if start is None or lines[-1] != "handrail-end":
        return dict.fromkeys(groups, UNKNOWN)
    words = lines[start].split()[1:]
    if not all(map(_NUMBER.fullmatch, words)):
        return dict.fromkeys(groups, UNKNOWN)
    left = {int(word) for word in words}
    members = _members(lines[start + 1 : -1])
    return {group: _found(members.get(group)) if group in left else Found(death=Death.STOPPED) for group in groups}


def replacing(line: str) -> str:
    """`exec` in front of one plain program: no shell stays above it that would turn its signal into an exit status."""
    try:
        words = shlex.split(line)
    except ValueError:
        return line  # the shell will say what is wrong with it
    plain = bool(words) and shlex.join(words) == line
    if plain and _PROGRAM.fullmatch(words[0]) and words[0] not in _KEPT:
        return f"exec {line}"
    return line


def _words(groups: Sequence[int]) -> str:
    """Group 1 and below would be everything that we may signal."""
    if not groups or any(group <= 1 for group in groups):
        raise ValueError(f"not process groups: {groups!r}")
    return " ".join(str(int(group)) for group in groups)


def naps(seconds: float) -> str:
    """How long to sleep between looks: short at first, as most commands end at once; together `seconds`."""
    naps: list[float] = []
    nap, rest = 0.01, seconds
    while rest > 0.001:
        naps.append(min(nap, rest))
        rest -= naps[-1]
        nap = min(nap * 2, max(0.1, seconds / 50))
    return " ".join(f"{nap:.3f}" for nap in naps)


def _members(lines: Sequence[str]) -> Mapping[int, list[tuple[int, str]]]:
    """(pid, state) of every process by group, from `ps` or, where there is none, from /proc/*/stat."""
    members: dict[int, list[tuple[int, str]]] = {}
    raw = bool(lines) and "handrail-stat" in lines
    for line in lines:
        words = _from_stat(line) if raw else line.split()
        if len(words) >= 3 and _NUMBER.fullmatch(words[0]) and _NUMBER.fullmatch(words[1]):
            members.setdefault(int(words[0]), []).append((int(words[1]), words[2]))
    return members


def _from_stat(line: str) -> list[str]:
    """A program's name may hold spaces and brackets, so the fields are counted from the last bracket."""
    pid, _, _ = line.partition(" ")
    state, _, group = [*line.rpartition(") ")[2].split(), "", "", ""][:3]
    return [group, pid, state]


def _found(members: Sequence[tuple[int, str]] | None) -> Found:
    """The kernel knows the group: living members, zombies only, or processes that are hidden from us."""
    if not members:
        return UNKNOWN
    alive = tuple(sorted(pid for pid, state in members if state[0] not in "ZX"))
    return Found(death=Death.STILL_RUNNING, pids=alive) if alive else Found(death=Death.STOPPED)
