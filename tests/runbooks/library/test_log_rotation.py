"""log-rotation: by logrotate where the host knows the log, else by a copy that is compared first."""

from typing import Any

import pytest

from runbooks.library.log_rotation import _blocks, _names
from tests.fakes import Reply
from tests.runbooks.library.planned import REFUSED, commands, planned, refused

NGINX = """\
/etc/logrotate.d/nginx:/var/log/nginx/*.log {
/etc/logrotate.d/nginx:\trotate 14
/etc/logrotate.d/nginx:}
"""
LOG = "/srv/app/logs/a b.log"


def a_host(log: str = LOG, *, shown: str = "w f 7 1 5000 ops", config: str = "", **more: Any) -> dict[str, Any]:
    """A host with this log and this configuration of logrotate."""
    quoted = f"'{log}'" if " " in log else log
    return {
        f"find {quoted} -maxdepth 0 '('": Reply(out=shown),
        "grep -rHsE": Reply(out=config, status=2),
        "df -B1 --output=avail --": Reply(out="Avail\n1000000"),
        "find /srv/app/logs -maxdepth 0": Reply(out="ours"),
        "date -u": Reply(out="20261125T120000Z"),
        "sudo -n -l": REFUSED,
        "find /usr/local/sbin": lambda line: Reply(out="/usr/bin/" + line.split("-name ")[1].split()[0]),
        **more,
    }


async def test_a_log_that_logrotate_knows_is_rotated_by_its_configuration() -> None:
    replies = a_host("/var/log/nginx/access.log", shown="- f 7 1 5000 www-data", config=NGINX)
    replies["sudo -n -l -- logrotate -f /etc/logrotate.d/nginx"] = Reply()
    plan = await planned("rotate-log", "/var/log/nginx/access.log", replies=replies)
    assert commands(plan) == ["sudo logrotate -f /etc/logrotate.d/nginx"]
    before, _, after = plan.hosts[0].steps
    assert "-inum 7 -size +4999c" in " ".join(before.argv)  # type: ignore[union-attr]
    assert after.unmet("unrotated", 0) is not None  # type: ignore[union-attr]
    assert after.unmet("", 1) is None  # type: ignore[union-attr]
    assert plan.notes[0] == "/etc/logrotate.d/nginx rotates /var/log/nginx/*.log, all together."


async def test_a_disk_on_which_logrotate_may_fail_is_told_beforehand() -> None:
    replies = a_host("/var/log/nginx/access.log", config=NGINX) | {"sudo -n -l": Reply()}
    replies["df -B1 --output=avail --"] = Reply(out="Avail\n 0")
    plan = await planned("rotate-log", "/var/log/nginx/access.log", replies=replies)
    assert "Only 0 bytes are free there: where logrotate compresses, it may fail half way." in plan.notes[0]


async def test_a_log_that_nobody_rotates_is_copied_compared_and_emptied() -> None:
    plan = await planned("rotate-log", f"'{LOG}'", replies=a_host(config=NGINX))
    copy = f"{LOG}-20261125T120000Z"
    assert commands(plan, kinds=("Run", "Expect")) == [
        f"cp -p -T -- {LOG} {copy}",
        f"cmp -n 5000 -- {LOG} {copy}",
        f"truncate -c -s 0 -- {LOG}",
        f"gzip -- {copy}",
    ]
    kinds = [type(step).__name__ for step in plan.hosts[0].steps]
    assert kinds == ["Require", "Require", "Run", "Expect", "Require", "Run", "Run"]
    assert f"What is written to {LOG} between the copy and the emptying is lost." in plan.notes


async def test_a_copy_may_stay_as_it_is() -> None:
    plan = await planned("rotate-log", f"'{LOG}' compress=no", replies=a_host())
    assert [line.split()[0] for line in commands(plan)] == ["cp", "truncate"]


async def test_what_sudoers_lacks_is_told_in_lines_that_hold_for_every_time() -> None:
    said = await refused("rotate-log", f"'{LOG}'", replies=a_host(shown="- f 7 1 5000 app"))
    assert "Give it a configuration of logrotate, which is the better way, or add this to sudoers:" in said
    assert said.splitlines()[1:] == [
        "ops ALL=(root) NOPASSWD: /usr/bin/cp -p -T -- /srv/app/logs/a\\ b.log /srv/app/logs/a\\ b.log.copy",
        "ops ALL=(root) NOPASSWD: /usr/bin/truncate -c -s 0 -- /srv/app/logs/a\\ b.log",
        "ops ALL=(root) NOPASSWD: /usr/bin/gzip -- /srv/app/logs/a\\ b.log.copy",
    ]
    replies = a_host("/var/log/nginx/access.log", config=NGINX)
    said = await refused("rotate-log", "/var/log/nginx/access.log", replies=replies)
    assert said.endswith("Add this to sudoers:\nops ALL=(root) NOPASSWD: /usr/bin/logrotate -f /etc/logrotate.d/nginx")


