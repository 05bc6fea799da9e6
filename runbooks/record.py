"""What a changing command leaves on its host: its process group, and how it ended. So it can be asked about later.

Constants and pure builders of shell text, as in `group.py`, which gives the command its group; `ssh.py` sends them.

A *record* is a file in a folder of the login's own (mode 0700) on a file system in memory, named by a token that is
chosen before anything is sent. A shell stays above the command and writes two lines: what runs, and the exit status
when it is over. Each is one write with a full stop at its end, so that half a line is never taken for a whole one.

The shell also stands between the command and the connection. The command writes into two pipes; a relay for each hands
on what comes, and goes on reading when nobody listens any more: a command whose connection was cut neither dies nor
blocks, and nothing is kept. Where a text looks odd, this is why:

- Pipes without a program: a here-document is one (in dash, busybox's ash, and bash from 5.1), and Linux lets its other
  end be opened through /proc. `mkfifo` would cost a program more each time. Where a host can't, it keeps no records.
- A relay is a mere fork until the first line comes, since most changing commands print nothing; then it becomes `tee`,
  which goes on when its standard output is gone. (A NUL in that first line is lost.)
- Descriptors are closed by `exec`: shells keep copies of what a function's or a group's own redirection closes.
- Relays outlive TERM, as the command may have last words; the shell does, as it has the status to write.
- A program that is killed by signal n ends this shell with 128 + n, as for anybody who calls it from a shell.

The order of the folders: logind empties /dev/shm of a person's files, and takes /run/user away, some seconds after the
last session has ended, which is just when a record is wanted; /run/lock and a /tmp in memory stay.
"""

import re
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.remote import Ended, Finished, NotKnown, StillRunning

FOLDERS = '/run/lock /tmp /dev/shm "$XDG_RUNTIME_DIR" "/run/user/$u"'
_TOKEN = re.compile(r"[0-9a-f]{32}")
_GROUP, _STATUS = re.compile(r"[1-9][0-9]{0,6}"), re.compile(r"[0-9]{1,3}")
_FOLDER = re.compile(r"/[\w./-]{1,200}", re.ASCII)

QUOTED = r"a\\b\'c\"d $HOME !e"
"""What `prepare` has to say back as it is."""

# Run once for a connection. The folder counts only if it is ours, closed to others, in memory, and below one in which
# others can't replace it. What is older than a day is forgotten.
PREPARE = f"""\
printf 'handrail-quotes %s\\n' "$1"
LC_ALL=C; export LC_ALL
u=$(id -u)
exec 4<<O

O
[ -p /proc/$$/fd/4 ] && ( : 5>/proc/$$/fd/4 ) 2>/dev/null && [ -r /proc/sys/kernel/random/boot_id ] || exit 0
in_memory() {{
best=; kind=
while read -r _ where type _; do case $1/ in "${{where%/}}"/*)
[ ${{#where}} -ge ${{#best}} ] && {{ best=$where; kind=$type; }};; esac
done </proc/mounts
[ "$kind" = tmpfs ]
}}
safe() {{ case $(ls -ld "$1/.") in d???????w[!tT]*) return 1;; esac; }}
for d in {FOLDERS}; do
[ -n "$d" ] && [ -d "$d" ] && [ -w "$d" ] && in_memory "$d" && safe "$d" || continue
d=$d/handrail-$u
mkdir -m 700 "$d" 2>/dev/null
[ -d "$d" ] && [ ! -L "$d" ] && [ -O "$d" ] && chmod 700 "$d" || continue
find "$d" -type f -mtime +0 -exec rm -f {{}} + 2>/dev/null
echo "handrail-folder $d"
exit 0
done
"""

_RECORDED = """\
set -- FOLDER TOKEN "$1"
[ -n "$3" ] || { read -r s </proc/$$/stat && set -- "$1" "$2" ${s##*) } && set -- "$1" "$2" "${22}"; }
handrail_run() {
LINE
}
if [ -O "$1" ] && [ ! -L "$1" ] && read -r s </proc/sys/kernel/random/boot_id &&
set -C && { true >"$1/$2"; } 2>/dev/null
then
set +C
set -- "$1/$2" "$3" "$s"
exec 3>>"$1" 4<<O 5<<O

O

O
read -r s <&4; read -r s <&5; unset s
exec 6>/proc/$$/fd/4 7>/proc/$$/fd/5
handrail_relay() {
exec 2>/dev/null 3>&- 4<&- 5<&- 6>&- 7>&-
IFS= read -r line || { printf %s "$line"; exit; }
printf '%s\\n' "$line"
LC_ALL=C; export LC_ALL
exec tee /dev/null
}
trap '' HUP INT QUIT TERM PIPE
( exec <&4; handrail_relay ) &
set -- "$@" $!
( exec <&5 >&2; handrail_relay ) &
exec 2>/dev/null 4<&- 5<&-
echo "run $3 $$ $2 $4 $! ." >&3
trap : HUP INT QUIT TERM PIPE
( handrail_run ) >&6 2>&7 3>&- 6>&- 7>&-
set -- $?
echo "exit $1 ." >&3
exit $1
fi
set +C; unset s; set --
handrail_run
"""

