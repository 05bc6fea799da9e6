"""Finding runbooks, loading a team's own, and turning typed words into parameters."""

import os
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from runbooks import Danger, Facts, Parameters, Plan, Run, Runbook, Seconds, ServiceName, positional
from runbooks.catalog import Override, bind, build, usage
from runbooks.library.restart_service import RestartService
from runbooks.parameters import services_named
from storage.errors import ConfigurationError, Invalid, NotFound
from tests.builders import catalog_with

GOOD = '''
"""A team's own."""

from runbooks import Danger, Plan, Run, Runbook


class {kind}(Runbook):
    """Clears the cache."""

    name, aliases, danger = "{name}", {aliases!r}, Danger.LOW

    def plan(self, params, facts):
        """One step."""
        return Plan(Run("Clear", "touch", "/tmp/cache"))
'''


def good(name: str, *aliases: str, kind: str = "Ours") -> str:
    """The text of a module with one runbook."""
    return GOOD.format(kind=kind, name=name, aliases=aliases)


def write(folder: Path, **modules: str) -> Path:
    """A folder of runbooks."""
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def complaints(*folders: Path, **overrides: Override) -> list[str]:
    """What is wrong with them."""
    with pytest.raises(ConfigurationError) as error:
        build(folders, {name.replace("_", "-"): override for name, override in overrides.items()})
    return list(error.value.complaints)


def test_the_built_in_runbooks_are_there_by_name_and_alias_in_any_case() -> None:
    catalog = build()
    ours = {"disk-cleanup", "kill-process", "restart-service", "start-service", "stop-service"}
    assert ours <= set(catalog.entries)
    assert catalog.get("restart") is catalog.get("RESTART-Service ") is catalog.entries["restart-service"]
    assert catalog.get("kill").danger is Danger.DANGEROUS


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("restart-servce", "Did you mean `restart-service`"),
        ("kil", "Did you mean `kill`"),
        ("service", "`restart-service`"),
        ("zzzz", "`/runbook list` shows all."),
    ],
)
def test_an_unknown_runbook_is_answered_with_near_ones(typed: str, said: str) -> None:
    with pytest.raises(NotFound) as error:
        build().get(typed)
    assert f"There is no runbook '{typed}'." in error.value.message
    assert said in error.value.message


def test_a_folder_of_our_own_is_loaded_beside_the_built_in_ones(tmp_path: Path) -> None:
    folder = write(tmp_path, cache=good("clear-cache", "cc"), _shared="1 / 0", test_cache="1 / 0")
    catalog = build([folder])
    assert set(catalog.entries) == {"clear-cache", *build().entries}
    assert catalog.get("CC").name == "clear-cache"


