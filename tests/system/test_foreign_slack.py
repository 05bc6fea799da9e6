"""The running bot against a Slack that shares no code with ours: signatures, repeated deliveries, four eyes, limits.

One bot for the whole file; every test counts in a folder of its own.
"""

import asyncio
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import pytest
from multidict import CIMultiDict

from storage import audit
from tests.system.foreign_slack import ForeignSlack
from tests.system.openssh import OpenSsh
from tests.system.serving import Bot, configuration, counted, until

SETTLED = 1.5
"""Seconds after which something that must not happen would have happened."""


def test_the_signature_is_the_one_of_slacks_documentation() -> None:
    """The known answer of "Verifying requests from Slack"."""
    body = (
        "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        "&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        "&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    basis = f"v0:1531420618:{body}".encode()
    found = hmac.new(ForeignSlack().signing_secret.encode(), basis, hashlib.sha256).hexdigest()
    assert found == "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"


@pytest.fixture(scope="module")
async def slack() -> AsyncIterator[ForeignSlack]:
    """The stranger."""
    slack = ForeignSlack()
    await slack.start()
    yield slack
    await slack.close()


@pytest.fixture(scope="module")
async def bot(slack: ForeignSlack, web_01: OpenSsh, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bot]:
    """Approvals expire after eight seconds here."""
    folder = tmp_path_factory.mktemp("foreign")
    config = configuration({"web-01": web_01}, folder, approvals={"dangerous": "approve", "expire": "8s"})
    bot = Bot(folder=folder, slack=slack, database_url=f"sqlite+aiosqlite:///{folder}/handrail.db", config=config)
    slack.events_url = bot.events_url
    await bot.start()
    yield bot
    bot.kill()


async def _audited(bot: Bot, word: str) -> int:
    async with bot.database() as database:
        return len(await database.read(audit.search, words=(word,), limit=1_000))


async def test_a_signed_command_is_acknowledged_and_runs(bot: Bot, slack: ForeignSlack, counting: Path) -> None:
    answer = await slack.command("UBOB", f"count {counting} on web-01")
    assert answer.status == 200
    await until(lambda: len(counted(counting)) == 6, "six steps", slack.said)
    await until(lambda: "succeeded" in slack.said(), "the ending", slack.said)


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"age": 301}, id="stale"),
        pytest.param({"age": -302}, id="from the future"),
        pytest.param({"secret": "another"}, id="wrongly signed"),
        pytest.param({"signed": False}, id="unsigned"),
        pytest.param({"timestamp": "soon"}, id="timestamp of letters"),
        pytest.param({"timestamp": "1e9"}, id="timestamp in scientific notation"),
        pytest.param({"timestamp": ""}, id="empty timestamp"),
    ],
)
async def test_what_is_not_signed_by_slack_now_gets_401_and_does_nothing(
    bot: Bot, slack: ForeignSlack, counting: Path, how: dict[str, str]
) -> None:
    answer = await slack.command("UBOB", f"count {counting} on web-01", **how)
    assert answer.status == 401
    await asyncio.sleep(0.3)
    assert counted(counting) == []
    assert await _audited(bot, str(counting)) == 0


async def test_a_changed_body_gets_401(bot: Bot, slack: ForeignSlack, counting: Path) -> None:
    honest = slack.command_form("UDAVE", "list")
    forged = slack.command_form("UBOB", f"count {counting} on web-01")
    basis = f"v0:{int(time.time())}:".encode() + honest
    signature = hmac.new(slack.signing_secret.encode(), basis, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": str(int(time.time())),
        "X-Slack-Signature": f"v0={signature}",
    }
    async with aiohttp.ClientSession() as session, session.post(slack.events_url, data=forged, headers=headers) as said:
        assert said.status == 401
    assert counted(counting) == []


