"""Inline code for other interpreters, and statements for databases: what runs, deletes or writes is refused.

Code is not parsed: its words are compared with two lists per language. A word that can run, delete or write refuses,
wherever it stands, also in a string; code made only of words known to be harmless passes; any other needs a person.
"""

# Word lists and patterns are read whole.

import re
from dataclasses import dataclass

from safety.command_guard.places import names
from safety.command_guard.values import has_unknown, shown
from safety.command_guard.verdicts import Finding, allow, ask, refuse

MAX_CODE = 3000
"""Characters of inline code; longer code is a program, and belongs in a file."""


@dataclass(frozen=True, kw_only=True)
class Language:
    """`danger` and `safe` are whole words; `marks` are regular expressions that refuse."""

    name: str
    danger: frozenset[str]
    safe: frozenset[str]
    marks: str = r"(?!)"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DECODERS = r"|\\x[0-9a-fA-F]{2}|\\[0-7]{3}|\\u[0-9a-fA-F]{4}|b64|base64|fromhex|unhex|rot_?13|from_?char_?code|\bchr\b"

PYTHON = Language(
    name="Python",
    danger=_words(
        "system popen exec eval execv execve execl execlp execvp spawn spawnl spawnv spawnlp fork forkpty kill killpg "
        "remove removedirs unlink rmdir rmtree rename renames replace_file truncate chmod chown lchown fchmod mkfs "
        "subprocess Popen  check_call check_output run_shell getoutput getstatusoutput shutil pty ctypes cffi "
        "compile __import__ importlib import_module runpy getattr setattr globals locals vars __builtins__ builtins "
        "__globals__ __subclasses__ __class__ marshal pickle shelve connect bind listen create_connection "
        "socketpair AF_INET SOCK_STREAM urlretrieve ftplib smtplib telnetlib "
        "paramiko fabric requests write writelines write_text write_bytes symlink link mkfifo mknod mount umount "
        "setuid setgid reboot pwn os.open asyncio multiprocessing commands code codeop posix nt sh plumbum signal "
        "psutil_kill terminate fdopen putenv startfile dup2 sched_setaffinity execfile input_eval timeit "
        "cProfile pdb bdb breakpoint"
    ),
    safe=_words(
        "import from as print for in if else elif not and or is None True False lambda def return with try except "
        "Exception pass while break continue del yield raise assert json sys time datetime math re platform random "
        "uuid hashlib statistics collections itertools functools string textwrap decimal ipaddress calendar locale "
        "struct zlib csv configparser tomllib yaml ssl load loads dump dumps safe_load stdin stdout argv version "
        "version_info executable path maxsize modules exit read readline readlines splitlines split join strip lstrip "
        "rstrip replace format encode decode items keys values get len sorted sum min max range enumerate zip map "
        "filter list dict set tuple str int float bool abs round any all type isinstance repr reversed next iter open "
        "now today utcnow fromtimestamp timestamp strftime strptime time perf_counter sleep ctime gmtime localtime "
        "os getcwd environ getenv listdir cpu_count uname getloadavg stat statvfs getpid st_size st_mtime exists "
        "isfile isdir islink getsize getmtime basename dirname walk scandir name f_bavail f_frsize f_blocks f_bfree "
        "python_version node release system_ machine md5 sha1 sha256 sha512 hexdigest digest update uuid4 "
        "uuid1 randint "
        "choice choices token_hex token_urlsafe secrets Counter defaultdict OrderedDict most_common indent sort_keys "
        "ensure_ascii separators key reverse start end sep file d x i j k v n l s r f e data line lines "
        "row rows obj a b c m t p "
        "socket gethostname getfqdn OPENSSL_VERSION findall search match sub group groups compile_ lower "
        "upper title startswith endswith count index append extend "
        "timedelta timezone utc total_seconds days hours seconds isoformat sqrt pi ceil floor log version_string "
        "ip_address ip_network gethostname rb rt url quote unquote urllib parse urlparse parse_qs quote_plus html "
        "escape unescape http status gethostbyname getaddrinfo gethostbyaddr inet_aton inet_ntoa localhost db internal "
        "expanduser abspath resolve is_file is_dir read_text Path pathlib glob getuid getlogin gethostbyname_ex"
    ),
    marks=r"open\s*\([^)]*,\s*(mode\s*=\s*)?[rbf]?['\"][^'\"]*[wax+]" + _DECODERS,
)

