"""Programs that run another command: where the inner command stands in their arguments.

`WRAPPERS` is the table for those that simply precede it; the functions below know the rest. What is found is either an
argument list or text for a shell.
"""

# Tables are read by the line: a wrapper stays on one.

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, takewhile

from safety.command_guard.places import names
from safety.command_guard.values import BRACKET, QUESTION, STAR, UNKNOWN, as_typed, has_unknown

Argv = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Inner:
    """What a wrapper starts: `argv`, or `text` for a shell. `old`: on what is older than a day only."""

    argv: Argv = ()
    text: str | None = None
    remote: bool = False
    old: bool = False
    assigned: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Wrapper:
    """Options that take a value, how many operands come before the command, whether NAME=value may."""

    takes: str = ""
    skip: int = 0
    assigns: bool = False


_PLAIN = Wrapper()
WRAPPERS: dict[str, Wrapper] = {
    "sudo": Wrapper(
        takes="-u -g -h -p -C -r -t -T -U -D -R --user --group --host --prompt --chdir --chroot --role --type",
        assigns=True,
    ),
    "doas": Wrapper(takes="-u -C"),
    "env": Wrapper(takes="-u -C --unset --chdir", assigns=True),
    "pkexec": Wrapper(takes="--user -u"),
    "timeout": Wrapper(takes="-k -s --kill-after --signal", skip=1),
    "gtimeout": Wrapper(takes="-k -s --kill-after --signal", skip=1),
    "nice": Wrapper(takes="-n --adjustment"),
    "ionice": Wrapper(takes="-c -n --class --classdata"),
    "stdbuf": Wrapper(takes="-i -o -e --input --output --error"),
    "time": Wrapper(takes="-f -o --format --output"),
    "chrt": Wrapper(takes="-T -P -D --sched-runtime", skip=1),
    "taskset": Wrapper(skip=1),
    "numactl": Wrapper(takes="-m -N -C -i -p --membind --cpunodebind --physcpubind"),
    "prlimit": _PLAIN,
    "chroot": Wrapper(takes="--userspec --groups", skip=1),
    "unshare": Wrapper(takes="-R -w --root --wd -S -G"),
    "nsenter": Wrapper(takes="-t --target -S -G"),
    "setpriv": Wrapper(takes="--reuid --regid --groups --inh-caps --ambient-caps --bounding-set"),
    "strace": Wrapper(takes="-e -o -p -s -u -E -O -S -P -a -I -b -X"),
    "ltrace": Wrapper(takes="-e -o -p -s -u -l -n -a"),
    "perf-run": _PLAIN,
    "gosu": Wrapper(skip=1),
    "su-exec": Wrapper(skip=1),
    "chpst": Wrapper(takes="-u -U -b -e -/ -n -l -L -m -d -o -p -f -c"),
    "setuidgid": Wrapper(skip=1),
    "softlimit": Wrapper(takes="-m -d -s -l -a -o -p -f -c -r -t"),
    "systemd-run": Wrapper(
        takes="-u -p -M -H -E -d --unit --property --uid --gid --machine --slice --description --setenv --nice "
        "--working-directory --on-active --on-boot --on-calendar --on-startup --on-unit-active --timer-property"
    ),
    "systemd-inhibit": Wrapper(takes="--what --who --why --mode"),
    "systemd-nspawn": Wrapper(takes="-D -M -u -i --directory --machine --user --image --bind"),
    "start-stop-daemon": Wrapper(
        takes="-p -x -a -n -u -c -g -r -d -N -P -I -k -s --pidfile --user --name --chuid --chdir --group "
        "--signal --retry --exec --startas"
    ),
    "firejail": _PLAIN,
    "bwrap": _PLAIN,
    "fakeroot": _PLAIN,
    "proot": Wrapper(takes="-r -b -w -q"),
    "eatmydata": _PLAIN,
    "nohup": _PLAIN,
    "setsid": _PLAIN,
    "command": _PLAIN,
    "builtin": _PLAIN,
    "exec": Wrapper(takes="-a"),
    "unbuffer": _PLAIN,
    "setarch": Wrapper(skip=1),
    "linux32": _PLAIN,
    "linux64": _PLAIN,
    "i386": _PLAIN,
    "x86_64": _PLAIN,
    "catchsegv": _PLAIN,
    "rlwrap": _PLAIN,
    "dbus-run-session": _PLAIN,
    "xvfb-run": _PLAIN,
    "aa-exec": Wrapper(takes="-p -n"),
    "runcon": Wrapper(takes="-u -r -t -l"),
    "cgexec": Wrapper(takes="-g"),
    "faketime": Wrapper(skip=1),
    "torify": _PLAIN,
    "torsocks": _PLAIN,
    "proxychains": _PLAIN,
    "proxychains4": _PLAIN,
    "tsocks": _PLAIN,
    "scl": Wrapper(skip=1),
    "trickle": Wrapper(takes="-u -d"),
    "cpulimit": Wrapper(takes="-l -p -e --limit"),
    "turbostat": Wrapper(takes="-i -n -o -s -c --interval --out --show --num_iterations"),
    "valgrind": _PLAIN,
    "daemonize": Wrapper(takes="-p -l -o -e -c -u"),
    "daemon": _PLAIN,
    "dumb-init": _PLAIN,
    "tini": _PLAIN,
    "retry": Wrapper(takes="-t -d"),
    "chronic": _PLAIN,
    "sg": Wrapper(skip=1),
    "capsh": Wrapper(),
    "busybox": _PLAIN,
    "toybox": _PLAIN,
    "ld.so": _PLAIN,
    "coproc": _PLAIN,
    "noglob": _PLAIN,
    "nocorrect": _PLAIN,
    "viddy": _PLAIN,
    "logsave": Wrapper(skip=1),
    "sshpass": Wrapper(takes="-p -f -d -P"),
    "cronitor": _PLAIN,
    "dsh": Wrapper(takes="-g -m"),
    "xargs": Wrapper(
        takes="-n -I -P -L -d -a -s -E --max-args --max-procs --arg-file --delimiter --max-lines --max-chars"
    ),
    "sem": Wrapper(takes="-j --id"),
    "ts-run": _PLAIN,
    "setlock": Wrapper(skip=1),
    "lckdo": Wrapper(skip=1),
    "run-one": _PLAIN,
    "entr": _PLAIN,
    "ifne": _PLAIN,
    "pee": _PLAIN,
}
"""Wrappers that precede the command they run."""

