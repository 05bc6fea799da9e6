"""disk-cleanup: which files, what is done to each, and what is never touched."""

import re
from typing import Any

import pytest

from runbooks.library.disk_cleanup import MOST, _at_most
from tests.fakes import FakeRemote, Reply
from tests.runbooks.library.planned import REFUSED, commands, planned, refused

NOW = 1_764_000_000
DAY = 86_400
GIGA = 1024**3


def found(path: str, *, inode: int = 7, size: int = GIGA, age: int = 3 * DAY, links: int = 1, own: bool = True) -> str:
    """A line of the listing."""
    user, writable = ("ops", "w") if own else ("app", "-")
    return f"file {writable} {inode} {links} {size} {size // 512} {NOW - age}.5000000000 {user} {path}"


def a_host(*files: str, held: str = "", folder: str = "/var/log", ours: str = "", **more: Any) -> dict[str, Any]:
    """A host with these files; `held`: what processes hold open; `ours`: folders the login may write to."""
    return {
        f"readlink -e -- {folder}": Reply(out=folder),
        f"stat -c %F -- {folder}": Reply(out="directory"),
        f"df -B1 --output=size,used,avail,target -- {folder}": Reply(
            out=f"1B-blocks Used Avail Mounted on\n{10 * GIGA} {9 * GIGA} {GIGA} /"
        ),
        "date +%s": Reply(out=str(NOW)),
        f"env LC_ALL=C find {folder}": Reply(out="\n".join(files), status=1),
        "sudo -n -l": REFUSED,
        "find /usr/local/sbin": lambda line: Reply(out="/usr/bin/" + line.split("-name ")[1].split()[0]),
        "find /proc": Reply(out=held, status=1),
        "sudo -n find /proc": Reply(out=held, status=0),
        "find /": Reply(out="\n".join(f"755 ops {one}" for one in ours.split())),
        **more,
    }