PERL = Language(
    name="Perl",
    danger=_words(
        "system exec qx fork kill unlink rmdir rmtree remove_tree rename truncate chmod chown open3 open2 socket eval "
        "require do syscall symlink link mkdir utime IPC Socket File pack unpack opendir sysopen syswrite readpipe "
        "INET exit_now dump umask select_fh Fork _exit setuid setgid setsid"
    ),
    safe=_words(
        "print printf say if unless else elsif while for foreach my our use strict warnings split join "
        "sort keys values "
        "map grep length substr index lc uc ucfirst lcfirst sprintf time localtime gmtime scalar push pop "
        "shift reverse "
        "sum int abs sqrt hex oct chomp chop next last and or not eq ne lt gt le ge x y n m s g i e d w tr BEGIN END "
        "STDIN STDOUT ARGV F a b c k v l h t _ 0 1 2 ENV qw defined exists delete_ List Util max min first uniq "
        "POSIX strftime Time HiRes sleep INC strftime JSON PP decode_json encode_json from_json to_json each ref "
        "undef local wantarray sum0 uniqnum pairs any all none product reduce minstr maxstr printf eof"
    ),
    marks=r"`|\bopen\b|/e[gimsx]*\b|\bs(.).*\1.*\1[gimsx]*e|>\s*['\"]?/|\|\s*['\"]" + _DECODERS,
)

RUBY = Language(
    name="Ruby",
    danger=_words(
        "system exec spawn fork popen popen2 popen3 eval instance_eval class_eval send __send__ public_send method "
        "unlink delete rm rm_r rm_rf remove_entry rmdir rename truncate chmod chown write kill FileUtils Open3 IO "
        "TCPSocket UNIXSocket Socket syscall require_relative load binding Kernel Process symlink const_get Fiddle "
        "rmtree PTY Shell pack unpack Dir_unlink"
    ),
    safe=_words(
        "puts print p pp require json yaml time date digest securerandom Time now JSON parse "
        "pretty_generate YAML load_file "
        "STDIN ARGF ARGV gets read each map select reject sort sort_by first last size length split join "
        "strip chomp to_s "
        "to_i to_f to_a to_sym inspect if unless else end do then and or not nil true false ENV "
        "RUBY_VERSION RUBY_PLATFORM "
        "File exist readlines SecureRandom hex uuid Digest SHA256 hexdigest upcase downcase reverse sum "
        "min max count x i k v a b s l n h keys values to_yaml safe_load dig fetch flatten uniq tally "
        "each_with_index compact any? any all none zip transpose sort_by group_by to_h to_json merge lines chars "
        "each_line first round abs CSV foreach entries basename dirname key value find include start_with end_with "
        "match scan sub gsub format printf"
    ),
    marks=r"`|%x|open\s*\(?\s*['\"]\||(?<!\[)['\"][wa][+b]?['\"]" + _DECODERS,
)

NODE = Language(
    name="JavaScript",
    danger=_words(
        "child_process exec execSync spawn spawnSync execFile execFileSync fork eval Function unlink "
        "unlinkSync rm rmSync "
        "rmdir rmdirSync rename renameSync writeFile writeFileSync appendFile appendFileSync truncate "
        "truncateSync chmod "
        "chmodSync chown chownSync kill createWriteStream net dgram http https fetch vm constructor binding Deno Bun "
        "symlink copyFile copyFileSync open openSync write import worker_threads cluster ftruncate rimraf "
        "dlopen reboot "
        "shelljs execa mainModule globalThis Reflect"
    ),
    safe=_words(
        "console log error JSON parse stringify require process version versions argv env stdin stdout fs readFileSync "
        "readdirSync existsSync statSync os cpus length totalmem freemem uptime loadavg hostname platform "
        "arch path join "
        "basename dirname map filter forEach reduce sort keys values entries Object Array Date now "
        "toISOString Math round "
        "floor ceil max min random const let var if else for of in return function new true false null "
        "undefined typeof "
        "split trim replace toString slice utf8 crypto randomUUID randomBytes hex on data end d c x i k v a b s e n "
        "node v8 openssl size memoryUsage"
    ),
    marks=r"`" + _DECODERS,
)