SHELLS = frozenset(
    names(
        """
    sh bash dash zsh ksh ksh93 mksh ash fish csh tcsh rbash posh yash busybox-sh pwsh rksh lksh elvish nu
    xonsh oksh
    """
    )
)
"""Programs that read shell text; also where `-c` is followed by it."""


def _bare(argv: Argv, takes: str, skip: int, *, assigns: bool = False) -> tuple[Argv, tuple[tuple[str, str], ...]]:
    """What follows the wrapper's own options and operands; the assignments on the way."""
    options = takes.split()
    assigned: list[tuple[str, str]] = []
    at = 1
    while at < len(argv):
        word = as_typed(argv[at])
        if word == "--":
            at += 1
            if not assigns:
                break
        elif word.startswith("-") and len(word) > 1:
            at += 2 if _takes_next(word, options) else 1
        elif assigns and re.match(r"[A-Za-z_]\w*(\+?)=", word):
            name, _, value = word.partition("=")
            assigned.append((name, value))
            at += 1
        else:
            break
    return argv[at + skip :], tuple(assigned)


def _takes_next(word: str, options: list[str]) -> bool:
    if word.startswith("--"):
        return word in options
    for index, letter in enumerate(word[1:], start=1):
        if f"-{letter}" in options:
            return index == len(word) - 1
    return False


