"""The files that the rows of static files ask for, the same for every server."""

from pathlib import Path

FILES = {
    "1k": b"x" * 1_000,
    "100k": b"x" * 100_000,
    "10m": b"x" * 10_000_000,
}


def make_folder(parent: Path) -> Path:
    """Return a folder ``files`` with all of them."""
    folder = parent / "files"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder
