"""The rules of the command guard, as data: places, names, what is refused and what a person must approve.

A pattern is a command line in words. First the program (`a|b`: either). Then, each matched against the real
arguments whatever their order or spelling:

    word        the next operand (sub-command) must be this; `a|b`, and globs such as `delete-*`
    @word       some operand is this
    -x  --long  this option is there; `-x|--long` either; `--name=glob` with this value
    !-x         this option is not there

The sources are the manuals of the programs. What is routine, and what only reads, stands in `routine.py`.
"""

from dataclasses import dataclass

from safety.command_guard.places import names
from safety.command_guard.verdicts import Severity

APPROVE, REFUSE = Severity.APPROVE, Severity.REFUSE


def rows(text: str) -> tuple[str, ...]:
    """The lines of a table, without those that are empty or a comment."""
    stripped = (line.strip() for line in text.splitlines())
    return tuple(line for line in stripped if line and not line.startswith("#"))


PRECIOUS_UNITS = names(
    """
    ssh sshd ssh@* sshd@* dropbear systemd-* dbus dbus-* network networking NetworkManager network-manager
    wpa_supplicant init.scope net.* session-* user@* *.slice *.target firewalld ufw iptables ip6tables nftables
    fail2ban auditd apparmor rsyslog rsyslogd polkit polkitd getty@* kubelet containerd etcd lvm2*
    multipathd iscsid open-iscsi crond cron sssd netplan* dhcpcd dhclient resolvconf cloud-init* syslog
    syslog-ng falcon-sensor osqueryd ossec* wazuh* crowdsec clamav* vpn* wg-quick@* openvpn*
    """
)
"""Units that let us in, keep the host up or watch over it; stopping one needs more than this bot."""

PRECIOUS_PROCESSES = names(
    """
    init systemd systemd-* sshd* ssh dropbear dbus-* dbus NetworkManager containerd* dockerd kubelet etcd
    kthreadd agetty getty login bash sh udevd auditd rsyslogd journald polkitd handrail* kube-apiserver
    kube-proxy tmux* screen sudo dhclient firewalld crond cron runc crio multipathd iscsid falcon-sensor
    falco osqueryd
    """
)
"""Processes whose end takes the host, our session or its watchers along."""

DANGEROUS_SETTINGS = names(
    """
    LD_PRELOAD LD_AUDIT LD_LIBRARY_PATH BASH_ENV ENV PROMPT_COMMAND PS4 SHELLOPTS BASHOPTS PYTHONSTARTUP
    PYTHONPATH PYTHONINSPECT PERL5OPT PERL5LIB RUBYOPT NODE_OPTIONS GCONV_PATH GIT_SSH GIT_SSH_COMMAND
    GIT_EXTERNAL_DIFF GIT_PAGER MANPAGER PAGER EDITOR VISUAL SYSTEMD_PAGER LESSOPEN LESSCLOSE BROWSER
    BASH_FUNC* PHPRC JAVA_TOOL_OPTIONS HISTFILE HISTSIZE HISTCONTROL HISTFILESIZE TAR_OPTIONS SUDO_ASKPASS
    SSH_ASKPASS PSQLRC TMOUT GIT_EDITOR GIT_SEQUENCE_EDITOR SYSTEMD_EDITOR SUDO_EDITOR RSYNC_RSH
    MYSQL_HISTFILE
    """
)
"""Variables that make another program run something, or hide what ran."""

HARMLESS_PAGERS = ("", "cat", "less", "more", "/bin/cat", "/usr/bin/cat", "true", "/bin/true")
"""Values that make a pager variable harmless."""

