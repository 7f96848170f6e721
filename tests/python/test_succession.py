"""SIGUSR2: a new process takes the sockets of the old one over, under every pattern."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import sys
import threading
from contextlib import contextmanager

import millrace as mr
import pytest
from millrace.supervisor.steering import Steering

from tests.python.keep_alive import KeepAliveLoad
from tests.python.test_process import ask, needs_root
from tests.python.test_processes_from_outside import APP, Address, ended_well, is_gone
from tests.python.wire import Signal, eventually, get


def as_flag(pattern):
    """A pattern as the command line takes it."""
    name, _, options = repr(pattern).rstrip(")").partition("(")
    return re.sub(r"[ ']", "", f"{name}:{options}").rstrip(":")


IN_ONE_PROCESS = [as_flag(pattern) for pattern in mr.patterns.all()]
INTERPRETERS = ["subinterpreters:interpreters=2"] if sys.version_info >= (3, 13) else []
IN_ONE_PROCESS += INTERPRETERS


@pytest.fixture
def millrace(script):
    def start(*flags, source=None):
        arguments = ["-m", "millrace", "serve", "shop:app", *flags]
        program = script(source, arguments=arguments if source is None else flags,
                         files={"shop.py": APP})  # fmt: skip
        return program, program.line_with("serving on")

    return start


@contextmanager
def succeeded(program):
    """Let a new process take over; its id, once the old one has ended. It ends with the block."""
    program.process.send_signal(signal.SIGUSR2)
    successor = int(re.search(r"pid (\d+)", program.line_with("serves; this one leaves"))[1])
    try:
        # Not by waiting for the end of its output, which is the successor's as well.
        assert program.process.wait(60) == 0
        yield successor
    finally:
        os.kill(successor, signal.SIGTERM)
    eventually(lambda: is_gone(successor))


def pid_at(address):
    return int(ask(address, "/pid").split()[0])


@pytest.mark.parametrize("pattern", IN_ONE_PROCESS)
def test_sigusr2_hands_over_to_a_new_process_and_loses_nothing(millrace, tmp_path, pattern):
    program, line = millrace("--port", "0", "--pattern", pattern)
    server = Address(re.search(r"http://[\d.:]+", line)[0])
    (tmp_path / "shop.py").write_text(APP.replace("VERSION = 1", "VERSION = 2  # new"))
    with KeepAliveLoad(server) as load:
        eventually(lambda: load.seen.answers > 100)
        with succeeded(program) as successor:
            answers = load.seen.answers
            eventually(lambda: load.seen.answers > answers + 100)
            load.__exit__()
            assert get(server, "/version").text == "2"
    assert (load.seen.failures, load.seen.wrong) == ([], [])
    assert load.seen.pids == {program.process.pid, successor}


@pytest.mark.parametrize("pattern", ["single_thread", "multi_process:processes=1", *INTERPRETERS])
def test_a_successor_that_does_not_start_leaves_the_paths(millrace, tmp_path, pattern):
    program, _ = millrace("--uds", "socket", "--monitor", "top", "--pattern", pattern)
    paths = [tmp_path / "socket", tmp_path / "top"]
    inodes = [path.stat().st_ino for path in paths]
    (tmp_path / "broken").touch()
    program.process.send_signal(signal.SIGUSR2)
    program.line_with("serve on" if "multi" in pattern else "serves on")
    assert [path.stat().st_ino for path in paths] == inodes
    assert ask(str(paths[0]), "/version") == "1"
    ended_well(program)
    assert not any(path.exists() for path in paths)


@pytest.mark.parametrize("pattern", ["single_thread", "multi_process:processes=1"])
def test_who_stops_during_a_hand_over_leaves_no_successor_behind(millrace, tmp_path, pattern):
    program, _ = millrace("--uds", "socket", "--pattern", pattern)
    (tmp_path / "slow").touch()
    program.process.send_signal(signal.SIGUSR2)
    program.line_with("a new process is started")
    eventually((tmp_path / "starting").exists)
    started = int((tmp_path / "starting").read_text())
    err = ended_well(program)
    assert "the new process is ended, as this one stops" in err
    eventually(lambda: is_gone(started))
    assert not (tmp_path / "socket").exists()


def test_a_successor_that_does_not_start_changes_nothing(millrace, tmp_path):
    program, line = millrace("--port", "0")
    server = Address(re.search(r"http://[\d.:]+", line)[0])
    (tmp_path / "broken").touch()
    with KeepAliveLoad(server) as load:
        program.process.send_signal(signal.SIGUSR2)
        said = program.line_with("the old process serves on")
        answers = load.seen.answers
        eventually(lambda: load.seen.answers > answers + 100)
    assert re.search(r"the new process \(pid \d+\) does not serve: it ended with 3", said)
    assert (load.seen.failures, load.seen.wrong) == ([], [])
    assert load.seen.pids == {program.process.pid}
    assert "Traceback" not in ended_well(program)


@pytest.mark.parametrize("pattern", [mr.patterns.single_thread(), mr.patterns.multi_process(1)])
def test_sockets_for_other_addresses_are_refused(pattern):
    server = mr.Server(mr.App(), bind="127.0.0.1:0", pattern=pattern)
    with socket.create_server(("127.0.0.1", 0)) as left:
        server._inherited = {"0 127.0.0.1:8000": [left.fileno()]}
        with pytest.raises(ValueError, match=r"are for 0 127\.0\.0\.1:8000, and not for 0 127"):
            server.start()


def test_a_unix_path_and_the_monitor_are_handed_on_and_gone_at_the_end(millrace, tmp_path):
    path, monitor = tmp_path / "socket", tmp_path / "top"

    def seen_at_the_monitor():
        with socket.socket(socket.AF_UNIX) as looking:
            looking.connect(str(monitor))
            looking.sendall(b"\n")
            return json.loads(looking.makefile().readline())["pid"]

    program, _ = millrace("--uds", "socket", "--monitor", "top", "--backlog", "33")
    inode = path.stat().st_ino
    with succeeded(program) as second:
        assert (pid_at(str(path)), seen_at_the_monitor()) == (second, second)
        # The sockets are its own now, and so it can hand them on as well.
        os.kill(second, signal.SIGUSR2)
        third = int(re.search(r"pid (\d+)", program.line_with("serves; this one leaves"))[1])
        eventually(lambda: is_gone(second))
        assert path.stat().st_ino == inode
        assert (pid_at(str(path)), seen_at_the_monitor()) == (third, third)
        assert stat.S_IMODE(monitor.stat().st_mode) == 0o600
        os.kill(third, signal.SIGTERM)
        eventually(lambda: is_gone(third))
    assert not path.exists()
    assert not monitor.exists()


def test_sockets_of_a_service_manager_are_handed_on_and_stay_its_own(millrace, tmp_path):
    path = tmp_path / "socket"
    program, _ = millrace(
        source="import os, socket, sys\n"
        f"one = socket.socket(socket.AF_UNIX); one.bind({str(path)!r}); one.listen()\n"
        "os.dup2(one.fileno(), 3); os.set_inheritable(3, True)\n"
        "os.environ |= {'LISTEN_FDS': '1', 'LISTEN_PID': str(os.getpid())}\n"
        "arguments = [sys.executable, '-m', 'millrace', 'serve', 'shop:app']\n"
        "os.execv(sys.executable, arguments)\n"
    )
    with succeeded(program) as successor:
        assert pid_at(str(path)) == successor
    assert path.is_socket()


@needs_root
def test_sockets_that_were_bound_before_the_user_changed_are_handed_on(millrace, tmp_path):
    # Root's own user: others may not run every interpreter.
    program, _ = millrace("--uds", "socket", "--user", "root")
    with succeeded(program) as successor:
        assert pid_at(str(tmp_path / "socket")) == successor


def test_a_server_of_a_reloader_leaves_the_signal_alone(script, tmp_path):
    pytest.importorskip("watchfiles")
    arguments = ["-m", "millrace", "serve", "shop:app", "--reload", "--port", "0"]
    program = script(arguments=arguments, files={"shop.py": APP})
    address = Address(re.search(r"http://[\d.:]+", program.line_with("serving on"))[0])
    server, reloader = map(int, get(address, "/pid").text.split())
    assert reloader == program.process.pid
    for one in (server, reloader):
        os.kill(one, signal.SIGUSR2)
    assert get(address, "/pid").text == f"{server} {reloader}"
    ended_well(program)


# --- one after the other --------------------------------------------------------------------------


class Steered:
    """A server that is rolled, and a notifier: both wait where they are told to."""

    pattern = mr.patterns.multi_process(2)
    urls = ("http://a",)

    def __init__(self, *, waits_in: str) -> None:
        self.rolls = 0
        self.is_there, self.go_on = Signal(), Signal()
        self._waits_in = waits_in

    def _come_to(self, place: str) -> None:
        if place == self._waits_in and not self.is_there.is_set():
            self.is_there.set()
            self.go_on.expect()

    def roll(self) -> None:
        self._come_to("roll")
        self.rolls += 1

    def reloading(self) -> None:
        pass

    def ready(self, status: str) -> None:
        self._come_to("ready")


def test_a_signal_during_a_roll_is_ignored_and_said(caplog):
    steered = Steered(waits_in="roll")
    steering = Steering(steered, steered, lambda: None)
    steering.act(signal.SIGHUP)
    steered.is_there.expect()
    steering.act(signal.SIGHUP)
    assert "another roll or hand-over is under way: the signal is ignored" in caplog.text
    steered.go_on.set()
    eventually(lambda: steered.rolls == 1)


def test_who_hears_that_a_roll_is_done_may_ask_for_the_next_at_once(caplog):
    steered = Steered(waits_in="ready")
    steering = Steering(steered, steered, lambda: None)
    steering.act(signal.SIGHUP)
    steered.is_there.expect()
    next_one = threading.Thread(target=steering.act, args=(signal.SIGHUP,))
    next_one.start()
    steered.go_on.set()
    next_one.join()
    eventually(lambda: steered.rolls == 2)
    assert "ignored" not in caplog.text
