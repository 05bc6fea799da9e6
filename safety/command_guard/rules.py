"""The rules of the command guard, as data: places, names, what is refused and what a person must approve.

A pattern is a command line in words. First the program (`a|b`: either). Then, each matched against the real
arguments whatever their order or spelling:

    word        the next operand (sub-command) must be this; `a|b`, and globs such as `delete-*`
    @word       some operand is this
    -x  --long  this option is there; `-x|--long` either; `--name=glob` with this value
    !-x         this option is not there

The sources are the manuals of the programs. What is routine, and what only reads, stands in `routine.py`.
"""

# ruff: noqa: E501, S108
# Tables are read by the line: a rule stays on one. The scratch folders are named to be judged, not used.

from dataclasses import dataclass

from safety.command_guard.verdicts import Severity

APPROVE, REFUSE = Severity.APPROVE, Severity.REFUSE

# Places. `*` is one name, `**` everything below.

TOP = (
    *("/", "/*", "/etc/*", "/usr/*", "/var/*", "/home/*", "/tmp/.."),
    *("/var/lib/*", "/var/log/journal", "/usr/lib/*", "/usr/local/*", "/lib/modules", "/run/systemd"),
)  # fmt: skip
"""Folders whose loss is the loss of the host or of a tenant. A path of this depth is never a detail."""

PROTECTED = (
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr", "/boot", "/etc", "/root", "/home", "/sys"),
    *("/proc", "/dev", "/var/lib", "/var/spool", "/var/mail", "/var/backups", "/var/www", "/var/db", "/run"),
    *("/backup", "/backups", "/srv", "/mnt", "/media", "/snap", "/var/run", "/opt/backup", "/opt/backups", "/efi"),
    *("/usr/local", "/var/opt", "/var/named", "/data", "/lost+found", "/export", "/nfs", "/vol", "/volumes"),
)  # fmt: skip
"""Folders in which nothing is removed recursively or overwritten without a person."""

