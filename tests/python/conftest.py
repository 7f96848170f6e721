"""What the tests of the package share: servers that stop, under every execution pattern."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import millrace as mr
import pytest
from millrace import cli

# A shell that starts the tests in the background has them ignore Ctrl-C, nohup the end of the
# terminal; and so would every program that they start and signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


IN_PROCESS = list(mr.patterns.all())
SUBINTERPRETERS = [mr.patterns.subinterpreters(2)] if sys.version_info >= (3, 13) else []
ALL_PATTERNS = [*IN_PROCESS, mr.patterns.multi_process(2), *SUBINTERPRETERS]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes ``pattern`` over all of them.

    Over those of one process only where it is marked ``in_process``.
    """
    marks = metafunc.definition.iter_markers("parametrize")
    if "pattern" not in metafunc.fixturenames or any("pattern" in mark.args[0] for mark in marks):
        return
    is_bound = metafunc.definition.get_closest_marker("in_process") is not None
    chosen = IN_PROCESS if is_bound else ALL_PATTERNS
    metafunc.parametrize("pattern", chosen, ids=repr, indirect=True)


@pytest.fixture
def pattern(request: pytest.FixtureRequest) -> mr.Pattern | mr.patterns.MultiProcess:
    """Every execution pattern there is."""
    chosen: mr.Pattern | mr.patterns.MultiProcess = request.param
    return chosen


Serve = Callable[..., mr.Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers on free ports of the loopback; they stop when the test ends."""
    with ExitStack() as stack:

        def start(app: mr.App, **options: Any) -> mr.Server:
            server = mr.Server(app, **{"drain": "5s", **options})
            return stack.enter_context(server)

        yield start


class Script:
    """A Python program in a process of its own, with its lines as they come."""

    def __init__(self, arguments: Sequence[str], folder: Path, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONFAULTHANDLER": "1", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line_with(self, word: str, *, of: str = "stderr") -> str:
        """Return the next line that holds a word."""
        stream = getattr(self.process, of)
        seen = []
        for line in stream:
            seen.append(line)
            if word in line:
                return str(line)
        raise AssertionError(f"no line with {word!r} in {''.join(seen)!r}")

    def finish(self) -> tuple[int, str, str]:
        """Return exit code, standard output and standard error, as far as not read."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Callable[..., Script]]:
    """Start ``script("source")``, or ``script(arguments=[...])``; killed when the test ends."""
    started: list[Script] = []

    def start(
        source: str | None = None,
        *,
        arguments: Sequence[str] = (),
        files: dict[str, str] | None = None,
        env: dict[str, str] | None = None,
    ) -> Script:
        for name, text in (files or {}).items():
            (tmp_path / name).write_text(text)
        if source is not None:
            (tmp_path / "program.py").write_text(source)
            arguments = ["program.py", *arguments]
        started.append(Script(arguments, tmp_path, env or {}))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[..., mr.Server]:
    """Return the server that the flags of ``millrace serve`` make of an app, not started."""

    def make(*flags: str, app: mr.App | None = None) -> mr.Server:
        made: list[mr.Server] = []
        monkeypatch.setattr("millrace.process.find_app", lambda *a, **k: app or mr.App())
        monkeypatch.setattr("millrace.process.serve", made.append)
        assert cli.main(["serve", "hello:app", *flags]) == 0
        return made[0]

    return make