async def test_each_kind_of_file_is_freed_in_its_way_and_the_surest_comes_first() -> None:
    files = (
        found("/var/log/app/import.log", size=GIGA // 4),
        found("/var/log/app/app.log.2.gz"),
        found("/var/log/app/app.log", size=2 * GIGA),
    )
    plan = await planned("cleanup", replies=a_host(*files, held="/var/log/app/app.log", ours="/var/log/app"))
    assert commands(plan) == [
        "truncate -c -s 0 -- /var/log/app/app.log",
        "rm -- /var/log/app/app.log.2.gz",
        "gzip -- /var/log/app/import.log",
    ]
    assert plan.hosts[0].steps[1].title == "Empty /var/log/app/app.log, which a process holds open"


async def test_right_before_each_change_the_file_must_be_the_one_that_was_shown() -> None:
    plan = await planned(
        "cleanup", "older=2d", replies=a_host(found("/var/log/a b.1", inode=99, size=GIGA), ours="/var/log")
    )
    assert commands(plan, kinds=("Require",)) == [
        f"find /var/log/a b.1 -maxdepth 0 -type f -links 1 -inum 99 -size {GIGA}c "
        "! -newermt -172800 seconds -printf same"
    ]
    names = [type(step).__name__ for step in plan.hosts[0].steps]
    assert names == ["Require", "Run", "Expect"]


async def test_a_file_that_is_emptied_may_have_grown_meanwhile() -> None:
    plan = await planned("cleanup", "older=0", replies=a_host(found("/var/log/a", age=0, size=GIGA)))
    assert commands(plan, kinds=("Require",)) == [
        f"find /var/log/a -maxdepth 0 -type f -links 1 -inum 7 -size +{GIGA - 1}c -printf same"
    ]


async def test_most_of_the_named_bytes_must_be_free_afterwards() -> None:
    plan = await planned("cleanup", replies=a_host(found("/var/log/a.1"), ours="/var/log"))
    check: Any = plan.hosts[0].steps[-1]
    assert check.title == "819.2M less are used on /, at most 8.2G"
    bound = 9 * GIGA - int(GIGA * 0.8)
    assert check.unmet(f"      Used\n {bound}\n", 0) is None
    assert check.unmet(f"      Used\n{bound + 1}\n", 0) is not None


async def test_what_is_too_little_to_be_seen_on_the_disk_is_seen_at_the_files() -> None:
    replies = a_host(found("/var/log/a.1", size=GIGA // 20), ours="/var/log")
    check: Any = (await planned("cleanup", "larger=10M", replies=replies)).hosts[0].steps[-1]
    assert check.argv == ("find", "/var/log/a.1", "-maxdepth", "0", "-size", "+10485760c", "-printf", "large")
    assert check.unmet("", 1) is None
    assert check.unmet("large", 0) is not None


@pytest.mark.parametrize("number", [0, 1, 9, 10, 11, 99, 100, 101, 909, 1000, 1234, 2000, 90_099])
def test_the_pattern_for_at_most_a_number_takes_these_numbers_and_no_others(number: int) -> None:
    taken = [n for n in range(number + 1_200) if re.fullmatch(_at_most(number), str(n))]
    assert taken == list(range(number + 1))


async def test_young_protected_linked_and_witnessing_files_are_left_alone() -> None:
    files = (
        found("/var/log/young.log", age=60),
        found("/var/log/twice.log", links=2),
        found("/var/log/wtmp.1"),
        found("/var/log/auth.log.2.gz"),
        found("/var/log/app/.git/pack"),
        found("/var/log/journal/x.journal"),
        "odd",
        "closed",
    )
    said = await refused("cleanup", replies=a_host(*files, ours="/var/log"))
    assert "No file in /var/log that could go is larger than 50.0M and unchanged for 1 d." in said
    assert "The largest are /var/log/young.log (1.0G, changed 1 min ago). `older=0` takes files in use too" in said
    assert "1 large files have names that can't be shown safely" in said
    assert "ops can't look into 1 folders." in said


async def test_a_file_that_nobody_is_seen_to_hold_but_that_changes_is_emptied_not_deleted() -> None:
    plan = await planned("cleanup", "older=0", replies=a_host(found("/var/log/app.log.1", age=60), ours="/var/log"))
    assert commands(plan) == ["truncate -c -s 0 -- /var/log/app.log.1"]


async def test_where_all_processes_can_be_seen_nothing_is_guessed() -> None:
    replies = a_host(found("/var/log/app.log.1", age=60), ours="/var/log")
    replies["sudo -n -l -- find /proc"] = Reply(out="/usr/bin/find …")
    remote = FakeRemote()
    plan = await planned("cleanup", "older=0", replies=replies, remote=remote)
    assert commands(plan) == ["rm -- /var/log/app.log.1"]
    assert remote.count("sudo -n find /proc") == 1


async def test_root_is_used_only_where_it_is_needed_and_allowed() -> None:
    files = (found("/var/log/app/theirs.log", own=False, age=3 * DAY), found("/var/log/ours.1"))
    replies = a_host(*files, ours="/var/log")
    replies["sudo -n -l -- gzip"] = Reply(out="/usr/bin/gzip …")
    plan = await planned("cleanup", replies=replies)
    assert commands(plan) == ["rm -- /var/log/ours.1", "sudo gzip -- /var/log/app/theirs.log"]


async def test_what_sudoers_does_not_allow_is_left_out_and_the_line_is_told() -> None:
    files = (found("/var/log/app/theirs.log", own=False), found("/var/log/ours.1"))
    plan = await planned("cleanup", replies=a_host(*files, ours="/var/log"))
    assert commands(plan) == ["rm -- /var/log/ours.1"]
    assert "ops may not change 1 of the files, 1.0G in all." in plan.notes[0]
    assert "\nops ALL=(root) NOPASSWD: /usr/bin/gzip -- /var/log/app/theirs.log\n" in plan.notes[0]


async def test_with_nothing_allowed_there_is_no_plan_but_the_lines_to_add() -> None:
    said = await refused("cleanup", "how=truncate", replies=a_host(found("/var/log/app/x y.log", own=False)))
    assert "/ of web-01 is 90 % full." in said
    assert "ops ALL=(root) NOPASSWD: /usr/bin/truncate -c -s 0 -- /var/log/app/x\\ y.log" in said
    assert "`/runbook log-rotation /var/log/app/x y.log`" in said


async def test_in_a_sticky_folder_only_our_own_files_are_ours_to_delete() -> None:
    files = (found("/tmp/ours", inode=1), found("/tmp/theirs", inode=2, own=False))
    replies = a_host(*files, folder="/tmp")
    replies["find /tmp -maxdepth"] = Reply(out="1777 root /tmp")
    assert commands(await planned("cleanup", "/tmp", replies=replies)) == ["rm -- /tmp/ours"]


async def test_root_needs_no_sudo_and_sees_every_holder() -> None:
    plan = await planned("cleanup", replies=a_host(found("/var/log/a.1"), ours="/var/log"), user="root")
    assert commands(plan) == ["rm -- /var/log/a.1"]
    assert plan.hosts[0].facts["files"][0]["open"] is False


async def test_a_file_is_compressed_only_where_there_is_room_for_it() -> None:
    files = (found("/var/log/huge.log", size=3 * GIGA, own=False),)
    said = await refused("cleanup", "how=compress", replies=a_host(*files, ours="/var/log"))
    assert "There is no room to compress /var/log/huge.log (3.0G)" in said
    assert "No file" not in said


async def test_a_plan_names_no_more_files_than_somebody_reads() -> None:
    files = tuple(found(f"/var/log/a.log.{n}", inode=n) for n in range(1, MOST + 6))
    plan = await planned("cleanup", replies=a_host(*files, ours="/var/log"))
    assert len(commands(plan)) == MOST
    assert "5 more files of that size are left alone" in plan.notes[0]


async def test_the_journal_is_cut_by_its_own_program() -> None:
    replies = a_host() | {"journalctl --disk-usage": Reply(out="take up 1.2G"), "sudo -n -l -- journalctl": Reply()}
    plan = await planned("cleanup", "journal=200M", replies=replies)
    assert commands(plan) == ["sudo journalctl --vacuum-size=200M"]
    said = await refused("cleanup", "journal=200M", replies=replies | {"sudo -n -l -- journalctl": REFUSED})
    assert "ops ALL=(root) NOPASSWD: /usr/bin/journalctl --vacuum-size\\=200M" in said


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("/", "not the whole system"),
        ("/etc", "Nothing in /etc is ever touched"),
        ("/var/lib/mysql/log", "Nothing in /var/lib/mysql/log is ever touched"),
        ("/var/log/journal", "is ever touched"),
        ("/home/ops/.ssh/tmp", "is ever touched"),
        ("/srv/app", "say which files may go: `names=*.dump`"),
    ],
)
async def test_some_folders_are_refused_before_anything_is_looked_at(typed: str, said: str) -> None:
    assert said in await refused("cleanup", typed, replies={})


async def test_a_link_to_a_protected_folder_is_seen_through() -> None:
    replies = a_host(folder="/srv/log") | {"readlink -e -- /srv/log": Reply(out="/var/lib/mysql/log")}
    replies["stat -c %F -- /var/lib/mysql/log"] = Reply(out="directory")
    assert "Nothing in /var/lib/mysql/log is ever touched" in await refused("cleanup", "/srv/log", replies=replies)


async def test_a_folder_that_is_not_there_is_named() -> None:
    replies = a_host() | {"readlink -e -- /var/log": Reply(status=1)}
    assert await refused("cleanup", replies=replies) == "web-01 has no folder /var/log that ops can see."
