"""What passes untouched, as data: commands that only read, and the routine changes of every day.

The same patterns as in `rules.py`, a row each. A command that no rule speaks about and that is not here needs a
person's approval.
"""

from safety.command_guard.rules import rows

READ_ONLY = rows(
    """
    # the shell's own
    cd|pushd|popd
    true|false|:|echo|pwd|exit|return|break
    continue|test|[|shift|wait|times|getopts|sleep
    printf !-v
    set !-k
    mapfile|readarray !-C|-c
    type|which|whereis|command|hash !-p|-r
    export|declare|local|readonly|typeset|unset|read
    umask|ulimit|jobs|history|shopt|dirs|fc !-c|-d|-w|-s|-e
    # files
    ls|ll|dir|vdir|stat|wc|head|tail|cat|tac
    nl|od|hexdump|strings|realpath|readlink|basename|dirname|namei|pathchk
    md5sum|sha1sum|sha224sum|sha256sum|sha384sum|sha512sum|b2sum|cksum
    sum|crc32|cmp|comm|diff|diff3|sdiff|colordiff
    grep|egrep|fgrep|zgrep|zegrep|zfgrep|bzgrep|xzgrep|zstdgrep|pcregrep|ugrep|ack|look
    rg !--pre
    zcat|bzcat|xzcat|zstdcat|lz4cat|gzcat|zless|zmore|less|more|most
    cut|tr|paste|join|fold|fmt|expand|unexpand
    rev|column|pr|tsort|numfmt|seq|factor|expr|bc
    dc|jq|csvcut|csvlook|ts|cal|ncal|units
    json_pp|jsonlint|datamash|gron|wdiff|nproc|arch|locale|zdump
    uniq
    bat|batcat !--pager|--pager=*|cache
    file !-C|--compile
    shuf|iconv|aspell !-o|--output|-a|-c
    sort !-o|--output|--compress-program
    xxd
    yq !-i|--inplace
    base64|base32|basenc
    tree !-o
    du|df|lsblk|blkid|findmnt|mountpoint|lsattr|getfacl
    getfattr|getcap|ncdu|duf|dust|filefrag|lsinitramfs|lsinitrd
    find !-delete|-exec|-execdir|-ok|-okdir|-fls|-fprint|-fprint0 !-fprintf
    fd|fdfind !-x|--exec|-X|--exec-batch
    locate|plocate|mlocate
    sed !-i|--in-place
    awk|gawk|mawk|nawk !-i|--inplace|-f|--file|-l|--load|-o|-p|-d
    envsubst
    zipinfo|lsar
    unzip -l|-t|-Z|-v|-p
    zip
    gzip|bzip2|xz|zstd -l|-t|--list|--test
    gunzip -c|-t|-l
    cpio -t|--list !-o|-p|-i
    ar t|p|tv
    7z|7za|7zr l|t
    unrar l|lb|v|t
    xmllint !--shell|-o|--output
    xmlstarlet|xml sel|el|val|fo|format|c14n
    mlr !-I|-s|--prepipe|--prepipex|--prepipe-gunzip !@tee|split|*system*|*exec*|*tee*|*emit*|*dump*|*print*|*ENV*
    csvjson|in2csv|pup|choose|jo|jc|zq|tomlq|hexyl|icdiff|tokei|scc|cloc|exa|eza|lsd|glow !-o|--output|-i|--in-place
    uuidgen|mcookie|pwgen|ascii|chardet|chardetect|uchardet
    logcli query|instant-query|labels|series|stats|volume|fmt
    lokitool|mimirtool rules|analyze|config print|check|lint|grafana|prometheus
    # processes and the host
    passenger-status|passenger-memory-stats
    passenger-config list-instances|about|system-metrics|validate-install
    asterisk core|sip|pjsip|iax2|dialplan|queue|database|module|manager|logger|cdr|http|bridge|voicemail|rtp \
        show|list|get
    pminfo|pmstat|pmrep|pmval|sysdig|csysdig|below|zenith|bottom|btm|procs|pidwait !-w
    above|dool|nmon|collectl !-f
    ps|pstree|pgrep|pidof|top|htop|atop|btop
    uptime|w|who|whoami|id|groups|users|logname
    tty|last|lastb|lslogins|finger|pinky|getent|lastlog|tload
    slabtop|iotop|iftop|nethogs|nload|bmon|dstat|dool
    free|vmstat|mpstat|iostat|pidstat|sar|sadf|nfsstat
    nfsiostat|cifsiostat|numastat|lscpu|lspci|lsusb|lsmem|lsmod|lsipc
    lsns|lsscsi|lshw|lsdev|modinfo|dmidecode|biosdecode|inxi|hwinfo
    sensors|acpi|ipcs|prtstat|pmap|pwdx|lsfd|systool
    uname|hostid|lsb_release|screenfetch|neofetch|runlevel|getconf|printenv|nvidia-smi
    rocm-smi|lslocks|lsns|cgls
    systemd-cgls|systemd-cgtop|systemd-analyze|systemd-detect-virt|systemd-path
    systemd-escape|systemd-id128|systemd-delta|virt-what
    dpkg-query|dpkg-architecture|apt-cache|debsums|repoquery
    rpmquery|apt-file|apt-show-versions|apropos|whatis|info|help|tldr
    lsof
    fuser !-k|--kill|-K|-i
    env
    date
    hostname !-b|-F|--file|--boot
    domainname|dnsdomainname|nisdomainname|ypdomainname ''
    uname|arch
    taskset|chrt|ionice -p|-P|--pid
    dmesg !-C|-c|--clear|--read-clear|-D|-E|-n|--console-off !--console-on|--console-level
    sysctl !-w|--write|-p|--load|--system|-f
    ipcs|lsipc
    getenforce|sestatus|aa-status|apparmor_status|getsebool|seinfo|sesearch|matchpathcon
    journalctl !--vacuum-*|--rotate|--flush|--sync|--relinquish-var \
        !--smart-relinquish-var|--setup-keys|--update-catalog !--cursor-file|--cursor-file=*
    glances !-w|-s|--export|--webserver|--server
    man
    coredumpctl list|info|''
    timedatectl status|show|list-timezones|timesync-status|show-timesync
    timedatectl|hostnamectl|localectl|loginctl|bootctl|resolvectl ''
    networkctl|oomctl|homectl|portablectl|userdbctl|machinectl ''
    hostnamectl|localectl|bootctl status|show|list|hostname|list-*
    loginctl list-*|show-*|session-status|user-status|seat-status
    resolvectl status|query|statistics|show-cache|show-server-state|service|openpgp|tlsa
    networkctl list|status|lldp
    machinectl list|status|show|list-images|image-status|show-image
    chronyc tracking|sources|sourcestats|activity|ntpdata
    chronyc serverstats|clients|waitsync|rtcdata|selectdata
    ntpq|ntpstat
    hwclock -r|--show|--verbose
    swapon -s|--show|--summary
    systemctl is-active|is-enabled|is-failed|is-system-running|status
    systemctl show|cat|list-units|list-unit-files|list-timers
    systemctl list-sockets|list-dependencies|list-jobs|list-machines|list-automounts
    systemctl list-paths|help|show-environment|get-default|whoami
    systemctl --version|--failed|--help|-h
    systemctl ''
    service @status|--status-all
    service --status-all
    rc-status
    initctl list|status|version
    chkconfig --list
    supervisorctl status|pid|tail|maintail|avail|version
    pm2 list|ls|status|show|logs|info|describe|monit|jlist|prettylist|env|ping|l
    monit status|summary|report
    circusctl status|list|stats
    crontab -l
    atq
    at -l|-c
    last|lastb
    mailq|postqueue -p
    postqueue -p|-j
    mailq
    postconf !-e|-X|-#
    exim -bp|-bpc|-bV
    lpstat|lpq
    doveadm who|log|stats
    smartctl !-s|--set|--set=*|-o|-S|-X|--smart|--smart=*|--offlineauto|--saveauto|--offlineauto=*
    nvme list|smart-log|id-ctrl|id-ns|list-subsys|error-log|show-regs|fw-log
    hdparm -i|-I|-g|-t|-T
    fdisk -l|--list
    sfdisk -l|-d|--list|--dump|-s
    parted -l|--list
    parted @print
    sgdisk -p|-i|--print
    partx -s|--show|-l
    blockdev --get*|--report
    tune2fs -l
    dumpe2fs|xfs_info|e2freefrag
    btrfs filesystem|fi show|usage|df|du
    btrfs subvolume|device|scrub|balance|qgroup|quota list|show|stats|status
    cryptsetup status|luksDump|isLuks
    dmsetup ls|info|status|table|deps|targets|version
    losetup -a|-l|--all|--list
    multipath -l|-ll|-v
    lvs|vgs|pvs|lvdisplay|vgdisplay|pvdisplay|lvscan|vgscan|pvscan|lvmdiskscan|lsvg
    lvm lvs|vgs|pvs|version
    mdadm --detail|-D|--examine|-E|--query|-Q
    zpool status|list|iostat|history|get|events
    zfs list|get|diff|holds
    drbdadm status|cstate|dstate|role
    drbd-overview
    ceph status|-s|health|df|version|versions|fsid|mon_status|quorum_status|report
    ceph -s|--status|-w|-v
    ceph osd tree|df|stat|status|ls|dump|pool-stats|perf|find|metadata|utilization
    ceph osd pool ls|stats|get
    ceph pg|mon|mds|mgr|fs stat|dump|ls|status|services|module|get
    rbd ls|list|info|du|showmapped|status
    gluster volume|peer|pool info|status|list
    iscsiadm -m
    nfsstat|showmount|rpcinfo
    quota|repquota
    mount -l|--version
    mount ''
    needrestart -b|-r=l|-p
    checkrestart
    ipmitool sdr|sensor|fru
    ipmitool sel list|elist|info
    ipmitool chassis|power status
    ipmitool mc info
    edac-util|mcelog|ras-mc-ctl
    virsh list|dominfo|domstate|domblklist|domiflist|dumpxml|net-list
    virsh pool-list|vol-list|nodeinfo|version|snapshot-list|vcpuinfo|dommemstat
    qm|pct list|status|config
    pvesh get
    pvecm|pveversion|pvesm|ha-manager|pveperf status|nodes|list|config|''
    qm|pct showcmd|pending|listsnapshot
    virsh domstats|domblkstat|domifstat|domifaddr|domuuid|domid|dominfo|domdisplay|pool-info|vol-info|vol-path
    virsh capabilities|sysinfo|nodecpustats|nodememstats|net-info|net-dumpxml|net-dhcp-leases|iface-list
    virsh snapshot-info|snapshot-current|domjobinfo|freecell|cpu-stats|schedinfo|uri|hostname|domcapabilities
    xl|xm list|info|dmesg|top|uptime|vcpu-list|network-list|block-list
    xe *-list|*-param-get|*-param-list
    qemu-img info|check|map|compare
    virt-top|virt-df|virt-host-validate|virt-ls|virt-cat|virt-filesystems|virt-inspector
    VBoxManage|vboxmanage list|showvminfo|metrics|showmediuminfo
    multipass list|info|version|find
    esxcli * get|list
    esxcli * * get|list
    esxcli * * * get|list
    esxtop|esxcfg-vswitch|esxcfg-nics|esxcfg-vmknic|esxcfg-scsidevs -b|-l|-c
    vim-cmd vmsvc/get*|vmsvc/power.getstate|hostsvc/hostsummary
    vim-cmd hostsvc/net/info|vimsvc/task_list|vmsvc/device.getdevices
    govc ls|find|about|events|tasks|*.info|datastore.ls|*.ls|metric.*|logs
    racadm get*|help
    omreport|perccli64|dmsetup-info *
    lxc|incus config|network|storage|image|profile show|list|get|info
    firecracker|runc|crun --version
    runc|crun list|state|ps|events
    openstack * list|show
    openstack * * list|show
    openstack catalog|token|versions|quota list|show
    perf script !-s|--script|-g|--gen-script
    perf top|list|report|annotate|diff|buildid-list|version
    numactl -H|--hardware|-s|--show
    jmap|jinfo|jhsdb|jfr|jdeps -heap|-histo|-histo:live|-flags|-sysprops|-clstats|-finalizerinfo
    jcmd * Thread.*|GC.class_*|GC.heap_*|VM.version|VM.flags|VM.uptime|VM.system_properties
    jcmd * VM.command_line|VM.native_memory|VM.info|PerfCounter.*|help
    py-spy|rbspy|phpspy|pyflame|austin|memray dump|top|stats
    *-bpfcc|*.bt|execsnoop|opensnoop|biolatency|biosnoop|tcpconnect|tcplife|tcptop|runqlat|profile|offcputime
    trace-cmd report|list|stat
    funccount|funclatency|ext4slower|xfsslower
    cachestat|cachetop|filetop|tcpretrans|tcpaccept|gethostlatency
    multitail !-l|-L|-r|-R|-ex|-e
    goaccess !--real-time-html|--daemonize|-o|--output
    angle-grinder|agrind|fx|jless|csvstat|csvgrep|csvsort|xsv|datamash !-o
    screen -l
    tmux ls|list-sessions|list-windows|list-panes|info|show-options|capture-pane|has-session
    run-parts --test|--list
    needs-restarting|checkrestart|needrestart -r=l|-b
    svstat|s6-svstat|chpst-status|runsvstat
    sv|s6-rc|dinitctl|rc-status status|list|-a
    airflow|prefect|dagster dags|tasks|jobs|pools|flow-run list|state|next-execution|show|ls
    airflow version|info|config
    sidekiqmon|resque|rq|flower list|info|status|''
    bundle list|info|outdated|check|-v|exec-help
    npm|yarn|pnpm audit|outdated|ls|list !--fix|fix
    conda|mamba list|info|search|config
    snap refresh --list
    sw_vers|system_profiler|vm_stat|launchctl list|print
    getfattr|lsattr|lsof|lsns|lsipc|prlimit -p|--pid !--*=*
    mvn|gradle|go|cargo|rustc|javac|gcc|make|cmake|dotnet -v|-V|--version|version|-version|env|--info
    perf stat
    smem|smemstat|ps_mem|cpuid --version|-t|-k|-p|''
    doveconf|postmulti|postalias|doveadm -n|-q|-l|who
    exiqgrep|exinext|exiwhat|qshape|mailstats|pflogsumm !-D|-x
    ansible-vault view
    consul-template -dry
    oomctl|systemd-oomd|earlyoom dump|--version
    swaymsg|xdpyinfo|xrandr --version
    lvmconfig|lvm dumpconfig|config|version
    btrfs check|inspect-internal|version !--repair
    bcache-super-show|bcachefs|mdmon list|show-super|''
    nvme get-log|get-feature|ns-descs|effects-log|device-self-test|list-ns|list-ctrl
    sg_ses|sg_readcap|sg_vpd|lsblk|lsscsi|sas3ircu|sas2ircu|mpstat ''
    iscsiadm -m !-o|-u|-U|--logout|--logoutall|-l|--login|--op
    multipathd show|list
    targetcli ls|version|status
    nvmecontrol|camcontrol|geom|gpart devlist|list|status|show
    zdb
    drbdadm|drbdsetup status|cstate|dstate|role|dump|events2|show
    ceph osd|mon|mgr|pg|auth|crash|log|device|orch|fs|rbd|config \
        ls|dump|stat|status|tree|df|get|list|ps|host|last|show|perf|metadata|map|find
    cephadm|rados|radosgw-admin ls|df|lspools|bucket|user|shell-help
    radosgw-admin bucket|user|quota stats|list|info|limit
    gluster volume|peer|pool|snapshot status|info|list|heal|profile|top
    lfs df|quota|check|getstripe
    mmlscluster|mmlsfs|mmlsdisk|mmgetstate|mmhealth *
    mmgetstate|mmlscluster|mmlsfs|mmlsdisk
    beegfs-ctl|beegfs-df --listnodes|--getentryinfo|--iostat|''
    perf kvm
    # network
    ss !-K|--kill
    netstat|nstat|ifstat|ping|ping6|fping|arping
    traceroute|traceroute6|tracepath|mtr|dig|host|nslookup
    drill|delv|kdig|whois|ipcalc|sipcalc|netcalc
    geoiplookup|speedtest|tcptraceroute|lft|lldpctl|lldpcli|iwgetid
    ip a|ad*|r|ro|route|ru*|n|ne*|neigh s|sh
    ip addr|address|a|link|l|route|r|ro|rule|neigh|neighbor show|list|ls|get|lst|sh|identify|pids
    ip n|maddr|mroute|tunnel|netns|xfrm|tcp_metrics|token|vrf|nexthop|mptcp show|list|ls|get|lst|sh|identify|pids
    ip addr|address|a|link|l|route|r|ro|rule ''
    ip neigh|neighbor|n|maddr|netns|monitor|m|mon|tunnel|vrf ''
    ip -V|-Version
    ifconfig ''
    ifconfig -a|-s
    ifconfig eth*|en*|bond*|wl*|lo*|br*|docker*|veth*|tun*|wg*
    arp -a|-n|-an|-e
    arp ''
    route -n|-e|''
    route ''
    ethtool !-s|-K|-G|-A|-L|-r|-E|--change|--reset|-C|-N|-f|-X|-U|-p|-t !-W|--flash|--set-*
    iw dev|phy|list|reg
    iwconfig ''
    nmcli ''
    nmcli -v
    nmcli device|dev|d|connection|con|c|general|g|radio|r|networking|n show|status|list|connectivity
    nmcli device|dev|d|connection|con|c|general|g ''
    brctl show|showmacs|showstp
    bridge link|fdb|vlan|mdb show
    bridge link|fdb|vlan ''
    ovs-vsctl show|list-br|list-ports|list
    tc qdisc|class|filter show|ls|list
    tc -s
    wg show|''
    iptables|ip6tables|iptables-legacy|iptables-nft -L|--list|-S|--list-rules|-nvL|-C|--check|-V|--version \
        !-F|-X|-P|-D|-A|-I|-R|-Z|-N|-E
    iptables-save|ip6tables-save|xtables-monitor
    nft list|monitor|describe
    ufw status|version|show|app
    ufw app list|info
    firewall-cmd --state|--list-all|--list-*|--get-*|--query-*|--info-*|--version|--list-all-zones
    ipset list|-L|test|save|version
    fail2ban-client status|ping|version|get|banned
    fail2ban-client -V
    conntrack -L|-S|-C|-E|--list|--stats|--count
    nc|ncat|netcat|nc.openbsd -z
    nc -vz
    curl !-O|--remote-name|-J|--remote-name-all|-T|--upload-file|-F \
        !--form|-K|--config|-c|--cookie-jar|-D|--dump-header|-d \
        !--data|--data-*|--json|-Q|--quote|--trace|--trace-ascii \
        !-X=P*|-X=D*|--request=P*|--request=D*|-X=p*|-X=d* \
        !--request=p*|--request=d*|--output-dir|--libcurl|--stderr !--etag-save|--hsts|--alt-svc
    wget --spider
    wget -O=-|--output-document=-
    http|https|xh GET|HEAD
    httping|grpc_health_probe
    ssh-keyscan
    ssh-keygen -l|-F !-R|-D
    ssh-add -l|-L
    sshd -t|-T
    ssh -V|-G
    showmount -e|-a
    rpcinfo -p|-s
    snmpwalk|snmpget|snmpbulkwalk|snmptable|snmpstatus
    ldapsearch|ldapwhoami|wbinfo|ypcat|klist
    realm list
    rndc status
    named-checkconf|named-checkzone
    unbound-control status|stats_noreset|stats|list_*|lookup
    unbound-checkconf
    openssl x509|verify|version|crl|asn1parse|ciphers|list !-out|-writerand|-engine|-signkey|-passin
    openssl dgst|s_client|crl2pkcs7|ocsp|errstr|speed|prime !-out|-writerand|-engine|-signkey|-passin
    openssl x509|rsa|req|pkcs12|ec|pkey|pkcs7 -noout !-out|-engine
    openssl rand !-out
    openssl x509|rsa|ec|pkey -pubout|-pubin|-pubkey !-out|-engine|-passin
    openssl md5|sha1|sha256|sha384|sha512 !-out|-sign|-engine
    certbot certificates
    keytool -list|-printcert
    step certificate|ca inspect|health|verify|lint
    gpg --list-keys|--list-secret-keys|--verify|--fingerprint|-k|-K|--version
    sslscan|testssl|testssl.sh|cipherscan|certigo
    # packages
    apt list|show|search|policy|showsrc|depends|rdepends|changelog|moo
    apt-get -s|--simulate|--dry-run|--just-print
    apt-get changelog|check|indextargets
    apt --version|-v|-s|--simulate
    apt-mark showhold|showmanual|showauto
    aptitude search|show|why|why-not|versions
    dpkg -l|-L|-s|-S|--list|--listfiles|--status|--search|-V|--verify
    dpkg -C|--audit|--get-selections|--print-architecture|-p
    dpkg -I|-c|--info|--contents|--compare-versions|--version
    yum|dnf|microdnf|tdnf|zypper list|info|search|check-update|repolist|provides|whatprovides|repoquery|deplist|lu|se
    yum|dnf|microdnf|tdnf|zypper if|lr|packages|patch-check|updateinfo|check
    yum|dnf|microdnf|tdnf|zypper se|needs-restarting|list-updates|repos|search|ps
    dnf|yum history list|info
    rpm -q|--query|-V|--verify|-K|--checksig|--eval|--version|-qa|-E !-e|-U|-F|--erase
    apk info|search|list|policy|stats|version|audit|dot
    pacman -Q|-Qi|-Ss|-Si|-Ql|-Qo|-Qu|-Qe|-Qq|-F !-S|-R
    pip|pip3|pipx list|show|freeze|check|index|search|debug|inspect|--version
    pip|pip3|npm|yarn|pnpm|gem|cargo|go|node|ruby|java|composer|conda --version|-V|-v|version
    npm list|ls|outdated|view|ping|prefix|root|whoami|why|explain|doctor|bin
    gem list|search|info|outdated|environment|env
    snap list|info|find|services|changes|version|connections|logs
    flatpak list|info|search
    brew list|info|outdated|config|deps|doctor|--version
    alternatives|update-alternatives --list|--display|--query|--get-selections
    go version|list
    java|javac -version|--version
    jps|jstat|jstack
    jcmd @VM.version|VM.flags|VM.uptime|Thread.print|GC.heap_info
    jcmd @GC.class_histogram|VM.system_properties|VM.command_line|-l|help
    jcmd -l
    subscription-manager status|list|identity|repos|facts
    pro|ua status|version|security-status
    pkg info|search|version|query|audit|stats
    cargo tree|metadata|search
    systemd-resolve --status|--statistics
    ldd|nm|objdump|readelf|size|addr2line
    ldconfig -p|--print-cache
    # containers and clusters
    docker|podman|nerdctl ps|logs|inspect|images|stats|top|info|version|port|diff|events|history|search|ls
    docker|podman|nerdctl --version|-v
    docker|podman|nerdctl container|image|volume|network|system|service|node|stack|config|secret \
        ls|list|inspect|logs|ps|df|info|stats|top|port
    docker|podman|nerdctl container|image|volume|network|system|service|node|stack|config|secret \
        diff|history|show|events|config|version|images|services|status|du|exists
    docker|podman|nerdctl plugin|context|manifest|builder|pod|compose|buildx|trust|checkpoint|machine \
        ls|list|inspect|logs|ps|df|info|stats|top|port
    docker|podman|nerdctl plugin|context|manifest|builder|pod|compose|buildx|trust|checkpoint|machine \
        diff|history|show|events|config|version|images|services|status|du|exists
    docker-compose|podman-compose ps|logs|config|images|top|port|version|events|ls|--version
    crictl ps|pods|images|logs|info|inspect
    crictl inspecti|inspectp|stats|statsp|version|img|imagefsinfo
    ctr version|info
    ctr @ls|list|info
    lxc|incus list|info|ls|version
    podman healthcheck run
    podman auto-update --dry-run
    podman generate systemd !-f|--files
    lxc-ls|lxc-info
    skopeo inspect|list-tags
    crane|regctl ls|manifest|digest|config|catalog
    kubectl|oc|k|kubecolor get|describe|logs|top|version|explain|api-resources|api-versions|cluster-info
    kubectl|oc|k|kubecolor events|diff|wait|options|status|whoami|projects|help|completion
    kubectl|oc|k config view|get-contexts|current-context|get-clusters|get-users
    kubectl|oc|k auth can-i|whoami
    kubectl|oc|k rollout status|history
    kubectl|oc|k diff
    kubectl tree|neat|who-can
    oc adm top
    helm list|ls|status|history|get|show|search
    helm version|template|lint|env|diff|inspect|verify|hist
    helm repo|plugin|dependency list|ls
    stern|kubetail|kubeval|kubeconform|kube-score|popeye|kubent|pluto
    kubeadm version|certs|token|config|upgrade check-expiration|list|view|plan|images
    kubeadm version
    terraform|tofu fmt -check
    terraform|tofu metadata
    kubectx|kubens ''
    vault token lookup
    vault kv|secrets|auth|policy|audit list
    heroku logs|ps|releases|status|apps|addons|domains|pg:info|pg:ps|ps:type
    flyctl|fly status|logs|list|releases|checks|version|info
    cf apps|app|logs|events|services|routes|target
    dokku apps:list|ps:report|logs|config:show
    kubectx|kubens -c|--current
    k9s --readonly|version|info
    terraform|tofu|terragrunt show|validate|version|output|providers|graph|--version|-version
    terraform|tofu|terragrunt state list|show|pull
    terraform|tofu workspace list|show
    argocd app|cluster|proj|repo|version list|get|diff|history|logs|manifests|resources
    argocd version
    flux get|check|logs|stats|tree|version|diff|events|trace
    istioctl version|proxy-status|analyze|ps|pc|proxy-config|describe|verify-install
    linkerd check|stat|version|viz|top
    cilium status|version
    velero get|describe|version|logs
    velero backup|restore|schedule get|describe|logs
    nomad status|version|inspect
    nomad job|node|alloc|deployment|server|agent-info|operator|eval|namespace|system \
        status|list|logs|members|inspect|history|plan|fs
    consul members|info|version|monitor|validate|catalog|rtt
    consul kv get
    consul operator raft list-peers
    vault status|version
    vault audit|auth|secrets|policy list
    etcdctl endpoint|member|alarm|version status|health|list|hashkv
    etcdctl version|get|check
    kops|eksctl get|version|validate
    juju status|models|machines|list|version
    crm|pcs status|config|show|''
    crm_mon|corosync-cfgtool|corosync-quorumtool
    pulumi version|whoami|preview|logs
    ansible --version|--list-hosts
    ansible-inventory|ansible-doc|ansible-lint|ansible-config
    ansible-playbook --syntax-check|--list-tasks|--list-hosts|--check|-C|--version|--list-tags
    puppet --version|facts
    salt-call|salt @test.ping|grains.items|test.version
    sinfo|squeue|sacct|condor_q|qstat|qhost|condor_status
    vagrant status|global-status|version
    git log|status|diff|show|blame|shortlog|describe|rev-parse \
        !--output|--output=*|--ext-diff|-O|--open-files-in-pager
    git rev-list|ls-files|ls-tree|ls-remote|cat-file|grep|whatchanged|name-rev \
        !--output|--output=*|--ext-diff|-O|--open-files-in-pager
    git merge-base|for-each-ref|show-ref|count-objects|fsck|version|help|var \
        !--output|--output=*|--ext-diff|-O|--open-files-in-pager
    git check-ignore|cherry|range-diff|verify-commit !--output|--output=*|--ext-diff|-O|--open-files-in-pager
    git verify-tag|diff-tree|show-branch|annotate|check-attr !--output|--output=*|--ext-diff|-O|--open-files-in-pager
    git --version
    git bisect log
    git patch-id|stripspace
    git stash show
    git submodule status|summary
    git worktree list
    git apply --check|--stat|--numstat|--summary
    patch --dry-run
    git branch !-D|-d|-M|-m|-C|-c|-f|--delete|--force|-u|--unset-upstream \
        !--edit-description|--set-upstream-to|--move|--copy
    git tag -l|--list
    git tag ''
    git remote -v|--verbose
    git remote show|get-url|''
    git stash list|show
    git reflog|notes|worktree|bundle|submodule|lfs show|list|verify|status|env|ls-files|''
    git config --get|--list|-l|--get-all|--get-regexp|--show-origin
    hg|svn log|status|st|diff|info|summary|identify|id
    hg|svn branch|branches|tags|heads|cat|list|ls|blame
    gh pr|issue|run|repo|release|workflow|auth list|view|status|diff|checks|watch
    # clouds
    aws sts get-caller-identity
    aws * describe-*|list-*|get-*|head-*|lookup-*
    aws * search-*|filter-*|estimate-*|simulate-*|batch-get-*
    aws * scan|query|select|tail|wait|test-*|verify-*|validate-*|detect-*|help
    aws s3 ls
    aws ec2|ecs|rds|s3api|logs|elbv2|iam|lambda|cloudwatch|eks|cloudformation|autoscaling \
        wait|tail|describe-*|list-*|get-*
    aws configure list|list-profiles|get
    aws --version
    gcloud @list|describe|info|version|get-value|read
    gcloud @tail|get-iam-policy|list-*|describe-*|get-*|lookup|get-serial-port-output
    gcloud info|version|--version
    gsutil ls|du|stat|cat|hash|version
    gcloud storage ls|cat|du|hash
    bq ls|show|head|version
    az @list|show|list-*|show-*|get-*|version|list-locations|tail|get-instance-view
    az version|--version
    doctl @list|get|ls|version|balance
    hcloud @list|describe|version|ls
    linode-cli @list|view|--version
    oci @list|get
    s3cmd ls|du|info|la
    mc ls|stat|du|version|cat|head|tree|ping|diff
    rclone ls|lsl|lsd|lsf|lsjson|size|about
    rclone listremotes|version|check|cat|md5sum|hashsum|tree|ncdu
    restic check
    borg check
    pgbackrest * info|check|verify|version
    duplicity|kopia collection-status|status|list-current-files
    restic|borg snapshots|list|ls|stats|check|info|version|diff|find|cat
    restic --version
    kopia snapshot|repository|policy list|status|show
    duplicity collection-status|list-current-files|verify
    # databases and daemons
    pg_isready|pg_lsclusters|pg_controldata|pg_waldump
    pg_config|pg_top|pg_activity|pgmetrics|mytop
    innotop|pt-summary|pt-mysql-summary|pt-query-digest|pt-duplicate-key-checker
    mysqldumpslow|mysqlshow|mysqltuner|mongostat|mongotop
    pg_ctl status
    pg_ctlcluster @status
    pg_dump|pg_dumpall|mysqldump !-f|--file|-r|--result-file|--file=*|--result-file=*
    mysqladmin @status|ping|processlist|variables|extended-status|version|proc
    mysqlbinlog !-r|--result-file|--result-file=*
    mysqlcheck --check|-c !--repair|-r|--auto-repair|-o|--optimize
    patronictl list|topology|history|show-config|version|dsn
    repmgr @show|check|status|list
    barman list-*|show-*|check|status|diagnose
    pgbackrest info|check|verify|version
    wal-g backup-list|wal-show|wal-verify|--version|version
    wal-e backup-list
    barman-cloud-backup-list|pg_probackup show|validate|''
    etcdutl snapshot|version status|''
    etcdutl hashkv|check
    etcdctl snapshot status
    rabbitmqctl status|list_*|cluster_status|environment|node_health_check|ping|version|report
    rabbitmq-diagnostics|rabbitmq-plugins list|status|check_*|ping|memory_breakdown
    rabbitmq-diagnostics|rabbitmq-plugins listeners|cluster_status|alarms|environment|node_health_check|is_running
    rabbitmqadmin list|show|-V
    kafka-topics*|kafka-topics.sh --list|--describe|-list|-describe
    kafka-consumer-groups*|kafka-configs*|kafka-acls*|kafka-log-dirs* \
        --list|--describe|--version|--verify|describe|--members|--state \
        !--delete|--reset-offsets|--alter|--execute|--add|--remove
    kafka-broker-api-versions*|kafka-get-offsets* \
        --list|--describe|--version|--verify|describe|--members|--state \
        !--delete|--reset-offsets|--alter|--execute|--add|--remove
    kafka-metadata-quorum*|kafka-reassign-partitions*|kafka-cluster* \
        --list|--describe|--version|--verify|describe|--members|--state \
        !--delete|--reset-offsets|--alter|--execute|--add|--remove
    kcat|kafkacat -L|-Q
    kcat|kafkacat -C !-P
    kafka-broker-api-versions*|kafka-get-offsets*|kafka-dump-log*
    yarn application|node|app|logs|queue -list|-status|-applicationId
    nats server|stream|consumer|account ping|info|ls|list|report|check|view
    nats rtt|--version
    influx ping|version
    influx bucket|org|user|task|telegrafs list
    cockroach node|debug|statement-diag status|ls|list
    cockroach version|status
    cockroach sql -e|--execute
    pg_restore -l|--list
    mysqlcheck -c|--check !-r|--repair|--auto-repair|-o|--optimize
    pgbadger -o=-|--outfile=-
    pgmetrics|pg_activity|pgcenter|pg_top|mytop|innotop|mongotop|mongostat|redis-stat !-o|--outfile
    nodetool listsnapshots
    proxysql-status|maxctrl|mycli --version|list|show
    pt-query-digest|pt-summary|pt-mysql-summary|pt-show-grants|pt-duplicate-key-checker|pt-stalk !--execute
    redis-check-rdb|redis-check-aof !--fix
    mongodump|mongoexport --version
    rpk topic|cluster|group list|describe|info|health|consume
    pulsar-admin|solr status|list|topics|version
    zkServer.sh status
    hdfs dfs|fs -ls|-du|-df|-cat|-tail|-stat|-count|-test
    sqlplus|db2|rman -V|-v
    nodetool status|info|tpstats|ring|netstats
    nodetool compactionstats|cfstats|tablestats|describecluster|version|gossipinfo
    nodetool proxyhistograms|gcstats|getendpoints|tablehistograms|statusgossip
    nodetool statusbinary|listsnapshots|describering|failuredetector|gettimeout|toppartitions
    cqlsh --version
    influx ping|version
    zkCli.sh|zookeeper-shell* @ls|get|stat
    zkServer.sh status|print-cmd
    hdfs dfsadmin -report|-printTopology
    hdfs|hadoop dfs|fs -ls|-du|-df|-cat|-count|-stat|-tail|-test|-text|-head
    hdfs fsck !-delete|-move
    yarn application|node|queue|top|logs -list|-status|-applicationId
    memcached-tool @stats|display
    memcstat
    nginx -t|-T|-v|-V !-s
    apachectl|apache2ctl|httpd|apache2 -t|-S|-v|-V|-M|-l|-L|-D !-k
    apachectl|apache2ctl configtest|status|fullstatus
    haproxy -c|-v|-vv !-sf|-st
    caddy validate|version|list-modules|adapt
    traefik version|healthcheck
    varnishstat|varnishlog|varnishtop|varnishncsa|varnishhist
    varnishadm status|ping|backend.list|vcl.list|param.show|panic.show|banner|storage.list
    squid -k=parse|-k=check|-v
    php-fpm*|php -t|-v|-i|-m|--version|--ini|--ri|-l
    python|python3|python2|perl|ruby|node|php|bash|sh|zsh --version|-V|-v
    named-checkconf
    dovecot -n|-a|--version
    doveconf
    postfix check|status
    sshd -t|-T
    visudo -c
    sudo -l|-v|-V
    rsyslogd -N|-N1
    syslog-ng -s
    logrotate -d|--debug|--version
    promtool check|query|test
    amtool check-config|config|alert|silence query|show|routes
    amtool alert|silence|config|check-config|cluster
    telegraf --test|--version|config
    filebeat|metricbeat|auditbeat|packetbeat|heartbeat test|version|export
    logstash --config.test_and_exit|--version|-t
    vector validate|version|top|test
    fluentd|td-agent --dry-run|--version
    fluent-bit --dry-run|--version
    zabbix_get
    zabbix_agentd -t|-p|-V
    nagios|icinga2 -v|--version
    icinga2 daemon -C
    check_*
    check_mk_agent|puppet-lint|yamllint|shellcheck|jsonschema|hadolint
    tflint|checkov|trivy|grype|syft|lynis
    gitlab-ctl status|tail|show-config|service-list|check-config|version
    gitlab-rake gitlab:check|gitlab:env:info
    celery @inspect|status|report|list
    rq info
    manage.py check|showmigrations|diffsettings|version
    rails|rake about|routes|stats|-T|db:migrate:status|db:version|notes
    artisan list|about|route:list|migrate:status|queue:failed|schedule:list|env
    alembic current|history|heads|show|branches|check
    flyway info|validate
    composer show|validate|diagnose|outdated|licenses
    asterisk -V
    redis-server|mongod|postgres|mysqld|java|dockerd|containerd|etcd|kubelet --version|-V|-v|-version
    consul|nomad|vault|prometheus|alertmanager --version|-V|-v|-version
    grafana-server|node_exporter|haproxy|traefik|envoy --version|-V|-v|-version
    ntpq -p|-pn|-c
    auditctl -l|-s|-v
    ausearch|aureport|aulast|aulastlog|auvirt
    faillock|pam_tally2|faillog|chage|lastlog|passwd -l|--list|-u|-S|--status !--reset|-r|-d|-L|--clear|-C
    faillock --user !--reset
    passwd -S|--status
    utmpdump
    gstack|pstack|eu-stack
    strace -V
    quota|repquota
    trust list
    tailscale status|ip|ping|netcheck|version
    wg show
    openvpn --version
    show|display
    include|exclude|section|begin|no-more|utility
    xfs_quota -c=report*|-c=df*|-c=state*|-c=quota*|-c=print*|-c=free*
    lsnrctl|adrci|crsctl|srvctl|asmcmd status|services|version|stat|config|check|ls|lsdg|show
    grubby --info|--default-kernel|--default-index|--info=*
    grub-editenv|grub2-editenv @list
    efibootmgr ''
    efibootmgr -v|--verbose
    bootctl status|list|is-installed
    fwupdmgr get-*|security|--version
    semanage|semodule -l|--list
    semodule --list-modules|--list-modules=*
    e2label|xfs_admin *
    authselect current|list|check|show
    ipa *-find|*-show|ping|env
    realm list|discover
    samba-tool|net|pdbedit ads|list|show|info|status|testjoin
    pdbedit -L|--list
    apt-key list|finger
    myisamchk -c|--check|-d|--description|-i !-r|-o|-f
    patronictl list|topology|history|version|show-config|query|dsn
    gdisk|fixparts -l
    restorecon -n
    swanctl --list-*|--stats|-l|-L
    ipsec|strongswan status|statusall|listcerts|version
    ovs-appctl|ovs-dpctl|ovs-ofctl|ovs-vsctl|ovn-nbctl|ovn-sbctl *show*|list*|dump-*|get|find
    lldpcli show
    mtr|paris-traceroute|dublin-traceroute
    nmap !--script|--script=*|-oN|-oX|-oG|-oA|-iL
    tshark !-w|-F|-X
    dnsmasq --test|--version
    keepalived -v|-t|--config-test|--version
    acme.sh --list|--version|-v
    kea-shell|dhcpd -t|-T
    mii-tool ''
    ethtool -m|-T|-k|-g|-c|-a|-l|-x|-n|-i|-S|-P !-K|-G|-s|-r
    bmon|trafshow|pktstat|jnettop|darkstat|ipset list
    rpcinfo|showmount|nfsiostat|mountstats|nfsconf
    frr|watchfrr|zebra|bgpd --version
    smbstatus|testparm|nmblookup
    exportfs -v|-s
    exportfs ''
    tuned-adm active|list|recommend|verify
    cpupower frequency-info|idle-info|info|monitor
    x86info|cpuid|lsirq|irqtop
    snapper list|status|diff|list-configs
    timeshift --list
    upower -e|-i|-d
    udevadm info|monitor|verify
    busctl list|status|tree|introspect|monitor|get-property
    busctl ''
    namei|lsof|lslogins
    sealert|audit2why
    pscap|netcap|filecap
    sg_inq|sg_logs|lsluns
    storcli|storcli64|perccli|megacli|MegaCli64|MegaCli @show|-AdpAllInfo|-LDInfo|-PDList|-LdPdInfo \
        !@del|delete|-CfgClr|set|init|erase
    ssacli|hpssacli ctrl @show|status !@delete|create|modify
    arcconf getconfig|getstatus|getlogs
    tw_cli show|info
    mokutil --list-enrolled|--sb-state
    efibootmgr ''
    grubby --info|--default-kernel|--info=*
    dracut --list-modules
    grub-editenv|grub2-editenv @list
    lsinitrd
    zgrep|zdiff|zcmp|bzdiff|xzdiff|bzless|xzless|zstdless
    """
)
"""Commands that change nothing. Redirections and what stands in their words is judged apart."""

