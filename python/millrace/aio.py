"""The coroutine twins of plain TCP's connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from millrace import _core, errors
from millrace.tcp import _READ_BYTES, Connection
from millrace.waiting import AsyncWaiting

__all__ = ["AsyncConnection"]

# Failures that a reader is told of; others end the task that serves the connection.
_TOLD = {"message_too_large", "incomplete_message"}


class AsyncConnection(Connection):
    """A connection whose reads and writes are awaited.

    What a coroutine handler of `TcpServer` is given, and what ``async with tcp_connect(...)``
    gives, on any asyncio loop. A peer that resets the connection cancels the task of its handler.
    """

    def __init__(self, core: _core.Conversation, bell: _core.Bell | None = None) -> None:
        super().__init__(core)
        self._task: asyncio.Task[None] | None = None  # of a server's handler
        self._waiting = AsyncWaiting(bell)

    async def receive(self) -> bytes | None:
        """Return the next message, or None where the peer has ended."""
        got = await self._ask(self._core.take_message, 0)
        return None if got is False else got

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over messages until the peer ends."""
        while (message := await self.receive()) is not None:
            yield message

    async def read(self, most: int = _READ_BYTES) -> bytes:
        """Return 1 to ``most`` bytes, as soon as there are any; none where the peer has ended."""
        return await self._ask(self._core.take_some, most) or b""

    async def readexactly(self, count: int) -> bytes:
        """Return so many bytes; `RemoteProtocolError` where the peer ends before."""
        got = await self._ask(self._core.take_exactly, count)
        if got is False:
            raise errors.from_code("incomplete_message", f"0 of {count} bytes had come")
        return bytes(got)

    async def readline(self, most: int = _READ_BYTES) -> bytes:
        """Return a line with its LF, which only the last may lack; nothing at the end."""
        return await self._ask(self._core.take_line, most) or b""

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, or a message; waits while more is unsent than the high-water mark."""
        if not self._core.write(data):
            await self._waiting.until(self._room)

    async def _ask(self, take: Callable[[int], Any], count: int) -> Any:
        return await self._waiting.until(take, count)

    def _hear_news(self) -> None:
        self._waiting.hear()
        if self._task is not None and self._core.is_closed:
            try:
                self._core.raise_failure()
            except errors.MillraceError as error:
                if error.code not in _TOLD:
                    self._task.cancel()
