"""One worker, seen from its supervisor: a process, a channel to it, and what it last told."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import millrace
from millrace.supervisor.channel import Channel

__all__ = ["WorkerProcess"]

_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from millrace.supervisor.worker import main; main()"
)
_PAGE = os.sysconf("SC_PAGE_SIZE")


class WorkerProcess:
    """Started by exec, with nothing but the descriptors that it needs. One thread."""

    def __init__(
        self, number: int, slot: int, luggage: int, options: dict[str, Any], sockets: list[int]
    ):
        self.number = number
        self.slot = slot
        self.started_at = time.time()
        self.report: dict[str, Any] | None = None  # the last one
        self.failure = ""  # why it could not start, in its own words
        self.traceback = ""
        ours, theirs = socket.socketpair()
        with theirs:
            # Words to a worker are few and short: one that takes none of them is hung.
            ours.setblocking(False)
            arguments = [_package_folder(), str(theirs.fileno()), str(luggage), json.dumps(options)]
            try:
                self._process = subprocess.Popen(
                    [sys.executable, *_interpreter_flags(), "-c", _PROGRAM, *arguments],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno(), luggage, *sockets],
                    # Of its own, so that the terminal's Ctrl-C comes to the supervisor alone.
                    process_group=0,
                )
            except BaseException:
                ours.close()
                raise
        self.channel = Channel(ours)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def how_it_ended(self) -> str | None:
        """Return how the process ended, or None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        if self.failure:
            return f"could not start: {self.failure}"
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def kill(self) -> None:
        """End it without its consent."""
        self._process.kill()

    def memory(self) -> int:
        """Return the bytes of memory that it has resident; 0 where it is gone."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * _PAGE

    @property
    def requests(self) -> int:
        """Requests it had answered when it last told; of plain TCP and UDP, messages."""
        loops = self.report["stats"].get("loops", []) if self.report else []
        return sum(loop.get("requests", 0) + loop.get("messages_in", 0) for loop in loops)


def _package_folder() -> str:
    return str(Path(millrace.__file__).parents[1])


def _interpreter_flags() -> list[str]:
    """Return the flags of this interpreter, such as -O and -X dev."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return flags
