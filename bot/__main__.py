"""The command line. Heavy modules are imported inside the commands, so that `--help` answers at once.

Exit status: 0 good, 1 a bad finding, 2 usage or configuration.
"""

import asyncio
import contextlib
import gc
import getpass
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from storage.audit import Verification, Wanted
    from storage.export import FileVerification
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
runbooks_app = typer.Typer(help="The runbooks: Handrail's and the team's own.", no_args_is_help=True)
secrets_app = typer.Typer(help="Passwords, keys and tokens, sealed in the database.", no_args_is_help=True)
letters_app = typer.Typer(help="Messages that Slack would not take.", no_args_is_help=True)
for name, sub in (
    ("hosts", hosts_app),
    ("guard", guard_app),
    ("runbooks", runbooks_app),
    ("audit", audit_app),
    ("secrets", secrets_app),
    ("dead-letters", letters_app),
    ("db", db_app),
):
    app.add_typer(sub, name=name)

FREE_WORDS = {"ignore_unknown_options": True}
"""For commands whose words have flags of their own: `--reason`, `--dry-run`."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """What is imported stays: looking for garbage among it takes a seventh of the time until all is there."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


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
def serve(
    verbose: Annotated[bool, typer.Option(help="Log debug messages too.")] = False,
    no_execute: Annotated[
        bool, typer.Option("--no-execute", help="Leave the executions to workers; needs PostgreSQL.")
    ] = False,
) -> None:
    """Run the bot: Slack, the executions, the thread. Until SIGTERM."""
    with in_words():
        with uncollected():
            from bot import logs, settings

            loaded = settings.load()
            logs.configure(secrets=loaded.secrets(), verbose=verbose)
            from bot import app as bot_app  # after the settings, whose complaints should not have to wait for it

        if loaded.slack is None:
            fail("SLACK_BOT_TOKEN is missing.")
        slack = loaded.slack
        ways = [w for w, used in (("HTTP", slack.signing_secret), ("Socket Mode", slack.app_token)) if used]

        def ready(port: int) -> None:
            who = "; workers execute" if no_execute else ""
            note(f"Handrail listens on {loaded.host}:{port} ({' and '.join(ways)}){who}.")

        asyncio.run(bot_app.serve(loaded, slack, on_ready=ready, executes=not no_execute))


@app.command(short_help="Carry out executions beside one or more `serve`, on any machine.")
def worker(verbose: Annotated[bool, typer.Option(help="Log debug messages too.")] = False) -> None:
    """Carry out what was asked for elsewhere, until SIGTERM. Any number, on any machine; needs no Slack tokens.

    HANDRAIL_DATABASE_URL must name the PostgreSQL that `serve` uses, and handrail.yml must be the same.
    With HANDRAIL_LISTEN set, /healthz and /readyz are answered there.
    """
    with in_words():
        with uncollected():
            from bot import logs, settings

            loaded = settings.load(slack=False)
            logs.configure(secrets=loaded.secrets(), verbose=verbose)
            from bot import app as bot_app

        def ready(owner: str) -> None:
            where = f", and listens on {loaded.host}:{loaded.port}" if loaded.listens else ""
            note(f"This worker ({owner}) is ready{where}.")

        asyncio.run(bot_app.work(loaded, on_ready=ready))


@app.command(short_help="Try it: a local workspace, demo hosts, and the bot between.")
def demo(
    port: Annotated[int | None, typer.Option(help="Port of the page; 0 takes a free one. (4242 if it is free)")] = None,
    library: Annotated[Path | None, typer.Option(help="A folder of your own runbooks, to try them there.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Play the story without a browser, and verify it.")] = False,
) -> None:
    """A local workspace, demo hosts and the bot between them, with a page to try it. Everything is simulated."""
    with in_words():
        from bot import logs

        logs.configure(secrets=(), quiet=True)
        raise typer.Exit(asyncio.run(_demo_check(library) if check else _demo(port, library)))


async def _demo(port: int | None, library: Path | None) -> int:
    import signal

    from bot.demo import FIRST_LINE, PORT, usual_port
    from bot.demo import demo as start

    wanted = usual_port() if port is None else port
    note("Starting a local workspace, two demo hosts and the bot between them …")

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with start(port=wanted, library=library) as running:
        for said in running.app.settings.catalog.left_out:
            note(f"Left out: {said}")
        if port is None and not wanted:
            out(f"Port {PORT} is taken, perhaps by another demo, so the page is elsewhere this time.")
        out("The demo runs. Open this in a browser:\n")
        out(f"    {colour(running.url, 'cyan')}\n")
        out("and type, in #incidents:\n")
        out(f"    {colour(FIRST_LINE, 'green')}\n")
        out("You are Alice, an admin. The menu on top of the page makes you Bob (on call), Carol (approves) or Dave")
        out("(no role). All but the bot is simulated, and nothing is kept: the next start begins anew. Ctrl-C ends it.")
        sys.stdout.flush()
        await stop.wait()
    out("\nThe demo has ended, and nothing of it is left.")
    return 0


