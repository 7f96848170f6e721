"""The page of results: machine, command, versions and spread beside the numbers."""

import datetime
from collections.abc import Mapping
from pathlib import Path

from suite import report
from suite.cores import Cores
from suite.machine import Machine
from suite.servers import SERVERS
from suite.table import markdown

METHOD = """\
The figure is **CPU time of the server's whole process tree per request**, in microseconds: it
barely moves when the machine is noisy, while requests per second swing by a factor of two. The
server's processes are pinned to one core and the load generator (`wrk`, one thread, 64 keep-alive
connections) to another. Before and after a run of a known number of requests the suite reads, in
nanoseconds, the time every thread of the tree has had on a processor. A warm-up round comes first,
then rounds that visit the servers in turn; every server whose turn it is not is stopped, because
some spin while idle. Before each run the answer is checked; a run in which the load generator saw
an error counts for nothing. Each ratio is taken to the raw loop of the same round: a few lines of C
on epoll without parsing, that is, nearly the kernel's own price of the same input and output.
Plain TCP and UDP, which wrk does not speak, are loaded by a client of the suite's own: as many
connections, one message at a time on each; a datagram that is lost makes the run count for nothing.
The raw loop of UDP reads and sends as many datagrams per system call as millrace does.
The memory of a connection is what the server holds privately with 10,000 of them, less what it held
before, divided by their number. Under attack means: beside the load there are 1,000 connections, a
third of each kind, that send a head, send a body, or read an answer of 10 MB, a byte or a few every
second. Rounds with and without them alternate, on a server with the default limits. Those that it
ends come back at once; timeouts show in runs that are longer than they are (`--seconds 12`).
A large file in a form is uploaded once a round, over a connection of its own, by a client of the
suite's; its memory is what the server's peak grew by over that of an upload of ten bytes.
"core busy" below 100 % means that the load generator was the limit, not the server.

Every server answers the same bytes to the same request, with the setting its documentation
recommends for one core. millrace runs with every check, limit and timer, and the journey, on.
"""


def write_page(
    path: Path,
    results: report.Results,
    machine: Machine,
    cores: Cores,
    versions: Mapping[str, str],
    command: str,
) -> None:
    """Write the page, or replace it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sections = [
        "# Benchmarks\n",
        _facts(results, machine, cores, versions, command),
        "## Method\n\n" + METHOD,
        *(markdown(table) for table in report.tables(results)),
        markdown(report.servers_table(SERVERS, versions)),
    ]
    path.write_text("\n".join(sections).rstrip() + "\n")


def _facts(
    results: report.Results,
    machine: Machine,
    cores: Cores,
    versions: Mapping[str, str],
    command: str,
) -> str:
    width, where = report.spread(results)
    placement = "threads of one physical core" if cores.are_siblings else "two physical cores"
    lines = [
        f"- Machine: {machine.processor}, {machine.cores} cores ({placement} used), "
        f"{machine.memory_gb} GB, {machine.kernel}",
        f"- Python: {machine.python}; wrk {versions.get('wrk', '-')}",
        f"- Date: {datetime.datetime.now(datetime.UTC).date().isoformat()}",
        f"- Command: `{command}`",
        f"- Widest spread of CPU time between rounds: {100 * width:.1f} % of the median ({where})",
    ]
    return "\n".join(lines) + "\n"
