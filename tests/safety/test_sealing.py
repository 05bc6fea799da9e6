"""A sealed value opens in its own row with its own key only, and a secret shows itself to nobody by accident."""

import base64
import copy
import json
import logging
import pickle
import traceback
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.redaction import MASK
from safety.sealing import Key, Keyring, Secret, checked_name, checked_value, new_key, parse_key, parse_keyring
from storage.errors import ConfigurationError, Invalid, SecretUnavailable

VALUE = "correct-horse-battery"


def key(number: int) -> Key:
    """One of several keys, always the same."""
    return parse_key(sha256(b"key %d" % number).hexdigest())


RING = Keyring(keys=(key(1),))


def test_a_secret_shows_a_mask_however_it_is_printed() -> None:
    secret = Secret(VALUE)
    shown = [
        *(repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", "%s" % secret, "{0:x}".format(secret)),  # noqa: UP031, UP030, UP032
        *(repr([secret]), repr({"a": secret}), str((secret,)), repr(secret.reveal), json.dumps(secret, default=str)),
        logging.makeLogRecord({"msg": "%s %r", "args": (secret, secret)}).getMessage(),
    ]
    assert all(VALUE not in one and MASK in one for one in shown), shown
    assert secret.reveal() == VALUE
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_written_anywhere(protocol: int) -> None:
    with pytest.raises(TypeError, match="not written anywhere"):
        pickle.dumps({"a": Secret(VALUE)}, protocol)


def test_a_secret_is_the_same_when_it_is_copied_and_equal_by_its_value() -> None:
    secret = Secret(VALUE)
    assert copy.copy(secret) is copy.deepcopy(secret) is secret
    assert secret == Secret(VALUE) != Secret("another")
    assert secret != VALUE
    with pytest.raises(TypeError):
        hash(secret)


def test_a_traceback_with_all_locals_shows_no_secret_that_is_still_one() -> None:
    def use(secret: Secret, ring: Keyring) -> None:
        raise RuntimeError(f"cannot use {secret}")

    try:
        use(Secret(VALUE), RING)
    except RuntimeError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "secret = " in shown
    assert VALUE not in shown
    assert RING.keys[0].raw.reveal() not in shown


@given(st.text(st.characters(exclude_categories=())), st.integers(1, 3))
def test_what_was_sealed_opens_with_any_key_of_the_ring(value: str, place: int) -> None:
    ring = Keyring(keys=(key(1), key(2), key(3)))
    sealed = Keyring(keys=(key(place),)).seal("a/b", Secret(value))
    assert ring.open("a/b", sealed).reveal() == value
    assert sealed.split(".")[1] == key(place).id
    assert value not in sealed or len(value) < 4


def test_the_same_value_is_sealed_differently_each_time() -> None:
    assert len({RING.seal("a", Secret(VALUE)) for _ in range(100)}) == 100


def test_the_first_key_seals() -> None:
    assert Keyring(keys=(key(2), key(1))).seal("a", Secret(VALUE)).split(".")[1] == key(2).id


def test_an_envelope_moved_to_another_name_does_not_open() -> None:
    sealed = RING.seal("host/web-01/password", Secret(VALUE))
    with pytest.raises(SecretUnavailable) as caught:
        RING.open("host/web-02/password", sealed)
    assert "'host/web-02/password' does not open" in caught.value.message
    assert "handrail secrets set host/web-02/password" in caught.value.message


def test_no_flipped_bit_goes_unnoticed() -> None:
    sealed = RING.seal("a", Secret(VALUE))
    version, key_id, nonce, cipher = sealed.split(".")
    for part in (nonce, cipher):
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        for bit in range(len(raw) * 8):
            changed = bytearray(raw)
            changed[bit // 8] ^= 1 << bit % 8
            text = base64.urlsafe_b64encode(changed).decode().rstrip("=")
            forged = ".".join((version, key_id, *((text, cipher) if part == nonce else (nonce, text))))
            with pytest.raises(SecretUnavailable):
                RING.open("a", forged)


@given(st.text())
def test_whatever_stands_in_a_row_is_answered_in_words(sealed: str) -> None:
    with pytest.raises(SecretUnavailable, match="'a'"):
        RING.open("a", sealed)


@given(st.integers(0, 200))
def test_a_cut_envelope_does_not_open(length: int) -> None:
    sealed = RING.seal("a", Secret(VALUE))
    with pytest.raises(SecretUnavailable):
        RING.open("a", sealed[: min(length, len(sealed) - 2)])


def test_a_wrong_key_is_said_with_the_secret_and_the_next_move() -> None:
    sealed = RING.seal("db/password", Secret(VALUE))
    with pytest.raises(SecretUnavailable) as caught:
        Keyring(keys=(key(2),)).open("db/password", sealed)
    said = caught.value.message
    for part in ("db/password", key(1).id, key(2).id, "HANDRAIL_SECRET_KEY", "handrail secrets set db/password"):
        assert part in said
    with pytest.raises(SecretUnavailable, match="none is set"):
        Keyring().open("db/password", sealed)
    with pytest.raises(SecretUnavailable, match="handrail secrets key"):
        Keyring().seal("db/password", Secret(VALUE))


def test_an_envelope_cannot_be_passed_off_as_of_another_key() -> None:
    """Two keys of one ring: the id is bound, too."""
    ring = Keyring(keys=(key(1), key(2)))
    sealed = ring.seal("a", Secret(VALUE)).replace(key(1).id, key(2).id)
    with pytest.raises(SecretUnavailable):
        ring.open("a", sealed)


# --- keys, names and values -------------------------------------------------------------------------------------------


def test_new_keys_are_good_and_all_different() -> None:
    keys = [new_key() for _ in range(200)]
    assert len({parse_key(one).id for one in keys}) == 200


def test_a_key_tells_nothing_but_its_id() -> None:
    one = key(1)
    assert repr(one) == f"Key({one.id})"
    assert one.id not in "".join(RING.held())
    assert len(one.id) == 16


def test_every_spelling_of_a_key_is_held_against_being_shown() -> None:
    written = new_key()
    held = "\n".join(parse_keyring(written, "X").held())
    assert written.rstrip("=") in held
    assert base64.urlsafe_b64decode(written).hex() in held


@pytest.mark.parametrize("text", ["", "#", "a", new_key.__name__, "0" * 64, "passphrase of my choosing, quite long"])
def test_a_key_that_is_none_is_refused_with_what_makes_one(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_keyring(text, "HANDRAIL_SECRET_KEY")
    assert all("handrail secrets key" in complaint for complaint in caught.value.complaints)
    assert len(text) < 5 or text not in str(caught.value)


@pytest.mark.parametrize("name", ["a", "host/web-01/password", "tokens/Pager_Duty.v2", "x@y"])
def test_names_are_words_with_slashes(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "a b", "-a", "a/../b", "a/-b", "ä", "a\n", "a" * 201, "../x"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(Invalid, match="is no name for a secret"):
        checked_name(name)


@pytest.mark.parametrize("value", ["", "hunt", "x" * 65_537, "with\x00nul"])
def test_a_value_that_cannot_be_kept_is_refused_without_being_repeated(value: str) -> None:
    with pytest.raises(Invalid) as caught:
        checked_value("a", value)
    assert not value or value not in caught.value.message
