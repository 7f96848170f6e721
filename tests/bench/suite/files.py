"""The files that the rows of static files ask for, the same for every server."""

import json
from pathlib import Path

# What nginx compresses; the others have it in memory, see `servers/payload.py`.
RECORDS = json.dumps(
    [
        {"id": n, "name": f"user {n * 7919 % 10_007}", "active": n % 3 == 0, "score": n * 37 % 1000}
        for n in range(800)
    ]
).encode()

FILES = {
    "1k": b"x" * 1_000,
    "100k": b"x" * 100_000,
    "10m": b"x" * 10_000_000,
}


def make_folder(parent: Path) -> Path:
    """Return a folder ``files`` with all of them."""
    folder = parent / "files"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {**FILES, "records.json": RECORDS}.items():
        (folder / name).write_bytes(content)
    return folder
