"""Redaction: no secret with a form survives, nothing else changes, and no text is slow."""

import json
import os
import random
import re
import shlex
import time
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha384
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from safety.redaction import LONGEST_LINE, MASK, Redacted, Redactor

CORPORA = Path(__file__).parent.parent / "corpora" / "redaction"
FUZZ = settings(max_examples=int(os.environ.get("HANDRAIL_FUZZ_EXAMPLES", "200")), deadline=None)

LOWER, UPPER, DIGITS = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
ALPHABETS = {
    "alnum": LOWER + UPPER + DIGITS,
    "b64": LOWER + UPPER + DIGITS + "+/",
    "b64url": LOWER + UPPER + DIGITS + "-_",
    "crypt": LOWER + UPPER + DIGITS + "./",
    "hex": "0123456789abcdef",
    "uhex": "0123456789ABCDEF",
    "upper": UPPER + "234567",
    "lower": LOWER + DIGITS,
    "letters": LOWER + UPPER,
    "digits": DIGITS,
}
PASSWORDS = (
    "hunter2",
    "S3cr3t!",
    "p@ssw0rd#1",
    "Tr0ub4dor&3",
    "a%b^c*d",
    "x1.y2-z3",
    "q",
    "Ab,c9d",
    "1Zq=t+u",
    "k~v?w0",
    "changeme",
)
QUOTED = (*PASSWORDS, "two words 1", "semi;colon1", "a|b>c<d9", "it is & that", "{brace}9", "[x] y(z)2")
WORDS = ("swordfish", "opensesame", "letmein", "dragon")
KINDS = {
    "pw": PASSWORDS,
    "pw2": tuple(word for word in PASSWORDS if ";" not in word),
    "pw3": tuple(word for word in PASSWORDS if not set(word) & set("&,+%")),
    "pw4": tuple(word for word in PASSWORDS if not set(word) & set("@/:;")),
    "pw5": tuple(word for word in PASSWORDS if len(word) > 3),
    "pw6": ("hunter2", "S3cr3t!", "Tr0ub4dor&3"),
    "pwurl": tuple(word for word in PASSWORDS if not set(word) & set("#?/&=+%,")),
    "any": QUOTED,
    "any2": (*PASSWORDS, *WORDS),
    "word": WORDS,
    "pin": ("123456", "00000000"),
}


def corpus(name: str) -> list[str]:
    lines = (CORPORA / name).read_text(encoding="utf-8").split("\n")
    return [line for line in lines if line and not line.startswith("# ")]


def filled(template: str, seed: int) -> tuple[str, str, list[str]]:
    """The text of a template, what it must become, and its secrets."""
    dice = random.Random(f"{seed} {template}")  # noqa: S311 - repeatable, not secret
    secrets: list[str] = []
    pieces = re.split(r"«(.*?)»", template)
    for index in range(1, len(pieces), 2):
        pieces[index] = re.sub(r"\{(\w+)(?::(\d+))?\}", lambda match: made(match, dice), pieces[index])
        secrets.append(pieces[index])
    return "".join(pieces), "".join(MASK if index % 2 else piece for index, piece in enumerate(pieces)), secrets


def made(match: re.Match[str], dice: random.Random) -> str:
    kind, length = match[1], match[2]
    if kind == "basic":
        return b64encode(f"bob:{dice.choice(PASSWORDS)}".encode()).decode()
    if kind in KINDS:
        return dice.choice(KINDS[kind])
    if kind not in ALPHABETS:
        return match[0]
    while True:
        text = "".join(dice.choices(ALPHABETS[kind], k=int(length)))
        if int(length) < 20 or any(char.isdigit() for char in text) or kind == "letters":
            return text


@pytest.mark.parametrize("template", corpus("secrets.txt"))
def test_the_secret_is_masked_and_the_rest_stays(template: str) -> None:
    redactor = Redactor()
    for seed in range(12):
        text, expected, _ = filled(template, seed)
        assert redactor.redact(text) == Redacted(text=expected, altered=True)


@pytest.mark.parametrize("line", corpus("harmless.txt"))
def test_what_only_looks_like_a_secret_stays(line: str) -> None:
    assert Redactor().redact(line) == Redacted(text=line, altered=False)


# Values we hold.

