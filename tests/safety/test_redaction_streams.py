"""Redaction of texts that arrive in chunks, of very long lines, and of every text there can be."""

import os
import random
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from safety.redaction import LONGEST_LINE, MASK, Redacted, Redactor, _Lines
from safety.redaction.known import Known
from tests import fuzz_redaction
from tests import redaction_corpora as corpora

FUZZ = settings(max_examples=int(os.environ.get("HANDRAIL_FUZZ_EXAMPLES", "200")), deadline=None)

# Streams.


def streamed(redactor: Redactor, text: str, cuts: list[int]) -> list[Redacted]:
    stream = redactor.stream()
    found = [line for chunk in chunks(text, cuts) for line in stream.feed(chunk)]
    return [*found, *stream.close()]


def filtered(redactor: Redactor, text: str, cuts: list[int]) -> str:
    filtering = redactor.filter()
    return "".join([*(filtering.feed(chunk) for chunk in chunks(text, cuts)), filtering.close()])


def chunks(text: str, cuts: list[int]) -> list[str]:
    places = sorted({min(cut, len(text)) for cut in cuts})
    return [text[begin:end] for begin, end in zip([0, *places], [*places, len(text)], strict=True)]


MANY = [template for number, template in enumerate(corpora.secrets()) if number % 9 == 0 or "\n" in template.text]
EVERYTHING = "\n".join([*(template.filled(1)[0] for template in MANY), *corpora.harmless()[::12]])
EVERYTHING_MASKED = Redactor(["swordfish"]).redact(EVERYTHING).text
KEY = next(template for template in corpora.secrets() if template.text.startswith("-----BEGIN RSA PRIVATE KEY"))
LONG_LINE = (
    "x " * 20_000 + "password=hunter2hunter2 " + "y " * 10_000 + "Ab3" * 12_000 + " https://bob:hunter2hunter2@web-01/ "
)


