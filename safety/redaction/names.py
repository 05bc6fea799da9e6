"""Which names carry a secret, and which values behind such a name are none.

A name is cut into lower-case parts (`DB_PASSWORD`, `dbPassword` and `db-password` are `db`, `password`); what it names
is in its last part: `password` is a secret, `password_file` a path. A value such as `$DB_PASSWORD`, `<token>` or
`required` is a reference, a placeholder or prose.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from functools import lru_cache

MASK = "[redacted]"


def words_of(text: str) -> frozenset[str]:
    """The words of a text, for lists that are long."""
    return frozenset(text.split())


_SECRETS = words_of(
    "password passwd passphrase passcode pass pwd passw pw secret token apikey authtoken "
    "accesstoken refreshtoken identitytoken registrytoken secretkey "
    "accesskey privatekey authkey encryptionkey signingkey masterkey appkey licensekey sessiontoken psk presharedkey "
    "requirepass masterauth bindpw rootpw olcrootpw credential credentials creds credstring kennwort passwort "
    "pgpassword pgpass mysqlpwd storepass keypass sshpass authpass rediscliauth userpass dbpass rootpass bearer "
    "accountkey sharedaccesskey sharedaccesssignature sharedkey jwt primaryauth authtok otp totp passkey keymaterial "
    "motdepasse"
)
# Words that only sound like it: `NOPASSWD: ALL` in sudoers.
_NO_SECRETS = words_of("nopasswd nopass nopassword haspassword usepassword withpassword bypass compass")
_SECRET_ENDINGS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "apikey",
    "secretkey",
    "accesskey",
    "privatekey",
    "storepass",
    "keypass",
    "bindpw",
    "rootpw",
)
# Options are named shorter than settings: `-targetpass`, `/SAPWD:`. These words end alike and are none.
_OPTION_ENDINGS = ("pass", "pwd", "token")
_NO_OPTIONS = words_of(
    "trespass surpass encompass overpass underpass multipass subpass onepass twopass singlepass renderpass cwd"
)
# What may stand before `key` to make it a secret; `primary_key` and `host_key` are none.
_KEYS = words_of(
    "api access secret private encryption encrypt decryption signing sign master auth app"
    " application license account "
    "storage shared session crypt cipher hmac jwt aes des unseal recovery subscription co"
    "nsumer service webhook deploy "
    "preshared psk admin write read ingest functions function integration management client seal wep bot rsa dsa"
)
_QUALIFIERS = words_of(
    "old new prod production dev test testing staging stage base value val b64 base64 enc"
    "oded plain plaintext text txt raw "
    "current previous prev primary secondary backup main default str string confirm confirmation again repeat verify "
    "rw ro live hash override"
)
_NEGATIONS = words_of(
    "no ask prompt need needs require requires without hide skip clear reset expire change max min n num existing "
    "forgot"
)
_CURSORS = words_of("next page continuation continue cancellation sync resume starting marker previous prev pagination")
_CREDENTIALS_OF_UNITS = words_of("load import condition assert pass")  # systemd's `LoadCredential=name`
_PASS_ALONG = words_of("proxy fastcgi uwsgi scgi grpc by")  # nginx's `proxy_pass`
_RANDOM_ONLY = words_of("auth jsessionid phpsessid sessid sid session hmac signature salt pepper pat")
# Whose key or password it is, where the name ends in it: `PASSWORD_ROOT`, `token_github`.
_OWNERS = words_of(
    "db database root admin user app mysql postgres postgresql pg redis mongo smtp mail ldap api github gitlab slack "
    "ftp ssh "
    "sudo vault rabbitmq repl replication web site sql oracle mssql elastic kafka docker registry npm aws gcp azure"
)
_PUBLIC = words_of("public pub publishable site host id")
_OWNED = words_of("password passwd passwort pw pwd token secret")
# Services whose bare `…_key` is a secret if it looks random.
_SERVICES = words_of(
    "routing integration stripe openai sendgrid mailgun twilio aws algolia maps azure google gcp anthropic datadog "
    "newrelic mailchimp pagerduty "
    "opsgenie github gitlab slack cloudflare cf digitalocean linode vultr hetzner heroku fastly segment mixpanel "
    "amplitude "
    "mapbox plaid square paypal braintree razorpay pusher sentry rollbar bugsnag grafana dd nr deepl openrouter "
    "mistral groq "
    "cohere huggingface hf pinecone supabase airtable notion asana linear jira hubspot intercom zendesk okta auth0 "
    "ssh vault "
    "db database data backup borg restic sops gpg pgp age tls ssl wg wireguard wifi fernet vapid nonce logged nacl "
    "user token deterministic derivation primary secondary"
)
_WHOLE_NAMES = frozenset(
    {"clientkeydata", "secretstring", "userkeydata", "tlskey", "sshkeydata", "secretkeybase", "rediscliauth"}
)

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_HARMLESS_WORDS = words_of(
    "true false null nil none nul undefined yes no on off ok okay set unset empty blank m"
    "issing required optional enabled "
    "disabled valid invalid expired expires incorrect correct wrong changed unchanged upd"
    "ated unknown revoked rejected "
    "accepted denied refused failed failure success successful succeeded found not is was"
    " are has have had be been must "
    "should shall may can cannot could would will the your our my this that a an please e"
    "nter for at by to from in of or "
    "and with too does do did use uses using used need needs see if when it its as only authentication authenticated "
    "auth authorization prompt hidden redacted masked filtered removed omitted sensitive "
    "secret-ref str string text bytes "
    "int integer bool boolean char varchar optional object value option options flag flag"
    "s argument parameter parameters "
    "input file stdin env n/a na tbd todo default auto automatic interactive plain login "
    "keyboard-interactive publickey "
    "created deleted generated rotated refreshed issued present absent mismatch error sent received matches verified "
    "0 1 undef last passed skipped &str &'static command commands switch switches description respectively which "
    "maybe either both likewise added ditto renamed moved fixed updated deprecated supported unsupported unused "
    "internal obsolete never await new return lambda function bearer basic digest negotiate mandatory given provided "
    "specified stored instead field column header name type "
    "readonly read write refresh reset unlock unlocked locked sorry policy strength generation generator requisite "
    "sufficient include substack files systemd sss compat bcrypt scrypt argon2 argon2id yescrypt pbkdf2 sha512 sha256 "
    "md5 "
    "plaintext cleartext x-oauth-basic secretstr std::string ldap nis request response bucket limit "
    "old falsch abgelaufen leer fehlt geändert erforderlich incorrect incorrecte expiré "
    "length rotation manager service server client user about after before while because than then but"
)
# What a shell, a template or a configuration puts in place of the value: it stands for a secret and is none.
_REFERENCE = re.compile(
    r"\$\{\{.*?\}\}|\$\{(?:(?:env|file|sys|ssm|vault|secrets?):)?[^}:]*(?::(?:[-=+]|\?[^}]*)?)?\}?"
    r"|\$\(.*\)?|\$[A-Z_][A-Z0-9_]*|\$\d|\$env:\w+|`.*`?|\$(?:\w*(?:pass|pw|secret|token|key|cred)\w*)"
    r"|\{\{.*|\{%.*|\{[A-Za-z_.]*\}|%[A-Z_]{2,}%|%\([\w.]+\)[sd]|%[sdvqr](?:\\n)?|\$[a-z_]\w*(?:->|\[|\{|::).*"
    r"|(?:&lt;|&#x3[Cc];).*|<%.*|#\{[\w.]+\}#?|@{1,2}\w*[A-Za-z]\w*@{1,2}|__\w+__|\(\([\w./:-]+\)*|%%[A-Z_]+%%|##\w+##"
    r"|(?:\.[*+]|\[\^|\\[SwdsW][*+]|\(\.\*|\(\?).*"
    r"|<[\w ./:,|-]*>?|\[[A-Za-z _-]+\]?|\([a-z ]+\)|\([a-z]{3,12}|@\w*(?:pass|pw|secret|token|key|cred)\w*"
    r"|!(?:vault|Ref|Sub|GetAtt|ImportValue|reference|secret)\b.*|ENC\[.*|ENC\(.*|\{cipher\}.*"
    r"|@?Microsoft\.KeyVault\(.*"
    r"|\d{1,5}/(?:tcp|udp|sctp)|arn:aws.*|op://.*|ref\+.*|sm://.*|fd:\d+|projects/[\w-]+/secrets/.*|\.\.\.|…"
    r"|:[a-z_]{2,40}|\?"
    r"|(?:vault|ssm|file|env|secretsmanager|keyring|awssm|gcpsm|azurekv):[\w/.#:-]*|https?://[^\s@?]*"
)
_MASKED = re.compile(
    r"[*•.\-_#?●…]+|[xX]{3,}|[xX*]{2,}|x{4}[-x ]*|\*{2,}[A-Z _]+\*{2,}|VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    r"|[\w-]{0,8}\*{3,}[\w-]{0,6}"
)
_PATH = re.compile(r"(?:~|\.{1,2}|[A-Za-z]:)?(?:[/\\][a-z0-9_.@-]+){1,}[/\\]?|~")
_CODE = re.compile(
    r"[A-Za-z_][\w.]{2,}\((?:|[\"'`].*|[A-Za-z_.&*:$@>()-]+\d{0,4}|\d{1,5})[)\]},;]*"
    r"|[A-Z][A-Za-z]+\([a-z_]+=.*"
    r"|[A-Z][A-Za-z]+(?:(?:\.|::)[A-Za-z_]+){2,}(?:[\[(].*)?|[A-Za-z_][\w.]{2,}\[(?:|[\"'`].*|[A-Za-z_.]+"
    r"|-?\d{1,3})[)\]},;]*|[A-Za-z_][\w.]*\(\)\..*"
    r"|(?:self|this|os|env|config|cfg|settings|params|args|opts|options|request|req|process|ctx|context|data|kwargs"
    r"|user|conf|"
    r"values?|secrets|vars?|local|module|each)(?:\.[A-Za-z_]\w*)+\)*|[a-z]+(?:_[a-z]+)+(?:\.[a-z_]+)+"
    r"|(?:SecretStr|String|std::string|Option<String>|Optional\[\w+\])[,;]?"
    r"|(?:raw|new|old|user|plain|hashed|encrypted|form|given|typed|my|the)_(?:password|passwd|pwd|secret|token)[,;]?"
)
_PLACEHOLDER = re.compile(r"(?i)<?(?:your|insert|enter|put)(?:[-_ ]\w{2,12}){0,4}>?|replace[-_ ]?me|change[-_]me[-_].*")
_RANDOM_CLASSES = (re.compile(r"[a-z]"), re.compile(r"[A-Z]"), re.compile(r"[0-9]"))


@lru_cache(maxsize=4096)
def parts(name: str) -> tuple[str, ...]:
    """The lower-case parts of a name; `PGPassword` gives `pg`, `password`."""
    return tuple(part.lower() for part in _PART.findall(name))


@lru_cache(maxsize=4096)
def names_secret(name: str) -> bool:
    """Whether what stands behind this name, as an assignment or an option, is a secret."""
    words = list(parts(name))
    if words[:2] == ["clear", "text"]:
        words = words[2:]
    if not words or words[0] in _NEGATIONS or words[-1] in _NO_SECRETS:
        return False
    if words[-1] in {"credential", "credentials"} and words[0] in _CREDENTIALS_OF_UNITS:
        return False
    if "for" in words[1:]:
        words = words[: words.index("for", 1)]
    if "".join(words) in _WHOLE_NAMES or "".join(words).endswith(("passwordsalt", "secretsalt")):
        return True
    while len(words) > 1 and (words[-1].isdigit() or words[-1] in _QUALIFIERS):
        words.pop()
    if len(words) > 1 and words[-1] in _OWNERS and words[-2] in _OWNED:
        words.pop()
    last = words[-1]
    if last == "token" and len(words) > 1 and (words[-2] in _CURSORS or words[-3:-1] == ["public", "key"]):
        return False  # a place in a list, or an assembly's fingerprint
    if last == "pass" and len(words) > 1 and words[-2] in _PASS_ALONG:
        return False
    if last == "key":
        return len(words) > 1 and (words[-2] in _KEYS or words[-2] in _SECRETS)
    if last == "cookie":
        return words[-2:] == ["erlang", "cookie"]
    if last == "auth":
        return words[-2:] in (["cli", "auth"], ["redis", "auth"], ["master", "auth"])
    return last in _SECRETS or last.endswith(_SECRET_ENDINGS) or "".join(words[-2:]) in _SECRETS


@lru_cache(maxsize=4096)
def option_names_secret(name: str) -> bool:
    """Whether what stands behind an option of this name is a secret."""
    if name.replace("-", "").lower() == "askpass":
        return False  # it asks
    if names_secret(name) or name == "setcookie":  # Erlang's, by which its nodes trust each other
        return True
    words = parts(name)
    if not words or words[0] in _NEGATIONS or words[-1] in _NO_SECRETS or words[-1] in _NO_OPTIONS:
        return False
    return len(words[-1]) > 4 and words[-1].endswith(_OPTION_ENDINGS)  # not `-dpass`, a pass of a compiler


@lru_cache(maxsize=4096)
def may_name_secret(name: str) -> bool:
    """Whether a value behind this name is a secret if it looks random: `auth`, `sid`, `signature`, `x-signing`."""
    words = parts(name)
    if not words:
        return False
    if words == ("encrypt",) or words[-2:] == ("secret", "id") or words[-1] == "sessionid":
        return True  # a login's second half, or the name of a secret: its value tells
    if words[-1] == "key":
        if _PUBLIC.intersection(words):
            return False
        return any(word in _SERVICES for word in words[:-1])
    return words[-1] in _RANDOM_ONLY or "".join(words) in _RANDOM_ONLY


def is_harmless(value: str, *, name: str = "", quoted: bool = False) -> bool:
    """Whether a value behind a secret's name is a reference, a placeholder, prose or code."""
    if not value or MASK in value or _MASKED.fullmatch(value):
        return True
    if value.strip(".,:!?()/").lower() in _HARMLESS_WORDS or value.strip(",;:|()[]{}<>&*+-=!.'\"`") == "":
        return True
    if _REFERENCE.fullmatch(value) or _PATH.fullmatch(value) or _is_placeholder(value, name):
        return True
    return not quoted and (value == name or _CODE.fullmatch(value) is not None)


