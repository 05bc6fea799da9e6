"""Open files as descriptors see them: the null device, pipes, and the limits that keep a demo small."""

import asyncio

PIPE_LIMIT = 65_536  # bytes a pipe holds before its writer waits
INPUT_LIMIT = 16 * 1024 * 1024  # bytes one program takes from a stream before it runs out of memory


class Stream:
    """An open file description. Descriptors share it; the last one to go closes it."""

    def __init__(self) -> None:
        self.holders = 0

    def hold(self) -> "Stream":
        """Count one more descriptor."""
        self.holders += 1
        return self

    def release(self) -> None:
        """Count one less; nobody left closes it."""
        self.holders -= 1
        if self.holders == 0:
            self.closed()

    def closed(self) -> None:
        """Nobody holds it any more."""

    async def read(self, limit: int) -> bytes:
        """At most `limit` bytes; empty at the end."""
        raise OSError("Bad file descriptor")

    async def write(self, data: bytes) -> None:
        """Hand over all of it; raises BrokenPipeError when nobody will read."""
        raise OSError("Bad file descriptor")


class Null(Stream):
    """/dev/null."""

    async def read(self, limit: int) -> bytes:
        """Nothing."""
        return b""

    async def write(self, data: bytes) -> None:
        """Forget it."""


class Bell:
    """Wakes everybody who waits, and can be rung again."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake them."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Until the next ring."""
        await self._event.wait()


class Pipe:
    """Bytes from one end to the other. A writer waits while `limit` bytes lie in it; None never waits."""

    def __init__(self, limit: int | None = PIPE_LIMIT) -> None:
        self.limit = limit
        self.held = bytearray()
        self.bell = Bell()
        self.unread = self.finished = False
        self.reader = PipeReader(self)
        self.writer = PipeWriter(self)


class PipeReader(Stream):
    """The end that is read."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__()
        self.pipe = pipe

    async def read(self, limit: int) -> bytes:
        """What lies there; waits for the first byte, empty once the writer is gone."""
        pipe = self.pipe
        while not pipe.held and not pipe.finished:
            await pipe.bell.wait()
        data = bytes(pipe.held[:limit])
        del pipe.held[:limit]
        pipe.bell.ring()
        return data

    def closed(self) -> None:
        """The writer learns it at its next byte."""
        self.pipe.unread = True
        self.pipe.bell.ring()


class PipeWriter(Stream):
    """The end that is written."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__()
        self.pipe = pipe

    async def write(self, data: bytes) -> None:
        """Put it in; waits for room."""
        pipe = self.pipe
        while pipe.limit is not None and len(pipe.held) >= pipe.limit and not pipe.unread:
            await pipe.bell.wait()
        if pipe.unread:
            raise BrokenPipeError
        pipe.held += data
        pipe.bell.ring()

    def closed(self) -> None:
        """The reader gets the rest, then the end."""
        self.pipe.finished = True
        self.pipe.bell.ring()


def encoded(text: str) -> bytes:
    """Text as programs write it. What `decoded` could not read comes out as it went in."""
    return text.encode("utf-8", "surrogateescape")


def decoded(data: bytes | bytearray) -> str:
    """Bytes as text, whatever they are."""
    return data.decode("utf-8", "surrogateescape")


async def everything(stream: Stream) -> bytes:
    """All that comes; raises OSError when it is more than a demo should hold."""
    held = bytearray()
    while chunk := await stream.read(PIPE_LIMIT):
        held += chunk
        if len(held) > INPUT_LIMIT:
            raise OSError("Cannot allocate memory")
    return bytes(held)
