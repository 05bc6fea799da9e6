"""Services, processes and files of a demo host, as the runbooks ask for them."""

import asyncio
from pathlib import Path

import pytest

from bot.playground.hosts import DemoHost
from bot.playground.machine.services import Breakage
from tests.bot.playground.hosts.conftest import Ask


async def test_a_restart_gives_the_service_a_new_main_process(ask: Ask, host: DemoHost) -> None:
    before = host.system.service("nginx").main_pid

    answer = await ask("sudo -n systemctl restart nginx.service && systemctl is-active nginx")

    service = host.system.service("nginx")
    assert (answer.exit_status, answer.stdout, service.restarts) == (0, "active\n", 1)
    assert service.main_pid not in (0, before)
    assert before not in host.system.processes


async def test_show_names_the_state_and_the_main_process(ask: Ask, host: DemoHost) -> None:
    answer = await ask("systemctl show celery@1 --property=ActiveState,SubState,MainPID,LoadState,ActiveEnterTimestamp")

    shown = dict(line.split("=", 1) for line in str(answer.stdout).splitlines())
    assert shown == {
        "MainPID": str(host.system.service("celery@1").main_pid),
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "ActiveEnterTimestamp": "Sun 2026-10-11 08:43:04 UTC",
    }


async def test_an_unknown_unit_is_not_found(ask: Ask) -> None:
    restart = await ask("sudo -n systemctl restart ngnix")
    assert (restart.exit_status, restart.stderr) == (
        5,
        "Failed to restart ngnix.service: Unit ngnix.service not found.\n",
    )
    assert (await ask("systemctl show ngnix -p LoadState --value")).stdout == "not-found\n"
    assert (await ask("systemctl status ngnix")).exit_status == 4


async def test_restarting_without_sudo_is_refused(ask: Ask, host: DemoHost) -> None:
    answer = await ask("systemctl restart nginx")

    assert (answer.exit_status, host.system.service("nginx").restarts) == (1, 0)
    assert "Interactive authentication required" in str(answer.stderr)


async def test_a_broken_service_fails_in_the_words_of_systemd(ask: Ask, host: DemoHost) -> None:
    host.system.break_service("nginx", Breakage.START_FAILS)

    answer = await ask("sudo -n systemctl restart nginx")

    assert answer.exit_status == 1
    assert str(answer.stderr).startswith("Job for nginx.service failed because the control process exited")
    state = await ask("systemctl is-active nginx")
    assert (state.exit_status, state.stdout) == (3, "failed\n")
    assert "Failed with result 'exit-code'" in str((await ask("journalctl -u nginx -n 20 --no-pager")).stdout)
    assert (await ask("systemctl status nginx")).exit_status == 3
    assert (await ask("sudo -n nginx -t")).exit_status == 1


async def test_a_repaired_service_starts_again(ask: Ask, host: DemoHost) -> None:
    host.system.break_service("app", "start fails")
    await ask("sudo -n systemctl restart app")
    host.system.repair_service("app")

    assert (await ask("sudo -n systemctl start app && systemctl is-active app")).stdout == "active\n"


async def test_a_crashing_service_is_active_and_then_failed(ask: Ask, host: DemoHost) -> None:
    host.system.break_service("nginx", Breakage.CRASHES)

    assert (await ask("sudo -n systemctl restart nginx")).exit_status == 0
    assert (await ask("until systemctl is-failed nginx; do sleep 0.002; done | tail -n 1")).stdout == "failed\n"


async def test_systemd_goes_on_when_its_client_is_killed(ask: Ask, host: DemoHost) -> None:
    host.system.break_service("nginx", Breakage.HANGS)

    answer = await ask("timeout 0.02 sudo -n systemctl restart nginx; systemctl is-active nginx")

    assert answer.stdout == "activating\n"
    assert host.system.service("nginx").job == "restart"


async def test_stop_and_start(ask: Ask) -> None:
    stopped = await ask("sudo -n systemctl stop postgresql; systemctl is-active postgresql")
    assert (stopped.exit_status, stopped.stdout) == (3, "inactive\n")
    assert (await ask("sudo -n systemctl start postgresql; pgrep -c -x postgres")).stdout == "3\n"


