"""What a socket is asked for, and what the kernel made of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from millrace import _core
from millrace.tables import ShownAsTable, TextTable
from millrace.units import byte_count, seconds

__all__ = [
    "Keepalive",
    "SocketOption",
    "SocketOptions",
    "SocketReport",
    "chosen_backlog",
    "read_socket_options",
]

T = TypeVar("T")

_log = logging.getLogger("millrace.error")

# The engine has the defaults; a test compares.
_ENGINE = _core.SocketOptions()

_SWITCHES = {"nodelay", "quickack", "cork", "reuse_port", "v6_only"}
_SIZES = {"receive_buffer", "send_buffer", "not_sent_low_watermark"}
_WHOLE_SECONDS = {"defer_accept", "linger", "keepalive_idle", "keepalive_interval"}
_MOST = 2**31 - 1
_PER_LOOP = "per_loop"


@dataclass(frozen=True, kw_only=True)
class Keepalive:
    """Probes on a connection that says nothing (RFC 9293 3.8.4), so that a dead peer is noticed.

    What is left out is the kernel's: 2 h, 75 s and 9 probes (tcp(7)).

    Parameters
    ----------
    idle:
        Silence before the first probe, whole seconds.
    interval:
        Between probes, whole seconds.
    count:
        Probes without an answer before the connection counts as broken.

    Raises
    ------
    ValueError
        A duration is malformed or not whole seconds.

    Examples
    --------
    >>> Keepalive(idle="1min", interval="10s", count=3)
    Keepalive(idle=60, interval=10, count=3)
    """

    idle: float | str | None = None
    interval: float | str | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        for name in ("idle", "interval"):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, _whole(f"keepalive {name}", given, 1))
        if self.count is not None:
            _int("keepalive count", self.count, 1)


@dataclass(frozen=True, kw_only=True)
class SocketOptions:
    """Options of the listening sockets of a server, and of the connections they accept.

    None leaves a choice to the kernel. A value that it refuses or rounds is no error:
    `Server.socket_report` shows it, and a warning is logged when the server starts. What each does
    on the wire, and which counter shows it, stands in docs/socket_options.md; the kernel's own
    words are in socket(7), tcp(7), ipv6(7) and unix(7). What does not apply to an address, such as
    TCP options to a Unix path, is left out there.

    Parameters
    ----------
    nodelay:
        TCP_NODELAY: small writes leave at once.
    quickack:
        TCP_QUICKACK on each connection. The kernel goes back to its own choice by itself, so where
        it is on it is set again after each read: one more system call for each.
    cork:
        TCP_CORK: incomplete segments wait, up to 200 ms.
    receive_buffer, send_buffer:
        SO_RCVBUF, SO_SNDBUF in bytes, which switches the kernel's own tuning off. It doubles them.
    not_sent_low_watermark:
        TCP_NOTSENT_LOWAT in bytes: how much may lie unsent before a socket stops being writable.
    fast_open:
        TCP_FASTOPEN (RFC 7413): connections that may wait with data before their handshake ends.
        For `millrace.tcp_connect` a number above 0 is TCP_FASTOPEN_CONNECT. What is in a SYN may
        arrive twice: only for messages that are safe to repeat.
    defer_accept:
        TCP_DEFER_ACCEPT, whole seconds: a connection is accepted when it has sent something.
    reuse_port:
        SO_REUSEPORT: other sockets of the same user may listen on the address too.
    keepalive:
        SO_KEEPALIVE: True, False, or `Keepalive` with its three numbers.
    user_timeout:
        TCP_USER_TIMEOUT (RFC 5482) in steps of milliseconds: how long sent bytes may stay without
        acknowledgement.
    congestion_control:
        TCP_CONGESTION, such as ``"bbr"``.
    linger:
        SO_LINGER, whole seconds. 0 closes with a reset, which destroys what is on its way. More
        makes each close wait for the peer, and the event loop with it: for experiments.
    v6_only:
        IPV6_V6ONLY; off, ``[::]`` takes IPv4 as well.
    incoming_cpu:
        SO_INCOMING_CPU: of several sockets on one port, this one gets that CPU's connections,
        or datagrams. Where a pattern has several, ``"per_loop"`` gives each the next of the CPUs
        that this process may run on, and a sequence names one for each.
    unix_mode:
        Permissions of a Unix path, such as ``0o660``, whatever the umask.
    backlog:
        Of listen(2): connections that the kernel keeps until they are accepted.

    Raises
    ------
    ValueError
        A value is malformed; the message names the option.

    Examples
    --------
    >>> options = SocketOptions(receive_buffer="64kB", keepalive=Keepalive(idle=60))
    >>> options.receive_buffer, options.nodelay
    (64000, True)
    """

    nodelay: bool | None = bool(_ENGINE.nodelay)
    quickack: bool | None = None
    cork: bool | None = None
    receive_buffer: int | str | None = None
    send_buffer: int | str | None = None
    not_sent_low_watermark: int | str | None = None
    fast_open: int | None = None
    defer_accept: float | str | None = None
    reuse_port: bool | None = None
    keepalive: bool | Keepalive | None = None
    user_timeout: float | str | None = None
    congestion_control: str | None = None
    linger: float | str | None = None
    v6_only: bool | None = bool(_ENGINE.v6_only)
    incoming_cpu: int | Sequence[int] | str | None = None
    unix_mode: int | None = None
    backlog: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            if given is not None:
                object.__setattr__(self, field.name, _checked(field.name, given))

    def to_engine(self, sockets: int = 1) -> _core.SocketOptions:
        """Return them as the engine takes them; the backlog is not among them.

        Parameters
        ----------
        sockets:
            How many sockets an address has.

        Raises
        ------
        ValueError
            ``incoming_cpu`` does not fit so many.
        """
        options = _core.SocketOptions()
        for field in fields(self):
            if field.name not in ("backlog", "keepalive", "incoming_cpu"):
                setattr(options, field.name, _number(field.name, getattr(self, field.name)))
        if isinstance(self.incoming_cpu, int):
            options.incoming_cpu = self.incoming_cpu
        elif self.incoming_cpu is not None:
            options.incoming_cpus = _cpus(self.incoming_cpu, sockets)
        if self.keepalive is not None:
            options.keepalive = int(bool(self.keepalive))
        if isinstance(self.keepalive, Keepalive):
            for name in ("idle", "interval", "count"):
                setattr(options, f"keepalive_{name}", getattr(self.keepalive, name))
        return options


def for_datagrams(options: SocketOptions, sockets: int = 1) -> _core.SocketOptions:
    """Return options as sockets of UDP take them, ``sockets`` for an address.

    Which of them mean nothing to UDP the engine says; it has no backlog among them.

    Raises
    ------
    ValueError
        A backlog is among them, or ``incoming_cpu`` does not fit so many sockets.
    """
    if options.backlog is not None:
        raise ValueError("socket option 'backlog' means nothing to UDP: leave it out")
    return options.to_engine(sockets)


def read_socket_options(texts: Iterable[str]) -> SocketOptions:
    """Read ``NAME=VALUE`` texts, as the command line takes them.

    Switches are ``on`` or ``off``; ``keepalive`` is one of these, or ``60s,10s,3`` for idle time,
    interval and count; ``incoming_cpu`` may be ``0,1`` or ``per_loop``; ``unix_mode`` is octal.

    Raises
    ------
    ValueError
        A text has no ``=``, no such option exists, or its value is malformed.

    Examples
    --------
    >>> options = read_socket_options(["nodelay=off", "keepalive=60s,10s,3", "unix_mode=660"])
    >>> options.nodelay, options.keepalive.count, oct(options.unix_mode)
    (False, 3, '0o660')
    """
    values: dict[str, Any] = {}
    names = [field.name for field in fields(SocketOptions)]
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if name not in names:
            raise ValueError(f"{name!r} is no socket option; there are {', '.join(names)}")
        if not equals:
            raise ValueError(f"{text!r}: write NAME=VALUE, such as 'receive_buffer=64kB'")
        values[name] = _read(name, value.strip())
    return SocketOptions(**values)


def chosen_backlog(given: int | None, options: SocketOptions, default: int) -> int:
    """Return what a server was given as its own argument, or else among its socket options.

    Raises
    ------
    ValueError
        It stands in both places.
    """
    if given is not None and options.backlog is not None:
        raise ValueError("backlog is given twice: leave it out of the socket_options")
    chosen = options.backlog if given is None else given
    return default if chosen is None else chosen


@dataclass(frozen=True)
class SocketOption:
    """What became of one option of one listening socket.

    ``asked`` and ``effective`` are numbers as setsockopt(2) and getsockopt(2) have them: switches 0
    or 1, sizes in bytes, ``user_timeout`` in milliseconds, other durations in seconds. ``verdict``
    is ``"kernel_default"`` (not asked for), ``"taken"``, ``"changed"``, ``"refused"`` or
    ``"not_applicable"``; ``why`` says it in words where it was changed or refused.
    """

    address: str
    name: str
    asked: int | str | None
    effective: int | str | None
    verdict: str
    why: str


class SocketReport(ShownAsTable):
    """What became of the options of a server's listening sockets, read back from the kernel.

    Connections inherit them, except ``quickack``, which is set on each. Iterates over its
    `SocketOption` rows.
    """

    def __init__(self, reports: list[_core.SocketReport]) -> None:
        rows = [
            SocketOption(report.endpoint, one.name, one.asked, one.effective, one.verdict, one.why)
            for report in reports
            for one in report.outcomes
        ]
        # Sockets that share an address are one row where they agree.
        self.rows = tuple(dict.fromkeys(rows))

    def __iter__(self) -> Iterator[SocketOption]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> SocketOption:
        """Return the row of an option, of the first address."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    @property
    def problems(self) -> tuple[SocketOption, ...]:
        """What the kernel refused, or made something else of."""
        return tuple(row for row in self.rows if row.verdict in ("changed", "refused"))

    def log_problems(self) -> None:
        """Warn of each of the `problems`."""
        for row in self.problems:
            asked, effective = _shown(row, row.asked), _shown(row, row.effective)
            _log.warning("socket option %s of %s: %s was %s, it is %s: %s", row.name, row.address,
                         asked, row.verdict, effective or "-", row.why)  # fmt: skip

    def _table(self) -> TextTable:
        table = TextTable("Socket options", ("address", "option", "asked", "effective", ""), 2)
        for row in self.rows:
            if row.verdict != "not_applicable":
                is_problem = row.verdict in ("changed", "refused")
                remark = f"{row.verdict}: {row.why}" if is_problem else row.why
                table.add(row.address, row.name, _shown(row, row.asked),
                          _shown(row, row.effective), remark)  # fmt: skip
        table.notes.append("Linux reads receive_buffer and send_buffer back doubled.")
        return table


