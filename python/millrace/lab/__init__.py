"""The laboratory: put load on servers, compare execution patterns, see what the theory says."""

from millrace.lab.experiment import Claim, Experiment, Quantity, Run
from millrace.lab.experiment_result import Measurement, Result
from millrace.lab.load import Load, load
from millrace.lab.private_network import (
    PrivateNetwork,
    PrivateNetworkUnavailable,
    set_sysctl,
)
from millrace.lab.verdicts import Finding, Prediction, Verdict

__all__ = [
    "Claim",
    "Experiment",
    "Finding",
    "Load",
    "Measurement",
    "Prediction",
    "PrivateNetwork",
    "PrivateNetworkUnavailable",
    "Quantity",
    "Result",
    "Run",
    "Verdict",
    "experiment_named",
    "load",
    "set_sysctl",
]


def experiment_named(name: str) -> Experiment:
    """Return an experiment of the catalogue, such as ``"who-accepts"``.

    Raises
    ------
    ValueError
        There is none of this name; the message lists those there are.

    Examples
    --------
    >>> import millrace as mr
    >>> mr.lab.experiment_named("who-accepts").run(quick=True).rounds
    2
    """
    from millrace.lab.experiments import find

    return find(name)
