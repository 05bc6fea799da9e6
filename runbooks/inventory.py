"""All known hosts, and what a typed target means."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from runbooks.remote import Host
from storage.errors import Invalid, NotFound


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """The hosts of `handrail.yml`, by name."""

    hosts: tuple[Host, ...] = field(default=())

    def host(self, name: str) -> Host:
        """One host; raises NotFound with near misses."""
        wanted = name.strip().lower()
        for host in self.hosts:
            if host.name.lower() == wanted:
                return host
        near = get_close_matches(wanted, [h.name.lower() for h in self.hosts], n=3)
        known = f"Did you mean {' or '.join(near)}?" if near else f"Known are {self._known()}."
        raise NotFound(f"No host matches '{name}'. {known}")

    def resolve(self, targets: Sequence[str]) -> tuple[Host, ...]:
        """The hosts that were meant, in the order typed, each once: names and `tag:NAME`.

        Raises NotFound for a target that matches nothing, Invalid when none was typed.
        """
        if not targets:
            raise Invalid(f"On which host? Add `on HOST`. Known are {self._known()}.")
        found: dict[str, Host] = {}
        for target in targets:
            for host in self._matching(target):
                found.setdefault(host.name, host)
        return tuple(found.values())

    def _matching(self, target: str) -> Iterable[Host]:
        kind, colon, tag = target.partition(":")
        if not colon:
            return (self.host(target),)
        if kind.lower() != "tag":
            raise Invalid(f"'{target}' is no target. Name a host, or tag:NAME.")
        tagged = [h for h in self.hosts if tag.lower() in {t.lower() for t in h.tags}]
        if not tagged:
            tags = sorted({t for h in self.hosts for t in h.tags})
            raise NotFound(f"No host has the tag '{tag}'. Known tags: {', '.join(tags) or 'none'}.")
        return tagged

    def running(self, service: str) -> tuple[Host, ...]:
        """The hosts whose inventory entry lists this service."""
        return tuple(h for h in self.hosts if service in h.services)

    def _known(self) -> str:
        names = [h.name for h in self.hosts]
        return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "") if names else "none"
