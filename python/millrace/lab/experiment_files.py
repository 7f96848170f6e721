"""A run of an experiment as a directory that other tools read."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from millrace.lab import chart_style, experiment_page
from millrace.lab.experiment_chart import draw
from millrace.lab.experiment_result import Result

__all__ = ["SCHEMA_VERSION", "as_dict", "save"]

# Of result.json; one more when a field is taken away or changes its meaning.
SCHEMA_VERSION = 1


def save(result: Result, folder: Path) -> Path:
    """Write all files into ``folder/name/time``; see `Result.save`."""
    runs = folder / result.experiment.name
    run = _new_directory(runs)
    (run / "result.json").write_text(_json(as_dict(result)), encoding="utf-8")
    environment = {**result.environment, "seed": result.seed}
    (run / "env.json").write_text(_json(environment), encoding="utf-8")
    _write_samples(result, run / "samples.csv")
    (run / "report.html").write_text(experiment_page.page(result), encoding="utf-8")
    if chart_style.available() and not result.skipped:
        figure = draw(result)
        (run / "figure.png").write_bytes(chart_style.to_bytes(figure))
        (run / "figure.svg").write_bytes(chart_style.to_bytes(figure, "svg"))
    latest = runs / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(run.name)
    return run


def as_dict(result: Result) -> dict[str, Any]:
    """Return everything but the environment, as JSON can hold it."""
    experiment = result.experiment
    return {
        "schema_version": SCHEMA_VERSION,
        "name": experiment.name,
        "question": experiment.question,
        "formula": experiment.formula,
        "source": experiment.source,
        "verdict": result.verdict.value,
        "skipped": result.skipped,
        "without_cause": experiment.without_cause if result.without_cause else None,
        "quick": result.quick,
        "seed": result.seed,
        "rounds": result.rounds,
        "elapsed_s": result.elapsed_s,
        "left_out": dict(experiment.left_out),
        "claims": [
            {
                "says": claim.says,
                "arm": claim.arm,
                "quantity": claim.quantity,
                "by": claim.by,
                "formula": claim.prediction.formula,
                "accepted": [_bound(bound) for bound in claim.prediction.band],
                "measured": finding.measured,
                "verdict": finding.verdict.value if finding.verdict else None,
                "reason": finding.reason,
            }
            for claim, finding in result.findings
        ],
        "measurements": [
            {
                "round": one.round,
                "arm": one.arm,
                "values": dict(one.values),
                "doubts": list(one.doubts),
            }
            for one in result.measurements
        ],
    }


def _bound(value: float) -> float | None:
    """Return a bound, or None for no bound, which JSON cannot write as a number."""
    return None if value == float("inf") else value


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _write_samples(result: Result, path: Path) -> None:
    names = list(dict.fromkeys(name for one in result.measurements for name in one.values))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["round", "arm", *names, "doubts"])
        for one in result.measurements:
            values = [one.values.get(name, "") for name in names]
            writer.writerow([one.round, one.arm, *values, "; ".join(one.doubts)])


def _new_directory(runs: Path) -> Path:
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        run = runs / (name + suffix)
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            continue
        return run
    raise FileExistsError(f"{runs / name} and 98 others exist")