async def _demo_check(library: Path | None) -> int:
    from bot.demo import demo as start
    from bot.playground.story import CHANNEL, StoryError, play
    from storage import audit

    async with start(rate_limits=False, library=library) as running:
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

    Kinds: global, service NAME, runbook NAME, host NAME, tag NAME. A running Handrail obeys within half a second.
    """
    with in_words():
        from bot import shell

        listen_quietly()
        thrown = shell.killswitch(words, actor(), now=now, as_json=as_json, out=out, note=note)
        raise typer.Exit(asyncio.run(thrown))


Against = Annotated[
    str | None, typer.Option(help="A head noted earlier (HASH or SEQ:HASH): it must still be in the chain.")
]


@audit_app.command("verify")
def audit_verify(
    against: Against = None,
    file: Annotated[Path | None, typer.Option(help="Check this export instead, without any database.")] = None,
    as_json: Json = False,
) -> None:
    """Check the whole chain; name every entry that was changed or is missing. Exit 1 if any."""
    with in_words(2):
        from bot import shell

        listen_quietly()
        if file is not None:
            _verified(shell.verify_file(file, against), f"The export {file}", as_json=as_json)
        _verified(asyncio.run(shell.verify(against)), "The audit", as_json=as_json)


def _verified(found: "Verification | FileVerification", what: str, *, as_json: bool) -> NoReturn:
    if as_json:
        out(json.dumps({"ok": found.ok, **asdict(found)}))
    elif found.ok:
        out(f"{colour(f'{what} verifies.', 'green')} {found.words}")
    else:
        out(colour(f"{what} does NOT verify:", "red"))
        for problem in found.problems:
            out(f"  - {problem}")
    raise typer.Exit(0 if found.ok else 1)


@audit_app.command("export")
def audit_export(
    since: Annotated[str | None, typer.Option(help="From when on: 2026-11-20, 2026-11-20T10:00 (UTC), or 24h.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to when, that moment not included.")] = None,
    execution: Annotated[int | None, typer.Option(help="Only those of this execution.")] = None,
    incident: Annotated[str | None, typer.Option(help="Only those that belong to this channel (an id).")] = None,
    actor_id: Annotated[str | None, typer.Option("--actor", help="Only this person's: UALICE, or cli:LOGIN.")] = None,
    runbook: Annotated[str | None, typer.Option(help="Only those about this runbook.")] = None,
    host: Annotated[str | None, typer.Option(help="Only those about this host.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind, and the kinds below it.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="Only those that hold this; may be repeated.")] = None,
    output: Annotated[Path | None, typer.Option(help="A file that only you can read, written whole.")] = None,
) -> None:
    """Write audit entries as JSON lines, oldest first, with a checksum on the last line. The export is audited.

    `handrail audit verify --file FILE` checks one without a database.
    """
    with in_words(2):
        from bot import shell
        from bot.request import moment
        from safety.clock import SystemClock

        listen_quietly()
        now = SystemClock().now()
        wanted: Wanted = {
            "since": moment(since, now) if since else None,
            "until": moment(until, now) if until else None,
            "execution_id": execution,
            "incident": incident,
            "actor": actor_id,
            "runbook": runbook,
            "host": host,
            "kind": kind,
            "words": tuple(text or ()),
        }
        made = asyncio.run(shell.export_audit(wanted, actor(), output=output, to=sys.stdout.buffer))
        note(f"{made.entries} entries, {output or 'here'}; checksum {made.sha256}")


# --- secrets ----------------------------------------------------------------------------------------------------------


@secrets_app.command("key")
def secrets_key() -> None:
    """Print a new random key, for HANDRAIL_SECRET_KEY or a file that HANDRAIL_SECRET_KEY_FILE names.

    Keep a copy apart from the database's backups: without it nothing sealed can be opened.
    """
    from safety.sealing import new_key

    out(new_key())


SecretName = Annotated[str, typer.Argument(help="Like host/web-01/password.")]


@secrets_app.command("set")
def secrets_set(name: SecretName) -> None:
    """Store a secret: its value is read from standard input, or asked for without being shown. Never an argument.

    One line end at the end is not part of it.
    """
    with in_words(2):
        from bot import vault

        listen_quietly()
        out(asyncio.run(vault.store(name, lambda: _value(name), actor())))


def _value(name: str) -> str:
    from storage.errors import Invalid

    if sys.stdin.isatty():
        first = getpass.getpass(f"Value for {name} (not shown): ")
        if first != getpass.getpass("The same again: "):
            raise Invalid("The two are not the same; nothing was stored.")
        return first
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid(f"The value for '{name}' is not UTF-8 text; nothing was stored.") from None
    return text.removesuffix("\n").removesuffix("\r")


@secrets_app.command("list")
def secrets_list(as_json: Json = False) -> None:
    """List names, key ids and dates; never a value."""
    with in_words():
        from bot import vault

        listen_quietly()
        asyncio.run(vault.show(as_json=as_json, out=out))


@secrets_app.command("remove")
def secrets_remove(name: SecretName) -> None:
    """Forget one; the audit remembers that it was there."""
    with in_words():
        from bot import vault

        listen_quietly()
        out(asyncio.run(vault.remove(name, actor())))


@secrets_app.command("rotate")
def secrets_rotate() -> None:
    """Seal every secret with the first key of several, all or none. Afterwards the others can be taken away."""
    with in_words():
        from bot import vault

        listen_quietly()
        out(asyncio.run(vault.rotate(actor())))


@secrets_app.command("check")
def secrets_check(as_json: Json = False) -> None:
    """Open every secret that is stored, or named in handrail.yml, and show none. Exit 1 if any does not open."""
    with in_words(2):
        from bot import vault

        listen_quietly()
        found = asyncio.run(vault.check())
        wrong = [one for one in found if one.wrong is not None]
        if as_json:
            out(json.dumps({"ok": not wrong, "secrets": [asdict(one) for one in found]}, ensure_ascii=False))
        else:
            for one in wrong:
                out(f"{colour('fail', 'red')}  {one.wrong}")
            out(f"{len(found) - len(wrong)} of {len(found)} open.")
        raise typer.Exit(1 if wrong else 0)


@letters_app.command("list")
def letters_list(as_json: Json = False) -> None:
    """Show them, newest first. Exit 1 if there are any."""
    with in_words(2):
        from bot import shell

        listen_quietly()
        raise typer.Exit(asyncio.run(shell.list_dead_letters(as_json=as_json, out=out)))


@letters_app.command("show")
def letters_show(
    letter: Annotated[str, typer.Argument(metavar="ID", help="Its id, or enough of the beginning.")],
    as_json: Json = False,
) -> None:
    """Show one: what it would say, why it could not, and what to do."""
    with in_words():
        from bot import shell

        listen_quietly()
        raise typer.Exit(asyncio.run(shell.show_dead_letter(letter, as_json=as_json, out=out)))


Letters = Annotated[list[str], typer.Argument(metavar="ID...", help="Their ids, or enough of the beginning.")]


@letters_app.command("requeue")
def letters_requeue(ids: Letters, as_json: Json = False) -> None:
    """Try to say them again; `all` stands for every one of them."""
    _move_letters(ids, requeue=True, as_json=as_json)


@letters_app.command("discard")
def letters_discard(ids: Letters, as_json: Json = False) -> None:
    """Take them away; the audit remembers who did."""
    _move_letters(ids, requeue=False, as_json=as_json)


def _move_letters(ids: list[str], *, requeue: bool, as_json: bool) -> None:
    with in_words():
        from bot import shell

        listen_quietly()
        moving = shell.move_dead_letters(ids, actor(), requeue=requeue, out=out, as_json=as_json)
        raise typer.Exit(asyncio.run(moving))


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
    tag: Annotated[list[str] | None, typer.Option(help="Judge as on a host with this tag; may be given again.")] = None,
) -> None:
    """Judge commands from standard input, one a line or JSON lines with `cmd`; prints a JSON line each.

    The team's rules and exceptions count where handrail.yml is found, and `exception` names the one that was used.
    Exit 1 when any is refused.
    """
    listen_quietly()
    from bot import settings
    from safety.command_guard import CommandGuard

    with in_words(2):
        guard, refused = CommandGuard(settings.load_guard()), False
        known = settings.known_tags()
    tags = frozenset(tag or ())
    for unknown in sorted(tags - known) if known is not None else ():
        note(f"No host has the tag '{unknown}', and no rule of the team's names it: it changes nothing.")
    for line in sys.stdin:
        text = line.rstrip("\r\n")
        if not text.strip():
            continue
        command = _command_in(text)
        judged = guard.judge_read_only(command, tags=tags) if read_only else guard.judge(command, tags=tags)
        refused = refused or judged.verdict == "refuse"
        line = {"cmd": command, "verdict": str(judged.verdict), "rule": judged.rule, "reason": judged.reason}
        if judged.exception is not None:
            line["exception"] = judged.exception
        out(json.dumps(line, ensure_ascii=False))
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


# --- runbooks ---------------------------------------------------------------------------------------------------------


@runbooks_app.command("check")
def runbooks_check(
    names: Annotated[list[str] | None, typer.Argument(help="Only these.")] = None, as_json: Json = False
) -> None:
    """Check all runbooks without any host: types, names, docs, the guard over their sample plans, undo. Exit 1 if bad.

    Also those of the folders under `library:`; what is broken there is named with its file and line.
    """
    with in_words(2):
        from bot import library

        listen_quietly()
        raise typer.Exit(library.check(names or [], as_json=as_json, out=out))


@runbooks_app.command("docs")
def runbooks_docs(
    into: Annotated[Path, typer.Option(help="The folder of the pages.")] = Path("docs/runbooks"),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when a page is behind.")] = False,
) -> None:
    """Write a page for each runbook, and a list of them."""
    with in_words(2):
        from bot import library

        listen_quietly()
        raise typer.Exit(library.write_pages(into, only_look=check, out=out))


@runbooks_app.command("new")
def runbooks_new(name: Annotated[str, typer.Argument(help="Like clear-cache.")]) -> None:
    """Begin a runbook: a file that works and its test, in the first folder under `library:`, else in this one."""
    with in_words(2):
        from bot import library

        listen_quietly()
        library.begin(name, out=out)


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