def test_two_files_of_one_name_in_two_folders_are_two_modules(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    catalog = build([write(one, ours=good("first")), write(two, ours=good("second"))])
    assert {"first", "second"} <= set(catalog.entries)


def test_a_class_with_a_second_name_in_its_module_is_one_runbook(tmp_path: Path) -> None:
    assert "clear-cache" in build([write(tmp_path, cache=good("clear-cache") + "\nAgain = Ours\n")]).entries


def test_the_hash_of_a_module_changes_with_its_text_and_only_with_it(tmp_path: Path) -> None:
    folder = write(tmp_path, one=good("one"), two=good("two"))
    before = build([folder]).entries
    write(tmp_path, one=good("one") + "\n# a word more\n")
    after = build([folder]).entries
    assert after["one"].module_hash != before["one"].module_hash
    assert after["two"].module_hash == before["two"].module_hash
    assert before["one"].module_hash != before["two"].module_hash


def test_everything_wrong_is_said_at_once_each_thing_by_its_name(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        a_breaks="raise RuntimeError('no such luck')",
        b_syntax="def broken(:\n",
        c_nothing="x = 1\n",
        d_unnamed=good("Clear Cache"),
        e_first=good("clear-cache", "restart"),
        f_second=good("clear-cache"),
        g_alias=good("kill"),
        h_needs=good("needy") + "\n    def __init__(self, more):\n        pass\n",
        i_imports="import a_module_that_is_not_there\n",
    )
    said = complaints(folder, tmp_path / "away", no_such=Override())
    expected = [
        ("a_breaks.py", "RuntimeError: no such luck"),
        ("b_syntax.py", "SyntaxError"),
        ("c_nothing.py", "holds no runbook"),
        ("d_unnamed.py", "lower-case words with dashes"),
        ("i_imports.py", "a_module_that_is_not_there"),
        ("away", "does not exist"),
        ("restart", "taken"),
        ("clear-cache", "Two runbooks are called"),
        ("kill", "Two runbooks are called"),
        ("needy", "cannot be made: TypeError"),
        ("no-such", "is no runbook"),
    ]
    for name, reason in expected:
        assert sum(name in one and reason in one for one in said) == 1, (name, reason, said)
    assert len(said) == len(expected)


@pytest.mark.parametrize("word", ["help", "list", "retry", "status", "can", "schedule", "plan", "on", "dead-letters"])
def test_a_name_or_alias_that_is_a_command_is_left_out_since_nobody_could_type_it(tmp_path: Path, word: str) -> None:
    catalog = build([write(tmp_path, a=good(word), b=good("clear-cache", word, "cc"))])
    assert (word in catalog.entries, word in catalog.aliases, catalog.get("cc").name) == (False, False, "clear-cache")
    said = f"`/runbook {word}` is a command of Handrail's, so no runbook can be called '{word}': choose another name."
    assert [one.partition(": ")[2] for one in catalog.left_out] == [said, said]


def test_who_has_a_name_already_is_said(tmp_path: Path) -> None:
    write(tmp_path, a=good("mine", "own"), b=good("mine"), c=good("own"), d=good("kill"), e=good("reboot-host"))
    write(tmp_path, f=good("other", "own"))
    said = [one.partition(": ")[2] for one in build([tmp_path]).left_out]
    a = tmp_path / "a.py:7"
    assert said == [
        f"Two runbooks are called 'mine', this one and the one in {a}: rename one of them.",
        f"Two runbooks are called 'own', this one and mine with its alias in {a}: rename one of them.",
        "Two runbooks are called 'kill', this one and the built-in kill-process with its alias: choose another name.",
        "Two runbooks are called 'reboot-host', this one and the built-in one: choose another name.",
        f"The alias 'own' of other is taken by mine with its alias in {a}: rename one of them.",
    ]


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "gone.py").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    said = build([write(tmp_path, cache=good("clear-cache"))]).left_out
    assert said == tuple(
        f"{tmp_path / name}.py: It is no file, or a link to none." for name in ("folder", "gone", "loop", "pipe")
    )


def test_a_folder_that_cannot_be_listed_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "shut").mkdir(mode=0)
    said = " ".join(complaints(tmp_path / "file", tmp_path / "loop"))
    assert f"library: {tmp_path}/file is no folder" in said
    assert f"library: the folder {tmp_path}/loop cannot be read: Too many levels of symbolic links." in said
    if os.geteuid() != 0:  # nothing is shut to root
        assert "shut cannot be read: Permission denied." in complaints(tmp_path / "shut")[0]


