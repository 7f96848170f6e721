"""The corpus of requests: what a server refuses, with the clause, and the nearest that it takes.

`requests/*.toml` hold it; ``before``, ``request`` and ``after`` make the bytes, one character each.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "requests"


@dataclass(frozen=True)
class Case:
    file: str
    name: str
    clause: str
    request: bytes
    why: str
    # Of a refused one; 0: accepted.
    status: int = 0
    in_body: bool = False  # broken behind a head that is fine
    # Of an accepted one: what a handler sees, and the server's own answer where none is asked.
    seen: str = ""
    body: bytes = b""
    answer: int = 200
    closes: bool = False  # the connection ends behind the answer

    @property
    def method(self) -> str:
        """As far as a client knows it; answers to HEAD have no body."""
        return self.request.lstrip(b"\r\n").partition(b" ")[0].decode("latin-1")

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"


@cache
def corpus() -> tuple[Case, ...]:
    """Return all cases, file by file."""
    return tuple(
        _case(path.stem, {**group, **case})
        for path in sorted(FOLDER.glob("*.toml"))
        for group in tomllib.loads(path.read_text(encoding="utf-8"))["group"]
        for case in group["case"]
    )


def _case(file: str, keys: dict) -> Case:
    filling = keys.get("with", "x") * keys.get("fill", 0)
    request = keys.get("before", "") + keys["request"] + keys.get("after", "")
    return Case(
        file=file,
        name=keys["name"],
        clause=keys["clause"],
        request=request.replace("{fill}", filling).encode("latin-1"),
        why=keys["why"],
        status=0 if keys["expect"] == "accepted" else keys["expect"],
        in_body=keys.get("in_body", False),
        seen=keys.get("seen", "").replace("{fill}", filling),
        body=keys.get("body", "").encode("latin-1"),
        answer=keys.get("answer", 200),
        closes=keys.get("closes", False),
    )