async def test_reload_keeps_the_process(ask: Ask, host: DemoHost) -> None:
    before = host.system.service("nginx").main_pid
    assert (await ask("sudo -n systemctl reload nginx")).exit_status == 0
    assert (await ask("sudo -n systemctl reload app")).exit_status == 3
    assert host.system.service("nginx").main_pid == before


async def test_a_killed_main_process_fails_or_comes_back(ask: Ask) -> None:
    line = "sudo -n kill -KILL $(systemctl show {0} -p MainPID --value); systemctl is-active {0}"
    assert (await ask(line.format("nginx"))).stdout == "failed\n"
    assert (await ask(line.format("app"))).stdout != "active\n"
    assert (await ask("until systemctl is-active app; do sleep 0.002; done | tail -n 1")).stdout == "active\n"


async def test_the_runaway_process_is_found_and_ends_on_term(ask: Ask, host: DemoHost) -> None:
    pid = str((await ask("pgrep -o -x report-worker")).stdout).strip()
    ps = await ask(f"ps -o pid=,ppid=,user=,lstart=,args= -p {pid}")
    assert str(ps.stdout).split() == [
        pid,
        str(host.system.service("cron").main_pid),
        "ops",
        *["Sat", "Nov", "21", "09:49:00", "2026", "/usr/local/bin/report-worker", "--month=2026-10"],
    ]

    assert (await ask(f"kill -TERM {pid}; kill -0 {pid}")).exit_status == 1
    assert int(pid) not in host.system.processes


async def test_a_process_keeps_its_start_time(ask: Ask) -> None:
    line = "p=$(pgrep -n -x report-worker); cat /proc/$p/stat /proc/$p/cgroup /proc/$p/comm"
    first, second = str((await ask(line)).stdout), str((await ask(line)).stdout)

    stat, cgroup, comm = first.splitlines()
    assert first == second
    assert stat.split()[21] == str((41 * 86_400 + 3 * 3600 + 17 * 60 - 131 * 60) * 100)
    assert (cgroup, comm) == ("0::/system.slice/cron.service", "report-worker")


async def test_the_stuck_process_ignores_term_and_ends_on_kill(ask: Ask) -> None:
    answer = await ask(
        "p=$(pgrep -n -x report-worker); kill -TERM $p; kill -0 $p && echo alive; "
        "kill -KILL $p; kill -0 $p || echo gone"
    )

    assert answer.stdout == "alive\ngone\n"
    assert "No such process" in str(answer.stderr)


async def test_another_user_s_process_needs_sudo(ask: Ask, host: DemoHost) -> None:
    pid = host.system.service("postgresql").main_pid

    answer = await ask(f"kill -TERM {pid}")

    assert answer.exit_status == 1
    assert "Operation not permitted" in str(answer.stderr)
    assert pid in host.system.processes
    assert (await ask(f"sudo -n kill -TERM {pid}; systemctl is-active postgresql")).stdout == "inactive\n"


