"""What lives as long as an app is served: its lifespan and its work in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AsyncExitStack
from typing import Any

from millrace import chain
from millrace.app import App
from millrace.errors import WrongState
from millrace.http import BackgroundTask

__all__ = ["Lifetime"]

_log = logging.getLogger("millrace.error")

# How long one wait takes, so that Ctrl-C and a hasty stop are heard.
_SLICE_S = 0.1

# What cancelled background work gets for its clean-up.
_CLEAN_UP_S = 1.0


def _no_loop() -> asyncio.AbstractEventLoop:
    raise WrongState("the server does not run")


class Lifetime:
    """The asyncio side of one app on one server, from before its first request to after its last.

    Any thread but the asyncio loop's own, unless a method says otherwise.
    """

    def __init__(self, app: App) -> None:
        self._apps = list(app._all_apps())
        self._get_loop: Callable[[], asyncio.AbstractEventLoop] = _no_loop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._entered: Future[None] = Future()
        self._leaving: asyncio.Event | None = None  # of the loop, as the two below
        self._tasks: set[asyncio.Task[Any]] = set()
        self._life: Future[None] | None = None

    def run_on(self, get_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        """Run on the loop that the engine starts when it is asked for."""
        self._get_loop = get_loop

    def enter(self) -> None:
        """Run the lifespans up to their ``yield``; what they raise is raised."""
        for app in self._apps:
            app._lifetimes.append(self)
        if any(app._lifespan for app in self._apps):
            self._life = asyncio.run_coroutine_threadsafe(self._live(), self.loop)
            _outcome(self._entered)

    def leave(self, seconds: float, hurried: Callable[[], bool]) -> None:
        """Give background work so long to finish, then run the lifespans to their end."""
        if self._loop is None:
            return
        _outcome(asyncio.run_coroutine_threadsafe(self._finish(seconds, hurried), self._loop))
        if self._life is not None and self._leaving is not None:
            self._loop.call_soon_threadsafe(self._leaving.set)
            _outcome(self._life)

    def detach(self) -> None:
        """Break off what is left, and let the apps know that they are no longer served."""
        if self._life is not None:
            self._life.cancel()
        self.unregister()
        self._loop, self._get_loop = None, _no_loop  # the engine holds this, and need not live on

    def unregister(self) -> None:
        """Let the apps know that they are no longer served here."""
        for app in self._apps:
            if self in app._lifetimes:
                app._lifetimes.remove(self)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The asyncio loop, started where nothing needed it so far. Any thread."""
        if self._loop is None:
            self._loop = self._get_loop()
        return self._loop

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Start a coroutine; see `App.spawn`. Any thread."""
        return asyncio.run_coroutine_threadsafe(self._watched(coroutine), self.loop)

    def run_background(self, task: object) -> None:
        """Do what a response left for later. Any thread."""
        self.spawn(_run(task))

    async def _live(self) -> None:
        """Enter and leave in one task, as the task groups of a lifespan demand."""
        try:
            async with AsyncExitStack() as stack:
                for app in self._apps:
                    if app._lifespan is not None:
                        await stack.enter_async_context(app._lifespan(app))
                self._leaving = asyncio.Event()
                self._entered.set_result(None)
                await self._leaving.wait()
        except BaseException as error:
            if self._entered.done():
                raise
            self._entered.set_exception(error)

    async def _watched(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            return await coroutine
        except Exception:
            _log.exception("background work failed: %s", getattr(coroutine, "__qualname__", "?"))
            raise
        finally:
            self._tasks.discard(task)

    async def _finish(self, seconds: float, hurried: Callable[[], bool]) -> None:
        now = asyncio.get_running_loop().time
        deadline = now() + seconds
        while self._tasks and not hurried() and (left := deadline - now()) > 0:
            await asyncio.wait(self._tasks, timeout=min(left, _SLICE_S))
        if self._tasks:
            _log.warning("stopping: %d pieces of background work are cut off", len(self._tasks))
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=_CLEAN_UP_S)


def _outcome(future: Future[None]) -> None:
    """Wait in glances: a signal that comes just before a wait begins would not end it."""
    while True:
        try:
            return future.result(_SLICE_S)
        except TimeoutError:
            if future.done():
                raise  # the work's own


async def _run(task: object) -> None:
    if not isinstance(task, BackgroundTask):
        raise TypeError(f"background={task!r}: use millrace.BackgroundTask(function, *args)")
    if chain.is_async(task.function):
        await task()  # type: ignore[misc]  # a coroutine, as its function is one
    else:
        await asyncio.to_thread(task)
