"""What every filter is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from millrace import _core

__all__ = ["Filter"]

Settings = Mapping[str, bool | int | float | str | Sequence[str]]


class Filter:
    """The base of all filters; a subclass is a frozen dataclass of what its filter is told."""

    # The engine's name for it.
    kind: ClassVar[str]

    def settings(self) -> Settings:
        """Return what the engine's filter wants to know, by its names."""
        raise NotImplementedError

    def to_engine(self, prefix: str) -> _core.Filter:
        """Return it as the engine takes it, for paths below a prefix."""
        return _core.Filter(self.kind, prefix, self.settings())