def after_options(argv: Argv, takes: str, skip: int = 0) -> Argv:
    """The words after a program's options and `skip` operands."""
    return _bare(argv, takes, skip)[0]


def _plain(argv: Argv, name: str) -> list[Inner]:
    wrapper = WRAPPERS[name]
    if name in ("ionice", "chrt", "taskset", "prlimit") and any(
        re.match(r"-[a-z]*p|--pid", as_typed(word)) for word in argv[1:3]
    ):
        return []  # it speaks of a process that runs already
    rest, assigned = _bare(argv, wrapper.takes, wrapper.skip, assigns=wrapper.assigns)
    return [Inner(argv=rest, assigned=assigned)] if rest or assigned else []


def _env(argv: Argv) -> list[Inner]:
    for index, word in enumerate(argv):
        typed = as_typed(word)
        if typed in ("-S", "--split-string") and index + 1 < len(argv):
            return [Inner(text=" ".join((as_typed(argv[index + 1]), *map(quoted, argv[index + 2 :]))))]
        if typed.startswith(("-S", "--split-string=")) or re.match(r"-[a-z0]*S", typed):
            text = typed.partition("=")[2] if typed.startswith("--") else typed[typed.index("S") + 1 :]
            if not text and index + 1 < len(argv):
                return [Inner(text=" ".join((as_typed(argv[index + 1]), *map(quoted, argv[index + 2 :]))))]
            return [Inner(text=" ".join((text, *map(quoted, argv[index + 1 :]))))]
    return _plain(argv, "env")


def quoted(word: str) -> str:
    """One word of shell text that means exactly this word."""
    typed = as_typed(word)
    return typed if re.fullmatch(r"[\w./:=@%+,-]+", typed) else "'" + typed.replace("'", "'\\''") + "'"


def _sudo(argv: Argv) -> list[Inner]:
    words = [as_typed(word) for word in argv[1:]]
    first = next((i for i, word in enumerate(words) if not word.startswith("-")), len(words))
    if any(word in ("-e", "--edit") for word in words[:first]):
        return [Inner(argv=("tee", path)) for path in argv[1 + first :]]
    if any(re.fullmatch(r"-[a-zA-Z]*[lvKkV][a-zA-Z]*|--list|--validate", word) for word in words[:first]):
        return []
    return _plain(argv, "sudo")


def opens_shell(argv: Argv) -> bool:
    """Whether these words, which name no command, start a shell: `sudo -i`, `sudo -su app`, `chroot /mnt`."""
    name, words = as_typed(argv[0]), [as_typed(word) for word in argv[1:]]
    if name in ("sudo", "doas"):
        own = list(takewhile(lambda word: word.startswith("-"), words))
        # With -l it only says what would be allowed; `-s` behind a command is the command's.
        if any(re.fullmatch(r"-[a-zA-Z]*l[a-zA-Z]*|--list", word) for word in own):
            return False
        return any(re.fullmatch(r"-[a-zA-Z]*[is][a-zA-Z]*|--login|--shell", word) for word in words)
    if name == "pkexec":
        return not any(word in ("--version", "--help") for word in words)
    return name in _SHELL_IF_NOTHING_ELSE and not any(word in ("-h", "--help", "-V", "--version") for word in words)


_SHELL_IF_NOTHING_ELSE = frozenset(
    names(
        """
    chroot nsenter unshare setarch linux32 linux64 i386 x86_64 fakeroot newgrp systemd-nspawn proot sg runuser script
    """
    )
)


def _su(argv: Argv) -> list[Inner]:
    words = [as_typed(word) for word in argv]
    for index, word in enumerate(words):
        if word in ("-c", "--command", "--session-command", "-lc") and index + 1 < len(words):
            return [Inner(text=words[index + 1])]
        if word.startswith(("--command=", "--session-command=")):
            return [Inner(text=word.partition("=")[2])]
        if re.fullmatch(r"-c.+", word):
            return [Inner(text=word[2:])]
    if "--" in words:
        return [Inner(argv=argv[words.index("--") + 1 :])]
    if words[0] == "runuser":
        rest = after_options(argv, "-u -g -G -s --user --group --shell")
        return [Inner(argv=rest)] if "-u" in words and rest else []
    return []


