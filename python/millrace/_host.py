"""The bridge's Python half: the asyncio loop on the engine's thread, and what is easier said here.

The engine calls these functions by name; nobody else should.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import selectors
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message
from os import PathLike
from types import SimpleNamespace
from typing import Any, Protocol

# What requests ask for, here rather than where it is used: no request should wait for an import.
from millrace.cookies import Cookies, SameSite, cookie_field
from millrace.files import save_body
from millrace.forms import FormLimits, form_of, parts_of
from millrace.http import QueryParams, server_timing_field
from millrace.json_lines import JSONLineReader
from millrace.trace import TraceContext
from millrace.units import byte_count
from millrace.watchdog import name_stuck as name_stuck

_log = logging.getLogger("millrace.error")

# What tasks that are still there when the loop ends get for their clean-up.
_CLEAN_UP_S = 1.0

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

# What one read of a file object asks for, as large as what a loop reads at once.
_FILE_PIECE = 64 * 1024

# Pieces of a streamed body that are sent before other callbacks get their turn.
_PIECES_PER_TURN = 16


class _Turn(Protocol):
    def select(self, timeout: float | None) -> Any: ...


class _Writer(Protocol):
    def write(self, chunk: object) -> bool: ...
    def room(self) -> asyncio.Future[None]: ...


# --- the asyncio loop -----------------------------------------------------------------------------


class ReactorSelector(selectors.EpollSelector):
    """What asyncio waits with: a turn of the engine's loop, which watches asyncio's epoll too."""

    def __init__(self, turn: _Turn) -> None:
        super().__init__()
        self.inner_select = super().select
        # On the instance: asyncio finds the engine's function without a frame of ours between.
        self.select = turn.select  # type: ignore[method-assign,assignment]


def make_selector(turn: _Turn) -> ReactorSelector:
    return ReactorSelector(turn)


def make_loop(selector: ReactorSelector) -> asyncio.SelectorEventLoop:
    return asyncio.SelectorEventLoop(selector)


def run(loop: asyncio.SelectorEventLoop) -> None:
    """Run the loop on the engine's thread, until the engine stops it."""
    asyncio.set_event_loop(loop)
    while True:
        try:
            loop.run_forever()
        except (KeyboardInterrupt, SystemExit) as error:
            # A callback's; a task's would leave the loop as well. The server goes on.
            _log.error("%s in a callback of the asyncio loop", type(error).__name__, exc_info=error)
        else:
            return


def close(loop: asyncio.SelectorEventLoop) -> None:
    """Cancel what is left on the loop, give it a moment, and close the loop."""
    try:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=_CLEAN_UP_S))
        loop.run_until_complete(loop.shutdown_asyncgens())
        with contextlib.suppress(RuntimeError):  # no new thread at interpreter exit
            loop.run_until_complete(asyncio.wait_for(loop.shutdown_default_executor(), _CLEAN_UP_S))
    except Exception as error:
        _log.error("closing the asyncio loop failed", exc_info=error)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def call_soon_of_loop(
    loop: asyncio.SelectorEventLoop, callback: Callable[..., object], *args: Any, **context: Any
) -> asyncio.Handle:
    """Call the loop's own ``call_soon``, which the engine's stands before."""
    return asyncio.SelectorEventLoop.call_soon(loop, callback, *args, **context)


def callback_failed(
    loop: asyncio.SelectorEventLoop, callback: object, error: BaseException, handle: object
) -> None:
    """Report what a callback raised, in asyncio's own words."""
    loop.call_exception_handler(
        {"message": f"Exception in callback {callback!r}", "exception": error, "handle": handle}
    )


def wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def thread_ends() -> None:
    """Forget the stand-in that ``threading`` made for one of the engine's threads."""
    threading._active.pop(threading.get_ident(), None)  # type: ignore[attr-defined]
    if info := getattr(threading, "_thread_local_info", None):
        vars(info).clear()  # from Python 3.13 on, it has one more


# --- coroutines that the engine steps -------------------------------------------------------------


async def awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def immediately(value: bytes) -> bytes:
    return value


async def stop_iteration(_value: bytes) -> bytes:
    raise StopAsyncIteration


