"""Reads what `millrace.metrics.render` writes: Prometheus' text format, version 0.0.4."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from millrace.metrics import Family, Metrics, Sample

__all__ = ["parse"]

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\[\\"n])*)"(?:,|$)')
_ESCAPED = re.compile(r"\\(.)")

_KINDS = ("counter", "gauge", "histogram")

_Labels = tuple[tuple[str, str], ...]


def parse(text: str) -> Metrics:
    """Return the metrics of a text.

    How processes are to be combined does not stand in it: each family's ``combine`` is ``"sum"``.

    Raises
    ------
    ValueError
        It is not as `millrace.metrics.render` writes it; the message names the line.

    Examples
    --------
    >>> text = '# HELP hits_total Hits.\\n# TYPE hits_total counter\\nhits_total{page="/"} 4\\n'
    >>> parse(text)["hits_total"].total
    4.0
    """
    families: list[_Family] = []
    # No splitlines(): texts may hold the other characters that it splits at.
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), start=1):
        try:
            _read(line, families)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return Metrics(family.finished() for family in families)


def _read(line: str, families: list[_Family]) -> None:
    if line.startswith("# HELP "):
        name, _, words = line.removeprefix("# HELP ").partition(" ")
        families.append(_Family(name, _unescaped(words)))
    elif line.startswith("# TYPE "):
        name, _, kind = line.removeprefix("# TYPE ").partition(" ")
        if not families or families[-1].name != name or kind not in _KINDS:
            raise ValueError(f"{line!r} does not follow the help of the same name")
        families[-1].kind = kind
    elif not families or not families[-1].kind:
        raise ValueError(f"{line!r} stands before any type")
    else:
        families[-1].take(*_sample(line))


def _sample(line: str) -> tuple[str, _Labels, float]:
    found = _SAMPLE.fullmatch(line)
    if found is None:
        raise ValueError(f"{line!r} is no sample")
    name, labels, value = found.groups()
    return name, tuple(_labels(labels or "")), float(value)


def _labels(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = _LABEL.match(text, at)
        if found is None:
            raise ValueError(f"{text[at:]!r} is no label")
        yield found[1], _unescaped(found[2])
        at = found.end()


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text)


@dataclass
class _Histogram:
    sum: float = 0.0
    count: float | None = None
    bounds: list[float] = field(default_factory=list)
    up_to: list[int] = field(default_factory=list)  # observations up to each bound

    def buckets(self) -> tuple[int, ...]:
        """What fell into each bucket alone."""
        lower = [0, *self.up_to[:-1]]
        alone = tuple(upper - under for upper, under in zip(self.up_to, lower, strict=True))
        is_whole = bool(alone) and min(alone) >= 0 and self.bounds[-1] == float("inf")
        if not is_whole or self.count != self.up_to[-1] or self.bounds != sorted(self.bounds):
            raise ValueError("a histogram whose buckets do not add up")
        return alone


@dataclass
class _Family:
    name: str
    help: str
    kind: str = ""
    values: dict[_Labels, float] = field(default_factory=dict)
    histograms: dict[_Labels, _Histogram] = field(default_factory=dict)

    def take(self, name: str, labels: _Labels, value: float) -> None:
        """Take one line."""
        if self.kind == "histogram":
            self._take_part(name.removeprefix(f"{self.name}_"), labels, value)
        elif name != self.name or labels in self.values:
            raise ValueError(f"{name!r} stands among {self.name!r}, or twice")
        else:
            self.values[labels] = value

    def _take_part(self, part: str, labels: _Labels, value: float) -> None:
        others = tuple(label for label in labels if label[0] != "le")
        one = self.histograms.setdefault(others, _Histogram())
        if part == "bucket":
            one.bounds.append(float(dict(labels)["le"]) if others != labels else float("nan"))
            one.up_to.append(int(value))
        elif part == "sum":
            one.sum = value
        elif part == "count":
            one.count = value
        else:
            raise ValueError(f"{part!r} is no part of the histogram {self.name!r}")

    def finished(self) -> Family:
        """Return it as a value."""
        if self.kind != "histogram":
            rows = [Sample(dict(labels), value) for labels, value in self.values.items()]
            return Family(self.name, self.help, self.kind, samples=tuple(rows))
        all_bounds = {tuple(one.bounds) for one in self.histograms.values()}
        if len(all_bounds) > 1:
            raise ValueError(f"{self.name}: its histograms have different buckets")
        rows = [
            Sample(dict(labels), one.sum, one.buckets()) for labels, one in self.histograms.items()
        ]
        bounds = next(iter(all_bounds), ())[:-1]
        return Family(self.name, self.help, self.kind, bounds=bounds, samples=tuple(rows))