def _checked(name: str, given: Any) -> Any:
    if name in _SWITCHES:
        if not isinstance(given, bool):
            raise ValueError(f"{name}={given!r}: write True or False")
        return given
    if name in _SIZES:
        return _int(name, _named(name, byte_count, given), 0)
    if name in _WHOLE_SECONDS:
        return _whole(name, given, 1)
    if name == "incoming_cpu" and not isinstance(given, int):
        if given == _PER_LOOP:
            return given
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise ValueError(f"{name}={given!r}: write a CPU, {_PER_LOOP!r}, or a list of CPUs")
        return tuple(_int(name, one, 0) for one in given)
    if name == "user_timeout":
        return _whole(name, given, 1000) / 1000
    if name == "congestion_control":
        if not isinstance(given, str) or not given:
            raise ValueError(f"{name}={given!r}: write a name, such as 'cubic'")
        return given
    if name == "keepalive":
        if not isinstance(given, bool | Keepalive):
            raise ValueError(f"{name}={given!r}: write True, False or Keepalive(...)")
        return given
    return _int(name, given, 0, 0o7777 if name == "unix_mode" else _MOST)


def _cpus(given: Sequence[int] | str, sockets: int) -> list[int]:
    if sockets == 1:
        raise ValueError(
            f"incoming_cpu={given!r} is for several sockets on one port, and the pattern has one: "
            "use millrace.patterns.reuseport_shards(), multi_process(listener='reuseport'), or one "
            "number"
        )
    if isinstance(given, str):
        usable = sorted(os.sched_getaffinity(0))
        return [usable[at % len(usable)] for at in range(sockets)]
    if len(given) != sockets:
        raise ValueError(
            f"incoming_cpu={given!r} names {len(given)} CPUs for {sockets} sockets: name one for "
            f"each, or write {_PER_LOOP!r}"
        )
    return list(given)


