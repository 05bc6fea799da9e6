"""What a command that only reads could carry away, or show to those who should not see it.

This is a pattern over the text and not over the tree: it never allows anything, it only asks for a second pair of eyes.
"""

import re

_CLIENT = r"(curl|wget|nc|ncat|socat|telnet|dig|drill|nslookup|host|ping6?)\b"
_BEFORE = r"\b(xargs|timeout|env|sudo|nice|time|do|then|else)\b[^;&|]*?"
_CLIENTS = re.compile(rf"(^|[;&|(`'\"]|{_BEFORE})\s*{_CLIENT}")
_FED = re.compile(rf"\|\s*(xargs\b[^|;&]*)?{_CLIENT}")
_PRECIOUS = re.compile(
    r"169\.254\.|\bmetadata\b|/dev/(sd|hd|vd|xvd|nvme|mapper|mem|kmem|dm-)|/proc/\d+/environ|/shadow"
)


def tells_too_much(command: str) -> bool:
    """Whether it hands what it reads to a network client, or reads raw devices or where credentials are given out."""
    carries = _FED.search(command) is not None or (_CLIENTS.search(command) and re.search(r"[$`<]", command))
    return bool(carries) or _PRECIOUS.search(command) is not None