# What is refused, and what a person must approve.


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule: any of its patterns makes it speak."""

    id: str
    severity: Severity
    reason: str
    patterns: tuple[str, ...]


def _refuse(id: str, reason: str, patterns: str) -> Rule:
    return Rule(id=id, severity=REFUSE, reason=reason, patterns=rows(patterns))


def _ask(id: str, reason: str, patterns: str) -> Rule:
    return Rule(id=id, severity=APPROVE, reason=reason, patterns=rows(patterns))


DESTRUCTIVE_VERBS = frozenset(
    names(
        """
        delete del destroy drop purge wipe erase nuke terminate downgrade uninstall format truncate flushall flushdb
        remove rm rmi
        unlink decommission shutdown poweroff powerdown reboot halt drain evict reset undefine unregister
        deregister zap
        killall kill revoke obliterate expunge teardown rebuild reimage reinstall forceoff leave demolish
        annihilate empty
        dropdb rmdir clearconfig initialize factory
        """
    )
)
"""Sub-commands that mean harm whatever the program: one in no table is refused when it is told to do one of these."""

DRY_RUNS = rows(
    """
    kubectl|oc|k|kubecolor --dry-run=client|--dry-run=server
    helm|helm3 --dry-run|--dry-run=*
    apt|apt-get|aptitude -s|--simulate|--dry-run|--just-print|--no-act|--recon
    dpkg --dry-run|--no-act|--simulate
    yum|dnf|microdnf|tdnf --assumeno
    zypper --dry-run|-D
    rpm --test
    pacman -p|--print
    unattended-upgrade|unattended-upgrades --dry-run
    git @clean -n|--dry-run
    git @push -n|--dry-run
    git @gc|prune|rm|add|fetch -n|--dry-run
    terraform|tofu|terragrunt plan
    nft -c|--check
    iptables-restore|ip6tables-restore -t|--test
    netplan generate
    visudo -c|--check
    lvremove|vgremove|pvremove|lvreduce|vgreduce|lvresize|lvextend|pvmove|vgcfgrestore -t|--test
    zfs @destroy -n|-nv|-nvr
    resize2fs -P
    e2fsck|fsck|fsck.* -n|-N
    xfs_repair -n
    mkfs.xfs|mkfs.ext4|mke2fs -n|-N
    mkfs|mkfs.*|mke2fs|mkswap -V|--version
    docker|docker-compose --dry-run
    borg|restic|rclone|velero --dry-run
    aws --dry-run|--dryrun
    gsutil @rsync -n
    systemd-tmpfiles --dry-run
    systemctl --dry-run
    puppet --noop
    update-grub|grub-mkconfig --help
    ansible-playbook|ansible --check|-C|--syntax-check|--list-tasks|--list-hosts
    certbot --dry-run
    snap refresh --list
    chef-client --why-run|-W
    pg_archivecleanup -n
    pt-online-schema-change --dry-run
    logrotate -d|--debug
    shutdown --show
    patch --dry-run
    make|gmake -n|--dry-run|--just-print
    sed --debug
    flyway|liquibase @info|status|validate|history
    """
)
"""Options with which a command only says what it would do. They answer for the tables, not for what is wrapped."""

FILE_SYSTEMS = (
    _refuse(
        "fs.format",
        "makes a new file system, swap or label and loses what was there",
        """
        mkfs|mkfs.*|mke2fs|mkswap|newfs|newfs_*|mkntfs
        mkdosfs|mkreiserfs|wipefs|sgdisk|cfdisk|gdisk|fixparts|mkfs_msdos
        fdisk|sfdisk !-l|--list|-V|--version|-d|--dump|-s
        parted @mklabel|mktable|mkpart|rm|resizepart|rescue|set|name
        blkdiscard
        nvme format|sanitize|delete-ns|write*|detach-ns|reset|fw-*
        hdparm --security*|--trim*|--write-sector|--make-bad*|-Y|-y
        cryptsetup luksFormat|luksErase|luksChangeKey|luksHeaderRestore|erase|luksKillSlot|luksRemoveKey
        cryptsetup close|remove|reencrypt|luksClose|luksSuspend
        debugfs -w
        tune2fs !-l|-h
        xfs_admin !-l|-u|-V
        e2label * *
        dmsetup remove|remove_all|wipe_table|suspend|load
        scrub|wipe|srm|sdelete|nwipe|dban|secure-delete|sfill|sswap
        sg_format|sg_sanitize|sg_write_same
        badblocks -w|-n
        losetup -D
        flash_erase|flashcp|nandwrite|mtd_debug|flashrom
        fwupdmgr install|update|upgrade|downgrade|reinstall|activate|clear-*|switch-branch|modify-*
        xfs_repair -L
        xfs_io|xfs_db -x|-c=*write*|-c=*truncate*|-c=*punch*|-c=*zero*
        btrfs @--repair|rescue|zero-log|chunk-recover|super-recover
        btrfs rescue|replace|restore
        btrfs check --repair
        btrfs balance start --full-balance
        smartctl -s|--set|--set=*|-o|-S
        blockdev --setro|--setrw|--rereadpt|--setra|--setbsz
        setquota|edquota
        veracrypt|truecrypt
        dmsetup create|message|rename|setgeometry|reload
        umount @/dev/*
        fsck*|e2fsck -y|-f|-p|-a
        btrfs subvolume|device|filesystem|balance|quota|qgroup delete|remove|resize
        resize2fs|xfs_growfs -M
        partx -d|--delete
        kpartx -d
        mdconfig|gpart destroy|delete|bootcode
        diskutil eraseDisk|eraseVolume|partitionDisk|zeroDisk|secureErase|reformat
        diskpart|format
        megacli|MegaCli|MegaCli64 -CfgClr|-CfgLdDel|-CfgForeign|-AdpFacDefSet|-PDOffline|-LDInit|-AdpShutDown
        storcli|storcli64|perccli|megacli|MegaCli|MegaCli64|ssacli|hpssacli|arcconf \
            @delete|del|-CfgClr|-CfgLdDel|init|clear|erase|DELETE
        """,
    ),
    _refuse(
        "fs.unmount",
        "takes a file system away from everything that uses it",
        """
        umount -a|--all|-l|--lazy|-f|--force|-R
        umount @/|/usr|/var|/home|/boot|/etc|/opt|/srv
        umount @/data|/mnt|/mnt/*|/proc|/sys|/dev|/data/*|/var/*
        swapoff -a|--all
        fuser -k -m
        mount @*remount*
        mount -o=*remount*
        mount --bind|--move|--rbind
        mount -o=*bind*
        fsfreeze -f|--freeze
        xfs_freeze -f
        quotaoff -a
        fusermount -u
        pivot_root|switch_root
        """,
    ),
    _refuse(
        "fs.volumes",
        "removes or shrinks volumes with everything on them",
        """
        lvremove|vgremove|pvremove|lvreduce|vgreduce|vgcfgrestore|vgexport|pvmove
        lvm lvremove|vgremove|pvremove|lvreduce|vgreduce
        lvresize -L=-*|-l=-*|--size=-*|--extents=-*
        zfs set @mountpoint=*|readonly=*|canmount=*|quota=*|refquota=*|sync=disabled
        nbd-client -d
        exportfs -u|-f
        vgchange|lvchange -a=n*|--activate=n*
        pvcreate -f|--force
        lvconvert --merge|--uncache|--repair
        mdadm --stop|-S|--zero-superblock|--fail|-f|--remove|-r|--create|-C|--grow|-G|--set-faulty
        zpool destroy|labelclear|detach|offline|export|remove|clear|split|create|replace
        zfs destroy|rollback|unmount|umount|rename|receive|recv|inherit|unload-key
        drbdadm down|invalidate|wipe-md|create-md|detach|disconnect|secondary
        vdo remove|stop
        stratis pool|filesystem|fs destroy
        ceph osd rm|out|down|purge|destroy|crush|lost|pool
        ceph @delete|rm|purge|destroy
        ceph-volume lvm zap
        rbd rm|remove|trash|snap
        gluster volume delete|stop|remove-brick|reset
        multipath -F|-f
        iscsiadm -u|--logout
        vgck|pvresize|vgsplit|vgmerge|vgrename|lvrename|vgimportclone|pvchange
        lvchange -p=r|--permission=r|--permission=r*
        zpool add -f
        multipath -w|-W
        drbdadm @--discard-my-data|--force|--overwrite-data-of-peer|primary|disconnect|connect|resize
        rados|ceph rmpool|purge|cppool
        gluster peer detach
        lfs|lctl @setstripe|set_param|deactivate|abort_recovery
        make-bcache
        """,
    ),
    _ask(
        "fs.volumes-grow",
        "changes volumes or file systems",
        """
        lvextend|lvcreate|vgextend|vgcreate|pvcreate
        resize2fs|xfs_growfs|lvresize|growpart|vgchange|lvchange
        mount @*
        umount @*
        swapoff|swapon @*
        losetup @*
        zfs create|set|snapshot|mount|send|clone|promote|destroy
        zpool scrub|online|import|add|attach|upgrade|trim
        mdadm @*
        fstrim
        fsck*|e2fsck|xfs_repair|debugfs|btrfs|parted|fdisk|dmsetup|cryptsetup|hdparm
        udevadm trigger|control
        partprobe|kpartx|partx
        """,
    ),
)

BOOT_AND_POWER = (
    _refuse(
        "boot.power",
        "switches the host off or restarts it",
        """
        shutdown !-c|--show
        reboot|poweroff|halt|kexec|pm-suspend|pm-hibernate|rtcwake
        init|telinit 0|1|6|s|S|q|Q|u|emergency|rescue|single
        systemctl poweroff|reboot|halt|kexec|suspend|hibernate|hybrid-sleep|suspend-then-hibernate
        systemctl rescue|emergency|isolate|default|set-default|exit|switch-root|soft-reboot|sleep
        loginctl poweroff|reboot|halt|suspend|hibernate
        loginctl kill-user|terminate-user|terminate-session|kill-session|terminate-seat
        ipmitool|ipmi-power|ipmiutil \
            @off|cycle|reset|soft|diag|clear|raw|user|activate|set|bootdev|bootparam|cold|warm
        ipmi-power|ipmi-chassis -f|-r|-c|--off|--reset|--cycle|--soft
        redfishtool|ilorest|hponcfg|omconfig|cimcli|smcipmitool|isrest \
            @*[Rr]eset*|*[Oo]ff*|*[Pp]ower*|*[Cc]lear*|*shutdown*
        ipmi-chassis-config|ipmi-power|fence_*|stonith_admin|racadm
        busctl|dbus-send|gdbus @*Reboot*|*PowerOff*|*Halt*|org.freedesktop.login1*|*Suspend*|*.login1
        openrc-shutdown|runit-init
        dbus-send --dest=org.freedesktop.login1|--dest=org.freedesktop.systemd1|--print-reply \
            @*Reboot|*PowerOff|*Halt|*Suspend|*StopUnit|*KillUnit
        """,
    ),
    _refuse(
        "boot.loader",
        "changes how the host starts",
        """
        grub-install|grub2-install|grub-mkconfig
        grub2-mkconfig|update-grub|update-grub2|grub-set-default
        grub-reboot|grub2-reboot|grub2-set-default|lilo|syslinux|extlinux
        grub-editenv|grub2-editenv @set|unset|create
        grubby --remove-kernel|--remove-kernel=*|--set-default|--set-default=*|--args|--args=*|--update-kernel
        grubby --update-kernel=*|--remove-args|--remove-args=*|--add-kernel|--add-kernel=*|--set-default-index
        update-initramfs|dracut|mkinitcpio|mkinitrd !--list-modules|--version|-v
        dracut|mkinitcpio -f|--force|-P|--regenerate-all|-p
        bootctl install|update|remove|set-default|set-oneshot|set-timeout|kernel-add|unlink|cleanup|random-seed
        efibootmgr -b|-B|-o|-n|-t|-c|-A|-a|-D|-N|-O|-T|--delete-bootnum|--bootorder|--bootnext|--create|--bootnum
        systemd-firstboot|kernel-install|installkernel|bcdedit|bootsect|efivar !list|inspect|-l|-p
        mokutil --import|-i|--delete|--reset|--disable-validation|--enable-validation|--password|--set-*|--revoke-*
        dpkg-divert|dpkg-statoverride
        update-rc.d @remove|disable|defaults-disabled
        chkconfig @off|--del
        chkconfig --del
        rc-update del|delete
        insserv -r
        """,
    ),
    _refuse(
        "boot.kernel",
        "changes the running kernel",
        """
        sysctl -w|--write|-p|--load|--system
        sysctl @*=*
        modprobe|rmmod|insmod|depmod !-n|--show-depends|-c|--showconfig|--dry-run
        kpatch
        chcon -R|--recursive
        fixfiles !check
        setpci @*=*
        nvram -c
        crash
        systemctl set-environment|import-environment|unset-environment|log-level|service-watchdogs
        systemctl set-property @*.slice|init.scope|ssh*|systemd-*
        setenforce|setsebool|load_policy|aa-disable|aa-teardown|aa-complain
        semodule !-l|--list*|--list-modules
        apparmor_parser !-N|--names|-p|--preprocess|-Q
        restorecon !-n
        ntpdate|rdate
        hwclock -w|-s|--set|--systohc|--hctosys|-u
        timedatectl set-time|set-timezone|set-local-rtc|set-ntp
        hostnamectl set-hostname|hostname|set-*
        prlimit --*=*
        localectl set-*
        chrony|chronyc makestep|settime|offline|shutdown
        cpupower|tuned-adm set|frequency-set|idle-set|off|profile
        x86_energy_perf_policy|choom|cgset
        systemd-halt|systemd-poweroff|systemd-reboot|systemd-shutdown|systemd-kexec
        systemctl preset-all|daemon-reexec
        s6-rc -d
        dinitctl stop|shutdown|unload
        sss_override|sss_seed
        loginctl lock-session*|lock-sessions
        """,
    ),
)

NETWORK = (
    _refuse(
        "network.lock-out",
        "may cut the host, and us, off the network",
        """
        ip l|li|lin|link s|se|set|a|ad|add|d|de|del*|prop*|af_stats-reset
        ip a|ad|add*|r|ro*|ru*|n|ne|nei* a|ad|add|d|de|del*|f|fl*|c|ch*|rep*|ap*|pre*|restore
        ip mad*|ma*|tun*|tuntap|x|xf*|nexthop|token|mptcp @a|ad|add|del*|de|fl*|flush|set|rep*|deleteall
        ip netns del|delete
        ip xfrm|tunnel|maddr|tuntap @flush|del|delete|deleteall
        bridge link|fdb|vlan|mdb set|add|del|delete|replace|append|change
        ss -K|--kill
        vconfig|teamdctl @rem|remove|set
        ipsec|swanctl|strongswan stop|down|restart|--terminate
        mii-tool -r|-F|-R
        snmpset
        iscsiadm --logoutall=*|--logout|-u|-U|-o=delete
        arping -U|-A
        request|commit|erase|configure @*
        delete|undo|no|unset @*
        commit|zeroize
        write erase|memory|network
        reload|reset @*
        ip -b|-batch|--batch
        ip -force
        ip route add @default|blackhole|prohibit|unreachable|0.0.0.0/0
        ip addr|address|a add|replace|change
        ip route|r add @*
        ifconfig * *
        domainname|nisdomainname|ypdomainname *
        resolvconf -d|-u|-a
        nscd -K|--shutdown
        sshd -D|-p|-o|-f|-d|-e !-t|-T|-G
        nmcli device|dev|d set|reapply|delete|connect|modify
        ethtool --set-*|-U|-X|--per-queue|-W|-f|--flash|-Q
        ovs-vsctl @set-*|set|add-*|del-*|remove|clear|destroy|emer-reset
        ifconfig @down|up|netmask|add|del|mtu|hw|promisc|0.0.0.0|0
        ifdown|ifquery|ifup|dhclient|dhcpcd|pump|udhcpc|wicked
        route @add|del|delete|flush|change
        nmcli @down|off|delete|del|disconnect|modify|mod|up|reapply|edit
        netplan apply|try|set|generate
        networkctl down|delete|reconfigure|up|reload|renew
        brctl delbr|delif|addbr|addif|setfd
        ovs-vsctl|ovs-ofctl @del*
        ethtool -s|-K|-G|-A|-L|-r|-E|--change|--reset|-C|-N|-f
        tc @add|del|delete|replace|change
        wg set|setconf|syncconf
        wg-quick|openvpn down|up
        ifenslave|vconfig|bonding -d|rem
        resolvectl dns|domain|revert|flush-caches-all|default-route
        arp -d|-s
        rfkill block
        iw|iwconfig @set|del|disconnect|power|txpower|down
        arptables|ebtables -F|-X|-P|-A|-D
        """,
    ),
    _refuse(
        "network.firewall",
        "changes who can reach the host, perhaps not us any more",
        """
        iptables|ip6tables|iptables-legacy|iptables-nft|ip6tables-nft|xtables-nft-multi \
            -F|--flush|-X|-P|--policy|-D|--delete|-A|--append
        iptables|ip6tables|iptables-legacy|iptables-nft|ip6tables-nft|xtables-nft-multi \
            -I|--insert|-R|--replace|-Z|-N|-E|--zero|--delete-chain|--new-chain
        iptables-restore|ip6tables-restore|iptables-apply
        iptables-nft-restore|netfilter-persistent|ip6tables-apply
        nft flush|delete|add|insert|replace|create|reset|destroy
        nft -f|--file
        ufw @disable|enable|reset|deny|delete|reject|default|limit|reload|insert|allow|route
        firewall-cmd !--state|--list-all|--list*|--get*|--query*|--info* !--version|--check-config
        ipset flush|destroy|del|x|f|swap|add|create|restore
        pfctl !-s|-sr|-sa|-si
        ipfw !list|show|-a
        shorewall|ferm|csf stop|clear|-x|-f|restart|-d
        conntrack -F|--flush|-D|--delete
        fail2ban-client @stop|unban|set|reload|unload|--unban
        tcpkill|arpspoof|ettercap|hping3|bettercap|macof|slowloris|ddosify
        semanage !-l|--list|-E|export
        nft -f
        ebtables|arptables -F|--flush
        """,
    ),
)

USERS = (
    _refuse(
        "users.change",
        "changes who may log in, or as whom",
        """
        userdel|deluser|groupdel|delgroup|passwd|chpasswd|newusers|chsh|chfn|vipw|vigr !--help|-S|--status|--user
        visudo|pwconv|grpconv|pwunconv|gpasswd|faillock !--help|-S|--status|--user
        authselect @* !current|list|check|show|list-features|test
        pam-auth-update|authconfig|chgpasswd|groupmems|grpunconv !--help|-S|--status|--user
        usermod|groupmod|useradd|adduser|addgroup|groupadd|lchage|luseradd|luserdel|lusermod
        chage !-l|--list
        ssh-copy-id
        ssh-keygen|ssh-add|ssh -D=*.so*|-I=*.so*
        nvidia-smi -r|--gpu-reset|-pl|--power-limit|-pm|-lgc|-ac|-mig|-e|--power-limit=*|--gpu-reset=*
        vnstat --remove|--delete|--rename
        ssh-keygen -R|-f|-A|-t|-p !-l|-F|-y
        ssh-add -D|-d
        pam_tally2|faillog -r|--reset
        samba-tool|net @* !list|show|info|ads|status|testjoin|lookup|time|getdomainsid
        pdbedit !-L|--list
        dscl @* !-read|read|-list|list|ls
        htpasswd|smbpasswd|ldapdelete|ldapmodify|ldapadd|ldappasswd|ldapmodrdn|dsdel|dseditgroup|sysadminctl
        kadmin|kadmin.local @* !getprinc*|listprincs*
        ipa @* !*-find|*-show|ping|env|*-find-*
        kdestroy|ktutil|realm leave
        skill|slay|loginctl disable-linger
        realm|adcli leave|delete-*|deny|permit|join
        sacctmgr @delete|remove
        setcap|capsh !--print
        """,
    ),
)

PROCESSES = (
    _refuse(
        "process.everything",
        "ends the session, or everything at once",
        """
        killall5|xkill|skill|slay
        stress|stress-ng|sysbench
        asterisk|rasterisk core|module stop|abort|unload
        fs_cli @shutdown|fsctl
        """,
    ),
    _ask(
        "process.load",
        "puts load on the host",
        """
        ab|wrk|hey|siege|fio|iperf|iperf3|sysbench|bonnie++|locust|k6|vegeta|apachebench
        """,
    ),
)

PACKAGES = (
    _refuse(
        "packages.remove",
        "removes or replaces software, perhaps what keeps the host going",
        """
        apt|apt-get|aptitude remove|purge|autoremove|auto-remove|autopurge|dist-upgrade|full-upgrade|downgrade
        apt|apt-get|aptitude @*- !-s|--simulate|--dry-run
        apt|apt-get --allow-remove-essential|--force-yes|--purge|--allow-downgrades
        dpkg -r|-P|--remove|--purge|--force-*|--unpack|--clear-selections|--set-selections
        dpkg --force-all|--force-remove-essential
        yum|dnf|microdnf|zypper|tdnf|urpme remove|erase|autoremove|rm|downgrade|swap
        yum|dnf|microdnf|zypper|tdnf|urpme distro-sync|groupremove|dup|module|dist-upgrade|system-upgrade|re
        yum|dnf history undo|rollback|redo
        rpm -e|--erase|--nodeps|--force|--rebuilddb|--initdb
        pacman --overwrite|--overwrite=*|--nodeps|-d
        pacman -R|--remove|-Rns|-Rs|-Syu|-Rdd|-Sc|-Scc
        apk del|fix
        snap remove|disable|revert
        flatpak uninstall|remove
        brew uninstall|remove|rm|cleanup
        pkg|pkg_delete|pkgin delete|remove|autoremove|rm
        pip|pip3|pipx uninstall
        pip|pip3 --index-url|-i|--extra-index-url|--trusted-host|--force-reinstall|--break-system-packages|--target
        pip|pip3 --index-url=*|--extra-index-url=*|--trusted-host=*|--target=*
        npm|yarn|pnpm --registry|--registry=*|--unsafe-perm
        gem install --source|-s|--clear-sources
        conda|mamba env @remove
        needrestart -r=a
        npm|yarn|pnpm|gem|cargo|conda|composer uninstall|remove|rm|un|unpublish|prune
        do-release-upgrade|unattended-upgrade|unattended-upgrades
        apt-mark|tasksel remove|hold|unhold|auto|manual
        apt-key|apt-add-repository|add-apt-repository|yum-config-manager @* !list|--list|finger|-l
        alternatives|update-alternatives --remove|--remove-all|--set|--config|--remove-all
        emerge|nix-env|guix|port|swupd|eopkg -C|--unmerge|-e|--uninstall|uninstall|remove|-c|--depclean|rmf
        npm publish
        nix-collect-garbage -d
        opkg remove|flash
        slackpkg|removepkg @*
        debconf-set-selections|dpkg-reconfigure @*
        """,
    ),
    _ask(
        "packages.install",
        "installs or updates software",
        """
        apt|apt-get|aptitude install|upgrade|reinstall|build-dep|safe-upgrade
        apt|apt-get|aptitude source|clean|autoclean|satisfy|edit-sources
        dpkg -i|--install|--configure|-a
        yum|dnf|microdnf|zypper|tdnf install|update|upgrade|reinstall|localinstall|in
        yum|dnf|microdnf|zypper|tdnf up|patch|clean|makecache|groupinstall|config-manager|copr
        rpm -i|-U|-F|--install|--upgrade|-ivh|-Uvh|--import
        apk add|update|upgrade|cache
        pip|pip3|pipx|npm|yarn|pnpm|gem|cargo|go|conda|composer|snap|flatpak|brew|pacman @*
        """,
    ),
)

CONTAINERS = (
    _refuse(
        "containers.remove",
        "removes containers, volumes, images or networks",
        """
        docker|podman|nerdctl system|volume|network|pod|machine prune|rm|remove|reset|leave|demote|disable
        docker|podman|nerdctl container|image|builder|buildx reset|remove|inspect-delete
        docker|podman|nerdctl secret|config|stack|service|swarm|node|context|plugin|manifest|trust \
            prune|rm|remove|reset|leave|demote|disable
        crictl|ctr rm|rmi|rmp|prune|kill-all|stopp
        docker|podman|nerdctl checkpoint rm
        docker|podman swarm leave
        docker|podman node update --availability=drain|--availability=pause
        docker|podman service scale @*=0
        docker|podman compose down|rm|kill
        docker-compose|podman-compose down|rm|kill
        docker|podman compose @down|rm|kill
        ctr @rm|remove|delete|del|prune|kill
        crictl rm|rmi|rmp|stopp
        buildah rm|rmi|prune
        lxc|lxc-destroy|incus|lxd delete|rm|destroy|stop
        lxc-destroy|lxc-stop
        virsh destroy|undefine|shutdown|vol-delete|pool-delete|pool-destroy
        virsh reboot|snapshot-delete|snapshot-revert|net-destroy|net-undefine|pool-undefine|reset|managedsave
        virsh suspend|detach-disk|detach-device|vol-wipe|domblkerror|save|blockpull|blockcommit|qemu-monitor-command
        qemu-img resize --shrink
        xl|xm destroy|shutdown|reboot|pause
        virsh setmem|setvcpus|setmaxmem|blkdeviotune|numatune|migrate|change-media
        pvecm expected|delnode|add
        vmrun stop|reset|suspend|deleteVM|revertToSnapshot|killProcessInGuest
        esxcli @unmount|unload|remove|reset|set|poweroff|kill|delete|uninstall|disable
        vim-cmd *maintenance*|*destroy*|*power*off*|*power*reset*|*shutdown*|*unregister*
        crm node fence|standby|delete|clearstate
        kubectl|oc|k proxy --address=0.0.0.0|--accept-hosts=*|--disable-filter
        calicoctl|cilium apply|create|replace|delete|patch
        pcs stonith|fence fence|confirm|delete
        stonith_admin|fence_node
        govc vm.power|host.shutdown|host.maintenance.enter -off|-reset|-s|-r|-suspend
        pvesm|pvecm|ha-manager|zpool-pve free|delnode|remove|migrate
        pvesh delete
        multipass delete|purge|stop
        qm|pct destroy|stop|shutdown|reset|delsnapshot|rollback|suspend
        vagrant destroy|halt
        VBoxManage|vboxmanage @unregistervm|poweroff|delete|closemedium
        xe @vm-destroy|vm-uninstall|vdi-destroy|vm-shutdown|host-reboot|host-shutdown
        machinectl poweroff|terminate|remove|reboot|kill|stop|disable
        skopeo delete|sync
        esxcli|vim-cmd|govc @*destroy*|*power.off*|*delete*|*remove*|*.rm|*shutdown*|*poweroff*|*unregister*
        crane|regctl|reg|oras delete|rm
        rkt gc|rm
        minikube|kind|k3d delete|stop
        k3s-uninstall.sh|k3s-killall.sh
        k3s-agent-uninstall.sh|rke2-uninstall.sh|rke2-killall.sh
        balena rm|prune|rmi
        """,
    ),
    _refuse(
        "containers.escape",
        "gives a container the whole host",
        """
        docker|podman|nerdctl run|create \
            --privileged|--pid=host|--cap-add=ALL|--cap-add=SYS_ADMIN|--userns=host|--device
        docker|podman|nerdctl run|create --device=*|-v=/:*|-v=/etc*|-v=/root*|-v=/var*|-v=/boot*
        docker|podman|nerdctl run|create \
            -v=/dev*|--volume=/:*|--volume=/etc*|--mount=*source=/,*|--mount=*src=/,*|-v=/usr*
        docker|podman|nerdctl run|create -v=/bin*|-v=/home*|-v=/lib*|-v=/proc*|-v=/sys*|--network=host|--net=host
        docker|podman|nerdctl run|create -v=*docker.sock*|--volume=*docker.sock*|--security-opt=*unconfined*
        """,
    ),
    _refuse(
        "clusters.delete",
        "removes or empties parts of a cluster",
        """
        kubectl|oc|k|kubecolor drain|taint
        kubectl|oc|k|kubecolor label|annotate --all
        kubectl|oc|k config delete-*|unset|rename-context
        k3s|microk8s|minikube @delete|drain|cordon|reset|uninstall
        kubectl|oc|k replace --force
        kubectl|oc|k scale --replicas=0
        kubectl|oc|k patch|edit|replace|set|apply --prune|-p=*finalizers*|--patch=*finalizers*|--replicas=0|--force
        oc adm drain|prune|cordon
        oc adm|project|delete-* prune|delete|drain
        kubectl|oc|k apply --prune|--force
        kubeadm reset
        kubeadm token|certs delete|renew
        helm uninstall|delete|del|un
        helm upgrade|install --force|--reset-values
        helm rollback --force
        helmfile destroy|delete|sync
        oc adm policy|prune add-*|remove-*
        oc policy add-*|remove-*
        helm install|upgrade --set=*privileged=true*|--set=*hostNetwork=true*|--set=*hostPID=true*
        helm install|upgrade --set=*cluster-admin*|--set=*replicaCount=0*|--set=*replicas=0*
        helm3 uninstall|delete
        k9s|kops|eksctl|kubespray delete|reset|drain
        kops|eksctl @delete|drain
        velero @delete|restore
        istioctl|linkerd|cilium uninstall|x|purge
        argocd @delete|delete-resource|terminate-op
        argocd @sync --prune|--force|--replace
        flux uninstall|delete|suspend
        kustomize delete
        etcdctl del|rm|rmdir|compact|defrag-all|auth|role|user|move-leader|snapshot-restore
        etcdctl member remove
        etcdctl snapshot restore
        nomad job|stop|system|node|namespace|alloc stop|gc|drain|purge|delete|eligibility|-purge
        nomad stop
        nomad @stop|drain|gc|delete|purge
        nomad -purge|-enable
        consul @delete|leave|force-leave|-recurse|deregister|maint|remove-peer|restore
        vault @delete|destroy|revoke|seal|disable|-force
        vault @purge|rekey|metadata|rotate|step-down|tidy
        rancher|tanzu|pks|dcos @rm|delete|remove|destroy
        docker|podman stack|service|swarm rm|leave
        crm|pcs @stop|destroy|standby|delete|disable|remove|cleanup|erase
        juju destroy-*|remove-*|kill-*
        rke remove
        serf leave|force-leave
        ambari|mesos|marathon @*delete*|*destroy*|*remove*
        scontrol|scancel @*down*|*
        condor_rm|qdel|scancel @*
        talosctl reset|shutdown|reboot|wipe|upgrade
        """,
    ),
    _refuse(
        "infrastructure.destroy",
        "tears down infrastructure",
        """
        terraform|tofu|terragrunt|tf|terraform1 destroy|taint|force-unlock|untaint
        terraform|tofu|terragrunt @destroy|destroy-all
        terraform|tofu|terragrunt apply
        terragrunt run-all|destroy-all|apply-all
        terraform|tofu|terragrunt state rm|mv|push|replace-provider
        terraform|tofu workspace delete
        terraform|tofu|tf import|refresh|init -destroy|-auto-approve|-force-copy|-reconfigure
        terraform|tofu|terragrunt -destroy|-auto-approve|--auto-approve|--destroy|-destroy=*
        pulumi destroy|cancel|state|up|refresh|rm
        pulumi stack rm
        cdk|cdktf|sst|amplify destroy|remove|delete
        serverless|sls remove
        packer build -force|-on-error
        cf|heroku delete|apps:destroy|pg:reset|delete-*|ps:stop|addons:destroy|pipelines:destroy
        heroku ps:scale @*=0|*=0:*
        cf stop|restage|unbind-service|delete*
        heroku @*:destroy|*:reset|*:delete|destroy|reset
        fly|flyctl destroy|delete|apps|volumes|scale @destroy|delete|0
        fly|flyctl @destroy|delete
        vercel|netlify|railway|wrangler|now remove|rm|delete|down|*:delete
        firebase @*:delete|*:disable|*:remove
        ansible-galaxy|chef-server-ctl|knife @delete|remove|cleanse|bulk
        puppet resource @ensure=absent|ensure=stopped|ensure=purged
        puppet apply -e|--execute
        puppet node|cert @purge|clean|deactivate
        chef-client|chef-solo -o|--override-runlist
        ansible-pull
        puppet|salt-key @destroy|clean|-D|-d|delete|-A
        salt-key -D|-d|-y
        cfy|nova|openstack|cinder|glance|neutron|swift|heat|manila \
            @delete|purge|unset|stop|remove|shelve|force-delete|rebuild|evacuate
        clusterctl delete
        """,
    ),
    _ask(
        "containers.change",
        "changes running containers or clusters",
        """
        docker|podman|nerdctl stop|pause|run|create|update|rename|build|push
        docker|podman|nerdctl pull|commit|cp|load|import|tag|login|network
        docker|podman|nerdctl volume|swarm|service|stack|node|unpause|save|export
        docker|podman|nerdctl wait|attach|compose|plugin|secret|config|buildx|builder
        docker-compose|podman-compose stop|up|build|pull|run|create|push|scale|pause
        docker|podman compose stop|up|build|pull|run|scale|create
        kubectl|oc|k apply|create|scale|patch|edit|label|annotate|set|replace|autoscale|expose
        kubectl|oc|k cp|run|attach|debug|proxy|certificate|uncordon|port-forward|adm|config|rollout|auth
        helm install|upgrade|repo|pull|push|registry|plugin|dependency|create|package
        terraform|tofu|terragrunt plan|init|import|refresh|state|workspace|console|get|taint
        ansible|ansible-playbook|salt|puppet|chef-client|knife|pulumi|cdk|packer @*
        vagrant|openstack|nomad|consul|vault|argocd|flux|fly|heroku @*
        ansible-playbook|puppet|chef-client|helmfile|chef-solo
        """,
    ),
)

CLOUD = (
    _refuse(
        "cloud.delete",
        "removes, stops or empties something in the cloud",
        """
        aws s3 rb
        aws s3 rm|rb|mv
        aws s3 sync --delete
        aws s3api delete-*|put-bucket-*|abort-*|put-public-*
        aws * delete-*|terminate-*|deregister-*|stop-*|reboot-*|remove-*|purge-*|cancel-*
        aws * revoke-*|release-*|detach-*|disable-*
        aws * disassociate-*|reset-*|batch-delete-*|schedule-key-deletion|deactivate-*
        aws * delete|destroy-*|unassign-*|force-*|admin-delete-*|failover-*|untag-*|modify-*
        aws * flush-*|restore-*|unlink-*|retire-*|reject-*|suspend-*|empty-*|rollback-*|abort-*
        aws * put-*-policy|attach-*|create-access-key|create-user|create-login-profile
        aws iam|cloudtrail|organizations|kms|guardduty|config update-*|put-*|add-*|leave-*
        aws * update-*-policy|update-security-*|update-trail|update-stack|update-function-code|update-table
        aws * authorize-*|put-role-*|put-user-*|change-*|replace-*
        aws * set-*-policy|set-security-*|set-subnets|set-identity*|set-alarm-state|set-stack*|set-repository-*
        aws autoscaling|ecs|rds|lambda|eks update-*|set-*|modify-* --desired-capacity=0|--desired-count=0|--min-size=0
        aws * put-retention-policy|put-function-concurrency|update-distribution|create-network-acl-*|create-route
        aws --no-verify-ssl * delete-*
        gcloud @delete|destroy|remove-iam-policy-binding|reset|stop
        gcloud @suspend|delete-instances|abandon|disable|rm
        gcloud @delete-*|remove-*|set-iam-policy|failover|undelete
        gcloud @purge|rollback|abandon-instances|add-iam-policy-binding|drain|revoke
        gcloud compute|iam|container|sql @resize|set-iam-policy
        gcloud compute firewall-rules create|update
        gcloud iam service-accounts keys create
        az @firewall-rule|nsg create|update|delete --start-ip-address|--access|--destination-port-ranges
        az sql|postgres|mysql @firewall-rule
        gsutil rm|rb|mv|rsync|acl|iam|defacl|versioning|lifecycle
        gcloud storage rm|mv|buckets|rsync
        bq rm|cp|truncate|mk
        bq -f|--force
        bq query @*DROP*|*DELETE*|*TRUNCATE*|*drop*|*delete*|*truncate*
        cbt deletetable|deleteallrows|deletefamily|deleteinstance|deleterow
        az @delete|purge|deallocate|stop|remove|restart|delete-*|*-delete|revoke|reset|redeploy
        az @reimage|failover|batch-delete|delete-batch|clear
        az @disable|power-off|simulate-eviction|reset-password|uninstall|delete-deployments
        azcopy remove|rm|sync
        az role|ad @create|update|reset|add
        az keyvault set-policy|update|network-rule
        az network @rule|create|update --access|--access=*
        az vm|vmss run-command|extension|user
        doctl @delete|d|rm|remove|power-off|shutdown
        doctl @destroy|reboot|power-cycle|delete-*|purge|rebuild|restore
        linode-cli @delete|rm|shutdown|rebuild|*-delete|reboot
        hcloud @delete|poweroff|shutdown|reset|rebuild|remove|detach|reboot
        oci @delete|terminate|bulk-delete|bulk-delete-versions|--action
        oci --force|--action=*
        ibmcloud|bx @*delete*|*-rm|rm|*remove*|*terminate*|*cancel*
        aliyun|tccli @Delete*|Terminate*|Stop*|Release*|Remove*|Reboot*
        scw|exo|vultr-cli|civo|ovh|upctl @delete|terminate|rm|stop|destroy|remove|reboot|halt
        s3cmd del|rb|rm|mv|setacl|setlifecycle|expire|delpolicy|sync
        s5cmd rm|rb|mv
        mc rm|rb|mirror|admin|ilm|replicate
        rclone delete|purge|deletefile|rmdir|rmdirs|sync|move|moveto|cleanup|dedupe|bisync
        b2 delete*|hide-file|rm|cancel-all*|delete-bucket|delete-file-version
        swift delete
        eb terminate|abort
        copilot @delete
        ecs-cli down|compose
        sam delete
        chalice|zappa|apex delete|undeploy
        cloudflared|flarectl @delete|d|cleanup
        wrangler delete|kv:*|r2
        restic|borg|duplicity|bacula|rsnapshot|kopia|duplicati-cli|tarsnap \
            forget|prune|delete|remove-*|--delete*|unlock|cleanup|rewrite|snapshot
        tarsnap -d|--nuke
        borg delete|prune|compact|recreate
        restic forget|prune|unlock|rewrite
        kopia @delete|expire
        gh repo|release|secret|variable|run|ssh-key|gist|cache|label|issue|workflow|codespace \
            delete|archive|disable|cancel|remove|rm
        gh api -X=DELETE|--method=DELETE|-X=delete
        glab @delete|rm
        """,
    ),
    _ask(
        "secrets.read",
        "prints passwords or keys",
        """
        aws secretsmanager get-secret-value|batch-get-secret-value
        aws ssm get-parameter*|get-parameters* --with-decryption
        gcloud secrets versions access
        az keyvault secret show|download
        kubectl|oc|k get secret|secrets|secret/* -o=yaml|-o=json|--output=yaml|--output=json
        kubectl|oc|k config view --raw
        vault kv get
        vault read|unwrap
        redis-cli @requirepass|masterauth
        gh auth token
        docker|podman secret inspect
        """,
    ),
    _ask(
        "cloud.change",
        "changes something in the cloud",
        """
        aws * run-*|start-*|create-*|invoke|put-*|import-*|copy-*|publish-*
        aws * send-*|register-*|tag-*|associate-*|allocate-*|assume-*|enable-*|add-*|reboot-*
        aws s3 cp|sync|mb|presign
        gcloud|az|doctl|oci|hcloud|ibmcloud|gsutil|s3cmd|rclone|mc|gh|glab|linode-cli @*
        """,
    ),
)

DATABASES = (
    _refuse(
        "databases.destroy",
        "drops or empties databases, queues or indexes",
        """
        dropdb|dropuser|pg_resetwal|pg_resetxlog|pg_dropcluster|initdb
        pg_rewind|pg_upgrade|mysql_install_db
        mysqld_safe|pg_surgery|pg_archivecleanup
        myisamchk -r|-o|-q|-f|-B|--recover|--force|--safe-recover|--quick|--backup|--unpack
        pg_ctl stop|kill|promote|restart|initdb|init
        pg_ctlcluster @stop|promote
        pg_upgradecluster|pg_renamecluster|mysql_upgrade
        pgbench -i|--initialize
        pgbackrest expire|stanza-delete|restore|stop
        barman|wal-g delete
        manage.py|django-admin migrate * zero
        drush site:install|si|sql-drop|sql-cli
        rabbitmqctl set_policy|set_vhost_limits|set_user_limits|set_permissions|set_user_tags
        kafka-topics* --config=*|--delete-config
        mysqladmin @drop|shutdown|kill|flush-*|password|stop-slave|reload|refresh|debug
        pg_restore -c|--clean|-C|--create
        vacuumdb -f|--full
        xtrabackup|mariabackup|innobackupex --copy-back|--move-back|--prepare
        pt-online-schema-change|pt-archiver|pt-table-sync|gh-ost --execute|--purge
        dotnet ef @drop
        kafka-console-producer*|kafka-producer-perf-test*|kafka-run-class*
        elasticsearch-reset-password|opensearch-reset
        repmgr @promote|switchover|unregister|clone|rejoin|--force
        patronictl remove|failover|switchover|reinit|edit-config|restart|pause
        rabbitmqctl reset|force_reset|stop|stop_app|delete_*|purge_queue|forget_cluster_node|clear_*
        rabbitmqctl shutdown|force_boot|set_permissions|change_password
        rabbitmqctl remove_*|close_all_connections|rename_cluster_node|leave_cluster
        rabbitmqadmin delete|purge|close
        rabbitmq-queues|rabbitmq-plugins shrink|delete_member|disable
        kafka-topics*|kafka-topics.sh --delete|-delete
        kafka-delete-records*|kafka-leader-election* !--help|--verify|--list
        kafka-reassign-partitions*|kafka-storage* !--help|--verify|--list
        kafka-consumer-groups* --delete|--reset-offsets|--delete-offsets
        kafka-configs* --alter|--delete-config
        kafka-acls* --remove
        kafka-server-stop*|zookeeper-server-stop*
        kafka-streams-application-reset*|cassandra-stop
        zkCli.sh|zookeeper-shell* @delete|deleteall|rmr
        nodetool decommission|removenode|assassinate|drain|clearsnapshot|stopdaemon|truncatehints
        nodetool flush-all|disable*|disablegossip|rebuild|move|resetlocalschema|refresh
        influx @delete|drop
        influxd restore
        curator|curator_cli delete_indices|close|delete_snapshots|--delete
        elasticsearch-node|elasticsearch-translog @*
        elasticsearch-keystore|elasticsearch-reset-password @*
        hdfs dfs|fs -rm*|-expunge|-rmr|-mv|-chmod|-chown|-truncate
        hdfs|hadoop @namenode|-format|-delete|-rm|-rmr|-expunge|-rollback|-finalize
        hadoop fs|dfs -rm*|-rmr|-expunge
        hdfs namenode|dfsadmin|secondarynamenode|datanode \
            -format|-delete|-safemode|-rollback|-refreshNodes|-allowSnapshot
        hdfs namenode
        hdfs -rm*|-format|-rmr
        hadoop -rm*|-rmr|-expunge
        hbase|hive|beeline|phoenix @*drop*|*truncate*|*delete*|*disable*
        yarn @-kill|rmadmin
        aerospike|asadm|asinfo @*truncate*|*delete*
        beanstalkd|memcached-tool @flush_all|flush
        memcflush|memcrm
        slapcat|slapadd|slapd_db_recover|db_recover|ldapdelete !-n
        mongorestore --drop|--db
        mongod --shutdown|--repair
        cockroach @drop|nodes|decommission|drain|quit|init|wipe|debug
        tiup @destroy|clean|stop|scale-in|prune
        clickhouse-client|clickhouse @*DROP*|*TRUNCATE*|*DELETE*|*drop*
        snowsql|sqlcmd|sqlplus|isql @*DROP*|*drop*|*TRUNCATE*|*truncate*|*DELETE*|*delete*
        nats|pulsar-admin|solr|celery @rm|purge|delete|remove|unload|shutdown|delete-*|-all
        celery @purge|shutdown|amqp|cancel_consumer
        artisan|rails|rake|manage.py|django-admin|mix|prisma \
            @db:drop|db:reset|flush|migrate:fresh|migrate:reset|migrate:rollback|reset_db|clean
        sequelize|knex|alembic|flyway|liquibase|typeorm|sqitch \
            @db:drop|db:reset|flush|migrate:fresh|migrate:reset|migrate:rollback|reset_db|clean
        artisan|rails|rake|manage.py|django-admin|mix|prisma @dropAll|drop-all|downgrade|schema:drop
        artisan|rails|rake|manage.py|django-admin|mix|prisma @db:drop:all|db:migrate:reset|db:schema:load|ecto.drop
        sequelize|knex|alembic|flyway|liquibase|typeorm|sqitch @dropAll|drop-all|downgrade|schema:drop
        sequelize|knex|alembic|flyway|liquibase|typeorm|sqitch @db:drop:all|db:migrate:reset|db:schema:load|ecto.drop
        artisan|rails|rake|manage.py|django-admin|mix|prisma \
            @ecto.reset|reset|db:purge|revert|undo|rollback|db:wipe|db:truncate_all
        sequelize|knex|alembic|flyway|liquibase|typeorm|sqitch \
            @ecto.reset|reset|db:purge|revert|undo|rollback|db:wipe|db:truncate_all
        artisan|rails|rake|manage.py|django-admin|mix|prisma @db:setup|db:rollback|migrate:refresh|drop
        sequelize|knex|alembic|flyway|liquibase|typeorm|sqitch @db:setup|db:rollback|migrate:refresh|drop
        artisan|rails|rake|manage.py|django-admin|mix|prisma \
            @sqlflush|delete_expired|dropdb|db:migrate:undo:all|db:seed:replant
        sequelize|knex|alembic|flyway|liquibase|typeorm|sqitch \
            @sqlflush|delete_expired|dropdb|db:migrate:undo:all|db:seed:replant
        """,
    ),
    _ask(
        "databases.change",
        "restores or changes a database",
        """
        pg_restore|mongorestore|mysqlimport|createdb
        createuser|vacuumdb|reindexdb|clusterdb|nodetool
        cockroach|patronictl|repmgr|mongoimport
        pg_basebackup|alembic|flyway|liquibase|celery
        """,
    ),
)

GIT = (
    _refuse(
        "git.runs",
        "can be made to run any other program by this",
        """
        git -c=*!*|-c=core.pager*|-c=core.sshCommand*
        git -c=alias.*|-c=core.fsmonitor*|-c=core.editor*
        git -c=diff.external*|--exec-path=*|-c=protocol.*
        git -c=credential.*|-c=core.hooksPath*|-c=core.askpass*|-c=sequence.editor*
        git clone|fetch|pull|ls-remote|remote @ext::*
        git config @alias.*|core.pager|core.sshcommand|core.sshCommand|core.fsmonitor|core.hooksPath|core.editor
        git config @diff.external|credential.*|filter.*|core.askpass|sequence.editor|include.path|core.gitproxy
        scp|sftp -S|-D
        sort --compress-program
        apropos -P|--pager|-H|--html
        git bisect run
        git rebase -x|--exec|-i
        git submodule foreach
        git daemon|http-backend|shell|credential|upload-pack -u
        """,
    ),
    _refuse(
        "git.destroy",
        "throws away commits, branches or files that were not committed",
        """
        git reset --hard|--merge|--keep
        git clean -f|--force|-x|-d|-X
        git push --force|-f|--force-with-lease|--delete
        git push -d|--mirror|--prune|--force-with-lease=*|--force-if-includes
        git push @+*|:*
        git push @*:
        git checkout -f|--force|-B
        git checkout @.|:/|[*]
        git restore !--staged|-S
        git branch -D|-M|-d|--delete|-f|--force|-C|-m
        git branch -d -f
        git tag -d|--delete|-f|--force
        git stash drop|clear|pop
        git filter-branch|filter-repo|update-ref|replace|gc|prune|reflog|symbolic-ref
        git fast-import|rebase|amend|pack-refs|prune-packed|read-tree|checkout-index
        git gc --prune|--prune=*|--aggressive
        git reflog expire|delete
        git rm
        git worktree remove|prune
        git commit --amend
        git remote remove|rm|set-url|prune
        git submodule deinit
        git config --unset*|--remove-section|--global|--system
        git switch -f|--force|-C|--discard-changes
        git lfs prune
        git notes remove|prune
        git svn|p4|cvsimport @*
        bfg|git-filter-repo|git-filter-branch|repo|gclient @*
        hg strip|update|purge|rollback -C|--clean|--force
        hg strip|purge|rollback
        svn delete|del|rm|remove|revert
        """,
    ),
    _ask(
        "git.change",
        "changes a checkout or its remote",
        """
        git push|checkout|switch|merge|reset|revert|cherry-pick
        git commit|add|clone|init|stash|branch|tag|am
        git apply|restore|submodule|rebase|config|remote|worktree|mv
        git lfs|bundle|archive|maintenance|sparse-checkout|notes|svn|hg
        """,
    ),
)

WITNESSES = (
    _refuse(
        "logs.wipe",
        "wipes what witnesses who did what",
        """
        history -c|-d|-w|-r|-cw|-a
        journalctl --relinquish-var|--setup-keys
        dmesg -C|-c|--clear|--read-clear|-D|-E|-n
        utmpdump -r|--reverse
        logsave|auditctl -D|-e|-d|-W
        aureport|ausearch --delete
        wevtutil|Clear-EventLog|klogctl @cl|clear-log
        lastlog -C|--clear
        fc -p|-P
        unset @HISTFILE|HISTSIZE|HISTFILESIZE|HISTCONTROL
        set +o @history
        shopt -u|-s @histappend
        savelog|newsyslog @*
        accton @off
        faillog|pam_tally2|faillock -r|--reset
        sa -s
        """,
    ),
)

SCHEDULES = (
    _refuse(
        "schedules.remove",
        "removes or replaces scheduled work",
        """
        crontab -r|-e|-i
        crontab @*
        at|batch|atq|atrm -r|-d
        atrm
        at -r|-d
        at|batch -f|--file
        systemd-tmpfiles --remove|--clean|--purge
        systemd-run --timer-property|--timer-property=*
        tmpwatch|tmpreaper|stmpclean
        anacron -f|-u
        """,
    ),
)

EXFILTRATION = (
    _refuse(
        "exfiltration.shell",
        "opens a way in, or carries data out",
        """
        nc|ncat|netcat|nc.openbsd|nc.traditional -e|-c|-l|--exec|--sh-exec|--lua-exec|-L|--listen|-k
        socat @*EXEC*|*exec*|*SYSTEM*|*system*|*LISTEN*
        socat @*listen*|*SHELL*|*CREATE*|*OPEN*|*open:*|*PTY*
        pwncat|msfconsole|msfvenom|chisel|ngrok|frpc|frps|cloudflared|bore|localtunnel
        lt|gost|revsocks|iodine|dnscat|dnscat2|xmrig|minerd|cpuminer|cryptonight|hydra
        medusa|john|hashcat|mimikatz|linpeas|pspy|ligolo|sliver|merlin|evilginx
        responder|crackmapexec|sqlmap|nikto|masscan
        zmap|t-rex|ethminer|nbminer|cgminer|phoenixminer
        ssh -R|-D|-w
        ssh|scp|sftp -o=ProxyCommand*|-o=LocalCommand*
        ssh|scp|sftp -o=PermitLocalCommand*|-o=proxycommand*|-o=KnownHostsCommand*
        rlogin|rsh|rexec @*
        curl|wget -T|--upload-file|--upload-file=*|-F|--form|--post-file
        curl|wget --post-file=*|--body-file|-K|--config|--body-file=*|--form-string
        wget -e=*|--execute=*|--use-askpass|--use-askpass=*|--post-file=*
        curl|wget @file:///etc/*|file:///root/*
        curl @gopher*|dict*|ldap*|tftp*
        tftp|ftp|lftp|ncftp|ncftpput|smbclient|rpcclient|wormhole|croc|magic-wormhole
        transfer|ffsend|swaks|uuencode|pastebinit|gist
        dsniff|mitmproxy|mitmdump|wireshark|dumpcap -w|-z
        dsniff|mitmproxy|mitmdump|sslstrip|responder
        sshuttle|autossh|stunnel|proxychains|tor|torsocks
        """,
    ),
    _ask(
        "exfiltration.copy",
        "carries data to or from another host",
        """
        sftp
        dumpcap
        wget !-O=-|--spider|-qO-|-O-|--output-document=-|-O=/tmp/*|-P=/tmp*|-O=/dev/null|--version
        lwp-download|aria2c|axel
        """,
    ),
)

HTTP_WRITES = (
    _refuse(
        "http.delete",
        "asks another service to delete something",
        """
        curl -X=DELETE|--request=DELETE|-X=delete|--request=delete|-X=PURGE|--request=PURGE
        wget --method=DELETE|--method=delete
        http|https|xh|httpie DELETE|delete
        xh|http|https|httpie @DELETE
        """,
    ),
    _ask(
        "http.write",
        "changes something over HTTP",
        """
        curl -X=POST|--request=POST|-X=PUT|--request=PUT|-X=PATCH|--request=PATCH|-d|--data
        curl --data-raw|--data-binary|--data-urlencode|--json|-Q|-X=post|-X=put|-X=patch
        wget --post-data|--method=POST|--method=PUT|--body-data|--post-data=*
        http|https|xh POST|PUT|PATCH
        """,
    ),
)

MAIL_AND_QUEUES = (
    _refuse(
        "mail.purge",
        "throws away waiting mail or print jobs",
        """
        postsuper -d|-h
        exim -Mrm|-Mg
        exim|exim4 @*
        cancel -a
        lprm @*
        qmHandle|pfdel|exiqgrep -D|-x
        """,
    ),
    _ask("mail.requeue", "puts waiting mail into the queue anew", "postsuper -r|-H"),
)

SHELL = (
    _refuse(
        "shell.trick",
        "changes what later words mean, so that this text cannot be judged",
        """
        enable -f|-n|-d
        hash -p
        compgen|complete|bind|mapfile|readarray -C|-W|-x|-F
        coproc
        printf -v
        let @*[*
        alias|unalias|complete @*
        set -k
        shopt -s @expand_aliases|extdebug|sourcepath
        select
        ulimit -u=*|-n=0|-f=0
        exec -a
        caller|suspend|logout|dirs
        fc -s|-e
        """,
    ),
)


GROUPS: tuple[tuple[str, tuple[Rule, ...]], ...] = (
    ("File systems and devices", FILE_SYSTEMS),
    ("Boot and power", BOOT_AND_POWER),
    ("Network lock-out", NETWORK),
    ("Users and authentication", USERS),
    ("Processes", PROCESSES),
    ("Packages", PACKAGES),
    ("Containers, clusters and infrastructure", CONTAINERS),
    ("Clouds", CLOUD),
    ("Databases", DATABASES),
    ("Git", GIT),
    ("History and logs", WITNESSES),
    ("Scheduled work", SCHEDULES),
    ("Ways in and out", EXFILTRATION),
    ("Other services over HTTP", HTTP_WRITES),
    ("Mail and print queues", MAIL_AND_QUEUES),
    ("Tricks of the shell", SHELL),
)
"""Every rule, in groups. Paths, code, units and pids are judged by what they mean, in `programs.py`."""

RULES: tuple[Rule, ...] = tuple(rule for _, rules in GROUPS for rule in rules)
