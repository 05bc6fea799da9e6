"""Places of a host: which are scratch, which are precious, which are secret. `paths.py` reads them.

`*` stands for one name, `**` for everything below.
"""


def names(text: str) -> tuple[str, ...]:
    """The words of a table."""
    return tuple(text.split())


TOP = names(
    """
    / /* /etc/* /usr/* /var/* /home/* /var/lib/* /var/log/journal /usr/lib/* /usr/local/*
    /lib/modules /run/systemd
    """
)
"""Folders whose loss is the loss of the host or of a tenant. A path of this depth is never a detail."""

PROTECTED = names(
    """
    /bin /sbin /lib /lib32 /lib64 /libx32 /usr /boot /etc /root /home /sys /proc /dev /var/lib /var/spool
    /var/mail /var/backups /var/www /var/db /run /backup /backups /srv /mnt /media /snap /var/run
    /opt/backup /opt/backups /efi /usr/local /var/opt /var/named /data /lost+found /export /nfs /vol
    /volumes
    """
)
"""Folders in which nothing is removed recursively or overwritten without a person."""

CRITICAL = names(
    """
    /etc/passwd* /etc/shadow* /etc/group* /etc/gshadow* /etc/sudoers /etc/sudoers.d /etc/doas.conf
    /etc/sudoers.d/** /etc/ssh /etc/ssh/** /etc/pam.d /etc/pam.d/** /etc/security/** /etc/fstab
    /etc/crypttab /etc/cron* /etc/cron*/** /var/spool/cron /var/spool/cron/** /etc/ld.so*
    /etc/ld.so.conf.d/** /etc/resolv.conf /etc/nsswitch.conf /etc/hosts /etc/hosts.* /etc/hostname
    /etc/systemd /etc/systemd/** /usr/lib/systemd/** /lib/systemd/** /etc/init.d/** /etc/inittab
    /etc/rc.local /etc/rc*.d/** /etc/profile /etc/profile.d/** /etc/bash* /etc/zsh* /etc/environment
    /etc/network /etc/network/** /etc/netplan /etc/netplan/** /etc/NetworkManager/** /etc/sysconfig/**
    /etc/iptables/** /etc/nftables* /etc/ufw/** /etc/firewalld/** /etc/sysctl* /etc/sysctl.d/**
    /etc/modprobe* /etc/modprobe.d/** /etc/modules* /etc/default/grub* /etc/grub* /etc/grub.d/** /boot/**
    /usr/bin/** /usr/sbin/** /bin/** /sbin/** /lib/** /lib64/** /usr/lib/** /usr/lib64/** /etc/selinux/**
    /etc/apparmor* /etc/apparmor.d/** /etc/machine-id /etc/shells /etc/login.defs /etc/securetty
    /etc/kubernetes/** /var/lib/etcd/** /etc/letsencrypt/** /etc/krb5* /etc/ssl/** /etc/pki/** /etc/audit/**
    /etc/rsyslog* /etc/lvm/** /etc/mdadm/** /etc/apt/** /etc/yum* /etc/yum.repos.d/** /etc/localtime
    /etc/at.* /var/spool/at/** /usr/local/bin/** /usr/local/sbin/** /proc/sys/** /proc/sysrq-trigger
    /proc/*/mem /proc/*/oom* /proc/** /sys/** /var/run/docker.sock /run/docker.sock /run/systemd/**
    /etc/subuid /etc/subgid /etc/motd.d/** /etc/logrotate* /etc/logrotate.d/** /var/lib/dpkg/**
    /var/lib/rpm/** /var/lib/mysql/** /var/lib/postgresql/** /var/lib/mongodb/** /var/lib/redis/**
    /var/lib/docker/** /var/lib/kubelet/** /var/lib/containerd/** /var/lib/elasticsearch/** /var/lib/ceph/**
    /var/lib/cassandra/** /var/lib/pgsql/** /var/lib/mongo/** /var/cache/debconf/** /run/nologin
    /var/run/nologin /etc/nologin /var/lib/rabbitmq/** /var/lib/zookeeper/** /var/lib/kafka/**
    /var/lib/libvirt/images/**
    /var/lib/vault/** /var/lib/consul/** /var/lib/prometheus/** /var/lib/grafana/** /var/lib/influxdb/**
    /var/lib/clickhouse/** /var/lib/jenkins/jobs/** /var/lib/ldap/** /var/lib/named/** /var/lib/samba/**
    /etc/environment.d/** /etc/polkit-1/** /etc/dbus-1/** /etc/udev/** /etc/initramfs-tools/** /etc/dracut*
    /etc/dracut.conf.d/** /etc/cloud/** /etc/multipath* /etc/iscsi/** /etc/exports* /etc/frr/** /etc/keepalived/**
    /etc/corosync/** /etc/wireguard/** /etc/openvpn/** /etc/ipsec* /etc/ntp.conf /etc/chrony*
    """
)
"""What a host needs to start, to let people in, and to keep its data. Nothing here is written by hand."""

