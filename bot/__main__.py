"""The command line. Heavy modules are imported inside the commands, so that `--help` answers at once.

Exit status: 0 good, 1 a bad finding, 2 usage or configuration.
"""

import asyncio
import contextlib
import getpass
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from storage.records import Actor

app = typer.Typer(
    name="handrail",
    help="Plan, approve and run operations from Slack, and prove afterwards what happened.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
audit_app = typer.Typer(help="The append-only record of who did what.", no_args_is_help=True)
db_app = typer.Typer(help="The database.", no_args_is_help=True)
hosts_app = typer.Typer(help="The hosts of handrail.yml.", no_args_is_help=True)
guard_app = typer.Typer(help="The command guard.", no_args_is_help=True)
letters_app = typer.Typer(help="Messages that Slack would not take.", no_args_is_help=True)
for name, sub in (
    ("hosts", hosts_app),
    ("guard", guard_app),
    ("audit", audit_app),
    ("dead-letters", letters_app),
    ("db", db_app),
):
    app.add_typer(sub, name=name)

FREE_WORDS = {"ignore_unknown_options": True}
"""For commands whose words have flags of their own: `--reason`, `--dry-run`."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def out(text: str = "") -> None:
    """What was asked for."""
    typer.echo(text)


def note(text: str) -> None:
    """What helps a person to follow; never mixed with what a script reads."""
    typer.echo(text, err=True)


def colour(text: str, name: str) -> str:
    """Coloured on a terminal only, and not where NO_COLOR is set."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return typer.style(text, fg=name)


def fail(message: str, status: int = 2) -> NoReturn:
    """Say it and end."""
    for line in message.splitlines():
        note(line)
    raise typer.Exit(status)


@contextlib.contextmanager
def in_words(status: int = 1) -> Iterator[None]:
    """Errors an operator can act on are said, with exit status 2 for settings and this one for the rest.

    Anything else is a fault: `main` gives the person a reference and the log the traceback.
    """
    from storage.errors import ConfigurationError, OperatorError

    try:
        yield
    except ConfigurationError as error:
        fail("\n".join(["Handrail cannot go on:", *(f"  - {complaint}" for complaint in error.complaints)]))
    except OperatorError as error:
        fail(error.message, status)
    except KeyboardInterrupt:
        fail("Stopped.", 130)


def listen_quietly() -> None:
    """Warnings only, on standard error: standard output is what was asked for."""
    from bot import logs

    logs.configure(secrets=_tokens(), quiet=True)


def _tokens() -> list[str]:
    """Whatever the environment holds that must not be shown, before the settings are known to be right."""
    from bot import settings

    return settings.held_secrets()


def actor() -> "Actor":
    """Who sits at this command line."""
    from storage.records import Actor

    try:
        login = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        login = str(os.getuid())
    return Actor(id=f"cli:{login}"[:64], name=login[:64])


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        out(f"handrail {version('handrail')}")
        raise typer.Exit


@app.callback()
def handrail(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and end.")
    ] = False,
) -> None:
    """Plan, approve and run operations from Slack, and prove afterwards what happened."""


# --- running ----------------------------------------------------------------------------------------------------------


@app.command()
def serve(verbose: Annotated[bool, typer.Option(help="Log debug messages too.")] = False) -> None:
    """Run the bot: Slack, the executions, the thread. Until SIGTERM."""
    with in_words():
        from bot import logs, settings

        loaded = settings.load()
        logs.configure(secrets=loaded.secrets(), verbose=verbose)
        from bot import app as bot_app  # after the settings, whose complaints should not have to wait for it

        if loaded.slack is None:
            fail("SLACK_BOT_TOKEN is missing.")
        slack = loaded.slack
        ways = [w for w, used in (("HTTP", slack.signing_secret), ("Socket Mode", slack.app_token)) if used]

        def ready(port: int) -> None:
            note(f"Handrail listens on {loaded.host}:{port} ({' and '.join(ways)}).")

        asyncio.run(bot_app.serve(loaded, slack, on_ready=ready))


@app.command(short_help="Try it: a local workspace, demo hosts, and the bot between.")
def demo(
    port: Annotated[int, typer.Option(help="Port of the page; 0 takes a free one.")] = 0,
    check: Annotated[bool, typer.Option("--check", help="Play the story without a browser, and verify it.")] = False,
) -> None:
    """A local workspace, demo hosts and the bot between them, with a page to try it. Everything is simulated."""
    with in_words():
        from bot import logs

        logs.configure(secrets=(), quiet=True)
        raise typer.Exit(asyncio.run(_demo_check() if check else _demo(port)))