# The leader is looked at before the record is read: it writes the status before it goes. While it runs, nobody listens
# to its relays any more (we ask only when the connection is gone), but one may be stuck in a write to a connection that
# the host still believes in; a plain reader takes the pipe over, before the relay is ended.
_ATTEND = f"""\
u=$(id -u)
drain() {{
read -r s </proc/$1/stat && set -- $1 ${{s##*) }} && [ "$4" = "$p" ] && [ -p /proc/$1/fd/0 ] || return
{{ kill -KILL $1; cat <&8 >/dev/null 8<&- & }} 8</proc/$1/fd/0
}}
for d in {FOLDERS}; do
d=$d/handrail-$u; f=$d/TOKEN
[ -f "$f" ] && [ ! -L "$f" ] && [ -O "$f" ] && [ ! -L "$d" ] && [ -O "$d" ] || continue
read -r s </proc/sys/kernel/random/boot_id; echo "handrail-boot $s"
p=; read -r _ _ p b one two _ <"$f"
if [ -n "$p" ] && read -r s </proc/$p/stat; then
set -- ${{s##*) }}
echo "handrail-leader $1 ${{20}}"
if [ "${{20}}" = "$b" ]; then drain "$one"; drain "$two"; fi
fi
while read -r s; do echo "$s"; done <"$f"
break
done 2>/dev/null
echo handrail-end
"""


@dataclass(frozen=True, kw_only=True)
class Record:
    """Where a command's record is kept: the folder that the host prepared, and the token."""

    folder: str
    token: str


def recorded(command: str, record: Record) -> str:
    """Shell text that runs `command` and keeps its record; where it can't be written, the command runs all the same.

    It expects the time at which its process started in $1, if that is known.
    """
    text = _RECORDED.replace("FOLDER", shlex.quote(record.folder)).replace("TOKEN", _checked(record.token))
    return text.replace("LINE", command)


def prepare() -> str:
    """An exec request that makes the folder, where there can be one."""
    return f"exec sh -c {shlex.quote(PREPARE)} handrail-prepare {shlex.quote(QUOTED)}"


def reads_quotes(text: str) -> bool:
    """Whether the login shell gave our words to `sh` as they are. That of fish reads backslashes between single quotes,
    that of csh and tcsh ends them at a line's end: they would run something else than what was judged.
    """
    return f"handrail-quotes {QUOTED}" in text.splitlines()


def folder_in(text: str) -> str | None:
    """The folder that `prepare` found; None when this host keeps no records."""
    lines = [line for line in text.splitlines() if line.startswith("handrail-folder ")]
    folder = lines[-1].partition(" ")[2] if lines else ""
    return folder if _FOLDER.fullmatch(folder) else None


def forget(folder: str, tokens: Sequence[str]) -> str:
    """An exec request that removes these records, and what is older than a day."""
    files = " ".join(shlex.quote(f"{folder}/{_checked(token)}") for token in tokens)
    script = f"rm -f {files}\nfind {shlex.quote(folder)} -type f -mtime +0 -exec rm -f {{}} +"
    return f"exec sh -c {shlex.quote(script)} handrail-forget"


def attend(token: str) -> str:
    """An exec request that tells what a record says, and whether the command runs; it frees what hangs."""
    return f"exec sh -c {shlex.quote(_ATTEND.replace('TOKEN', _checked(token)))} handrail-attend"


def read(host: str, text: str) -> Finished | StillRunning | NotKnown:
    """What `attend` printed, for people to read where it leaves us without an answer."""
    lines = text.splitlines()
    if not lines or lines[-1] != "handrail-end":
        return NotKnown(reason=f"'{host}' gave no whole answer about its record")
    words = {line.split()[0]: line.split()[1:] for line in lines[:-1] if line.strip()}
    boot, leader, run, over = (words.get(key, []) for key in ("handrail-boot", "handrail-leader", "run", "exit"))
    if not boot:
        return NotKnown(reason=f"no record of it is left on '{host}'", early=True)
    if len(run) != 6 or run[-1] != "." or not _GROUP.fullmatch(run[1]):
        return NotKnown(reason=f"its record on '{host}' is not whole", early=True)
    if run[0] != boot[0]:
        return NotKnown(reason=f"'{host}' was restarted since it began")
    group = int(run[1])
    if len(over) == 2 and over[1] == "." and _STATUS.fullmatch(over[0]):
        status = int(over[0])
        return Finished(ended=Ended.EXITED, exit_status=status, signal=signal_of(status), group=group)
    if len(leader) == 2 and leader[0] not in "ZX" and leader[1] == run[2]:
        return StillRunning(group=group)
    return NotKnown(reason=f"it was killed on '{host}' together with what keeps its record", group=group)


def signal_of(status: int | None) -> str | None:
    """The signal that an exit status stands for by the custom of shells, without SIG in front."""
    if status is None or not 128 < status < 160:
        return None
    try:
        return signal.Signals(status - 128).name.removeprefix("SIG")
    except ValueError:
        return None


def _checked(token: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"not a record's token: {token!r}")
    return token
