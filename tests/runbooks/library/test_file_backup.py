"""file-backup and file-restore: copies with the right checksum, so many of them, and the way back."""

import shlex
from typing import Any

import pytest

from tests.fakes import Reply
from tests.runbooks.library.planned import REFUSED, commands, planned, refused

FILE, SUM, OTHER = "/srv/app/a b.yml", "a" * 64, "b" * 64
NOW, OLD, OLDER = "20261125T120000Z", "20261124T120000Z", "20261123T120000Z"


def copy_of(file: str, stamp: str, folder: str = "/var/backups/handrail") -> str:
    """Where a copy lies."""
    return f"{folder}{file}.{stamp}"


def a_host(
    file: str = FILE, *, shown: str = "rw f 2048 ops", copies: tuple[str, ...] = (), ours: bool = True, **more: Any
) -> dict[str, Any]:
    """A host with this file and these copies of it; `ours`: the login may write to the folder of backups."""
    folder = shlex.quote(copy_of(file, "").rpartition("/")[0])
    replies: dict[str, Any] = {
        f"find {shlex.quote(file)} -maxdepth 0 '(' -readable": Reply(out=shown),
        f"sha256sum -- {shlex.quote(file)}": Reply(out=f"{SUM}  {file}"),
        f"sudo -n sha256sum -- {shlex.quote(file)}": Reply(out=f"{SUM}  {file}"),
        "df -B1 --output=avail --": Reply(out="Avail\n100000000"),
        "date -u": Reply(out=NOW),
        f"find {folder} -maxdepth 1": Reply(out="\n".join(copy_of(file, stamp) for stamp in copies)),
        f"find {folder} -maxdepth 0": Reply(out="d ours" if ours else "d"),
        "sudo -n -l": REFUSED,
        "find /usr/local/sbin": lambda line: Reply(out="/usr/bin/" + line.split("-name ")[1].split()[0]),
    }
    for stamp in copies:
        path = shlex.quote(copy_of(file, stamp))
        replies[f"find {path} -maxdepth 0 '(' -readable"] = Reply(out=shown)
        replies[f"sha256sum -- {path}"] = Reply(out=f"{OTHER}  x")
    return {**replies, **more}


async def test_a_copy_is_made_checked_and_can_be_put_back() -> None:
    plan = await planned("backup", f"'{FILE}'", replies=a_host())
    copy = copy_of(FILE, NOW)
    assert commands(plan, kinds=("Require", "Run", "Expect")) == [
        f"sha256sum -- {FILE}",
        f"cp -p -T -- {FILE} {copy}",
        f"sha256sum -- {copy}",
    ]
    before, run, after = plan.hosts[0].steps
    assert before.unmet(f"{SUM}  {FILE}", 0) is None  # type: ignore[union-attr]
    assert before.unmet(f"{OTHER}  {FILE}", 0) is not None  # type: ignore[union-attr]
    assert after.unmet(f"\\{SUM}  {copy}", 0) is None  # type: ignore[union-attr]
    assert run.undo.argv == ("cp", "-p", "-T", "--", copy, FILE)  # type: ignore[union-attr]


async def test_only_so_many_of_the_newest_copies_stay() -> None:
    plan = await planned("backup", f"'{FILE}' keep=2", replies=a_host(copies=(OLDER, OLD)))
    assert commands(plan)[1:] == [f"rm -- {copy_of(FILE, OLDER)}"]
    plan = await planned("backup", f"'{FILE}' keep=0", replies=a_host(copies=(OLDER, OLD)))
    assert len(commands(plan)) == 1
    plan = await planned("backup", f"'{FILE}' keep=1", replies=a_host(copies=(OLDER, OLD)))
    assert commands(plan)[1:] == [f"rm -- {copy_of(FILE, OLD)}", f"rm -- {copy_of(FILE, OLDER)}"]


async def test_the_folder_is_made_where_it_is_missing() -> None:
    folder = "/var/backups/handrail/srv/app"
    replies = a_host() | {
        f"find {folder} -maxdepth 0": Reply(status=1),
        "find /var/backups/handrail/srv -maxdepth 0": Reply(status=1),
        "find /var/backups/handrail -maxdepth 0": Reply(out="d ours"),
    }
    plan = await planned("backup", f"'{FILE}'", replies=replies)
    assert commands(plan)[0] == f"mkdir -p -- {folder}"


async def test_what_sudoers_lacks_is_told_in_lines_that_hold_for_every_time() -> None:
    said = await refused(
        "backup", "/etc/nginx.conf", replies=a_host("/etc/nginx.conf", shown="r- f 9 root", ours=False)
    )
    assert said.startswith("ops may not copy /etc/nginx.conf on web-01. Add this to sudoers:\n")
    stamp = "[0-9]" * 8 + "T" + "[0-9]" * 6 + "Z"
    assert said.splitlines()[1:] == [
        f"ops ALL=(root) NOPASSWD: /usr/bin/cp -p -T -- /etc/nginx.conf /var/backups/handrail/etc/nginx.conf.{stamp}",
        f"ops ALL=(root) NOPASSWD: /usr/bin/cp -p -T -- /var/backups/handrail/etc/nginx.conf.{stamp} /etc/nginx.conf",
    ]