ROUTINE = rows(
    """
    qm|pct start|resume
    perf bench
    jmap -dump:*
    jcmd * JFR.*|Compiler.*
    py-spy|rbspy|phpspy|pyflame|memray record|snapshot
    gcore
    helm repo update
    terraform|tofu|terragrunt plan !-destroy
    terraform|tofu get
    restic backup
    borg create
    pgbackrest * backup
    pgbackrest backup
    velero backup create
    kopia snapshot create
    kafka-console-consumer*
    mysqlcheck -a|--analyze !-r|--repair|--auto-repair|-o|--optimize
    nodetool snapshot|repair
    iperf|iperf3|qperf -c|--client !-s|--server
    nping
    vacuumdb -Z|--analyze-only
    wall|write|mesg|banner
    apt|apt-get|aptitude clean|autoclean
    yum|dnf|microdnf|zypper clean
    apk update
    gcloud compute ssh --command|--command=*
    postqueue -f
    yum|dnf history ''
    journalctl --rotate|--flush|--sync
    nomad alloc|job restart
    consul reload
    virsh start|autostart
    lxc|incus restart|start !--all|--force|-f
    passenger-config restart-app|reopen-logs|reload
    sponge
    wal-g|wal-e backup-push
    goaccess !--real-time-html|--daemonize
    pgbadger
    xmllint !--shell
    curl
    mktemp
    exim -bp|-bpc|-bpr
    needs-restarting
    # a daily change that undoes itself or is what the bot is for
    nginx -s=reload|-s=reopen
    apachectl|apache2ctl|httpd -k=graceful|-k=restart
    apachectl|apache2ctl graceful|restart|start
    caddy reload
    postfix reload|flush
    rndc reload|flush|reconfig|stats|querylog|flushname
    unbound-control reload|flush|flush_zone
    resolvectl flush-caches
    systemd-resolve --flush-caches
    nscd -i
    sss_cache
    varnishadm ban|vcl.load|vcl.use
    squid -k=reconfigure|-k=rotate
    supervisorctl restart|start|update|reread|signal|stop
    pm2 restart|reload|start|gracefulReload|save|reloadLogs|stop
    monit reload|restart|start|monitor|unmonitor|stop
    circusctl restart|reload
    docker|podman|nerdctl restart|start
    docker|podman|nerdctl container restart|start
    docker|podman compose restart|start
    docker|podman compose up|pull -d
    docker-compose|podman-compose restart|start
    kubectl|oc|k rollout restart|resume
    systemctl daemon-reload|reset-failed
    rabbitmqctl rotate_logs|start_app|await_startup|wait
    pg_ctl reload
    pg_ctlcluster @reload
    apt|apt-get|aptitude update
    dnf|yum makecache
    zypper refresh|ref
    git fetch|pull !--force|-f|--upload-pack|--upload-pack=*
    git stash list|show
    gitlab-ctl restart|hup|start
    rc-service @restart|start|reload|status
    initctl restart|start|reload
    ssh-keygen -l
    logger|notify-send
    sync
    postqueue -p
    freshclam|updatedb|mandb
    chronyc burst|online
    newaliases|postmap
    udevadm settle
    certbot renew --dry-run
    certbot renew
    snapper create
    zpool scrub
    timeshift --create
    vnstat
    sar
    puppet agent --noop
    gzip|bzip2|xz|zstd|pigz|lz4
    zip
    7z|7za|7zr a|u !-sdel
    wget -O=/tmp/*|-P=/tmp*|-O=/dev/null|--version
    gunzip|unxz|bunzip2|unzstd|unpigz|unlz4
    amtool silence add|expire
    nice
    tput|clear|reset|stty|tset
    mkfifo
    sadc|atopsar|systemd-notify
    gitlab-runner list|status|verify|restart
    sleep|usleep|yes
    drush cr|cc|status|cache:rebuild
    wp cache|core|plugin|option|cron flush|version|list|get|is-installed|event|status
    artisan cache:clear|config:cache|config:clear|route:cache
    artisan route:clear|view:clear|view:cache|optimize
    artisan optimize:clear|queue:restart|up
    artisan schedule:run|queue:retry|event:cache|horizon:terminate|horizon:status
    rails|rake assets:precompile|cache:clear|tmp:clear|tmp:cache:clear
    manage.py collectstatic|clearsessions|clear_cache
    console cache:clear|cache:warmup|about|debug:*
    celery @inspect|status
    rq resume
    uwsgi --reload
    update-ca-certificates
    sa-update|rspamadm|spamassassin --lint|configtest
    rspamc stat|stats|learn_ham|learn_spam|uptime
    """
)
"""Changes nobody needs to be asked about."""
