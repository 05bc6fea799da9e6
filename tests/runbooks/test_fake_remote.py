"""The fake hosts of the tests keep the contract of every remote."""

import itertools
from dataclasses import dataclass, field, replace

import pytest

from runbooks.remote import Ended, Host, Line, RemoteCommand
from storage.errors import HostUnreachable
from storage.records import Death
from tests.builders import hosts
from tests.fakes import FakeRemote, Reply
from tests.runbooks.remote_contract import RemoteContract

HOST = hosts().hosts[0]


@dataclass
class TableBed:
    """A row of the table for each behaviour."""

    remote: FakeRemote = field(default_factory=FakeRemote)
    host: Host = HOST
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def _row(self, reply: Reply) -> str:
        line = f"command-{next(self.numbers)};"
        self.remote.replies[line] = reply
        return line

    def prints(self, out: str, err: str = "", status: int = 0) -> str:
        """As told."""
        return self._row(Reply(out=out, err=err, status=status))

    def hangs(self) -> str:
        """Until stopped."""
        return self._row(Reply(hangs=True))

    def unreachable(self) -> tuple[Host, str]:
        """A host of its own name."""
        away = replace(self.host, name="web-09")
        return away, self._row(Reply(raises=HostUnreachable(away.name, "No answer.")))


class TestFakeRemote(RemoteContract):
    """On a table."""

    @pytest.fixture
    def bed(self) -> TableBed:
        """Empty."""
        return TableBed()


async def test_what_no_row_knows_is_no_program() -> None:
    lines: list[Line] = []
    finished = await FakeRemote().run(HOST, RemoteCommand(line="frobnicate -x"), on_line=lines.append)
    assert (finished.exit_status, [line.text for line in lines]) == (127, ["sh: frobnicate: not found"])


async def test_the_longest_row_that_fits_counts() -> None:
    remote = FakeRemote(replies={"a": Reply(status=1), "a b": Reply(status=2), "a b c": Reply(status=3)})
    said = [(await remote.run(HOST, RemoteCommand(line=line))).exit_status for line in ("a x", "a b", "a b c d")]
    assert said == [1, 2, 3]


async def test_lines_beyond_the_bound_are_counted_and_not_handed_over() -> None:
    lines: list[Line] = []
    remote = FakeRemote(replies={"a": Reply(out="1\n2\n3\n4\n5")})
    finished = await remote.run(HOST, RemoteCommand(line="a", max_lines=2), on_line=lines.append)
    assert ([line.text for line in lines], finished.lines, finished.dropped) == (["1", "2"], 2, 3)


@pytest.mark.parametrize(("stubborn", "death"), [(False, Death.STOPPED), (True, Death.STILL_RUNNING)])
async def test_a_command_that_takes_too_long_says_what_a_look_found(stubborn: bool, death: Death) -> None:
    remote = FakeRemote(replies={"a": Reply(times_out=True, ignores_term=stubborn)})
    finished = await remote.run(HOST, RemoteCommand(line="a"))
    assert (finished.ended, finished.death, finished.exit_status) == (Ended.TIMED_OUT, death, None)
    assert bool(finished.survivors) is stubborn
