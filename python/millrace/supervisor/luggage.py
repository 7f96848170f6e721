"""How what is served travels to a worker: by name where it can be imported there, else by value.

By value means cloudpickle: functions and classes of a script or of a notebook's cells go along
with what they refer to; what stands in importable modules goes by name.
"""

from __future__ import annotations

import inspect
import io
import json
import pickle
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from millrace import _core
from millrace.app import App
from millrace.errors import NotPicklable
from millrace.supervisor.kinds import KINDS

__all__ = ["Luggage", "importable_name", "pack", "unpack"]


@dataclass(frozen=True)
class Luggage:
    """All that a new worker is given."""

    kind: str  # of server, see `kinds.KINDS`
    target: Any  # what it serves: an app or its "module:attribute", or a handler
    options: dict[str, Any]  # of the server
    log_levels: dict[str, int] = field(default_factory=dict)
    is_factory: bool = False  # the target names a function that makes the app


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
    kind = KINDS[luggage.kind]
    for what, part in kind.parts(luggage.target):
        if why := _refusal(part):
            inner = _culprit_within(part)
            return f"{what} cannot be sent to a worker process: {inner or why}; {kind.remedy}"
    for option, value in luggage.options.items():
        if why := _refusal(value):
            return f"{option}={value!r} cannot be sent to a worker process: {why}"
    return f"the {kind.what} cannot be sent to a worker process: {error}; {kind.remedy}"


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
