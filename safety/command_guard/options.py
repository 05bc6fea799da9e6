"""How programs take their options: which take a value, and whose long options begin with one dash."""

from safety.command_guard.places import names


def _values(text: str) -> dict[str, str]:
    return {
        name: options for name, _, options in (row.strip().partition(": ") for row in text.splitlines() if row.strip())
    }


VALUES = _values(
    """
    kubectl: --min --max --kustomize -k --subresource --field-manager -n --namespace --context --kubeconfig -l \
        --selector -c --container -o --output --field-selector --as -f --filename --cluster --user --server -s \
        --tail --since --token --request-timeout --sort-by --replicas --timeout --grace-period --patch --type \
        --image --as-group -p
    oc: -n --namespace --context --kubeconfig -l --selector -c --container -o --output --tail --since
    helm: -n --namespace --kube-context --kubeconfig -f --values --set --version -o --output
    docker: -v --volume --mount --pid --cap-add --device --userns --net --security-opt --availability \
        --replicas --limit-memory -m --memory --update-delay --restart --platform --label --ulimit -H --host \
        --context -c --config -l --log-level --filter -f --format --tail -n --since --until --name -u --user -w \
        --workdir -e --env --network --time -t -s --signal --tlscacert --tlscert --tlskey
    podman: -H --host --context --filter -f --format --tail --since --name -u --user -w --workdir -e --env -t --time
    docker-compose: -f --file -p --project-name --env-file --profile --tail --project-directory -t --timeout --context
    git: --depth --branch --filter -S \
        -G -L -C -c --git-dir --work-tree --namespace --exec-path -m --message --author -n --since --until \
        --format --max-count
    aws: --desired-count --desired-capacity --min-size --max-size --cluster --service --profile --region \
        --output --query --endpoint-url --filters --cli-input-json --ca-bundle --color
    gcloud: --project --zone --region --format --filter --account --configuration --limit
    az: --subscription -g --resource-group -n --name -o --output --query
    systemctl: -t --type -p --property -n --lines -o --output -H --host -M --machine -s --signal --state \
        --kill-who --job-mode --root --kill-whom --what
    journalctl: --vacuum-time --vacuum-size --vacuum-files -u --unit -n --lines -S --since -U --until -p \
        --priority -o --output -t --identifier -g --grep -b -D --directory -M --machine --user-unit -F --field \
        --file -c --cursor --output-fields --root
    nmcli: -f --fields -g --get-values -m --mode -c --colors -e --escape -w --wait
    find: -name -iname -path -ipath -regex -iregex -type -size -mtime -mmin -atime -amin -ctime -cmin -newer \
        -user -group -perm -maxdepth -mindepth -printf -uid -gid -inum -links -samefile -fstype -wholename \
        -newermt -used -lname
    sort: -k -t -S -T -o --key --field-separator --output --temporary-directory --buffer-size --parallel
    grep: -e -f -A -B -C -m --include --exclude --exclude-dir --color --max-count --regexp -d -D
    egrep: -e -f -A -B -C -m
    zgrep: -e -f -A -B -C -m
    fgrep: -e -f -A -B -C -m
    rg: -e -f -A -B -C -m -g -t --glob --type --pre --max-count
    head: -n -c --lines --bytes
    tail: -n -c --lines --bytes --pid -s
    cut: -d -f -c -b --delimiter --fields --characters --output-delimiter
    curl: -X --request -H --header -o --output -d --data --data-raw --data-binary --data-urlencode -T \
        --upload-file -u --user -F --form -A --user-agent -e --referer -b --cookie -c --cookie-jar -m --max-time \
        --connect-timeout -w --write-out --retry --retry-delay -x --proxy --cacert --cert -E --key --resolve \
        --interface -K --config -D --dump-header -Y -y -z -r --range --json --retry-max-time --limit-rate \
        --unix-socket --connect-to --url --trace --trace-ascii --stderr -C -P -Q -t --ciphers --socks5 \
        --socks5-hostname --doh-url --output-dir
    wget: -O --output-document -o --output-file -P --directory-prefix -T --timeout -t --tries -U --user-agent \
        --header --post-data --post-file --method --body-data --body-file -e --execute -i --user --password -w \
        --wait -Q -a
    psql: -U --username -h --host -p --port -d --dbname -c --command -f --file -v --set -P -F -o --output -L -R -T
    mysql: -u --user -h --host -P --port -D --database -e --execute -S --socket --default-character-set
    mariadb: -u --user -h --host -P --port -D --database -e --execute -S --socket
    redis-cli: -h -p -a -n -s -u -r -i --user --pass --eval --rdb --functions-rdb --pattern
    mongosh: --host --port --eval -u --username -p --password --authenticationDatabase --file -f
    mongo: --host --port --eval -u --username -p --password --authenticationDatabase
    sqlite3: -cmd -separator -init -nullvalue
    sysctl: -p --load -f -r --pattern
    ps: -o -p -u -C -U -G -g -t -O --sort --pid --ppid --user --format -q
    top: -n -d -p -u -U -o -w
    ss: -f -A --family --query -D --diag -F -N
    lsof: -p -u -c -d -g -s
    vgchange: -a --activate
    lvchange: -a --activate -p --permission
    lvresize: -L -l --size --extents
    lvextend: -L -l --size --extents
    lvreduce: -L -l --size --extents
    iscsiadm: -m --mode -T -p -o --op -I
    gh: -X --method -R --repo -f -F -H -q --jq --search --limit -L --json --template -w --workflow -b --branch --state
    pip: -i --index-url --extra-index-url -r -t --target --trusted-host -c
    pip3: -i --index-url --extra-index-url -r -t --target --trusted-host -c
    cpio: -D --directory -F -I -O
    mongodump: -o --out -h --host --port -d --db -c --collection -u -p --uri --archive -q --query
    pg_basebackup: -D --pgdata -h -p -U -F -X
    pg_restore: -d -h -p -U -f -F -j -L -n -t
    vtysh: -c --command
    restic: -r --repo --password-file -p --tag --host --path --cache-dir -o
    borg: --remote-path --rsh --lock-wait --repo -r
    patronictl: -c --config-file -d --dcs
    xfs_quota: -c -D
    pg_ctl: -D --pgdata -m --mode -l -o -t -p
    nodetool: -h -p -u -pw -pwf
    mail: -s -r -c -b -a -A -S
    needrestart: -r -m -u
    snmpset: -v -c
    heroku: -a --app -r -n --num
    salt: -G -C -E -L -N -t --timeout -b
    helmfile: -f -e -l
    pvesh: --output-format
    nomad: -namespace -region -address
    ulimit: -f -n -u -c -v -m -t -s
    ssh: -p -i -o -l -F -J -L -R -D -E -b -c -m -O -S -W -w -e -I -Q -B
    squid: -k -f -n
    xargs: -n -I -P -L -d -a -s -E --max-args --max-procs --arg-file --delimiter
    tar: -f --file -C --directory -T --files-from -X --exclude --exclude-from -I --use-compress-program \
        --transform --to-command --checkpoint-action --rsh-command --newer-mtime -b --owner --group --mode \
        --strip-components --info-script -F
    rsync: -e --rsh --exclude --include --filter -f --bwlimit --log-file --rsync-path --timeout --files-from \
        --partial-dir --max-size --min-size --backup-dir --chmod --chown --link-dest --compare-dest --port \
        --password-file
    scp: -P -i -o -F -l -c -S -J
    sftp: -P -i -o -F -b -c -S
    ssh-keygen: -D -f -t -b -C -N -P -R -F -E
    kill: -s -n -q --signal
    pkill: -s -u -U -g -G -P -t -F --pidfile --signal --uid --euid --pgroup --parent
    pgrep: -s -u -U -g -G -P -t -F -d --uid --parent
    killall: -s -u -o -y -Z --signal --user
    truncate: -s --size -r --reference
    chmod: --reference
    chown: --reference --from
    chgrp: --reference
    cp: -t --target-directory -S --suffix
    mv: -t --target-directory -S --suffix
    ln: -t --target-directory -S --suffix
    install: -m -o -g -t -S --mode --owner --group --target-directory --suffix
    mkdir: -m --mode -Z
    touch: -d -t -r --date --reference
    sed: -e --expression -f --file -l
    awk: -F -v -f --field-separator --assign --file
    gawk: -F -v -f --field-separator --assign --file -e -i
    mawk: -F -v -f
    date: -d --date -f -r --reference -s --set
    split: -l -b -n -a --lines --bytes
    shred: -n -s --iterations --size --random-source
    crontab: -u
    ip: -f -n -netns -b -batch
    iptables: -t -p -s -d -j -m -i -o -A -D -I -R -P -N -E --dport --sport --comment --table --source \
        --destination --jump --protocol --append --delete --insert --policy --new-chain
    ip6tables: -t -p -s -d -j -m -i -o -A -D -I -R -P -N -E --dport --sport --comment --table --jump
    ping: -c -i -W -w -s -I -t -M
    ping6: -c -i -W -w -s -I
    traceroute: -m -q -w -p -i -s
    dig: -p -t -b -f -k -q -x
    host: -t -W
    nc: -w -p -s -X -x -i -q -e -c
    ncat: -w -p -s -i -e -c --exec --sh-exec
    netcat: -w -p -s -i -q -e -c
    openssl: -in -out -connect -servername -subj -days -key -keyout -cert -CAfile -nameopt -checkhost -checkend
    ansible: -m --module-name -a --args -i --inventory -u --user -f --forks -l --limit
    apt: -o -c -t
    apt-get: -o -c -t
    dnf: -c
    yum: -c
    jq: --arg --argjson --slurpfile --indent -f --from-file
    yq: -o -p
    du: -d --max-depth --exclude -B --block-size -t --threshold
    df: -t -x -B --type
    ls: -I -w --ignore
    tree: -L -P -I -o
    column: -s -o
    watch: -n --interval
    stat: -c --format --printf
    diff: -U -C
    xxd: -l -s -c -g
    od: -N -j -A -t
    hexdump: -n -s -e
    nmap: -p -iL -oN -oX -oG --script -T
    tcpdump: -i -c -w -r -s -z -W -C -G
    last: -n -f
    vault: -address -namespace
    man: -P --pager -S -s -M -L -C -e -p -r -R -E -m
    lnav: -c -f -e -d -I -W
    goaccess: -f -o --output -p -l
    pgbadger: -o -f -j -b -e -d -u -s -t -p --outfile
    xmllint: --xpath -o --output --schema --encode --pattern --relaxng --dtdvalid
    logcli: -o --output
    script: -c --command -O -I -B -T -E -m -o --log-out
    patch: -p -d -i -o -r --directory --input
    mlr: --from --ofs --ifs --fs
    consul: -http-addr -token
    useradd: -s -g -G -d -u -c -p
    usermod: -s -g -G -d -u -c -p -l -e
    fuser: -n
    gdb: -p -ex -x
    loginctl: -p -s --signal
    mysqladmin: -u -h -P -S --user --host --port
    pg_dump: -U -h -p -d -f -F -t -n -T
    mysqldump: -u -h -P -S -r --result-file --where --user --host
    rabbitmqctl: -n -p --node -t
    etcdctl: --endpoints --cacert --cert --key
    zfs: -o -t
    zpool: -o
    lvs: -o
    vgs: -o
    pvs: -o
    lsblk: -o
    blkid: -s -o -t
    findmnt: -o -t
    smartctl: -d
    sar: -f -s -e -n
    uniq: -f -s -w
    nl: -b -w
    fold: -w
    paste: -d
    comm: --output-delimiter
    join: -t -1 -2 -o
    supervisorctl: -c -s -u -p
    svn: --username
    nice: -n
    strings: -n
    ltrace: -p -e -o -s -u -l -n -a
    ncdu: -o -f
    iconv: -f -t -o
    shuf: -n -o -i
    dmidecode: -t -s --dump-bin --from-dump
    fallocate: -l -o --length --offset
    mkfifo: -m
    lsof_: -p
    perf: -p -e -o -F
    mpstat: -P
    pidstat: -p
    at: -f -q
    logger: -t -p -n -P
    mount: -t -o -O -L -U
    umount: -t -O
    mkfs: -t
    swapoff: -L -U
    nft: -f
    gsutil: -o -u -h
    rclone: --config
    s3cmd: -c
    doctl: -t --access-token
    logrotate: -s --state -m --mail -l --log
    nginx: -c -g -p -e -s
    apachectl: -k -f -D
    strace: -p -e -o -s -u
    timedatectl: -H -M -p
    hostnamectl: -H -M
    conntrack: -f -p -s -d
    arp: -i
    """
)

