"""The stricter guard of probes and expectations: reads, or is refused."""

import pytest

from safety.command_guard import CommandGuard, GuardException, GuardPolicy, Severity

GUARD = CommandGuard()

READS = [
    "cat /proc/1234/stat",
    "systemctl is-active nginx",
    "sudo -n systemctl show nginx -p MainPID --value",
    "pgrep -x -- nginx",
    "ps -o user=,lstart=,args= -p 12",
    "find /var/log -xdev -type f -size +100M -printf '%s %p\\n'",
    "journalctl -u nginx -n 50 --no-pager",
    "df -P /",
    "curl -sf -o /dev/null -w '%{http_code}' http://localhost/",
    "docker exec web ls /app",
    "kubectl get pods -o wide",
    "awk '{print $1}' /var/log/app.log",
    "psql -c 'select 1'",
    "ls /tmp 2>/dev/null | wc -l",
    "timeout 5 tail -n 3 /var/log/syslog",
]

CHANGES = [
    "find /tmp/x -delete",
    "find /tmp/x -exec ls {} \\; -delete",
    "find /tmp/x -exec rm {} \\;",
    "sed -i s/a/b/ /tmp/x",
    "sort -o /tmp/x /tmp/x",
    "uniq /tmp/a /tmp/b",
    "journalctl --vacuum-size=1M",
    "systemctl restart nginx",
    "ip link set eth0 up",
    "curl -X POST http://localhost/",
    "curl -XPUT http://localhost/",
    "curl -o /tmp/x http://localhost/",
    "curl -d x http://localhost/",
    "curl -T /tmp/x http://localhost/",
    "awk '{system($1)}' /tmp/x",
    "awk '{print > \"/tmp/x\"}' /tmp/y",
    "dmesg -C",
    "date -s now",
    "hostname newname",
    "sysctl -w vm.swappiness=1",
    "tee /tmp/x",
    "ls | xargs echo",
    "ls > /tmp/x",
    "ss -K dst 10.0.0.1",
    "rm /tmp/x",
    "touch /tmp/x",
    "kill -0 1",
    "docker restart web",
    "docker run alpine ls",
    "psql -c 'insert into t values (1)'",
    "rg --pre x y",
    "f() { ls; }; f",
    "python3 -c 'print(1)'",
    "cat /etc/shadow",
    "unheardof",
    "redis-cli bgsave",
    "psql -c 'VACUUM ANALYZE t'",
    "psql -c 'select pg_cancel_backend(12)'",
    "kubectl scale deploy/web --replicas=3",
    "docker stop web",
    "apt-get install -y htop",
    "terraform plan",
    "restic backup /srv",
    "strace -p 12",
    "tcpdump -c 5 -w /tmp/x.pcap",
    "logrotate /etc/logrotate.d/app",
    "journalctl --vacuum-time=30d",
    "mail -s x a@b <<< hello",
    "renice 5 -p 12",
    "kill -HUP 12",
    "mount /mnt/backup",
    "ansible web -m ping",
    "curl -X POST localhost:9090/-/reload",
    "echo show stat | socat stdio /run/haproxy.sock",
    "kubectl get secret x -o yaml",
    "rm -rf --help x",
]


@pytest.mark.parametrize("command", READS)
def test_reading_is_allowed(command: str) -> None:
    assert GUARD.judge_read_only(command).verdict is Severity.ALLOW


@pytest.mark.parametrize("command", CHANGES)
def test_what_changes_anything_or_is_unknown_is_refused(command: str) -> None:
    assert GUARD.judge_read_only(command).verdict is Severity.REFUSE


def test_an_exception_of_the_team_does_not_count_for_a_probe() -> None:
    guard = CommandGuard(GuardPolicy(exceptions=(GuardException(name="spool", command="rm /srv/spool/x"),)))
    assert guard.judge("rm /srv/spool/x").verdict is Severity.ALLOW
    assert guard.judge_read_only("rm /srv/spool/x").verdict is Severity.REFUSE