def _ssh(argv: Argv) -> list[Inner]:
    rest = after_options(argv, "-p -i -o -l -F -J -L -R -D -E -b -c -m -O -S -W -w -e -I -Q -B", 1)
    if not rest:
        return []
    text = Inner(text=" ".join(as_typed(word) for word in rest), remote=True)
    # `ssh h sh -c 'rm x'` runs `sh -c rm x`: what was meant is judged as well as what would run.
    return [text, Inner(argv=rest, remote=True)] if len(rest) > 2 and "-c" in rest else [text]


def _joined(takes: str, skip: int = 0) -> Callable[[Argv], list[Inner]]:
    def unwrap(argv: Argv) -> list[Inner]:
        rest = after_options(argv, takes, skip)
        return [Inner(text=" ".join(as_typed(word) for word in rest))] if rest else []

    return unwrap


_CONTAINER_TAKES = """
-u -e -w --user --env --workdir --env-file -n --name -v --volume -p --publish --network --net -h --hostname -l
--label -m --memory --cpus --entrypoint --restart --index -H --host --context -f --file --project-name
--log-driver --log-opt --ip --add-host --link --mount --shm-size --ulimit --platform --pid --ipc --cap-add
--cap-drop --device --security-opt --dns --tmpfs
"""
"""Options of `docker run` and `docker exec` that take a value."""


def _container(argv: Argv) -> list[Inner]:
    """`docker exec web rm …`, `docker run image rm …`, also behind `compose` and `container`."""
    words = [as_typed(word) for word in argv]
    takes = _CONTAINER_TAKES
    for verb in ("exec", "run", "create"):
        if verb in words[1:4] or (len(words) > 4 and verb in words[4:7] and words[1].startswith("-")):
            at = words.index(verb)
            inner = [Inner(argv=after_options(argv[at:], takes, 1))]
            for index, word in enumerate(words):
                if word == "--entrypoint" and index + 1 < len(words):
                    inner.append(Inner(argv=(argv[index + 1], *after_options(argv[at:], takes, 1))))
                elif word.startswith("--entrypoint="):
                    inner.append(Inner(argv=(word.partition("=")[2], *after_options(argv[at:], takes, 1))))
            return [one for one in inner if one.argv]
    return []


def _kubectl(argv: Argv) -> list[Inner]:
    words = [as_typed(word) for word in argv]
    if "exec" not in words and "run" not in words and "debug" not in words:
        return []
    if "--" in words:
        return [Inner(argv=argv[words.index("--") + 1 :])]
    at = words.index("exec") if "exec" in words else len(words)
    rest = after_options(argv[at:], "-n --namespace -c --container --context -f --filename --kubeconfig", 1)
    return [Inner(argv=rest)] if rest else []


def _dashes(argv: Argv) -> list[Inner]:
    words = [as_typed(word) for word in argv]
    return [Inner(argv=argv[words.index("--") + 1 :])] if "--" in words else []


def _flock(argv: Argv) -> list[Inner]:
    words = [as_typed(word) for word in argv]
    for flag in ("-c", "--command"):
        if flag in words and words.index(flag) + 1 < len(words):
            return [Inner(text=words[words.index(flag) + 1])]
    rest = after_options(argv, "-w -E --timeout --wait --conflict-exit-code", 1)
    return [Inner(argv=rest)] if rest else []


def _watch(argv: Argv) -> list[Inner]:
    words = [as_typed(word) for word in argv]
    rest = after_options(argv, "-n --interval -q --equexit")
    if "-x" in words or "--exec" in words:
        return [Inner(argv=rest)]
    return [Inner(text=" ".join(as_typed(word) for word in rest))] if rest else []


