"""Forms: what a browser sends, in fields and files."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from dataclasses import dataclass, fields
from email.message import Message
from io import BufferedReader, BytesIO, RawIOBase
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar, cast

from millrace import _core
from millrace._core import Headers, Request
from millrace.errors import RemoteProtocolError, from_code
from millrace.http import MultiItems
from millrace.units import byte_count

__all__ = ["FormData", "FormLimits", "FormPart", "UploadedFile"]

ResultT = TypeVar("ResultT")

# The engine has the defaults; a test compares.
_ENGINE = _core.FormLimits()

_Head = tuple[bytes, bytes | None, bytes, list[tuple[bytes, bytes]]]
_Event = _Head | bytes | Literal[True]


@dataclass(frozen=True, kw_only=True)
class FormLimits:
    """What a form may make its reader hold in memory or write to the disk; more is 413.

    Those of a server are its `Limits.form`; ``request.form(limits=...)`` replaces them all.
    Sizes are bytes or texts like ``"64kB"``.

    Parameters
    ----------
    parts:
        Parts of a multipart form, fields and files together.
    part_head_bytes, name_bytes:
        A part's head, all its lines; its name, and its file's name.
    field_bytes:
        A field, which is held in memory.
    memory_bytes:
        What one form holds in memory: heads, fields, and files that are not on disk.
    spool_bytes:
        A file of more bytes goes to the disk, as one does that `memory_bytes` has no room for.
    disk_bytes:
        What one form writes to the disk.
    total_bytes:
        A multipart body. Bodies that are read into memory before the handler is called, as those of
        plain functions are, may not be larger than `Limits.body_bytes` either.
    pairs, urlencoded_bytes:
        Pairs of an urlencoded form; its body.
    directory:
        Where the temporary file is made; without it, what `tempfile.gettempdir` says.

    Raises
    ------
    ValueError
        A limit is malformed; the message says which.

    Examples
    --------
    >>> limits = FormLimits(total_bytes="2GB", disk_bytes="2GB", parts=10)
    >>> limits.total_bytes, limits.parts
    (2000000000, 10)
    """

    parts: int = _ENGINE.parts
    part_head_bytes: int | str = _ENGINE.part_head_bytes
    name_bytes: int | str = _ENGINE.name_bytes
    field_bytes: int | str = _ENGINE.field_bytes
    memory_bytes: int | str = _ENGINE.memory_bytes
    spool_bytes: int | str = _ENGINE.spool_bytes
    disk_bytes: int | str = _ENGINE.disk_bytes
    total_bytes: int | str = _ENGINE.total_bytes
    pairs: int = _ENGINE.pairs
    urlencoded_bytes: int | str = _ENGINE.urlencoded_bytes
    directory: str | PathLike[str] | None = None

    def __post_init__(self) -> None:
        for name in _SIZES:
            try:
                object.__setattr__(self, name, byte_count(getattr(self, name)))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{name}: {error}") from None
        if self.directory is not None:
            object.__setattr__(self, "directory", os.fsdecode(self.directory))

    def to_engine(self) -> _core.FormLimits:
        limits = _core.FormLimits()
        for name in _SIZES:
            setattr(limits, name, getattr(self, name))
        return limits


_SIZES = [field.name for field in fields(FormLimits) if field.name != "directory"]
_DEFAULT = FormLimits()


class UploadedFile:
    """A file of a form: in memory where it is small, else in a temporary file without a name.

    Reading is not awaited: it comes from memory, or from the page cache. It is closed when the
    request is over and nobody holds it any more, so a `BackgroundTask` that was given one can read
    it. What is on disk is gone with it, even where the process is killed.

    Attributes
    ----------
    filename:
        The name as the client sent it. Never a path of yours: use `safe_filename`, or a name of
        your own.
    content_type:
        What the client says it is, or None.
    headers:
        All lines of the part's head.
    size:
        Bytes.

    Examples
    --------
    >>> import millrace as mr
    >>> app = mr.App()
    >>> @app.post("/")
    ... async def upload(request):
    ...     form = await request.form()
    ...     file = form["report"]
    ...     return f"{file.safe_filename}: {file.size} bytes, {file.read(4)!r}"
    >>> body = (
    ...     b'--b\\r\\nContent-Disposition: form-data; name="report"; filename="C:/a.txt"\\r\\n'
    ...     b"\\r\\nhello\\r\\n--b--"
    ... )
    >>> import urllib.request
    >>> with mr.Server(app) as server:
    ...     ask = urllib.request.Request(
    ...         server.url, body, {"Content-Type": "multipart/form-data; boundary=b"}
    ...     )
    ...     urllib.request.urlopen(ask).read().decode()
    "a.txt: 5 bytes, b'hell'"
    """

    def __init__(
        self, filename: str, content_type: str | None, headers: Headers, size: int, file: BinaryIO
    ) -> None:
        self.filename = filename
        self.content_type = content_type
        self.headers = headers
        self.size = size
        self.file = file

    def __repr__(self) -> str:
        return f"<UploadedFile {self.filename!r}, {self.size} bytes>"

    @property
    def safe_filename(self) -> str:
        """The last part of its path, made of printable characters: no folder, no hidden file."""
        return safe_filename(self.filename)

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self.file.closed

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; all that are left without a size."""
        return self.file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go on reading elsewhere; see `io.IOBase.seek`."""
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        """Return where the next read begins."""
        return self.file.tell()

    def close(self) -> None:
        """Give back its memory, or its place on the disk."""
        self.file.close()

    def save(self, path: str | PathLike[str]) -> None:
        """Write the whole file to a path, over what is there; the kernel copies what is on disk.

        It waits for the disk: in a coroutine, ``await asyncio.to_thread(upload.save, path)``.

        Raises
        ------
        OSError
            The path cannot be written. What was begun is removed where the path was new.
        """
        place = Path(path)
        is_new = not place.exists()
        try:
            with place.open("wb", buffering=0) as target:
                self._copy_to(target.fileno())
        except BaseException:
            if is_new:
                place.unlink(missing_ok=True)
            raise

    def _copy_to(self, target: int) -> None:
        raw = getattr(self.file, "raw", None)
        if isinstance(raw, _SpooledFile):
            raw.copy_to(target)
        else:
            view = memoryview(self.file.getvalue())  # type: ignore[attr-defined]
            while view:
                view = view[os.write(target, view) :]

    def __enter__(self) -> UploadedFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class FormData(MultiItems["str | UploadedFile"]):
    """A form: names and values in their order, files as `UploadedFile`.

    A name may come several times: indexing gives its last value, `get_list` all of them. Also a
    context manager, which closes the files.

    Examples
    --------
    >>> form = FormData([("tag", "new"), ("tag", "hot")])
    >>> form["tag"], form.get_list("tag"), form.get("page", "1")
    ('hot', ['new', 'hot'], '1')
    """

    __slots__ = ()

    def __init__(self, items: Iterable[tuple[str, str | UploadedFile]] = ()) -> None:
        super().__init__(items)

    def __repr__(self) -> str:
        return f"FormData({self.multi_items()!r})"

    def __await__(self) -> Generator[Any, None, FormData]:
        """Return itself: plain functions need not await a form, coroutines may always."""
        return self._itself().__await__()

    async def _itself(self) -> FormData:
        return self

    def close(self) -> None:
        """Close all files."""
        for _, value in self.multi_items():
            if isinstance(value, UploadedFile):
                value.close()

    def __enter__(self) -> FormData:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> FormData:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()


class FormPart:
    """A part of a multipart form while it comes: an asynchronous iterator over its bytes.

    Attributes
    ----------
    name:
        The field's name.
    filename, content_type:
        As for `UploadedFile`; None where it is no file, or has no type.
    headers:
        All lines of its head.
    """

    def __init__(
        self,
        head: _Head,
        pieces: AsyncIterator[bytes],
        limits: FormLimits,
        count_refusal: Callable[[], None],
    ) -> None:
        name, filename, content_type, lines = head
        self.name = _text(name)
        self.filename = None if filename is None else _text(filename)
        self.content_type = _text(content_type) or None
        self.headers = _headers(lines)
        self._pieces = pieces
        self._limits = limits
        self._count_refusal = count_refusal

    def __repr__(self) -> str:
        return f"<FormPart {self.name!r}>"

    @property
    def safe_filename(self) -> str:
        """As for `UploadedFile`."""
        return safe_filename(self.filename or "")

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def read(self) -> bytes:
        """Return what is left of it, as far as `FormLimits.field_bytes` allows; more is 413."""
        whole, most = bytearray(), int(self._limits.field_bytes)
        async for piece in self._pieces:
            whole += piece
            if len(whole) > most:
                self._count_refusal()
                raise from_code("body_too_large", f"FormLimits.field_bytes={most}")
        return bytes(whole)


def safe_filename(filename: str) -> str:
    r"""Return the last part of a path, fit for a name in a folder of yours; ``"upload"`` for none.

    Examples
    --------
    >>> safe_filename("C:\\Users\\me\\Größe 1.txt"), safe_filename("../.ssh"), safe_filename("..")
    ('Größe 1.txt', 'ssh', 'upload')
    """
    last = filename.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(c for c in last if c.isprintable() and c not in '<>:"|?*')
    stem, dot, end = printable.strip(" .").rpartition(".")
    # 255 bytes is what file systems take; the end of the name tells its kind.
    while stem and len(f"{stem}{dot}{end}".encode()) > 255:
        stem = stem[:-1]
    return f"{stem}{dot}{end}".encode()[:255].decode("utf-8", "ignore") or "upload"


# --- reading --------------------------------------------------------------------------------------


def form_of(request: Request, limits: FormLimits | None) -> FormData | _ComingForm:
    """Return the form, or what gives it when awaited, where the body has not come yet."""
    if request._form is not None:
        return request._form  # type: ignore[no-any-return]
    if not request._body_is_whole:
        return _ComingForm(request, _chosen(request, limits))
    reader = _reader(request, _chosen(request, limits))
    read = _core.read_into(request, reader)
    with contextlib.suppress(StopIteration):  # nothing is waited for: its first step is its last
        read.send(None)
    return _keep(request, reader)


def _chosen(request: Request, limits: FormLimits | None) -> FormLimits:
    """Return the limits of a call: its own, else the server's (`Limits.form`)."""
    return limits or request._form_limits or _DEFAULT


