"""What a new demo host has on it: processes, services, files and a journal that began long ago."""

from dataclasses import replace
from datetime import datetime, timedelta

from bot.playground.machine.processes import INIT
from bot.playground.machine.services import Service
from bot.playground.machine.signals import HUP, INT, TERM
from bot.playground.machine.system import SimulatedSystem


def furnish(system: SimulatedSystem) -> None:
    """Give a new host its first processes, services, files and journal."""
    furnish_processes(system)
    furnish_services(system)
    furnish_runaways(system)
    furnish_files(system)


def furnish_processes(system: SimulatedSystem) -> None:
    """Init and some threads of the kernel."""
    system.processes.spawn("/sbin/init", name="systemd", pid=INIT, parent=0, started=system.booted)
    for number, name in enumerate(("kthreadd", "rcu_gp", "ksoftirqd/0", "kworker/0:1", "kswapd0", "jbd2/sda1-8"), 2):
        parent = 0 if number == 2 else 2
        thread = system.processes.spawn(
            name, name=name, pid=number, parent=parent, group=0, session=0, started=system.booted
        )
        thread.kernel = True


def furnish_services(system: SimulatedSystem) -> None:
    """The units, those that run since the host was booted."""
    long_ago = system.booted + timedelta(seconds=4)
    system.processes.last_pid = 411
    for service in first_services(system.now()):
        system.services.add(service)
        if service.active == "active":
            system.services.bring_up(service, started=long_ago)
            system.journal.note(service.name, f"Started {service.unit} - {service.description}.")


def furnish_runaways(system: SimulatedSystem) -> None:
    """Two processes that eat a processor each; one of them ends only by KILL."""
    system.processes.last_pid = 24_116
    cron = system.service("cron")
    for flag, ignored in (("--month=2026-10", ()), ("--stuck", (TERM, INT, HUP))):
        worker = system.processes.spawn(
            "/usr/local/bin/report-worker",
            flag,
            user="ops",
            parent=cron.main_pid,
            cgroup=cron.cgroup,
            started=system.now() - timedelta(hours=2, minutes=11),
            ignored=ignored,
        )
        worker.state, worker.processor, worker.resident = "R", 97.3, 1_843_200


def first_services(now: datetime) -> tuple[Service, ...]:
    """The units of a demo host; all run but `backup`."""

    def unit(name: str, description: str, user: str, command: str, *workers: str) -> Service:
        return Service(
            name=name,
            description=description,
            user=user,
            command=command,
            workers=workers,
            active="active",
            changed=now,
        )

    master = "nginx: master process /usr/sbin/nginx -g daemon on; master_process on;"
    postgres = "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main"
    celery = "/srv/app/venv/bin/celery -A app worker --hostname=1"
    writers = ("postgres: checkpointer", "postgres: walwriter")
    sshd = "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"
    cron = unit("cron", "Regular background program processing daemon", "root", "/usr/sbin/cron -f")
    listener = unit("sshd", "OpenBSD Secure Shell server", "root", sshd)
    web = unit("nginx", "A high performance web server", "www-data", master, *["nginx: worker process"] * 2)
    database = unit("postgresql", "PostgreSQL RDBMS", "postgres", postgres, *writers)
    worker = unit("celery@1", "Celery worker 1", "app", celery)
    shop = unit("app", "The shop", "app", "/srv/app/venv/bin/gunicorn app:web", "gunicorn: worker")
    backup = unit("backup", "Nightly backup", "root", "/usr/local/bin/backup")
    return (
        cron,
        replace(listener, reloads=True),
        replace(web, reloads=True),
        replace(database, reloads=True),
        replace(worker, respawns=True),
        replace(shop, respawns=True),
        replace(backup, active="inactive"),
    )


def furnish_files(system: SimulatedSystem) -> None:
    """The folders and files of a demo host."""
    for path in ("/etc", "/var/log", "/var/lib", "/usr/bin", "/usr/sbin", "/home", "/root", "/proc", "/run", "/dev"):
        system.files.directory(path)
    for path in ("/tmp", "/var/tmp"):  # noqa: S108 - folders of the simulation
        system.files.directory(path, mode=0o777)
    system.files.directory(f"/home/{system.login}", owner=system.login)
    system.files.write("/etc/hostname", system.hostname + "\n")
    release = 'PRETTY_NAME="Simulated Linux (Handrail demo)"\nNAME="Simulated Linux"\nID=debian\nVERSION_ID="12"\n'
    system.files.write("/etc/os-release", release)
    system.files.write("/etc/motd", motd(system.hostname))
    system.files.write("/etc/nginx/nginx.conf", "user www-data;\nworker_processes 2;\nevents {}\nhttp {}\n")
    system.files.write("/etc/shadow", "root:*:20000:0:99999:7:::\n", mode=0o600)
    access = "".join(f'10.0.0.{n % 9} - - "GET /health HTTP/1.1" 200 2\n' for n in range(200))
    system.files.write("/var/log/nginx/access.log", access, owner="www-data", padding=412_000_000)
    system.files.write("/var/log/nginx/error.log", "worker process started\n", owner="www-data")
    system.files.write("/var/log/app/report.log", "report: row 1 of ?\n" * 50, owner="ops", padding=3_221_225_472)
    system.files.write("/var/log/syslog", f"{system.hostname} systemd[1]: Started session.\n", padding=88_000_000)


def motd(hostname: str) -> str:
    """What a login sees: that nothing here is real."""
    return f"{hostname} is a simulated demo host. Nothing here is real, and nothing here can harm a machine.\n"
