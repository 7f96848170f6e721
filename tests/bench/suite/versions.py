"""Which release of each server was measured."""

from suite.servers import SERVERS, Family
from suite.tools import Tools, Unavailable, first_line_of, installed_versions


def server_versions(tools: Tools) -> dict[str, str]:
    """By label; what cannot be told is left out."""
    distributions = {name for server in SERVERS for name in server.needs}
    peers = installed_versions(tools.peer_python, sorted(distributions))
    found = {
        server.label: peers[server.needs[0]]
        for server in SERVERS
        if server.family is Family.PYTHON and server.needs[0] in peers
    }
    found |= installed_versions(tools.python, ["millrace"])
    found |= _program_versions(tools)
    return found


def _program_versions(tools: Tools) -> dict[str, str]:
    found = {}
    for label, program, option in (
        ("nginx", "nginx", "-v"),
        ("Node http", "node", "--version"),
        ("wrk", "wrk", "-v"),
        ("raw loop", "cc", "--version"),
    ):
        try:
            line = first_line_of([tools.program(program), option])
        except Unavailable:
            continue
        found[label] = _shorten(label, line)
    return found


def _shorten(label: str, line: str) -> str:
    if label == "raw loop":
        return f"cc {line.rpartition(' ')[2]}"
    if label == "wrk":
        return line.partition(" [")[0].removeprefix("wrk ")
    return line.removeprefix("nginx version: nginx/").removeprefix("v").partition(" (")[0]
