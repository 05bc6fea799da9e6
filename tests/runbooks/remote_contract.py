"""What every `Remote` does, asked through the port alone. The real adapter and the fake both pass it.

A subclass in a test module gives a fixture `bed`: a `Bed` is a remote, a host of it, and the commands that this host
knows for each behaviour (shell text for a real host, a row of the table for a fake).
"""

import asyncio
import secrets
from typing import Protocol

import pytest

from runbooks.remote import (
    Ended,
    Finished,
    Host,
    Line,
    NotKnown,
    Remote,
    RemoteCommand,
    StillRunning,
    StopCord,
    Stream,
)
from storage.errors import HostUnreachable
from storage.records import Death


class Bed(Protocol):
    """A remote and what its host does. Every method returns a command line."""

    remote: Remote
    host: Host

    def prints(self, out: str, err: str = "", status: int = 0) -> str:
        """Prints these texts and ends with this status."""
        ...

    def hangs(self) -> str:
        """Runs until it is stopped; TERM is enough."""
        ...

    def unreachable(self) -> tuple[Host, str]:
        """A host that does not answer, and a command for it."""
        ...


async def started(bed: Bed, cord: StopCord, token: str | None = None) -> tuple["asyncio.Task[Finished]", int]:
    """A hanging command, and its group."""
    loop = asyncio.get_running_loop()
    group: asyncio.Future[int] = loop.create_future()
    command = RemoteCommand(line=bed.hangs(), timeout=30, token=token)
    task = loop.create_task(bed.remote.run(bed.host, command, cord=cord, on_group=group.set_result))
    async with asyncio.timeout(10):
        return task, await group


async def settled(bed: Bed, token: str) -> Finished | StillRunning | NotKnown:
    """The answer once the command has begun."""
    async with asyncio.timeout(10):
        while isinstance(found := await bed.remote.attend(bed.host, token), NotKnown) and found.early:
            await asyncio.sleep(0.02)
    return found


