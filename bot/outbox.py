"""The sender: what waits in the outbox is said to Slack, in order of importance, at Slack's pace, until it was taken.

Read `run` first, then `_round` (what may be said now), `_turn` (saying one thing) and the ways it can end: `_said`,
`_failed`. One message per channel is under way at a time, so that a slow channel holds up nobody else, and what follows
overtakes what comes before only if that has failed often. Slack has no idempotency key: a post whose answer was lost is
looked for by the outbox id in its metadata before it is repeated, gets the words that took its place meanwhile, and is
marked *(repeated)* if it can't be found. People take turns in being answered, and to each of them one thing is said at
a time, so that who asks a lot holds up nobody else.

Nothing is given up while Slack is merely down, slow or asks us to wait. What it refuses for good is said where it can
be (as plain text, as a new message, in the channel instead of the thread, in the alerts channel), and what can be said
nowhere becomes a dead letter, of which the alerts channel is told. Only what is pointless is dropped: an edit of the
headline where no headline stands, progress where no thread is to be had, and a file Slack does not take, whose lines
stay in SQL. A file is made from rows when it is sent; its name carries the outbox id, by which a lost one is found.
"""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from uuid import uuid4

import aiohttp
import structlog
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient
from slack_sdk.webhook.webhook_response import WebhookResponse
from sqlalchemy import Connection

from bot import dead_letters, files
from bot.blocks import spoken
from bot.cards import moved_elsewhere, repeated, without_blocks
from bot.pace import Pace, PaceSettings, Turns, Utterance
from bot.shown import shown
from bot.slack_trouble import Failure, Trouble, by_status, understand
from safety.clock import Clock, SystemClock
from storage import dead_letters as letters
from storage import executions, outbox
from storage.database import Database, surely
from storage.errors import StorageUnavailable
from storage.outbox import Ready
from storage.records import OutboxKind, OutboxMessage, Thread

log = structlog.get_logger(__name__)

EVENT_TYPE = "handrail_outbox"
POLL = 0.5  # seconds between looks for what other processes wrote
CALL_TIMEOUT = 10.0
TURN_TIMEOUT = 60.0
LEASE = timedelta(seconds=15)  # after this, others may take it that the process that speaks died
RENEW = 4.0
RECOVER_EVERY = 5.0
ALONE = timedelta(seconds=TURN_TIMEOUT + 30)  # the lease where nobody else speaks, which is never renewed
MOST_AT_ONCE = 8
FILES_AT_ONCE = 2  # what is said in words never waits for a file
UPLOAD_TIMEOUT = 30.0
LONGEST_BACKOFF = 60.0
TOKEN_BACKOFF = 60.0
REFUSED_TRIES = 3
TRIES_IN_ORDER = 5  # after so many, what follows in the channel may be said first
SETTLE = 10.0  # seconds to wait for more dead letters before the alerts channel is told
ANSWERS_ARE_OLD_AFTER = timedelta(minutes=30)  # so long a response URL works
CLOCKS_DIFFER_BY = timedelta(minutes=5)
PAGES_TO_LOOK_THROUGH = 5
_TAKES_JSON = {"chat.postMessage", "chat.update", "chat.postEphemeral"}
_MATTERS = {OutboxKind.ENDING, OutboxKind.APPROVAL}
_TOO_LATE = Failure(trouble=Trouble.GONE, error="it could not be said within 30 minutes")
_NO_THREAD = Failure(trouble=Trouble.GONE, error="there is no thread for it")
_FLEETING = {OutboxKind.CARD, OutboxKind.PROGRESS}
_UNREADABLE_ANSWERS = (
    aiohttp.InvalidUrlRedirectClientError,
    aiohttp.NonHttpUrlRedirectClientError,
    UnicodeDecodeError,
)
_EPHEMERAL = Utterance(method="chat.postEphemeral", channel=None)
_BY_URL = Utterance(method="response_url", channel=None)

Lane: TypeAlias = tuple[str, str | None]


