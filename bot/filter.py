"""`handrail redact`: bytes in, the same bytes out but for the secrets among them.

Text is passed on by the line, as soon as the line is complete; a line that never ends comes in pieces. Bytes that are
no UTF-8 pass through as they are.
"""

import codecs
import json
from typing import BinaryIO

from safety.redaction import Redactor
from storage.errors import Invalid

CHUNK = 65_536  # bytes read at once, and less when that is all there is


def redact_text(source: BinaryIO, sink: BinaryIO, redactor: Redactor) -> None:
    """Everything from `source` stands in `sink`, redacted. `source.read1` gives what is there, at most CHUNK bytes."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    redacting = redactor.filter()
    while chunk := source.read1(CHUNK):  # type: ignore[attr-defined]
        if done := redacting.feed(decoder.decode(chunk)):
            _pass_on(sink, done)
    _pass_on(sink, redacting.feed(decoder.decode(b"", final=True)) + redacting.close())


def _pass_on(sink: BinaryIO, text: str) -> None:
    sink.write(text.encode("utf-8", "surrogateescape"))
    sink.flush()  # someone may be reading along


def redact_json(source: BinaryIO, sink: BinaryIO, redactor: Redactor) -> None:
    """Each line's object stands in `sink` with its `text` redacted; a line in which nothing is secret, byte for byte.

    Raises Invalid for the first line that holds no object with a text; what came before it has been passed on. The
    message shows nothing of the line, since it may hold a secret.
    """
    for number, raw in enumerate(source, 1):
        line = raw.decode("utf-8", "surrogateescape")
        if line.strip():
            sink.write(_redacted(line, number, redactor).encode("utf-8", "surrogateescape"))
        else:
            sink.write(raw)
        sink.flush()


def _redacted(line: str, number: int, redactor: Redactor) -> str:
    try:
        item = json.loads(line)
    except (ValueError, RecursionError):
        raise Invalid(f"Line {number} is no JSON. Write one object a line, with `text`.") from None
    if not isinstance(item, dict):
        raise Invalid(f"Line {number} is JSON but no object. Write one object a line, with `text`.")
    if "text" not in item:
        raise Invalid(f"Line {number} has no `text`. Name the text to redact `text`.")
    if not isinstance(item["text"], str):
        raise Invalid(f"In line {number} `text` is no string. Put the text to redact in quotes.")
    redacted = redactor.redact(item["text"])
    if not redacted.altered:
        return line
    item["text"] = redacted.text
    end = line[len(line.rstrip("\r\n")) :]
    # An escaped half of a character can't be written as itself; as an escape it can.
    return json.dumps(item, ensure_ascii="\\ud" in line.lower()) + end