async def _demo(port: int) -> int:
    import signal

    from bot.demo import FIRST_LINE
    from bot.demo import demo as start

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with start(port=port) as running:
        out(f"The local workspace (simulated) is at {colour(running.url, 'cyan')}")
        out(f"Type there, in #incidents:  {colour(FIRST_LINE, 'green')}")
        out("Alice is an admin, Bob is on call, Carol approves, Dave has no role. Ctrl-C ends it.")
        sys.stdout.flush()
        await stop.wait()
    return 0


async def _demo_check() -> int:
    from bot.demo import demo as start
    from bot.playground.story import CHANNEL, StoryError, play
    from storage import audit

    async with start(rate_limits=False) as running:
        wrong: str | None = None
        try:
            await play(running.workspace, lambda title: note(f"… {title}"))
        except StoryError as error:
            wrong = str(error)
        out(running.workspace.transcript(CHANNEL))
        found = await running.app.database.read(audit.verify)
        out(f"\nThe audit has {found.entries} entries and {'verifies' if found.ok else 'does NOT verify'}.")
        if wrong is not None:
            note(colour("The story went wrong: ", "red") + wrong)
            return 1
        out(colour("The story went as it should.", "green"))
        return 0 if found.ok else 1


# --- speaking to it from a shell --------------------------------------------------------------------------------------


@app.command(context_settings=FREE_WORDS, short_help="Ask the running Handrail, and follow what comes of it.")
def say(
    text: Annotated[list[str], typer.Argument(help="As typed in Slack: /runbook restart nginx on web-01")],
    channel: Annotated[str | None, typer.Option(help="Channel id in which the thread is to stand.")] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to follow it; 0 returns at once.")] = 300.0,
    as_json: Json = False,
) -> None:
    """Say something to the running Handrail, as at this command line, and follow what comes of it.

    You act as cli:LOGIN, which needs a role in handrail.yml like anybody.
    """
    with in_words():
        from bot import shell

        listen_quietly()
        asked = shell.say(" ".join(text), actor(), channel=channel, wait=wait, as_json=as_json, out=out, note=note)
        raise typer.Exit(asyncio.run(asked))


@app.command(context_settings=FREE_WORDS, short_help="Stop everything, or one part of it, without Slack.")
def killswitch(
    words: Annotated[list[str], typer.Argument(help="global on [reason] | service NAME on | … off REASON | status")],
    now: Annotated[bool, typer.Option("--now", help="End what is running, too, and say what was found.")] = False,
    as_json: Json = False,
) -> None:
    """Engage or release a kill switch without Slack: handrail killswitch global on --now

    Kinds: global, service NAME, runbook NAME, host NAME. A running Handrail obeys within half a second.
    """
    with in_words():
        from bot import shell

        listen_quietly()
        thrown = shell.killswitch(words, actor(), now=now, as_json=as_json, out=out, note=note)
        raise typer.Exit(asyncio.run(thrown))


@audit_app.command("verify")
def audit_verify(
    against: Annotated[str | None, typer.Option(help="A head noted earlier: it must still be in the chain.")] = None,
    as_json: Json = False,
) -> None:
    """Check the whole chain; name every entry that was changed or is missing. Exit 1 if any."""
    with in_words(2):
        from bot import shell

        listen_quietly()
        found = asyncio.run(shell.verify(against))
        if as_json:
            out(json.dumps({"ok": found.ok, "entries": found.entries, "head": found.head, "problems": found.problems}))
        elif found.ok:
            out(f"{colour('The audit verifies.', 'green')} {found.entries} entries, head {found.head}")
        else:
            out(colour("The audit does NOT verify:", "red"))
            for problem in found.problems:
                out(f"  - {problem}")
        raise typer.Exit(0 if found.ok else 1)


@letters_app.command("list")
def letters_list(as_json: Json = False) -> None:
    """Show them, newest first. Exit 1 if there are any."""
    with in_words(2):
        from bot import shell

        listen_quietly()
        raise typer.Exit(asyncio.run(shell.dead_letters(as_json=as_json, out=out)))


Letters = Annotated[list[str], typer.Argument(help="Their ids, or enough of the beginning.")]


@letters_app.command("requeue")
def letters_requeue(ids: Letters) -> None:
    """Try to say them again."""
    _move_letters(ids, requeue=True)


@letters_app.command("discard")
def letters_discard(ids: Letters) -> None:
    """Take them away; the audit remembers who did."""
    _move_letters(ids, requeue=False)


def _move_letters(ids: list[str], *, requeue: bool) -> None:
    with in_words():
        from bot import shell

        listen_quietly()
        raise typer.Exit(asyncio.run(shell.move_dead_letters(ids, actor(), requeue=requeue, out=out)))


