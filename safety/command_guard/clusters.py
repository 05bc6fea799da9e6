"""Docker, Kubernetes, clouds and Ansible: how much one command of theirs is told to do, and to how many things.

`EXAMINERS` names them, as in `programs.py`; the tables of `rules.py` are asked as well.
"""

import re
from collections.abc import Iterator

from safety.command_guard.paths import Zone, is_backup, is_secret, zone
from safety.command_guard.places import names
from safety.command_guard.programs import DATABASE, Case, Examiner, arriving, precious_unit, reading, uploading
from safety.command_guard.values import as_typed, has_glob, has_unknown, shown
from safety.command_guard.verdicts import Finding, allow, ask, refuse

_RUNTIMES = ("docker", "podman", "nerdctl", "crictl")


def _docker(case: Case) -> Iterator[Finding]:
    operands = list(case.arguments.operands)
    verbs = [as_typed(operand) for operand in operands[:2]]
    if verbs[:1] == ["container"]:
        operands, verbs = operands[1:], [as_typed(operand) for operand in operands[1:3]]
    words = [as_typed(word) for word in case.words]
    match verbs:
        case ["rm" | "rmi", *_]:
            yield from _removing(case, words, verbs[0])
        case ["image", "rm" | "remove"]:
            yield from _removing(case, words, verbs[1])
        case ["image" | "builder" | "prune" | "buildx", *_] if "prune" in words:
            if any(re.fullmatch(r"-\w*a\w*|--all|--volumes", word) for word in words):
                yield refuse(
                    "containers.remove", f"`{case.program} prune -a` removes whatever is not running just now."
                )
            else:
                yield ask("containers.prune", f"`{case.program} prune` removes what nothing uses.")
        case ["stop" | "pause" | "kill", *_]:
            yield from _stopping(case, words, verbs[0], operands[1:])
        case ["cp", *_]:
            yield from _copying(case, operands[1:])
        case ["exec", *_] | ["compose", "exec"]:
            yield allow("shell.wrapper")
        case ["pull", *_] | ["compose", "pull"]:
            yield allow("containers.pull")
        case ["service", "scale"] if all(re.search(r"=[1-9]\d{0,2}\Z", as_typed(o)) for o in operands[2:]):
            yield allow("containers.scale")
        case ["save", *_]:
            path = case.arguments.value("-o", "--output")
            yield arriving(case, ["image"], path) if path else allow("containers.save")


def _removing(case: Case, words: list[str], verb: str) -> Iterator[Finding]:
    names = [word for word in words[words.index(verb) + 1 :] if not word.startswith("-")]
    forced = any(re.fullmatch(r"-\w*f\w*|--force", word) for word in words)
    if not names or forced or len(names) > 5 or any(has_unknown(word) for word in case.words):
        yield refuse("containers.remove", f"`{case.program} {verb}` removes by force, or what nobody has named.")
    else:
        yield ask("containers.remove-one", f"`{case.program} {verb}` removes `{shown(names[0])}`.")


def _stopping(case: Case, words: list[str], verb: str, names: list[str]) -> Iterator[Finding]:
    signal = (case.arguments.value("-s", "--signal") or "").upper().removeprefix("SIG")
    if verb == "kill" and signal in ("HUP", "USR1", "USR2", "WINCH", "CONT", "QUIT"):
        yield allow("containers.signal")
    elif any(has_unknown(name) for name in names) or "--all" in words or "-a" in words or len(names) > 8:
        yield refuse("containers.everything", f"`{case.program} {verb}` of whatever is found stops everything at once.")
    elif verb == "kill":
        yield refuse("containers.kill", f"`{case.program} kill` gives it no time to finish.")
    elif verb == "pause" or any(DATABASE.search(as_typed(n)) or re.search(r"db|sql|data", as_typed(n)) for n in names):
        yield ask("containers.stop", f"Stopping {shown(names[0]) if names else 'it'} takes others along.")
    else:
        yield allow("containers.stop")


def _copying(case: Case, operands: list[str]) -> Iterator[Finding]:
    """`docker cp` and `kubectl cp`: out of a container is a copy, into it is a change."""
    if len(operands) < 2:
        return
    source, target = as_typed(operands[0]), operands[1]
    if re.match(r"/dev/", source):
        yield refuse("containers.overwrite", "It empties a file in a container.")
    elif re.search(r":/(usr|etc|bin|sbin|lib|lib64|boot|root|var/lib)(/|\Z)", as_typed(target)):
        yield refuse("containers.overwrite", f"It replaces `{shown(target)}` in a running container.")
    elif ":" in as_typed(target):
        yield ask("containers.copy", "It replaces files in a running container.")
    else:
        yield arriving(case, ["container"], target)