def is_word_of_prose(word: str) -> bool:
    """Whether a sentence, rather than a password, would go on with this word."""
    return word.strip(".,:!?()").lower() in _HARMLESS_WORDS


def _is_placeholder(value: str, name: str) -> bool:
    """`--password PASSWORD`, `token=YOUR_TOKEN`; not `DB_PASSWORD=password`, which people do set."""
    if _PLACEHOLDER.fullmatch(value):
        return True
    value = value.strip("[](){}<>.,;")
    if not value.isupper() or not value.replace("_", "").replace("-", "").isalpha():
        return False
    return (
        names_secret(value)
        or value in {"VALUE", "STRING", "TEXT", "NAME", "KEY"}
        or value.startswith(("YOUR_", "YOUR-"))
    )


_WORD = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*[.,;:!?)]{0,2}")


def is_word(value: str) -> bool:
    """Letters alone, as in prose; also `don't` and `well-known`."""
    return _WORD.fullmatch(value) is not None


def is_small_number(value: str) -> bool:
    """Counts and sizes, as in `token: 42` and `pass: 41/42`; a password may be a number, a token is not."""
    value = value.removeprefix("v")
    return all(len(part) <= 5 and part.replace(".", "").replace("%", "").isdigit() for part in value.split("/", 1))


def looks_random(value: str, *, length: int = 16) -> bool:
    """Mixed letters and digits of at least this length, as in a generated token; not words joined by hyphens."""
    if len(value) < length:
        return False
    kinds = sum(1 for kind in _RANDOM_CLASSES if kind.search(value))
    return kinds == 3 or (kinds == 2 and value[:64].isalnum() and any(char.isdigit() for char in value))


def has_password_look(value: str) -> bool:
    """A digit or a symbol among the letters: what prose words don't have."""
    inner = value.strip(".,;:!?()\"'")
    return len(inner) >= 4 and any(not char.isalpha() and char not in "-'’" for char in inner)


def decodes_to_credentials(value: str) -> bool:
    """Whether this is base64 of `user:password`."""
    padded = value.rstrip("=")
    if len(padded) < 4:
        return False
    try:
        decoded = b64decode(
            padded + "=" * (-len(padded) % 4), altchars=b"-_" if set("-_") & set(padded) else None, validate=True
        )
    except (Base64Error, ValueError):
        return False
    return b":" in decoded and all(32 <= byte < 127 or byte > 160 for byte in decoded)
