"""How clients wait for what lives on the engine's loop: in the engine, or as coroutines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from millrace import _core, errors

__all__ = ["AsyncWaiting", "Waiting"]

Core = _core.Conversation | _core.DatagramConversation


class Waiting:
    """Asks a connection until it answers, each time for so many seconds; None for ever."""

    def __init__(self, core: Core, timeout: float | None) -> None:
        self._core = core
        self._timeout = timeout

    def until(self, ask: Callable[..., Any], *arguments: Any, code: str, what: str) -> Any:
        """Return what ``ask`` gives other than None; a failure of that code where none comes."""
        begun = time.monotonic()
        while (got := ask(*arguments)) is None:
            left = float("inf")
            if self._timeout is not None:
                left = max(0.0, begun + self._timeout - time.monotonic())
            if not self._core.wait(left):
                raise errors.from_code(code, f"{what} for {self._timeout} s")
        return got


class AsyncWaiting:
    """Awaits news of a connection, on any asyncio loop.

    Parameters
    ----------
    bell:
        Rung by the engine's loop; None where news are told by a call of `hear`.
    """

    def __init__(self, bell: _core.Bell | None) -> None:
        self._bell = bell
        self._waiters: list[asyncio.Future[None]] = []

    async def until(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        """Return what ``ask`` gives other than None."""
        while (got := ask(*arguments)) is None:
            await self._news()
        return got

    def hear(self) -> None:
        """Wake all who wait."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _news(self) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if self._bell is not None and not self._waiters:
            loop.add_reader(self._bell.fileno(), self._hear_bell)
        self._waiters.append(future)
        try:
            await future
        finally:
            self._waiters.remove(future)
            if self._bell is not None and not self._waiters:
                loop.remove_reader(self._bell.fileno())

    def _hear_bell(self) -> None:
        assert self._bell is not None
        self._bell.silence()
        self.hear()
