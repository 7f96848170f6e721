"""A server under test while it runs: started on its core, stopped between turns, ended for good."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from suite import process_tree
from suite.children import on_core
from suite.servers import Server
from suite.tools import Tools, Unavailable

START_TIMEOUT_S = 20.0
POLL_S = 0.02


class RunningServer:
    """Owns a server's whole process tree. One owner; `close` may be called twice."""

    def __init__(self, server: Server, tools: Tools, core: int) -> None:
        tools.require(server.needs)
        self.server = server
        self._kind = socket.SOCK_DGRAM if server.is_udp else socket.SOCK_STREAM
        self.port = _free_port(self._kind)
        self._is_closed = False
        self._log = _log_path(tools.build, server.name)
        command = server.command(tools, self.port)
        with self._log.open("wb") as log:
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is the suite's to handle, not the server's
                    preexec_fn=on_core(core),
                )
            except OSError as error:
                raise Unavailable(f"cannot be started: {error}") from error
        try:
            self._wait_until_listening()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def tree(self) -> list[int]:
        return process_tree.members(self._process.pid)

    def pause(self) -> None:
        """Stop every process of it: some servers spin while idle and would eat another's core."""
        process_tree.signal_all(self.tree(), signal.SIGSTOP)

    def resume(self) -> None:
        process_tree.signal_all(self.tree(), signal.SIGCONT)

    def close(self) -> None:
        """End the tree. Stopped first, so that nothing in it forks or is reaped meanwhile."""
        if self._is_closed:
            return
        self._is_closed = True
        self.pause()
        process_tree.signal_all(self.tree(), signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            # Its own session and group: what a crashed parent has left behind.
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)

    def last_words(self) -> str:
        """The last line it printed: the reason, when it would not start."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "it printed nothing"

    def _wait_until_listening(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise Unavailable(f"exited at start: {self.last_words()}")
            try:
                self._probe()
                return
            except OSError:
                time.sleep(POLL_S)
        raise Unavailable(f"not listening after {START_TIMEOUT_S:.0f} s: {self.last_words()}")

    def _probe(self) -> None:
        """Connect; what listens for datagrams shows only by an answer."""
        with socket.socket(type=self._kind) as probe:
            probe.settimeout(1)
            probe.connect(("127.0.0.1", self.port))
            if self.server.is_udp:
                probe.send(b"?")
                probe.recv(1)


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _log_path(build: Path, name: str) -> Path:
    folder = build / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / (name.replace("/", "-").replace(" ", "-") + ".log")