HELD = "S3cr3t/p@ss w'rd\"é$"


@pytest.mark.parametrize(
    "form",
    [
        HELD,
        quote(HELD, safe=""),
        quote_plus(HELD),
        quote(HELD, safe="").lower().replace("s3cr3t", "S3cr3t"),
        json.dumps(HELD)[1:-1],
        json.dumps(HELD, ensure_ascii=False)[1:-1],
        json.dumps(HELD)[1:-1].replace("/", "\\/"),
        shlex.quote(HELD),
        HELD.replace("'", "'\\''"),
        HELD.encode().hex(),
        repr(HELD)[1:-1],
        "S3cr3t/p@ss w&apos;rd&quot;é$",
    ],
)
def test_a_value_we_hold_is_found_however_it_was_written(form: str) -> None:
    redacted = Redactor([HELD]).redact(f"it said {form} and went on")
    assert MASK in redacted.text
    assert "S3cr3t" not in redacted.text
    assert redacted.text.startswith("it said ")
    assert redacted.text.endswith(" and went on")


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
@pytest.mark.parametrize("after", ["", "z", "zy", "\n"])
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
def test_a_value_we_hold_is_found_in_base64_wherever_it_begins(before: str, after: str, encode: object) -> None:
    held = "correct horse battery?>staple"
    encoded = (b64encode if encode is b64encode else urlsafe_b64encode)((before + held + after).encode()).decode()
    redacted = Redactor([held]).redact(f"data {encoded} end")
    assert redacted.altered
    kept = redacted.text.removeprefix("data ").removesuffix(" end").replace(MASK, "")
    assert len(kept) <= len(b64encode((before + after).encode())) + 8


def test_every_line_of_a_value_with_several_lines_is_found_alone() -> None:
    held = "-----BEGIN X-----\nabcdefghij\nklmnopqrst\n-----END X-----\n"
    redactor = Redactor([held])
    assert redactor.redact("  klmnopqrst  ").text == f"  {MASK}  "
    assert not redactor.redact("-----END X-----").altered


def test_short_values_are_ignored() -> None:
    assert not Redactor(["root", "", "12345"]).redact("root 12345").altered
    assert Redactor(["123456"]).redact("root 123456").text == f"root {MASK}"


@FUZZ
@given(st.lists(st.text(min_size=6, max_size=20), max_size=8), st.text(max_size=50), st.text(max_size=50))
def test_a_value_we_hold_never_survives(values: list[str], before: str, after: str) -> None:
    redactor = Redactor(values)
    for value in values:
        if "\n" not in value and "\r" not in value:
            text = redactor.redact(f"{before}{value}{after}").text.replace(MASK, "\0")
            assert value not in text or value in before + after or "\0" in value


# Several lines.

BODY = [b64encode(sha384(bytes([n])).digest()).decode() for n in range(6)]
BODY_END = "q9Zk3w=="


def masked(text: str) -> str:
    return Redactor().redact(text).text