async def test_as_root_by_sudo_the_size_of_the_copy_is_looked_at_instead_of_its_bytes() -> None:
    replies = a_host(shown="- f 7 1 5000 app") | {"sudo -n -l": Reply()}
    plan = await planned("rotate-log", f"'{LOG}'", replies=replies)
    assert commands(plan, kinds=("Expect",)) == [f"find {LOG}.copy -maxdepth 0 -size +4999c -printf whole"]
    assert all(line.startswith("sudo ") for line in commands(plan))


async def test_a_log_without_room_for_its_copy_is_left_to_disk_cleanup() -> None:
    said = await refused("rotate-log", f"'{LOG}'", replies=a_host(shown="w f 7 1 1000000 ops"))
    assert "A copy of /srv/app/logs/a b.log takes 1,000,000 bytes, and 1,000,000 are free" in said
    assert "`/runbook disk-cleanup /srv/app/logs older=0 how=truncate`" in said


async def test_a_configuration_that_would_keep_none_is_not_used() -> None:
    config = "/etc/logrotate.d/app:/srv/app/logs/*.log {\n/etc/logrotate.d/app:}\n"
    said = await refused("rotate-log", f"'{LOG}'", replies=a_host(config=config))
    assert "does not say how many old logs are kept (`rotate`)" in said
    assert [
        line.split()[0] for line in commands(await planned("rotate-log", f"'{LOG}' how=copy", replies=a_host()))
    ] == [
        "cp",
        "truncate",
        "gzip",
    ]


@pytest.mark.parametrize(
    ("typed", "shown", "said"),
    [
        ("/etc/app.log", "", "no log that may be rotated"),
        ("/var/log/journal/x/system.log", "", "no log that may be rotated"),
        ("/srv/db/data.ibd", "", "neither lies in a folder of logs nor is called like one"),
        ("/srv/a/a.log", "w l 7 1 5 ops", "is no plain file"),
        ("/srv/a/a.log", "w f 7 2 5 ops", "has more names than one"),
        ("/srv/a/a.log", "w f 7 1 0 ops", "is empty"),
        ("/srv/a/a.log how=logrotate", "w f 7 1 5 ops", "No configuration of logrotate on web-01 names"),
    ],
)
async def test_what_cannot_be_rotated_is_refused_in_words(typed: str, shown: str, said: str) -> None:
    replies = a_host(typed.split()[0], shown=shown) | {"find /srv/a -maxdepth 0 -writable": Reply(out="ours")}
    assert said in await refused("rotate-log", typed, replies=replies)


async def test_a_log_that_is_not_there_is_named() -> None:
    replies = a_host() | {f"find '{LOG}' -maxdepth 0 '('": Reply(status=1)}
    assert (
        await refused("rotate-log", f"'{LOG}'", replies=replies)
        == "web-01 has no file /srv/app/logs/a b.log that ops can see."
    )


def test_configurations_of_every_form_are_read() -> None:
    text = "\n".join(
        [
            "c:/var/log/a.log",
            'c:"/var/log/b c.log"',
            "c:{",
            "c:  /bin/kill -HUP $(cat /run/x) || { true; }",
            "c:  rotate 3",
            "c:}",
            "c:/var/log/d/*.log { rotate 2 }",
            "e.dpkg-old:/var/log/f.log {",
            "e.dpkg-old:}",
            "g:/var/log/g.log {",
            "g:  rotate 0",
            "g:}",
        ]
    )
    assert list(_blocks(text)) == [
        ("c", ["/var/log/a.log", "/var/log/b c.log"], True),
        ("c", ["/var/log/d/*.log"], True),
        ("g", ["/var/log/g.log"], False),
    ]


def test_a_star_stands_for_no_slash() -> None:
    assert _names("/var/log/*.log", "/var/log/a.log")
    assert not _names("/var/log/*.log", "/var/log/app/a.log")
    assert _names("/var/log/*/*.log", "/var/log/app/a.log")