async def test_without_an_undo_nothing_is_asked_for_it() -> None:
    replies = a_host(shown="r- f 9 root", ours=False)
    replies[f"sudo -n -l -- cp -p -T -- '{FILE}'"] = Reply()
    plan = await planned("backup", f"'{FILE}' undo=no", replies=replies)
    assert commands(plan) == [f"sudo cp -p -T -- {FILE} {copy_of(FILE, NOW)}"]
    assert plan.hosts[0].steps[1].undo is None  # type: ignore[union-attr]


async def test_a_file_that_only_root_reads_is_read_by_root_or_not_at_all() -> None:
    replies = a_host(shown="-- f 9 root")
    said = await refused("backup", f"'{FILE}'", replies=replies)
    assert said.endswith("ops ALL=(root) NOPASSWD: /usr/bin/sha256sum -- /srv/app/a\\ b.yml")
    plan = await planned("backup", f"'{FILE}'", replies=replies | {"sudo -n -l": Reply()})
    assert commands(plan, kinds=("Require", "Run", "Expect"))[0] == f"sudo sha256sum -- {FILE}"
    assert commands(plan) == [f"sudo cp -p -T -- {FILE} {copy_of(FILE, NOW)}"]


async def test_there_must_be_room_for_a_copy_also_where_its_folder_is_not_there_yet() -> None:
    replies = a_host(shown="rw f 5000000 ops") | {
        "df -B1 --output=avail --": Reply(status=1),
        "df -B1 --output=avail -- /var": Reply(status=1),
        "df -B1 --output=avail -- /": Reply(out="Avail\n5500000"),
    }
    said = await refused("backup", f"'{FILE}'", replies=replies)
    assert said == "A copy takes 5,000,000 bytes, and only 5,500,000 are free in / on web-01."


@pytest.mark.parametrize(
    ("shown", "said"),
    [(Reply(status=1), "has no file /srv/app/a b.yml that ops can see"), (Reply(out="rw d 9 ops"), "no plain file")],
)
async def test_what_is_no_file_is_refused_in_words(shown: Reply, said: str) -> None:
    replies = a_host() | {f"find '{FILE}' -maxdepth 0 '(' -readable": shown}
    assert said in await refused("backup", f"'{FILE}'", replies=replies)


# --- file-restore -----------------------------------------------------------------------------------------------------


async def test_the_latest_copy_is_put_back_and_what_was_there_is_kept() -> None:
    plan = await planned("restore", f"'{FILE}'", replies=a_host(copies=(OLDER, OLD)))
    present, latest = copy_of(FILE, NOW), copy_of(FILE, OLD)
    assert commands(plan) == [f"cp -p -T -- {FILE} {present}", f"cp -p -T -- {latest} {FILE}"]
    kinds = [type(step).__name__ for step in plan.hosts[0].steps]
    assert kinds == ["Require", "Require", "Run", "Expect", "Require", "Run", "Expect"]
    assert plan.hosts[0].steps[5].undo.argv == ("cp", "-p", "-T", "--", present, FILE)  # type: ignore[union-attr]
    assert plan.hosts[0].steps[6].unmet(f"{OTHER}  x", 0) is None  # type: ignore[union-attr]


async def test_an_older_copy_is_named_by_its_time() -> None:
    plan = await planned("restore", f"'{FILE}' copy_of={OLDER}", replies=a_host(copies=(OLDER, OLD)))
    assert commands(plan)[1] == f"cp -p -T -- {copy_of(FILE, OLDER)} {FILE}"
    said = await refused("restore", f"'{FILE}' copy_of=20250101T000000Z", replies=a_host(copies=(OLDER, OLD)))
    assert said == f"web-01 has no copy of {FILE} of 20250101T000000Z. There are: {OLD}, {OLDER}."


async def test_without_a_copy_or_a_difference_there_is_nothing_to_put_back() -> None:
    assert "has no copy of /srv/app/a b.yml" in await refused("restore", f"'{FILE}'", replies=a_host())
    replies = a_host(copies=(OLD,)) | {f"sha256sum -- '{copy_of(FILE, OLD)}'": Reply(out=f"{SUM}  x")}
    assert "is the same as" in await refused("restore", f"'{FILE}'", replies=replies)


async def test_a_file_of_root_is_put_back_by_root_where_that_is_allowed() -> None:
    file = "/etc/nginx.conf"
    replies = a_host(file, shown="r- f 9 root", copies=(OLD,), ours=False)
    said = await refused("restore", file, replies=replies)
    assert len(said.splitlines()) == 3
    plan = await planned("restore", file, replies=replies | {"sudo -n -l": Reply()})
    assert all(line.startswith("sudo cp ") for line in commands(plan))


async def test_a_copy_of_the_same_second_is_not_written_over() -> None:
    replies = a_host(copies=(NOW, OLD))
    new = copy_of(FILE, "20261125T120001Z")
    assert commands(await planned("backup", f"'{FILE}'", replies=replies)) == [f"cp -p -T -- {FILE} {new}"]
    assert commands(await planned("restore", f"'{FILE}'", replies=replies)) == [
        f"cp -p -T -- {FILE} {new}",
        f"cp -p -T -- {copy_of(FILE, NOW)} {FILE}",
    ]
