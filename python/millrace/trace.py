"""W3C trace context: which trace a request belongs to, read strictly and passed on."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

__all__ = ["TraceContext"]

# W3C Trace Context 3.2.2: version 00; a later version may have more behind a dash.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

# 3.3.1.3: a key, of one vendor or of a tenant of a vendor's, and a value that ends in no space.
_KEY = r"(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(f"({_KEY})=({_VALUE})")

# 3.3.1.1: more members than that make the whole list invalid.
_MOST_MEMBERS = 32

_SAMPLED = 0x01
# What is passed on: sampled, and that the trace id is random (level 2).
_KNOWN_FLAGS = 0x03


@dataclass(frozen=True)
class TraceContext:
    """A request's place in a trace (https://www.w3.org/TR/trace-context/).

    ``request.trace`` is one: what the client sent, or a new one where it sent none, or one that is
    malformed.

    Attributes
    ----------
    trace_id:
        The whole trace: 32 hexadecimal digits.
    parent_id:
        The client's span, or ours where the trace begins here: 16 hexadecimal digits.
    flags:
        One byte of flags.
    tracestate:
        What vendors passed along; empty where there is none, or where it is malformed.
    is_new:
        Whether the trace begins here.

    Examples
    --------
    >>> sent = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    >>> trace = TraceContext.from_headers(sent)
    >>> trace.trace_id, trace.sampled
    ('4bf92f3577b34da6a3ce929d0e0e4736', True)
    >>> trace.headers()["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    True
    """

    trace_id: str
    parent_id: str
    flags: int = 0
    tracestate: str = ""
    is_new: bool = False

    @property
    def sampled(self) -> bool:
        """Whether the client may have recorded the trace."""
        return bool(self.flags & _SAMPLED)

    @property
    def traceparent(self) -> str:
        """The field that says the same."""
        return f"00-{self.trace_id}-{self.parent_id}-{self.flags:02x}"

    @classmethod
    def new(cls) -> TraceContext:
        """Begin a trace, not sampled: nobody has recorded any of it yet."""
        return cls(_random_id(16), _random_id(8), is_new=True)

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> TraceContext:
        """Read a request's fields, or begin a trace.

        Two fields ``traceparent`` are none. A ``tracestate`` that is malformed is dropped, and the
        rest stays (3.3).
        """
        parents = _all(headers, "traceparent")
        read = _read(parents[0]) if len(parents) == 1 else None
        if read is None:
            return cls.new()
        states = _all(headers, "tracestate")
        return replace(read, tracestate=_checked(",".join(states))) if states else read

    def child(self) -> TraceContext:
        """Return the same trace with a new span of ours as the parent, for a call we make."""
        return replace(self, parent_id=_random_id(8), flags=self.flags & _KNOWN_FLAGS, is_new=False)

    def headers(self) -> dict[str, str]:
        """Return the fields for a call that is made on the request's behalf; a new span each."""
        fields = {"traceparent": self.child().traceparent}
        if self.tracestate:
            fields["tracestate"] = self.tracestate
        return fields


def _all(headers: Mapping[str, str], name: str) -> Sequence[str]:
    get_list = getattr(headers, "get_list", None)
    if get_list is not None:
        values: Sequence[str] = get_list(name)
        return values
    return [value for key, value in headers.items() if key.lower() == name]


def _read(traceparent: str) -> TraceContext | None:
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    version, trace_id, parent_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if not int(trace_id, 16) or not int(parent_id, 16):
        return None
    return TraceContext(trace_id, parent_id, int(flags, 16))


def _checked(tracestate: str) -> str:
    """Return the list without what is empty in it, or an empty text where it is malformed."""
    members = [member.strip(" \t") for member in tracestate.split(",")]
    members = [member for member in members if member]
    matches = [_MEMBER.fullmatch(member) for member in members]
    keys = {match[1] for match in matches if match is not None}
    # A member that is malformed has no key, and a key that comes twice counts once.
    if len(keys) != len(members) or len(members) > _MOST_MEMBERS:
        return ""
    return ",".join(members)


def _random_id(size: int) -> str:
    """An id that is not all zeros, which would mean none."""
    while not int(text := secrets.token_hex(size), 16):
        pass
    return text
