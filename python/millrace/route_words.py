"""The words of a route: its methods and its path."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["check_path", "checked_methods"]

_PARAMETER = re.compile(r"\{([A-Za-z_]\w*)(?::(str|int|float|uuid|path))?\}")
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def checked_methods(methods: Sequence[str]) -> tuple[str, ...]:
    """Return methods in upper case, each once; ValueError where one cannot be routed."""
    if isinstance(methods, str):
        raise ValueError(f"methods={methods!r} is one text: write methods=[{methods!r}]")
    if not methods:
        raise ValueError("methods is empty: name at least one, such as methods=['GET']")
    for method in methods:
        if not _METHOD.fullmatch(method):
            raise ValueError(f"{method!r} is no HTTP method (RFC 9110 9.1)")
    return tuple(dict.fromkeys(method.upper() for method in methods))


def check_path(path: str) -> None:
    """Raise ValueError, with the remedy, where a path cannot be routed."""
    if not path.startswith("/"):
        raise ValueError(f"path {path!r} does not start with '/': write '/{path}'")
    if "?" in path or "#" in path:
        raise ValueError(f"path {path!r}: a query is no part of a route, see request.query_params")
    names = []
    segments = path.split("/")[1:]
    for position, segment in enumerate(segments, start=1):
        match = _PARAMETER.fullmatch(segment)
        if match is None:
            if "{" in segment or "}" in segment:
                raise ValueError(
                    f"path {path!r}: {segment!r} is no parameter; a whole segment is one, "
                    "{name} or {name:type} with the type str, int, float, uuid or path"
                )
            continue
        if match[2] == "path" and position < len(segments):
            raise ValueError(f"path {path!r}: a path parameter takes the rest, so it comes last")
        if match[1] in names:
            raise ValueError(f"path {path!r} has two parameters named {match[1]!r}")
        names.append(match[1])
