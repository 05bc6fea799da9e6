"""Run one command line, as typed."""

from pydantic import Field

from runbooks import (
    Category,
    CommandLine,
    Expect,
    Facts,
    Parameters,
    Plan,
    Probe,
    Run,
    Runbook,
    Sample,
    Seconds,
    minutes,
    positional,
)


class RunCommand(Runbook):
    """Run one command line, as typed, in quotes.

    The command guard reads the line as the host's shell will. One that is known to only read runs at once, beside
    whatever else runs on the host; not if it could carry what it reads elsewhere. Every other one waits for somebody
    else's approval, whatever `danger:` and `approvals:` say in handrail.yml. A destructive one is refused. The line
    runs as the login user, in `sh`; write `sudo -n` where it needs root. What it changed cannot be undone from here,
    and it is never repeated by itself.

    It has succeeded if it ended with 0, or with one of `also`: `grep` ends with 1 when it finds nothing.
    """

    name, aliases, category = "run-command", ("run", "sh"), Category.DIAGNOSTICS
    cooldown, timeout = minutes(0), minutes(15)
    no_undo = "What a typed line does cannot be undone from here."
    example = 'run "df -h /var" on web-01'

    class Params(Parameters):
        """The line, and how long it may take."""

        command: CommandLine = positional("one command line, in quotes")
        limit: Seconds = Field(60, ge=1, le=600, description="how long it may take, in seconds")
        also: int = Field(0, ge=0, le=255, description="another exit status that means success")

    def typed_command(self, params: Params) -> tuple[str, ...]:
        """Exactly the words that reach the host."""
        return ("sh", "-c", params.command)

    async def probe(self, host: Probe, params: Params) -> Facts:
        """Whether the line only reads, as the guard of probes sees it on this host. Nothing is sent."""
        return Facts(reads=host.may_read(*self.typed_command(params)))

    def plan(self, params: Params, facts: Facts) -> Plan:
        """One step: a look, or a command that changes something."""
        words, good = self.typed_command(params), {0, params.also}
        if facts.reads:
            return Plan(Expect("Run it", *words, timeout=params.limit, allow_exit=good, within=0))
        return Plan(
            Run("Run it", *words, timeout=params.limit, allow_exit=good),
            note="This line was typed by hand, and what it does is not checked afterwards.",
        )

    samples = (
        Sample("'df -h /var'", Facts(reads=True), when="a line that only reads"),
        Sample("'touch /tmp/maintenance'", Facts(reads=False), when="a line that changes something"),
    )