def _compose(case: Case) -> Iterator[Finding]:
    verbs = [as_typed(operand) for operand in case.arguments.operands[:1]]
    if verbs == ["exec"]:
        yield allow("shell.wrapper")
    elif verbs == ["pull"]:
        yield allow("containers.pull")


# Kubernetes

_SMALL = re.compile(r"(pods?|po|jobs?|replicasets?|rs)(/[\w.-]+)?")
_MANIFEST = re.compile(
    r"privileged:\s*true|hostPath|hostNetwork:\s*true|hostPID:\s*true|cluster-admin|replicas:\s*0|"
    r"kind:\s*(NetworkPolicy|ClusterRole|ClusterRoleBinding|ValidatingWebhook\w*|MutatingWebhook\w*|PersistentVolume|"
    r"CustomResourceDefinition|PodDisruptionBudget|ResourceQuota|LimitRange|APIService|"
    r"CertificateSigningRequest|Node)\b",
    re.IGNORECASE,
)
_PATCH = re.compile(
    r"finalizers|\"?replicas\"?:\s*0|\"op\":\s*\"(remove|replace)\"|unschedulable|\$patch|hostPath|"
    r"privileged|hostNetwork|"
    r"\"(data|stringData|spec|subsets|selector|rules|subjects|users)\":\s*null|NoExecute|NoSchedule|"
    r"reclaimPolicy|\"drain\"",
    re.IGNORECASE,
)


def _kubectl(case: Case) -> Iterator[Finding]:
    a = case.arguments
    operands = list(a.operands)
    verb = as_typed(operands[0]) if operands else ""
    if a.has("--dry-run=client", "--dry-run=server"):
        return
    match verb:
        case "delete":
            yield from _deleting(case, operands[1:])
        case "cordon" | "uncordon":
            several = len(operands) != 2 or has_unknown(operands[1]) or a.has("--all", "-l", "--selector")
            if several:
                yield refuse("clusters.delete", f"`{verb}` of nodes nobody has named.")
            elif verb == "cordon":
                yield ask("clusters.cordon", "No new pods start on that node.")
            else:
                yield allow("clusters.uncordon")
        case "scale" | "autoscale":
            yield from _scaling(case)
        case "apply" | "create" | "replace":
            yield from _applying(case)
        case "patch":
            text = a.value("-p", "--patch")
            if text is None or has_unknown(text) or _PATCH.search(text):
                yield refuse("clusters.patch", "A patch that empties, opens or strands something, or cannot be read.")
        case "cp":
            yield from _copying(case, operands[1:])
        case "exec":
            yield allow("shell.wrapper")
        case "rollout" if operands[1:2] and as_typed(operands[1]) in ("restart", "resume", "undo", "pause"):
            if len(operands) > 2 and any(has_unknown(o) for o in operands[2:]):
                yield ask("clusters.rollout", "Which rollout it is stands only in a variable.")
            elif as_typed(operands[1]) in ("undo", "pause"):
                yield ask("clusters.rollout", f"`rollout {as_typed(operands[1])}` changes what runs.")
        case "set" if operands[1:2] and as_typed(operands[1]) in ("subject", "serviceaccount", "selector"):
            yield refuse("clusters.rights", "It changes who may do what, or where requests go.")


def _deleting(case: Case, operands: list[str]) -> Iterator[Finding]:
    a = case.arguments
    names = [as_typed(operand) for operand in operands]
    wide = a.has("--all", "-A", "--all-namespaces", "-l", "--selector", "-f", "--filename", "-k", "--raw", "--force")
    slashed = all("/" in name for name in names)
    count = len(names) if slashed else len(names) - 1
    if (
        not wide
        and names
        and a.value("--grace-period") != "0"
        and not any(has_unknown(operand) or has_glob(operand) for operand in operands)
        and 1 <= count <= 3
        and (all(_SMALL.fullmatch(n) for n in names) if slashed else _SMALL.fullmatch(names[0]) and "," not in names[0])
    ):
        yield ask("clusters.delete-one", f"It deletes `{shown(' '.join(names))}`, which its owner may start again.")
        return
    yield refuse("clusters.delete", f"`{case.program} delete {shown(' '.join(names[:2]))}` removes parts of a cluster.")


