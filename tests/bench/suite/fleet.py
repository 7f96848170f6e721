"""All servers of a run: started when first needed, stopped while others are measured."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from suite.running import RunningServer
from suite.servers import Server
from suite.tools import Tools, Unavailable

SETTLE_S = 0.05  # time to see the closes of the last run, which would be charged to the next


class Fleet:
    """Owns every running server; leaving it ends them all, whatever happened."""

    def __init__(self, tools: Tools, core: int) -> None:
        self.unavailable: dict[str, str] = {}
        """Why, by server name."""
        self._tools = tools
        self._core = core
        self._running: dict[str, RunningServer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for running in self._running.values():
            running.close()

    def has(self, server: Server) -> bool:
        """Whether it runs, after starting it if this is the first time it is asked for."""
        if server.name in self._running:
            return True
        if server.name in self.unavailable:
            return False
        try:
            running = RunningServer(server, self._tools, self._core)
        except Unavailable as error:
            self.unavailable[server.name] = str(error)
            return False
        self._running[server.name] = running  # owned from here on, whatever interrupts
        running.pause()
        return True

    @contextmanager
    def turn_of(self, server: Server) -> Iterator[RunningServer]:
        """The server alone runs on its core inside this block."""
        running = self._running[server.name]
        running.resume()
        try:
            time.sleep(SETTLE_S)
            yield running
            time.sleep(SETTLE_S)
        finally:
            running.pause()