class _ComingForm:
    """A form whose body is on its way: for ``await`` and ``async with``."""

    def __init__(self, request: Request, limits: FormLimits) -> None:
        self._request = request
        self._limits = limits

    def __await__(self) -> Generator[Any, None, FormData]:
        return self._read().__await__()

    async def _read(self) -> FormData:
        reader = _reader(self._request, self._limits)
        await _core.read_into(self._request, reader)
        return _keep(self._request, reader)

    async def __aenter__(self) -> FormData:
        return await self

    async def __aexit__(self, *error: object) -> None:
        if self._request._form is not None:
            self._request._form.close()


async def parts_of(
    request: Request, limits: FormLimits | None = None
) -> AsyncGenerator[FormPart, None]:
    """Yield the parts of a multipart form while they come; none of it is kept."""
    limits = _chosen(request, limits)
    reader = _counted(request, _core.PartsReader, _content_type(request), limits.to_engine())
    events = _events(request, reader)
    async for event in events:
        # What the caller has left of the part before this one is passed over.
        if isinstance(event, tuple):
            pieces = _data(events)
            yield FormPart(event, pieces, limits, request._count_refusal)
            await pieces.aclose()  # it would take the next part's


async def _events(request: Request, reader: _core.PartsReader) -> AsyncGenerator[_Event, None]:
    async for piece in request.stream():
        _counted(request, reader.put, piece)
        while (event := _counted(request, reader.next)) is not None:
            yield event
    _counted(request, reader.finish)