@settings(FUZZ, max_examples=max(50, FUZZ.max_examples // 10))
@given(st.lists(st.integers(0, len(EVERYTHING)), max_size=60))
@example([])
def test_it_does_not_matter_where_the_chunks_are_cut(cuts: list[int]) -> None:
    lines = streamed(Redactor(["swordfish"]), EVERYTHING, cuts)
    assert "\n".join(line.text for line in lines) == EVERYTHING_MASKED
    assert filtered(Redactor(["swordfish"]), EVERYTHING, cuts) == EVERYTHING_MASKED


def test_a_secret_is_found_among_plain_lines_that_come_in_one_chunk() -> None:
    redactor = Redactor(["swordfish"])
    for template in (*corpora.secrets(), *corpora.kept_back()[0]):
        many = "plain\n" * 20
        text = f"{many}{template.filled(3)[0]}\n{many}plain again\n"
        line_by_line = redactor.filter()
        expected = "".join(line_by_line.feed(line) for line in re.split(r"(?<=\n)", text))
        assert filtered(redactor, text, []) == expected


LOGS = (
    "Nov 21 05:00:00 web-01 systemd[1]: Started nginx.service - A high performance web server.",
    "2026-11-21T05:00:00Z web-01 app[4711]: GET /orders/12 200 in 12 ms from 192.0.2.7",
    '192.0.2.7 - - [21/Nov/2026:05:00:00 +0000] "GET /orders HTTP/1.1" 200 612 "-" "Mozilla/5.0 (X11; Linux x86_64)"',
    '{"level":"info","at":"2026-11-21T05:00:00Z","caller":"main.go:12","msg":"request","status":200}',
    "2026-11-21 05:00:00.123 UTC [1234] LOG:  checkpoint complete: wrote 12 buffers (0.1%)",
    "[12345.678901] eth0: link up, 1000Mbps, full-duplex",
    "root         1  0.0  0.1 168140 11636 ?        Ss   Nov20   0:04 /sbin/init",
    "-rw-r--r-- 1 root root  1234 Nov 26 07:00 access.log",
)


@pytest.mark.parametrize("line", LOGS)
def test_what_logs_are_full_of_is_left_alone_together(line: str) -> None:
    """A line that is looked at by itself costs ten times as much: of what is printed most, none must be."""
    assert _Lines(Known(["swordfish"])).leave_alone([line] * 50)


@pytest.mark.parametrize("port", ["587", "1587", "smtps", "mail", "9x"])
def test_a_relays_login_is_found_among_what_logs_are_full_of(port: str) -> None:
    lines = [*LOGS * 3, f"[mx.example.com]:{port} ana:Tr0ub4dor7", *LOGS * 3]
    masked = filtered(Redactor(), "\n".join([*lines, ""]), []).splitlines()
    assert masked == [line.replace("Tr0ub4dor7", MASK) for line in lines]


SOME = st.sampled_from(
    [*(template.filled(2)[0] for template in corpora.secrets() if "\n" in template.text), *corpora.harmless()]
)


@FUZZ
@given(st.lists(SOME, max_size=6), st.sampled_from(["\n", "\r\n"]), st.integers(1, 40), st.booleans())
def test_lines_keep_their_ends_however_the_text_is_cut(texts: list[str], end: str, size: int, ended: bool) -> None:
    text = end.join(text.replace("\n", end) for text in texts) + end * ended
    redactor = Redactor()
    expected = redactor.redact(text).text
    assert filtered(redactor, text, list(range(0, len(text), size))) == expected
    assert expected.count(end) == text.count(end)


@pytest.mark.parametrize("size", [1, 7, 64, 4_096, LONGEST_LINE - 1, LONGEST_LINE, LONGEST_LINE + 1, 200_000])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r\nnext\r\n"])
def test_a_very_long_line_is_cut_at_the_same_places_whatever_the_chunks(size: int, end: str) -> None:
    redactor = Redactor(["swordfish"])
    expected = redactor.redact(LONG_LINE + end).text
    assert filtered(redactor, LONG_LINE + end, list(range(0, len(LONG_LINE), size))) == expected
    assert "hunter2" not in expected
    assert expected.endswith(end)


@pytest.mark.parametrize("length", range(LONGEST_LINE - 2, LONGEST_LINE + 3))
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_as_long_as_the_limit_keeps_its_end(length: int, end: str) -> None:
    text = "a" * length + end + "password=hunter2" + end
    for size in (1_000, length, length + 1, length + 2):
        assert (
            filtered(Redactor(), text, list(range(0, len(text), size))) == "a" * length + end + f"password={MASK}" + end
        )


def test_a_key_is_found_whatever_the_chunks() -> None:
    text, expected, secrets = KEY.filled(0)
    for size in range(1, 80):
        result = filtered(Redactor(), text, list(range(0, len(text), size)))
        assert result == expected
        assert not any(secret in result for secret in secrets)


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
    whole = Redactor().redact(text).text
    assert "Ab3" not in whole
    assert whole.endswith(f"{MASK} user=bob")
    assert "Ab3" not in "".join(piece.text for piece in streamed(Redactor(), text, list(range(0, len(text), 1_000))))


def test_a_long_line_without_secrets_is_not_altered_as_a_whole_text() -> None:
    text = "x y " * 30_000
    assert Redactor().redact(text) == Redacted(text=text, altered=False)


def test_a_stream_keeps_no_more_than_one_long_line() -> None:
    stream = Redactor().stream()
    for _ in range(200):
        stream.feed("abc " * 500)
        assert sum(len(value) for value in vars(stream).values() if isinstance(value, str)) <= LONGEST_LINE + 2_000


def test_a_key_that_never_ends_is_masked_to_its_last_line_and_nothing_of_it_is_kept() -> None:
    dice = random.Random(7)  # noqa: S311 - repeatable, not secret
    filtering = Redactor().filter()
    filtering.feed("-----BEGIN RSA PRIVATE KEY-----\n")
    for _ in range(20_000):
        line = "".join(dice.choices(corpora.ALPHABETS["b64"], k=64))
        assert filtering.feed(line + "\n") == MASK + "\n"
    assert filtering.close() == ""


# Every text.

FRAGMENTS = [
    *(template.filled(3)[0] for template in corpora.secrets()[:60]),
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
def test_no_text_makes_redaction_raise_and_what_is_left_stood_there(text: str) -> None:
    redactor = Redactor(["swordfish"])
    redacted = redactor.redact(text)
    assert redacted.altered == (redacted.text != text)
    assert redacted.text.count("\n") == text.count("\n")
    if MASK not in text:
        position = 0
        for piece in redacted.text.split(MASK):  # what is left stands in the text, in this order
            plain = re.sub("\x1b.*", "", piece.split("\x1b")[0])
            position = text.index(plain, position)


def test_redacting_twice_changes_nothing_more() -> None:
    for template in corpora.secrets():
        once = Redactor().redact(template.filled(4)[0])
        assert Redactor().redact(once.text) == Redacted(text=once.text, altered=False)


def test_texts_nobody_would_write_are_redacted_once_quickly_and_the_same_in_chunks() -> None:
    found = fuzz_redaction.fuzz(2_000, seed=11)
    assert found.texts == 2_000
    assert found.failures == []


def test_look_alikes_stay_among_others() -> None:
    assert fuzz_redaction.look_alikes(seed=11).failures == []


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
    "--api-token=['",
    "password={",
    "password=[",
    "'password':['a',",
    "Password  =  a;",
    "a | password |\n",
    "user,password\n",
    "<password>a<",
    '(auth("a", ',
    "login('a', 'b', ",
    "%26password%3D",
    "chpasswd <<EOF\n",
    "Private-Key: (1\n  00:\n",
    '"password": {\n',
    "insert into a (password) values ('",
    "echo a | su",
    "- - - - - BEGIN ",
    "-----BEGIN a ",
    "{name: password, ",
    "{name: password, value: ",
    "{value: a, b: c, ",
    '<a value="',
    '<a name="password"><value>',
    "<param-name>password</param-name>",
    " --user a:",
    " -u a:b1",
    " -U a%",
    "acme_live_aB1",
    "a_b_c.",
    "impacket-x a ",
    "a.py a ",
    "net use a ",
    "net use \\\\a /user:a ",
    " --a-pin ",
    " /apass:",
    " --targetpass=",
    "–",
    "keytool -storepasswd -new ",
    "fastcgi_param ",
    "fastcgi_param DB_PASSWORD a ",
    "cache_peer a ",
    "cache_peer a login=a:",
    "acl setuser a ",
    "user a on ",
    "user a on #",
    "pass phrase: ",
    "contraseña: ",
    "senha=",
    "密码：",
    's:8:"password";',
    's:8:"password";s:1:"',
    "=\t",
    "a\tpassword\tuser",
    "-[ RECORD 1 ]\n",
    "-[ RECORD 1 ]\npassword | a\n",
    "│ password │ ",
    "password''a",
    "a:1:" + "A" * 32 + ":" + "B" * 32 + ":[",
    "RWRTY0Iy",
    ".vault.azure.net/secrets/a",
    '"id": "a.vault.azure.net/secrets/a", ',
    '"value": "a", ',
    '"random_password" ',
    '"random_password"\n',
    "password\nV 1\n",
    "--password\na1b2\n",
    '1) "requirepass"\n',
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
