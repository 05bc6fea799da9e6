"""Tokens that are recognised by their shape alone, wherever they stand.

One entry per family. Every shape has a run of at least twenty characters of `[A-Za-z0-9_-]` (`has_long_run`); a line
without one is never looked at. Shapes follow what the providers say about their prefixes, kept a little wider.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from safety.redaction.names import looks_random, words_of

Span = tuple[int, int]
# Runs shorter than twenty are stepped over as wholes, so that each character is looked at once.
has_long_run = re.compile(r"(?:[\w-]{0,19}+[^\w-])*+[\w-]{20}", re.ASCII).match


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A token's form. `accept` looks at what was found, where the form alone would also meet ordinary words."""

    pattern: re.Pattern[str]
    accept: Callable[[str], bool] = lambda found: True


def _shape(pattern: str, accept: Callable[[str], bool] = lambda found: True) -> Shape:
    return Shape(pattern=re.compile(pattern), accept=accept)


def _random(found: str) -> bool:
    return looks_random(found, length=20)


def _mixed(found: str) -> bool:
    """Digits and both cases: rules out names such as `sk-learn-contrib-extensions`."""
    tail = found[3:]
    return any(char.isdigit() for char in tail) and (
        any(char.isupper() for char in tail) or re.search(r"[0-9a-f]{24}", tail) is not None
    )