SCRATCH = names(
    """
    /tmp /var/tmp /dev/shm /run/user /var/cache /var/lib/php/session /var/lib/php/sessions /root/.cache
    /home/*/.cache /root/tmp /home/*/tmp
    """
)
"""Below these anything may be removed; the folders themselves may not."""

WITNESS_LOGS = names(
    """
    /var/log/auth* /var/log/secure* /var/log/wtmp* /var/log/btmp* /var/log/lastlog* /var/log/audit
    /var/log/audit/** /var/log/faillog* /var/log/tallylog* /var/run/utmp /run/utmp /var/log/journal/**
    /var/log/sudo* /var/log/utmp* /run/log/journal/** /var/account/** /var/log/account/**
    """
)
"""Logs that say who was there."""

APPS = names(
    """
    /opt/* /srv/* /home/* /var/www/* /app /usr/share/nginx/html /var/lib/jenkins/workspace
    """
)
"""Below these lies what a team deploys itself; single things there come and go."""

BACKUPS = names(
    """
    /backup /backups /var/backups /opt/backup /opt/backups /srv/backup /srv/backups /data/backup /data/backups
    /mnt/backup /mnt/backups /home/*/backup /home/*/backups
    """
)
"""Where copies go. New ones are welcome, old ones are not to be lost."""

THROWAWAY_FOLDERS = names(
    """
    tmp temp cache caches .cache thumbnails thumbs build builds build-* build_* dist node_modules __pycache__
    .pytest_cache .mypy_cache .sass-cache .gradle target coverage scratch work-tmp tmp-* temp-* *-tmp *.tmp *_tmp
    sessions crash-reports tmp.* smarty views_c
    """
)
"""Names of folders that programs fill again by themselves."""

DATA_FOLDERS = names(
    """
    data db database databases uploads upload storage store repos repositories *.git mysql* postgres* pgdata pgsql*
    mongo* redis* elastic* kafka* cassandra* wal binlog* backup backups shared current html www htdocs public prod*
    production vault consul etcd jenkins_home media files documents .git *-data *_data *.db registry volumes
    """
)
"""Names of folders that hold what cannot be made again."""

BROAD_LOGS = names(
    """
    syslog messages kern.log dmesg daemon.log cron cron.log maillog
    """
)
"""Logs many things write to; emptying one needs a person."""

HARMLESS_DEVICES = names(
    """
    /dev/null /dev/stdout /dev/stderr /dev/stdin /dev/tty /dev/fd/0 /dev/fd/1 /dev/fd/2 /dev/zero
    /dev/random /dev/urandom /dev/full
    """
)

DEVICES = names(
    """
    /dev/sd* /dev/hd* /dev/vd* /dev/xvd* /dev/nvme* /dev/mmcblk* /dev/md* /dev/dm-* /dev/mapper/**
    /dev/disk/** /dev/loop* /dev/mem /dev/kmem /dev/port /dev/sr* /dev/ram* /dev/* /dev/*/** /dev/mtd*
    /dev/watchdog* /dev/tcp/** /dev/udp/** /dev/nbd* /dev/zd*
    """
)

SECRETS = names(
    """
    /etc/shadow* /etc/gshadow* /root/.ssh/** /home/*/.ssh/id_* /root/.ssh /home/*/.ssh /etc/sudoers
    /etc/sudoers.d/** /etc/ssl/private/** /etc/ssh/ssh_host_*_key /home/*/.aws/** /root/.aws/**
    /root/.kube/** /home/*/.kube/** /home/*/.gnupg/** /root/.gnupg/** /home/*/.pgpass /root/.pgpass
    /home/*/.netrc /root/.netrc /home/*/.my.cnf /root/.my.cnf /etc/kubernetes/pki/** /proc/*/environ
    /etc/kubernetes/admin.conf /var/lib/kubelet/pki/** /etc/letsencrypt/archive/**
    /home/*/.docker/config.json /var/run/secrets/** /run/secrets/** /home/*/.bash_history
    /root/.bash_history /etc/krb5.keytab
    """
)
"""Reading these gives away passwords and keys."""

_LOGIN_FILES = names(
    """
    .ssh .ssh/** .bashrc .bash_profile .bash_login .bash_logout .profile .zshrc .zshenv .bash_history .zsh_history
    .*_history .aws/** .kube/** .config/** .gnupg/** .my.cnf .pgpass .netrc .docker/** .git-credentials .forward
    .rhosts .bash_aliases .gitconfig
    """
)
LOGINS = tuple(f"{home}/{name}" for home in ("/root", "/home/*") for name in _LOGIN_FILES)
"""What lets a person in, or runs when they come."""

RUN_NAMES = names(
    """
    *.sh *.bash *.zsh *.py *.pl *.pm *.rb *.js *.mjs *.php *.jar *.war *.so *.service *.timer *.socket *.path
    Makefile Jenkinsfile crontab Procfile
    """
)
RUN_FOLDERS = names("bin sbin libexec hooks scripts cron*")
"""Files, and folders of files, that something will run: what is written there is a command."""