async def test_the_same_command_delivered_three_times_runs_once(bot: Bot, slack: ForeignSlack, counting: Path) -> None:
    body = slack.command_form("UBOB", f"count {counting} on web-01")
    for _ in range(3):
        assert (await slack.deliver(body)).status == 200
    await until(lambda: len(counted(counting)) >= 6, "six steps", slack.said)
    await asyncio.sleep(SETTLED)
    assert counted(counting) == [f"web-01.{n}" for n in range(1, 7)]


async def test_the_same_command_delivered_at_the_same_time_runs_once(
    bot: Bot, slack: ForeignSlack, counting: Path
) -> None:
    body = slack.command_form("UBOB", f"count {counting} on web-01")
    answers = await asyncio.gather(*(slack.deliver(body) for _ in range(10)))
    assert {answer.status for answer in answers} == {200}
    await until(lambda: len(counted(counting)) >= 6, "six steps", slack.said)
    await asyncio.sleep(SETTLED)
    assert counted(counting) == [f"web-01.{n}" for n in range(1, 7)]


async def test_the_same_text_while_the_first_is_unfinished_runs_once(
    bot: Bot, slack: ForeignSlack, counting: Path
) -> None:
    answers = await asyncio.gather(*(slack.command("UBOB", f"careful {counting} on web-01") for _ in range(3)))
    assert {answer.status for answer in answers} == {200}
    await until(lambda: "You asked for exactly this already" in slack.private("UBOB"), "the link", slack.said)


async def test_the_requester_cannot_approve_their_own_dangerous_run(
    bot: Bot, slack: ForeignSlack, counting: Path
) -> None:
    button = await _asked(slack, counting, by="UCAROL")
    assert (await slack.click("UCAROL", button)).status == 200
    await until(lambda: "somebody else must approve" in slack.private("UCAROL"), "the refusal", slack.said)
    await slack.click("UBOB", button)
    await until(lambda: "You may not approve" in slack.private("UBOB"), "the refusal of Bob", slack.said)
    await slack.click("UNOBODY", button)
    assert counted(counting) == []
    await slack.click("UERIN", button)
    await until(lambda: counted(counting) == ["careful"], "the approved run", slack.said)


async def test_two_approvers_at_the_same_instant_give_one_approval(
    bot: Bot, slack: ForeignSlack, counting: Path
) -> None:
    button = await _asked(slack, counting, by="UBOB")
    before = slack.private("UCAROL").count("approved by") + slack.private("UCAROL").count("It was given by")
    answers = await asyncio.gather(slack.click("UCAROL", button), slack.click("UERIN", button))
    assert {answer.status for answer in answers} == {200}
    await until(lambda: counted(counting) == ["careful"], "the approved run", slack.said)

    def other_is_told() -> bool:
        said = slack.private("UCAROL")
        return said.count("approved by") + said.count("It was given by") > before

    await until(other_is_told, "the other being told who decided", lambda: slack.private("UCAROL"))
    await asyncio.sleep(SETTLED)
    assert counted(counting) == ["careful"]


async def test_a_click_delivered_twice_acts_once(bot: Bot, slack: ForeignSlack, counting: Path) -> None:
    button = await _asked(slack, counting, by="UBOB")
    body = slack.click_form("UCAROL", button)
    answers = await asyncio.gather(*(slack.deliver(body) for _ in range(5)))
    assert {answer.status for answer in answers} == {200}
    await until(lambda: counted(counting) == ["careful"], "the approved run", slack.said)
    await asyncio.sleep(SETTLED)
    assert counted(counting) == ["careful"]


async def test_an_approval_not_given_in_time_expires(bot: Bot, slack: ForeignSlack, counting: Path) -> None:
    button = await _asked(slack, counting, by="UBOB")
    expired = f"careful folder={counting} on web-01: expired: nobody decided within 8 s"
    await until(lambda: expired in slack.said(), "the expiry", slack.said)
    told = len(slack.private("UCAROL"))
    await slack.click("UCAROL", button)
    late = "(expired). Nobody decided in time."
    await until(lambda: late in slack.private("UCAROL")[told:], "Carol being told", slack.said)
    assert counted(counting) == []