PHP = Language(
    name="PHP",
    danger=_words(
        "system exec shell_exec passthru popen proc_open pcntl_exec pcntl_fork eval assert unlink rmdir rename "
        "file_put_contents fopen fwrite fputs copy chmod chown symlink posix_kill fsockopen curl_init "
        "mail create_function "
        "call_user_func call_user_func_array preg_replace include require include_once require_once touch "
        "tempnam ftruncate "
        "move_uploaded_file dl mkdir putenv array_map stream_socket_client extract parse_str "
        "opcache_reset apcu_clear_cache ini_set"
    ),
    safe=_words(
        "echo print print_r var_dump phpversion php_ini_loaded_file ini_get extension_loaded "
        "get_loaded_extensions date time "
        "json_encode json_decode file_get_contents PHP_VERSION PHP_EOL PHP_OS memory_get_usage php_uname "
        "sys_getloadavg "
        "phpinfo disk_free_space count strlen strtoupper strtolower md5 sha1 hash sha256 implode explode "
        "true false null "
        "JSON_PRETTY_PRINT opcache_get_status function_exists class_exists Y m d H i s"
    ),
    marks=r"`|\$\w+\s*\(|\$\{" + _DECODERS,
)

LUA = Language(
    name="Lua",
    danger=_words(
        "execute popen remove rename exit_ open load loadstring dofile loadfile tmpname require output write debug"
    ),
    safe=_words(
        "print os time date getenv clock string format upper lower rep len math floor tostring tonumber "
        "local for do end if then"
    ),
    marks=_DECODERS[1:],
)

AWK = Language(
    name="awk",
    danger=_words("system close_ getline_"),
    safe=_words(""),
    marks=r"\bsystem\b|\|\s*&|\|\s*getline|(?<!\|)\|(?!\|)\s*[\"'(a-zA-Z$]|printf?\b[^|"
    r";{}]*>\s*[\"($a-zA-Z]|/inet/|@load|@include|@\w+\s*\(",
)

TCL = Language(
    name="Tcl",
    danger=_words("exec spawn open file eval socket source load glob send system delete rename interp uplevel"),
    safe=_words("puts expr set clock seconds format info patchlevel exit"),
    marks=_DECODERS[1:],
)

_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_REGEX = re.compile(r"\b(?:s|y|tr)/(?:[^/\\]|\\.)*/(?:[^/\\]|\\.)*/\w*|(?:\bm|\bqr)?/(?:[^/\\]|\\.)*/\w*")
_WORD = re.compile(r"[A-Za-z_]\w*")
_NUMBER = re.compile(r"\b\d+(\.\d+)?(e[+-]?\d+)?\b", re.IGNORECASE)


_HARM = re.compile(
    r"(\A|_)(delete|destroy|drop|terminate|purge|wipe|truncate|erase|shutdown|reboot|rmtree|uninstall|"
    r"flushall|flushdb|mark_delete|remove)(_|\Z)|"
    r"(\A|[a-z])(Delete|Destroy|Drop|Terminate|Purge|Truncate)([A-Z]|\Z)|\A(delete|destroy|terminate|drop|purge)[A-Z]",
)
"""Names of functions that lose something, in snake case and camel case."""


