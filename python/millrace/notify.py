"""What a service manager is told: sd_notify(3) and its watchdog, and the sockets it hands over."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

__all__ = ["HandedOver", "Notifier", "Watchdog", "take_sockets"]

_log = logging.getLogger("millrace.error")

# The first descriptor that is handed over: SD_LISTEN_FDS_START of sd_listen_fds(3).
_FIRST_DESCRIPTOR = 3


@dataclass(frozen=True)
class HandedOver:
    """A listening socket that the service manager opened."""

    descriptor: int
    name: str  # FileDescriptorName= of its unit, or "unknown"

    @property
    def bind(self) -> str:
        """As an address for `Server`."""
        return f"fd://{self.descriptor}"


def take_sockets(environment: MutableMapping[str, str]) -> list[HandedOver]:
    """Return the sockets that are meant for this process; its children see none of them.

    Raises
    ------
    ValueError
        The variables contradict each other.
    """
    count = environment.get("LISTEN_FDS")
    if count is None or environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    names = environment.get("LISTEN_FDNAMES")
    for variable in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        environment.pop(variable, None)
    if not count.isdecimal():
        raise ValueError(f"LISTEN_FDS={count!r} is not a number of sockets, see sd_listen_fds(3)")
    all_names = names.split(":") if names else ["unknown"] * int(count)
    if len(all_names) != int(count):
        raise ValueError(
            f"LISTEN_FDNAMES={names!r} names not as many sockets as LISTEN_FDS={count}"
        )
    found = [HandedOver(_FIRST_DESCRIPTOR + n, name) for n, name in enumerate(all_names)]
    for one in found:
        os.set_inheritable(one.descriptor, False)
    return found


class Notifier:
    """Tells the service manager how this process is, where there is one that wants to know.

    A context manager. A manager that cannot be reached is tried again with every message.

    Parameters
    ----------
    environment:
        Where ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` stand; the children of this
        process do not inherit them.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        name = environment.pop("NOTIFY_SOCKET", None)
        self._address = _address(name)
        # Opened once: a process that runs out of descriptors later still gives signs of life.
        self._out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if self._address else None
        self._is_failing = False
        self.watchdog_s = _watchdog_seconds(environment)
        # What a successor of this process needs to do the same.
        self.environment = {} if name is None else {"NOTIFY_SOCKET": name}
        if self.watchdog_s is not None:
            self.environment["WATCHDOG_USEC"] = str(round(self.watchdog_s * 1e6))

    def __enter__(self) -> Notifier:
        return self

    def __exit__(self, *error: object) -> None:
        out, self._out = self._out, None
        if out is not None:
            out.close()

    def ready(self, status: str) -> None:
        """It serves."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """It begins to re-read something; `ready` ends that."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """It lets requests finish, and will end."""
        self._send("STOPPING=1", f"STATUS={status}")

    def hand_over(self, pid: int) -> None:
        """Another process is the service from now on, and has the word: that this one ends must
        not be taken for the service's end."""
        self._send(f"MAINPID={pid}", "WATCHDOG=1")  # its own may come just before this
        self._address = None

    def alive(self) -> None:
        """The watchdog's sign of life."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        out, address = self._out, self._address  # another thread may hand over meanwhile
        if out is None or address is None:
            return
        text = "\n".join(line.replace("\n", " ") for line in lines)
        try:
            out.sendto(text.encode(), address)
        except OSError as error:
            if not self._is_failing:  # once is enough to say so
                _log.warning("cannot notify the service manager: %s", error.strerror or error)
            self._is_failing = True
        else:
            self._is_failing = False


class Watchdog:
    """Sends the sign of life at half of the time that is allowed, as long as the loops answer.

    A context manager; does nothing where no watchdog is set.
    """

    def __init__(self, notifier: Notifier, blocked_loops: Callable[[float], int]) -> None:
        self._notifier = notifier
        self._blocked_loops = blocked_loops
        self._asks = True
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="millrace-watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        if self._notifier.watchdog_s is not None:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()  # the thread may be waiting for a loop, and need not be waited for

    def ask_no_more(self) -> None:
        """Be content that this process runs: its loops end now, and its stop has a deadline."""
        self._asks = False

    def _watch(self) -> None:
        assert self._notifier.watchdog_s is not None
        half = self._notifier.watchdog_s / 2
        while not self._over.is_set():
            begun = time.monotonic()
            blocked = self._blocked_loops(half) if self._asks else 0
            if blocked and self._asks:
                _log.error("no sign of life for the watchdog: something blocks %d loops", blocked)
            else:
                self._notifier.alive()
            self._over.wait(max(0.0, half - (time.monotonic() - begun)))


def _address(text: str | None) -> str | bytes | None:
    if not text:
        return None
    if text.startswith("@"):
        return b"\0" + os.fsencode(text[1:])  # abstract, see unix(7)
    if text.startswith("/"):
        return text
    _log.warning("NOTIFY_SOCKET=%s is no Unix socket: the service manager hears nothing", text)
    return None


def _watchdog_seconds(environment: MutableMapping[str, str]) -> float | None:
    allowed = environment.pop("WATCHDOG_USEC", None)
    for_whom = environment.pop("WATCHDOG_PID", None)
    if allowed is None or for_whom not in (None, str(os.getpid())):
        return None
    if not allowed.isdecimal() or int(allowed) == 0:
        _log.warning("WATCHDOG_USEC=%r is no time in microseconds: there is no watchdog", allowed)
        return None
    return int(allowed) / 1e6