class _SlackSaysNo(Exception):
    """One call failed; the failure says how."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.error)


class Outbox:
    """One sender. `alerts` is the channel for what can't be posted where it belongs.

    `is_alone`: no other process speaks for this database (always so on SQLite), so that whatever was being said when we
    start was being said by a process that died. Of several, one at a time speaks: Slack counts what all of them say.
    `run` until cancelled; `wake` it after writing.
    """

    def __init__(
        self,
        *,
        database: Database,
        client: AsyncWebClient,
        alerts: str | None = None,
        clock: Clock | None = None,
        pace: PaceSettings | None = None,
        is_alone: bool = True,
        call_timeout: float = CALL_TIMEOUT,
        poll: float = POLL,
    ) -> None:
        self._database = database
        self._client = _without_retries(client, call_timeout)
        self._alerts = alerts
        self._clock = clock or SystemClock()
        self._pace = Pace(settings=pace or PaceSettings())
        self._turns = Turns()
        self._is_alone = is_alone
        self._process = uuid4().hex
        self._speaks_until = 0.0
        self._lease = ALONE if is_alone else LEASE
        self._call_timeout = call_timeout
        self._poll = poll
        self._woken = asyncio.Event()
        self._is_resting = False
        self._is_asking = False
        self._busy: dict[Lane, int | None] = {}  # what is being said, and of which execution
        self._saying: set[str] = set()
        self._paused: dict[Lane, float] = {}
        self._put_off: dict[str, float] = {}  # until when Slack asked us not to call a method that has no pace here
        self._failures: dict[Lane, int] = {}  # in a row, without an answer
        self._silent_until = 0.0
        self._recovered_at: float | None = None
        self._announce_at = 0.0
        self._postable: set[str] = set()

    def wake(self) -> None:
        """Something was written: look at once. To be called in the event loop `run` runs in."""
        self._woken.set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being said, chosen or asked: what remains is to wait for time, or for something new."""
        return self._is_resting and not self._is_asking and not self._busy and not self._woken.is_set()

    async def run(self) -> None:
        """Say what waits, until cancelled. Outlives Slack's, the database's and its own failures."""
        try:
            await self._run()
        finally:
            await self._fall_silent()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as turns:
            if not self._is_alone:
                turns.create_task(self._go_on_living())
            while True:
                try:
                    pause = await self._round(turns)
                except StorageUnavailable as error:
                    log.warning("outbox_unreadable", error=error.message)
                    pause = 1.0
                except Exception:  # the last door: whatever it is, the next round may go well
                    log.exception("outbox_round_failed")
                    pause = 1.0
                await self._rest(pause)

    async def _go_on_living(self) -> None:
        """As long as we live it is ours to speak, and to say what is being said, however slow Slack is."""
        while True:
            try:
                await self._ask_to_speak()
            except StorageUnavailable as error:
                log.warning("outbox_unwritable", error=error.message)
            except Exception:  # as in `run`: the next one may go well
                log.exception("outbox_round_failed")
            await self._clock.sleep(RENEW)

    async def drain(self, timeout: float) -> bool:
        """Wait until everything that this process may say now was said, or for so many seconds; whether it was."""
        deadline = self._clock.monotonic() + timeout
        self.wake()
        while self._clock.monotonic() < deadline:
            try:
                if not self._busy and (not self._speaks or not await self._ready(per_channel=1)):
                    return True
            except StorageUnavailable:
                return False
            await self._clock.sleep(min(0.05, timeout))
        return False

    # --- who speaks ---------------------------------------------------------------------------------------------------

    @property
    def _speaks(self) -> bool:
        return self._is_alone or self._clock.monotonic() < self._speaks_until

    async def _ask_to_speak(self) -> None:
        """For one lease more, if nobody else does."""
        now, did = self._clock.monotonic(), self._speaks
        self._is_asking = True
        try:
            speaks = await self._database.write_first(
                outbox.speak, set(self._saying), process=self._process, now=self._clock.now(), lease=LEASE
            )
        finally:
            self._is_asking = False
        self._speaks_until = now + LEASE.total_seconds() if speaks else 0.0
        if self._speaks != did:
            log.info("outbox_speaks" if self._speaks else "outbox_listens")
            self._woken.set()

    async def _fall_silent(self) -> None:
        """Another process need not wait until this one seems to be dead."""
        if self._is_alone or not self._speaks:
            return
        self._speaks_until = 0.0
        try:
            async with asyncio.timeout(2):
                await self._database.write_first(outbox.fall_silent, process=self._process, now=self._clock.now())
        except (StorageUnavailable, TimeoutError) as error:
            log.warning("outbox_unwritable", error=str(error))

    # --- choosing -----------------------------------------------------------------------------------------------------

    async def _round(self, turns: asyncio.TaskGroup) -> float:
        """Begin what may be said now; returns after how many seconds to look again."""
        if not self._speaks:
            return self._poll
        await self._recover()
        await self._announce()
        now, pause = self._clock.monotonic(), self._poll
        if now < self._silent_until:
            return min(self._silent_until - now, self._poll)
        found = await self._ready()
        for ready in self._in_turns(found):
            lane, utterance = _lane(ready), _utterance(ready)
            if lane in self._busy or len(self._busy) >= MOST_AT_ONCE:
                continue
            if lane[0] == "file" and self._is_early(ready, found):
                continue
            wait = max(self._paused.get(lane, 0.0) - now, self._pace.wait(utterance, now))
            if wait > 0:
                pause = min(pause, wait)
                continue
            self._pace.take(utterance, now)
            if ready.message.kind is OutboxKind.ANSWER:
                self._turns.take(_person(ready))
            self._busy[lane] = ready.message.execution_id
            turns.create_task(self._turn(ready, lane))
        return pause

    def _in_turns(self, found: Sequence[Ready]) -> list[Ready]:
        """Who was answered least lately is answered first; all else stays where it is."""
        answers = (one for one in found if one.message.kind is OutboxKind.ANSWER)
        by_turns = iter(sorted(answers, key=lambda one: self._turns.last(_person(one))))
        return [next(by_turns) if one.message.kind is OutboxKind.ANSWER else one for one in found]

    def _is_early(self, file: Ready, found: Sequence[Ready]) -> bool:
        """Whether a file has to wait: it comes after all words of its execution, and few go at once."""
        number = file.message.execution_id
        words = {one.message.execution_id for one in found if one.message.method != "upload"} | {*self._busy.values()}
        return number in words or sum(1 for lane in self._busy if lane[0] == "file") >= FILES_AT_ONCE

    async def _ready(self, per_channel: int = 10) -> list[Ready]:
        reading = asyncio.ensure_future(self._database.read(outbox.ready, self._clock.now(), per_channel=per_channel))
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            # A read cut off half-way would leave its connection open behind it.
            await asyncio.gather(reading, return_exceptions=True)
            raise

    async def _recover(self) -> None:
        now = self._clock.monotonic()
        if self._recovered_at is not None and now - self._recovered_at < RECOVER_EVERY:
            return
        everything = self._is_alone and self._recovered_at is None
        number = await self._database.write(
            outbox.recover, self._clock.now(), everything=everything, but=set(self._saying)
        )
        self._recovered_at = now
        if number:
            log.info("outbox_recovered", messages=number)

    async def _announce(self) -> None:
        """Tell the alerts channel of dead letters it was not told of, those of other processes included."""
        now = self._clock.monotonic()
        if self._alerts is None or now < self._announce_at:
            return
        # Set before, so that neither a failure here nor what is buried meanwhile is overlooked.
        self._announce_at = now + dead_letters.EVERY.total_seconds()
        wait = await self._database.write(dead_letters.announce, channel=self._alerts, now=self._clock.now())
        self._announce_at = min(self._announce_at, now + wait.total_seconds())

    async def _rest(self, seconds: float) -> None:
        waits = {asyncio.create_task(self._woken.wait()), asyncio.create_task(self._clock.sleep(seconds))}
        self._is_resting = True
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._is_resting = False
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        self._woken.clear()

    # --- saying one thing ---------------------------------------------------------------------------------------------

    async def _turn(self, ready: Ready, lane: Lane) -> None:
        self._saying.add(ready.message.id)
        begun: OutboxMessage | None = None
        try:
            begun = await self._database.write(_begin, ready.message.id, now=self._clock.now(), lease=self._lease)
            if begun is not None:
                ready = replace(ready, message=begun)
                await self._say(ready, lane)
        except StorageUnavailable as error:
            log.warning("outbox_unwritable", message=ready.message.id, error=error.message)
            if begun is not None:  # what it is made of could not be read
                await self._failed(ready, lane, Failure(trouble=Trouble.NOT_SENT, error=error.message))
        except Exception as error:  # a message that breaks the sender must not break it for the others
            log.exception("outbox_turn_failed", message=ready.message.id)
            fault = Failure(trouble=Trouble.FAULT, error=f"the sender failed ({type(error).__name__})")
            await self._failed(ready, lane, fault)
        finally:
            self._saying.discard(ready.message.id)
            self._busy.pop(lane, None)
            self._woken.set()

    async def _say(self, ready: Ready, lane: Lane) -> None:
        if _is_too_late(ready, self._clock.now()):
            await self._bury(ready, _TOO_LATE)
            return
        if _has_no_thread(ready):
            await self._drop(ready, _NO_THREAD)
            return
        try:
            async with asyncio.timeout(TURN_TIMEOUT):
                stands, is_again = await self._standing(ready)
                place = _Place(ts=stands) if stands else await self._by_its_method(ready, is_again=is_again)
        except _SlackSaysNo as error:
            await self._failed(ready, lane, error.failure)
        except TimeoutError as error:
            await self._failed(ready, lane, understand(error))
        else:
            self._paused.pop(lane, None)
            self._failures.pop(lane, None)
            await self._said(ready, place, before=stands is not None)

    async def _standing(self, ready: Ready) -> tuple[str | None, bool]:
        """Where a post stands whose answer was lost, if it does; and whether it has to be marked as said again."""
        message = ready.message
        if message.method != "post" or ready.edits is not None or not message.unsure:
            return None, False
        found, looked = await self._find(ready)
        # A server error after which the post is nowhere to be seen was a refusal, not a lost answer.
        return found, not (looked and (message.error or "").startswith("HTTP 5"))

    async def _by_its_method(self, ready: Ready, *, is_again: bool) -> "_Place":
        message = ready.message
        match message.method:
            case "post" if ready.edits is None:
                payload = repeated(message.payload) if is_again else message.payload
                return _Place(ts=await self._post(ready, payload))
            case "post" | "update":
                return _Place(ts=await self._update(ready))
            case "ephemeral" | "respond":
                await self._answer(ready)
                return _Place()
            case "upload":
                return _Place(channel=await self._upload(ready))
            case _:
                raise _SlackSaysNo(Failure(trouble=Trouble.GONE, error=f"no way to say {message.method!r}"))

    async def _post(self, ready: Ready, payload: Mapping[str, Any]) -> str:
        answer = await self._as_is_or_plain(
            "chat.postMessage",
            payload,
            channel=_channel_of(ready),
            thread_ts=_thread_ts(ready),
            metadata=_metadata(ready.message.id),
            unfurl_links=False,
            unfurl_media=False,
        )
        return str(answer["ts"])

    async def _update(self, ready: Ready) -> str:
        if ready.edits is None:
            raise _SlackSaysNo(Failure(trouble=Trouble.GONE, error="there is no message to edit"))
        await self._as_is_or_plain("chat.update", ready.message.payload, channel=_channel_of(ready), ts=ready.edits)
        return ready.edits

    async def _as_is_or_plain(self, method: str, payload: Mapping[str, Any], **where: Any) -> Mapping[str, Any]:
        """As it is; shorter and without its blocks, if Slack refuses that."""
        text = str(payload.get("text", ""))
        try:
            return await self._call(method, **where, text=text, blocks=payload.get("blocks") or None)
        except _SlackSaysNo as error:
            plain = without_blocks(payload)["text"]
            is_plainer = bool(payload.get("blocks")) or len(plain) < len(text)
            if error.failure.trouble is not Trouble.CONTENT or not is_plainer:
                raise
            log.warning("blocks_refused", method=method, error=error.failure.error)
            text = plain
            # An empty list takes away what an edited message had.
            return await self._call(method, **where, text=text, blocks=[] if method == "chat.update" else None)

    async def _call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        given = {name: value for name, value in arguments.items() if value is not None}
        left = self._put_off.get(method, 0.0) - self._clock.monotonic()
        if left > 0:
            raise _SlackSaysNo(Failure(trouble=Trouble.BUSY, error="ratelimited", retry_after=left, method=method))
        try:
            async with asyncio.timeout(self._call_timeout):
                if method in _TAKES_JSON:
                    response = await self._client.api_call(method, json=given)
                else:
                    response = await self._client.api_call(method, http_verb=_verb(method), params=_flags(given))
        except Exception as error:  # every way a call can fail is sorted in one place
            raise _SlackSaysNo(_of_method(method, understand(error))) from error
        data = response.data
        return data if isinstance(data, dict) else {}

    async def _find(self, ready: Ready, file: str | None = None) -> tuple[str | None, bool]:
        """The ts of the post with this outbox id, or this file, if it is there, and whether we could look."""
        thread_ts = _thread_ts(ready)
        method = "conversations.replies" if thread_ts else "conversations.history"
        oldest = (ready.message.created_at - CLOCKS_DIFFER_BY).timestamp()
        where = {"channel": _channel_of(ready), "ts": thread_ts}
        cursor: str | None = None
        for _ in range(PAGES_TO_LOOK_THROUGH):
            try:
                page = await self._call(
                    method, **where, oldest=f"{oldest:.6f}", include_all_metadata=True, limit=200, cursor=cursor
                )
            except _SlackSaysNo as error:
                if error.failure.is_passing:
                    raise
                log.warning("outbox_cannot_look", method=method, error=error.failure.error)
                return None, False
            for post in page.get("messages", ()):
                files = [one.get("name") for one in post.get("files") or ()]
                if post.get("metadata", {}).get("event_payload", {}).get("id") == ready.message.id or file in files:
                    return str(post["ts"]), True
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return None, True
        return None, False

    # --- files --------------------------------------------------------------------------------------------------------

    async def _upload(self, ready: Ready) -> str | None:
        """A file, where it belongs; where we can't post files, or no channel is named, to whoever asked for it.

        Returns the channel in which it stands.
        """
        message = ready.message
        name = files.name_of(message.payload, message.id)
        if message.unsure and ready.channel is not None and (await self._find(ready, name))[0] is not None:
            return ready.channel
        try:
            made = await files.made(self._database, message.payload)
        except files.CannotBeMadeError as error:
            raise _SlackSaysNo(Failure(trouble=Trouble.GONE, error=str(error))) from error
        alternative = {"alt_txt": made.alternative} if made.alternative else {}
        asked = await self._call("files.getUploadURLExternal", filename=name, length=len(made.content), **alternative)
        await self._send(str(asked.get("upload_url")), made.content)
        uploaded = json.dumps([{"id": asked.get("file_id"), "title": made.title}])
        user = message.payload.get("user")
        try:
            where = {"channel_id": _channel_of(ready), "thread_ts": _thread_ts(ready)}
            await self._call("files.completeUploadExternal", files=uploaded, **where)
        except _SlackSaysNo as error:
            if user is None or not (error.failure.trouble is Trouble.CHANNEL or ready.channel is None):
                raise
            # Posting in a public channel takes no membership, attaching a file there does.
            direct = str((await self._call("conversations.open", users=user))["channel"]["id"])
            await self._call("files.completeUploadExternal", files=uploaded, channel_id=direct)
            return direct
        return ready.channel

    async def _send(self, url: str, content: bytes) -> None:
        """The bytes, where Slack said they go."""
        try:
            async with (
                asyncio.timeout(UPLOAD_TIMEOUT),
                aiohttp.ClientSession() as session,
                session.post(url, data=content, ssl=self._client.ssl or True, proxy=self._client.proxy) as response,
            ):
                failure = by_status(response.status, response.headers.get("Retry-After"))
                if response.status == 200:
                    return
        except Exception as error:  # as in `_call`
            raise _SlackSaysNo(understand(error)) from error
        raise _SlackSaysNo(failure)

    async def _no_file(self, ready: Ready, failure: Failure) -> None:
        """It stays where it is, in SQL; whoever asked for it is told."""
        message = ready.message
        log.warning(
            "file_not_attached",
            message=message.id,
            file=files.name_of(message.payload, message.id),
            error=failure.error,
        )
        await self._record(_say_no_file, message, failure.error, self._clock.now())

    # --- answers to one person ----------------------------------------------------------------------------------------

    async def _answer(self, ready: Ready) -> None:
        """By the response URL if there is one, else only visible to them in the channel, else as a direct message."""
        message = ready.message
        payload = await self._with_link(message.payload)
        payload = repeated(payload) if message.unsure else payload
        if _has_url(message):
            if await self._respond(message, payload):
                return
            await self._take_ephemeral(message)
        await self._ephemeral_or_direct(ready, payload)

    async def _respond(self, message: OutboxMessage, payload: Mapping[str, Any]) -> bool:
        """Whether Slack took it; False when it certainly didn't: the URL is none, used up, expired or out of reach."""
        keep = ("text", "blocks", "response_type", "replace_original", "delete_original", "thread_ts")
        body = {name: payload[name] for name in keep if payload.get(name) is not None}
        try:
            async with asyncio.timeout(self._call_timeout):
                response = await self._send_to(payload["response_url"], {"response_type": "ephemeral", **body})
        except _UNREADABLE_ANSWERS as error:  # not of the URL: it may have been said
            raise _SlackSaysNo(understand(error)) from error
        except (aiohttp.InvalidURL, UnicodeError):
            log.warning("response_url_unreadable", message=message.id)
            return False
        except Exception as error:  # as in `_call`
            failure = understand(error)
            # The API may be within reach where response URLs, which are another host's, are not.
            if failure.trouble is Trouble.NOT_SENT and message.attempts >= REFUSED_TRIES:
                log.warning("response_url_out_of_reach", message=message.id, error=failure.error)
                return False
            raise _SlackSaysNo(failure) from error
        if response.status_code == 200 and not response.body.lstrip().startswith("<"):
            return True
        failure = by_status(response.status_code, response.headers.get("Retry-After"), response.body)
        if failure.trouble is not Trouble.REFUSED:
            raise _SlackSaysNo(failure)
        log.info("response_url_refused", error=failure.error)
        return False

    async def _send_to(self, response_url: str, body: Mapping[str, Any]) -> WebhookResponse:
        # Without a limit of its own, a connection that never comes about would look like an answer that was lost.
        limits = aiohttp.ClientTimeout(total=self._call_timeout, connect=self._call_timeout / 2)
        async with aiohttp.ClientSession(timeout=limits) as session:
            webhook = AsyncWebhookClient(
                response_url, session=session, ssl=self._client.ssl, proxy=self._client.proxy, retry_handlers=[]
            )
            return await webhook.send_dict(dict(body))

    async def _take_ephemeral(self, message: OutboxMessage) -> None:
        """What could not be said by its URL needs its share of the method that is left, now or later."""
        now = self._clock.monotonic()
        wait = self._pace.wait(_EPHEMERAL, now)
        if wait <= 0:
            self._pace.take(_EPHEMERAL, now)
            return
        # Without its URL it waits for the method alone, instead of trying the URL again before each look at the pace.
        payload = {name: value for name, value in message.payload.items() if name != "response_url"}
        await self._record(outbox.set_words, replace(message, payload=payload))
        error = "its response URL cannot be used"
        raise _SlackSaysNo(Failure(trouble=Trouble.BUSY, error=error, retry_after=wait, method=_EPHEMERAL.method))

    async def _ephemeral_or_direct(self, ready: Ready, payload: Mapping[str, Any]) -> None:
        user = payload.get("user")
        if not isinstance(user, str):
            raise _SlackSaysNo(Failure(trouble=Trouble.GONE, error="nobody is named to answer"))
        if ready.channel is not None and not payload.get("requeued"):
            try:
                await self._as_is_or_plain(
                    "chat.postEphemeral", payload, channel=ready.channel, user=user, thread_ts=payload.get("thread_ts")
                )
                return
            except _SlackSaysNo as error:
                if error.failure.trouble is not Trouble.CHANNEL:
                    raise
        opened = await self._call("conversations.open", users=user)
        await self._as_is_or_plain(
            "chat.postMessage", payload, channel=opened["channel"]["id"], metadata=_metadata(ready.message.id)
        )

    async def _with_link(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """What tells where an execution reports gets its link when it is said; without one, it names the channel."""
        moved = payload.get("moved")
        if not moved:
            return payload
        try:
            link = (await self._call("chat.getPermalink", channel=moved["channel"], message_ts=moved["ts"]))[
                "permalink"
            ]
        except (_SlackSaysNo, KeyError):
            link = None
        return {**payload, **moved_elsewhere(moved["execution"], moved["asked_in"], link).payload()}

    # --- how it ended -------------------------------------------------------------------------------------------------

    async def _said(self, ready: Ready, place: "_Place", *, before: bool) -> None:
        learned = self._learned(ready, place.ts)
        if not await self._record(_record_said, ready, place, self._clock.now(), learned, before=before):
            log.warning("outbox_taken_back", message=ready.message.id, kind=ready.message.kind.value)
            return
        log.info(
            "outbox_said",
            message=ready.message.id,
            kind=ready.message.kind.value,
            execution=ready.message.execution_id,
            channel=ready.channel,
            attempts=ready.message.attempts,
        )

    def _learned(self, ready: Ready, ts: str | None) -> str | None:
        """A channel we now know we can post to, if we didn't."""
        if ts is None or ready.channel is None or ready.channel in self._postable:
            return None
        self._postable.add(ready.channel)
        return ready.channel

    async def _failed(self, ready: Ready, lane: Lane, failure: Failure) -> None:
        message = ready.message
        if not failure.is_passing:
            self._failures.pop(lane, None)
        match failure.trouble:
            case trouble if message.method == "upload" and _is_final(trouble, message.attempts):
                await self._no_file(ready, failure)
            case Trouble.BUSY:
                await self._held(ready, failure)
            case Trouble.TOKEN:
                # Nothing is lost: a person must repair the app, and then all of it is said.
                log.error("slack_refuses_us", error=failure.error)
                self._silent_until = self._clock.monotonic() + TOKEN_BACKOFF
                await self._wait_again(ready, TOKEN_BACKOFF, failure, is_counted=False)
            case Trouble.NOT_SENT | Trouble.SERVER | Trouble.UNKNOWN:
                await self._again(ready, lane, failure)
            case Trouble.REFUSED | Trouble.FAULT if message.attempts < REFUSED_TRIES:
                await self._again(ready, lane, failure)
            case Trouble.GONE if message.method == "post" and ready.edits is not None:
                await self._record(outbox.anew, message.id, now=self._clock.now(), attempts=message.attempts)
            case Trouble.GONE if message.kind in _FLEETING or message.method == "update":
                await self._drop(ready, failure)
            case Trouble.GONE if ready.thread is not None:
                # The headline was deleted: said in the channel by itself rather than not at all.
                await self._record(_reroute, ready, ready.thread.channel, OutboxKind.ALERT, self._clock.now())
            case Trouble.GONE if message.method == "post" and message.payload.get("thread_ts"):
                await self._record(outbox.out_of_thread, message.id, now=self._clock.now(), attempts=message.attempts)
            case Trouble.CHANNEL if message.kind is not OutboxKind.ANSWER:
                await self._cannot_post(ready, failure)
            case _:
                await self._give_up(ready, failure)

    async def _held(self, ready: Ready, failure: Failure) -> None:
        """Only the method that Slack limited waits: having to look for one post must not hold up the others.

        Each channel's posts have a limit of their own, and so has each response URL: a direct message, and an answer by
        such a URL, wait alone.
        """
        utterance = _utterance(ready)
        method = failure.method or utterance.method
        channel = utterance.channel if method == "chat.postMessage" else None
        until = self._clock.monotonic() + failure.retry_after
        if method in {utterance.method, _EPHEMERAL.method} - {_BY_URL.method}:
            self._pace.hold(method, channel, until)
        elif utterance.method == "files" and method.startswith("files."):
            self._pace.hold(utterance.method, channel, until)
        elif method not in {"chat.postMessage", _BY_URL.method}:
            self._put_off[method] = max(until, self._put_off.get(method, 0.0))
        log.info("slack_asks_to_wait", method=method, channel=channel, seconds=failure.retry_after)
        await self._wait_again(ready, failure.retry_after, failure, is_counted=False)

    async def _again(self, ready: Ready, lane: Lane, failure: Failure) -> None:
        message = ready.message
        seconds = _backoff(message.attempts)
        if message.kind is not OutboxKind.ANSWER:  # what follows in this channel must not overtake it
            self._failures[lane] = self._failures.get(lane, 0) + 1
            pause = _backoff(self._failures[lane])
            self._paused[lane] = self._clock.monotonic() + pause
            if message.attempts > TRIES_IN_ORDER:  # or it may be this one alone that Slack fails at
                seconds = max(seconds, pause + 1.0)
        log.warning("outbox_waits", message=message.id, error=failure.error, seconds=seconds, attempts=message.attempts)
        await self._wait_again(ready, seconds, failure)

    async def _wait_again(self, ready: Ready, seconds: float, failure: Failure, *, is_counted: bool = True) -> None:
        await self._record(
            outbox.again,
            ready.message.id,
            at=self._clock.now() + timedelta(seconds=seconds),
            error=failure.error,
            unsure=failure.may_be_done and ready.edits is None,
            is_counted=is_counted,
            attempts=ready.message.attempts,
        )

    async def _cannot_post(self, ready: Ready, failure: Failure) -> None:
        """Remember it, and say what matters in the alerts channel."""
        message, channel = ready.message, _channel_of(ready)
        self._postable.discard(channel)
        now = self._clock.now()
        await self._record(outbox.set_channel, channel, postable=False, error=failure.error, now=now)
        log.warning("channel_cannot_be_posted_to", channel=channel, error=failure.error)
        if message.kind in _FLEETING or message.method == "update":
            await self._drop(ready, failure)
        else:
            await self._give_up(ready, failure)

    async def _give_up(self, ready: Ready, failure: Failure) -> None:
        """What matters is said in the alerts channel, before it may become a dead letter."""
        goes_elsewhere = self._alerts is not None and ready.channel != self._alerts and ready.message.method == "post"
        kind = dead_letters.kind_of(ready.message)
        if goes_elsewhere and kind is OutboxKind.HEADLINE:
            await self._record(_reroute, ready, self._alerts, None, self._clock.now())
        elif goes_elsewhere and kind in _MATTERS:
            await self._record(_reroute, ready, self._alerts, OutboxKind.ALERT, self._clock.now())
        else:
            await self._bury(ready, failure)

    async def _drop(self, ready: Ready, failure: Failure) -> None:
        log.info("outbox_dropped", message=ready.message.id, kind=ready.message.kind.value, error=failure.error)
        await self._record(outbox.drop, ready.message)

    async def _bury(self, ready: Ready, failure: Failure) -> None:
        log.error(
            "dead_letter",
            message=ready.message.id,
            kind=ready.message.kind.value,
            channel=ready.channel,
            error=failure.error,
        )
        if ready.message.coalesce_key == letters.ANNOUNCEMENT:
            untold = await self._record(letters.not_announced, ready.message)
            log.error("dead_letters_not_announced", channel=ready.channel, error=failure.error, letters=untold)
            return
        message = ready.message
        await self._record(
            outbox.bury, message.id, now=self._clock.now(), error=failure.error, attempts=message.attempts
        )
        self._announce_at = min(self._announce_at, self._clock.monotonic() + SETTLE)

    async def _record(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Until the database has it: what Slack took must not be said again because of a database that is away."""
        return await surely(lambda: self._database.write(function, *args, **kwargs), sleep=self._clock.sleep)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where something stands that Slack took."""

    ts: str | None = None
    channel: str | None = None  # of a file, which may have gone to one person instead


# --- in one transaction -----------------------------------------------------------------------------------------------


def _begin(connection: Connection, message_id: str, *, now: datetime, lease: timedelta) -> OutboxMessage | None:
    """Mark it as being said, with the words it is said with; None when somebody else does."""
    begun = outbox.begin(connection, message_id, now=now, lease=lease)
    if begun is None or outbox.SHOWS not in begun.payload:
        return begun
    begun = replace(begun, payload={**begun.payload, **shown(connection, begun, now).payload()})
    outbox.set_words(connection, begun)
    return begun


def _record_said(
    connection: Connection, ready: Ready, place: "_Place", now: datetime, learned: str | None, *, before: bool
) -> bool:
    """Whether it is ours to say still. `before`: an earlier try had come through."""
    message, ts = ready.message, place.ts
    if before and ts is not None:
        is_ours = outbox.sent_before(connection, message, id=uuid4().hex, now=now, ts=ts)
    else:
        is_ours = outbox.sent(connection, message, now=now, ts=ts, channel=place.channel)
    if learned is not None:
        outbox.set_channel(connection, learned, postable=True, error=None, now=now)
    if not is_ours:
        return False
    if message.kind is OutboxKind.HEADLINE and message.execution_id is not None and ts is not None and message.channel:
        _headline_stands(connection, message.execution_id, message.channel, ts, now)
    return True


def _headline_stands(connection: Connection, execution_id: int, channel: str, ts: str, now: datetime) -> None:
    execution = executions.find(connection, execution_id)
    asked_in = execution.channel if execution is not None and execution.channel != channel else None
    outbox.set_thread(connection, Thread(execution_id=execution_id, channel=channel, ts=ts, asked_in=asked_in))
    if execution is None or asked_in is None or not execution.actor.is_slack:
        return
    moved = {"execution": execution_id, "asked_in": asked_in, "channel": channel, "ts": ts}
    outbox.put(
        connection,
        id=uuid4().hex,
        kind=OutboxKind.ANSWER,
        method="ephemeral",
        channel=asked_in,
        payload=moved_elsewhere(execution_id, asked_in, None).payload(user=execution.actor.id, moved=moved),
        now=now,
    )


def _say_no_file(connection: Connection, message: OutboxMessage, error: str, now: datetime) -> None:
    outbox.drop(connection, message)
    user, number = message.payload.get("user"), message.payload.get("log")
    if user is None:
        return
    said = f"Slack took no file ({error}), so it is not attached: {message.payload.get('text')}."
    said += f" `/runbook logs {number}` shows its newest lines." if number is not None else ""
    outbox.put(
        connection,
        id=uuid4().hex,
        kind=OutboxKind.ANSWER,
        method="ephemeral",
        channel=message.channel,
        payload=spoken(said).payload(user=user),
        now=now,
    )


def _reroute(connection: Connection, ready: Ready, channel: str, kind: OutboxKind | None, now: datetime) -> None:
    message = ready.message
    outbox.reroute(connection, message.id, channel=channel, kind=kind, now=now, attempts=message.attempts)


# --- small facts ------------------------------------------------------------------------------------------------------


def _lane(ready: Ready) -> Lane:
    """What is said one after the other: a channel's posts, its files, the answers to one person."""
    if ready.message.method == "upload":
        return ("file", ready.channel)
    if ready.message.kind is OutboxKind.ANSWER:
        return ("answer", _person(ready))
    return ("channel", ready.channel)


def _person(answer: Ready) -> str:
    """Whom it is for; where nobody is named, it stands for itself."""
    return str(answer.message.payload.get("user") or answer.message.id)


def _utterance(ready: Ready) -> Utterance:
    message = ready.message
    matters = message.kind in _MATTERS
    if message.method == "upload":
        return Utterance(method="files", channel=ready.channel)
    if message.method in {"ephemeral", "respond"}:
        return _BY_URL if _has_url(message) else _EPHEMERAL
    if message.method == "update" or ready.edits is not None:
        return Utterance(method="chat.update", channel=ready.channel, matters=matters, key=message.coalesce_key)
    return Utterance(method="chat.postMessage", channel=ready.channel, matters=matters)


def _has_url(message: OutboxMessage) -> bool:
    """Whether it can be said by a response URL; whether that can be read, the client knows."""
    url = message.payload.get("response_url")
    return message.method == "respond" and isinstance(url, str) and url.lower().startswith(("https://", "http://"))


def _is_too_late(ready: Ready, now: datetime) -> bool:
    message = ready.message
    if message.kind is not OutboxKind.ANSWER or message.payload.get("requeued") or message.method == "upload":
        return False
    return now - message.created_at > ANSWERS_ARE_OLD_AFTER


def _has_no_thread(ready: Ready) -> bool:
    """Progress of an execution whose headline will never stand: in the channel by itself it would be noise."""
    return ready.message.kind in _FLEETING and ready.message.execution_id is not None and ready.thread is None


def _backoff(tries: int) -> float:
    """Seconds to wait after so many: 1, doubling to a minute."""
    return min(2.0 ** min(max(tries - 1, 0), 10), LONGEST_BACKOFF)


def _is_final(trouble: Trouble, attempts: int) -> bool:
    """Whether a file that met this is given up: at once, or after some tries where the next could go well."""
    if trouble in {Trouble.REFUSED, Trouble.FAULT}:
        return attempts >= REFUSED_TRIES
    return trouble in {Trouble.GONE, Trouble.CHANNEL, Trouble.CONTENT}


def _thread_ts(ready: Ready) -> str | None:
    """The message it answers to: that of its thread, or one it names."""
    ts: str | None = ready.thread.ts if ready.thread else ready.message.payload.get("thread_ts")
    return ts


def _channel_of(ready: Ready) -> str:
    if ready.channel is None:
        raise _SlackSaysNo(Failure(trouble=Trouble.GONE, error="no channel is named"))
    return ready.channel


def _metadata(message_id: str) -> dict[str, Any]:
    return {"event_type": EVENT_TYPE, "event_payload": {"id": message_id}}


def _of_method(method: str, failure: Failure) -> Failure:
    """Without a scope that only looking or direct messages need, all the rest can still be said."""
    if failure.error == "missing_scope" and method not in _TAKES_JSON:
        failure = replace(failure, trouble=Trouble.REFUSED)
    return replace(failure, method=method)


def _verb(method: str) -> str:
    return "POST" if method == "conversations.open" or method.startswith("files.") else "GET"


def _flags(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """In a query, Slack reads a flag as 1 or 0."""
    return {name: int(value) if isinstance(value, bool) else value for name, value in arguments.items()}


def _without_retries(client: AsyncWebClient, timeout: float) -> AsyncWebClient:
    """The same client without retries of its own: a repeated post is a decision, and it is made here."""
    quiet = AsyncWebClient(
        token=client.token,
        base_url=client.base_url,
        timeout=math.ceil(timeout),
        ssl=client.ssl,
        proxy=client.proxy,
        session=client.session,
        trust_env_in_session=client.trust_env_in_session,
        retry_handlers=[],
    )
    quiet.default_params = dict(client.default_params)
    return quiet