async def stream_async_iterator(writer: _Writer, chunks: AsyncIterator[object]) -> None:
    """Send what an asynchronous iterator gives, as fast as the client takes it."""
    pieces = 0
    try:
        async for chunk in chunks:
            if not writer.write(chunk):
                await writer.room()
                pieces = 0
            elif (pieces := pieces + 1) == _PIECES_PER_TURN:
                await asyncio.sleep(0)
                pieces = 0
    finally:
        await close_chunks(writer, chunks)


async def stream_iterator(writer: _Writer, chunks: Iterator[object]) -> None:
    """Send what an iterator gives, as fast as the client takes it."""
    pieces = 0
    try:
        for chunk in chunks:
            if not writer.write(chunk):
                await writer.room()
                pieces = 0
            elif (pieces := pieces + 1) == _PIECES_PER_TURN:
                await asyncio.sleep(0)
                pieces = 0
    finally:
        await close_chunks(writer, chunks)


async def close_chunks(_writer: _Writer, chunks: object) -> None:
    """Let a generator's ``finally`` run now, not whenever it is collected."""
    if (close_later := getattr(chunks, "aclose", None)) is not None:
        await close_later()
    elif (close_now := getattr(chunks, "close", None)) is not None:
        close_now()


# --- plain TCP ------------------------------------------------------------------------------------


def make_connection(core: Any) -> Any:
    from millrace.tcp import Connection

    return Connection(core)


def make_async_connection(core: Any) -> Any:
    from millrace.aio import AsyncConnection

    return AsyncConnection(core)


def begin_connection(
    loop: asyncio.AbstractEventLoop, serving: Coroutine[Any, Any, None], connection: Any
) -> None:
    """Serve a connection in a task of its own, which steps `serve_connection`."""
    if loop.is_closed():
        serving.close()
        connection.abort()
        return
    connection._task = loop.create_task(serving, name=repr(connection))


async def serve_connection(handler: Callable[..., Any], connection: Any, _token: object) -> None:
    """Call the handler; its end is the connection's. The token's life is the call's."""
    try:
        await handler(connection)
    except asyncio.CancelledError:
        connection.abort()
        raise
    except Exception as error:
        log_connection_failure(connection, error)
        # A peer that was refused still gets the answers to what came before.
        connection.close() if is_the_peers(error) else connection.abort()
    else:
        connection.close()
    finally:
        connection._task = None  # no circle: with the task goes the token


def news_of_connection(connection: Any) -> None:
    connection._hear_news()


# --- UDP ------------------------------------------------------------------------------------------


def begin_datagram(
    loop: asyncio.AbstractEventLoop,
    tasks: set[asyncio.Task[None]],
    serving: Coroutine[Any, Any, None],
) -> None:
    """Serve a datagram in a task of its own, which steps `serve_datagram` and is among `tasks`."""
    if loop.is_closed():
        serving.close()
        return
    task = loop.create_task(serving)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def serve_datagram(
    handler: Callable[..., Any],
    data: bytes,
    peer: tuple[str, int],
    answer: Callable[[Any], None],
    fail: Callable[[], None],
) -> None:
    """Call the handler, and send back what it returns."""
    try:
        answer(await handler(data, peer))
    except Exception as error:
        log_datagram_failure(peer, error)
    finally:
        fail()  # nothing where it was answered


def cancel_all(tasks: set[asyncio.Task[None]]) -> None:
    for task in list(tasks):
        task.cancel()


# --- values ---------------------------------------------------------------------------------------


def make_uuid(text: str) -> uuid.UUID:
    return uuid.UUID(text)


def make_query_params(query: str) -> Any:
    return QueryParams(query)


def make_trace(headers: Any) -> Any:
    return TraceContext.from_headers(headers)


def make_cookies(pairs: list[tuple[str, str]]) -> Cookies:
    return Cookies(pairs)


def make_state() -> SimpleNamespace:
    return SimpleNamespace()


def decode_text(body: bytes, content_type: str | None) -> str:
    """Decode a body in the charset that its type declares, else as UTF-8."""
    charset = "utf-8"
    if content_type is not None and "charset" in content_type.lower():
        message = Message()
        message["content-type"] = content_type
        charset = str(message.get_content_charset("utf-8"))
    try:
        return body.decode(charset)
    except LookupError:
        raise ValueError(f"the body's charset {charset!r} is not known") from None


