"""What a shell knows by name: variables, parameters and options."""

from collections.abc import Mapping

from bot.playground.machine.processes import Process

VALUE_LIMIT = 1024 * 1024  # characters of one variable


class Trouble(Exception):
    """A redirection or expansion that fails; the message is the shell's."""


class Variables:
    """The variables, parameters and options of one shell, and what it remembers of its commands.

    `number` is `$$`, which stays that of the first shell in subshells; `name` is `$0`, `status` is `$?`.
    """

    def __init__(self, process: Process, environment: Mapping[str, str]) -> None:
        self.process = process
        self.number = process.pid
        self.values = dict(environment)
        self.exported = set(environment)
        self.fixed: set[str] = set()
        self.options: set[str] = set()
        self.name = "sh"
        self.positional: list[str] = []
        self.status = 0
        self.last_background: int | None = None

    def below(self, process: Process) -> "Variables":
        """A copy for a subshell in its own process."""
        other = Variables(process, self.values)
        other.number, other.exported, other.fixed = self.number, set(self.exported), set(self.fixed)
        other.options, other.name, other.positional = self.options - {"m"}, self.name, list(self.positional)
        other.status, other.last_background = self.status, self.last_background
        return other

    @property
    def environment(self) -> dict[str, str]:
        """What programs are given."""
        return {name: self.values[name] for name in self.exported if name in self.values}

    def forget(self, name: str) -> None:
        """Unset a variable."""
        self.values.pop(name, None)
        self.exported.discard(name)

    def assign(self, name: str, value: str) -> None:
        """Set a variable; raises Trouble for a read-only one."""
        if name in self.fixed:
            raise Trouble(f"{name}: is read only")
        if len(value) > VALUE_LIMIT:
            raise Trouble("Cannot allocate memory")
        self.values[name] = value
        if "a" in self.options:
            self.exported.add(name)

    def value(self, name: str) -> str | None:
        """A parameter's value, None if unset."""
        if name.isdecimal():
            place = int(name)
            if place == 0:
                return self.name
            return self.positional[place - 1] if place <= len(self.positional) else None
        match name:
            case "?":
                return str(self.status)
            case "$":
                return str(self.number)
            case "!":
                return None if self.last_background is None else str(self.last_background)
            case "#":
                return str(len(self.positional))
            case "-":
                return "".join(sorted(option for option in self.options if len(option) == 1))
            case "@" | "*":
                return " ".join(self.positional) if self.positional else None
            case "PPID":
                return str(self.process.parent)
        return self.values.get(name)