def judge_code(language: Language, text: str) -> Finding:
    """Inline code: refused, allowed, or asked about."""
    rule = f"code.{language.name.lower()}"
    if has_unknown(text):
        return refuse(rule, f"{language.name} code of which a part is not known. Write it out.")
    if len(text) > MAX_CODE:
        return refuse(
            rule, f"More than {MAX_CODE} characters of {language.name} in one word. Put it in a file that was reviewed."
        )
    words = set(_WORD.findall(text))
    found = sorted(words & language.danger)
    if found:
        return refuse(rule, f"{language.name} code that can run, delete or write (`{found[0]}`).")
    mark = re.search(language.marks, text)
    if mark:
        return refuse(rule, f"{language.name} code that can run, write or hide something (`{shown(mark[0])}`).")
    without = _STRING.sub(" ", _REGEX.sub(" ", text) if language is PERL else text)
    verbs = [w for w in _WORD.findall(without) if _HARM.search(w)]
    if verbs or re.search(r"['\"]\s*(DROP|TRUNCATE|DELETE\s+FROM|ALTER|GRANT)\b", text, re.IGNORECASE):
        return refuse(
            rule, f"{language.name} code that deletes or ends something (`{shown(verbs[0] if verbs else 'SQL')}`)."
        )
    bare = set(_WORD.findall(_NUMBER.sub(" ", without)))
    unknown = sorted(bare - language.safe)
    if unknown and language.safe:
        return ask(rule, f"{language.name} code with a word the guard does not know (`{shown(unknown[0])}`).")
    return allow(rule)


# Databases

_SQL_READS = (
    "select|show|explain|describe|desc|use|set|with|values|table|help|status|pragma|begin|commit|rollback|"
    "list|report|scan|count|get|connect|start|end|check|checksum|fetch|declare|close|savepoint|"
    "release|reset|echo|exists|rows|\\\\"
)
_SQL_CARE = (
    r"(vacuum|analyze)(?!.*\bfull\b).*|analyze\s+table\s+[\w.,` ]+|"
    r"copy\s*\(\s*select\b.*\)\s*to\s+stdout\b.*|copy\s+[\w.]+\s+to\s+stdout\b.*"
)
"""What keeps a database healthy and changes no data."""
_SQL_REFUSED = re.compile(
    r"\b(drop|truncate|grant|revoke|shutdown|reassign\s+owned|dblink_exec|lo_export|lo_import|lo_unlink|"
    r"pg_terminate_backend\s*\(\s*pid\s*\)\s+from|load_file|sys_exec|sys_eval|xp_cmdshell|pg_read_file|"
    r"pg_read_binary_file|pg_write_file|pg_file_write|pg_switch_wal|pg_promote|pg_drop_replication_slot|load_extension|"
    r"pg_stat_reset\w*|pg_wal_replay_pause|pg_logical_emit_message|pg_replication_origin_\w+|pg_backup_stop|"
    r"writefile|sp_oacreate|sp_configure|purge\s+(binary|master)|reset\s+(master|slave|replica|query)|"
    r"stop\s+(slave|replica|group_replication)|change\s+(master|replication)|"
    r"flush\s+(tables|privileges|hosts|query|user_resources|des_key_file|optimizer_costs|binary)|detach|"
    r"rename\s+(table|user|database)|alter\s+(user|role|system|database|table|tablespace|default|schema|login)|"
    r"create\s+(user|role|or\s+replace\s+(function|procedure|rule|trigger|language)|function|"
    r"procedure|trigger|extension|rule|event|login|server|language|subscription|publication)|"
    r"set\s+(global|persist|persist_only|password|role|session\s+authorization)|set\s+@@global|"
    r"disable|delete\s+from\s+(pg_|mysql\.)|update\s+(pg_|mysql\.)|handler|install\s+(plugin|"
    r"component)|uninstall|load\s+data|"
    r"into\s+(out|dump)file|copy\s+.*\b(program|from)\b|copy\s+.*\bto\s+'|do\s+\$|execute\s+immediate|"
    r"prepare|delimiter|exec|execute|"
    r"attach\s+database|writable_schema|restore\s+database|dbcc|merge\s+into|replace\s+into|cluster|security\s+label|"
    r"lock\s+(instance|tables?)|shrinkdatabase|vacuum\s*\(?\s*full|kill\s+(?!(query|"
    r"connection)?\s*'?\d+'?\s*$)\S+|optimize\s+table\s+\*)\b",
    re.IGNORECASE | re.DOTALL,
)
_SQL_SHELL = re.compile(
    r"\bsource\s+/(dev|proc|tmp|var/tmp)/|\\!|\\o|\\w\b|\\copy|\\g\s*[|/]|\\i|\bsystem\b\s+[\w/]|"
    r"^\s*\.(shell|system|import|output|once|save|load|restore|backup|clone|read|dump)|\|\s*\w+\s*$|"
    r"\\g\s+\w|\\password|\\setenv",
    re.I | re.M,
)