def _parallel(argv: Argv) -> list[Inner]:
    words = [as_typed(word) for word in argv]
    rest = after_options(
        argv,
        "-j -P -n -N -I -a --jobs --max-procs --delay --timeout --colsep -S --sshlogin --joblog --results --arg-file",
    )
    typed = [as_typed(word) for word in rest]
    marks = [i for i, word in enumerate(typed) if word in (":::", "::::", ":::+")]
    head = typed[: marks[0]] if marks else typed
    values = (
        [v for v in typed[marks[0] + 1 :] if not v.startswith("::")]
        if marks and typed[marks[0]] != "::::"
        else [UNKNOWN]
    )
    if not head:
        return [Inner(text=value) for value in values[:40]]
    text = " ".join(head)
    if "--pipe" in words:
        return [Inner(text=text)]
    joined = [text.replace("{}", v) if "{}" in text else f"{text} {v}" for v in values[:40]]
    return [Inner(text=one) for one in joined]


def _find(argv: Argv) -> list[Inner]:
    inner: list[Inner] = []
    words = [as_typed(word) for word in argv]
    paths = found_paths(argv) or (UNKNOWN,)
    for index, word in enumerate(words):
        if word not in ("-exec", "-execdir", "-ok", "-okdir"):
            continue
        command = []
        for raw, typed in zip(argv[index + 1 :], words[index + 1 :], strict=True):
            if typed in (";", "+"):
                break
            command.append(raw)
        if len(inner) > 24:
            return [Inner(argv=(UNKNOWN,))]
        inner += [Inner(argv=tuple(part.replace("{}", path) for part in command), old=is_old(argv)) for path in paths]
    return [one for one in inner if one.argv]


def found_paths(argv: Argv) -> tuple[str, ...] | None:
    """The paths `find` would name, as globs: where it starts, and the one name it looks for. None: cannot be told."""
    words = [as_typed(word) for word in argv]
    starts = []
    for raw, word in zip(argv[1:], words[1:], strict=True):
        if (word.startswith("-") and word not in ("-L", "-H", "-P")) or word in ("(", "!", ","):
            break
        if not word.startswith("-"):
            starts.append(raw)
    named = [words[i + 1] for i, word in enumerate(words[:-1]) if word in ("-name", "-iname")]
    alone = len(named) == 1 and not {"-o", "-or", "!", "-not", ","} & set(words)
    last = STAR
    if alone and not has_unknown(named[0]) and "/" not in named[0]:
        last = named[0].translate({ord("*"): STAR, ord("?"): QUESTION, ord("["): BRACKET})
    if len(starts) > 16:
        return None
    return tuple(f"{start.rstrip('/')}/{last}" if start not in (".", "./") else last for start in starts or ["."])


def is_old(argv: Argv) -> bool:
    """Whether `find` only takes what is older than a day."""
    words = [as_typed(word) for word in argv]
    return any(
        (word in ("-mtime", "-atime", "-ctime") and re.fullmatch(r"\+[1-9]\d*", value))
        or (word in ("-mmin", "-amin", "-cmin") and re.fullmatch(r"\+\d{2,}", value))
        for word, value in pairwise(words)
    )


