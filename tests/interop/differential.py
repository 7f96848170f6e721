"""What nginx and Node make of the corpus, where it is not what we make of it.

``python -m tests.interop.differential`` writes the page that test_differential.py compares with.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import millrace as mr

from tests.interop.corpus import Case, corpus

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "spec" / "differences.md"
SAME = "="
COLUMNS = ["case", "clause", "millrace", "nginx", "node", "why"]
BEHIND = b"GET /behind HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
PATIENCE_S = 20

# What a server made of the bytes: for each answer its status, or what it took the request for.
Outcome = tuple[str, ...]


# --- servers --------------------------------------------------------------------------------------


@contextmanager
def millrace_server(folder: Path) -> Iterator[Path]:
    app = mr.App()
    methods = {"GET"} | {case.seen.split(" ")[0] for case in corpus() if case.seen}

    @app.route("/{rest:path}", methods=sorted(methods - {"CONNECT", "get"}))
    def handler(request: mr.Request) -> mr.Response:
        seen = f"{request.method} {request.target} {len(request.body)}"
        return mr.Response(b"", headers={"X-Seen": seen})

    with mr.Server(app, bind=f"unix:{folder / 'millrace'}"):
        yield folder / "millrace"


@contextmanager
def nginx(folder: Path) -> Iterator[Path]:
    config = folder / "nginx.conf"
    config.write_text((HERE / "nginx.conf").read_text().replace("@FOLDER@", str(folder)))
    command = [_program("nginx"), "-p", str(folder), "-c", str(config), "-e", str(folder / "log")]
    with _running(command, folder / "nginx") as path:
        yield path


@contextmanager
def node(folder: Path) -> Iterator[Path]:
    command = [_program("node"), str(HERE / "node.js"), str(folder / "node")]
    with _running(command, folder / "node") as path:
        yield path


OTHERS: dict[str, Callable] = {"nginx": nginx, "node": node}


def version_of(name: str) -> str | None:
    """Return "nginx/1.22.1" or "v20.20.2", or None where it is not installed."""
    if shutil.which(name, path=_search_path()) is None:
        return None
    done = subprocess.run([_program(name), "-v"], capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).split()[-1]


def _search_path() -> str:
    # Debian keeps nginx where the path of ordinary users does not lead.
    return os.environ.get("PATH", "") + ":/usr/sbin"


def _program(name: str) -> str:
    found = shutil.which(name, path=_search_path())
    assert found is not None, f"{name} is missing: see packages.txt"
    return found


@contextmanager
def _running(command: list[str], path: Path) -> Iterator[Path]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _listens(path):
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{command[0]} does not listen"
            time.sleep(0.01)
        yield path
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


# --- outcomes -------------------------------------------------------------------------------------


def outcomes(serve: Callable) -> dict[Case, Outcome]:
    """Send every case, with a request behind it, and say what came of it."""
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as path:
        found = {case: _outcome(path, case) for case in corpus()}
    if serve is not millrace_server:
        return found
    # What no handler is asked for is accepted all the same: OPTIONS *, say.
    return {
        case: (f"{case.seen} {len(case.body)}", *outcome[1:])
        if not case.status and case.answer != 200 and outcome[0] == str(case.answer)
        else outcome
        for case, outcome in found.items()
    }


def _outcome(path: Path, case: Case) -> Outcome:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(str(path))
        try:
            client.sendall(case.request + BEHIND)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has read enough
        raw = b""
        try:
            while piece := client.recv(1 << 16):
                raw += piece
        except ConnectionResetError:
            pass
    return tuple(_answers(raw, bodiless=case.method == "HEAD"))


def _answers(raw: bytes, *, bodiless: bool) -> Iterator[str]:
    while raw:
        if not raw.startswith(b"HTTP/"):
            yield "HTTP/0.9"  # a body without a head
            return
        head, _, raw = raw.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        status = int(text.split(" ")[1])
        if status < 200:
            continue
        seen = re.search(r"(?mi)^x-seen: (\S+) (.*) (\d*)\r?$", text)
        yield _as_seen(*seen.groups()) if seen and status == 200 else str(status)
        length = re.search(r"(?mi)^content-length: (\d+)", text)
        is_whole = bodiless or status in (204, 304)
        raw = raw if is_whole else raw[int(length[1]) :] if length else b""
        bodiless = False


def _as_seen(method: str, target: str, size: str) -> str:
    """Bring to one form what servers call the target of a request in absolute form."""
    path = re.sub(r"(?i)^https?://[^/?]*", "", target)
    path = path if path.startswith("/") or target == path else "/" + path
    return f"{method} {path} {size or 0}"


def _class_of(outcome: Outcome) -> Outcome:
    """Return it with 4xx and 5xx for statuses: which one it is, is a matter of taste."""
    return tuple(f"{item[0]}xx" if item.isdigit() else item for item in outcome)


# --- the page -------------------------------------------------------------------------------------


def cells(ours: dict[Case, Outcome], theirs: dict[Case, Outcome]) -> dict[str, str]:
    """Return what differs, by the case's full name."""
    return {
        str(case): shown(theirs[case])
        for case in ours
        if _class_of(theirs[case]) != _class_of(ours[case])
    }


