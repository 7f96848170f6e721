"""What goes over the loopback of this network: TCP and UDP packets, as the wire has them.

For programs in a network of their own (`millrace.lab.PrivateNetwork`), where nobody else talks.
"""

from __future__ import annotations

import contextlib
import ctypes
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

PATIENCE_S = 20
FAST_OPEN = 34  # RFC 7413 4.1.1
WINDOW_SCALE = 3  # RFC 7323 2.2

_ALL_PROTOCOLS = 0x0003  # linux/if_ether.h
_IPV4, _IPV6 = 0x0800, 0x86DD
_FLAGS = "FSRPAUEC"  # from the lowest bit
_ATTACH_FILTER, _DETACH_FILTER = 26, 27  # asm-generic/socket.h


@dataclass(frozen=True)
class Packet:
    """One TCP segment, or one UDP datagram."""

    source: int  # ports
    target: int
    data: bytes
    version: int = 4
    seq: int = 0
    ack: int = 0
    flags: str = ""  # such as "SA" for a SYN that acknowledges
    window: int = 0  # as it stands there, not scaled
    options: dict[int, bytes] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """The sequence number behind it."""
        return (self.seq + len(self.data) + sum(flag in self.flags for flag in "SF")) % 2**32

    @property
    def is_bare_ack(self) -> bool:
        """Whether it acknowledges, and says nothing else."""
        return self.flags == "A" and not self.data


class Capture:
    """Packets to and from a port, in the order in which they were sent; a context manager.

    A packet stands here before the call that sent it has returned.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._seen: list[Packet] = []

    def __enter__(self) -> Capture:
        self._socket = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS)
        )
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("lo", 0))
        self._socket.setblocking(False)
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def packets(self) -> list[Packet]:
        """Return all there were so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, (_, protocol, kind, *_) = self._socket.recvfrom(1 << 17)
                # Loopback shows each packet twice: leaving, and coming in.
                if kind != socket.PACKET_OUTGOING:
                    continue
                packet = _parse(protocol, frame[14:])
                if packet is not None and self._port in (packet.source, packet.target):
                    self._seen.append(packet)
        return list(self._seen)

    def sent(self) -> list[Packet]:
        """Return those that came from the port."""
        return [packet for packet in self.packets() if packet.source == self._port]

    def wait_for(self, fact: Callable[[list[Packet]], Any]) -> list[Packet]:
        """Return the packets once they are as they should be."""
        deadline = time.monotonic() + PATIENCE_S
        while not fact(seen := self.packets()):
            assert time.monotonic() < deadline, f"it was never seen among {seen}"
            select.select([self._socket], [], [], 0.05)
        return seen


def fresh(packets: Sequence[Packet]) -> list[Packet]:
    """Return the segments with data that bring something new; without repetitions."""
    ends: dict[tuple[int, int], int] = {}
    found = []
    for packet in packets:
        way = packet.source, packet.target
        if "S" in packet.flags:
            ends[way] = packet.seq
        behind = (packet.end - ends.setdefault(way, packet.seq)) % 2**32
        if packet.data and 0 < behind < 2**31:
            found.append(packet)
        if behind < 2**31:
            ends[way] = packet.end
    return found


@contextlib.contextmanager
def deaf(one: socket.socket) -> Iterator[None]:
    """Have a TCP socket's kernel drop whatever comes for it, and so acknowledge nothing."""
    # Classic BPF, socket(7): one instruction that keeps no byte of a packet.
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HxxxxxxP", 1, ctypes.addressof(instruction))
    one.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
    try:
        yield
    finally:
        one.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)


def _parse(protocol: int, packet: bytes) -> Packet | None:
    if protocol == _IPV4:
        header, kind = (packet[0] & 15) * 4, packet[9]
        packet = packet[: int.from_bytes(packet[2:4], "big") or None]
    elif protocol == _IPV6:
        header, kind = 40, packet[6]
    else:
        return None
    version, rest = packet[0] >> 4, packet[header:]
    source, target = struct.unpack_from("!HH", rest)
    if kind == socket.IPPROTO_UDP:
        return Packet(source, target, rest[8:], version)
    if kind != socket.IPPROTO_TCP:
        return None
    seq, ack, offset, bits, window = struct.unpack_from("!IIBBH", rest, 4)
    size = (offset >> 4) * 4
    flags = "".join(name for at, name in enumerate(_FLAGS) if bits >> at & 1)
    flags = flags.replace("P", "")  # set by the sender's library as it likes
    return Packet(
        source, target, rest[size:], version, seq, ack, flags, window, _options(rest[20:size])
    )


def _options(field: bytes) -> dict[int, bytes]:
    found = {}
    while field and field[0] != 0:  # 0: the end
        if field[0] == 1:  # fills up
            field = field[1:]
            continue
        found[field[0]] = field[2 : field[1]]
        field = field[field[1] :]
    return found
