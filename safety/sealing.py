"""Secrets at rest: a value that shows itself to nobody by accident, the keys, and the envelope it is kept in.

A sealed text is `1.KEYID.NONCE.CIPHERTEXT`: AES-256-GCM with a nonce of its own, bound to table, column and name, so
that it opens in its own row only. Of several keys the first seals and all open: that is how keys are changed.
"""

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NoReturn, final

from safety.redaction import MASK
from storage.errors import ConfigurationError, Invalid, SecretUnavailable

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = "1"
SHORTEST, LONGEST = 6, 65_536
"""Characters of a value. A shorter one could not be masked where a program prints it."""


@final
class Secret:
    """A value that only `reveal` gives away. It prints as a mask, can't be pickled, and compares in constant time."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value. Call it where it is used, and keep it in no attribute."""
        return self.__value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = self.__value.encode("utf-8", "surrogatepass"), other.__value.encode("utf-8", "surrogatepass")
        return hmac.compare_digest(mine, theirs)

    __hash__ = None  # type: ignore[assignment]

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not written anywhere")


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*(/[A-Za-z0-9][A-Za-z0-9._@-]*)*")


def checked_name(name: str) -> str:
    """A name a secret may have, like `host/web-01/password`. Raises Invalid."""
    if len(name) > 200 or not _NAME.fullmatch(name):
        raise Invalid(
            f"{name[:200]!r} is no name for a secret: words of letters, digits, dots, dashes, underscores and @, with "
            "slashes between them, like host/web-01/password."
        )
    return name


def checked_value(name: str, value: str) -> Secret:
    """A value that can be kept. Raises Invalid, which does not repeat it."""
    if not SHORTEST <= len(value) <= LONGEST:
        raise Invalid(
            f"The value for '{name}' has {len(value)} characters; it needs {SHORTEST} to {LONGEST}. A shorter one "
            "could not be recognised, and so not be masked, in what a host prints."
        )
    if "\x00" in value:
        raise Invalid(f"The value for '{name}' holds a NUL character, which no password or key has.")
    return Secret(value)


# --- keys -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, repr=False)
class Key:
    """One key. `id` is public: the beginning of a hash over it."""

    id: str
    raw: Secret  # base64

    def __repr__(self) -> str:
        return f"Key({self.id})"

    def cipher(self) -> Any:
        """The AES-GCM made of it."""
        # Imported here because it takes longer than throwing a kill switch, which reads the same settings.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(base64.b64decode(self.raw.reveal()))


def new_key() -> str:
    """A new random key, as it is written into the environment or a file."""
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def parse_key(text: str) -> Key:
    """32 bytes as base64 (either alphabet) or 64 hexadecimal digits. Raises Invalid, which does not repeat it."""
    raw = _bytes(text.strip())
    if raw is None or len(raw) != KEY_BYTES:
        raise Invalid("it is not 32 bytes in base64 or hexadecimal")
    if all(0x20 <= byte < 0x7F for byte in raw):
        raise Invalid("it is made of text, not of random bytes")
    if len(set(raw)) < KEY_BYTES // 2:  # of 32 random bytes, about 30 differ
        raise Invalid("its bytes repeat, so it is not random")
    number = sha256(b"handrail key id\x00" + raw).hexdigest()[:16]
    return Key(id=number, raw=Secret(base64.b64encode(raw).decode()))


def _bytes(text: str) -> bytes | None:
    if re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        return bytes.fromhex(text)
    if not re.fullmatch(r"[A-Za-z0-9+/_-]{43}=?", text):
        return None
    try:
        return base64.b64decode(text.rstrip("=").translate(str.maketrans("-_", "+/")) + "=", validate=True)
    except binascii.Error:
        return None


