"""A handler with its middleware and error handlers around it, as one callable for the engine.

Plain and coroutine functions mix in any order, at these costs:

- plain around plain: a function call.
- coroutine around coroutine: an ``await``.
- coroutine around plain: the whole chain runs on the asyncio loop; the plain part is called there,
  or on a thread where the pattern runs handlers on workers.
- plain around coroutine: the plain part runs on a thread of its own and waits there for the rest,
  so each such request costs a thread and the switches to it and back (100 us and more).
"""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from millrace._core import Request, Response, as_response
from millrace.http import HTTPError

__all__ = ["Chain", "ErrorTable", "answer_error", "compose", "is_async", "takes"]

Handler = Callable[[Request], Any]
PlainNext = Callable[[Request], Response]
AsyncNext = Callable[[Request], Awaitable[Response]]
ErrorTable = dict[type[BaseException], Callable[[Request, Any], Any]]


@dataclass(frozen=True)
class Chain:
    """What surrounds a handler."""

    middleware: tuple[Callable[..., Any], ...]  # outermost first
    errors: tuple[ErrorTable, ...]  # innermost app first
    plain_on_threads: bool  # plain code inside coroutine code gets a thread

    @property
    def is_bare(self) -> bool:
        """Whether the engine can call handlers directly.

        It then asks for an answer to an exception once the handler is over, which has no room for
        a coroutine, nor for the error handlers of an included app.
        """
        inner, outermost = self.errors[:-1], self.errors[-1]
        awaited = any(is_async(handler) for handler in outermost.values())
        return not self.middleware and not any(inner) and not awaited


def compose(handler: Handler, chain: Chain) -> tuple[Handler, str]:
    """Return what the engine calls for a request, and how: ``"function"`` or ``"coroutine"``."""
    if chain.is_bare:
        return handler, "coroutine" if is_async(handler) else "function"
    call, awaited = _with_errors(handler, chain)
    for middleware in reversed(chain.middleware):
        call, awaited = _with_middleware(middleware, call, awaited, chain)
    return call, "coroutine" if awaited else "function"


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives something for the asyncio loop: a coroutine or async generator.

    Looks through `functools.partial` and at ``__call__`` of objects.
    """
    function = _called(function)
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def takes(function: Callable[..., Any], *arguments: str) -> None:
    """Raise TypeError where a function cannot be called with these positional arguments."""
    if not callable(function):
        raise TypeError(f"{function!r} is not callable")
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions written in C do not say
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        name = getattr(function, "__name__", repr(function))
        wanted = ", ".join(arguments)
        raise TypeError(f"{name}{signature} is called with ({wanted}): {error}") from None


def answer_error(tables: Sequence[ErrorTable], request: Request, error: BaseException) -> Any:
    """Return what the handler for an exception answers, possibly a coroutine.

    The most specific class of the innermost app that knows one wins. Raises the exception again
    where there is none.
    """
    for table in tables:
        for kind in type(error).__mro__:
            if kind in table:
                return table[kind](request, error)
            if kind is HTTPError:
                break  # answers for itself: only a handler for it or its heirs goes first
    if isinstance(error, HTTPError):
        return error.as_response()
    try:
        raise error
    finally:
        del error  # its traceback holds this frame: together they would stay until collected


def _called(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return type(function).__call__


def _with_errors(handler: Handler, chain: Chain) -> tuple[Callable[..., Any], bool]:
    tables = chain.errors
    errors_awaited = any(is_async(answer) for table in tables for answer in table.values())
    if not is_async(handler) and not errors_awaited:

        def call(request: Request) -> Response:
            try:
                return as_response(handler(request))
            except Exception as error:
                return as_response(answer_error(tables, request, error))

        return call, False

    run = handler if is_async(handler) else _on_loop(handler, chain)

    async def call_async(request: Request) -> Response:
        try:
            return as_response(await _settle(run(request)))
        except Exception as error:
            return as_response(await _settle(answer_error(tables, request, error)))

    return call_async, True


def _with_middleware(
    middleware: Callable[..., Any], inner: Callable[..., Any], awaited: bool, chain: Chain
) -> tuple[Callable[..., Any], bool]:
    if is_async(middleware):
        return _async_around(middleware, inner if awaited else _on_loop(inner, chain)), True
    if awaited:
        return _plain_around_async(middleware, inner), True
    return _plain_around(middleware, inner), False


def _plain_around(middleware: Callable[..., Any], call_next: PlainNext) -> PlainNext:
    def call(request: Request) -> Response:
        return as_response(middleware(request, call_next))

    return call


def _async_around(middleware: Callable[..., Any], call_next: AsyncNext) -> AsyncNext:
    async def call(request: Request) -> Response:
        return as_response(await middleware(request, call_next))

    return call


def _plain_around_async(middleware: Callable[..., Any], inner: AsyncNext) -> AsyncNext:
    async def call(request: Request) -> Response:
        loop = asyncio.get_running_loop()
        under_way: list[Future[Response]] = []
        is_cancelled = threading.Event()

        def call_next(request: Request) -> Response:
            future = asyncio.run_coroutine_threadsafe(_awaited(inner(request)), loop)
            under_way.append(future)
            if is_cancelled.is_set():  # while this thread was on its way to the line before
                future.cancel()
            return future.result()

        try:
            return as_response(await _on_own_thread(middleware, request, call_next))
        except asyncio.CancelledError:
            # The thread cannot be cancelled, but what it waits for can.
            is_cancelled.set()
            for future in under_way:
                future.cancel()
            raise

    return call


def _on_loop(plain: Handler, chain: Chain) -> Callable[[Request], Awaitable[Any]]:
    """Return a plain function as a coroutine function; its request's body is read before."""
    if chain.plain_on_threads:

        async def on_thread(request: Request) -> Any:
            await request.read()
            return await asyncio.to_thread(plain, request)

        return on_thread

    async def in_place(request: Request) -> Any:
        await request.read()
        return plain(request)

    return in_place


# Sub-interpreters have no daemon threads; each is asked when it imports this.
_DAEMONS: bool = getattr(_thread, "daemon_threads_allowed", lambda: True)()


async def _on_own_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Await a plain function on a new thread.

    Not on asyncio's pool: its threads are few, and when all of them wait for handlers that want one
    as well, nothing moves any more. A daemon where there are
    any, so that one that waits does not keep the interpreter.
    """
    done: Future[Any] = Future()
    done.set_running_or_notify_cancel()  # from here on nobody can cancel it
    context = contextvars.copy_context()

    def work() -> None:
        try:
            done.set_result(context.run(function, *arguments))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=work, name="millrace-middleware", daemon=_DAEMONS).start()
    return await asyncio.wrap_future(done)


async def _settle(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


async def _awaited(result: Awaitable[Response]) -> Response:
    return await result