def test_a_folder_that_is_named_twice_is_loaded_once(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.mkdir()
    (tmp_path / "link").symlink_to(ours)
    write(ours, cache=good("clear-cache"))
    assert build([ours, tmp_path / "link", tmp_path / "link" / ".." / "ours"]).left_out == ()


def test_a_runbook_that_exits_when_it_is_made_is_left_out(tmp_path: Path) -> None:
    text = good("exits") + "\n    def __init__(self):\n        raise SystemExit(3)\n"
    (said,) = build([write(tmp_path, exits=text)]).left_out
    assert "The runbook 'exits' cannot be made: SystemExit: 3" in said


def test_overrides_change_what_they_name_and_leave_the_rest(tmp_path: Path) -> None:
    override = Override(danger=Danger.HIGH, cooldown=timedelta(0))
    entry = build(overrides={"restart-service": override}).get("restart")
    assert (entry.danger, entry.cooldown) == (Danger.HIGH, timedelta(0))
    assert (entry.timeout, entry.max_hosts) == (RestartService.timeout, RestartService.max_hosts)
    assert build(overrides={"restart-service": Override(max_hosts=3, timeout=timedelta(hours=1))}).get(
        "restart"
    ).timeout == timedelta(hours=1)
    assert build().get("restart").danger is Danger.LOW


# --- typed words to parameters ----------------------------------------------------------------------------------------


class Colour(Enum):
    """Some."""

    RED = "red"


class Many(Runbook):
    """Asks for a lot."""

    name, danger = "many", Danger.LOW

    class Params(Parameters):
        """Two by place, the rest by name."""

        service: ServiceName = positional("which unit")
        times: int = positional("how often", default=1, ge=1)
        wait_for: Seconds = Field(5, description="how long to wait")
        colour: Colour = Field(Colour.RED)
        other: ServiceName | None = None

    def plan(self, params: Params, facts: Facts) -> Plan:
        """One step."""
        return Plan(Run("Do", "true"))


class Demanding(Runbook):
    """Needs names."""

    name, danger = "demanding", Danger.LOW

    class Params(Parameters):
        """None has a default."""

        number: int
        colour: Colour = positional("which")
        unit: ServiceName
        word: str

    def plan(self, params: Params, facts: Facts) -> Plan:
        """One step."""
        return Plan(Run("Do", "true"))


CATALOG = catalog_with(Many, Demanding)
MANY, DEMANDING = CATALOG.get("many"), CATALOG.get("demanding")


def said_of(*values: str, **named: Any) -> str:
    """What is answered to words that make no sense."""
    with pytest.raises(Invalid) as error:
        bind(MANY, values, named)
    return error.value.message


def test_values_go_to_their_places_and_names_are_forgiving() -> None:
    params: Any = bind(MANY, ["nginx.service", "3"], {"Wait-For": "2m", " COLOUR ": "red"})
    assert (params.service, params.times, params.wait_for, params.colour) == ("nginx", 3, 120, Colour.RED)


def test_a_place_may_also_be_given_by_name() -> None:
    params: Any = bind(MANY, ["nginx"], {"times": "2"})
    assert (params.service, params.times) == ("nginx", 2)


def test_one_value_too_many_is_not_guessed_about() -> None:
    assert said_of("nginx", "3", "web-01", "now").startswith("many has no place for 'web-01 now'.")


def test_a_parameter_may_have_a_second_name() -> None:
    entry = build().get("disk-cleanup")
    assert bind(entry, (), {"path": "/var/tmp"}) == bind(entry, (), {"folder": "/var/tmp"})
    with pytest.raises(Invalid, match="'folder' is given twice"):
        bind(entry, (), {"path": "/var/tmp", "folder": "/var/log"})


def test_a_value_given_twice_is_refused() -> None:
    assert said_of("nginx", service="sshd").startswith("'service' is given twice.")
    assert said_of("nginx", **{"wait-for": "1", "wait_for": "2"}).startswith("'wait_for' is given twice.")


def test_an_unknown_name_is_answered_with_the_near_one() -> None:
    assert said_of("nginx", wait_four="1").startswith("many has no parameter 'wait_four'. Did you mean `wait_for`?")
    assert "Did you mean" not in said_of("nginx", zzz="1")


def test_what_is_missing_is_said_with_its_meaning_and_an_example() -> None:
    assert said_of() == "'service' (which unit) is missing. Example: `/runbook many nginx 1 on web-01`"


def test_every_wrong_value_is_named_with_what_is_wrong() -> None:
    said = said_of("-H", "0", colour="blue", wait_for="soon")
    assert "'service': '-H' is not a unit name" in said
    assert "'times': '0' is too little: at least 1." in said
    assert "'colour': 'blue' is none of the choices: red." in said
    assert "'wait_for': 'soon' is not a duration" in said


def test_an_example_is_made_of_the_parameters_and_works() -> None:
    example = usage(DEMANDING)
    assert example == "Example: `/runbook demanding number=1 red unit=nginx word=nginx on web-01`"
    words = example.removeprefix("Example: `/runbook demanding ").removesuffix(" on web-01`").split()
    named = dict(word.split("=") for word in words if "=" in word)
    params: Any = bind(DEMANDING, [word for word in words if "=" not in word], named)
    assert (params.number, params.colour, params.unit) == (1, Colour.RED, "nginx")


def test_a_runbook_may_bring_its_own_example() -> None:
    assert usage(CATALOG.get("restart")) == "Example: `/runbook restart nginx on web-01`"


def test_the_services_that_parameters_name_are_found_wherever_they_stand() -> None:
    assert services_named(bind(MANY, ["nginx"], {})) == ("nginx",)
    assert services_named(bind(MANY, ["nginx"], {"other": "celery@1"})) == ("nginx", "celery@1")
    assert services_named(bind(CATALOG.get("kill"), ["nginx"], {})) == ()
