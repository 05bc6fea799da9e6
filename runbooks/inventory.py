"""All known hosts, and what a typed target means."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from runbooks.remote import Host
from safety.roles import Place
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
        near = self.near(wanted)
        known = f"Did you mean {' or '.join(near)}?" if near else f"Known are {self._known()}."
        raise NotFound(f"No host matches '{name}'. {known}")

    def near(self, name: str) -> list[str]:
        """Names that look like this one, in lower case."""
        return get_close_matches(name.strip().lower(), [host.name.lower() for host in self.hosts], n=3)

    def resolve(self, targets: Sequence[str]) -> tuple[Host, ...]:
        """The hosts that were meant, in the order typed, each once: names, `tag:NAME` and `env:NAME`.

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
        kind, colon, name = target.partition(":")
        if not colon:
            return (self.host(target),)
        match kind.lower():
            case "tag":
                what, of = "tag", {host.name: host.tags for host in self.hosts}
            case "env":
                what, of = (
                    "environment",
                    {host.name: frozenset(filter(None, [host.environment])) for host in self.hosts},
                )
            case _:
                raise Invalid(f"'{target}' is no target. Name a host, tag:NAME or env:NAME.")
        found = [host for host in self.hosts if name.lower() in {known.lower() for known in of[host.name]}]
        if not found:
            known = sorted({one for names in of.values() for one in names})
            raise NotFound(f"No host has the {what} '{name}'. Known {what}s: {', '.join(known) or 'none'}.")
        return found

    def places(self) -> dict[str, Place]:
        """The hosts as rights see them."""
        return {h.name: Place(name=h.name, tags=h.tags, environment=h.environment) for h in self.hosts}

    def only(self, shown: Callable[[Host], bool]) -> "Inventory":
        """What somebody may know of."""
        return Inventory(hosts=tuple(host for host in self.hosts if shown(host)))

    def running(self, service: str) -> tuple[Host, ...]:
        """The hosts whose inventory entry lists this service."""
        return tuple(h for h in self.hosts if service in h.services)

    def _known(self) -> str:
        names = [h.name for h in self.hosts]
        return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "") if names else "none"
