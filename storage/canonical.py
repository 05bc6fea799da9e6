"""Values as text: canonical JSON, always the same for the same value, so that hashes over it mean something; and text
that every database can keep."""

import hashlib
import json
import re
from typing import Any

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_UNSTORABLE_IN_JSON = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


def canonical(value: Any) -> str:
    """Sorted keys, no spaces, UTF-8 as it is; raises ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256(value: Any) -> str:
    """SHA-256 of the canonical text, in hex."""
    # A lone surrogate (possible in JSON from outside) has no UTF-8 form; it still has to hash to something stable.
    return hashlib.sha256(canonical(value).encode("utf-8", "backslashreplace")).hexdigest()


def storable(text: str) -> str:
    """The same with a mark for each NUL and half of a character: what came from outside must not be what nobody can
    write down.
    """
    if text.isascii() and "\x00" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def json_text(value: Any) -> str:
    """JSON that every database can keep; see `storable`."""
    text = json.dumps(value)
    return json.dumps(_storable(value)) if _UNSTORABLE_IN_JSON.search(text) else text


def _storable(value: Any) -> Any:
    match value:
        case str():
            return storable(value)
        case dict():
            return {_storable(key): _storable(one) for key, one in value.items()}
        case list() | tuple():
            return [_storable(one) for one in value]
        case _:
            return value