@pytest.mark.parametrize(
    "name",
    [
        "RSA PRIVATE KEY",
        "PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "EC PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ],
)
@pytest.mark.parametrize("prefix", ["", "    ", "2026-11-21T05:00:00Z app[1]: ", "+", "  12\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_private_key_is_masked_between_its_marks(name: str, prefix: str, end: str) -> None:
    text = (
        end.join(
            prefix + line for line in [f"-----BEGIN {name}-----", *BODY, BODY_END, f"-----END {name}-----", "done: ok"]
        )
        + end
    )
    result = masked(text)
    assert not any(line in result for line in [*BODY, BODY_END])
    assert result.count(end) == text.count(end)
    lines = result.split(end)
    assert lines[0] == f"{prefix}-----BEGIN {name}-----"
    assert lines[-3] == f"{prefix}-----END {name}-----"
    assert lines[-2] == f"{prefix}done: ok"


def test_a_private_key_on_one_line_is_masked() -> None:
    key = "-----BEGIN PRIVATE KEY-----\\n" + "\\n".join(BODY) + "\\n-----END PRIVATE KEY-----\\n"
    result = masked('{"type": "service_account", "private_key": "' + key + '", "client_email": "a@b"}')
    assert not any(line in result for line in BODY)
    assert '"client_email": "a@b"' in result
    assert not any(line in masked(f"key {key} end") for line in BODY)


def test_a_private_key_without_an_end_does_not_hide_the_lines_after_it() -> None:
    assert masked(
        "\n".join(["-----BEGIN PRIVATE KEY-----", *BODY, "Nov 21 05:00:00 nginx: started", "all is well"])
    ).endswith("\nNov 21 05:00:00 nginx: started\nall is well")


def test_headers_and_short_last_lines_belong_to_a_private_key() -> None:
    text = "\n".join(
        [
            "-----BEGIN RSA PRIVATE KEY-----",
            "Proc-Type: 4,ENCRYPTED",
            "DEK-Info: AES-128-CBC,0A1B2C",
            "",
            *BODY,
            BODY_END,
            "-----END RSA PRIVATE KEY-----",
            "ok",
        ]
    )
    result = masked(text)
    assert BODY_END not in result
    assert result.endswith("-----END RSA PRIVATE KEY-----\nok")


def test_public_parts_stay() -> None:
    for name in ("CERTIFICATE", "PUBLIC KEY", "PGP PUBLIC KEY BLOCK", "CERTIFICATE REQUEST"):
        text = "\n".join([f"-----BEGIN {name}-----", *BODY, f"-----END {name}-----"])
        assert masked(text) == text


def test_a_putty_key_is_masked_by_its_count_of_lines() -> None:
    text = "\n".join(
        [
            "PuTTY-User-Key-File-3: ssh-ed25519",
            "Public-Lines: 1",
            BODY[0],
            "Private-Lines: 2",
            BODY[1],
            BODY_END,
            "Private-MAC: " + "0a" * 32,
        ]
    )
    result = masked(text).split("\n")
    assert result[2] == BODY[0]
    assert result[4:] == [MASK, MASK, f"Private-MAC: {MASK}"]


SECRET_YAML = """apiVersion: v1
kind: Secret
metadata:
  name: db
data:
  username: {}
  plain: {}
stringData:
  pin: "{}"
  blob: |
    {}
    {}
type: Opaque
"""


def test_the_values_of_a_kubernetes_secret_are_masked() -> None:
    text = SECRET_YAML.format("Ym9i", "c3dvcmRmaXNo", "1 2 3", "first line", "second line")
    assert masked(text) == SECRET_YAML.format(*[MASK] * 5)
    assert masked(text.replace("\n", "\r\n")) == SECRET_YAML.format(*[MASK] * 5).replace("\n", "\r\n")


def test_the_values_of_a_secret_are_masked_where_the_kind_comes_last() -> None:
    text = "apiVersion: v1\ndata:\n  a: {}\n  b: {}\nkind: Secret\nmetadata:\n  name: db\n"
    assert masked(text.format("aHVudGVyMg==", "U3czZXRTdzNldA==")) == text.format(MASK, MASK)
    text = '{\n    "apiVersion": "v1",\n    "data": {\n        "a": "%s",\n        "b": "%s"\n    },\n'
    text += '    "kind": "Secret"\n}\n'
    assert masked(text % ("aHVudGVyMg==", "U3czZXRTdzNldA==")) == text % (MASK, MASK)


def test_a_config_map_stays() -> None:
    text = 'apiVersion: v1\ndata:\n  LOG_LEVEL: info\n  mode: prod\n  on: "true"\n  replicas: "3"\n'
    text += "  url: http://web-01\nkind: ConfigMap\n"
    assert masked(text) == text
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n  a: aHVudGVyMg==\n"
    assert masked(text) == text


def test_a_block_scalar_behind_a_secret_name_is_masked() -> None:
    text = "db:\n  password: |\n    {}\n    {}\n  host: db-1\n"
    assert masked(text.format("one two", "three")) == text.format(MASK, MASK)


def test_a_name_and_its_value_on_the_next_line_belong_together() -> None:
    text = "env:\n- name: DB_PASSWORD\n  value: {}\n- name: LOG_LEVEL\n  value: debug\n"
    assert masked(text.format("hunter2")) == text.format(MASK)
    text = '{{\n  "name": "API_TOKEN",\n  "value": "{}"\n}}\n'
    assert masked(text.format("abc def")) == text.format(MASK)


def test_a_netrc_entry_over_several_lines_is_masked() -> None:
    text = "machine git.example.com\nlogin bob\npassword {}\n\nmachine b\n\tlogin x\n\tpassword {}\n"
    assert masked(text.format("swordfish", "dragon")) == text.format(MASK, MASK)


# Colours and other things a terminal does not show.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[32mDB_PASSWORD\x1b[0m=\x1b[1mhunter2\x1b[0m ok", f"\x1b[32mDB_PASSWORD\x1b[0m=\x1b[1m{MASK}\x1b[0m ok"),
        ("pass\x1b[1mword: hun\x1b[31mter2\x1b[0m", f"pass\x1b[1mword: {MASK}\x1b[31m\x1b[0m"),
        ("\x1b[0;33mghp_" + "a1B2" * 9 + "\x1b[m end", f"\x1b[0;33m{MASK}\x1b[m end"),
        ("p\bpa\bas\bss\bsw\bwo\bor\brd\bd=hunter2", f"p\bpa\bas\bss\bsw\bwo\bor\brd\bd={MASK}"),
    ],
)  # fmt: skip
def test_colours_do_not_hide_a_secret(text: str, expected: str) -> None:
    assert masked(text) == expected


