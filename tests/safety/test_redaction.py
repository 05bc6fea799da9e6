"""Redaction: no secret with a form survives, and nothing else changes."""

import json
import os
import shlex
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha384
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from safety.redaction import MASK, Redactor
from tests import redaction_corpora as corpora

FUZZ = settings(max_examples=int(os.environ.get("HANDRAIL_FUZZ_EXAMPLES", "200")), deadline=None)


FORMS = sorted({template.form for template in corpora.secrets()})


@pytest.mark.parametrize("form", FORMS)
def test_the_secrets_of_a_form_are_masked_and_the_rest_stays(form: str) -> None:
    redactor = Redactor()
    templates = [template for template in corpora.secrets() if template.form == form]
    made = [template.filled(seed) for template in templates for seed in range(1 if template.is_fixed else 6)]
    became = [(text, redactor.redact(text), expected) for text, expected, _ in made]
    assert [(text, redacted.text) for text, redacted, expected in became if redacted.text != expected] == []
    assert all(redacted.altered for _, redacted, _ in became)


@pytest.mark.parametrize(
    "value", ['""', "''", '"', "'", "", '"";', "'',", '"" # none', "``", '""""', "[]", "{}", "()", "<>"]
)
def test_a_name_without_a_value_is_left_alone(value: str) -> None:
    names = ("requirepass", "masterauth", "DB_PASSWORD", "bindpw", "api_key", "secret-key", "password", "token", "psk")
    texts = [
        f"{before}{name}{sign}{value}"
        for name in names
        for sign in (" ", "  ", "\t", "=", ": ", ":", " = ", " => ", ":=", '": ', "' => ")
        for before in ("", "# ", "  ", "--", "export ", '{"', "- ", "set ", "config set ", "<", "?a=b&", "\x1b[1m")
    ]
    with capture_logs() as logged:
        for text in texts:
            Redactor().redact(f"{text}\n{text}\nand on")
    assert logged == []
    for name in ("requirepass", "masterauth", "DB_PASSWORD"):
        assert Redactor().redact(f"hello\n{name} {value}\nbye").text.startswith("hello\n")
        assert Redactor().redact(f"hello\n{name} {value}\nbye").text.endswith("\nbye")


class Broken:
    """A pattern with a fault of ours in it."""

    def finditer(self, text: str) -> list[object]:
        """What an off-by-one gives."""
        return [[][len(text)]] if "fault" in text else []

    def search(self, text: str) -> bool:
        """Whether it would be found."""
        return True


def test_a_line_that_cannot_be_looked_at_is_masked_and_what_follows_is_not_lost() -> None:
    redactor = Redactor()
    redactor._known.pattern = Broken()  # type: ignore[assignment]
    with capture_logs() as logged:
        assert redactor.redact("one\na fault in it\ntwo\n").text == f"one\n{MASK}\ntwo\n"
        stream = redactor.stream()
        lines = [*stream.feed("one\na fault"), *stream.feed(" in it\ntwo"), *stream.close()]
        assert [(line.text, line.altered) for line in lines] == [("one", False), (MASK, True), ("two", False)]
        assert "fault" not in redactor.redact("a fault, and on " * 10_000).text
    assert {(entry["event"], entry["error"]) for entry in logged} == {("redaction_failed", "IndexError")}


def test_what_only_looks_like_a_secret_stays() -> None:
    became = [(text, Redactor().redact(text)) for text in corpora.harmless()]
    assert [(text, redacted.text) for text, redacted in became if redacted.altered or redacted.text != text] == []


def test_texts_that_were_kept_back_are_masked_and_their_look_alikes_stay() -> None:
    redactor = Redactor()
    secret, harmless = corpora.kept_back()
    made = [template.filled(0)[:2] for template in secret] + [(text, text) for text in harmless]
    became = [(text, redactor.redact(text).text, expected) for text, expected in made]
    assert [(text, redacted) for text, redacted, expected in became if redacted != expected] == []


def test_the_corpora_are_as_large_as_promised() -> None:
    assert len(corpora.secrets()) >= 200
    assert len(corpora.harmless()) >= 150


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


def test_a_variable_of_a_process_ends_at_the_nul_behind_it() -> None:
    text = "HOME=/root\0DB_PASSWORD={}\0LANG=C\0"
    assert masked(text.format("hunter2")) == text.format(MASK)
    assert masked("DB_PASSWORD=\0LANG=C\0") == "DB_PASSWORD=\0LANG=C\0"


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