# Prefixes that nothing else has; what follows is the token. One alternation, because it is tried on every long run.
_PREFIXED = (
    r"xox[abcdeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}",  # Slack
    r"xoxd-[A-Za-z0-9%+/=-]{20,}|xapp-\d-[A-Za-z0-9-]{10,}|xwfp-[A-Za-z0-9-]{10,}",
    r"gh[pousr]_[A-Za-z0-9_]{20,}|github_pat_[A-Za-z0-9_]{20,}",  # GitHub
    r"gl(?:pat|ptt|dt|rt|rtr|cbt|soat|ft|imt|agent|oas|ffct"
    r"|wt)-[A-Za-z0-9_.=-]{16,}|GR1348941[A-Za-z0-9_-]{20}",  # GitLab
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])|ABSK[A-Za-z0-9+/=]{60,}",  # AWS
    r"AIza[A-Za-z0-9_-]{30,}|GOCSPX-[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_.-]{20,}|1//0[A-Za-z0-9_-]{20,}",  # Google
    r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{20,}",  # Stripe
    r"SK[0-9a-f]{32}(?![0-9a-zA-Z])",  # Twilio
    r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}",  # SendGrid
    r"npm_[A-Za-z0-9]{30,}|pypi-Ag[A-Za-z0-9_-]{16,}|rubygems_[a-f0-9]{32,}|cio[A-Za-z0-9]{32}(?![A-Za-z0-9])",
    r"do[oprt]_v1_[a-f0-9]{32,}|HRKU-[A-Za-z0-9_-]{20,}",  # DigitalOcean, Heroku
    r"NR(?:AK|II|JS|BR|RA|IQ|SP)-[A-Za-z0-9_-]{18,}|[A-Fa-f0-9]{32,36}(?:FFFF)?NRAL(?![A-Za-z0-9])",  # New Relic
    r"hv[sbr]\.[A-Za-z0-9_-]{20,}",  # Vault
    r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{40,}",  # Terraform Cloud
    r"AGE-SECRET-KEY-(?:PQ-)?1[A-Z0-9]{40,}",  # age
    r"RWR(?:TY0Iy|CSwAA)[A-Za-z0-9+/]{100,}={0,2}",  # minisign, signify
    r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}|SWMTKN-1-[a-z0-9-]{40,}|SWMKEY-1-[A-Za-z0-9+/-]{20,}",  # Docker
    r"ATATT3[A-Za-z0-9_=-]{20,}|ATCTT3[A-Za-z0-9_=-]{20,}"
    r"|ATBB[A-Za-z0-9]{20,}|ATSTT3[A-Za-z0-9_=-]{20,}",  # Atlassian
    r"lin_(?:api|oauth)_[A-Za-z0-9]{20,}|sntry[su]_[A-Za-z0-9_+/=-]{20,}",  # Linear, Sentry
    r"shp(?:at|ca|pa|ss|tka|ua)_[A-Fa-f0-9]{30,}",  # Shopify
    r"(?:pub)?key-[0-9a-z]{32}(?![0-9a-zA-Z])|[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}(?![0-9a-zA-Z-])",  # Mailgun
    r"[0-9a-f]{32}-us\d{1,2}(?!\w)|xkeysib-[A-Za-z0-9-]{40,}|xsmtpsib-[A-Za-z0-9-]{40,}",  # Mailchimp, Brevo
    r"\d{8,10}:AA[A-Za-z0-9_-]{30,36}(?![A-Za-z0-9_-])|\d{8,10}:[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",  # Telegram
    r"[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}|[A-Za-z0-9]{60,90}AZDO[A-Za-z0-9]{4}",  # Azure
    r"gsk_[A-Za-z0-9]{40,}|hf_[A-Za-z0-9]{30,}|r8_[A-Za-z0-9]{36,}|pplx-[A-Za-z0-9]{40,}|xai-[A-Za-z0-9]{60,}",
    r"glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}|glc_[A-Za-z0-9+/=_-]{32,}",  # Grafana
    r"dapi[a-f0-9]{32}(?:-\d)?|dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{30,}"
    r"|dt0[a-z]\d\d\.[A-Z0-9]{20,}\.[A-Z0-9]{40,}",
    r"figd_[A-Za-z0-9_-]{30,}|fo1_[A-Za-z0-9_-]{40,}|fm[12][ra]?_[A-Za-z0-9+/=]{60,}"
    r"|ntn_[A-Za-z0-9]{40,}|secret_[A-Za-z0-9]{43}",
    r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9=._-]{30,}|PMAK-[A-Za-z0-9-]{40,}"
    r"|pul-[a-f0-9]{40}|tskey-[a-z]+-[A-Za-z0-9-]{15,}",
    r"sbp_[a-f0-9]{40}|sb_secret_[A-Za-z0-9_-]{20,}|tfp_[A-Za-z0-9_.=-]{40,}"
    r"|sq[pua]_[a-f0-9]{40}|sq0(?:csp|atp)-[A-Za-z0-9_-]{22,}",
    r"AKCp[A-Za-z0-9]{60,}|CCIPAT_[A-Za-z0-9_]{30,}|bkua_[a-f0-9]{40}"
    r"|CFPAT-[A-Za-z0-9_-]{40,}|EZ[AT]K[A-Za-z0-9]{54}|nfp_[A-Za-z0-9]{36}",
    r"rdme_[a-z0-9]{60,}|pnu_[A-Za-z0-9]{36}|aio_[A-Za-z0-9]{28}"
    r"|LTAI[A-Za-z0-9]{16,24}(?![A-Za-z0-9])|ico-[A-Za-z0-9]{32}",
    r"ops_eyJ[A-Za-z0-9_-]{40,}|EAAA[A-Za-z0-9_-]{60,}|EAAC[A-Za-z0-9]{60,}"
    r"|rnd_[A-Za-z0-9]{32}|v1\.0-[a-f0-9]{24}-[a-f0-9]{146}",
    r"rzp_(?:live|test)_[A-Za-z0-9]{14,}|access-(?:production|sandbox|development)-[0-9a-f-]{36}|pcsk_[A-Za-z0-9_]{40,}"
    r"|access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}|pk_\d{6,10}_[A-Z0-9]{32}|napi_[a-z0-9]{50,}",
    r"eyJwYXlsb2FkIjoi[A-Za-z0-9+/=]{60,}|eyJrIjoi[A-Za-z0-9+/=]{30,}|lsv2_[a-z]{2}_[0-9a-f]{32}_[0-9a-f]{10}|mfa\.[A-Za-z0-9_-]{60,}"
    r"|v[1-4]\.local\.[A-Za-z0-9_-]{40,}",
    r"sl\.[A-Za-z0-9_-]{100,}|\d/\d{16}:[0-9a-f]{32}|A3-(?:[A-Z0-9]{6}-){2}(?:[A-Z0-9]{5}-){3}[A-Z0-9]{5}"
    r"|hcaik_[a-z0-9]{50,}",
    r"(?:IQoJb3JpZ2lu|FwoGZXIvYXdz|AQoDYXdz)[A-Za-z0-9+/=]{60,}|sha256~[A-Za-z0-9_-]{40,}|K10[0-9a-f]{64}::[\w:-]{10,}",
    r"(?:sdk|api|mob)-[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[a-f0-9]{4}-[a-f0-9]{12}",  # LaunchDarkly
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,3}",  # JWT, JWE
)

