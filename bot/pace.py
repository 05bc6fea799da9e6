"""How fast we speak: below Slack's limits, with half of the edits kept for what matters most.

Posts: one a second per channel after a small burst, and some hundreds a minute over all channels. Edits: about 45 a
minute for the whole workspace, of which progress gets at most half. Slack's own `Retry-After` holds a method, or a
method in one channel. What is said by a response URL takes nothing from anybody: each has a limit of its own, five uses
within half an hour. Pure but for its memory; times are seconds of any clock that only grows.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class PaceSettings:
    """Rates per second with their bursts. The defaults stay below tier 3 (50 edits a minute) in every minute."""

    posts_per_channel: float = 1.0
    posts_per_channel_burst: int = 3
    posts: float = 4.0
    posts_burst: int = 30
    edits: float = 40 / 60
    edits_burst: int = 5
    progress_edits: float = 20 / 60
    progress_edits_burst: int = 3
    answers: float = 80 / 60
    answers_burst: int = 15
    files: float = 40 / 60
    files_burst: int = 5
    seconds_between_edits_of_one: float = 2.0


@dataclass(kw_only=True)
class Bucket:
    """A rate with a burst, kept as one number: when it will be full again."""

    per_second: float
    burst: int
    full_at: float = 0.0

    def wait(self, now: float) -> float:
        """Seconds until one more may go; 0 for now."""
        return max(0.0, self.full_at - now - (self.burst - 1) / self.per_second)

    def take(self, now: float) -> None:
        """One goes."""
        self.full_at = max(self.full_at, now) + 1 / self.per_second


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """What is about to be said, as far as its pace matters."""

    # Slack's: chat.postMessage, chat.update, chat.postEphemeral; `files` for all that a file takes; `response_url`
    method: str
    channel: str | None
    matters: bool = False  # an ending or an approval
    key: str | None = None  # the message it is an edit of


@dataclass(kw_only=True)
class Pace:
    """Remembers what was said lately. Ask `wait`, then `take`."""

    settings: PaceSettings = field(default_factory=PaceSettings)

    def __post_init__(self) -> None:
        s = self.settings
        self._channels: dict[str | None, Bucket] = {}
        self._posts = Bucket(per_second=s.posts, burst=s.posts_burst)
        self._edits = Bucket(per_second=s.edits, burst=s.edits_burst)
        self._progress = Bucket(per_second=s.progress_edits, burst=s.progress_edits_burst)
        self._answers = Bucket(per_second=s.answers, burst=s.answers_burst)
        self._files = Bucket(per_second=s.files, burst=s.files_burst)
        self._held: dict[tuple[str, str | None], float] = {}
        self._edited: dict[str, float] = {}

    def wait(self, what: Utterance, now: float) -> float:
        """Seconds until this may be said; 0 for now."""
        held = max(self._held.get((what.method, None), 0.0), self._held.get((what.method, what.channel), 0.0)) - now
        spaced = 0.0
        if what.key is not None and not what.matters:
            last = self._edited.get(what.key)
            spaced = 0.0 if last is None else last + self.settings.seconds_between_edits_of_one - now
        return max(0.0, held, spaced, *(bucket.wait(now) for bucket in self._buckets(what)))

    def take(self, what: Utterance, now: float) -> None:
        """It is being said."""
        for bucket in self._buckets(what):
            bucket.take(now)
        if what.key is not None:
            self._edited[what.key] = now
        self._forget(now)

    def hold(self, method: str, channel: str | None, until: float) -> None:
        """Slack asked us to wait; `channel` None holds the method everywhere."""
        self._held[(method, channel)] = max(until, self._held.get((method, channel), 0.0))

    def _buckets(self, what: Utterance) -> list[Bucket]:
        if what.method == "chat.update":
            return [self._edits] if what.matters else [self._edits, self._progress]
        if what.method == "chat.postMessage":
            return [self._posts, self._channel(what.channel)]
        if what.method == "files":  # a file is a post, too
            return [self._files, self._posts, self._channel(what.channel)]
        return [] if what.method == "response_url" else [self._answers]

    def _channel(self, channel: str | None) -> Bucket:
        if channel not in self._channels:
            s = self.settings
            self._channels[channel] = Bucket(per_second=s.posts_per_channel, burst=s.posts_per_channel_burst)
        return self._channels[channel]

    def _forget(self, now: float) -> None:
        """A full bucket and a hold that is over remember nothing worth keeping."""
        if len(self._channels) + len(self._edited) + len(self._held) < 1_000:
            return
        self._channels = {name: bucket for name, bucket in self._channels.items() if bucket.full_at > now}
        self._held = {key: until for key, until in self._held.items() if until > now}
        edge = now - self.settings.seconds_between_edits_of_one
        self._edited = {key: at for key, at in self._edited.items() if at > edge}


@dataclass(kw_only=True)
class Turns:
    """Who was answered lately, the newest last; what is forgotten is long ago."""

    most: int = 1_000
    _taken: int = 0
    _last: dict[str, int] = field(default_factory=dict)

    def last(self, person: str) -> int:
        """Grows with each answer to anybody; 0 for who wasn't answered lately."""
        return self._last.get(person, 0)

    def take(self, person: str) -> None:
        """They are being answered."""
        self._taken += 1
        self._last.pop(person, None)
        self._last[person] = self._taken
        if len(self._last) > self.most:
            del self._last[next(iter(self._last))]
