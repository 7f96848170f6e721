"""An experiment's report: one HTML file with everything in it."""

from __future__ import annotations

from html import escape
from typing import Any

from millrace import human
from millrace.lab import chart_style
from millrace.lab.comparison_table import Entry
from millrace.lab.experiment_chart import draw
from millrace.lab.experiment_result import Result
from millrace.lab.html_page import document, pill, themed_chart, value_cell
from millrace.lab.verdicts import Finding

__all__ = ["page"]


def page(result: Result) -> str:
    """Return the whole page; the chart is in it where matplotlib is installed."""
    sections = [_head(result)]
    if not result.skipped:
        sections += [_chart(result), _claims(result), _rounds(result)]
    sections.append(_circumstances(result))
    return document(f"{result.experiment.name}: {result.verdict.value}", "".join(sections))


def _head(result: Result) -> str:
    experiment = result.experiment
    removed = ""
    if result.without_cause:
        removed = (
            f"<p><strong>Without {escape(experiment.without_cause)}.</strong> Now a claim has to "
            "fail: a check that cannot fail proves nothing.</p>"
        )
    skipped = f"<p><strong>Skipped:</strong> {escape(result.skipped)}</p>" if result.skipped else ""
    return (
        f"<h1>{escape(experiment.question)}</h1>"
        f'<p class="quiet">Experiment <code>{escape(experiment.name)}</code> '
        f"{pill(result.verdict)}</p>{removed}{skipped}"
        '<ol class="conclusions">'
        f"<li>Predicted: {escape(experiment.formula)}.</li>"
        f"<li>Source: {escape(experiment.source)}.</li></ol>"
    )


def _chart(result: Result) -> str:
    if not chart_style.available():
        return ""
    return themed_chart(
        lambda theme: chart_style.to_bytes(draw(result, theme)),
        f"What each arm of {result.experiment.name} measured, beside its prediction",
    )


def _claims(result: Result) -> str:
    rows = []
    for claim, finding in result.findings:
        quantity = result.quantity(claim.quantity)
        predicted = quantity.write_band(claim.prediction.low, claim.prediction.high)
        value = Entry(
            measured=quantity.write(finding.measured),
            predicted=predicted,
            verdict=finding.verdict,
            formula=claim.prediction.formula,
            reason=finding.reason,
        )
        rows.append(
            f'<tr><td>{escape(claim.says)}<span class="predicted">{escape(claim.arm)}: '
            f"{escape(claim.prediction.formula)}</span></td>{value_cell(value)}"
            f'<td class="words">{escape(quantity.heading)}</td>'
            f'<td class="words">{claim.by}</td><td class="words">{_verdict(finding)}</td></tr>'
        )
    return (
        "<h2>The claims</h2><p>Large: the median of all rounds. Small: predicted. A claim by "
        "<em>count</em> holds whatever else the machine does; one by <em>clock</em> that is off "
        "while other programs use the cores is inconclusive.</p>"
        '<div class="scroll"><table><thead><tr><th>claim</th><th>measured</th>'
        '<th class="words">quantity</th><th class="words">by</th><th class="words">verdict</th>'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _verdict(finding: Finding) -> str:
    if finding.verdict is None:
        return "no test"
    why = f'<span class="why">{escape(finding.reason)}</span>' if finding.reason else ""
    return pill(finding.verdict) + why


def _rounds(result: Result) -> str:
    quantities = result.experiment.quantities
    heads = "".join(
        f'<th>{escape(one.title)}<span class="unit">{escape(one.unit)}</span></th>'
        for one in quantities
    )
    rows = "".join(
        f"<tr><td>{one.round + 1}</td><td class='words'>{escape(one.arm)}</td>"
        + "".join(
            f"<td>{quantity.write(one.values[quantity.name])}</td>"
            if quantity.name in one.values
            else '<td class="quiet">–</td>'
            for quantity in quantities
        )
        + f'<td class="words quiet">{escape("; ".join(one.doubts))}</td></tr>'
        for one in result.measurements
    )
    return (
        "<h2>All rounds</h2><p>In the order in which they were measured.</p>"
        '<div class="scroll"><table><thead><tr><th>round</th><th class="words">arm</th>'
        f'{heads}<th class="words">no fair test, because</th></tr></thead><tbody>{rows}</tbody>'
        "</table></div>"
    )


def _circumstances(result: Result) -> str:
    facts = {
        "run": f"{result.rounds} rounds in {human.duration(result.elapsed_s)}, seed {result.seed}",
        **{f"left out: {arm}": why for arm, why in result.experiment.left_out.items()},
        **_flat(result.environment),
    }
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items()
    )
    return f"<h2>Circumstances</h2><dl>{rows}</dl>"


def _flat(values: dict[str, Any]) -> dict[str, str]:
    """Return nested values by the innermost name."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        flat.update(_flat(value) if isinstance(value, dict) else {name: str(value)})
    return flat
