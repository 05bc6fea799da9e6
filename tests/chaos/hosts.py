"""Twelve hosts for the kills: one real sshd under twelve names, with a `systemctl` that keeps a ledger of what began.

A line of the ledger is `begin VERB UNIT`, `end VERB UNIT`, or `overlap UNIT HOLDER` when a unit began on a host on
which another one still ran; the kernel's file lock, which dies with the command, knows. `status` of a unit prints as
many lines as its name says, and leaves no line itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.system.openssh import OpenSsh, openssh

NAMES = tuple(f"h{number:02}" for number in range(1, 13))
SYSTEMCTL = """\
#!/bin/sh
verb=$1 unit=$2
[ "$verb" = is-active ] && {{ echo active; exit 0; }}
[ "$verb" = status ] && {{ seq -f "%g: all is well" "${{unit##*@}}"; exit 0; }}
rest=${{unit#*.}}
lock={folder}/${{rest%%.*}}.lock
exec 9>>"$lock"
if flock -n 9; then
  echo "$unit" >"$lock.new"; mv "$lock.new" "$lock.holder"
else
  sleep 0.2
  read holder <"$lock.holder" || holder=unknown.unknown.0
  echo "overlap $unit $holder" >>{folder}/ledger
fi
echo "begin $verb $unit" >>{folder}/ledger
sleep "${{unit##*@}}"
echo "end $verb $unit" >>{folder}/ledger
case $unit in *.broken@*) echo "it is broken" >&2; exit 1;; esac
exit 0
"""
ENTER = """\
#!/bin/sh
PATH={folder}/bin:/usr/local/bin:/usr/bin:/bin
export PATH
exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"
"""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A step as the ledger names it."""

    tag: str
    host: str
    place: str

    @classmethod
    def read(cls, text: str) -> "Unit":
        """`r7n3.h01.2@0.4`."""
        tag, host, place = text.partition("@")[0].split(".", 2)
        return cls(tag=tag, host=host, place=place)


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What the hosts know of what ran."""

    begun: tuple[tuple[str, Unit], ...] = ()  # verb and unit, in order
    overlaps: tuple[tuple[Unit, Unit], ...] = ()  # what began, and what still ran there

    @classmethod
    def read(cls, text: str) -> "Ledger":
        """All of it; a line that is not complete yet is left for the next time."""
        lines = [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]
        return cls(
            begun=tuple((words[1], Unit.read(words[2])) for words in lines if words[0] == "begin"),
            overlaps=tuple((Unit.read(words[1]), Unit.read(words[2])) for words in lines if words[0] == "overlap"),
        )


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """They are up."""

    ssh: OpenSsh
    folder: Path
    names: tuple[str, ...] = field(default=NAMES)

    def ledger(self) -> Ledger:
        """As it stands."""
        path = self.folder / "ledger"
        return Ledger.read(path.read_text() if path.exists() else "")

    def size(self) -> int:
        """Grows with every command that begins or ends."""
        path = self.folder / "ledger"
        return path.stat().st_size if path.exists() else 0


@contextmanager
def hosts(folder: Path) -> Iterator[Hosts]:
    """Up when they accept connections. More may knock at once than a stock sshd lets in: they are twelve."""
    (folder / "bin").mkdir(parents=True)
    for name, text in {"bin/systemctl": SYSTEMCTL, "enter": ENTER}.items():
        (folder / name).write_text(text.format(folder=folder))
        (folder / name).chmod(0o755)
    with openssh(folder, more=f"ForceCommand {folder}/enter\nMaxStartups 200") as server:
        yield Hosts(ssh=server, folder=folder)