def _scaling(case: Case) -> Iterator[Finding]:
    a = case.arguments
    wanted = a.value("--replicas", "--min")
    if wanted is None or has_unknown(wanted) or not wanted.isascii() or not wanted.isdigit():
        yield ask("clusters.scale", "How many there shall be stands only in a variable.")
    elif int(wanted) == 0:
        yield refuse("clusters.scale", "Scaling to nothing takes the service away.")
    elif int(wanted) > 200 or a.has("--all"):
        yield ask("clusters.scale", "That many at once may take the cluster's room.")
    else:
        yield allow("clusters.scale")


def _applying(case: Case) -> Iterator[Finding]:
    a = case.arguments
    words = " ".join(as_typed(word) for word in case.words)
    if re.search(r"clusterrolebinding|clusterrole\b|cluster-admin|rolebinding", words):
        yield refuse("clusters.rights", "It gives rights over the cluster away.")
    path = a.value("-f", "--filename", "-k", "--kustomize") or ""
    if re.match(r"(https?|git|oci)://|github\.com/", path):
        yield refuse(
            "guard.unknown-text", f"`{case.program}` would apply `{shown(path)}`, which comes from the network."
        )
    feed = case.invocation.feed
    if path == "-" or (not path and feed.given):
        if feed.text is None:
            sources = {p[0].rsplit("/", 1)[-1] for p in feed.producers if p}
            said = " ".join(as_typed(word) for p in feed.producers for word in p)
            if re.search(r"replicas\W{0,4}[=:]\s*0|privileged|cluster-admin|hostPath|finalizers", said):
                yield refuse("clusters.manifest", "A manifest that empties, opens or strands something.")
            if sources & {"curl", "wget", "base64", "openssl", "nc", "xxd"}:
                yield refuse("guard.unknown-text", f"`{case.program}` would apply what the guard cannot see.")
        elif _MANIFEST.search(feed.text):
            yield refuse("clusters.manifest", "A manifest that opens the host, cuts traffic off or gives rights away.")


# Clouds


def _aws(case: Case) -> Iterator[Finding]:
    operands = [as_typed(operand) for operand in case.arguments.operands]
    match operands[:2]:
        case ["s3", "cp" | "sync"] if len(operands) >= 4:
            source, target = case.arguments.operands[2:4]
            if is_backup(source, case.cwd) or (as_typed(source) == "-" and case.invocation.feed.given):
                named = re.match(r"s3://[\w.-]*(backup|archive|dump)", as_typed(target))
                yield from [allow("paths.backup")] if named else uploading(case)
            elif not as_typed(source).startswith("s3:") and (
                is_secret(source, case.cwd) or zone(source, case.cwd) in (Zone.TOP, Zone.CRITICAL, Zone.DEVICE)
            ):
                yield refuse("exfiltration.secrets", "It carries passwords, keys or parts of the system away.")
            elif not as_typed(target).startswith("s3:") and as_typed(target) != "-":
                yield from reading(case, [target])
                yield arriving(case, ["object"], target)
        case ["ecs", "update-service"]:
            count = case.arguments.value("--desired-count")
            if count == "0":
                yield refuse("cloud.delete", "Scaling to nothing takes the service away.")
            else:
                yield ask("cloud.change", "It starts the tasks of a service anew, or changes how many there are.")
        case ["autoscaling", "update-auto-scaling-group" | "set-desired-capacity"]:
            counts = [case.arguments.value(name) for name in ("--desired-capacity", "--min-size", "--max-size")]
            if "0" in counts:
                yield refuse("cloud.delete", "Scaling to nothing takes the service away.")
            else:
                yield ask("cloud.change", "It changes how many instances there are.")
        case ["ec2" | "rds" | "docdb" | "neptune" | "elasticache", verb] if re.match(r"create-\w*-?snapshot", verb):
            yield allow("cloud.snapshot")


# Ansible and Salt

