"""Files as answers: of handlers, and of whole folders."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from millrace import _core
from millrace._core import Headers, Request, Response

__all__ = ["FileResponse", "StaticFiles", "content_disposition"]


@dataclass(frozen=True)
class StaticFiles:
    """What `App.static` was told; it says what each means."""

    directory: str | PathLike[str]
    index: str | None = "index.html"
    fallback: str | None = None
    precompressed: bool = False
    dot_files: bool = False
    cache_control: str | Mapping[str, str] | None = None
    media_types: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        # Where the program stands now, wherever a worker process stands later.
        object.__setattr__(self, "directory", path := Path(self.directory).absolute())
        if not path.is_dir():
            raise NotADirectoryError(f"directory={str(path)!r}: there is no such directory")
        for option in ("index", "fallback"):
            name = getattr(self, option)
            if name is not None and (not name or name.startswith("/") or ".." in name.split("/")):
                raise ValueError(f"{option}={name!r}: name a file below the directory, or None")
        for end in self.media_types or {}:
            if not end.startswith("."):
                raise ValueError(f"media_types: {end!r} is the end of a name, such as '.wgsl'")
        for option in ("cache_control", "media_types"):
            for value in _pairs(getattr(self, option)).values():
                if not value.isprintable():
                    raise ValueError(f"{option}: {value!r} cannot be sent in a field")

    def to_engine(self) -> _core.StaticFiles:
        options = _core.StaticFiles()
        options.directory = str(self.directory)
        options.index = self.index or ""
        options.fallback = self.fallback or ""
        options.precompressed = self.precompressed
        options.dot_files = self.dot_files
        options.cache_control = list(_pairs(self.cache_control).items())
        options.media_types = list(_pairs(self.media_types).items())
        return options


def _pairs(value: str | Mapping[str, str] | None) -> Mapping[str, str]:
    return {"*": value} if isinstance(value, str) else value or {}


async def save_body(request: Request, path: str | PathLike[str], most_bytes: int) -> int:
    """Write a request's body to a file that appears under its name when it is whole."""
    place = Path(path)
    coming = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    writer = _core.FileWriter(os.open(coming, flags, 0o666), most_bytes)
    try:
        await _core.read_into(request, writer)
        coming.replace(place)
    except BaseException:
        coming.unlink(missing_ok=True)
        raise
    return writer.size


class FileResponse(Response):
    """A file as the answer of a handler.

    It is opened here, so that a file that is missing raises while the handler can still answer
    otherwise, and closed when the answer has left. Up to 16 kB are read and sent with the head; a
    larger file is sent by the kernel (sendfile(2)) without passing through memory. If it becomes
    shorter meanwhile the connection is aborted, since the length that was promised cannot be kept.

    A GET or HEAD is answered by its conditions and ranges (RFC 9110 13, 14), as for `App.static`:
    the answer has an ETag and a Last-Modified, unless ``headers`` say them, and may become a 304,
    412, 206 or 416. With a status other than 200 the file is sent whole.

    The path is trusted: never build it from what a client sent without checking what comes out.

    Parameters
    ----------
    path:
        A regular file, or a symbolic link to one.
    filename:
        What a browser calls the file when it saves it (Content-Disposition, RFC 6266).
    disposition:
        With a filename: ``"attachment"`` is saved, ``"inline"`` shown.
    content_type:
        Without it, what the path's extension stands for, or ``application/octet-stream``.
    status, headers, background:
        As for `Response`.

    Raises
    ------
    OSError
        The file cannot be opened: `FileNotFoundError`, `PermissionError`, `IsADirectoryError`, or
        it is a pipe or a device.

    Examples
    --------
    >>> import millrace as mr, tempfile, pathlib, urllib.request
    >>> report = pathlib.Path(tempfile.mkdtemp(), "report.csv")
    >>> _ = report.write_text("a,b")
    >>> app = mr.App()
    >>> @app.get("/report")
    ... def show(request):
    ...     return mr.FileResponse(report, filename="report of May.csv")
    >>> with mr.Server(app) as server, urllib.request.urlopen(server.url + "/report") as answer:
    ...     print(answer.headers["content-type"], answer.read())
    text/csv; charset=utf-8 b'a,b'
    """

    def __init__(
        self,
        path: str | bytes | PathLike[str] | PathLike[bytes],
        *,
        filename: str | None = None,
        disposition: Literal["attachment", "inline"] = "attachment",
        status: int = 200,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | Headers | None = None,
        content_type: str | None = None,
        background: Any = None,
    ) -> None:
        file = _core.OpenFile(path)
        super().__init__(
            file, status=status, headers=headers, content_type=content_type, background=background
        )
        if filename is not None:
            self.headers["content-disposition"] = content_disposition(filename, disposition)


def content_disposition(
    filename: str, disposition: Literal["attachment", "inline"] = "attachment"
) -> str:
    """Return a Content-Disposition, what a browser calls an answer that it saves (RFC 6266).

    Where the name is not plain ASCII it is said twice: for old clients, and as RFC 8187 has it.

    Parameters
    ----------
    filename:
        The name; no folders, which browsers cut off.
    disposition:
        ``"attachment"`` is saved, ``"inline"`` shown.

    Examples
    --------
    >>> content_disposition("a b.txt", "attachment")
    'attachment; filename="a b.txt"'
    >>> content_disposition("Größe.txt", "inline")
    "inline; filename=Gr__e.txt; filename*=UTF-8''Gr%C3%B6%C3%9Fe.txt"
    """
    if disposition not in ("attachment", "inline"):
        raise ValueError(f"disposition={disposition!r}: it is 'attachment' or 'inline'")
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%/' else "_" for c in filename)
    quoted = plain if plain.replace(".", "").replace("_", "").isalnum() else f'"{plain}"'
    if plain == filename:
        return f"{disposition}; filename={quoted}"
    return f"{disposition}; filename={quoted}; filename*=UTF-8''{quote(filename, safe='')}"
