"""One worker: a process that serves with the supervisor's sockets until it is told to leave."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

from millrace import logs, process
from millrace.connections import as_message
from millrace.supervisor.channel import Channel
from millrace.supervisor.fleet_metrics import FleetMetrics
from millrace.supervisor.kinds import KINDS, Idle, Kind
from millrace.supervisor.log_lines import Forwarder
from millrace.supervisor.luggage import Luggage, unpack
from millrace.supervisor.totals import journey_message

__all__ = ["main"]

_log = logging.getLogger("millrace.error")

# How often a worker tells what it has counted; what one that is killed counted since is lost.
REPORT_S = 1.0

# How long it tries to tell the supervisor something before it takes it for hung.
_SEND_S = 10

# Questions whose answer may take its loops a while.
_SLOW = ("connections", "under_way")


class Worker:
    """The life of one worker process."""

    def __init__(self, channel: Channel, logs: Forwarder) -> None:
        self._channel = channel
        self._logs = logs
        # What the main thread wakes for. No Event: a signal's handler may interrupt its reader.
        self._calls: SimpleQueue[str] = SimpleQueue()
        # By way of the main thread, which may wait for a supervisor that is busy; loops may not.
        self._metrics = FleetMetrics(ask=lambda: self._calls.put("metrics"))
        self._report_at = time.monotonic() + REPORT_S
        self._leaving = threading.Lock()
        self._kind: Kind
        self._server: Any = None  # of that kind

    def run(self, luggage: Luggage, options: dict[str, Any]) -> None:
        """Serve until it is told to leave, or the supervisor is gone."""
        threading.Thread(target=self._listen, name="millrace-channel", daemon=True).start()
        try:
            self._kind = KINDS[luggage.kind]
            server = self._kind.make(luggage, luggage.options | options, self._metrics.answer)
            self._server = server.start()
        except BaseException as error:
            self.fail(error)
        self._logs.on_record = lambda: self._calls.put("log")
        self._channel.send({"ready": True, "report": self._report()})
        while (call := self._next_call()) != "over":
            if call == "sigterm":
                self._channel.send({"leaving": True})
                self._leave(None, idle="one_more")
            self._send_logs()
            if call == "metrics":
                self._channel.send({"metrics": True})
            elif call == "report":
                self._channel.send({"report": self._report()})
        self._send_logs()
        self._channel.send({"report": self._report(), "left": True})

    def on_sigterm(self, number: int, frame: FrameType | None) -> None:
        """Leave as a server does that nobody supervises, and say so."""
        self._calls.put("sigterm")

    def fail(self, error: BaseException) -> None:
        """Tell why it cannot start, and end."""
        self._send_logs()
        text = "".join(traceback.format_exception(error))
        sentence = process.sentence_of(error)
        self._channel.send({"failed": sentence, "traceback": text})
        _end(process.START_FAILED)

    def _next_call(self) -> str:
        """Return what wakes us, or "report" when one is due, however much else there is to do."""
        left = self._report_at - time.monotonic()
        if left > 0:
            with contextlib.suppress(Empty):
                return self._calls.get(timeout=left)
        self._report_at = time.monotonic() + REPORT_S
        return "report"

    def _listen(self) -> None:
        """On a thread of its own: do what the supervisor says."""
        while (messages := self._channel.receive()) is not None:
            for message in messages:
                if message.get("ask") in _SLOW:
                    threading.Thread(target=self._try, args=[message], name="millrace-ask").start()
                else:
                    self._try(message)
        self._leave(None, idle="close")  # within the server's own drain time

    def _try(self, message: dict[str, Any]) -> None:
        try:
            self._obey(message)
        except Exception:  # as of a server that is gone: the next word still counts
            _log.exception("worker: %s failed", ", ".join(message))
            if "ask" in message:
                self._channel.send({"answer": message["number"], "told": None})

    def _obey(self, message: dict[str, Any]) -> None:
        if "leave" in message:
            if message["quiet"]:
                self._logs.addFilter(lambda record: record.module != "drain")
            self._leave(message["drain"], idle=message["leave"])
        elif "hurry" in message and self._server is not None:
            self._server.hurry()
        elif "reopen" in message:
            logs.reopen_logs()
        elif "metrics" in message:
            self._metrics.tell(message["metrics"])
        elif "ask" in message:
            told = None if self._server is None else self._told(self._server, message)
            answer = {"answer": message["number"], "told": told, "report": self._report()}
            self._channel.send(answer)

    def _told(self, server: Any, message: dict[str, Any]) -> Any:
        """Return what is asked for beside a report."""
        what = message["ask"]
        if what == "reset_journey":
            server.reset_journey()
        elif what == "under_way":
            return server._last_core().under_way(message["most"], message["seconds"])
        elif what == "connections":
            found = server.connections(most=message["most"], timeout=message["seconds"])
            return as_message(found)
        return None

    def _leave(self, drain: float | None, *, idle: Idle) -> None:
        if self._server is None:
            _end(0)  # still on its way up: nobody waits for it any more
        if not self._leaving.acquire(blocking=False):
            return
        server = self._server

        def leave() -> None:
            try:
                self._kind.stop(server, drain, idle)
            finally:
                self._calls.put("over")

        threading.Thread(target=leave, name="millrace-leave").start()

    def _report(self) -> dict[str, Any] | None:
        server = self._server
        if server is None:
            return None
        return {
            "stats": dict(server.stats()),
            "journey": journey_message(server._last_core().journey()),
            "metrics": server._last_core().metrics(),
        }

    def _send_logs(self) -> None:
        for record in self._logs.take():
            self._channel.send({"log": record})


def main() -> None:
    """Run as ``python -c "..." PATH CHANNEL LUGGAGE OPTIONS``.

    The middle two are descriptors, the last is JSON: what is this worker's alone.
    """
    # The terminal's Ctrl-C is the supervisor's to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel_fd, luggage_fd, options = int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
    del sys.argv[1:]
    end = socket.socket(fileno=channel_fd)
    end.set_inheritable(False)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_S, 0))
    logs = Forwarder()
    worker = Worker(Channel(end), logs)
    try:
        luggage = unpack(_read(luggage_fd))
        for name, level in luggage.log_levels.items():
            logging.getLogger(name or None).setLevel(level)
        logging.getLogger().addHandler(logs)
    except BaseException as error:
        worker.fail(error)
    signal.signal(signal.SIGTERM, worker.on_sigterm)
    worker.run(luggage, options)


def _read(descriptor: int) -> bytes:
    """Read from the start: the descriptor, and its position, are shared with other workers."""
    size = os.fstat(descriptor).st_size
    pieces, at = [], 0
    while at < size:
        pieces.append(os.pread(descriptor, size - at, at))
        at += len(pieces[-1])
    os.close(descriptor)
    return b"".join(pieces)


def _end(code: int) -> None:
    """End now: of what the app has begun, nothing is waited for."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