async def _data(events: AsyncGenerator[_Event, None]) -> AsyncGenerator[bytes, None]:
    async for event in events:
        if event is True:
            return
        yield event  # type: ignore[misc]


def _counted(request: Request, call: Callable[..., ResultT], *arguments: Any) -> ResultT:
    """Call what may refuse what the client sent; what reads bodies by itself counts by itself."""
    try:
        return call(*arguments)
    except RemoteProtocolError:
        request._count_refusal()
        raise


def _content_type(request: Request) -> bytes:
    return str(request.headers.get("content-type", "")).encode("latin-1", "replace")


def _reader(request: Request, limits: FormLimits) -> _core.FormReader:
    directory = os.fspath(limits.directory or tempfile.gettempdir())
    arguments = _content_type(request), limits.to_engine(), directory
    return _counted(request, _core.FormReader, *arguments)


def _keep(request: Request, reader: _core.FormReader) -> FormData:
    descriptor = reader.take_descriptor()
    spool = None if descriptor < 0 else _Spool(descriptor)
    request._form = form = FormData(_items(reader.entries(), spool))
    return form


def _items(
    entries: Iterable[tuple[_Head, bytes | tuple[int, int]]], spool: _Spool | None
) -> Iterator[tuple[str, str | UploadedFile]]:
    charset = "utf-8"
    for (name, filename, content_type, lines), content in entries:
        if filename is None:
            assert isinstance(content, bytes)
            value = _decode(content, content_type, charset)
            if name == b"_charset_":  # says how the others are written (RFC 7578 4.6)
                charset = value
            yield _text(name, charset), value
            continue
        if isinstance(content, bytes):
            size, file = len(content), cast(BinaryIO, BytesIO(content))
        else:
            assert spool is not None
            size = content[1]
            file = BufferedReader(_SpooledFile(spool, *content))
        kind = _text(content_type) or None
        yield (
            _text(name, charset),
            UploadedFile(_text(filename, charset), kind, _headers(lines), size, file),
        )


