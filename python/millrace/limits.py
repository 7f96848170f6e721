"""What a server takes from its clients before it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from millrace import _core
from millrace.forms import FormLimits
from millrace.units import byte_count, seconds

__all__ = ["OFF_AT_ZERO", "Limits", "read_limits"]

# The engine has the defaults; a test compares.
_HTTP = _core.Limits()
_SERVER = _core.ServerOptions()
_FORM = FormLimits()


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Named limits on what the network can make a server hold or wait for.

    Sizes are bytes or texts like ``"64kB"``, durations seconds or texts like ``"500ms"``. Where 0
    means that there is none, ``"off"`` says the same.

    Parameters
    ----------
    target_bytes:
        A request's target; longer is 414. RFC 9112 3 asks for at least 8,000.
    head_bytes, field_count:
        A request's head, and its fields; more is 431. Raise them for large cookies.
    body_bytes:
        A body that is read as a whole; more is 413. Streamed bodies are their reader's business.
    body_codings:
        Content codings of a body that is decoded (``Server(decompress=True)``); more is 415.
    body_ratio, body_ratio_from_bytes:
        Bytes that one byte of such a body may become; more is 413. It counts once that many bytes
        have been decoded. Text becomes 3 to 20 times larger.
    body_memory:
        All such bodies together, as far as they have come, and the windows of all bodies that are
        decoded: 32 KiB for gzip and deflate, 8 MiB for zstd, 16 MiB for br. One that would go
        beyond is 503.
    body_memory_high_water:
        Share of ``body_memory`` above which no further body is read: its client is held back by
        TCP, at most for ``queue_timeout``, then it is 503. Those that have begun go on. 1: none
        waits.
    body_ahead_bytes:
        Of a body that its handler reads as it comes, what may wait for it; then nothing more is
        read from the client, but for what one read (256 KiB at most) had brought already.
    chunk_line_bytes, trailer_bytes:
        A chunk's size line; the fields after a chunked body.
    discard_bytes:
        Of a body that nobody reads, what is thrown away to keep the connection; above, it closes.
    header_timeout:
        From the first byte of a head to its last; later is 408.
    body_timeout:
        Between two reads of a body that somebody waits for; later is 408.
    min_body_rate:
        Bytes per second of such a body. A slower one lives on ``body_timeout`` until that is used
        up, then it is 408; time in which the server did not read does not count. 0: none.
    idle_timeout:
        From an answer to the next request. Keep it above the load balancer's, so that the balancer
        closes first.
    write_timeout:
        For a client that does not take its answer.
    min_response_rate:
        Bytes per second that a client takes while its answer waits. A slower one lives on
        ``write_timeout`` until that is used up, then it is cut off. 0: none.
    linger_timeout:
        How long a refused client is listened to, so that it can read why (RFC 9112 9.6).
    max_connections:
        Open connections; one more is answered 503. Each costs a descriptor and about 2 kB.
    max_connections_per_address:
        Of these, from one client address: an IPv4 address or an IPv6 /64. 0: no limit, as behind a
        proxy all clients have the proxy's. Unix sockets have no address.
    max_requests_per_connection, max_connection_age:
        The answer to a connection's last request, or to the first after it has reached that age,
        says that the connection closes. 0: no limit.
    max_in_flight:
        Requests being answered; one more waits, or is answered 503 with Retry-After.
        ``"adaptive"`` finds the number, up to the default, from how long requests take: the
        gradient algorithm of Netflix's concurrency-limits.
    queue_requests, queue_timeout:
        Requests that wait until others are answered, bodies unread, and how long: then, or one
        more, is 503. They start in the order in which they came. 0: none waits.
    high_water_bytes:
        Of an answer in pieces, what may wait for a slow client before its handler is paused.
    handler_stuck:
        A handler that keeps its thread for so long is named on the logger ``millrace.error``, with
        its stack. A coroutine that awaits keeps no thread. 0: none is.
    form:
        Of each form, where ``request.form()`` or ``request.parts()`` is called without limits.

    Raises
    ------
    ValueError
        A limit is malformed or zero; the message says which.

    Examples
    --------
    >>> limits = Limits(body_bytes="64kB", header_timeout="500ms", max_connection_age="off")
    >>> limits.body_bytes, limits.header_timeout, limits.max_connection_age
    (64000, 0.5, 0.0)
    """

    target_bytes: int | str = _HTTP.target_bytes
    head_bytes: int | str = _HTTP.head_bytes
    field_count: int = _HTTP.field_count
    body_bytes: int | str = _SERVER.body_bytes
    body_codings: int = _SERVER.body_codings
    body_ratio: int = _SERVER.body_ratio
    body_ratio_from_bytes: int | str = _SERVER.body_ratio_from_bytes
    body_memory: int | str = _SERVER.body_memory
    body_memory_high_water: float | str = _SERVER.body_memory_high_water
    body_ahead_bytes: int | str = _SERVER.body_ahead_bytes
    chunk_line_bytes: int | str = _HTTP.chunk_line_bytes
    trailer_bytes: int | str = _HTTP.trailer_bytes
    discard_bytes: int | str = _HTTP.discard_bytes
    header_timeout: float | str = _HTTP.header_timeout
    body_timeout: float | str = _HTTP.body_timeout
    min_body_rate: int | str = _HTTP.min_body_rate
    idle_timeout: float | str = _HTTP.idle_timeout
    write_timeout: float | str = _SERVER.write_timeout
    min_response_rate: int | str = _SERVER.min_response_rate
    linger_timeout: float | str = _SERVER.linger_timeout
    max_connections: int = _SERVER.max_connections
    max_connections_per_address: int | Literal["off"] = _SERVER.max_connections_per_address
    max_requests_per_connection: int | Literal["off"] = _SERVER.max_requests_per_connection
    max_connection_age: float | str = _SERVER.max_connection_age
    max_in_flight: int | Literal["adaptive"] = _SERVER.max_in_flight
    queue_requests: int | Literal["off"] = _SERVER.queue_requests
    queue_timeout: float | str = _SERVER.queue_timeout
    high_water_bytes: int | str = _SERVER.high_water_bytes
    handler_stuck: float | str = _SERVER.handler_stuck
    form: FormLimits = _FORM

    def __post_init__(self) -> None:
        if not isinstance(self.form, FormLimits):
            raise ValueError(f"form={self.form!r}: write millrace.FormLimits(...)")
        for field in fields(self):
            if field.name == "form":
                continue
            given, read = getattr(self, field.name), _reader(field.name)
            if field.name == "max_in_flight" and given == "adaptive":
                continue
            if field.name in OFF_AT_ZERO and given == "off":
                given = 0
            try:
                value = read(given)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{field.name}: {error}") from None
            if value == 0 and field.name not in _MAY_BE_ZERO:
                raise ValueError(f"{field.name}={given!r}: a limit is more than zero")
            object.__setattr__(self, field.name, value)

    def apply(self, options: _core.ServerOptions) -> None:
        """Write the limits into the engine's options."""
        options.adaptive_in_flight = self.max_in_flight == "adaptive"
        for field in fields(self):
            if field.name == "form" or getattr(self, field.name) == "adaptive":
                continue  # its reader's; up to the engine's own
            owner = options.limits if hasattr(options.limits, field.name) else options
            setattr(owner, field.name, getattr(self, field.name))