SHAPES: tuple[Shape, ...] = (
    _shape(r"(?<![A-Za-z0-9_/+.-])(?:" + "|".join(_PREFIXED) + ")"),
    # After a separator such as `=` in `X=AKIA…` the look-behind above holds; after `/` or `.` only these may stand.
    _shape(
        r"(?<=[/._+-])(?<![A-Za-z0-9][_+-])(?:xox[bpae]-\d[A-Za-z0-9-]{10,}"
        r"|gh[pousr]_[A-Za-z0-9]{30,}|(?:AKIA|ASIA)[A-Z0-9]{16}"
        r"(?![A-Za-z0-9]))"
    ),
    _shape(r"(?<![A-Za-z0-9_-])sk-(?:ant-|proj-|svcacct-|admin-|or-v1-|lf-)?[A-Za-z0-9_-]{20,}", _mixed),
    _shape(
        r"(?<![A-Za-z0-9_.-])[MNO][A-Za-z0-9_-]{22,28}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}(?![A-Za-z0-9_.-])",
        _random,
    ),
    _shape(r"(?<![A-Za-z0-9_.-])[sb]\.[A-Za-z0-9]{24,100}(?![A-Za-z0-9_.-])", _mixed),
    _shape(r"(?<![A-Za-z0-9+/=])AQ[A-Za-z0-9+/]{36}==(?![A-Za-z0-9=])", _mixed),  # Ceph
    _shape(r"(?<![A-Za-z0-9])S[ACNOUX][A-Z2-7]{56}(?![A-Za-z0-9])"),  # the seed of a NATS key
    _shape(r"(?<![A-Za-z0-9_.-])pat[A-Za-z0-9]{14}\.[a-f0-9]{64}"),
    _shape(r"(?<![\w*])\*[0-9A-F]{40}(?!\w)|(?<!\w)md5[0-9a-f]{32}(?!\w)"),  # password hashes of MySQL and PostgreSQL
    _shape(r"(?<![0-9a-zA-Z])(?<=AC[0-9a-f]{32}:)[0-9a-f]{32}(?![0-9a-zA-Z])"),
    _shape(r"(?<=/services/)T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{16,}"),
    _shape(r"(?<=/triggers/)[TE][A-Z0-9]{6,}/\d{6,}/[a-z0-9]{16,}"),
    _shape(r"(?<=/workflows/)T[A-Z0-9]{6,}/[A-Z0-9]{6,}/\d+/[A-Za-z0-9]{16,}"),
    _shape(r"(?<=/hooks/)[a-z0-9]{26}(?![\w-])"),
    _shape(r"(?<=/webhooks/)\d{15,22}/[A-Za-z0-9_-]{50,}"),
    _shape(r"(?<=office\.com/webhook/)[a-f0-9-]{36}@[a-f0-9-]{36}/IncomingWebhook/[a-f0-9]{32}/[a-f0-9-]{36}"),
    _shape(r"(?<=/webhookb2/)[a-f0-9-]{36}@[a-f0-9-]{36}/IncomingWebhook/[a-f0-9]{32}/[a-f0-9-]{36}"),
    _shape(r"(?<=/bot)\d{8,10}:[A-Za-z0-9_-]{30,}"),
    _shape(
        r"(?<![A-Za-z0-9+/])(?:LS0tLS1CRUdJTi[A-Za-z0-9+/]{8,40}UFJJVkFURSBLRVk"
        r"|LS0tLS1CRUdJTi[A-Za-z0-9+/]{0,40}(?:BSSVZBVEUgS0VZ"
        r"|QUklWQVRFIEtFW))[A-Za-z0-9+/=]{0,20000}"
    ),
)


_PLACEHOLDER = re.compile(r"[A-Za-z0-9]{1,10}(?:[_-][A-Za-z]{2,5})?[-_.]?[xX*-]{8,}")

# A provider nobody listed: a word or two, and behind `_`, `-` or `.` a long random run. Ids are written the same way.
# What decides is what the words say, then the run's length: ids have up to 31 characters, or the words name a thing.
_WORD_AND_RUN = re.compile(
    r"(?<![\w/+.@%\\-])(?<!\"[nxy]\":\")(?<!\"[nxy]\": \")[A-Za-z][A-Za-z0-9]{0,14}[_.-][A-Za-z0-9_-]{20,}+"
    r"(?![@+/]\w|={1,2}[^\s=]|\.[A-Za-z0-9]|\\)",
    re.ASCII,
)
_SECRECY = frozenset({"secret", "sk", "rk", "token", "tok", "pat", "oat", "sat", "apikey"})
_STAGES = frozenset({"live", "test", "sandbox"})  # behind the provider's name
_NO_TOKENS = words_of(
    "pk pub public publishable cs id ids uid guid uuid usr user cus customer acct account org team proj "
    "project prj ws workspace ch pi evt event sub price product pm inv invoice req request resp response "
    "msg message file thread run asst batch dpl deploy deployment build release commit rev ref refs tag "
    "img image layer sha1 sha256 sha384 sha512 sha md5 hash digest checksum integrity etag cache chunk "
    "webpack app main page bundle vendor css js trace span correlation idempotency session sess conn "
    "connection stream node task job step pod container ctr volume vol snap snapshot backup tmp temp pack "
    "pkg lib vm vpc subnet sg eni ami lt operation op order cart checkout shipment card src txn tx "
    "payment payout refund transfer blob object obj etcd docker k8s php svc pvc pv ns rs db cri crio http "
    "https tls ssh gpg rpm deb html xml pdf png jpg txt tcp fs zfs lxc kvm pr pg mq fn stg prd srv mgr "
    "git svn hg fingerprint fp thumbprint kid nonce cid did ipfs bafy log trc key_id kernel module test "
    "tests linux ubuntu debian"
)
_VOWEL = re.compile(r"[aeiouyAEIOUY]")
_CODE = re.compile(r"[a-z]{1,3}\d[a-z]{1,2}")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")


