"""A network of one's own: a child process in a fresh network namespace.

Its settings and counters are nobody else's, so that an experiment may fill queues and count every
segment without harm to the machine. The process that asks never changes its own namespace, so it
works inside a notebook.
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import pickle
import selectors
import socket
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

__all__ = ["PrivateNetwork", "PrivateNetworkUnavailable", "set_sysctl"]

T = TypeVar("T")

_HERE = "millrace.lab.private_network"
# namespaces(7); os.unshare() came with Python 3.12.
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
# netdevice(7)
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_LENGTH = struct.Struct("!Q")
# Set in the child only, by itself.
_is_private = False


_REMEDY = (
    "run as root, or allow unprivileged user namespaces (`sysctl user.max_user_namespaces`, and "
    "kernel.apparmor_restrict_unprivileged_userns=0 where there is one)"
)


class PrivateNetworkUnavailable(RuntimeError):
    """This machine gives us no network of our own; the message says why."""


class PrivateNetwork:
    """A child process with a loopback interface, sysctls and counters of its own.

    One owner at a time. Needs root, or unprivileged user namespaces (user_namespaces(7)).

    Parameters
    ----------
    patience_s:
        Seconds that one call may take.

    Raises
    ------
    PrivateNetworkUnavailable
        When it is entered, where the kernel or the container does not allow it.

    Examples
    --------
    >>> from operator import add
    >>> from millrace.lab.kernel_counters import network_counters
    >>> try:
    ...     with PrivateNetwork() as network:
    ...         network.call(add, 1, 2), network.call(network_counters)["TcpExtListenOverflows"]
    ... except PrivateNetworkUnavailable:
    ...     (3, 0)
    (3, 0)
    """

    def __init__(self, *, patience_s: float = 60.0) -> None:
        self._patience_s = patience_s
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # The child finds millrace where this process found it.
        paths = os.pathsep.join(path for path in sys.path if path)
        self._child = subprocess.Popen(
            [sys.executable, "-c", f"from {_HERE} import _serve_calls; _serve_calls()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
        )
        try:
            self.call(_enter)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function of an importable module in the child and return what it returns.

        Raises
        ------
        TypeError
            The function or an argument cannot be pickled, such as a lambda or a function that was
            defined in a notebook's cell.
        TimeoutError
            It took longer than ``patience_s``; the child is ended.
        RuntimeError
            It raised; the message is the child's traceback.
        """
        child = self._child
        if child is None:
            raise RuntimeError("the private network is not open: use it in a `with`")
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            call = pickle.dumps((function, arguments))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(
                f"{function!r} cannot be sent to the private network: put it into a module"
            ) from error
        _send(child.stdin, call)
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            if not selector.select(self._patience_s):
                self._end()
                raise TimeoutError(f"{function!r} took longer than {self._patience_s:g} s")
        failure, value = pickle.loads(_receive(child.stdout))
        if isinstance(failure, PrivateNetworkUnavailable):
            raise failure
        if failure is not None:
            raise RuntimeError(f"in the private network:\n{failure}")
        result: T = value
        return result

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()


def set_sysctl(name: str, value: int | str) -> None:
    """Set a network setting of the private network, such as ``net.core.somaxconn``.

    Raises
    ------
    RuntimeError
        Called outside a private network, where it would change the machine.
    OSError
        The kernel refuses the value.
    """
    if not _is_private:
        raise RuntimeError(f"{name} would change this machine: call it in a PrivateNetwork")
    _sysctl(name).write_text(str(value), encoding="ascii")


def _sysctl(name: str) -> Path:
    return Path("/proc/sys") / name.replace(".", "/")


def _enter() -> None:
    """Leave for a namespace of our own; in the child, before it has a second thread."""
    global _is_private
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            reason = os.strerror(ctypes.get_errno())
            raise PrivateNetworkUnavailable(f"no network namespace ({reason}): {_REMEDY}")
        # AppArmor lets everybody have a namespace, but nobody be root in it.
        with _refusal("no root in a user namespace"):
            Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
            Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="ascii")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="ascii")
    if not os.access(_sysctl("net.core.somaxconn"), os.W_OK):
        raise PrivateNetworkUnavailable(
            "/proc/sys is read-only here, as in most containers: its settings cannot be made ours"
        )
    with _refusal("no loopback interface in the network namespace"):
        _raise_loopback()
    _is_private = True


@contextmanager
def _refusal(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise PrivateNetworkUnavailable(f"{what} ({reason}): {_REMEDY}") from error


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        _, flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def _send(target: IO[bytes], message: bytes) -> None:
    target.write(_LENGTH.pack(len(message)) + message)
    target.flush()


def _receive(source: IO[bytes]) -> bytes:
    head = source.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError("the other side of the private network ended")
    (length,) = _LENGTH.unpack(head)
    return source.read(length)


def _serve_calls() -> None:
    """Answer calls until the parent closes the pipe."""
    calls = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    # What an experiment prints must not be read as an answer.
    os.dup2(2, 1)
    # What the engine warns of, such as a backlog cut down, is what experiments provoke.
    logging.disable(logging.WARNING)
    while True:
        try:
            message = _receive(calls)
        except EOFError:
            return
        try:
            function, arguments = pickle.loads(message)
            answer: tuple[object, object] = (None, function(*arguments))
        except PrivateNetworkUnavailable as error:
            answer = (error, None)
        except Exception:
            answer = (traceback.format_exc(), None)
        _send(answers, pickle.dumps(answer))