def test_a_link_of_the_terminal_does_not_hide_a_secret() -> None:
    assert "hunter2" not in masked("\x1b]8;;https://bob:hunter2@web-01/\x07open\x1b]8;;\x07")


def test_a_value_we_hold_is_found_through_colours() -> None:
    assert "sword" not in Redactor(["swordfish"]).redact("it is sword\x1b[1mfish\x1b[0m!").text


# Streams.


def streamed(redactor: Redactor, text: str, cuts: list[int]) -> list[Redacted]:
    stream = redactor.stream()
    places = sorted({min(cut, len(text)) for cut in cuts})
    found: list[Redacted] = []
    for begin, end in zip([0, *places], [*places, len(text)], strict=True):
        found.extend(stream.feed(text[begin:end]))
    return [*found, *stream.close()]


EVERYTHING = "\n".join(
    [filled(template, 1)[0] for template in corpus("secrets.txt")]
    + ["-----BEGIN PRIVATE KEY-----", *BODY, "-----END PRIVATE KEY-----"]
    + SECRET_YAML.format("Ym9i", "c3dvcmRmaXNo", "1 2 3", "first line", "second line").split("\n")
    + corpus("harmless.txt")
)
EVERYTHING_MASKED = Redactor(["swordfish"]).redact(EVERYTHING).text