def kept_rows() -> dict[str, dict[str, str]]:
    """Return the rows of the page's tables, by the case's full name."""
    rows, file = {}, ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            file = line.split("`")[1].removesuffix(".toml")
        elif file and line.startswith("| ") and not line.startswith("| case "):
            case, *others = line.strip("| ").split(" | ")
            rows[f"{file}: {case}"] = dict(zip(COLUMNS[1:], others, strict=True))
    return rows


def kept_cells(name: str) -> dict[str, str]:
    """Return what the page says of a server, as `cells` does."""
    return {case: row[name] for case, row in kept_rows().items() if row[name] != SAME}


def kept_version(name: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(r"nginx/[\d.]+" if name == "nginx" else r"Node (v[\d.]+)", text)
    assert found, f"the page does not say which {name} it is about"
    return found[found.re.groups]


def shown(outcome: Outcome) -> str:
    return ", ".join(_item(item) for item in outcome) or "closes"


def _item(item: str) -> str:
    if item == "GET /behind 0":
        return "next"
    if item.isdigit() or item == "HTTP/0.9":
        return item
    request, _, size = item.rpartition(" ")
    shown = re.sub(r"[^ -{}~]|`", lambda m: f"\\x{ord(m[0]):02x}", request)
    shown = shown if len(shown) < 40 else shown[:36] + "..."
    return f"`{shown}`" + ("" if size in ("0", "") else f" and {size} bytes")


def page() -> str:
    ours = outcomes(millrace_server)
    differing = {name: cells(ours, outcomes(serve)) for name, serve in OTHERS.items()}
    lines = [_introduction(ours, differing)]
    for file, cases in groupby(corpus(), key=lambda case: case.file):
        rows = [case for case in cases if any(str(case) in found for found in differing.values())]
        if not rows:
            continue
        lines += [f"\n## [`{file}.toml`](../../tests/interop/requests/{file}.toml)\n",
                  f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]  # fmt: skip
        for case in rows:
            others = [found.get(str(case), SAME) for found in differing.values()]
            lines.append(" | ".join(["| " + case.name, case.clause, shown(ours[case]), *others,
                                     _why(case, others) + " |"]))  # fmt: skip
    return "\n".join(lines) + "\n"


# Where all refuse, the status is the difference.
STATUS = {
    400: "malformed, so the client's fault (RFC 9110 15.5.1)",
    417: "the status for an expectation that is not met (RFC 9110 15.5.18)",
    501: "the status for a coding that is not implemented (RFC 9112 6.1)",
    505: "the status for a version that is not spoken (RFC 9110 15.6.6)",
}


def _why(case: Case, others: list[str]) -> str:
    refusals = [cell for cell in others if cell.isdigit() or cell in ("closes", SAME)]
    if not case.status or len(refusals) < len(others):
        return case.why
    says_nothing = "; a client that hears nothing cannot know" if "closes" in others else ""
    return STATUS[case.status] + says_nothing


def _introduction(ours: dict[Case, Outcome], differing: dict[str, dict[str, str]]) -> str:
    count = {name: len(found) for name, found in differing.items()}
    return f"""# Where nginx and Node understand requests differently

Written by `python -m tests.interop.differential`, which sends the [corpus](requests.md) of
{len(ours)} requests to each server and notes what came of it; `tests/interop/test_differential.py`
fails when one of the three changes its mind. Compared: {version_of("nginx")} with {count["nginx"]}
differences and Node {version_of("node")} with {count["node"]}, both with their default limits.

Behind every request hangs a second one. A number is the status of a refusal, which ends the
connection; quoted is what a server took for a request, with the size of its body; "next" means
that it answered the second one too; "closes", that it said nothing; "{SAME}", the same as
millrace. Statuses within 4xx count as the same, and those within 5xx. URIs are shown without
scheme and host.

Most differences are of one kind: a server that takes what a clause lets it refuse. Each such
reading is safe on its own. It is harmful where two readers differ, one of them in front of the
other, and nobody knows who will stand in front of us; so what is ambiguous is refused, and the
last column says what is ambiguous about it."""


if __name__ == "__main__":
    missing = [name for name in OTHERS if version_of(name) is None]
    if missing:
        sys.exit(f"install first: {', '.join(missing)}")
    PAGE.write_text(page(), encoding="utf-8")
