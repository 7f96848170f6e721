"""How an app travels to a worker: by name where it can be imported there, else by value.

By value means cloudpickle: functions and classes of a script or of a notebook's cells go along
with what they refer to; what stands in importable modules goes by name.
"""

from __future__ import annotations

import inspect
import io
import json
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from millrace import _core
from millrace.app import App
from millrace.errors import NotPicklable

__all__ = ["Luggage", "importable_name", "pack", "unpack"]

_REMEDY = (
    "make it in the app's lifespan, which runs in every worker, or put the app into a module and "
    "serve it by name, as 'module:app'"
)


@dataclass(frozen=True)
class Luggage:
    """All that a new worker is given."""

    app: App | str  # "module:attribute", or the app itself
    options: dict[str, Any]  # of its own millrace.Server
    log_levels: dict[str, int] = field(default_factory=dict)
    is_factory: bool = False  # `app` names a function that makes the app


def importable_name(app: App) -> str | None:
    """Return ``"module:attribute"`` where that leads another process to the same app."""
    for name, module in list(sys.modules.items()):
        if name == "__main__" or getattr(module, "__spec__", None) is None:
            continue
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is app and _can_be_found(name):
                return f"{name}:{attribute}"
    return None


def pack(luggage: Luggage) -> bytes:
    """Return the luggage as bytes.

    Raises
    ------
    NotPicklable
        Something in it cannot be sent; the message says what and where it is.
    """
    try:
        return json.dumps(sys.path).encode() + b"\n" + _dump(luggage)
    except Exception as error:
        raise NotPicklable(_culprit(luggage, error)) from error


def unpack(packed: bytes) -> Luggage:
    """Return what `pack` was given, and take over the sender's ``sys.path``; in the worker."""
    path, _, pickled = packed.partition(b"\n")
    sys.path[:] = json.loads(path)
    luggage = pickle.loads(pickled)
    assert isinstance(luggage, Luggage)
    return luggage


def _can_be_found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError, AttributeError):
        return False


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Knows the engine's own types, and that whoever serves an app now is of this process."""

    def reducer_override(self, found: Any) -> Any:
        kind = type(found)
        if kind is _core.Response:
            fields = found.headers.multi_items()
            return _response, (found.body, found.status, fields, found.content_type)
        if kind is _core.Headers:
            return _core.Headers, (found.multi_items(),)
        if kind is App:
            return _app, ({**vars(found), "_lifetimes": []},)
        return super().reducer_override(found)


def _response(
    body: Any, status: int, headers: list[tuple[str, str]], content_type: str | None
) -> _core.Response:
    return _core.Response(body, status=status, headers=headers, content_type=content_type)


def _app(attributes: dict[str, Any]) -> App:
    app = App()
    vars(app).update(attributes)
    return app


def _dump(value: object) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer).dump(value)
    return buffer.getvalue()


# --- what cannot be sent, by name -----------------------------------------------------------------


def _culprit(luggage: Luggage, error: Exception) -> str:
    parts = _parts_of(luggage.app) if isinstance(luggage.app, App) else iter(())
    for what, part in parts:
        if why := _refusal(part):
            inner = _culprit_within(part)
            return f"{what} cannot be sent to a worker process: {inner or why}; {_REMEDY}"
    for option, value in luggage.options.items():
        if why := _refusal(value):
            return f"{option}={value!r} cannot be sent to a worker process: {why}"
    return f"the app cannot be sent to a worker process: {error}; {_REMEDY}"


def _parts_of(app: App) -> Iterator[tuple[str, Any]]:
    """Yield what an app consists of, with names for people."""
    for one in app._all_apps():
        for route in one._routes:
            yield f"the handler of {route.label}", route.handler
        for middleware in one._middleware:
            yield f"the middleware {_name(middleware)}", middleware
        for kind, answer in one._errors.items():
            yield f"the handler of {kind.__name__}", answer
        if one._lifespan is not None:
            yield "the lifespan", one._lifespan
        for name, value in vars(one.state).items():
            yield f"app.state.{name}", value


def _culprit_within(part: object) -> str:
    """Say which of the things that a function refers to it is."""
    function = inspect.unwrap(part) if callable(part) else part
    if not inspect.isfunction(function):
        return ""
    found = inspect.getclosurevars(function)
    for name, value in {**found.nonlocals, **found.globals}.items():
        if why := _refusal(value):
            return f"it uses {name!r}, a {type(value).__name__} ({why})"
    return ""


def _refusal(value: object) -> str:
    """Why a value cannot be sent; empty where it can."""
    try:
        _dump(value)
    except Exception as error:
        return str(error)
    return ""


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", repr(function))
