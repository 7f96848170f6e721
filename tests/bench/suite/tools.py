"""What the suite needs around it: compiler, programs, the peers' own Python environment."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
BUILD = BENCH.parent.parent / "build" / "bench"
INSTALL_TIMEOUT_S = 600  # a distribution without a wheel is compiled
COMPILE_TIMEOUT_S = 60
QUERY_TIMEOUT_S = 30


class Unavailable(RuntimeError):
    """Something cannot take part; the message is printed in its place, never dropped."""


@dataclass
class Tools:
    """Paths of everything that is started, and why what is missing is missing."""

    build: Path
    """Everything the suite makes goes below it."""
    python: str = sys.executable
    """The interpreter millrace is installed for."""
    use_latest: bool = False
    """Install the peers' newest releases in place of the pinned ones."""
    install_failures: dict[str, str] = field(default_factory=dict)
    """By distribution, lower case."""

    @property
    def environment(self) -> Path:
        """A virtual environment of the peers' own: their dependencies must not meet ours."""
        return self.build / "venv"

    @property
    def peer_python(self) -> str:
        return str(self.environment / "bin" / "python")

    def program(self, name: str) -> str:
        found = shutil.which(name)
        if found is None:
            raise Unavailable(f"no program named {name} on PATH")
        return found

    def raw_loop(self) -> Path:
        """The floor."""
        return self._compiled("raw_loop")

    def message_client(self) -> Path:
        """The load of the plain TCP and UDP rows."""
        return self._compiled("message_client")

    def _compiled(self, name: str) -> Path:
        """A program of one source file, compiled when that is newer."""
        source, binary = BENCH / f"{name}.c", self.build / name
        if binary.exists() and binary.stat().st_mtime > source.stat().st_mtime:
            return binary
        self.build.mkdir(parents=True, exist_ok=True)
        compiler = self.program(os.environ.get("CC", "cc"))
        command = [compiler, "-O2", "-Wall", "-Wextra", "-Werror", str(source), "-o", str(binary)]
        done = _run(command, COMPILE_TIMEOUT_S)
        if done.returncode != 0:
            raise Unavailable(f"{name}.c does not compile: {_last_line(done.stderr)}")
        return binary

    def install_peers(self) -> None:
        """Make the peers' environment, one distribution at a time so that one failure stays one."""
        lines = _requirements(self.use_latest)
        stamp = self.environment / "installed"
        digest = hashlib.sha256("\n".join([self.python, *lines]).encode()).hexdigest()
        if stamp.exists() and stamp.read_text() == digest:
            return
        maker = self.environment / "made-by"
        if not maker.exists() or maker.read_text() != self.python:
            command = [self.python, "-m", "venv", "--clear", str(self.environment)]
            made = _run(command, INSTALL_TIMEOUT_S)
            if made.returncode != 0:
                reason = f"no virtual environment for the peers: {_last_line(made.stderr)}"
                self.install_failures = {_distribution(line): reason for line in lines}
                return
            maker.write_text(self.python)
        for line in lines:
            print(f"installing {line}", file=sys.stderr, flush=True)
            pip = [self.peer_python, "-m", "pip", "install", "--quiet", "--upgrade", line]
            done = _run(pip, INSTALL_TIMEOUT_S)
            if done.returncode != 0:
                reason = f"pip install {line} failed: {_last_line(done.stderr)}"
                self.install_failures[_distribution(line)] = reason
        if not self.install_failures and not self.use_latest:
            stamp.write_text(digest)

    def require(self, distributions: Iterable[str]) -> None:
        for name in distributions:
            if name in self.install_failures:
                raise Unavailable(self.install_failures[name])


def installed_versions(python: str, distributions: Iterable[str]) -> dict[str, str]:
    """Versions of those distributions that this interpreter finds."""
    code = (
        "import importlib.metadata as m, json, sys\n"
        "found = {d.name.lower(): d.version for d in m.distributions() if d.name}\n"
        "print(json.dumps({n: found[n] for n in sys.argv[1:] if n in found}))"
    )
    try:
        done = _run([python, "-c", code, *distributions], QUERY_TIMEOUT_S)
        versions: dict[str, str] = json.loads(done.stdout)
    except (OSError, ValueError):
        return {}
    return versions


def first_line_of(command: list[str]) -> str:
    """First line a program prints about itself, or nothing."""
    try:
        done = _run(command, QUERY_TIMEOUT_S)
    except OSError:
        return ""
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else ""


def _requirements(use_latest: bool) -> list[str]:
    lines = (BENCH / "requirements.txt").read_text().splitlines()
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return [_distribution(line) for line in wanted] if use_latest else wanted


def _distribution(requirement: str) -> str:
    return requirement.partition("==")[0].lower()


def _run(command: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"took over {timeout_s:.0f} s")


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line and "notice" not in line]
    return lines[-1] if lines else "no reason given"