_RUNNERS = {
    "bundle": ("exec",),
    "poetry": ("run",),
    "pipenv": ("run",),
    "uv": ("run",),
    "pdm": ("run",),
    "hatch": ("run",),
    "rye": ("run",),
    "npm": ("exec", "x"),
    "pnpm": ("exec", "dlx"),
    "yarn": ("exec", "dlx"),
    "rbenv": ("exec",),
    "pyenv": ("exec",),
    "nodenv": ("exec",),
    "asdf": ("exec",),
    "mise": ("exec", "x"),
    "rvm": ("do",),
    "conda": ("run",),
    "mamba": ("run",),
    "direnv": ("exec",),
    "doppler": ("run",),
    "aws-vault": ("exec",),
    "op": ("run",),
    "chamber": ("exec",),
    "infisical": ("run",),
    "heroku": ("run",),
    "fly": ("ssh",),
    "flyctl": ("ssh",),
    "dokku": ("run", "enter"),
    "tsh": ("ssh",),
    "teleport": ("ssh",),
    "kubectx": ("exec",),
    "lxc": ("exec",),
    "incus": ("exec",),
    "multipass": ("exec",),
    "virsh": ("qemu-agent-command",),
    "cf": ("ssh",),
    "oc": ("rsh",),
    "nomad": ("exec",),
    "knife": ("ssh",),
    "pct": ("exec",),
    "qm": ("guest",),
    "juju": ("exec", "run", "ssh"),
    "az": ("vm",),
    "tmuxinator": ("start",),
    "distrobox": ("enter",),
    "toolbox": ("run",),
    "flatpak": ("run",),
    "jexec": (),
}
"""Programs with a sub-command that runs another program: what follows it, its options left out, is judged."""


def _runner(argv: Argv) -> list[Inner]:
    words = [as_typed(word) for word in argv]
    verbs = _RUNNERS[words[0]]
    at = next((i for i, word in enumerate(words[1:4], start=1) if word in verbs), None)
    if at is None:
        return []
    if words[0] in ("aws-vault", "direnv", "chamber", "lxc", "incus", "multipass", "knife", "tsh", "oc", "pct"):
        rest = after_options(argv[at:], "-n -e -u -p -c -a -S --user --env --cwd --project", 1)
    else:
        rest = after_options(argv[at:], "-n -e -p -c -a -C --name --env --project --package -w")
    if len(rest) == 1:
        return [Inner(text=as_typed(rest[0]))]
    return [Inner(argv=rest)] if rest else []


def _npx(argv: Argv) -> list[Inner]:
    rest = after_options(argv, "-p --package -c --call")
    return [Inner(argv=rest)] if rest else []


def _perf(argv: Argv) -> list[Inner]:
    words = [as_typed(word) for word in argv]
    if len(words) < 2 or words[1] not in (
        "record",
        "stat",
        "trace",
        "mem",
        "c2c",
        "kvm",
        "sched",
        "lock",
        "ftrace",
        "timechart",
    ):
        return []
    if "--" in words:
        return [Inner(argv=argv[words.index("--") + 1 :])]
    rest = after_options(
        argv[1:],
        "-p -t -e -F -o -C -I -G -D -r -i -c -m -s -u -B --pid --tid --event --output --cpu --call-graph "
        "--freq --count --repeat",
    )
    if words[1] in ("mem", "c2c", "kvm", "sched", "lock") and rest and as_typed(rest[0]) == "record":
        rest = rest[1:]
    return (
        [Inner(argv=rest)] if rest and as_typed(rest[0]) not in ("record", "report", "latency", "stat", "info") else []
    )


def _aws_run(argv: Argv) -> list[Inner]:
    """`aws ssm send-command` runs text on other hosts."""
    words = [as_typed(word) for word in argv]
    if "send-command" not in words:
        return _dashes(argv)
    found = [re.sub(r"^.*?commands=", "", word).strip("[]\"'") for word in words if "commands=" in word]
    return [Inner(text=text.replace('","', ";")) for text in found] or [Inner(argv=(UNKNOWN,))]


def _edited(argv: Argv) -> list[Inner]:
    return [Inner(argv=("tee", path)) for path in after_options(argv, "-u -g -p -C")]


def _debugged(argv: Argv) -> list[Inner]:
    words = [as_typed(word) for word in argv]
    mark = next((word for word in ("--args", "-args", "--") if word in words), None)
    return [Inner(argv=argv[words.index(mark) + 1 :])] if mark else []


def _hooks(argv: Argv) -> list[Inner]:
    """`certbot … --deploy-hook CMD`."""
    words = [as_typed(word) for word in argv]
    found = [words[i + 1] for i, word in enumerate(words[:-1]) if re.fullmatch(r"--(pre|post|deploy|renew)-hook", word)]
    found += [word.partition("=")[2] for word in words if re.match(r"--(pre|post|deploy|renew)-hook=", word)]
    return [Inner(text=text) for text in found]


