"""A server's metrics as values: collected, merged over processes, written for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millrace import _core, human
from millrace.tables import ShownAsTable, TextTable

if TYPE_CHECKING:
    from millrace.sight import Sight

__all__ = ["MEDIA_TYPE", "Family", "Metrics", "Sample", "collect", "merge", "render"]

# Of what `render` returns.
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Sample:
    """One value of a family, told apart from the others by its labels.

    Attributes
    ----------
    labels:
        Names and values, such as ``{"loop": "0"}``.
    value:
        The value; of a histogram, the sum of what was observed.
    buckets:
        Of a histogram: how many observations fell into each bucket alone. The last one has no
        upper bound.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    value: float = 0.0
    buckets: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """How many observations a histogram holds."""
        return sum(self.buckets)


@dataclass(frozen=True)
class Family:
    """All samples of one name.

    Attributes
    ----------
    name:
        Its name in Prometheus, unit and ``_total`` included.
    help:
        One sentence.
    kind:
        ``"counter"``, ``"gauge"`` or ``"histogram"``.
    combine:
        What several processes make together: ``"sum"``, ``"lowest"`` or ``"highest"``.
    bounds:
        Of a histogram: the upper bounds of its buckets but the last.
    samples:
        The values.
    """

    name: str
    help: str
    kind: str
    combine: str = "sum"
    bounds: tuple[float, ...] = ()
    samples: tuple[Sample, ...] = ()

    @property
    def total(self) -> float:
        """The sum of all values; of a histogram, how many observations there are."""
        if self.kind == "histogram":
            return float(sum(sample.count for sample in self.samples))
        return sum(sample.value for sample in self.samples)

    def matching(self, **labels: str) -> list[Sample]:
        """Return the samples that have these labels, and perhaps others."""
        wanted = labels.items()
        return [sample for sample in self.samples if wanted <= sample.labels.items()]


class Metrics(ShownAsTable, Mapping[str, Family]):
    """Families by name. A value: it can be pickled, and sent to another process.

    Examples
    --------
    >>> hits = Family("hits_total", "Hits.", "counter", samples=(Sample({"page": "/"}, 2),))
    >>> both = merge([Metrics([hits]), Metrics([hits])])
    >>> both["hits_total"].total
    4.0
    >>> print(render(both), end="")
    # HELP hits_total Hits.
    # TYPE hits_total counter
    hits_total{page="/"} 4
    """

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = {family.name: family for family in families}

    def __getitem__(self, name: str) -> Family:
        return self._families[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._families)

    def __len__(self) -> int:
        return len(self._families)

    def _table(self) -> TextTable:
        table = TextTable("Metrics", ("name", "kind", "samples", "total"), labels=2)
        for family in self._families.values():
            if family.samples:
                shown = human.count(family.total) if family.combine == "sum" else "-"
                table.add(family.name, family.kind, str(len(family.samples)), shown)
        return table


def collect(server: Sight) -> Metrics:
    """Return a server's metrics of this moment, or of its last run.

    Raises
    ------
    RuntimeError
        It has not been started yet.
    """
    return _metrics(server._last_core().metrics())


def merge(several: Iterable[Metrics]) -> Metrics:
    """Return the metrics of several processes as one.

    Samples of the same labels are combined as their family says: most add up, a start time is the
    earliest. A histogram with other bounds than the first one of its name is left out.
    """
    return _metrics(_core.merge_metrics([_rows(metrics) for metrics in several]))


def render(metrics: Metrics) -> str:
    """Return Prometheus' text exposition format, version 0.0.4.

    Its media type is `MEDIA_TYPE`.
    """
    return _core.render_metrics(_rows(metrics))


def _metrics(rows: Sequence[Any]) -> Metrics:
    return Metrics(
        Family(
            name,
            text,
            kind,
            combine,
            tuple(bounds),
            tuple(
                Sample(dict(labels), value, tuple(buckets)) for labels, value, buckets in samples
            ),
        )
        for name, text, kind, combine, bounds, samples in rows
    )


def _rows(metrics: Metrics) -> list[Any]:
    return [
        (
            family.name,
            family.help,
            family.kind,
            family.combine,
            list(family.bounds),
            [
                (list(sample.labels.items()), float(sample.value), list(sample.buckets))
                for sample in family.samples
            ],
        )
        for family in metrics.values()
    ]