def judge_sql(text: str) -> Finding:
    """SQL and the clients' own commands."""
    if has_unknown(text):
        if re.search(r"\b(drop|truncate|grant|revoke|alter|shutdown|delete|purge)\b", text, re.IGNORECASE):
            return refuse("databases.unknown", "A statement that destroys, of which a part is not known. Write it out.")
        return ask("databases.unknown", "A statement of which a part is not known.")
    plain = re.sub(r"/\*!\d*(.*?)\*/", r" \1 ", text, flags=re.DOTALL)
    plain = re.sub(r"/\*.*?\*/", " ", plain, flags=re.DOTALL)
    if re.fullmatch(
        r"\s*\\copy\s+(\(.*\)|[\w.\"]+)\s+to\s+('?/(tmp|var/tmp|backups?)/[\w./-]+'?|stdout)[\w ,()\"]*",
        plain,
        re.I | re.S,
    ):
        return allow("databases.read")
    if _SQL_SHELL.search(plain):
        return refuse("databases.shell", "The database client would run a shell command or read or write a file.")
    if re.search(r"\\gexec", plain):
        if re.search(
            r"\A\s*select\s+(format\s*\(\s*)?'(analyze|reindex|vacuum|create database|refresh)\b", plain, re.I
        ):
            return ask("databases.generated", "A statement whose answers run as statements.")
        return refuse(
            "databases.generated", "A statement whose answers run as statements, which nobody can see before."
        )
    plain = re.sub(r"--[^\n]*", " ", plain)
    bare = re.sub(r"'(?:[^']|'')*'", "''", plain)
    worst = allow("databases.read")
    if re.search(
        r"\b(pg_authid|pg_shadow|rolpassword|authentication_string|mysql\.user|password_hash)\b", bare, re.IGNORECASE
    ):
        worst = ask("secrets.read", "A statement that prints passwords, if only their hashes.")
    for statement in bare.split(";"):
        finding = _statement(statement.strip())
        cares = finding.rule == "databases.care" and worst.rule == "databases.read"
        if finding.severity.rank > worst.severity.rank or cares:
            worst = finding
    return worst


def _statement(statement: str) -> Finding:
    if not statement:
        return allow("databases.read")
    hit = _SQL_REFUSED.search(statement)
    if re.match(r"copy\b", statement, re.IGNORECASE) and re.fullmatch(_SQL_CARE, statement, re.IGNORECASE | re.DOTALL):
        hit = None
    first = (re.match(r"[\\.]?\w+", statement) or [statement[:1]])[0].lower()
    reads = re.match(rf"(?:{_SQL_READS})", statement, re.IGNORECASE) is not None or first.startswith((".", "("))
    if hit and not (first in ("show", "describe", "desc", "explain", "help") and "analyze" not in statement.lower()):
        return refuse(
            "databases.destroy",
            f"`{shown(hit[0].split()[0].upper())}` in a statement loses data or changes who may do what.",
        )
    writes = re.search(r"\b(delete|update)\b", statement, re.IGNORECASE)
    if writes and first not in ("show", "describe", "desc", "help"):
        return _write(statement, writes[0].upper())
    if re.fullmatch(
        r"select\s+(pg_cancel_backend\s*\(\s*\d+\s*\)|pg_reload_conf\s*\(\s*\)|"
        r"pg_rotate_logfile\s*\(\s*\))|kill\s+query\s+\d+|flush\s+(\w+\s+)?(logs|status)",
        statement,
        re.IGNORECASE,
    ):
        return allow("databases.care")
    if re.search(
        r"\b(kill|optimize|flush|start\s+(slave|replica)|insert|upsert|merge|import|call|reindex|refresh|"
        r"lock|nextval|setval)\b|pg_(terminate|cancel)_backend|pg_reload_conf|pg_rotate|pg_advisory|"
        r"vacuum\s+full|into\s+\w+\s+from",
        statement,
        re.IGNORECASE,
    ):
        return ask("databases.write", "A statement that changes data or disturbs other sessions.")
    if reads:
        return allow("databases.read")
    if re.fullmatch(_SQL_CARE, statement, re.IGNORECASE | re.DOTALL):
        return allow("databases.read" if re.match("copy", statement, re.IGNORECASE) else "databases.care")
    return ask("databases.unknown", f"A statement the guard does not know (`{shown(statement)}`).")