SINGLE_DASH_LONG = names(
    """
    consul convert govc esxcli yarn exim exim4 ffmpeg find gdb hadoop hdfs influx ip java javac jcmd
    jmap jstack jstat kafka-topics.sh megacli nomad openssl packer sqlite3 storcli tc terraform tofu
    vault
    """
)
"""Programs whose long options begin with one dash, so that `-delete` is not `-d -e -l …`."""

SAME = _values(
    """
    bsdtar: tar
    gtar: tar
    gsed: sed
    ip6tables-legacy: iptables
    iptables-legacy: iptables
    iptables-nft: iptables
    ip6tables-nft: iptables
    nerdctl: docker
    podman-compose: docker-compose
    k: kubectl
    kubecolor: kubectl
    helm3: helm
    valkey-cli: redis-cli
    keydb-cli: redis-cli
    mongoexport: mongodump
    mailx: mail
    mutt: mail
    s-nail: mail
    nodejs: node
    ncat.openbsd: nc
    nc.openbsd: nc
    nc.traditional: nc
    apt: apt-get
    chronyd: chronyc
    cargo-nextest: cargo
    gcloud-beta: gcloud
    psql-15: psql
    """
)
"""Programs that take their options as another one does."""

SPLITTING = names(
    """
    nft chronyc virsh gluster crm lvm chronyd ip-batch asterisk fs_cli crmsh vim-cmd varnishadm
    """
)
"""Programs that read a quoted word with blanks as several."""