def _cloud_shell(argv: Argv) -> list[Inner]:
    """`gcloud compute ssh host --command …`, `az vm run-command invoke --scripts …`."""
    words = [as_typed(word) for word in argv]
    for index, word in enumerate(words):
        if word in ("--command", "--scripts") and index + 1 < len(words):
            return [Inner(text=words[index + 1])]
        if word.startswith(("--command=", "--scripts=")):
            return [Inner(text=word.partition("=")[2])]
    return _dashes(argv) if "ssh" in words else []


def _script(argv: Argv) -> list[Inner]:
    words = [as_typed(word) for word in argv]
    joined = [words[i + 1] for i, word in enumerate(words[:-1]) if re.fullmatch(r"-[a-zA-Z]+c", word)]
    return [Inner(text=text) for text in joined] or [Inner(text=one.text) for one in _su(argv)]


def _remote_tool(argv: Argv) -> list[Inner]:
    """ansible, salt, pdsh, clush: the command is in `-a`, behind `cmd.run`, or simply last."""
    words = [as_typed(word) for word in argv]
    for index, word in enumerate(words[:-1]):
        if word in ("-a", "--args") and words[0] in ("ansible",):
            return [Inner(text=re.sub(r"^cmd=|\b(chdir|creates|removes|executable)=\S+", "", words[index + 1]))]
        if word in ("cmd.run", "cmd.shell", "cmd.run_all", "cmd.script", "cmd.exec_code"):
            return [Inner(text=words[index + 1])]
    if words[0] in ("pdsh", "clush", "pssh", "parallel-ssh", "mussh", "rgang", "tentakel"):
        rest = after_options(argv, "-w -g -l -f -t -u -x -h -H -p -o -e -i?")
        return [Inner(text=" ".join(as_typed(word) for word in rest))] if rest else []
    return []


def _netns(argv: Argv) -> list[Inner]:
    words = [as_typed(word) for word in argv]
    if "exec" in words[:5] and ("netns" in words[:4] or "vrf" in words[:4]):
        return [Inner(argv=argv[words.index("exec") + 2 :])]
    return []


def _terminal(argv: Argv) -> list[Inner]:
    """tmux and screen: text behind `send-keys`, `new-session`, `-X stuff`, or after the options."""
    words = [as_typed(word) for word in argv]
    if words[0] == "tmux":
        for verb in (
            "new-session",
            "new",
            "new-window",
            "neww",
            "split-window",
            "splitw",
            "send-keys",
            "send",
            "run-shell",
            "run",
            "respawn-pane",
            "respawn-window",
            "if-shell",
            "pipe-pane",
            "popup",
            "display-popup",
        ):
            if verb in words:
                rest = after_options(argv[words.index(verb) :], "-s -n -c -t -x -y -F -e -p -l -d?")
                text = " ".join(w for w in map(as_typed, rest) if w not in ("Enter", "C-m"))
                return [Inner(text=text)] if text else []
        return []
    for index, word in enumerate(words[:-1]):
        if word in ("stuff", "exec"):
            return [Inner(text=decode_stuffed(words[index + 1]))]
    rest = after_options(argv, "-S -t -c -s -T -h -e -p -X -r -x?")
    return [Inner(argv=rest)] if rest else []


def decode_stuffed(text: str) -> str:
    """What `screen -X stuff` types, without its line ends."""
    return re.sub(r"\\n|\\r|\^M|\n|\r", "", text)


def _command(argv: Argv) -> list[Inner]:
    looks = len(argv) > 1 and as_typed(argv[1]) in ("-v", "-V")
    return [] if looks else _plain(argv, "command")


