"""For authors' own tests: runbooks of a folder, what is wrong with them, and a host that answers from a table."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runbooks import catalog, checking
from runbooks.commands import shell_line
from runbooks.definition import Duration, Reading, Results, Runbook
from safety.command_guard import CommandGuard, Severity


def load(folder: Path, name: str) -> Runbook:
    """The runbook of this name, as `handrail serve` would load it from this folder."""
    return catalog.build([folder]).get(name).runbook


def problems(folder: Path, name: str) -> list[str]:
    """What `handrail runbooks check` would say of it; nothing when all is well."""
    found = checking.check(catalog.build([folder]), CommandGuard())
    return [finding.message for finding in found if finding.runbook in {name, ""}]


@dataclass
class FakeHost:
    """A probe's host: answers are output, or output and exit status, by the command line as a shell would read it.

    A command that the guard would not let a probe run fails the test, and so does one without an answer.
    """

    answers: Mapping[str, str | tuple[str, int]] = field(default_factory=dict)
    name: str = "web-01"
    login: str = "ops"
    sudoers: Collection[str] = ()  # the lines that may be run as root
    results: Results = field(default_factory=Results)  # what earlier stages printed

    async def read(
        self, *argv: str, sudo: bool = False, allow_exit: Collection[int] = (0,), timeout: Duration = 20
    ) -> Reading:
        """As the table says."""
        line = shell_line(argv, sudo=sudo)
        judged = CommandGuard().judge_read_only(line)
        assert judged.verdict is Severity.ALLOW, f"A probe may not run `{line}`: {judged.reason}"  # noqa: S101
        assert line in self.answers, f"There is no answer to `{line}`."  # noqa: S101
        answer = self.answers[line]
        text, status = answer if isinstance(answer, tuple) else (answer, 0)
        assert status in allow_exit, f"`{line}` ended with {status}, which the probe does not expect."  # noqa: S101
        return Reading(text.strip(), exit_status=status)

    def may_read(self, *argv: str) -> bool:
        """Whether it could run as soon as somebody types it."""
        return CommandGuard().only_looks(shell_line(argv))

    async def lacks(self, *argv: str) -> str | None:
        """None for what `sudoers` holds, and for root."""
        line = shell_line(argv)
        return None if self.login == "root" or line in self.sudoers else f"{self.login} ALL=(root) NOPASSWD: {line}"
