"""Worker processes of whole programs: scripts, notebooks, the command line and its signals."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.python.keep_alive import KeepAliveLoad
from tests.python.wire import eventually, get

APP = """
import asyncio, os, pathlib
import millrace as mr

app = mr.App()
VERSION = 1

@app.lifespan
async def life(app):
    if pathlib.Path("broken").exists():
        raise RuntimeError("broken")
    if pathlib.Path("slow").exists():
        pathlib.Path("starting.new").write_text(str(os.getpid()))
        pathlib.Path("starting.new").rename("starting")
        await asyncio.sleep(30)
    yield

@app.get("/pid")
def pid(request):
    return f"{os.getpid()} {os.getppid()}"

@app.get("/version")
def version(request):
    return str(VERSION)

@app.get("/echo/{mark}")
def echo(request):
    return f"{os.getpid()} {request.path_params['mark']}"

def make():
    return app
"""


class Address:
    """As much of a server as clients need."""

    def __init__(self, url):
        self.port = urlsplit(url).port


@pytest.fixture
def millrace(script):
    """Start ``millrace serve``; returns the program and where it listens."""

    def start(*flags, target="shop:app", env=None):
        arguments = ["-m", "millrace", "serve", target, "--port", "0", *flags]
        program = script(arguments=arguments, files={"shop.py": APP}, env=env)
        line = program.line_with("serving on")
        return program, Address(re.search(r"http://[\d.:]+", line)[0])

    return start


def worker_of(server):
    """Return the worker that answers, and its parent."""
    return tuple(map(int, get(server, "/pid").text.split()))


def workers_of(server, count):
    seen = set()
    eventually(lambda: seen.add(worker_of(server)[0]) or len(seen) == count)
    return seen


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def ended_well(program, number=signal.SIGTERM):
    program.process.send_signal(number)
    code, _, err = program.finish()
    assert code == 0, err
    assert "Traceback" not in err
    return err


# --- where apps come from -------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["app", "'program:app'"])
def test_a_script_serves_its_app(script, target):
    text = APP + (
        "if __name__ == '__main__':\n"
        f"    mr.run({target}, port=0, pattern=mr.patterns.multi_process(2))\n"
    )
    program = script(text)
    server = Address(re.search(r"http://[\d.:]+", program.line_with("serving on"))[0])
    worker, parent = worker_of(server)
    assert parent == program.process.pid
    assert worker != parent
    ended_well(program, signal.SIGINT)


def test_a_notebook_serves_an_app_of_its_cells(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    cells = [
        "import os, urllib.request\nimport millrace as mr\napp, greeting = mr.App(), 'hello'",
        "class Shop:\n    name = 'shop'\n\ndef greet():\n    return f'{greeting} from {Shop.name}'",
        "@app.get('/')\ndef hello(request):\n    return f'{greet()} {os.getpid()}'",
        "server = mr.Server(app, pattern=mr.patterns.multi_process(2)).start()",
        "text = urllib.request.urlopen(server.url).read().decode()\n"
        "assert text.startswith('hello from shop ')\n"
        "assert int(text.split()[-1]) in {row.pid for row in server.workers()}",
        "server.stop()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    resources = {"metadata": {"path": tmp_path}}
    nbclient.NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources=resources
    ).execute()


@pytest.mark.parametrize(
    ("flags", "env", "target"),
    [
        (["--workers", "2"], {}, "shop:app"),
        ([], {"WEB_CONCURRENCY": "2"}, "shop:app"),
        (["--pattern", "multi_process:processes=2,listener=reuseport"], {}, "shop:app"),
        (["--workers", "2", "--factory"], {}, "shop:make"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_command_line_serves_with_workers(millrace, flags, env, target):
    program, server = millrace(*flags, target=target, env=env)
    workers = workers_of(server, 2)
    assert worker_of(server)[1] == program.process.pid
    ended_well(program)
    assert all(map(is_gone, workers))


# --- exit codes -----------------------------------------------------------------------------------


def test_workers_that_cannot_start_are_exit_code_3_and_one_line(script):
    program = script(
        arguments=["-m", "millrace", "serve", "shop:app", "--port", "0", "--workers", "2"],
        files={"shop.py": APP, "broken": ""},
    )
    code, _, err = program.finish()
    assert code == 3
    assert "Traceback" not in err
    assert re.search(r"the server cannot start: worker \d could not start: .*broken", err)


def test_a_crash_loop_is_exit_code_3_and_the_reason(millrace, tmp_path):
    program, server = millrace("--pattern", "multi_process:processes=1,crash_limit=3")
    worker, _ = worker_of(server)
    (tmp_path / "broken").touch()
    os.kill(worker, signal.SIGKILL)
    code, _, err = program.finish()
    assert code == 3, err
    assert "the server stops: worker 1 could not start: RuntimeError: broken" in err
    assert "the end of 3 workers in a row" in err


# --- signals --------------------------------------------------------------------------------------


def test_sighup_serves_new_code_and_loses_nothing(millrace, tmp_path):
    program, server = millrace("--workers", "2")
    assert get(server, "/version").text == "1"
    (tmp_path / "shop.py").write_text(APP.replace("VERSION = 1", "VERSION = 2  # new"))
    with KeepAliveLoad(server) as load:
        eventually(lambda: load.seen.answers > 100)
        program.process.send_signal(signal.SIGHUP)
        program.line_with("all workers are new")
        answers = load.seen.answers
        eventually(lambda: load.seen.answers > answers + 100)
    assert (load.seen.failures, load.seen.wrong) == ([], [])
    assert len(load.seen.pids) == 4
    assert get(server, "/version").text == "2"
    ended_well(program)


def test_sighup_to_code_that_does_not_start_leaves_the_old_workers(millrace, tmp_path):
    program, server = millrace("--workers", "2")
    before = workers_of(server, 2)
    (tmp_path / "broken").touch()
    program.process.send_signal(signal.SIGHUP)
    assert "broken" in program.line_with("the old workers serve on")
    assert workers_of(server, 2) == before
    (tmp_path / "broken").unlink()
    ended_well(program)


@pytest.mark.parametrize("listener", ["shared", "reuseport"])
def test_sigusr2_hands_over_to_a_new_supervisor_and_loses_nothing(millrace, tmp_path, listener):
    program, server = millrace("--pattern", f"multi_process:processes=2,listener={listener}")
    (tmp_path / "shop.py").write_text(APP.replace("VERSION = 1", "VERSION = 2  # new"))
    new_supervisor = None
    try:
        with KeepAliveLoad(server) as load:
            eventually(lambda: load.seen.answers > 100)
            program.process.send_signal(signal.SIGUSR2)
            line = program.line_with("serves; this one leaves")
            new_supervisor = int(re.search(r"pid (\d+)", line)[1])
            # Not by waiting for the end of its output, which is the successor's as well.
            assert program.process.wait(60) == 0
            answers = load.seen.answers
            eventually(lambda: load.seen.answers > answers + 100)
        assert (load.seen.failures, load.seen.wrong) == ([], [])
        assert len(load.seen.pids) == 4
        assert get(server, "/version").text == "2"
        assert worker_of(server)[1] == new_supervisor
    finally:
        if new_supervisor is not None:
            os.kill(new_supervisor, signal.SIGTERM)
    eventually(lambda: is_gone(new_supervisor))


def test_a_successor_that_does_not_start_changes_nothing(millrace, tmp_path):
    program, server = millrace("--workers", "2")
    before = workers_of(server, 2)
    (tmp_path / "broken").touch()
    program.process.send_signal(signal.SIGUSR2)
    assert "does not serve" in program.line_with("the old workers serve on")
    assert workers_of(server, 2) == before
    (tmp_path / "broken").unlink()
    ended_well(program)