def _trap(argv: Argv) -> list[Inner]:
    rest = [word for word in argv[1:] if as_typed(word) not in ("--", "-p", "-l", "-")]
    return [Inner(text=as_typed(rest[0]))] if len(rest) > 1 and as_typed(rest[0]) else []


def _make_like(argv: Argv) -> list[Inner]:
    words = [as_typed(word) for word in argv]
    return [Inner(text=word[7:]) for word in words if word.startswith("--eval=")]


def _daemon(argv: Argv) -> list[Inner]:
    words = [as_typed(word) for word in argv]
    program = next((argv[i + 1] for i, w in enumerate(words[:-1]) if w in ("--exec", "-x", "--startas", "-a")), None)
    if program is None:
        return _plain(argv, "start-stop-daemon")
    return [Inner(argv=(program, *(argv[words.index("--") + 1 :] if "--" in words else ())))]


def _alias(argv: Argv) -> list[Inner]:
    return [Inner(text=as_typed(word).partition("=")[2]) for word in argv[1:] if "=" in word]


def _timed(argv: Argv) -> list[Inner]:
    """`hyperfine` hands each of its operands to a shell, and what is to run before and after."""
    takes = (
        "-w --warmup -m --min-runs -M --max-runs -r --runs -P -L -D -S --shell -n --command-name -u --time-unit --style"
    )
    words = [as_typed(word) for word in after_options(argv, takes)]
    around = [
        as_typed(b) for a, b in pairwise(argv) if as_typed(a) in ("-p", "--prepare", "-s", "--setup", "-c", "--cleanup")
    ]
    return [Inner(text=text) for text in dict.fromkeys([*words, *around]) if not text.startswith("-")]


SPECIAL: dict[str, Callable[[Argv], list[Inner]]] = {
    **dict.fromkeys(_RUNNERS, _runner),
    "npx": _npx,
    "certbot": _hooks,
    "sudoedit": _edited,
    "gdb": _debugged,
    "lldb": _debugged,
    "bunx": _npx,
    "pnpx": _npx,
    "uvx": _npx,
    "perf": _perf,
    "py-spy": _dashes,
    "rbspy": _dashes,
    "env": _env,
    "sudo": _sudo,
    "su": _su,
    "runuser": _su,
    "ssh": _ssh,
    "eval": _joined(""),
    "docker": _container,
    "podman": _container,
    "nerdctl": _container,
    "docker-compose": _container,
    "podman-compose": _container,
    "crictl": _container,
    "kubectl": _kubectl,
    "oc": _kubectl,
    "k": _kubectl,
    "lxc-attach": _dashes,
    "machinectl": _dashes,
    "nomad": _runner,
    "aws": _aws_run,
    "microk8s": _dashes,
    "flock": _flock,
    "watch": _watch,
    "parallel": _parallel,
    "find": _find,
    "fd": _find,
    "fdfind": _find,
    "script": _script,
    "scriptreplay": _script,
    "ansible": _remote_tool,
    "salt": _remote_tool,
    "salt-call": _remote_tool,
    "pdsh": _remote_tool,
    "clush": _remote_tool,
    "pssh": _remote_tool,
    "parallel-ssh": _remote_tool,
    "ip": _netns,
    "tmux": _terminal,
    "screen": _terminal,
    "trap": _trap,
    "start-stop-daemon": _daemon,
    "command": _command,
    "alias": _alias,
    "hyperfine": _timed,
    "autossh": _ssh,
    "mosh": _ssh,
    "gcloud": _cloud_shell,
    "az": _cloud_shell,
    "sg": _script,
    "newgrp": _script,
    "byobu": _terminal,
    "dtach": _terminal,
}
"""Wrappers whose inner command stands elsewhere."""


def unwrap(name: str, argv: Argv) -> list[Inner] | None:
    """What a wrapper runs; empty if it runs nothing this time; None if the program is no wrapper."""
    if name in SPECIAL:
        return SPECIAL[name](argv)
    if name in WRAPPERS:
        return _plain(argv, name)
    return None