CRITICAL = (
    *("/etc/passwd*", "/etc/shadow*", "/etc/group*", "/etc/gshadow*", "/etc/sudoers", "/etc/sudoers.d", "/etc/doas.conf"),
    *("/etc/sudoers.d/**", "/etc/ssh", "/etc/ssh/**", "/etc/pam.d", "/etc/pam.d/**", "/etc/security/**", "/etc/fstab"),
    *("/etc/crypttab", "/etc/cron*", "/etc/cron*/**", "/var/spool/cron", "/var/spool/cron/**", "/etc/ld.so*"),
    *("/etc/ld.so.conf.d/**", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/hosts", "/etc/hosts.*", "/etc/hostname"),
    *("/etc/systemd", "/etc/systemd/**", "/usr/lib/systemd/**", "/lib/systemd/**", "/etc/init.d/**", "/etc/inittab"),
    *("/etc/rc.local", "/etc/rc*.d/**", "/etc/profile", "/etc/profile.d/**", "/etc/bash*", "/etc/zsh*", "/etc/environment"),
    *("/etc/network", "/etc/network/**", "/etc/netplan", "/etc/netplan/**", "/etc/NetworkManager/**", "/etc/sysconfig/**"),
    *("/etc/iptables/**", "/etc/nftables*", "/etc/ufw/**", "/etc/firewalld/**", "/etc/sysctl*", "/etc/sysctl.d/**"),
    *("/etc/modprobe*", "/etc/modprobe.d/**", "/etc/modules*", "/etc/default/grub*", "/etc/grub*", "/etc/grub.d/**"),
    *("/boot/**", "/usr/bin/**", "/usr/sbin/**", "/bin/**", "/sbin/**", "/lib/**", "/lib64/**", "/usr/lib/**"),
    *("/usr/lib64/**", "/etc/selinux/**", "/etc/apparmor*", "/etc/apparmor.d/**", "/etc/machine-id", "/etc/shells"),
    *("/etc/login.defs", "/etc/securetty", "/etc/kubernetes/**", "/var/lib/etcd/**", "/etc/letsencrypt/**", "/etc/krb5*"),
    *("/etc/ssl/**", "/etc/pki/**", "/etc/audit/**", "/etc/rsyslog*", "/etc/lvm/**", "/etc/mdadm/**", "/etc/apt/**"),
    *("/etc/yum*", "/etc/yum.repos.d/**", "/etc/localtime", "/etc/at.*", "/var/spool/at/**", "/usr/local/bin/**"),
    *("/usr/local/sbin/**", "/proc/sys/**", "/proc/sysrq-trigger", "/proc/*/mem", "/proc/*/oom*", "/proc/**", "/sys/**"),
    *("/var/run/docker.sock", "/run/docker.sock", "/run/systemd/**", "/etc/subuid", "/etc/subgid", "/etc/motd.d/**"),
    *("/etc/logrotate*", "/etc/logrotate.d/**", "/var/lib/dpkg/**", "/var/lib/rpm/**", "/var/lib/mysql/**"),
    *("/var/lib/postgresql/**", "/var/lib/mongodb/**", "/var/lib/redis/**", "/var/lib/docker/**", "/var/lib/kubelet/**"),
    *("/var/lib/containerd/**", "/var/lib/elasticsearch/**", "/var/lib/ceph/**", "/var/lib/cassandra/**"),
)  # fmt: skip
"""What a host needs to start, to let people in, and to keep its data. Nothing here is written by hand."""

LOGINS = tuple(
    f"{home}/{name}"
    for home in ("/root", "/home/*")
    for name in (
        *(".ssh", ".ssh/**", ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile", ".zshrc"),
        *(".zshenv", ".bash_history", ".zsh_history", ".*_history", ".aws/**", ".kube/**", ".config/**", ".gnupg/**"),
        *(".my.cnf", ".pgpass", ".netrc", ".docker/**", ".git-credentials", ".forward", ".rhosts", ".bash_aliases"),
    )
)
"""What lets a person in, or runs when they come."""

SCRATCH = ("/tmp", "/var/tmp", "/dev/shm", "/run/user", "/var/cache/apt/archives/partial")
"""Below these anything may be removed; the folders themselves may not."""

WITNESS_LOGS = (
    *("/var/log/auth*", "/var/log/secure*", "/var/log/wtmp*", "/var/log/btmp*", "/var/log/lastlog*", "/var/log/audit"),
    *("/var/log/audit/**", "/var/log/faillog*", "/var/log/tallylog*", "/var/run/utmp", "/run/utmp", "/var/log/journal/**"),
    *("/var/log/sudo*", "/var/log/utmp*", "/run/log/journal/**", "/var/account/**", "/var/log/account/**"),
)  # fmt: skip
"""Logs that say who was there."""

BROAD_LOGS = ("syslog", "messages", "kern.log", "dmesg", "daemon.log", "cron", "cron.log", "maillog")
"""Logs many things write to; emptying one needs a person."""

HARMLESS_DEVICES = (
    *("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin", "/dev/tty", "/dev/fd/0", "/dev/fd/1", "/dev/fd/2"),
    *("/dev/zero", "/dev/random", "/dev/urandom", "/dev/full"),
)  # fmt: skip

DEVICES = (
    *("/dev/sd*", "/dev/hd*", "/dev/vd*", "/dev/xvd*", "/dev/nvme*", "/dev/mmcblk*", "/dev/md*", "/dev/dm-*"),
    *("/dev/mapper/**", "/dev/disk/**", "/dev/loop*", "/dev/mem", "/dev/kmem", "/dev/port", "/dev/sr*", "/dev/ram*"),
    *("/dev/*", "/dev/*/**", "/dev/mtd*", "/dev/watchdog*", "/dev/tcp/**", "/dev/udp/**", "/dev/nbd*", "/dev/zd*"),
)  # fmt: skip

SECRETS = (
    *("/etc/shadow*", "/etc/gshadow*", "/root/.ssh/**", "/home/*/.ssh/id_*", "/root/.ssh", "/home/*/.ssh", "/etc/sudoers"),
    *("/etc/sudoers.d/**", "/etc/ssl/private/**", "/etc/ssh/ssh_host_*_key", "/home/*/.aws/**", "/root/.aws/**"),
    *("/root/.kube/**", "/home/*/.kube/**", "/home/*/.gnupg/**", "/root/.gnupg/**", "/home/*/.pgpass", "/root/.pgpass"),
    *("/home/*/.netrc", "/root/.netrc", "/home/*/.my.cnf", "/root/.my.cnf", "/etc/kubernetes/pki/**", "/proc/*/environ"),
    *("/etc/kubernetes/admin.conf", "/var/lib/kubelet/pki/**", "/etc/letsencrypt/archive/**", "/home/*/.docker/config.json"),
    *("/var/run/secrets/**", "/run/secrets/**", "/home/*/.bash_history", "/root/.bash_history", "/etc/krb5.keytab"),
)  # fmt: skip
"""Reading these gives away passwords and keys."""

PRECIOUS_UNITS = (
    *("ssh", "sshd", "ssh@*", "sshd@*", "dropbear", "systemd-*", "dbus", "dbus-*", "network", "networking"),
    *("NetworkManager", "network-manager", "wpa_supplicant", "init.scope", "session-*", "user@*", "*.slice", "*.target"),
    *("firewalld", "ufw", "iptables", "ip6tables", "nftables", "fail2ban", "auditd", "apparmor", "rsyslog", "rsyslogd"),
    *("polkit", "polkitd", "getty@*", "kubelet", "containerd", "etcd", "lvm2*", "multipathd", "iscsid", "open-iscsi"),
    *("crond", "cron", "sssd", "netplan*", "dhcpcd", "dhclient", "resolvconf", "cloud-init*", "syslog", "syslog-ng"),
    *("falcon-sensor", "osqueryd", "ossec*", "wazuh*", "crowdsec", "clamav*", "vpn*", "wg-quick@*", "openvpn*"),
)  # fmt: skip
"""Units that let us in, keep the host up or watch over it; stopping one needs more than this bot."""

PRECIOUS_PROCESSES = (
    *("init", "systemd", "systemd-*", "sshd*", "ssh", "dropbear", "dbus-*", "dbus", "NetworkManager", "containerd*"),
    *("dockerd", "kubelet", "etcd", "kthreadd", "agetty", "getty", "login", "bash", "sh", "udevd", "auditd", "rsyslogd"),
    *("journald", "polkitd", "handrail*", "kube-apiserver", "kube-proxy", "tmux*", "screen", "sudo", "dhclient"),
    *("firewalld", "crond", "cron", "runc", "crio", "multipathd", "iscsid", "falcon-sensor", "falco", "osqueryd"),
)  # fmt: skip
"""Processes whose end takes the host, our session or its watchers along."""

DANGEROUS_SETTINGS = (
    *("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "PROMPT_COMMAND", "PS4", "SHELLOPTS", "BASHOPTS"),
    *("PYTHONSTARTUP", "PYTHONPATH", "PYTHONINSPECT", "PERL5OPT", "PERL5LIB", "RUBYOPT", "NODE_OPTIONS", "GCONV_PATH"),
    *("GIT_SSH", "GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_PAGER", "MANPAGER", "PAGER", "EDITOR", "VISUAL"),
    *("SYSTEMD_PAGER", "LESSOPEN", "LESSCLOSE", "BROWSER", "BASH_FUNC*", "PHPRC", "JAVA_TOOL_OPTIONS", "HISTFILE"),
    *("HISTSIZE", "HISTCONTROL", "HISTFILESIZE", "TAR_OPTIONS", "SUDO_ASKPASS", "SSH_ASKPASS", "PSQLRC"),
    *("TMOUT", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "SYSTEMD_EDITOR", "SUDO_EDITOR", "RSYNC_RSH", "MYSQL_HISTFILE"),
)  # fmt: skip
"""Variables that make another program run something, or hide what ran."""

HARMLESS_PAGERS = ("", "cat", "less", "more", "/bin/cat", "/usr/bin/cat", "true", "/bin/true")
"""Values that make a pager variable harmless."""

# How programs take options: those that take a value. A program that is not here takes none that matter.

VALUES: dict[str, str] = {
    "kubectl": "-n --namespace --context --kubeconfig -l --selector -c --container -o --output --field-selector --as "
    "-f --filename --cluster --user --server -s --tail --since --token --request-timeout --sort-by --replicas --timeout --grace-period --patch --type --image --as-group -p",
    "oc": "-n --namespace --context --kubeconfig -l --selector -c --container -o --output --tail --since",
    "helm": "-n --namespace --kube-context --kubeconfig -f --values --set --version -o --output",
    "docker": "-H --host --context -c --config -l --log-level --filter -f --format --tail -n --since --until --name -u "
    "--user -w --workdir -e --env --network --time -t -s --signal --tlscacert --tlscert --tlskey",
    "podman": "-H --host --context --filter -f --format --tail --since --name -u --user -w --workdir -e --env -t --time",
    "docker-compose": "-f --file -p --project-name --env-file --profile --tail --project-directory -t --timeout --context",
    "git": "-C -c --git-dir --work-tree --namespace --exec-path -m --message --author -n --since --until --format --max-count",
    "aws": "--profile --region --output --query --endpoint-url --filters --cli-input-json --ca-bundle --color",
    "gcloud": "--project --zone --region --format --filter --account --configuration --limit",
    "az": "--subscription -g --resource-group -n --name -o --output --query",
    "systemctl": "-t --type -p --property -n --lines -o --output -H --host -M --machine -s --signal --state --kill-who "
    "--job-mode --root --kill-whom --what",
    "journalctl": "-u --unit -n --lines -S --since -U --until -p --priority -o --output -t --identifier -g --grep -b "
    "-D --directory -M --machine --user-unit -F --field --file -c --cursor --output-fields --root",
    "find": "-name -iname -path -ipath -regex -iregex -type -size -mtime -mmin -atime -amin -ctime -cmin -newer -user "
    "-group -perm -maxdepth -mindepth -printf -uid -gid -inum -links -samefile -fstype -wholename -newermt -used -lname",
    "sort": "-k -t -S -T -o --key --field-separator --output --temporary-directory --buffer-size --parallel",
    "grep": "-e -f -A -B -C -m --include --exclude --exclude-dir --color --max-count --regexp -d -D",
    "egrep": "-e -f -A -B -C -m",
    "zgrep": "-e -f -A -B -C -m",
    "fgrep": "-e -f -A -B -C -m",
    "rg": "-e -f -A -B -C -m -g -t --glob --type --pre --max-count",
    "head": "-n -c --lines --bytes",
    "tail": "-n -c --lines --bytes --pid -s",
    "cut": "-d -f -c -b --delimiter --fields --characters --output-delimiter",
    "curl": "-X --request -H --header -o --output -d --data --data-raw --data-binary --data-urlencode -T --upload-file -u "
    "--user -F --form -A --user-agent -e --referer -b --cookie -c --cookie-jar -m --max-time --connect-timeout -w "
    "--write-out --retry --retry-delay -x --proxy --cacert --cert -E --key --resolve --interface -K --config -D "
    "--dump-header -Y -y -z -r --range --json --retry-max-time --limit-rate --unix-socket --connect-to --url --trace "
    "--trace-ascii --stderr -C -P -Q -t --ciphers --socks5 --socks5-hostname --doh-url --output-dir",
    "wget": "-O --output-document -o --output-file -P --directory-prefix -T --timeout -t --tries -U --user-agent --header "
    "--post-data --post-file --method --body-data --body-file -e --execute -i --user --password -w --wait -Q  -a",
    "psql": "-U --username -h --host -p --port -d --dbname -c --command -f --file -v --set -P -F -o --output -L -R -T",
    "mysql": "-u --user -h --host -P --port -D --database -e --execute -S --socket --default-character-set",
    "mariadb": "-u --user -h --host -P --port -D --database -e --execute -S --socket",
    "redis-cli": "-h -p -a -n -s -u -r -i  --user --pass --eval",
    "mongosh": "--host --port --eval -u --username -p --password --authenticationDatabase --file -f",
    "mongo": "--host --port --eval -u --username -p --password --authenticationDatabase",
    "sqlite3": "-cmd -separator -init -nullvalue",
    "sysctl": "-p --load -f -r --pattern",
    "dd": "",
    "ps": "-o -p -u -C -U -G -g -t -O --sort --pid --ppid --user --format -q",
    "top": "-n -d -p -u -U -o -w",
    "ss": "-f -A  --family --query",
    "lsof": " -p -u -c -d -g -s",
    "vgchange": "-a", "lvchange": "-a",
    "ulimit": "-f -n -u -c -v -m -t -s",
    "iostat": "", "ssh": "-p -i -o -l -F -J -L -R -D -E -b -c -m -O -S -W -w -e -I -Q -B", "squid": "-k -f -n",
    "xargs": "-n -I -P -L -d -a -s -E --max-args --max-procs  --arg-file --delimiter",
    "tar": "-f --file -C --directory -T --files-from -X --exclude --exclude-from -I --use-compress-program --transform "
    "--to-command --checkpoint-action --rsh-command --newer-mtime -b --owner --group --mode --strip-components --info-script -F",
    "rsync": "-e --rsh --exclude --include --filter -f --bwlimit --log-file --rsync-path --timeout --files-from --partial-dir "
    "--max-size --min-size --backup-dir --chmod --chown --link-dest --compare-dest --port --password-file",
    "scp": "-P -i -o -F -l -c -S -J",
    "sftp": "-P -i -o -F -b -c -S",
    "ssh-keygen": "-f -t -b -C -N -P -R -F  -E",
    "kill": "-s -n -q --signal",
    "pkill": "-s -u -U -g -G -P -t -F --signal  --uid --euid --pgroup --parent",
    "pgrep": "-s -u -U -g -G -P -t -F -d --uid --parent",
    "killall": "-s -u -o -y -Z --signal --user",
    "truncate": "-s --size -r --reference ",
    "chmod": "--reference",
    "chown": "--reference --from",
    "chgrp": "--reference",
    "cp": "-t --target-directory -S --suffix",
    "mv": "-t --target-directory -S --suffix",
    "ln": "-t --target-directory -S --suffix",
    "install": "-m -o -g -t -S --mode --owner --group --target-directory --suffix",
    "mkdir": "-m --mode -Z",
    "touch": "-d -t -r --date --reference",
    "sed": "-e --expression -f --file -l",
    "awk": "-F -v -f --field-separator --assign --file",
    "gawk": "-F -v -f --field-separator --assign --file -e -i",
    "mawk": "-F -v -f",
    "date": "-d --date -f -r --reference -s --set",
    "split": "-l -b -n -a --lines --bytes",
    "shred": "-n -s --iterations --size --random-source",
    "crontab": "-u ",
    "ip": "-f -n -netns -b -batch",
    "iptables": "-t -p -s -d -j -m -i -o --dport --sport --comment --table --source --destination --jump --protocol",
    "ping": "-c -i -W -w -s -I -t -M",
    "ping6": "-c -i -W -w -s -I",
    "traceroute": "-m -q -w -p -i -s",
    "dig": "-p -t -b -f -k -q -x",
    "host": "-t -W",
    "nc": "-w -p -s -X -x -i -q -e -c",
    "ncat": "-w -p -s -i -e -c --exec --sh-exec",
    "netcat": "-w -p -s -i -q -e -c",
    "openssl": "-in -out -connect -servername -subj -days -key -keyout -cert -CAfile -nameopt -checkhost -checkend",
    "ansible": "-m --module-name -a --args -i --inventory -u --user -f --forks -l --limit ",
    "apt": "-o -c -t", "apt-get": "-o -c -t", "dnf": "-c", "yum": "-c",
    "jq": "--arg --argjson --slurpfile --indent -f --from-file", "yq": "-o -p",
    "du": "-d --max-depth --exclude -B --block-size -t --threshold", "df": "-t -x -B --type ",
    "ls": "-I -w --ignore", "tree": "-L -P -I -o", "column": "-s  -o", "watch": "-n --interval ",
    "stat": "-c --format --printf", "diff": "-U -C", "xxd": "-l -s -c -g", "od": "-N -j -A -t", "hexdump": "-n -s -e",
    "nmap": "-p -iL -oN -oX -oG --script -T", "tcpdump": "-i -c -w -r -s  -z -W -C -G", "who": "", "last": "-n -f",
    "vault": "-address -namespace", "consul": "-http-addr -token", "terraform": "", "useradd": "-s -g -G -d -u -c -p",
    "usermod": "-s -g -G -d -u -c -p -l -e", "fuser": "-n -s", "gdb": "-p -ex -x", "loginctl": "-p -s --signal",
    "mysqladmin": "-u -h -P -S --user --host --port", "pg_dump": "-U -h -p -d -f -F -t -n -T",
    "mysqldump": "-u -h -P -S -r --result-file --where --user --host", "rabbitmqctl": "-n -p --node -t",
    "nomad": "", "etcdctl": "--endpoints --cacert --cert --key", "zfs": "-o -t", "zpool": "-o", "lvs": "-o", "vgs": "-o",
    "pvs": "-o", "lsblk": "-o", "blkid": "-s -o -t", "findmnt": "-o -t", "smartctl": "-d", "sar": "-f -s -e -n",
    "uniq": "-f -s -w", "nl": "-b -w", "fold": "-w", "paste": "-d", "comm": "--output-delimiter", "join": "-t -1 -2 -o",
    "supervisorctl": "-c -s -u -p", "svn": "--username", "kafka-topics.sh": "", "nice": "-n", "strings": "-n", "tr": "",
    "perf": "-p -e -o -F ", "mpstat": "-P", "pidstat": "-p", "vmstat": "", "at": "-f -q", "logger": "-t -p -n -P",
    "mount": "-t -o -O -L -U", "umount": "-t -O", "mkfs": "-t", "swapoff": "-L -U", "ufw": "", "nft": "-f",
    "pm2": "", "gsutil": "-o -u -h", "rclone": "--config", "mc": "", "s3cmd": "-c", "doctl": "-t --access-token",
    "logrotate": "-s --state -m --mail -l --log", "nginx": "-c -g -p -e -s", "apachectl": "-k -f -D", "strace": "-p -e -o -s -u",
    "timedatectl": "-H -M -p", "hostnamectl": "-H -M", "conntrack": "-f -p -s -d", "arp": "-i ", "route": "",
}  # fmt: skip

SINGLE_DASH_LONG = frozenset(
    [
        "find",
        "hdfs",
        "hadoop",
        "influx",
        "exim",
        "exim4",
        "terraform",
        "tofu",
        "openssl",
        "nomad",
        "vault",
        "consul",
        "java",
        "iptables",
        "ip6tables",
        "ip",
        "sqlite3",
        "gdb",
        "convert",
        "ffmpeg",
        "kafka-topics.sh",
        "setfacl?",
        "pvs?",
        "packer",
        "gcloud?",
        "javac",
        "nmap?",
        "dmsetup?",
        "skopeo?",
        "zip?",
        "jmap",
        "jstack",
        "jcmd",
        "jstat",
        "megacli",
        "storcli",
        "tc",
    ]
)
"""Programs whose long options begin with one dash, so that `-delete` is not `-d -e -l …`."""

# What is refused, and what a person must approve.


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule: any of its patterns makes it speak."""

    id: str
    severity: Severity
    reason: str
    patterns: tuple[str, ...]


def _refuse(id: str, reason: str, *patterns: str) -> Rule:
    return Rule(id=id, severity=REFUSE, reason=reason, patterns=patterns)


def _ask(id: str, reason: str, *patterns: str) -> Rule:
    return Rule(id=id, severity=APPROVE, reason=reason, patterns=patterns)


FILE_SYSTEMS = (
    _refuse(
        "fs.format",
        "makes a new file system, swap or label and loses what was there",
        "mkfs|mkfs.*|mke2fs|mkswap|newfs|newfs_*|mkntfs|mkdosfs|mkreiserfs|wipefs|sgdisk|cfdisk|gdisk|fixparts|mkfs_msdos",
        "fdisk|sfdisk !-l|--list|-V|--version|-d|--dump|-s",
        "parted @mklabel|mktable|mkpart|rm|resizepart|rescue|set|name",
        "blkdiscard",
        "nvme format|sanitize|delete-ns|write*|detach-ns|reset|fw-*",
        "hdparm --security*|--trim*|--write-sector|--make-bad*|-Y|-y",
        "cryptsetup luksFormat|luksErase|erase|luksKillSlot|luksRemoveKey|close|remove|reencrypt|luksClose|luksSuspend",
        "debugfs -w",
        "tune2fs|xfs_admin|e2label",
        "dmsetup remove|remove_all|wipe_table|suspend|load",
        "scrub|wipe|srm|sdelete|nwipe|dban|secure-delete|sfill|sswap",
        "sg_format|sg_sanitize|sg_write_same",
        "badblocks -w|-n",
        "losetup -D",
        "flash_erase|flashcp|nandwrite|mtd_debug|flashrom|fwupdmgr",
        "xfs_repair -L",
        "fsck*|e2fsck -y|-f|-p|-a",
        "btrfs subvolume|device|filesystem|balance|quota|qgroup delete|remove|resize",
        "resize2fs|xfs_growfs -M",
        "partx -d|--delete",
        "kpartx -d",
        "mdconfig|gpart destroy|delete|bootcode",
        "diskutil eraseDisk|eraseVolume|partitionDisk|zeroDisk|secureErase|reformat",
        "diskpart|format",
        "storcli|storcli64|perccli|megacli|MegaCli|MegaCli64|ssacli|hpssacli|arcconf @delete|del|-CfgClr|-CfgLdDel|init|clear|erase|DELETE",
    ),
    _refuse(
        "fs.unmount",
        "takes a file system away from everything that uses it",
        "umount -a|--all|-l|--lazy|-f|--force|-R",
        "umount @/|/usr|/var|/home|/boot|/etc|/opt|/srv|/data|/mnt|/mnt/*|/proc|/sys|/dev|/data/*|/var/*",
        "swapoff -a|--all",
        "fuser -k -m",
        "mount @*remount*",
        "mount -o=*remount*",
        "mount --bind|--move|--rbind",
        "mount -o=*bind*",
        "fsfreeze -f|--freeze",
        "xfs_freeze -f",
        "quotaoff -a",
        "fusermount -u",
        "pivot_root|switch_root",
    ),
    _refuse(
        "fs.volumes",
        "removes or shrinks volumes with everything on them",
        "lvremove|vgremove|pvremove|lvreduce|vgreduce|vgcfgrestore|vgexport|pvmove",
        "lvm lvremove|vgremove|pvremove|lvreduce|vgreduce",
        "lvresize -L=-*",
        "lvresize -l=-*",
        "vgchange|lvchange -a=n*",
        "pvcreate -f|--force",
        "lvconvert --merge|--uncache|--repair",
        "mdadm --stop|-S|--zero-superblock|--fail|-f|--remove|-r|--create|-C|--grow|-G|--set-faulty",
        "zpool destroy|labelclear|detach|offline|export|remove|clear|split|create|replace",
        "zfs destroy|rollback|unmount|umount|rename|receive|recv|inherit|unload-key",
        "drbdadm down|invalidate|wipe-md|create-md|detach|disconnect|secondary",
        "vdo remove|stop",
        "stratis pool|filesystem|fs destroy",
        "ceph osd rm|out|down|purge|destroy|crush|lost|pool",
        "ceph @delete|rm|purge|destroy",
        "ceph-volume lvm zap",
        "rbd rm|remove|trash|snap",
        "gluster volume delete|stop|remove-brick|reset",
        "multipath -F|-f",
        "iscsiadm -u|--logout",
        "vgck|pvresize|vgsplit|vgmerge",
        "make-bcache",
    ),
    _ask(
        "fs.volumes-grow",
        "changes volumes or file systems",
        "lvextend|lvcreate|vgextend|vgcreate|pvcreate|resize2fs|xfs_growfs|lvresize|growpart|vgchange|lvchange",
        "mount @*",
        "umount @*",
        "swapoff|swapon @*",
        "losetup @*",
        "zfs create|set|snapshot|mount|send|clone|promote|destroy",
        "zpool scrub|online|import|add|attach|upgrade|trim",
        "mdadm @*",
        "fstrim",
        "fsck*|e2fsck|xfs_repair|debugfs|btrfs|parted|fdisk|dmsetup|cryptsetup|hdparm",
        "udevadm trigger|control",
        "partprobe|kpartx|partx",
    ),
)

BOOT_AND_POWER = (
    _refuse(
        "boot.power",
        "switches the host off or restarts it",
        "shutdown !-c|--show",
        "reboot|poweroff|halt|kexec|pm-suspend|pm-hibernate|rtcwake",
        "init|telinit 0|1|6|s|S|q|Q|u|emergency|rescue|single",
        "systemctl poweroff|reboot|halt|kexec|suspend|hibernate|hybrid-sleep|suspend-then-hibernate|rescue|emergency|isolate|default|set-default|exit|switch-root|soft-reboot|sleep",
        "loginctl poweroff|reboot|halt|suspend|hibernate|kill-user|terminate-user|terminate-session|kill-session|terminate-seat",
        "ipmitool|ipmi-power|ipmiutil @power|chassis|mc|sel|raw|user|lan|sol",
        "ipmi-chassis-config|ipmi-power|fence_*|stonith_admin|racadm",
        "busctl|dbus-send|gdbus @*Reboot*|*PowerOff*|*Halt*|org.freedesktop.login1*|*Suspend*|*.login1",
        "openrc-shutdown|runit-init",
        "dbus-send --dest=org.freedesktop.login1|--dest=org.freedesktop.systemd1|--print-reply @*Reboot|*PowerOff|*Halt|*Suspend|*StopUnit|*KillUnit",
    ),
    _refuse(
        "boot.loader",
        "changes how the host starts",
        "grub-install|grub2-install|grub-mkconfig|grub2-mkconfig|update-grub|update-grub2|grub-set-default|grub-reboot|grub-editenv|grubby|grub2-set-default|grub2-editenv|lilo|syslinux|extlinux",
        "update-initramfs|dracut|mkinitcpio|mkinitrd|bootctl|efibootmgr|systemd-firstboot|kernel-install|installkernel|bcdedit|bootsect|efivar|mokutil !--list|status|-v",
        "dpkg-divert|dpkg-statoverride",
        "update-rc.d @remove|disable|defaults-disabled",
        "chkconfig @off|--del",
        "chkconfig --del",
        "rc-update del|delete",
        "insserv -r",
    ),
    _refuse(
        "boot.kernel",
        "changes the running kernel",
        "sysctl -w|--write|-p|--load|--system",
        "sysctl @*=*",
        "modprobe|rmmod|insmod|depmod !-n|--show-depends|-c|--showconfig|--dry-run",
        "kpatch",
        "setenforce|semodule|setsebool|load_policy|aa-disable|aa-teardown|aa-complain|apparmor_parser|restorecon",
        "auditctl -e|-D|-d|-W",
        "bpftrace",
        "ntpdate|rdate",
        "hwclock -w|-s|--set|--systohc|--hctosys|-u",
        "timedatectl set-time|set-timezone|set-local-rtc|set-ntp",
        "date -s|--set|--set=*",
        "hostnamectl set-hostname|hostname|set-*",
        "prlimit -p|--pid",
        "localectl set-*",
        "chrony|chronyc makestep|settime|offline|shutdown",
        "cpupower|tuned-adm|x86_energy* set|frequency-set|off|profile",
    ),
)

NETWORK = (
    _refuse(
        "network.lock-out",
        "may cut the host, and us, off the network",
        "ip link|l set|delete|del|add|down",
        "ip addr|address|a flush|del|delete|f|d",
        "ip route|r|ro flush|del|delete|f|d|replace|change",
        "ip rule flush|del|delete|add",
        "ip neigh|neighbor|n flush|del",
        "ip netns del|delete",
        "ip xfrm|tunnel|maddr|tuntap flush|del|delete|deleteall",
        "ip -b|-batch|--batch",
        "ip -force",
        "ip route add @default|blackhole|prohibit|unreachable|0.0.0.0/0",
        "ip addr|address|a add|replace|change",
        "ip route|r add @*",
        "ifconfig @down|up|netmask|add|del|mtu|hw|promisc|0.0.0.0|0",
        "ifdown|ifquery|ifup|dhclient|dhcpcd|pump|udhcpc|wicked",
        "route @add|del|delete|flush|change",
        "nmcli @down|off|delete|del|disconnect|modify|mod|up|reapply|edit",
        "netplan apply|try|set|generate",
        "networkctl down|delete|reconfigure|up|reload|renew",
        "brctl delbr|delif|addbr|addif|setfd",
        "ovs-vsctl|ovs-ofctl @del*",
        "ethtool -s|-K|-G|-A|-L|-r|-E|--change|--reset|-C|-N|-f",
        "tc @add|del|delete|replace|change",
        "wg set|setconf|syncconf",
        "wg-quick|openvpn down|up",
        "ifenslave|vconfig|bonding -d|rem",
        "resolvectl dns|domain|revert|flush-caches-all|default-route",
        "arp -d|-s",
        "rfkill block",
        "iw|iwconfig @set|del|disconnect|power|txpower|down",
        "arptables|ebtables -F|-X|-P|-A|-D",
    ),
    _refuse(
        "network.firewall",
        "changes who can reach the host, perhaps not us any more",
        "iptables|ip6tables|iptables-legacy|iptables-nft|ip6tables-nft|xtables-nft-multi -F|--flush|-X|-P|--policy|-D|--delete|-A|--append|-I|--insert|-R|--replace|-Z|-N|-E|--zero|--delete-chain|--new-chain",
        "iptables-restore|ip6tables-restore|iptables-apply|iptables-nft-restore|netfilter-persistent|ip6tables-apply",
        "nft flush|delete|add|insert|replace|create|reset|destroy",
        "nft -f|--file",
        "ufw @disable|enable|reset|deny|delete|reject|default|limit|reload|insert|allow|route",
        "firewall-cmd !--state|--list-all|--list*|--get*|--query*|--info*|--version|--check-config",
        "ipset flush|destroy|del|x|f|swap|add|create|restore",
        "pfctl !-s|-sr|-sa|-si",
        "ipfw @*",
        "shorewall|ferm|csf stop|clear|-x|-f|restart|-d",
        "conntrack -F|--flush|-D|--delete",
        "fail2ban-client @stop|unban|set|reload|unload|--unban",
        "tcpkill|arpspoof|ettercap|hping3|bettercap|macof|slowloris|ddosify",
        "semanage @*",
        "nft -f",
        "ebtables|arptables -F|--flush",
    ),
)

USERS = (
    _refuse(
        "users.change",
        "changes who may log in, or as whom",
        "userdel|deluser|groupdel|delgroup|passwd|chpasswd|newusers|chsh|chfn|vipw|vigr|visudo|pwconv|grpconv|pwunconv|gpasswd|faillock|pam-auth-update|authconfig|authselect|chgpasswd|groupmems|grpunconv !--help|-S|--status|--user",
        "usermod|groupmod|useradd|adduser|addgroup|groupadd|lchage|luseradd|luserdel|lusermod",
        "chage !-l|--list",
        "ssh-copy-id|ssh-keygen -R|-f|-A|-t|-p !-l|-F|-y",
        "ssh-add -D|-d",
        "pam_tally2|faillog -r|--reset",
        "htpasswd|samba-tool|smbpasswd|pdbedit|ldapdelete|ldapmodify|ldapadd|ldappasswd|ldapmodrdn|net|dsdel|dscl|dseditgroup|sysadminctl",
        "kadmin|kadmin.local|ipa @*",
        "kdestroy|ktutil|realm leave",
        "skill|slay|loginctl disable-linger",
        "realm|adcli leave|delete-*",
        "sacctmgr @delete|remove",
        "setcap|capsh !--print",
    ),
)

PROCESSES = (
    _refuse(
        "process.everything",
        "ends the session, or everything at once",
        "killall5|xkill|skill|slay",
        "stress|stress-ng|sysbench",
    ),
    _ask(
        "process.load",
        "puts load on the host",
        "ab|wrk|hey|siege|fio|iperf|iperf3|sysbench|bonnie++|locust|k6|vegeta|apachebench",
    ),
)

PACKAGES = (
    _refuse(
        "packages.remove",
        "removes or replaces software, perhaps what keeps the host going",
        "apt|apt-get|aptitude remove|purge|autoremove|auto-remove|autopurge|dist-upgrade|full-upgrade|downgrade",
        "apt|apt-get|aptitude @*- !-s|--simulate|--dry-run",
        "apt|apt-get --allow-remove-essential|--force-yes|--purge|--allow-downgrades",
        "dpkg -r|-P|--remove|--purge|--force-*|--unpack|--clear-selections|--set-selections",
        "dpkg --force-all|--force-remove-essential",
        "yum|dnf|microdnf|zypper|tdnf|urpme remove|erase|autoremove|rm|downgrade|swap|distro-sync|groupremove|dup|module|dist-upgrade|system-upgrade|re",
        "yum|dnf history undo|rollback|redo",
        "rpm -e|--erase|--nodeps|--force|--rebuilddb|--initdb",
        "pacman -R|--remove|-Rns|-Rs|-Syu|-Rdd|-Sc|-Scc",
        "apk del|fix",
        "snap remove|disable|revert",
        "flatpak uninstall|remove",
        "brew uninstall|remove|rm|cleanup",
        "pkg|pkg_delete|pkgin delete|remove|autoremove|rm",
        "pip|pip3|pipx uninstall",
        "npm|yarn|pnpm|gem|cargo|conda|composer uninstall|remove|rm|un|unpublish|prune",
        "do-release-upgrade|unattended-upgrade|unattended-upgrades",
        "apt-mark|tasksel remove|hold|unhold|auto|manual",
        "apt-key|apt-add-repository|add-apt-repository|yum-config-manager @*",
        "alternatives|update-alternatives --remove|--remove-all|--set|--config|--remove-all",
        "emerge|nix-env|guix|port|swupd|eopkg -C|--unmerge|-e|--uninstall|uninstall|remove|-c|--depclean|rmf",
        "npm publish",
        "nix-collect-garbage -d",
        "opkg remove|flash",
        "slackpkg|removepkg @*",
        "debconf-set-selections|dpkg-reconfigure @*",
    ),
    _ask(
        "packages.install",
        "installs or updates software",
        "apt|apt-get|aptitude install|upgrade|reinstall|build-dep|safe-upgrade|source|clean|autoclean|satisfy|edit-sources",
        "dpkg -i|--install|--configure|-a",
        "yum|dnf|microdnf|zypper|tdnf install|update|upgrade|reinstall|localinstall|in|up|patch|clean|makecache|groupinstall|config-manager|copr",
        "rpm -i|-U|-F|--install|--upgrade|-ivh|-Uvh|--import",
        "apk add|update|upgrade|cache",
        "pip|pip3|pipx|npm|yarn|pnpm|gem|cargo|go|conda|composer|snap|flatpak|brew|pacman @*",
    ),
)

CONTAINERS = (
    _refuse(
        "containers.remove",
        "removes containers, volumes, images or networks",
        "docker|podman|nerdctl system|volume|image|container|network|builder|buildx|pod|machine|secret|config|stack|service|swarm|node|context|plugin|manifest|trust prune|rm|remove|reset|leave|demote|disable",
        "docker|podman|nerdctl|crictl|ctr rm|rmi|rmp|prune|kill-all|stopp",
        "docker|podman kill @*",
        "docker|podman swarm leave",
        "docker|podman node update --availability=drain|--availability=pause",
        "docker|podman service scale @*=0",
        "docker|podman compose down|rm|kill",
        "docker-compose|podman-compose down|rm|kill",
        "docker|podman compose @down|rm|kill",
        "ctr|nerdctl @rm|remove|delete|del|prune|kill",
        "crictl rm|rmi|rmp|stopp",
        "buildah rm|rmi|prune",
        "lxc|lxc-destroy|incus|lxd delete|rm|destroy|stop",
        "lxc-destroy|lxc-stop",
        "virsh destroy|undefine|shutdown|vol-delete|pool-delete|pool-destroy|reboot|snapshot-delete|net-destroy|reset|managedsave|suspend",
        "qm|pct destroy|stop|shutdown|reset|delsnapshot|rollback|suspend",
        "vagrant destroy|halt",
        "VBoxManage|vboxmanage @unregistervm|poweroff|delete|closemedium",
        "xe @vm-destroy|vm-uninstall|vdi-destroy|vm-shutdown|host-reboot|host-shutdown",
        "machinectl poweroff|terminate|remove|reboot|kill|stop|disable",
        "skopeo delete|sync",
        "esxcli|vim-cmd|govc @*destroy*|*power.off*|*delete*|*remove*|*.rm|*shutdown*|*poweroff*|*unregister*",
        "crane|regctl|reg|oras delete|rm",
        "rkt gc|rm",
        "minikube|kind|k3d delete|stop",
        "k3s-uninstall.sh|k3s-killall.sh|k3s-agent-uninstall.sh|rke2-uninstall.sh|rke2-killall.sh",
        "balena rm|prune|rmi",
    ),
    _refuse(
        "containers.escape",
        "gives a container the whole host",
        "docker|podman|nerdctl run|create --privileged|--pid=host|--cap-add=ALL|--cap-add=SYS_ADMIN|--userns=host|--device|--device=*|-v=/:*|-v=/etc*|-v=/root*|-v=/var*|-v=/boot*|-v=/dev*|--volume=/:*|--volume=/etc*|--mount=*source=/,*|--mount=*src=/,*|-v=/usr*|-v=/bin*|-v=/home*|-v=/lib*|-v=/proc*|-v=/sys*|--network=host",
    ),
    _refuse(
        "clusters.delete",
        "removes or empties parts of a cluster",
        "kubectl|oc|k|kubecolor|k3s delete|drain|cordon|taint|replace --force|--all",
        "kubectl|oc|k delete|drain|cordon|taint",
        "k3s|microk8s|minikube @delete|drain|cordon|reset|uninstall",
        "kubectl|oc|k replace --force",
        "kubectl|oc|k scale --replicas=0",
        "kubectl|oc|k rollout undo|pause",
        "kubectl|oc|k patch|edit|replace|set|apply --prune|-p=*finalizers*|--patch=*finalizers*|--replicas=0|--force",
        "oc adm drain|prune|cordon",
        "oc adm|project|delete-* prune|delete|drain",
        "kubectl|oc|k patch -p=*",
        "kubectl|oc|k apply --prune|--force",
        "kubeadm reset",
        "kubeadm token|certs delete|renew",
        "helm uninstall|delete|rollback|del|un",
        "helmfile destroy|delete|sync",
        "helm3 uninstall|delete|rollback",
        "k9s|kops|eksctl|kubespray delete|reset|drain",
        "kops|eksctl @delete|drain",
        "velero @delete|restore",
        "istioctl|linkerd|cilium uninstall|x|purge",
        "argocd @delete|delete-resource|sync|rollback|terminate-op",
        "flux uninstall|delete|suspend",
        "kustomize delete",
        "etcdctl del|rm|rmdir|compact|defrag-all|auth|role|user|move-leader|snapshot-restore",
        "etcdctl member remove",
        "etcdctl snapshot restore",
        "nomad job|stop|system|node|namespace|alloc stop|gc|drain|purge|delete|eligibility|-purge",
        "nomad stop",
        "nomad @stop|drain|gc|delete|purge|-purge|-enable|restart",
        "consul @delete|leave|force-leave|-recurse|deregister|maint|remove-peer|restore",
        "vault @delete|destroy|revoke|seal|disable|-force|purge|rekey|metadata|rotate|step-down|tidy",
        "rancher|tanzu|pks|dcos @rm|delete|remove|destroy",
        "docker|podman stack|service|swarm rm|leave",
        "crm|pcs @stop|destroy|standby|delete|disable|remove|cleanup|erase",
        "juju destroy-*|remove-*|kill-*",
        "rke remove",
        "serf leave|force-leave",
        "ambari|mesos|marathon @*delete*|*destroy*|*remove*",
        "scontrol|scancel @*down*|*",
        "condor_rm|qdel|scancel @*",
        "talosctl reset|shutdown|reboot|wipe|upgrade",
    ),
    _refuse(
        "infrastructure.destroy",
        "tears down infrastructure",
        "terraform|tofu|terragrunt|tf|terraform1 destroy|taint|force-unlock|untaint",
        "terraform|tofu|terragrunt @destroy|destroy-all",
        "terraform|tofu|terragrunt apply",
        "terragrunt run-all|destroy-all|apply-all",
        "terraform|tofu|terragrunt state rm|mv|push|replace-provider",
        "terraform|tofu workspace delete",
        "terraform|tofu|tf import|refresh|init -destroy|-auto-approve|-force-copy|-reconfigure",
        "terraform|tofu|terragrunt -destroy|-auto-approve|--auto-approve|--destroy|-destroy=*",
        "pulumi destroy|cancel|state|up|refresh|rm",
        "pulumi stack rm",
        "cdk|cdktf|sst|amplify destroy|remove|delete",
        "serverless|sls remove",
        "packer @-force|-on-error",
        "cf|heroku delete|apps:destroy|pg:reset|delete-*|ps:stop|addons:destroy|pipelines:destroy",
        "heroku @*:destroy|*:reset|*:delete|destroy|reset",
        "fly|flyctl destroy|delete|apps|volumes|scale @destroy|delete|0",
        "fly|flyctl @destroy|delete",
        "vercel|netlify|railway|wrangler|now remove|rm|delete|down|*:delete",
        "firebase @*:delete|*:disable|*:remove",
        "ansible-galaxy|chef-server-ctl|knife @delete|remove|cleanse|bulk",
        "puppet|salt-key @destroy|clean|-D|-d|delete|-A",
        "salt-key -D|-d|-y",
        "cfy|nova|openstack|cinder|glance|neutron|swift|heat|manila @delete|purge|unset|stop|remove|shelve|force-delete|rebuild|evacuate",
        "clusterctl delete",
    ),
    _ask(
        "containers.change",
        "changes running containers or clusters",
        "docker|podman|nerdctl stop|pause|run|create|update|rename|build|push|pull|commit|cp|load|import|tag|login|network|volume|swarm|service|stack|node|unpause|save|export|wait|attach|compose|plugin|secret|config|buildx|builder",
        "docker-compose|podman-compose stop|up|build|pull|run|create|push|scale|pause",
        "docker|podman compose stop|up|build|pull|run|scale|create",
        "kubectl|oc|k apply|create|scale|patch|edit|label|annotate|set|replace|autoscale|expose|cp|run|attach|debug|proxy|certificate|uncordon|port-forward|adm|config|rollout|auth",
        "helm install|upgrade|repo|pull|push|registry|plugin|dependency|create|package",
        "terraform|tofu|terragrunt plan|init|import|refresh|state|workspace|console|get|taint",
        "ansible|ansible-playbook|salt|puppet|chef-client|knife|pulumi|cdk|packer|vagrant|openstack|nomad|consul|vault|argocd|flux|fly|heroku @*",
        "ansible-playbook|puppet|chef-client|helmfile|chef-solo",
    ),
)

CLOUD = (
    _refuse(
        "cloud.delete",
        "removes, stops or empties something in the cloud",
        "aws s3 rb",
        "aws s3 rm|rb|mv",
        "aws s3 sync --delete",
        "aws s3api delete-*|put-bucket-*|abort-*|put-public-*",
        "aws * delete-*|terminate-*|deregister-*|stop-*|reboot-*|remove-*|purge-*|cancel-*|revoke-*|release-*|detach-*|disable-*|disassociate-*|reset-*|batch-delete-*|schedule-key-deletion|deactivate-*|delete|destroy-*|unassign-*|force-*|admin-delete-*|failover-*|untag-*|modify-*|flush-*|restore-*|unlink-*|retire-*|reject-*|suspend-*|empty-*|rollback-*|abort-*",
        "aws * put-*-policy|attach-*|create-access-key|create-user|create-login-profile|update-*|authorize-*|put-role-*|put-user-*|change-*|set-*|replace-*",
        "aws autoscaling|ecs|rds|lambda|eks update-*|set-*|modify-* --desired-capacity=0|--desired-count=0|--min-size=0",
        "aws --no-verify-ssl * delete-*",
        "gcloud @delete|destroy|remove-iam-policy-binding|reset|stop|suspend|delete-instances|abandon|disable|rm|delete-*|remove-*|set-iam-policy|failover|undelete|purge|rollback|abandon-instances|add-iam-policy-binding|drain|revoke",
        "gsutil rm|rb|mv|rsync|acl|iam|defacl|versioning|lifecycle",
        "gcloud storage rm|mv|buckets|rsync",
        "bq rm|cp|truncate|mk",
        "bq -f|--force",
        "bq query @*DROP*|*DELETE*|*TRUNCATE*|*drop*|*delete*|*truncate*",
        "cbt deletetable|deleteallrows|deletefamily|deleteinstance|deleterow",
        "az @delete|purge|deallocate|stop|remove|restart|delete-*|*-delete|revoke|reset|redeploy|reimage|failover|batch-delete|delete-batch|clear|disable|power-off|simulate-eviction|reset-password|uninstall|delete-deployments",
        "azcopy remove|rm|sync",
        "doctl @delete|d|rm|remove|power-off|shutdown|destroy|reboot|power-cycle|delete-*|purge|rebuild|restore",
        "linode-cli @delete|rm|shutdown|rebuild|*-delete|reboot",
        "hcloud @delete|poweroff|shutdown|reset|rebuild|remove|detach|reboot",
        "oci @delete|terminate|bulk-delete|bulk-delete-versions|--action",
        "oci --force|--action=*",
        "ibmcloud|bx @*delete*|*-rm|rm|*remove*|*terminate*|*cancel*",
        "aliyun|tccli @Delete*|Terminate*|Stop*|Release*|Remove*|Reboot*",
        "scw|exo|vultr-cli|civo|ovh|upctl @delete|terminate|rm|stop|destroy|remove|reboot|halt",
        "s3cmd del|rb|rm|mv|setacl|setlifecycle|expire|delpolicy|sync",
        "s5cmd rm|rb|mv",
        "mc rm|rb|mirror|admin|ilm|replicate",
        "rclone delete|purge|deletefile|rmdir|rmdirs|sync|move|moveto|cleanup|dedupe|bisync",
        "b2 delete*|hide-file|rm|cancel-all*|delete-bucket|delete-file-version",
        "swift delete",
        "eb terminate|abort",
        "copilot @delete",
        "ecs-cli down|compose",
        "sam delete",
        "chalice|zappa|apex delete|undeploy",
        "cloudflared|flarectl @delete|d|cleanup",
        "wrangler delete|kv:*|r2",
        "restic|borg|duplicity|bacula|rsnapshot|kopia|duplicati-cli|tarsnap forget|prune|delete|remove-*|--delete*|unlock|cleanup|rewrite|snapshot",
        "tarsnap -d|--nuke",
        "borg delete|prune|compact|recreate",
        "restic forget|prune|unlock|rewrite",
        "kopia @delete|expire",
        "gh repo|release|secret|variable|run|ssh-key|gist|cache|label|issue|workflow|codespace delete|archive|disable|cancel|remove|rm",
        "gh api -X=DELETE|--method=DELETE|-X=delete",
        "glab @delete|rm",
    ),
    _ask(
        "cloud.change",
        "changes something in the cloud",
        "aws * run-*|start-*|create-*|invoke|put-*|import-*|copy-*|publish-*|send-*|register-*|tag-*|associate-*|allocate-*|assume-*|enable-*|add-*|reboot-*",
        "aws s3 cp|sync|mb|presign",
        "gcloud|az|doctl|oci|hcloud|ibmcloud|gsutil|s3cmd|rclone|mc|gh|glab|linode-cli @*",
    ),
)

DATABASES = (
    _refuse(
        "databases.destroy",
        "drops or empties databases, queues or indexes",
        "dropdb|dropuser|pg_resetwal|pg_resetxlog|pg_dropcluster|initdb|pg_rewind|pg_upgrade|mysql_install_db|mysqld_safe|myisamchk|pg_surgery|pg_archivecleanup",
        "pg_ctl stop|kill|promote|restart|initdb|init",
        "pg_ctlcluster @stop|promote",
        "mysqladmin @drop|shutdown|kill|flush-*|password|stop-slave|reload|refresh|debug",
        "pg_restore -c|--clean|-C|--create",
        "repmgr @promote|switchover|unregister|clone|rejoin|--force",
        "patronictl remove|failover|switchover|reinit|edit-config|restart|pause",
        "rabbitmqctl reset|force_reset|stop|stop_app|delete_*|purge_queue|forget_cluster_node|clear_*|shutdown|force_boot|set_permissions|change_password|remove_*|close_all_connections|rename_cluster_node|leave_cluster",
        "rabbitmqadmin delete|purge|close",
        "rabbitmq-queues|rabbitmq-plugins shrink|delete_member|disable",
        "kafka-topics*|kafka-topics.sh --delete|-delete",
        "kafka-delete-records*|kafka-leader-election*|kafka-reassign-partitions*|kafka-storage* !--help|--verify|--list",
        "kafka-consumer-groups* --delete|--reset-offsets|--delete-offsets",
        "kafka-configs* --alter|--delete-config",
        "kafka-acls* --remove",
        "kafka-server-stop*|zookeeper-server-stop*|kafka-streams-application-reset*|cassandra-stop",
        "zkCli.sh|zookeeper-shell* @delete|deleteall|rmr",
        "nodetool decommission|removenode|assassinate|drain|clearsnapshot|stopdaemon|truncatehints|flush-all|disable*|disablegossip|rebuild|move|resetlocalschema|refresh",
        "influx @delete|drop",
        "influxd restore",
        "curator|curator_cli delete_indices|close|delete_snapshots|--delete",
        "elasticsearch-node|elasticsearch-translog|elasticsearch-keystore|elasticsearch-reset-password @*",
        "hdfs dfs|fs -rm*|-expunge|-rmr|-mv|-chmod|-chown|-truncate",
        "hdfs|hadoop @namenode|-format|-delete|-rm|-rmr|-expunge|-rollback|-finalize",
        "hadoop fs|dfs -rm*|-rmr|-expunge",
        "hdfs namenode|dfsadmin|secondarynamenode|datanode -format|-delete|-safemode|-rollback|-refreshNodes|-allowSnapshot",
        "hdfs namenode",
        "hdfs -rm*|-format|-rmr",
        "hadoop -rm*|-rmr|-expunge",
        "hbase|hive|beeline|phoenix @*drop*|*truncate*|*delete*|*disable*",
        "yarn @-kill|rmadmin",
        "aerospike|asadm|asinfo @*truncate*|*delete*",
        "beanstalkd|memcached-tool @flush_all|flush",
        "memcflush|memcrm",
        "slapcat|slapadd|slapd_db_recover|db_recover|ldapdelete !-n",
        "mongorestore --drop|--db",
        "mongod --shutdown|--repair",
        "cockroach @drop|nodes|decommission|drain|quit|init|wipe|debug",
        "tiup @destroy|clean|stop|scale-in|prune",
        "clickhouse-client|clickhouse @*DROP*|*TRUNCATE*|*DELETE*|*drop*",
        "snowsql|sqlcmd|sqlplus|isql @*DROP*|*drop*|*TRUNCATE*|*truncate*|*DELETE*|*delete*",
        "nats|pulsar-admin|solr|celery @rm|purge|delete|remove|unload|shutdown|delete-*|-all",
        "celery @purge|shutdown|amqp|cancel_consumer",
        "artisan|rails|rake|manage.py|django-admin|mix|prisma|sequelize|knex|alembic|flyway|liquibase|typeorm|sqitch @db:drop|db:reset|flush|migrate:fresh|migrate:reset|migrate:rollback|reset_db|clean|dropAll|drop-all|downgrade|schema:drop|db:drop:all|db:migrate:reset|db:schema:load|ecto.drop|ecto.reset|reset|db:purge|revert|undo|rollback|db:wipe|db:truncate_all|db:setup|db:rollback|migrate:refresh|drop|sqlflush|delete_expired|dropdb|db:migrate:undo:all|db:seed:replant",
    ),
    _ask(
        "databases.change",
        "restores or changes a database",
        "pg_restore|mongorestore|mysqlimport|createdb|createuser|vacuumdb|reindexdb|clusterdb|nodetool|cockroach|patronictl|repmgr|mongoimport|pg_basebackup|alembic|flyway|liquibase|celery",
    ),
)

GIT = (
    _refuse(
        "git.destroy",
        "throws away commits, branches or files that were not committed",
        "git reset --hard|--merge|--keep",
        "git clean -f|--force|-x|-d|-X",
        "git push --force|-f|--force-with-lease|--delete|-d|--mirror|--prune|--force-with-lease=*|--force-if-includes",
        "git push @+*|:*",
        "git push @*:",
        "git checkout -f|--force|-B",
        "git checkout @.|--|*.*|:/|*",
        "git restore !--staged|-S",
        "git branch -D|-M|-d|--delete|-f|--force|-C|-m",
        "git branch -d -f",
        "git tag -d|--delete|-f|--force",
        "git stash drop|clear|pop",
        "git filter-branch|filter-repo|update-ref|replace|gc|prune|reflog|symbolic-ref|fast-import|rebase|amend|pack-refs|prune-packed|bisect|read-tree|checkout-index",
        "git gc --prune|--prune=*|--aggressive",
        "git reflog expire|delete",
        "git rm",
        "git worktree remove|prune",
        "git commit --amend",
        "git remote remove|rm|set-url|prune",
        "git submodule deinit",
        "git config --unset*|--remove-section|--global|--system",
        "git switch -f|--force|-C|--discard-changes",
        "git lfs prune",
        "git notes remove|prune",
        "git -c=*!*|-c=core.pager*|-c=core.sshCommand*|-c=alias.*|-c=core.fsmonitor*|-c=core.editor*|-c=diff.external*|--exec-path=*|-c=protocol.*|-c=credential.*|-c=core.hooksPath*|-c=core.askpass*|-c=sequence.editor*",
        "git clone @ext::*",
        "git bisect run",
        "git rebase -x|--exec|-i",
        "git submodule foreach",
        "git daemon|http-backend|shell|credential|upload-pack -u",
        "git svn|p4|cvsimport @*",
        "bfg|git-filter-repo|git-filter-branch|repo|gclient @*",
        "hg strip|update|purge|rollback -C|--clean|--force",
        "hg strip|purge|rollback",
        "svn delete|del|rm|remove|revert",
    ),
    _ask(
        "git.change",
        "changes a checkout or its remote",
        "git push|checkout|switch|merge|reset|revert|cherry-pick|commit|add|clone|init|stash|branch|tag|am|apply|restore|submodule|rebase|config|remote|worktree|mv|lfs|bundle|archive|maintenance|sparse-checkout|notes|svn|hg",
    ),
)

WITNESSES = (
    _refuse(
        "logs.wipe",
        "wipes what witnesses who did what",
        "history -c|-d|-w|-r|-cw|-a",
        "journalctl --vacuum-*|--rotate|--flush|--relinquish-var|--setup-keys|--update-catalog",
        "dmesg -C|-c|--clear|--read-clear|-D|-E|-n",
        "utmpdump -r|--reverse",
        "logsave|auditctl -D|-e|-d",
        "aureport|ausearch --delete",
        "wevtutil|Clear-EventLog|klogctl @cl|clear-log",
        "lastlog -C|--clear",
        "fc -p|-P",
        "unset @HISTFILE|HISTSIZE|HISTFILESIZE|HISTCONTROL",
        "set +o @history",
        "shopt -u|-s @histappend|extdebug|expand_aliases",
        "logrotate -f|--force",
        "savelog|newsyslog @*",
        "journalctl --vacuum-size=*|--vacuum-time=*|--vacuum-files=*",
        "accton @off",
        "faillog|pam_tally2|faillock -r|--reset",
        "sa -s",
        "set +o @history",
    ),
)

SCHEDULES = (
    _refuse(
        "schedules.remove",
        "removes or replaces scheduled work",
        "crontab -r|-e|-i",
        "crontab @*",
        "at|batch|atq|atrm -r|-d",
        "atrm",
        "at -r|-d",
        "systemd-tmpfiles --remove|--clean|--purge",
        "systemd-run --on-calendar|--on-active|--on-boot|--timer-property|--on-calendar=*|--on-active=*",
        "tmpwatch|tmpreaper|stmpclean",
        "anacron -f|-u",
    ),
)

EXFILTRATION = (
    _refuse(
        "exfiltration.shell",
        "opens a way in, or carries data out",
        "nc|ncat|netcat|nc.openbsd|nc.traditional -e|-c|-l|--exec|--sh-exec|--lua-exec|-L|--listen|-k",
        "socat @*EXEC*|*exec*|*SYSTEM*|*system*|*LISTEN*|*listen*|*SHELL*|*CREATE*|*OPEN*|*open:*|*PTY*",
        "pwncat|msfconsole|msfvenom|chisel|ngrok|frpc|frps|cloudflared|bore|localtunnel|lt|gost|revsocks|iodine|dnscat|dnscat2|xmrig|minerd|cpuminer|cryptonight|hydra|medusa|john|hashcat|mimikatz|linpeas|pspy|ligolo|sliver|merlin|evilginx|responder|crackmapexec|sqlmap|nikto|masscan|zmap|t-rex|ethminer|nbminer|cgminer|phoenixminer",
        "ssh -R|-D|-w",
        "ssh|scp|sftp -o=ProxyCommand*|-o=LocalCommand*|-o=PermitLocalCommand*|-o=proxycommand*|-o=KnownHostsCommand*",
        "telnet|rlogin|rsh|rexec @*",
        "curl|wget -T|--upload-file|--upload-file=*|-F|--form|--post-file|--post-file=*|--body-file|-K|--config|--body-file=*|--form-string",
        "curl -d=@*|--data=@*|--data-binary=@*|--data-raw=@*|--data-urlencode=*@*|--json=@*",
        "wget -e=*|--execute=*|--use-askpass|--use-askpass=*|--post-file=*",
        "curl|wget @file:///etc/*|file:///root/*",
        "curl @gopher*|dict*|ldap*|telnet*|tftp*",
        "script -c",
        "tftp|ftp|lftp|ncftp|ncftpput|smbclient|rpcclient|wormhole|croc|magic-wormhole|transfer|ffsend|sendmail|mutt|mail|mailx|swaks|uuencode|s-nail|pastebinit|gist",
        "tcpdump -z|-w|-Z",
        "dsniff|mitmproxy|mitmdump|tshark|wireshark|dumpcap -w|-z",
        "dsniff|mitmproxy|mitmdump|sslstrip|responder",
        "sshuttle|autossh|stunnel|proxychains|tor|torsocks",
    ),
    _ask(
        "exfiltration.copy",
        "carries data to or from another host",
        "scp|sftp",
        "tshark|tcpdump|dumpcap|nmap",
        "wget !-O=-|--spider|-qO-|-O-|--output-document=-",
    ),
)

HTTP_WRITES = (
    _refuse(
        "http.delete",
        "asks another service to delete something",
        "curl -X=DELETE|--request=DELETE|-X=delete|--request=delete|-X=PURGE|--request=PURGE",
        "wget --method=DELETE|--method=delete",
        "http|https|xh|httpie DELETE|delete",
        "xh|http|https|httpie @DELETE",
    ),
    _ask(
        "http.write",
        "changes something over HTTP",
        "curl -X=POST|--request=POST|-X=PUT|--request=PUT|-X=PATCH|--request=PATCH|-d|--data|--data-raw|--data-binary|--data-urlencode|--json|-Q|-X=post|-X=put|-X=patch",
        "wget --post-data|--method=POST|--method=PUT|--body-data|--post-data=*",
        "http|https|xh POST|PUT|PATCH",
    ),
)

MAIL_AND_QUEUES = (
    _refuse(
        "mail.purge",
        "throws away waiting mail or print jobs",
        "postsuper -d|-r|-h",
        "exim -Mrm|-Mg",
        "exim|exim4 @*",
        "cancel -a",
        "lprm @*",
        "postqueue -f",
        "qmHandle|pfdel|exiqgrep -D|-x",
    ),
)

SHELL = (
    _refuse(
        "shell.trick",
        "changes what later words mean, so that this text cannot be judged",
        "enable -f|-n|-d",
        "hash -p",
        "compgen|complete|bind|mapfile|readarray -C|-W|-x|-F",
        "coproc",
        "printf -v",
        "let @*[*",
        "trap @*[$`]*",
        "alias|unalias|complete @*",
        "set -k",
        "shopt -s @expand_aliases|extdebug|sourcepath",
        "select",
        "ulimit -u=*|-n=0|-f=0",
        "exec -a",
        "caller|suspend|logout|dirs",
        "fc -s|-e",
    ),
)

RULES: tuple[Rule, ...] = (
    *FILE_SYSTEMS, *BOOT_AND_POWER, *NETWORK, *USERS, *PROCESSES, *PACKAGES, *CONTAINERS, *CLOUD, *DATABASES, *GIT,
    *WITNESSES, *SCHEDULES, *EXFILTRATION, *HTTP_WRITES, *MAIL_AND_QUEUES, *SHELL,
)  # fmt: skip
"""Every rule, in groups. Programs that need a look at their paths, code or units are judged in `programs.py`."""