def _find_orjson() -> tuple[Callable[[Any], bytes] | None, Callable[[bytes], Any]]:
    try:
        orjson = importlib.import_module("orjson")
    except ImportError:
        return None, json.loads
    option = orjson.OPT_NON_STR_KEYS
    return (lambda value: orjson.dumps(value, option=option)), orjson.loads


_dump_fast, load_json = _find_orjson()


def dump_json(value: Any) -> bytes:
    """JSON for what the engine does not write itself."""
    if _dump_fast is not None:
        with contextlib.suppress(TypeError):  # json may know it, and has the better message
            return _dump_fast(value)
    separators = (",", ":")
    try:
        text = json.dumps(value, separators=separators, ensure_ascii=False, allow_nan=False)
        return text.encode()
    except UnicodeEncodeError:  # lone surrogates have an escape, but no UTF-8
        return json.dumps(value, separators=separators, allow_nan=False).encode()


# --- methods of Request and Response --------------------------------------------------------------


def request_form(request: Any, *, limits: FormLimits | None = None) -> Any:
    return form_of(request, limits)


def request_parts(request: Any, *, limits: FormLimits | None = None) -> Any:
    return parts_of(request, limits)


async def request_save(
    request: Any, path: str | PathLike[str], *, most_bytes: int | str = "128MB"
) -> int:
    return await save_body(request, path, byte_count(most_bytes))


def request_json_lines(request: Any, *, line_bytes: int | str = "1MB") -> JSONLineReader:
    return JSONLineReader(request, line_bytes)


def response_set_cookie(
    response: Any,
    name: str,
    value: str = "",
    *,
    max_age: int | timedelta | None = None,
    expires: datetime | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    http_only: bool = True,
    same_site: SameSite | None = "lax",
    partitioned: bool = False,
) -> None:
    field = cookie_field(
        name, value, max_age=max_age, expires=expires, path=path, domain=domain, secure=secure,
        http_only=http_only, same_site=same_site, partitioned=partitioned,
    )  # fmt: skip
    response.headers.add("set-cookie", field)


def response_delete_cookie(
    response: Any,
    name: str,
    *,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    http_only: bool = True,
    same_site: SameSite | None = "lax",
    partitioned: bool = False,
) -> None:
    response_set_cookie(
        response, name, max_age=0, expires=_LONG_AGO, path=path, domain=domain, secure=secure,
        http_only=http_only, same_site=same_site, partitioned=partitioned,
    )  # fmt: skip


def response_server_timing(
    response: Any, name: str, seconds: float | None = None, description: str | None = None
) -> None:
    response.headers.add("server-timing", server_timing_field(name, seconds, description))


class FilePieces:
    """What a file object holds, in pieces; closed with it, even where nothing was read."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.close = file.close

    def __iter__(self) -> FilePieces:
        return self

    def __next__(self) -> bytes | str:
        piece: bytes | str = self._file.read(_FILE_PIECE)
        if not piece:
            raise StopIteration
        return piece


# --- the log --------------------------------------------------------------------------------------


def log_failure(request: Any, route: str, error: BaseException) -> None:
    _log.error(
        "%s %s (route %s): %s",
        request.method,
        request.path,
        route,
        type(error).__name__,
        exc_info=error,
    )


def is_the_peers(error: BaseException) -> bool:
    """Whether a handler's exception only says that the peer, or the network, is to blame."""
    return getattr(error, "fault", "local") != "local"


def log_connection_failure(connection: Any, error: BaseException) -> None:
    """Log what a handler of plain TCP raised, unless it only says that the peer is to blame."""
    if not is_the_peers(error):
        _log.error("%r: %s", connection, type(error).__name__, exc_info=error)


def log_datagram_failure(peer: tuple[str, int], error: BaseException) -> None:
    """Log what a handler of UDP raised."""
    _log.error("datagram from %s port %d: %s", *peer, type(error).__name__, exc_info=error)


def log_background_failure(route: str, error: BaseException) -> None:
    _log.error("starting background work failed (route %s)", route, exc_info=error)
