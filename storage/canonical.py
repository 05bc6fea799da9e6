"""Canonical JSON: the same value is always the same text, so that hashes over it mean something."""

import hashlib
import json
from typing import Any


def canonical(value: Any) -> str:
    """Sorted keys, no spaces, UTF-8 as it is; raises ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256(value: Any) -> str:
    """SHA-256 of the canonical text, in hex."""
    # A lone surrogate (possible in JSON from outside) has no UTF-8 form; it still has to hash to something stable.
    return hashlib.sha256(canonical(value).encode("utf-8", "backslashreplace")).hexdigest()
