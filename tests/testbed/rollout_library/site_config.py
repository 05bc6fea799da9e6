"""A staged file takes the place of a site's configuration in nginx; what was there before can be put back."""

from runbooks import (
    AbsolutePath,
    Category,
    Danger,
    Expect,
    Facts,
    Parameters,
    Plan,
    Probe,
    Require,
    Run,
    Runbook,
    Word,
    minutes,
    positional,
)


class SiteConfig(Runbook):
    """Put a staged site configuration in its place, and have nginx use it."""

    name, aliases, category = "site-config", ("roll-site",), Category.MAINTENANCE
    danger, cooldown, timeout = Danger.LOW, minutes(0), minutes(2)

    class Params(Parameters):
        """Which site, and how to tell that the new configuration is in use."""

        folder: AbsolutePath = positional("folder with site.conf and site.conf.staged")
        says: Word = positional("what the site answers with the staged configuration")

    async def probe(self, host: Probe, params: Params) -> Facts:
        """The two files, by their hashes."""
        current, staged = f"{params.folder}/site.conf", f"{params.folder}/site.conf.staged"
        hashes = [str(await host.read("sha256sum", path)).split()[0] for path in (current, staged)]
        if hashes[0] == hashes[1]:
            raise ValueError(f"{host.name} has the staged configuration in place already.")
        return Facts(current=hashes[0], staged=hashes[1])

    def plan(self, params: Params, facts: Facts) -> Plan:
        """The undo steps run in reverse: the former file comes back, then nginx reads it."""
        site = f"{params.folder}/site.conf"
        reload = Run("Let nginx read it again", "systemctl", "reload", "nginx", sudo=True, idempotent=True)
        back = Run("Put the former one back", "cp", "-p", f"{site}.before", site, idempotent=True)
        return Plan(
            Require("The configuration is the one we saw", "sha256sum", site, pattern=f"^{facts.current} "),
            Require("The staged one is, too", "sha256sum", f"{site}.staged", pattern=f"^{facts.staged} "),
            Run("Keep the configuration", "cp", "-p", site, f"{site}.before", idempotent=True, undo=reload),
            Run("Put the staged one in its place", "cp", f"{site}.staged", site, idempotent=True, undo=back),
            Expect("nginx takes it", "nginx", "-t", sudo=True, within=0),
            Run("Let nginx read it", "systemctl", "reload", "nginx", sudo=True, idempotent=True, undo=reload),
            self._answers(params),
        )

    def health(self, params: Params, facts: Facts) -> list[Expect]:
        """Hosts that are done go on answering with it."""
        return [self._answers(params)]

    def _answers(self, params: Params) -> Expect:
        words = ("curl", "-sf", "--max-time", "5", "http://127.0.0.1:8090/")
        return Expect("The site answers with it", *words, output=params.says, within=15)