def _number(name: str, value: Any) -> Any:
    if name in _SWITCHES and value is not None:
        return int(value)
    return round(value * 1000) if name == "user_timeout" and value is not None else value


def _int(name: str, given: Any, least: int, most: int = _MOST) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not least <= given <= most:
        raise ValueError(f"{name}={given!r}: write a whole number from {least} to {most}")
    return given


def _whole(name: str, given: Any, per_second: int) -> int:
    value = _named(name, seconds, given) * per_second
    if value != round(value) or value > _MOST:
        unit = "seconds" if per_second == 1 else "milliseconds"
        raise ValueError(f"{name}={given!r}: the kernel takes whole {unit}, at most {_MOST}")
    return round(value)


def _named(name: str, read: Callable[[Any], T], given: Any) -> T:
    try:
        return read(given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None


_TRUTH: Mapping[str, bool] = {"on": True, "off": False, "1": True, "0": False,
                              "true": True, "false": False, "yes": True, "no": False}  # fmt: skip


def _read(name: str, text: str) -> Any:
    truth = _TRUTH.get(text.lower())
    if name in _SWITCHES:
        if truth is None:
            raise ValueError(f"{name}={text!r}: write on or off")
        return truth
    if name == "keepalive":
        return truth if truth is not None else _read_keepalive(text)
    if name in _SIZES or name in _WHOLE_SECONDS or name in ("user_timeout", "congestion_control"):
        return text
    if name == "incoming_cpu" and not text.isdigit():
        numbers = text.split(",")
        return [int(one) for one in numbers] if all(map(str.isdigit, numbers)) else text
    try:
        return int(text, 8 if name == "unix_mode" else 10)
    except ValueError:
        kind = "an octal number, such as 660" if name == "unix_mode" else "a whole number"
        raise ValueError(f"{name}={text!r}: write {kind}") from None


def _read_keepalive(text: str) -> Keepalive:
    parts = text.split(",")
    if len(parts) != 3 or not parts[2].strip().isdigit():
        raise ValueError(f"keepalive={text!r}: write on, off, or idle,interval,count as 60s,10s,3")
    return Keepalive(idle=parts[0], interval=parts[1], count=int(parts[2]))


def _shown(row: SocketOption, value: int | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if row.name in _SWITCHES or row.name == "keepalive":
        return "on" if value else "off"
    if row.name in _SIZES:
        return f"{value:,} B"
    if row.name == "unix_mode":
        return f"{value:04o}"
    unit = " ms" if row.name == "user_timeout" else " s" if row.name in _WHOLE_SECONDS else ""
    return f"{value:,}{unit}"