def _headers(lines: list[tuple[bytes, bytes]]) -> Headers:
    # Fields that are sent are Latin-1; these were received, and browsers write UTF-8.
    return Headers([(_text(name), _text(value)) for name, value in lines])


def _text(text: bytes, charset: str = "utf-8") -> str:
    """Decode what a browser wrote; what is malformed becomes U+FFFD, as WHATWG has it."""
    try:
        return text.decode(charset, "replace")
    except LookupError:  # a charset of the client's own
        return text.decode("utf-8", "replace")


def _decode(content: bytes, content_type: bytes, charset: str) -> str:
    if b"charset" in content_type.lower():
        message = Message()
        message["content-type"] = _text(content_type)
        charset = str(message.get_content_charset(charset))
    return _text(content, charset)


# --- on disk --------------------------------------------------------------------------------------


class _Spool:
    """The temporary file of a form; closed with the last file in it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.descriptor)


class _SpooledFile(RawIOBase):
    """A file in it."""

    def __init__(self, spool: _Spool, offset: int, size: int) -> None:
        self._spool: _Spool | None = spool
        self._offset = offset
        self._size = size
        self._at = 0

    def _descriptor(self) -> int:
        if self._spool is None:
            raise ValueError("the upload is closed")
        return self._spool.descriptor

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: self._size - self._at]
        count = os.preadv(self._descriptor(), [view], self._offset + self._at) if view else 0
        self._at += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = min(max(start + offset, 0), self._size)
        return self._at

    def tell(self) -> int:
        return self._at

    def copy_to(self, target: int) -> None:
        done = 0
        while done < self._size:
            left = min(self._size - done, _COPIED_AT_ONCE)
            done += os.sendfile(target, self._descriptor(), self._offset + done, left)

    def close(self) -> None:
        self._spool = None
        super().close()


# Bytes that the kernel copies before signals, and other threads, are looked after.
_COPIED_AT_ONCE = 16 * 1024 * 1024