_ANSIBLE_READS = names("ping setup debug stat gather_facts service_facts package_facts slurp wait_for win_ping")
_ANSIBLE_DESTROYS = names(
    """
    reboot shutdown win_reboot parted filesystem lvol lvg mount iptables ufw firewalld nmcli selinux sysctl
    authorized_key cron pam_limits sefcontext modprobe hostname
    """
)
_PLAYBOOK_DESTROYS = re.compile(
    r"destroy|teardown|tear-down|wipe|purge|nuke|delete|decommission|uninstall|remove|reset|shutdown|reboot|poweroff|"
    r"clean-?up"
)
_SALT_READS = re.compile(
    r"(test|grains|status|disk|network|pillar|sys)\.\w+|service\.(status|get_all)|pkg\.(list_\w+|version)|"
    r"saltutil\.running|ps\.(top|get_\w+)"
)
_SALT_DESTROYS = re.compile(
    r"system\.|power\.|docker\.|dockercompose\.|"
    r"(service|pkg|file|user|group|cron|mount|partition|lvm|firewall\w*|iptables|ssh|ps)\."
    r"(stop|disable|remove|purge|delete|absent|rm\w*|mask|write|append|kill\w*|pkill|unmount|umount|mkfs|flush|"
    r"set_\w+|chown|chmod|truncate|rename|move|symlink|add|chpasswd)"
)


def _ansible(case: Case) -> Iterator[Finding]:
    module = (case.arguments.value("-m", "--module-name") or "command").rsplit(".", 1)[-1]
    text = case.arguments.value("-a", "--args") or ""
    if module in _ANSIBLE_READS:
        yield allow("ansible.read")
    elif module in ("command", "shell", "raw", "script", "win_shell", "win_command", "expect"):
        yield (
            allow("shell.wrapper") if module not in ("script",) else ask("code.file", "A script the guard cannot see.")
        )
    elif module in _ANSIBLE_DESTROYS:
        yield refuse(
            "ansible.destroy", f"The module `{shown(module)}` changes how hosts start, are reached or keep data."
        )
    elif re.search(
        r"state=(absent|purged|stopped|removed|killed|latest_purge)|\b(purge|force|remove)=(yes|true)", text
    ):
        named = re.search(r"name=([\w.@-]+)", text)
        if module in ("service", "systemd") and named and not precious_unit(named[1]) and not DATABASE.search(named[1]):
            yield ask("ansible.change", "It stops a unit on every host that is named.")
        else:
            yield refuse(
                "ansible.destroy", f"`{case.program} -m {shown(module)}` removes or stops something everywhere."
            )
    elif module in ("service", "systemd", "supervisorctl") and re.search(r"state=(restarted|reloaded|started)", text):
        named = re.search(r"name=([\w.@-]+)", text)
        if named and not precious_unit(named[1]):
            yield allow("ansible.restart")
        else:
            yield ask("ansible.change", "It restarts what keeps the host going.")
    elif module in ("user", "group"):
        yield refuse("users.change", "It changes who may log in, or as whom.")


def _playbook(case: Case) -> Iterator[Finding]:
    for operand in case.arguments.operands:
        found = _PLAYBOOK_DESTROYS.search(as_typed(operand))
        if found:
            yield refuse(
                "ansible.destroy", f"A playbook called `{shown(operand)}` sounds like something nobody can undo."
            )


def _salt(case: Case) -> Iterator[Finding]:
    function = next((as_typed(o) for o in case.arguments.operands if re.fullmatch(r"\w+\.\w+", as_typed(o))), "")
    name = as_typed(case.arguments.operands[-1]) if case.arguments.operands else ""
    if function.startswith("cmd."):
        yield allow("shell.wrapper")
    elif _SALT_READS.fullmatch(function):
        yield allow("salt.read")
    elif function in ("service.restart", "service.reload", "service.start") and not precious_unit(name):
        yield allow("salt.restart")
    elif _SALT_DESTROYS.match(function):
        yield refuse("salt.destroy", f"`{shown(function)}` stops, removes or changes something on every minion named.")


EXAMINERS: dict[str, Examiner] = {
    **dict.fromkeys(_RUNTIMES, _docker),
    **dict.fromkeys(("docker-compose", "podman-compose"), _compose),
    **dict.fromkeys(("kubectl", "oc", "k", "kubecolor"), _kubectl),
    "aws": _aws,
    "ansible": _ansible,
    "ansible-playbook": _playbook,
    "salt": _salt,
    "salt-call": _salt,
}
"""Who looks at which program."""