def _is_a_providers_token(found: str) -> bool:
    if "_ZN" in found:
        return False  # a compiler's name of a function
    pieces = re.split(r"[_.-]", found)
    lead = 1
    while lead < min(3, len(pieces) - 1) and len(pieces[lead]) <= 10 and (pieces[lead].islower() or lead == 0):
        lead += 1
    words = [piece.lower() for piece in pieces[:lead]]
    sure = next((n for n, word in enumerate(words) if word in _SECRECY or (n and word in _STAGES)), None)
    if any(word in _NO_TOKENS for n, word in enumerate(words) if n != sure):
        return False
    if sure is not None:
        return _is_random_run("_".join(pieces[sure + 1 :]), shortest=20)
    run = "_".join(pieces[1:])
    if _HEX.fullmatch(run):
        code = len(words[0]) <= 6 and (not _VOWEL.search(words[0]) or _CODE.fullmatch(words[0]) is not None)
        return code and len(run) >= 32 and _is_random_run(run, shortest=32)
    return len(pieces[-1]) + len(run) >= 32 and any(map(str.isupper, run)) and _is_random_run(run, shortest=32)


def _is_random_run(run: str, *, shortest: int) -> bool:
    """Digits among letters, changing often, parted at most by the two signs of base64: no words, dates, camel case."""
    if len(run) < shortest:
        return False
    kinds = ["d" if char.isdigit() else "u" if char.isupper() else "l" if char.islower() else "_" for char in run]
    digits, parted = kinds.count("d"), kinds.count("_")
    changes = sum(1 for one, other in pairwise(kinds) if one != other) / len(run)
    if "u" in kinds and "l" in kinds:
        longest = max(len(piece) for piece in re.split(r"[_-]", run))
        even = digits >= 2 or (digits == 1 and changes >= 0.5)
        even = even and 4 * kinds.count("u") >= kinds.count("u") + kinds.count("l")
        return even and changes >= 0.4 and (not parted or (parted <= len(run) / 8 and longest >= 10))
    return not parted and digits >= 3 and digits < len(run) and changes >= 0.2


def tokens(line: str) -> Iterator[Span]:
    """Where tokens stand in the line."""
    if not has_long_run(line):
        return
    for shape in SHAPES:
        for match in shape.pattern.finditer(line):
            if shape.accept(match[0]) and not _PLACEHOLDER.fullmatch(match[0]):
                yield match.span()
    for match in _WORD_AND_RUN.finditer(line):
        if _is_a_providers_token(match[0]):
            yield match.span()
    yield from _next_to_an_access_key(line)
    if "==" in line and not _SAYS_DIGEST.search(line):
        yield from (match.span() for match in _KEY_OF_64_BYTES.finditer(line) if looks_random(match[0][:64]))


# Keys of Azure's accounts and tokens of InfluxDB: 64 bytes in base64. So are digests, signatures and public keys, which
# say so.
_KEY_OF_64_BYTES = re.compile(r"(?<![\w+/-])[A-Za-z0-9+/_-]{86}==(?![\w=])", re.ASCII)
_SAYS_DIGEST = re.compile(
    r"(?i)sha-?512|blake2|integrity|digest|checksum|hash|sig(?:nature)?\b|public|ed25519|dnskey|rrsig|ecdsa|cert"
)
_ACCESS_KEY = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{16}")
_SECRET_KEY = re.compile(r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")


def _next_to_an_access_key(line: str) -> Iterator[Span]:
    """Programs print an AWS secret key in a column beside its id, without its name."""
    if "AKIA" not in line and "ASIA" not in line:
        return
    if _ACCESS_KEY.search(line):
        yield from (match.span() for match in _SECRET_KEY.finditer(line) if looks_random(match[0], length=40))
