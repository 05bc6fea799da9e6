"""The door for the page: its files, the workspace as JSON, live changes, and what people do there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from bot.playground.workspace import Workspace


class Browser:
    """Serves the page of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def add_routes(self, application: web.Application) -> None:
        pass

    async def close(self) -> None:
        pass