def read_limits(texts: Iterable[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE`` texts, as the command line takes them, into arguments of `Limits`.

    ``form.parts`` is `FormLimits.parts`. Of a name that comes several times the last value counts.

    Raises
    ------
    ValueError
        A text has no ``=``, there is no such limit, or its value is malformed.

    Examples
    --------
    >>> read_limits(["head_bytes=16KiB", "max_in_flight=adaptive", "max_connection_age=off"])
    {'head_bytes': 16384, 'max_in_flight': 'adaptive', 'max_connection_age': 0.0}
    """
    values: dict[str, Any] = {}
    names = [field.name for field in fields(Limits) if field.name != "form"]
    names += [f"form.{field.name}" for field in fields(FormLimits)]
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        name = name.replace("-", "_")
        if name not in names:
            raise ValueError(f"{name!r} is no limit; there are {', '.join(names)}")
        if not equals:
            raise ValueError(f"{text!r}: write NAME=VALUE, such as 'head_bytes=16KiB'")
        of_forms, _, name_there = name.rpartition(".")
        given: dict[str, Any] = {name_there: value}
        if of_forms:
            values["form"] = _with_form_limit(values.get("form", _FORM), given)
        else:
            values[name] = getattr(Limits(**given), name)
    return values


def _reader(name: str) -> Callable[[Any], float]:
    if name == "body_memory_high_water":
        return _share
    return seconds if name.endswith(("_timeout", "_age", "_stuck")) else byte_count


def _share(value: float | str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise ValueError(f"{value!r} is no share; write a number above 0, at most 1")
    return share


def _with_form_limit(limits: FormLimits, given: dict[str, Any]) -> FormLimits:
    try:
        return replace(limits, **given)
    except ValueError as error:
        raise ValueError(f"form.{error}") from None


# Where it is no limit at all.
OFF_AT_ZERO = {
    "min_body_rate",
    "min_response_rate",
    "max_connections_per_address",
    "max_requests_per_connection",
    "max_connection_age",
    "queue_requests",
    "handler_stuck",
}
_MAY_BE_ZERO = {"body_bytes", "trailer_bytes", "discard_bytes", "linger_timeout", *OFF_AT_ZERO}