class RemoteContract:
    """Inherit, and give `bed`."""

    async def test_a_command_that_ends_says_its_status(self, bed: Bed) -> None:
        finished = await bed.remote.run(bed.host, RemoteCommand(line=bed.prints("", status=3)))
        assert (finished.ended, finished.exit_status, finished.signal) == (Ended.EXITED, 3, None)
        assert finished.death is None
        assert finished.survivors == ()

    async def test_both_streams_arrive_line_by_line_each_in_its_order(self, bed: Bed) -> None:
        lines: list[Line] = []
        line = bed.prints("one\ntwo\nthree\n", err="four\nfive\n")
        finished = await bed.remote.run(bed.host, RemoteCommand(line=line), on_line=lines.append)
        assert [each.text for each in lines if each.stream is Stream.OUT] == ["one", "two", "three"]
        assert [each.text for each in lines if each.stream is Stream.ERR] == ["four", "five"]
        assert (finished.lines, finished.dropped) == (5, 0)
        assert not any(each.altered for each in lines)

    async def test_the_group_is_told_once_and_before_the_first_line(self, bed: Bed) -> None:
        told: list[object] = []
        line = bed.prints("hello\n")
        finished = await bed.remote.run(bed.host, RemoteCommand(line=line), on_line=told.append, on_group=told.append)
        assert told == [finished.group, Line(stream=Stream.OUT, text="hello")]

    async def test_a_pulled_cord_stops_the_command_and_says_that_it_is_gone(self, bed: Bed) -> None:
        cord = StopCord()
        task, group = await started(bed, cord)
        cord.pull("enough", grace=0.3)
        finished = await task
        assert (finished.ended, finished.death, finished.group) == (Ended.STOPPED, Death.STOPPED, group)
        assert await bed.remote.look(bed.host, [group]) == {group: ()}

    async def test_a_stop_touches_only_its_own_command(self, bed: Bed) -> None:
        one, other = StopCord(), StopCord()
        first, _ = await started(bed, one)
        second, _ = await started(bed, other)
        one.pull("enough")
        assert (await first).ended is Ended.STOPPED
        await asyncio.sleep(0)
        assert not second.done()
        other.pull("enough")
        assert (await second).ended is Ended.STOPPED

    async def test_a_cord_that_was_pulled_before_leaves_nothing_running(self, bed: Bed) -> None:
        cord = StopCord()
        cord.pull("enough", grace=0.3)
        finished = await bed.remote.run(bed.host, RemoteCommand(line=bed.hangs()), cord=cord)
        assert (finished.ended, finished.death) == (Ended.STOPPED, Death.STOPPED)

    async def test_groups_that_are_long_gone_are_stopped(self, bed: Bed) -> None:
        finished = await bed.remote.run(bed.host, RemoteCommand(line=bed.prints("done\n")))
        assert finished.group is not None
        assert await bed.remote.end_groups(bed.host, [finished.group], grace=0.1) == {finished.group: Death.STOPPED}
        assert await bed.remote.look(bed.host, [finished.group]) == {finished.group: ()}

    async def test_no_groups_are_no_question(self, bed: Bed) -> None:
        assert await bed.remote.end_groups(bed.host, [], grace=0.1) == {}
        assert await bed.remote.look(bed.host, []) == {}

    async def test_many_commands_run_at_once(self, bed: Bed) -> None:
        line = bed.prints("hello\n")
        runs = [bed.remote.run(bed.host, RemoteCommand(line=line)) for _ in range(30)]
        assert [each.exit_status for each in await asyncio.gather(*runs)] == [0] * 30

    @pytest.mark.parametrize("status", [0, 3])
    async def test_a_command_with_a_token_can_be_asked_about_when_it_is_over(self, bed: Bed, status: int) -> None:
        token = secrets.token_hex(16)
        lines: list[str] = []
        command = RemoteCommand(line=bed.prints("one\ntwo\n", status=status), token=token)
        finished = await bed.remote.run(bed.host, command, on_line=lambda line: lines.append(line.text))
        assert (finished.ended, finished.exit_status, lines) == (Ended.EXITED, status, ["one", "two"])
        found = await bed.remote.attend(bed.host, token)
        assert isinstance(found, Finished)
        assert (found.ended, found.exit_status, found.group) == (Ended.EXITED, status, finished.group)
        bed.remote.forget(bed.host, token)
        bed.remote.forget(bed.host, token)

    async def test_a_command_with_a_token_can_be_asked_about_while_it_runs(self, bed: Bed) -> None:
        one, other = secrets.token_hex(16), secrets.token_hex(16)
        cord = StopCord()
        first, group = await started(bed, cord, one)
        second, another = await started(bed, cord, other)
        assert await settled(bed, one) == StillRunning(group=group)
        assert await settled(bed, other) == StillRunning(group=another)
        cord.pull("enough", grace=0.3)
        for task in (first, second):
            finished = await task
            assert (finished.ended, finished.death) == (Ended.STOPPED, Death.STOPPED)
        assert not isinstance(await bed.remote.attend(bed.host, one), StillRunning)

    async def test_of_a_token_that_was_never_sent_nothing_is_known(self, bed: Bed) -> None:
        found = await bed.remote.attend(bed.host, secrets.token_hex(16))
        assert isinstance(found, NotKnown)
        assert (found.group, found.early) == (None, True)
        assert bed.host.name in found.reason

    async def test_a_host_that_answers_is_reported_well(self, bed: Bed) -> None:
        report = await bed.remote.check(bed.host)
        assert report.ok, report.message
        assert report.host == bed.host.name

    async def test_a_host_that_does_not_answer_is_said_to_be_unreachable(self, bed: Bed) -> None:
        host, line = bed.unreachable()
        with pytest.raises(HostUnreachable) as refused:
            await bed.remote.run(host, RemoteCommand(line=line))
        assert refused.value.host == host.name

    async def test_closing_twice_is_closing_once(self, bed: Bed) -> None:
        await bed.remote.close()
        await bed.remote.close()