async def test_nothing_of_the_machine_is_shown_or_touched(ask: Ask, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("kept")
    sleeper = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        seen = await ask(f"sudo -n cat {kept}; sudo -n /bin/ls {tmp_path}; /bin/cat {__file__}; ps -A -o pid=")
        await ask(f"sudo -n rm -rf {tmp_path} / /etc; sudo -n sh -c 'echo x > {kept}'; echo x > {kept}")
        await ask(f"sudo -n kill -KILL {sleeper.pid} -- -{sleeper.pid}; sudo -n kill -KILL -1")
        assert kept.read_text() == "kept"
        assert sleeper.returncode is None
        assert "kept" not in str(seen.stdout)
    finally:
        sleeper.kill()
        await sleeper.wait()


FOUND = "3221226422 ops f report.log\n23 www-data f error.log\n"
ZIPPED = "report.log.gz\n3221226410\n"
LISTED = "/etc\n/usr/bin/systemctl\naccess.log\nerror.log\n2\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("id -un; sudo -n id -un; sudo -n -u app whoami", "ops\nroot\napp\n"),
        ("hostname; cat /etc/hostname", "web-01\nweb-01\n"),
        ("grep -c GET /var/log/nginx/access.log", "200\n"),
        ("stat -c '%s' /var/log/nginx/error.log", "23\n"),
        ("sudo -n truncate -s 0 /var/log/app/report.log; stat -c %s /var/log/app/report.log", "0\n"),
        ("find /var/log -name '*.log' -size +1G", "/var/log/app/report.log\n"),
        ("find /etc /none -name motd -o -path '/etc/h*' -prune; echo $?", "/etc/hostname\n/etc/motd\n1\n"),
        ("find /var/log ! -type d '(' -size +1G -o -size -30c ')' -printf '%s %u %y %f\\n'", FOUND),
        ("find /var/log -maxdepth 1 -mindepth 1 -type d -printf '%p %n\\n'", "/var/log/app 1\n/var/log/nginx 1\n"),
        ("find /var/log -newermt '-60 seconds' -name nothing; find / -x; find / -size x; echo $?", "1\n"),
        ("cd /var/log/app; sudo -n gzip report.log; ls; sudo -n gzip -d report.log.gz; stat -c %s report.log", ZIPPED),
        (
            "df --output=avail,target -B1 /var; readlink -e /etc/motd /none; echo $?",
            "avail target\n29564683566 /\n/etc/motd\n1\n",
        ),
        ("echo a:b:c | cut -d: -f2,3", "b:c\n"),
        ("date +%s", "1795262400\n"),
        ("printf 'a\\0b\\0' | xargs -0 -n 1 echo -", "- a\n- b\n"),
        ("command -v systemctl; command -v nothing || echo none", "/usr/bin/systemctl\nnone\n"),
        ("printf 'b\\na\\nb\\n' | sort | uniq -c", "      1 a\n      2 b\n"),
        ("printf 'a 10\\nb 9\\n' | sort -k2 -n", "b 9\na 10\n"),
        ("tail -n +200 /var/log/nginx/access.log | cut -d ' ' -f 1,5", "10.0.0.1 /health\n"),
        ("tail -2 /etc/nginx/nginx.conf; tail -c 3 /etc/hostname", "events {}\nhttp {}\n01\n"),
        ("head -n -199 /var/log/nginx/access.log | wc -l; head -c 3 /etc/hostname", "1\nweb"),
        ("du -h /var/log/app /none; echo $?", "3.0G\t/var/log/app\n1\n"),
        ("ls -d /etc /usr/bin/systemctl; ls /var/log/nginx /none; echo $?", LISTED),
        ("echo x | tee /tmp/a | tee -a /tmp/a; cat /tmp/a", "x\nx\nx\n"),
        ("cd /tmp; echo x > a; cp a b; mv a c; mv c c; cp b c d; ls", "b\nc\n"),
        ("cd /tmp; mkdir -p a/b; rmdir a; rmdir a/b; mkdir a; rm a; rm -r a; rm -f a; ls", ""),
        ("touch /etc/x; rm /etc/motd; mkdir /etc/x; truncate -s 0 /etc/motd; ls /etc | wc -l", "5\n"),
        ("pkill -KILL -x report-worker; pgrep -c report-worker; pkill -x nginx; echo $?", "0\n1\n"),
        ("pgrep -c -u postgres .; pgrep -P 1 -l ^ngi | cut -d ' ' -f 2; pidof nothing; echo $?", "2\nnginx\n1\n"),
        ("df -h / | tail -n 1", "/dev/sda1            40G         12G         28G   32% /\n"),
    ],
)
async def test_programs_answer(ask: Ask, line: str, expected: str) -> None:
    assert (await ask(line)).stdout == expected


async def test_grep_says_what_it_does_not_know(ask: Ask) -> None:
    answer = await ask("grep -A 2 http /etc/nginx/nginx.conf")

    assert (answer.exit_status, answer.stderr) == (2, "grep: -A is not simulated\n")
