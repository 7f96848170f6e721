"""The half that runs in an interpreter of its own: a server of one loop, told what to do in bytes.

Nothing but bytes goes from one interpreter to another. The thread that calls these functions runs
them one after the other, so none waits for long.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import threading
import traceback
from typing import Any

from millrace import process
from millrace.connections import as_message
from millrace.supervisor.fleet_metrics import FleetMetrics
from millrace.supervisor.kinds import KINDS, Kind
from millrace.supervisor.log_lines import Forwarder
from millrace.supervisor.luggage import unpack
from millrace.supervisor.totals import journey_message

__all__ = ["end", "obey", "start"]

_log = logging.getLogger("millrace.error")

# What CPython says of an extension module that shares objects between interpreters.
_REFUSED = re.compile(r"module (\S+) does not support loading in subinterpreters")

# How long it may take to leave is known outside, from where it is told to hurry.
_NO_LIMIT_S = 1e9

_kind: Kind
_server: Any = None  # of that kind
_logs = Forwarder()
_has_left = threading.Event()
_calls_fd = -1  # wakes those outside
_wants_metrics = threading.Event()


def _call() -> None:
    if _calls_fd >= 0:
        os.eventfd_write(_calls_fd, 1)


def _ask_for_metrics() -> None:
    _wants_metrics.set()
    _call()


_metrics = FleetMetrics(ask=_ask_for_metrics)


def start(packed: bytes) -> bytes:
    """Import the app and serve it. Returns what `obey` does, or why that failed."""
    global _kind, _server
    try:
        luggage = unpack(packed)
        for name, level in luggage.log_levels.items():
            logging.getLogger(name or None).setLevel(level)
        logging.getLogger().addHandler(_logs)
        _kind = KINDS[luggage.kind]
        _server = _kind.make(luggage, luggage.options, _metrics.answer).start()
    except BaseException as error:
        trace = "".join(traceback.format_exception(error))
        failure = {"failed": _why(error), "traceback": trace, "log": _logs.take()}
        return json.dumps(failure).encode()
    return json.dumps(_report()).encode()


def obey(words: bytes) -> bytes:
    """Do what the JSON object says, and return a report as JSON."""
    global _calls_fd
    message: dict[str, Any] = json.loads(words)
    server = _server
    assert server is not None
    if "leave" in message:
        logging.getLogger("millrace.error").addFilter(lambda record: record.module != "drain")
        threading.Thread(target=_leave, args=[message["leave"]], name="millrace-leave").start()
    elif "call" in message:
        _calls_fd, _logs.on_record = message["call"], _call
        _call()  # for what happened before
    elif "metrics" in message:
        _metrics.tell(message["metrics"])
    elif "hurry" in message:
        server.hurry()
    elif "wait" in message:
        _has_left.wait(message["wait"])
    elif "reset_journey" in message:
        server.reset_journey()
    elif "reopen_logs" in message:
        server.reopen_logs()
    report = _report()
    if "under_way" in message:
        most, seconds = message["under_way"], message["seconds"]
        report["under_way"] = server._last_core().under_way(most, seconds)
    elif "connections" in message:
        found = server.connections(most=message["connections"], timeout=message["seconds"])
        report["connections"] = as_message(found)
    return json.dumps(report).encode()


def end(_: bytes) -> bytes:
    """Give back all that the server holds; nothing is asked of it any more."""
    global _server
    _server = None
    gc.collect()  # an app may refer to its server, and the server does to the app
    return b""


def _leave(idle: Any) -> None:
    assert _server is not None
    try:
        _kind.stop(_server, _NO_LIMIT_S, idle)
    except Exception:
        _log.exception("an interpreter's server did not stop as it should")
    finally:
        _has_left.set()


def _report() -> dict[str, Any]:
    assert _server is not None
    core = _server._last_core()
    if wants_metrics := _wants_metrics.is_set():
        _wants_metrics.clear()
    return {
        "has_left": _has_left.is_set(),
        "stats": dict(_server.stats()),
        "journey": journey_message(core.journey()),
        "metrics": core.metrics(),
        "log": _logs.take(),
        "wants_metrics": wants_metrics,
    }


def _why(error: BaseException) -> str:
    found: BaseException | None = error
    while found is not None:
        if refused := _REFUSED.search(str(found)):
            return (
                f"module {refused[1]!r} cannot be loaded in a sub-interpreter: use "
                "millrace.patterns.multi_process, whose workers are processes"
            )
        found = found.__cause__ or found.__context__
    return process.sentence_of(error)
