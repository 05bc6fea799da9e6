"""Programs that change files, as far as the user may: rm, rmdir, mkdir, touch, truncate, cp, mv, gzip."""

import posixpath
from collections.abc import Callable, Iterator

from bot.playground.machine.files import FileTree
from bot.playground.machine.programs.options import options
from bot.playground.machine.system import Call

KEPT = ("/", "/proc", "/dev")


async def rm(call: Call) -> int:
    """Remove files, with -r folders; -f misses nothing."""
    found, operands = options(call.words)
    files, user = call.system.files, call.process.user

    def change(path: str) -> None:
        if path not in files.nodes and "f" in found:
            return
        if files.nodes[known(files, path)].directory and not {"r", "R", "recursive"} & set(found):
            raise OSError("Is a directory")
        remove(files, path, user)

    return await change_each(call, "remove", operands, change)


async def rmdir(call: Call) -> int:
    """Remove empty folders."""
    _, operands = options(call.words)
    files, user = call.system.files, call.process.user

    def change(path: str) -> None:
        if not files.nodes[known(files, path)].directory:
            raise OSError("Not a directory")
        if files.children(path):
            raise OSError("Directory not empty")
        remove(files, path, user)

    return await change_each(call, "remove", operands, change)


async def mkdir(call: Call) -> int:
    """Make folders, with -p those above them too."""
    found, operands = options(call.words)
    files, user = call.system.files, call.process.user

    def change(path: str) -> None:
        if path in files.nodes:
            if "p" not in found:
                raise OSError("File exists")
            return
        nearest = next(each for each in parents(path) if each in files.nodes)
        if nearest != posixpath.dirname(path) and "p" not in found:
            raise OSError("No such file or directory")
        if not files.may(user, nearest, 2):
            raise OSError("Permission denied")
        files.directory(path, owner=user)

    return await change_each(call, "create directory", operands, change)


async def touch(call: Call) -> int:
    """Make files, or make them new."""
    _, operands = options(call.words)

    def change(path: str) -> None:
        call.system.files.create(path, call.process.user).modified = call.system.now()

    return await change_each(call, "touch", operands, change)


async def truncate(call: Call) -> int:
    """Cut files to a size (-s); they are never made longer."""
    found, operands = options(call.words, "s")
    size = int(found.get("s", found.get("size", "0")))

    def change(path: str) -> None:
        node = call.system.files.create(path, call.process.user)
        node.data, node.padding = node.data[:size], max(0, min(node.padding, size - len(node.data)))

    return await change_each(call, "open", operands, change)


async def gzip(call: Call) -> int:
    """Put files away as one twentieth of their size, with -d take them out again; what they held is kept whole."""
    found, operands = options(call.words)
    files, user = call.system.files, call.process.user

    def change(path: str) -> None:
        target = path.removesuffix(".gz") if "d" in found else f"{path}.gz"
        if target in files.nodes or target == path:
            raise OSError(f"{target} already exists" if target != path else "unknown suffix")
        node = files.nodes[known(files, path)]
        if not files.may(user, posixpath.dirname(path), 2):
            raise OSError("Permission denied")
        node.padding = node.padding * 20 if "d" in found else node.padding // 20
        files.nodes[target] = files.nodes.pop(path)

    return await change_each(call, "compress", operands, change)


async def cp(call: Call) -> int:
    """Copy one file."""
    return await copy(call, "copy", move=False)


async def mv(call: Call) -> int:
    """Move one file."""
    return await copy(call, "move", move=True)


async def change_each(call: Call, verb: str, operands: list[str], change: Callable[[str], None]) -> int:
    """Change what every operand names; 1 after a complaint."""
    status = 0
    for operand in operands:
        try:
            change(call.path(operand))
        except OSError as problem:
            status = await call.complain(f"{call.name}: cannot {verb} '{operand}': {problem}")
    return status


def known(files: FileTree, path: str) -> str:
    """The path of a node; raises OSError for what is not there, or only looks as if."""
    if path not in files.nodes:
        raise OSError("Operation not permitted" if files.exists(path) else "No such file or directory")
    return path


def remove(files: FileTree, path: str, user: str) -> None:
    """Forget a node and all below it; raises OSError where the user may not."""
    if path in KEPT:
        raise OSError("Operation not permitted")
    if not files.may(user, posixpath.dirname(path), 2):
        raise OSError("Permission denied")
    for each in files.below(path):
        del files.nodes[each]


def parents(path: str) -> Iterator[str]:
    """The folders above a path, nearest first."""
    while path != "/":
        path = posixpath.dirname(path)
        yield path


async def copy(call: Call, verb: str, *, move: bool) -> int:
    """One file to another name, or into a folder."""
    _, operands = options(call.words)
    if len(operands) != 2:
        return await call.complain(f"{call.name}: one source and one target, please: more is not simulated")
    files, user = call.system.files, call.process.user
    source, target = operands
    start, end = call.path(source), call.path(target)
    if end in files.nodes and files.nodes[end].directory:
        end = f"{end.rstrip('/')}/{posixpath.basename(start)}"
    try:
        if start == end:
            raise OSError("they are the same file")
        data = files.read(start, user)
        if move and not files.may(user, posixpath.dirname(known(files, start)), 2):
            raise OSError("Permission denied")
        node = files.create(end, user)
    except OSError as problem:
        return await call.complain(f"{call.name}: cannot {verb} '{source}' to '{target}': {problem}")
    node.data, node.padding = data, files.nodes[start].padding if start in files.nodes else 0
    if move:
        del files.nodes[start]
    return 0
