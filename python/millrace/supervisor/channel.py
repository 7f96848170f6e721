"""What a supervisor and a worker say to each other: JSON in frames, over a pair of sockets.

A worker runs code of the app, so nothing that it sends is ever unpickled.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from typing import Any

__all__ = ["Channel"]

_LENGTH = struct.Struct("!I")

# Where so many bytes wait for an end that takes none, it is hung: what else there is to say to it
# is dropped, in whole messages.
MOST_UNSENT = 1 << 20


class Channel:
    """One end of the pair. `send` is for any thread, the rest for one."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._sending = threading.Lock()
        self._received = bytearray()
        self._unsent = bytearray()

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any]) -> bool:
        """Send one message; False where the other end is gone, or takes nothing any more.

        What it has no room for yet waits for `flush`, or for the next message.
        """
        body = json.dumps(message).encode()
        with self._sending:
            if len(self._unsent) >= MOST_UNSENT:
                return False
            self._unsent += _LENGTH.pack(len(body)) + body
            return self._flush()

    @property
    def has_unsent(self) -> bool:
        """Whether something waits for room at the other end."""
        return bool(self._unsent)

    def flush(self) -> None:
        """Send what waits, as much as there is room for."""
        with self._sending:
            self._flush()

    def receive(self) -> list[dict[str, Any]] | None:
        """Return the messages that have come, waiting for more where the socket blocks.

        None: the other end is gone.
        """
        try:
            piece = self._socket.recv(1 << 18)
        except BlockingIOError:
            return []
        except OSError:
            piece = b""
        if not piece:
            return None
        self._received += piece
        return self._whole_messages()

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _flush(self) -> bool:
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()
            return False
        return True

    def _whole_messages(self) -> list[dict[str, Any]]:
        messages, buffer, at = [], self._received, 0
        while len(buffer) - at >= _LENGTH.size:
            end = at + _LENGTH.size + _LENGTH.unpack_from(buffer, at)[0]
            if len(buffer) < end:
                break
            messages.append(json.loads(buffer[at + _LENGTH.size : end]))
            at = end
        del buffer[:at]
        return messages