def parse_keyring(text: str, source: str) -> "Keyring":
    """Keys separated by commas or line ends; the first one seals. Raises ConfigurationError, naming `source`."""
    keys: list[Key] = []
    complaints: list[str] = []
    written = [
        part.strip() for line in text.splitlines() if not line.lstrip().startswith("#") for part in line.split(",")
    ]
    for place, part in enumerate(filter(None, written), 1):
        try:
            keys.append(parse_key(part))
        except Invalid as error:
            which = f"key {place} of {source}" if place > 1 else source
            complaints.append(f"{which}: {error.message}. `handrail secrets key` prints a new one.")
    if not keys and not complaints:
        complaints.append(f"{source} holds no key. `handrail secrets key` prints a new one.")
    if len({key.id for key in keys}) < len(keys):
        complaints.append(f"{source} holds a key twice.")
    if complaints:
        raise ConfigurationError(complaints)
    return Keyring(keys=tuple(keys))


# --- sealing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Keyring:
    """The keys we have; none is a ring that opens nothing and says what to do."""

    keys: tuple[Key, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids, the one that seals first."""
        return tuple(key.id for key in self.keys)

    def held(self) -> list[str]:
        """Every text that gives a key away, for redaction."""
        found: list[str] = []
        for key in self.keys:
            text = key.raw.reveal()
            found += [text.rstrip("="), text.translate(str.maketrans("+/", "-_")).rstrip("=")]
            found.append(base64.b64decode(text).hex())
        return found

    def first(self) -> Key:
        """The key that seals. Raises SecretUnavailable."""
        if not self.keys:
            raise SecretUnavailable(
                "There is no key to seal with. `handrail secrets key` prints one: put it into HANDRAIL_SECRET_KEY, or "
                "into a file that HANDRAIL_SECRET_KEY_FILE names."
            )
        return self.keys[0]

    def seal(self, name: str, secret: Secret) -> str:
        """The envelope; another one each time. Raises SecretUnavailable without a key."""
        key, nonce = self.first(), secrets.token_bytes(NONCE_BYTES)
        sealed = key.cipher().encrypt(nonce, secret.reveal().encode("utf-8", "surrogatepass"), _bound(name, key.id))
        return ".".join((VERSION, key.id, _text(nonce), _text(sealed)))

    def open(self, name: str, sealed: str) -> Secret:
        """The value that was sealed under this name. Raises SecretUnavailable: it names the secret and what to do."""
        from cryptography.exceptions import InvalidTag

        parts = _parts(sealed)
        if parts is None:
            raise SecretUnavailable(_broken(name))
        key_id, nonce, cipher = parts
        key = next((key for key in self.keys if key.id == key_id), None)
        if key is None:
            raise SecretUnavailable(_no_key(name, key_id, self.ids))
        try:
            return Secret(key.cipher().decrypt(nonce, cipher, _bound(name, key_id)).decode("utf-8", "surrogatepass"))
        except (InvalidTag, ValueError):
            raise SecretUnavailable(_broken(name)) from None


def _bound(name: str, key_id: str) -> bytes:
    """What an envelope is bound to, besides its key."""
    return "\x00".join(("handrail", VERSION, "credentials", "sealed", name, key_id)).encode()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _parts(sealed: str) -> tuple[str, bytes, bytes] | None:
    parts = sealed.split(".")
    if len(parts) != 4 or parts[0] != VERSION:
        return None
    try:
        nonce, cipher = (base64.b64decode(part + "=" * (-len(part) % 4), "-_", validate=True) for part in parts[2:])
    except (binascii.Error, ValueError):
        return None
    return (parts[1], nonce, cipher) if len(nonce) == NONCE_BYTES else None


def _broken(name: str) -> str:
    return (
        f"The secret '{name}' does not open: its row in the database was changed, or moved from another name. Store it "
        f"again with `handrail secrets set {name}`, and find out who changed it."
    )


def _no_key(name: str, key_id: str, ours: Sequence[str]) -> str:
    have = f"we have {', '.join(ours)}" if ours else "none is set"
    return (
        f"The secret '{name}' cannot be opened: it was sealed with the key {key_id}, and {have}. Add that key to "
        "HANDRAIL_SECRET_KEY or its file, behind the first one, or store the value again with "
        f"`handrail secrets set {name}`."
    )
