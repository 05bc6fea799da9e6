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


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SECRETS = _words(
    "password passwd passphrase passcode pass pwd passw pw secret token apikey authtoken "
    "accesstoken refreshtoken identitytoken registrytoken secretkey "
    "accesskey privatekey authkey encryptionkey signingkey masterkey appkey licensekey sessiontoken psk presharedkey "
    "requirepass masterauth bindpw rootpw olcrootpw credential credentials creds credstring kennwort passwort "
    "pgpassword pgpass mysqlpwd storepass keypass sshpass authpass rediscliauth userpass dbpass rootpass bearer "
    "accountkey sharedaccesskey sharedaccesssignature sharedkey jwt otp totp"
)
_SECRET_ENDINGS = ("password", "passwd", "passphrase", "secret", "apikey", "secretkey", "accesskey", "privatekey")
# What may stand before `key` to make it a secret; `primary_key` and `host_key` are none.
_KEYS = _words(
    "api access secret private encryption encrypt decryption signing sign master auth app"
    " application license account "
    "storage shared session crypt cipher hmac jwt aes des unseal recovery subscription co"
    "nsumer service webhook deploy "
    "preshared psk admin write read ingest functions function integration management client seal wep bot rsa dsa"
)
_QUALIFIERS = _words(
    "old new prod production dev test testing staging stage base value val b64 base64 enc"
    "oded plain plaintext text txt raw "
    "current previous prev primary secondary backup main default str string confirm confirmation again repeat verify "
    "rw ro live hash override"
)
_NEGATIONS = _words(
    "no ask prompt need needs require requires without hide skip clear reset expire change max min n num"
)
_CURSORS = _words("next page continuation continue cancellation sync resume starting marker previous prev pagination")
_PASS_ALONG = _words("proxy fastcgi uwsgi scgi grpc by")  # nginx's `proxy_pass`
_RANDOM_ONLY = _words("auth sessionid jsessionid phpsessid sessid sid session hmac signature")
_WHOLE_NAMES = frozenset({"clientkeydata", "userkeydata", "tlskey", "sshkeydata", "secretkeybase", "rediscliauth"})

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_HARMLESS_WORDS = _words(
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
    "bearer basic digest negotiate mandatory given provided specified stored instead field column header name type "
    "readonly read write refresh reset unlock unlocked locked sorry policy strength generation generator requisite "
    "sufficient include substack files systemd sss compat ldap nis request response bucket limit "
    "length rotation manager service server client user about after before while because than then but"
)
_REFERENCE = re.compile(
    r"\$\{(?:(?:env|file|sys|ssm|vault|secrets?):)?[^}:]*\}?|\$\([^)]*\)?|\$[A-Z_][A-Z0-9_]*|\$env:\w+|\$(?:\w*(?:pass|pw|secret|token|key|cred)\w*)|"
    r"\{\{.*|\{%.*|\{[A-Za-z_.]*\}|%[A-Z_]{2,}%|%\([\w.]+\)[sd]|%[sdvq]|<[^<>]*>?|\[[A-Za-z _-]+\]?|"
    r"\@\w+@|!(?:vault|Ref|Sub|GetAtt|ImportValue|reference|secret)\b.*|ENC\[.*|arn:aws.*|op://.*|ref\+.*|"
    r"vault:.*|ssm:.*|sm://.*|file:.*|env:.*|fd:\d+|projects/[\w-]+/secrets/.*|\.\.\.|…"
)
_MASKED = re.compile(r"[*•.\-_#?●…]+|[xX]{3,}|[xX*]{2,}")
_PATH = re.compile(r"(?:~|\.{1,2}|[A-Za-z]:)?(?:[/\\][a-z0-9_.@-]+){1,}[/\\]?|~")
_CODE = re.compile(
    r"[A-Za-z_][\w.]*\(.*|[a-z_][\w.]*\[.*|(?:self|this|os"
    r"|env|config|cfg|settings|params|args|opts|options|request"
    r"|req|"
    r"process|ctx|context|data|kwargs|user|conf|values?|secrets|vars?|local|module|each)(?:\.[A-Za-z_]\w*)+\)*"
)
_RANDOM_CLASSES = (re.compile(r"[a-z]"), re.compile(r"[A-Z]"), re.compile(r"[0-9]"))


@lru_cache(maxsize=4096)
def parts(name: str) -> tuple[str, ...]:
    """The lower-case parts of a name; `PGPassword` gives `pg`, `password`."""
    return tuple(part.lower() for part in _PART.findall(name))


@lru_cache(maxsize=4096)
def names_secret(name: str) -> bool:
    """Whether what stands behind this name, as an assignment or an option, is a secret."""
    words = list(parts(name))
    if not words or words[0] in _NEGATIONS:
        return False
    if "".join(words) in _WHOLE_NAMES:
        return True
    while len(words) > 1 and (words[-1].isdigit() or words[-1] in _QUALIFIERS):
        words.pop()
    last = words[-1]
    if last == "token" and len(words) > 1 and words[-2] in _CURSORS:
        return False
    if last == "pass" and len(words) > 1 and words[-2] in _PASS_ALONG:
        return False
    if last == "key":
        return len(words) > 1 and (words[-2] in _KEYS or words[-2] in _SECRETS)
    if last == "auth":
        return words[-2:] in (["cli", "auth"], ["redis", "auth"], ["master", "auth"])
    return last in _SECRETS or last.endswith(_SECRET_ENDINGS) or "".join(words[-2:]) in _SECRETS


@lru_cache(maxsize=4096)
def may_name_secret(name: str) -> bool:
    """Whether a value behind this name is a secret if it looks random: `auth`, `sid`, `signature`, `x-signing`."""
    words = parts(name)
    return bool(words) and (words[-1] in _RANDOM_ONLY or "".join(words) in _RANDOM_ONLY)


def is_harmless(value: str, *, name: str = "", quoted: bool = False) -> bool:
    """Whether a value behind a secret's name is a reference, a placeholder, prose or code."""
    if not value or MASK in value or _MASKED.fullmatch(value):
        return True
    if value.strip(".,:!?()").lower() in _HARMLESS_WORDS or value.strip(",;:|()[]{}<>&*+-=!.'\"`") == "":
        return True
    if _REFERENCE.fullmatch(value) or _PATH.fullmatch(value) or _is_placeholder(value, name):
        return True
    return not quoted and (value == name or _CODE.fullmatch(value) is not None)


def _is_placeholder(value: str, name: str) -> bool:
    """`--password PASSWORD`, `token=YOUR_TOKEN`; not `DB_PASSWORD=password`, which people do set."""
    value = value.strip("[](){}<>.,;")
    if not value.isupper() or not value.replace("_", "").replace("-", "").isalpha():
        return False
    return (
        names_secret(value)
        or value in {"VALUE", "STRING", "TEXT", "NAME", "KEY"}
        or value.startswith(("YOUR_", "YOUR-"))
    )


def is_small_number(value: str) -> bool:
    """Counts and sizes, as in `token: 42`; a password may be a number, a token is not."""
    return len(value) <= 5 and value.replace(".", "").replace("%", "").isdigit()


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