async def test_a_second_run_within_the_cooldown_is_refused_with_the_time_left(
    bot: Bot, slack: ForeignSlack, counting: Path
) -> None:
    await slack.command("UBOB", f"count-once {counting} on web-01")
    ended = f"count-once folder={counting} on web-01 succeeded"
    await until(lambda: ended in slack.said(), "the first run", slack.said)
    assert counted(counting) == ["once"]
    before = len(slack.said())
    await slack.command("UBOB", f"count-once {counting} on web-01 --reason again")
    await until(lambda: "by the cooldown gate" in slack.said()[before:], "the refusal", slack.said)
    assert re.search(r"It may run there again in (10|9) min", slack.said()[before:])
    assert counted(counting) == ["once"]


# --- strangers' bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"payload=",
        b"payload=%7B",
        b"payload=%5B%5D",
        b"payload=null",
        b"command=%2Frunbook",
        b"command=%2Frunbook&text=list",
        b"command=%2Frunbook&user_id=UBOB",
        b"command=%2Frunbook&user_id=UBOB&channel_id=&text=list&trigger_id=",
        b"payload=%7B%22type%22%3A%22block_actions%22%7D",
        b"payload=%7B%22type%22%3A%22block_actions%22%2C%22actions%22%3A%5B%7B%22action_id%22%3A%22handrail%3Aapprove%22%7D%5D%7D",
        b"payload=%7B%22type%22%3A%22view_submission%22%7D",
        b"\xff\xfe\x00\x01",
    ],
)
async def test_a_signed_body_that_makes_no_sense_neither_runs_nor_breaks_anything(
    bot: Bot, slack: ForeignSlack, body: bytes
) -> None:
    answer = await slack.deliver(body)
    assert answer.status in {200, 400, 401, 404}, answer
    assert (await slack.command("UALICE", "status")).status == 200


FORM = "application/x-www-form-urlencoded"
NOW = "X-Slack-Request-Timestamp"
SIGNED = "X-Slack-Signature"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        # Decoding half a megabyte of it takes half a minute.
        ([("Content-Type", "text/plain; charset=punycode")], b"a" * 500_000 + b"-" + b"b" * 500_000),
        ([("Content-Type", "text/plain; charset=nonsense")], b"x"),
        ([("Content-Type", "text/plain; charset=hex")], b"x"),
        ([("Content-Type", "text/plain; charset=utf-7")], b"+2AA-"),
        ([("Content-Type", "application/json")], b'{"authorizations":{"a":1}}'),
        ([("Content-Type", "application/json")], b"[" * 3_000),
        ([("Content-Type", FORM)], b"payload=" + b"[" * 3_000),
        ([("Content-Type", FORM), (NOW, "{now}"), (SIGNED, "v0=é")], b"x=1"),
        ([("Content-Type", FORM), (NOW, "{now}"), (NOW, "abc"), (SIGNED, "v0=" + "0" * 64)], b"x=1"),
        ([("Content-Type", FORM), (NOW, "{now}"), (SIGNED, "v0=" + "0" * 64), (SIGNED, "v0=" + "1" * 64)], b"x=1"),
    ],
)
async def test_of_what_is_not_signed_nothing_is_read(
    bot: Bot, slack: ForeignSlack, headers: list[tuple[str, str]], body: bytes
) -> None:
    sent = CIMultiDict((name, value.replace("{now}", str(int(time.time())))) for name, value in headers)
    for _ in range(3):
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.post(slack.events_url, data=body, headers=sent) as answer,
        ):
            assert answer.status == 401
    assert "Traceback" not in bot.log()


async def test_a_body_that_never_ends_is_not_waited_for(bot: Bot, slack: ForeignSlack) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(slack.events_url).port)
    writer.write(b"POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\npayload=")
    await writer.drain()
    async with asyncio.timeout(30):
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
    writer.close()


