"""The lifetime of an app that other processes serve: its lifespans run there."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from millrace.app import App
from millrace.supervisor.supervisor import Supervisor

if TYPE_CHECKING:
    from millrace.subinterpreters.pool import Interpreters

__all__ = ["RemoteLifetime"]


class RemoteLifetime:
    """Stands in the supervisor's process for the `millrace.lifetime.Lifetime` of each worker."""

    def __init__(
        self,
        app: App,
        supervisor: Supervisor | Interpreters,
        served_by: str = "worker processes",
    ) -> None:
        self._served_by = served_by
        self._apps = list(app._all_apps())
        self._supervisor = supervisor

    def enter(self) -> None:
        """Let the apps know that they are served: they stay as they are."""
        for app in self._apps:
            app._lifetimes.append(self)

    def leave(self, seconds: float, hurried: Callable[[], bool]) -> None:
        """Wait for the workers, which run their lifespans to the end."""
        self._supervisor.wait_for_end(seconds, hurried)

    def detach(self) -> None:
        """Let the apps know that they are no longer served."""
        self.unregister()

    def unregister(self) -> None:
        """Let the apps know that they are no longer served here."""
        for app in self._apps:
            if self in app._lifetimes:
                app._lifetimes.remove(self)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Refuse: no worker would know of it."""
        coroutine.close()
        raise RuntimeError(
            f"app.spawn: the app is served by {self._served_by}; call it in a handler or the "
            "lifespan"
        )
