"""The files of a simulated host: nodes by path, with owners and modes; /proc and the programs stand beside them."""

import posixpath
from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import datetime

from bot.playground.machine.proc import Proc
from bot.playground.machine.streams import Null, Stream

FILE_LIMIT = 16 * 1024 * 1024  # bytes one simulated file may hold; the disk of a demo is small
SEARCHED = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")  # where every program is found


@dataclass(eq=False, kw_only=True)
class Node:
    """A file or a directory. `padding`: bytes it is larger than its data, so that a demo may have a 3 GB log."""

    number: int
    directory: bool = False
    data: bytes = b""
    padding: int = 0
    mode: int = 0o644
    owner: str = "root"
    modified: datetime

    @property
    def size(self) -> int:
        """Bytes, as `ls -l` shows them."""
        return 4096 if self.directory else len(self.data) + self.padding


class OpenFile(Stream):
    """A descriptor of a simulated file."""

    def __init__(self, node: Node, *, append: bool, now: Callable[[], datetime]) -> None:
        super().__init__()
        self.node, self.append, self.now, self.offset = node, append, now, 0

    async def read(self, limit: int) -> bytes:
        """From where the last read ended."""
        data = self.node.data[self.offset : self.offset + limit]
        self.offset += len(data)
        return data

    async def write(self, data: bytes) -> None:
        """At the end, or over what is there; raises OSError when the demo's limit for one file is reached."""
        start = len(self.node.data) if self.append else self.offset
        if start + len(data) > FILE_LIMIT:
            raise OSError("No space left on device")
        old = self.node.data
        self.node.data = old[:start].ljust(start, b"\0") + data + old[start + len(data) :]
        self.node.modified = self.now()
        self.offset = start + len(data)


class FileTree:
    """The files of one host, by absolute path. `programs`: names found in every folder of `SEARCHED`."""

    def __init__(self, *, now: Callable[[], datetime], proc: Proc, programs: Container[str]) -> None:
        self.nodes: dict[str, Node] = {}
        self.proc = proc
        self._now, self._programs = now, programs
        self._last_number = 1000

    def write(self, path: str, text: str, *, owner: str = "root", mode: int = 0o644, padding: int = 0) -> Node:
        """A file with this text, and the directories above it."""
        self.directory(posixpath.dirname(path))
        node = self._node(owner=owner, mode=mode)
        node.data, node.padding = text.encode(), padding
        self.nodes[path] = node
        return node

    def directory(self, path: str, *, owner: str = "root", mode: int = 0o755) -> Node:
        """A directory and those above it."""
        if path not in self.nodes:
            if path != "/":
                self.directory(posixpath.dirname(path))
            self.nodes[path] = self._node(owner=owner, mode=mode, directory=True)
        return self.nodes[path]

    def _node(self, *, owner: str, mode: int, directory: bool = False) -> Node:
        self._last_number += 1
        return Node(number=self._last_number, owner=owner, mode=mode, directory=directory, modified=self._now())

    def may(self, user: str, path: str, bit: int) -> bool:
        """Whether this user may read (4), write (2) or search (1) the node at this path; the group counts as others."""
        node = self.nodes[path]
        return user == "root" or bool((node.mode >> 6 if node.owner == user else node.mode) & bit)

    def children(self, path: str) -> list[str]:
        """The names in a directory, sorted."""
        names = {posixpath.basename(each) for each in self.nodes if posixpath.dirname(each) == path and each != "/"}
        if path == "/proc":
            names |= self.proc.folders()
        return sorted(names)

    def below(self, path: str) -> list[str]:
        """The paths of this node and of all in it, sorted."""
        inside = path.rstrip("/") + "/"
        return sorted(each for each in self.nodes if each == path or each.startswith(inside))

    def exists(self, path: str) -> bool:
        """Whether there is anything at this path, a program of PATH or a process's folder in /proc included."""
        if path in self.nodes or path == "/dev/null":
            return True
        folder, name = posixpath.split(path)
        return (folder in SEARCHED and name in self._programs) or self.proc.text(path) is not None

    def read(self, path: str, user: str) -> bytes:
        """The bytes of a file; raises OSError with the words a program prints."""
        if path == "/dev/null":
            return b""
        found = self.proc.text(path)
        if found:
            return found.encode()
        if found == "" and path.count("/") > 2:
            return b""
        if path not in self.nodes:
            raise OSError("Is a directory" if found == "" else "No such file or directory")
        if self.nodes[path].directory:
            raise OSError("Is a directory")
        if not self.may(user, path, 4):
            raise OSError("Permission denied")
        return self.nodes[path].data

    def open(self, path: str, how: str, user: str) -> Stream:
        """A descriptor for reading ("<"), writing (">") or appending (">>"); raises OSError with the shell's words."""
        if path == "/dev/null":
            return Null()
        if how == "<":
            data = self.read(path, user)
            node = self.nodes.get(path) or Node(number=0, data=data, modified=self._now())
            return OpenFile(node, append=False, now=self._now)
        node = self.create(path, user)
        if how != ">>":
            node.data, node.padding = b"", 0
        return OpenFile(node, append=how == ">>", now=self._now)

    def create(self, path: str, user: str) -> Node:
        """The file at this path, made if missing; raises OSError where the user may not write."""
        folder = posixpath.dirname(path)
        if path in self.nodes:
            if self.nodes[path].directory:
                raise OSError("Is a directory")
            if not self.may(user, path, 2):
                raise OSError("Permission denied")
            return self.nodes[path]
        if folder not in self.nodes:
            raise OSError("Directory nonexistent")
        if not self.may(user, folder, 2):
            raise OSError("Permission denied")
        return self.write(path, "", owner=user)