@settings(FUZZ, max_examples=max(50, FUZZ.max_examples // 10))
@given(st.lists(st.integers(0, len(EVERYTHING)), max_size=60))
@example([])
def test_it_does_not_matter_where_the_chunks_are_cut(cuts: list[int]) -> None:
    assert "\n".join(line.text for line in streamed(Redactor(["swordfish"]), EVERYTHING, cuts)) == EVERYTHING_MASKED


def test_a_stream_gives_complete_lines_without_their_ends() -> None:
    stream = Redactor().stream()
    assert stream.feed("one\r\ntwo\npass") == [Redacted(text="one", altered=False), Redacted(text="two", altered=False)]
    assert stream.feed("word=hun") == []
    assert stream.feed("ter2\n\n") == [
        Redacted(text=f"password={MASK}", altered=True),
        Redacted(text="", altered=False),
    ]
    assert stream.feed("last") == []
    assert stream.close() == [Redacted(text="last", altered=False)]
    assert stream.close() == []


@pytest.mark.parametrize(
    "secret", ["password=hunter2hunter2", "ghp_" + "a1B2" * 9, "https://bob:hunter2hunter2@web-01/", "swordfish"]
)
def test_a_secret_on_a_cut_of_a_very_long_line_does_not_escape(secret: str) -> None:
    redactor = Redactor(["swordfish"])
    for before in (
        *range(LONGEST_LINE - 2_100, LONGEST_LINE - 2_000, 9),
        *range(LONGEST_LINE - 60, LONGEST_LINE + 20, 9),
    ):
        text = "x " * (before // 2) + secret + " y" * 18_000
        pieces = streamed(redactor, text, [])
        whole = "".join(piece.text for piece in pieces)
        assert whole == redactor.redact(text).text
        assert whole.count(MASK) >= 1
        assert not re.search(r"hunter2|a1B2a1|swordfish", whole)
        assert all(piece.altered for piece in pieces)
        assert whole.replace(MASK, "").count("x ") == before // 2


def test_a_value_longer_than_what_is_looked_at_together_is_swallowed() -> None:
    text = "password=" + "Ab3" * 40_000 + " user=bob"
    assert "Ab3" not in masked(text)
    assert masked(text).endswith(" user=bob")
    assert "Ab3" not in "".join(piece.text for piece in streamed(Redactor(), text, list(range(0, len(text), 1_000))))


def test_a_long_line_without_secrets_is_not_altered_as_a_whole_text() -> None:
    text = "x y " * 30_000
    assert Redactor().redact(text) == Redacted(text=text, altered=False)


def test_a_stream_keeps_no_more_than_one_long_line() -> None:
    stream = Redactor().stream()
    for _ in range(200):
        stream.feed("abc " * 500)
        assert sum(len(value) for value in vars(stream).values() if isinstance(value, str)) <= LONGEST_LINE + 2_000


# Every text.

FRAGMENTS = [
    *corpus("secrets.txt")[:60],
    *(
        "password",
        "=",
        ": ",
        '"',
        "'",
        "\\",
        "\n",
        "\r\n",
        "\x1b[1m",
        "://",
        "@",
        "-p",
        " ",
        "mysql ",
        "token ",
        "{",
        "}",
        "|",
    ),
    *("\x00", "\b", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"),
    *("apiVersion: v1\n", "kind: Secret\n", "data:\n", "  a: b\n"),
]


@FUZZ
@given(st.one_of(st.text(), st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)))
def test_no_text_makes_redaction_raise_and_what_is_redacted_stays_so(text: str) -> None:
    redactor = Redactor(["swordfish"])
    redacted = redactor.redact(text)
    assert redacted.altered == (redacted.text != text)
    assert redacted.text.count("\n") == text.count("\n")
    if MASK not in text:
        pieces = redacted.text.split(MASK)
        position = 0
        for piece in pieces:  # what is left stands in the text, in this order
            plain = re.sub("\x1b.*", "", piece.split("\x1b")[0])
            position = text.index(plain, position)


REPEATED = [
    '\\""kind":"Secret" "data":{"a":"',
    "'authorization=digest response=",
    '"Authorization: Digest a=b, ',
    "password=",
    'password="',
    "password: ",
    "token=token ",
    '\\"password\\":\\"',
    "a-",
    "a.",
    "a_",
    "aB1",
    "==",
    "\\",
    '"',
    "'",
    "://",
    "http://a:",
    "x://u:p@",
    "::",
    "a:1:2:",
    "-p ",
    "mysql -p",
    "curl -u a:",
    "htpasswd -b a ",
    "sqlplus -a ",
    "-uuuu",
    "Authorization: Bearer ",
    "Cookie: a=b; ",
    "set ",
    "?sig=",
    "&key=",
    "<password>",
    'key="password" value=',
    "password is ",
    "secret ",
    "identified by ",
    "-----BEGIN PRIVATE KEY-----",
    "eyJaaaaaaaa.",
    "ghp_",
    "AKIA",
    "s.",
    "$6$a$",
    "{SSHA}",
    "{",
    "}",
    '"kind":"Secret" "data":{"a":"',
    "echo a | ",
    "--password ",
    '"--password", ',
    "login a ",
    "password 7 ",
    "pass:",
    "\x1b[31m",
    "a\b",
    "\x1b]8;;",
    "password: |\n",
    "  a: b\n",
    "\t",
    " ",
    "\x00",
    "api key: ",
    "password | ",
    "LS0tLS1CRUdJTi",
    "hunter2",
]


@pytest.mark.parametrize("fragment", REPEATED)
def test_no_text_of_64_kb_is_slow(fragment: str) -> None:
    """Linear patterns take some 50 ms; a quadratic one takes seconds. The bound leaves room for a busy machine."""
    text = (fragment * 65_536)[:65_536]
    redactor = Redactor(["hunter2hunter2"])
    fastest = 9.0
    for _ in range(3):
        began = time.process_time()
        redactor.redact(text)
        fastest = min(fastest, time.process_time() - began)
    assert fastest < 0.5