async def test_signed_fields_of_another_kind_are_refused_without_a_fault(bot: Bot, slack: ForeignSlack) -> None:
    click = {
        "type": "block_actions",
        "user": {"id": "UBOB", "name": "bob"},
        "channel": {"id": "C0INC"},
        "trigger_id": "1.2.3",
        "actions": [{"action_id": "handrail:pick", "value": "restart"}],
    }
    view = {
        "type": "view_submission",
        "user": {"id": "UBOB"},
        "view": {"id": "V1", "type": "modal", "callback_id": "handrail:planned"},
    }
    odd: list[Any] = [None, 1, "x", [], {}, [1], ["x"], {"a": 1}, "[" * 3_000, "\x00", "x" * 100_000]
    bodies = [
        {**click, name: value} for name in (*click, "message", "container", "view", "response_url") for value in odd
    ]
    bodies += [
        {**click, "actions": [{**click["actions"][0], name: value}]} for name in ("action_id", "value") for value in odd
    ]
    bodies += [{**click, "actions": [{"action_id": "handrail:pick", "selected_option": value}]} for value in odd]
    for name in ("id", "callback_id", "private_metadata", "state", "external_id"):
        bodies += [{**view, "view": {**view["view"], name: value}} for value in odd]
    bodies += [{**view, name: value} for name in ("user", "view", "team", "response_urls") for value in odd]
    for body in bodies:
        form = urlencode({"payload": json.dumps(body)}).encode()
        answer = await slack.deliver(form)
        assert answer.status in {200, 400, 404}, (answer, {n: str(v)[:60] for n, v in body.items()}, bot.log()[-900:])
    events = [{"type": "event_callback", "event": value, "authorizations": value} for value in odd]
    for body in [*events, *({"type": "event_callback", "event": {"type": value}} for value in odd)]:
        answer = await slack.deliver(urlencode({"payload": json.dumps(body)}).encode())
        assert answer.status in {200, 400, 404}, (answer, body)
    await asyncio.sleep(SETTLED)
    assert "Traceback" not in bot.log()
    assert "reference" not in str(slack.calls)
    assert (await slack.command("UALICE", "status")).status == 200


async def test_a_huge_body_is_refused(bot: Bot, slack: ForeignSlack) -> None:
    refused = {0, 413}  # the connection may be cut while we are still sending
    try:
        status = (await slack.command("UBOB", "x" * 3_000_000)).status
    except aiohttp.ClientError:
        status = 0
    assert status in refused
    assert (await slack.command("UALICE", "status")).status == 200


@pytest.mark.parametrize(
    ("action_id", "value"),
    [
        ("handrail:format-disk", "1"),
        ("handrail:approve", ""),
        ("handrail:approve", "nonsense"),
        ("handrail:approve", "999999999999999999999999"),
        ("handrail:approve", "-1"),
        ("handrail:approve", "1\x00"),
        ("handrail:approve", "9" * 5_000),
        ("handrail:giveup", "1:abc"),
        ("handrail:" + "x" * 300, "1"),
        ("handrail:approve\x00", "1"),
        ("handrail:approve", "\ud83d"),
        ("handrail:\udfff", "1"),
        ("somebody-elses", "1"),
    ],
)
async def test_a_click_on_a_button_nobody_made_is_answered_and_changes_nothing(
    bot: Bot, slack: ForeignSlack, action_id: str, value: str
) -> None:
    answer = await slack.click("UCAROL", {"action_id": action_id, "value": value})
    assert answer.status == 200
    assert "request_failed" not in bot.log()


async def test_the_audit_verifies_after_all_of_this(bot: Bot, slack: ForeignSlack) -> None:
    async with bot.database() as database:
        found = await database.read(audit.verify)
    assert found.problems == ()
    assert found.entries > 50
    assert "Traceback" not in bot.log()


async def _asked(slack: ForeignSlack, counting: Path, *, by: str) -> Mapping[str, Any]:
    """A dangerous run that waits; its *Approve*."""
    assert (await slack.command(by, f"careful {counting} on web-01")).status == 200
    asking: Mapping[str, Any] = await until(lambda: slack.button("Approve", str(counting)), "Approve", slack.said)
    return asking
