"""What can go wrong, as one tree of exceptions: by what happened, whose fault, whether to retry.

Every failure that the engine can tell apart has a name (``error.code``) and exactly one class here.
"""

from __future__ import annotations

import errno
from functools import cache
from typing import Literal

from millrace import _core

__all__ = [
    "CloseError",
    "ConnectError",
    "ConnectTimeout",
    "DiskFull",
    "InvalidOption",
    "ListenError",
    "LocalProtocolError",
    "MessageTooLarge",
    "MillraceError",
    "NetworkError",
    "NotPicklable",
    "Overloaded",
    "PoolTimeout",
    "ProtocolError",
    "ReadError",
    "ReadTimeout",
    "RemoteProtocolError",
    "RequestCancelled",
    "TimeoutException",
    "TransportError",
    "WorkerFailed",
    "WriteError",
    "WriteTimeout",
    "WrongState",
    "from_code",
]

Fault = Literal["local", "peer", "network"]


class MillraceError(Exception):
    """Anything that this package reports.

    Attributes
    ----------
    code:
        The engine's name for the failure, such as ``"head_too_large"``; empty where Python raised.
    fault:
        Who has to change something: ``"local"`` (this program), ``"peer"`` or ``"network"``.
    safe_to_retry:
        Whether the same call may be made again, on a new connection, without doing harm.
    rule:
        The clause that was broken, such as ``"RFC 9112 6.3"``; may be empty.
    """

    code: str = ""
    fault: Fault = "local"
    safe_to_retry: bool = False
    rule: str = ""


class TransportError(MillraceError):
    """A message did not get through."""

    fault: Fault = "network"


class TimeoutException(TransportError):
    """Something took longer than its limit."""


class ConnectTimeout(TimeoutException):
    """No connection in time. Nothing was sent: safe to retry."""

    safe_to_retry = True


class ReadTimeout(TimeoutException):
    """The peer did not send in time."""

    fault: Fault = "peer"


class WriteTimeout(TimeoutException):
    """The peer did not take our bytes in time."""

    fault: Fault = "peer"


class PoolTimeout(TimeoutException):
    """No connection became free in time. Nothing was sent: safe to retry."""

    fault: Fault = "local"
    safe_to_retry = True


class NetworkError(TransportError):
    """The connection failed."""


class ConnectError(NetworkError):
    """No connection could be made. Nothing was sent: safe to retry."""

    safe_to_retry = True


class ReadError(NetworkError):
    """The connection broke while receiving."""


class WriteError(NetworkError):
    """The connection broke while sending."""


class CloseError(NetworkError):
    """The connection broke while closing."""


class ProtocolError(TransportError):
    """A rule of the protocol was broken; ``error.rule`` names the clause."""


class LocalProtocolError(ProtocolError):
    """This program broke a rule of the protocol."""

    fault: Fault = "local"


class RemoteProtocolError(ProtocolError):
    """The peer broke a rule of the protocol."""

    fault: Fault = "peer"


class MessageTooLarge(RemoteProtocolError):
    """The peer sent more than a limit allows; the message names the limit."""


class NotPicklable(MillraceError, TypeError):
    """An app cannot be sent to a worker process; the message names what. Also a `TypeError`."""


class WorkerFailed(MillraceError):
    """A worker process does not come up, or workers end again and again; the message says why."""


class Overloaded(MillraceError):
    """There is as much work as the limits allow. Nothing was started: safe to retry, later."""

    safe_to_retry = True


class RequestCancelled(MillraceError):
    """The work was cancelled before it was done."""


class WrongState(LocalProtocolError, RuntimeError):
    """The call does not fit what is going on, such as a second answer; also a `RuntimeError`."""


class ListenError(MillraceError, OSError):
    """The server cannot listen where it was told to; also an `OSError`."""


class DiskFull(MillraceError, OSError):
    """There is no room left for an upload, or a quota is used up; also an `OSError`.

    A handler that does not catch it is answered with 507, and logged.
    """


class InvalidOption(MillraceError, ValueError):
    """An option has a value that cannot be used; also a `ValueError`."""


_CLASSES: dict[str, type[MillraceError]] = {
    "malformed_message": RemoteProtocolError,
    "conflicting_framing": RemoteProtocolError,
    "bad_host": RemoteProtocolError,
    "bad_line_end": RemoteProtocolError,
    "bad_version": RemoteProtocolError,
    "bad_chunk": RemoteProtocolError,
    "bad_target": RemoteProtocolError,
    "unsupported_transfer_coding": RemoteProtocolError,
    "bad_content_coding": RemoteProtocolError,
    "unexpected_message": RemoteProtocolError,
    "incomplete_message": RemoteProtocolError,
    "unsupported_media_type": RemoteProtocolError,
    "target_too_long": MessageTooLarge,
    "head_too_large": MessageTooLarge,
    "too_many_fields": MessageTooLarge,
    "body_too_large": MessageTooLarge,
    "message_too_large": MessageTooLarge,
    "too_many_connections": Overloaded,
    "overloaded": Overloaded,
    "header_timeout": ReadTimeout,
    "body_timeout": ReadTimeout,
    "read_timeout": ReadTimeout,
    "idle_timeout": ReadTimeout,
    "write_timeout": WriteTimeout,
    "connect_timeout": ConnectTimeout,
    "connection_refused": ConnectError,
    "connection_reset": ReadError,
    "connection_closed": ReadError,
    "address_in_use": ListenError,
    "address_not_available": ListenError,
    "name_not_found": ConnectError,
    "out_of_descriptors": ListenError,
    "disk_full": DiskFull,
    "io_error": NetworkError,
    "body_length_mismatch": LocalProtocolError,
    "invalid_field": LocalProtocolError,
    "invalid_message": LocalProtocolError,
    "wrong_state": WrongState,
    "cancelled": RequestCancelled,
    "invalid_option": InvalidOption,
}


_ERRNO = {
    "address_in_use": errno.EADDRINUSE,
    "address_not_available": errno.EADDRNOTAVAIL,
    "out_of_descriptors": errno.EMFILE,
    "disk_full": errno.ENOSPC,
}


@cache
def _table() -> dict[str, tuple[Fault, bool]]:
    """Fault and "safe to retry" of every code, as the engine has them."""
    return {
        code: (_fault(fault), retry != "never")
        for code, _sentence, fault, retry in _core.error_codes()
    }


def _fault(text: str) -> Fault:
    faults: dict[str, Fault] = {"local": "local", "peer": "peer", "network": "network"}
    return faults[text]


def from_code(name: str, message: str, rule: str = "") -> MillraceError:
    """Return the exception for a failure that the engine named.

    Parameters
    ----------
    name:
        The failure's name, one of those in ``_core.error_codes()``.
    message:
        What happened, for people, the values seen included.
    rule:
        The clause that was broken, or nothing.

    Examples
    --------
    >>> error = from_code("head_too_large", "the head is larger than the limit (32768 bytes)")
    >>> type(error).__name__, error.fault, error.safe_to_retry
    ('MessageTooLarge', 'peer', False)
    """
    error = _CLASSES[name](message)
    error.code = name
    error.fault, error.safe_to_retry = _table()[name]
    error.rule = rule
    if isinstance(error, OSError):
        error.errno = _ERRNO[name]
    return error
