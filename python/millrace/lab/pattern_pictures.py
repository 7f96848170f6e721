"""A small drawing of each execution pattern, as inline SVG that takes its colours from the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["EXPLANATIONS", "picture"]

_WIDTH, _HEIGHT = 300, 132

# What a pattern does, and when to choose it.
EXPLANATIONS = {
    "single_thread": (
        "One thread accepts, reads, runs the handler and writes.",
        "Nothing is handed over, so a request costs least; a handler that blocks stops everyone.",
    ),
    "acceptor_readers": (
        "One thread accepts and deals connections out in turn; each reader does the rest for its "
        "own.",
        "Even shares, as one place sees every connection; a slow request holds up its reader's "
        "other connections.",
    ),
    "shared_acceptors": (
        "All threads wait on the same listening socket; whoever gets the connection keeps it.",
        "An idle thread takes the next connection; later requests cannot move to another one.",
    ),
    "reuseport_shards": (
        "Each thread has a listening socket of its own on the same port; the kernel picks one by a "
        "hash of the addresses.",
        "Threads share nothing; the hash knows no load, so with few connections some threads get "
        "many and some none.",
    ),
    "acceptor_queue_workers": (
        "One thread reads and writes for all connections; requests go through a bounded queue to "
        "workers.",
        "A slow request keeps one worker busy and holds up nobody else; each request pays for two "
        "hand-overs.",
    ),
}


def picture(pattern: str) -> str:
    """Return the drawing of one of the five patterns as an ``<svg>`` element."""
    title = EXPLANATIONS[pattern][0]
    parts = _PICTURES[pattern]()
    return (
        f'<svg class="picture" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">'
        f"{_clients()}{''.join(parts)}</svg>"
    )


def _single_thread() -> list[str]:
    return [*_fan_in(118, 66), _box(118, 40, 164, 52, "accept · read · run · write", "thread")]


def _acceptor_readers() -> list[str]:
    return [
        *_fan_in(76, 66),
        _box(76, 50, 60, 32, "accept", "thread"),
        *_fan_out(136, 190, _ROWS),
        *_threads(190, 100, "read · run · write"),
    ]


def _shared_acceptors() -> list[str]:
    return [
        *_fan_in(76, 66),
        _box(76, 50, 48, 32, "socket", "socket"),
        *_fan_out(124, 154, _ROWS),
        *_threads(154, 142, "accept · read · run · write"),
    ]


def _reuseport_shards() -> list[str]:
    parts = [_line(40, y, 76, row) for y, row in zip(_CLIENT_ROWS, (15, 49, 117), strict=True)]
    parts += [_box(76, row - 11, 48, 22, "socket", "socket") for row in _ROWS]
    parts += [_line(124, row, 154, row) for row in _ROWS]
    return [*parts, *_threads(154, 142, "accept · read · run · write")]


def _acceptor_queue_workers() -> list[str]:
    slots = [
        f'<rect class="slot" x="{162 + 11 * i}" y="56" width="9" height="20" rx="2"/>'
        for i in range(4)
    ]
    return [
        *_fan_in(66, 66),
        _box(66, 44, 72, 44, "accept · read\nwrite", "thread"),
        _line(138, 66, 158, 66),
        _box(158, 50, 50, 32, "", "queue"),
        *slots,
        *_fan_out(208, 240, _ROWS),
        *_threads(240, 52, "run"),
    ]


_PICTURES: dict[str, Callable[[], list[str]]] = {
    "single_thread": _single_thread,
    "acceptor_readers": _acceptor_readers,
    "shared_acceptors": _shared_acceptors,
    "reuseport_shards": _reuseport_shards,
    "acceptor_queue_workers": _acceptor_queue_workers,
}
_ROWS = (15, 49, 83, 117)
_CLIENT_ROWS = (36, 66, 96)


def _clients() -> str:
    dots = "".join(f'<circle class="client" cx="32" cy="{y}" r="7"/>' for y in _CLIENT_ROWS)
    return f'{dots}<text class="caption" x="32" y="124" text-anchor="middle">clients</text>'


def _threads(x: int, width: int, text: str) -> list[str]:
    return [_box(x, row - 13, width, 26, text, "thread") for row in _ROWS]


def _fan_in(x: int, y: int) -> list[str]:
    return [_line(40, client, x, y) for client in _CLIENT_ROWS]


def _fan_out(from_x: int, to_x: int, rows: Sequence[int]) -> list[str]:
    return [_line(from_x, 66, to_x, row) for row in rows]


def _line(x1: int, y1: int, x2: int, y2: int) -> str:
    return f'<path class="way" d="M{x1} {y1} L{x2} {y2}"/>'


def _box(x: int, y: int, width: int, height: int, text: str, kind: str) -> str:
    lines = text.split("\n")
    first = y + height / 2 - 6.5 * (len(lines) - 1) + 3.5
    written = "".join(
        f'<text x="{x + width / 2:g}" y="{first + 13 * i:g}" text-anchor="middle">{line}</text>'
        for i, line in enumerate(lines)
        if line
    )
    return (
        f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="4"/>{written}'
    )