def _write(statement: str, word: str) -> Finding:
    where = re.search(r"\bwhere\b(.*)", statement, re.IGNORECASE | re.DOTALL)
    if word == "UPDATE" and re.search(r"\bfor\s+(no\s+key\s+)?update\b", statement, re.IGNORECASE):
        return ask("databases.write", "A statement that locks rows.")
    if where is None or re.match(
        r"\s*\(?\s*(1|true|not\s+false|''\s*=\s*''|(\w+)\s*=\s*\2\b|\d+\s*[=<>]+\s*\d+|1\s*or)", where[1], re.IGNORECASE
    ):
        return refuse("databases.destroy", f"`{word}` without a WHERE that limits it touches every row. Name the rows.")
    if re.search(r"\bor\s+(1|true|(\w+)\s*=\s*\2\b|''\s*=\s*'')", where[1], re.IGNORECASE):
        return refuse("databases.destroy", f"The WHERE of this `{word}` is always true. Name the rows.")
    if re.search(r"is\s+not\s+null|like\s*'?%|<>|!=|>=?\s*0\b", where[1], re.IGNORECASE):
        return refuse("databases.destroy", f"The WHERE of this `{word}` leaves out hardly a row. Name the rows.")
    return ask("databases.write", f"`{word}` changes data.")


REDIS_READS = frozenset(
    names(
        """
    get mget strlen exists ttl pttl type keys scan sscan hscan zscan hget hgetall hmget hkeys hvals hlen
    hexists lrange llen lindex smembers scard sismember srandmember zrange zrevrange zcard zscore zrank
    zcount zrangebyscore info ping echo dbsize time lastsave role command object memory slowlog latency
    getrange bitcount randomkey xlen xrange xinfo pfcount getbit dump readonly hello wait lolwut
    """
    )
)
REDIS_SUBREADS = {
    "config": {"get"},
    "client": {"list", "getname", "id", "info", "no-evict"},
    "cluster": {"info", "nodes", "slots", "myid", "keyslot", "shards", "links"},
    "slowlog": {"get", "len"},
    "memory": {"usage", "stats", "doctor", "malloc-stats"},
    "latency": {"latest", "history", "doctor", "graph"},
    "acl": {"list", "whoami", "users", "cat", "getuser"},
    "pubsub": {"channels", "numsub", "numpat"},
    "sentinel": {"masters", "master", "replicas", "slaves", "get-master-addr-by-name", "ckquorum", "sentinels"},
    "module": {"list"},
    "script": {"exists"},
    "command": {"count", "info", "docs", "list"},
    "object": {"encoding", "freq", "idletime", "refcount", "help"},
    "xinfo": {"stream", "groups", "consumers"},
    "function": {"list", "stats"},
}
REDIS_ASKED = frozenset(
    names(
        """
    set del unlink expire persist hset hdel lpush rpush lpop rpop sadd srem zadd zrem incr decr save
    bgrewriteaof publish setex getset append ltrim touch copy xadd xdel xtrim setnx mset pexpire
    """
    )
)