@db_app.command("upgrade")
def db_upgrade() -> None:
    """Bring the schema up to date; refused while a Handrail owns the SQLite file."""
    with in_words(2):
        from bot import shell

        listen_quietly()
        out(asyncio.run(shell.upgrade()))


# --- checking ---------------------------------------------------------------------------------------------------------


@app.command(short_help="Check settings, database, Slack and every host.")
def doctor(as_json: Json = False) -> None:
    """Check settings, database, Slack and every host, and say what to do about each failure."""
    with in_words():
        from bot import doctor as checks

        listen_quietly()
        raise typer.Exit(asyncio.run(checks.run(as_json=as_json, out=out, note=note, colour=colour)))


@hosts_app.command("check")
def hosts_check(
    names: Annotated[list[str] | None, typer.Argument(help="Only these: names, or tag:NAME.")] = None,
    as_json: Json = False,
) -> None:
    """Reach every host with its key, and say what to do about those that fail. Exit 1 if any."""
    with in_words(2):
        from bot import doctor as checks

        listen_quietly()
        raise typer.Exit(asyncio.run(checks.check_hosts(names or [], as_json=as_json, out=out, colour=colour)))


@guard_app.command("check")
def guard_check(
    read_only: Annotated[bool, typer.Option("--read-only", help="Judge by the guard of probes.")] = False,
) -> None:
    """Judge commands from standard input, one a line or JSON lines with `cmd`; prints a JSON line each.

    Exit 1 when any is refused.
    """
    listen_quietly()
    from safety.command_guard import CommandGuard

    guard, refused = CommandGuard(), False
    for line in sys.stdin:
        text = line.rstrip("\r\n")
        if not text.strip():
            continue
        command = _command_in(text)
        judged = guard.judge_read_only(command) if read_only else guard.judge(command)
        refused = refused or judged.verdict == "refuse"
        out(
            json.dumps(
                {"cmd": command, "verdict": str(judged.verdict), "rule": judged.rule, "reason": judged.reason},
                ensure_ascii=False,
            )
        )
    raise typer.Exit(1 if refused else 0)


def _command_in(text: str) -> str:
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except ValueError:
            return text
        if isinstance(found, dict) and isinstance(found.get("cmd"), str):
            return str(found["cmd"])
    return text


@app.command(short_help="Filter secrets out of standard input.")
def redact(as_json: Json = False) -> None:
    """Filter secrets from standard input to standard output, line by line. With --json: JSON lines with `text`.

    The values of the secrets in our environment are masked wherever they occur. Everything else stays byte for byte.
    """
    from bot.filter import redact_json, redact_text
    from safety.redaction import Redactor

    filtered = redact_json if as_json else redact_text
    with in_words(2):
        try:
            filtered(sys.stdin.buffer, sys.stdout.buffer, Redactor(_tokens()))
        except BrokenPipeError:  # nobody reads any more; Python would complain once more on its way out
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@app.command(short_help="Print the Slack app's manifest.")
def manifest(
    url: Annotated[str | None, typer.Option(help="Public address of POST /slack/events; none for Socket Mode.")] = None,
) -> None:
    """Print the Slack app's manifest for these commands and buttons."""
    from bot.manifest import as_yaml, public_url

    address = None if url is None else public_url(url)
    if url is not None and address is None:
        fail(f"'{url}' is no address Slack can reach. Write one like https://handrail.example.com/slack/events.")
    sys.stdout.write(as_yaml(address))


def main() -> None:
    """Entry point. Whatever goes wrong, a person reads a sentence; the traceback goes to the log."""
    try:
        app(prog_name="handrail")
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:  # the last door before a person
        raise SystemExit(_fault(error)) from None


def _fault(error: Exception) -> int:
    """Say a reference; the traceback goes to the log, or to a file where the log would be the person's terminal."""
    import secrets

    reference = secrets.token_hex(4)
    where = "the log has the details"
    if sys.stderr.isatty():
        where = f"the details are in {_written(error, reference)}"
    else:
        import structlog

        listen_quietly()
        structlog.get_logger("handrail").error("fault", reference=reference, exc_info=error)
    note(f"Something went wrong that should not have ({type(error).__name__}, reference {reference}); {where}.")
    return 1


def _written(error: Exception, reference: str) -> str:
    import tempfile
    import traceback

    from safety.redaction import Redactor

    text = Redactor(_tokens()).redact("".join(traceback.format_exception(error))).text
    handle, path = tempfile.mkstemp(prefix=f"handrail-{reference}-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return path


if __name__ == "__main__":
    main()