def judge_redis(words: list[str]) -> Finding:
    """One Redis command."""
    if not words:
        return allow("databases.read")
    name, sub = words[0].lower(), words[1].lower() if len(words) > 1 else ""
    if has_unknown(name):
        return refuse("databases.unknown", "The Redis command itself is not known.")
    if name in ("slowlog", "latency") and sub == "reset":
        return ask("databases.write", f"`{name} reset` forgets what was slow.")
    if name in REDIS_SUBREADS:
        if sub in REDIS_SUBREADS[name]:
            return allow("databases.read")
        return refuse("databases.destroy", f"`{shown(name)} {shown(sub)}` changes the Redis server.")
    if name == "bgsave":
        return allow("databases.care")
    if name in REDIS_READS:
        return allow("databases.read")
    if name in ("del", "unlink") and any(has_unknown(word) for word in words):
        return refuse("databases.unknown", f"`{shown(name)}` of keys nobody has named.")
    if name == "monitor":
        return ask("databases.load", "`monitor` slows the Redis server down while it runs.")
    if name in REDIS_ASKED and not any(char in word for word in words[1:2] for char in "*\ue002"):
        return ask("databases.write", f"`{shown(name)}` changes data in Redis.")
    return refuse("databases.destroy", f"`{shown(name)}` loses data or stops the Redis server, or is unknown.")


_MONGO_REFUSED = re.compile(
    r"\b(dropDatabase|drop\w*|remove|deleteMany|deleteOne\s*\(\s*\{\s*\}|shutdown\w*|renameCollection|"
    r"removeUser|fsync\w*|"
    r"killOp\s*\((?!\s*\d+\s*\))|killAll\w*|killCursors|killSessions|createUser|grant\w*|revoke\w*|"
    r"updateUser|changeUserPassword|compact|convertToCapped|stepDown|reconfig|"
    r"removeShard|load|eval|run|runProgram|shellHelper|cat|writeFile|removeFile|findAndModify|"
    r"findOneAndDelete|\$out|\$merge|"
    r"auth|copyDatabase|cloneCollection|repairDatabase|emptycapped|setFeatureCompatibilityVersion|"
    r"initiate|require|child_process|"
    r"process|setParameter|resync|freeze|bulkWrite|mapReduce|\$where|delete\w*|clear\w*|destroy\w*|purge\w*|truncate)\b"
)
_MONGO_ASKED = re.compile(
    r"\b(insert\w*|update\w*|save|replace\w*|create\w*|ensureIndex|set\w*|admin|add|adminCommand|"
    r"runCommand|enableSharding|shardCollection|moveChunk|startBalancer|stopBalancer)\b"
)


def judge_mongo(text: str) -> Finding:
    """What a Mongo shell would evaluate."""
    if has_unknown(text):
        return refuse("databases.unknown", "A Mongo command of which a part is not known.")
    hit = _MONGO_REFUSED.search(text)
    if hit:
        return refuse("databases.destroy", f"`{shown(hit[0])}` loses data or stops or changes the Mongo server.")
    if re.search(_DECODERS[1:], text) or re.search(r"\[\s*['\"+]", text):
        return refuse("databases.unknown", "A Mongo command that hides what it calls.")
    harmless = re.sub(
        r"adminCommand\s*\(\s*['\"{ ]*(ping|serverStatus|replSetGetStatus|listDatabases|hostInfo|"
        r"buildInfo|isMaster|hello|currentOp)\b|runCommand\s*\(\s*['\"{ ]*(ping|dbStats|collStats|"
        r"serverStatus|hello|isMaster|connectionStatus|buildInfo)\b",
        "",
        text,
    )
    if re.search(r"(update(Many|One)?|replaceOne|findAndModify)\s*\(\s*\{\s*\}", text):
        return refuse("databases.destroy", "An update of every document. Name the documents.")
    if _MONGO_ASKED.search(harmless) or "killOp" in harmless:
        return ask("databases.write", "A Mongo command that changes data.")
    return allow("databases.read")
