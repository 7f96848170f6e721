"""A server as a process: how it fails to start, hears signals, gives up root, and ends."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import stat
import sys
import tempfile
from pathlib import Path

import pytest
from millrace import cli, process, users

from tests.python.wire import PATIENCE_S, eventually

HELLO = """
import os, time
import millrace as mr

app = mr.App()
not_an_app = 7
app.respond("/", "hello")

@app.get("/stuck")
def stuck(request):
    print("entered", flush=True)
    time.sleep(3600)

@app.get("/who")
def who(request):
    return {"user": os.getresuid(), "group": os.getresgid(), "groups": os.getgroups()}
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


@pytest.fixture
def serve(script):
    def start(*arguments, files=None, env=None):
        files = {"hello.py": HELLO, **(files or {})}
        return script(arguments=["-m", "millrace", "serve", *arguments], files=files, env=env)

    return start


@pytest.fixture
def anybodys():
    """A folder that every user may enter and write to, with the app in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "hello.py").write_text(HELLO)
        yield folder


def url_of(program):
    return re.search(r"127\.0\.0\.1:(\d+)", program.line_with("serving on"))


def ask(address, path="/"):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(PATIENCE_S)
        client.connect(address)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: client.recv(4096), b"")).partition(b"\r\n\r\n")[2].decode()


# --- start-up failure -----------------------------------------------------------------------------

FAILING = {
    "broken.py": "x = (",
    "raising.py": "raise RuntimeError('first\\nsecond')",
    "missing.py": "import not_installed_anywhere",
    "leaving.py": "raise SystemExit(5)",
    "saying.py": "import sys\nsys.exit('no DATABASE_URL')",
    "making.py": "import sys\ndef make():\n    sys.exit(0)",
    "leaving_later.py": "import millrace as mr\napp = mr.App()\n@app.lifespan\n"
    "async def life(app):\n    raise SystemExit(5)\n    yield\n",
    "lifespan.py": "import millrace as mr\napp = mr.App()\n@app.lifespan\nasync def life(app):\n"
    "    raise RuntimeError('no database')\n    yield\n",
    "file": "not a socket",
    "log.json": "{}",
}

# Arguments, and what the one line has to say: what is wrong, and what helps.
START_FAILURES = [
    (["hello:app", "--port", "{busy}"], ["{busy}", "in use", "stop what listens there"]),
    (["hello:app", "--host", "192.0.2.1"], ["192.0.2.1", "choose an address of this machine"]),
    (["hello:app", "--host", "a.invalid"], ["a.invalid", "must be a numeric address"]),
    (["hello:app", "--uds", "none/socket"], ["none/socket", "make the folder first"]),
    (["hello:app", "--uds", "file"], ["file that is not a socket"]),
    (["hello:app", "--uds", "{live}"], ["{live}", "another process listens here"]),
    (["hello:app", "--fd", "77"], ["fd://77", "no such descriptor"]),
    (["hello"], ["write it as module:app"]),
    (["nowhere:app"], ["no module 'nowhere'"]),
    (["hello:nothing"], ["has no 'nothing'"]),
    (["hello:not_an_app"], ["is int, no millrace.App"]),
    (["broken:app"], ["SyntaxError", "broken.py, line 1"]),
    (["raising:app"], ["RuntimeError: first second", "raising.py, line 1"]),
    (["missing:app"], ["No module named 'not_installed_anywhere'", "missing.py, line 1"]),
    (["leaving:app"], ["importing 'leaving'", "SystemExit: 5", "leaving.py, line 1"]),
    (["saying:app"], ["SystemExit: no DATABASE_URL", "saying.py, line 2"]),
    (["making:make", "--factory"], ["calling 'making:make'", "SystemExit: 0", "making.py, line 3"]),
    (["lifespan:app"], ["RuntimeError: no database", "lifespan.py, line 5"]),
    (["leaving_later:app"], ["the app's start ended in SystemExit: 5", "leaving_later.py, line 5"]),
    (["leaving_later:app", "--workers", "1"], ["SystemExit: 5", "leaving_later.py, line 5"]),
    (["leaving:app", "--workers", "1"], ["importing 'leaving'", "SystemExit: 5"]),
    (["hello:app", "--error-log", "none/log"], ["none/log", "make the folder first"]),
    (["hello:app", "--log-config", "none.json"], ["none.json", "No such file"]),
    (["hello:app", "--log-config", "log.json"], ["log.json", "version"]),
    (["hello:app", "--user", "no-such-user"], ["--user no-such-user", "no such user"]),
    (["hello:app", "--group", "no-such-group"], ["--group no-such-group", "no such group"]),
    (["hello:app", "--user", "4242424"], ["--user 4242424", "name its --group"]),
]


@pytest.mark.parametrize(("arguments", "says"), START_FAILURES, ids=lambda row: "-".join(row))
def test_a_start_that_fails_exits_with_3_and_one_line(serve, tmp_path, arguments, says):
    with socket.create_server(("127.0.0.1", 0)) as busy, socket.socket(socket.AF_UNIX) as live:
        live.bind(str(tmp_path / "live"))
        live.listen()
        known = {"busy": busy.getsockname()[1], "live": tmp_path / "live"}
        place = [] if {"--port", "--uds", "--fd"} & {*arguments} else ["--port", "0"]
        program = serve(*(text.format(**known) for text in arguments), *place, files=FAILING)
        code, out, err = program.finish()
    assert (code, out) == (process.START_FAILED, "")
    (line,) = err.splitlines()
    assert "cannot start" in line
    for part in says:
        assert part.format(**known) in line


def test_a_start_that_fails_is_said_in_the_log_and_on_stderr(serve, tmp_path):
    program = serve("nowhere:app", "--port", "0", "--error-log", "log")
    code, _, err = program.finish()
    assert code == process.START_FAILED
    (line,) = err.splitlines()
    assert "no module 'nowhere'" in line
    assert "no module 'nowhere'" in (tmp_path / "log").read_text()


@needs_root
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--uds", "/socket"], "cannot listen on unix:/socket: Permission denied; choose another"),
        (["--user", "root", "--port", "0"], "start as root, or leave them out"),
    ],
)
def test_what_only_root_may_is_refused_with_the_remedy(script, anybodys, arguments, says):
    serve = ["serve", "hello:app", "--app-dir", str(anybodys), *arguments]
    # All imports first: the interpreter itself may lie where only root may read.
    source = f"""
import os, shutil
from millrace import cli, cli_serve
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
cli.main({serve!r})
"""
    code, _, err = script(source).finish()
    assert code == process.START_FAILED
    (line,) = err.splitlines()
    assert says in line


def test_a_stop_while_it_starts_is_no_failure(serve):
    files = {"slow.py": "print('importing', flush=True)\nimport time\ntime.sleep(3600)\n"}
    program = serve("slow:app", "--port", "0", files=files)
    program.line_with("importing", of="stdout")
    program.process.send_signal(signal.SIGINT)
    code, _, err = program.finish()
    assert code == 0
    assert "stopped before it served" in err


# --- Unix paths -----------------------------------------------------------------------------------


def test_a_unix_path_left_behind_is_replaced_and_removed_at_the_end(serve, tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    program = serve("hello:app", "--uds", "socket", "--umask", "027")
    program.line_with("serving on")
    assert ask(str(path)) == "hello"
    assert stat.S_IMODE(path.stat().st_mode) == 0o750  # of 0o777, which bind(2) begins with
    program.process.send_signal(signal.SIGTERM)
    assert program.finish()[0] == 0
    assert not path.exists()


# --- users ----------------------------------------------------------------------------------------


def status_of(pid):
    """The ids of every thread, as the kernel tells others: real, effective, saved, file system."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    found = [
        re.findall(r"^(Uid|Gid|Groups):\t(.*)$", (t / "status").read_text(), re.M) for t in tasks
    ]
    return [{key: value.split() for key, value in rows} for rows in found]


@needs_root
@pytest.mark.parametrize("pattern", ["single_thread", "acceptor_queue_workers:workers=2",
                                     "reuseport_shards:loops=2"])  # fmt: skip
def test_every_thread_serves_as_the_user_after_it_has_bound(serve, anybodys, pattern):
    log = anybodys / "log"
    program = serve(
        "hello:app", "--app-dir", str(anybodys), "--port", "0", "--user", "nobody",
        "--pattern", pattern, "--error-log", str(log),
    )  # fmt: skip
    port = int(re.search(r":(\d+)", eventually(lambda: log.exists() and serving_line(log)))[1])
    nobody = users.find_identity("nobody", None)
    assert '"user":[65534,65534,65534]' in ask(("127.0.0.1", port), "/who")
    threads = status_of(program.process.pid)
    assert len(threads) > 1
    for ids in threads:
        assert ids["Uid"] == [str(nobody.user)] * 4
        assert ids["Gid"] == [str(nobody.group)] * 4
        assert ids["Groups"] == [str(nobody.group)]  # root's are gone
    assert log.stat().st_uid == nobody.user  # so that it can be re-opened
    program.process.send_signal(signal.SIGTERM)
    assert program.finish()[0] == 0


def serving_line(log):
    found = [line for line in log.read_text().splitlines() if "serving on" in line]
    return found[0].partition("serving on")[2] if found else None


@needs_root
def test_a_port_of_roots_and_a_unix_path_are_bound_before_the_user_changes(serve, anybodys):
    path = anybodys / "roots" / "socket"
    path.parent.mkdir(mode=0o755)
    program = serve(
        "hello:app", "--app-dir", str(anybodys), "--bind", f"unix:{path}", "--user", "nobody",
        "--group", "65533", "--umask", "007",
    )  # fmt: skip
    program.line_with("serving on")
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65533)
    assert stat.S_IMODE(path.stat().st_mode) == 0o770
    assert '"group":[65533,65533,65533],"groups":[65533' in ask(str(path), "/who")
    program.process.send_signal(signal.SIGTERM)
    assert program.finish()[0] == 0


def test_a_user_brings_its_groups():
    import pwd

    me = pwd.getpwuid(os.getuid())
    found = users.find_identity(me.pw_name, None)
    assert (found.user, found.group) == (me.pw_uid, me.pw_gid)
    assert set(found.groups) == set(os.getgrouplist(me.pw_name, me.pw_gid))
    assert users.find_identity(str(me.pw_uid), "4242").groups[0] == 4242
    assert users.find_identity(None, "4242").user == os.geteuid()


# --- signals --------------------------------------------------------------------------------------


def test_sighup_of_an_operator_reopens_logs_and_serves_on(serve, tmp_path):
    program = serve("hello:app", "--port", "0", "--error-log", "log")
    log = tmp_path / "log"
    eventually(lambda: log.exists() and serving_line(log))
    log.rename(tmp_path / "log.1")
    program.process.send_signal(signal.SIGHUP)
    eventually(log.exists)
    port = int(re.search(r":(\d+)", serving_line(tmp_path / "log.1"))[1])
    assert ask(("127.0.0.1", port)) == "hello"
    assert "cannot reload its code" in (tmp_path / "log.1").read_text()
    program.process.send_signal(signal.SIGTERM)
    assert program.finish()[0] == 0


def test_a_terminal_that_closes_stops_it(tmp_path):
    (tmp_path / "hello.py").write_text(HELLO)
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        serve = ["-m", "millrace", "serve", "hello:app", "--uds", "s", "--error-log", "log"]
        os.execv(sys.executable, [sys.executable, *serve])
    try:
        eventually(lambda: (tmp_path / "log").exists() and serving_line(tmp_path / "log"))
        os.close(terminal)
        _, status = os.waitpid(child, 0)
        child = 0
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert "stopped" in (tmp_path / "log").read_text()


def test_threads_that_do_not_end_are_left_behind_with_their_stacks(serve):
    program = serve("hello:app", "--port", "0")
    port = int(url_of(program)[1])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n")
        program.line_with("entered", of="stdout")
        for word in ("requests under way may finish", "something blocks 1 loop"):
            program.process.send_signal(signal.SIGTERM)
            program.line_with(word)
        program.process.send_signal(signal.SIGTERM)
        code, _, err = program.finish()
    assert code == 1
    assert "threads do not end" in err
    assert "in stuck" in err


def test_a_stop_has_a_deadline_that_no_handler_moves(script):
    source = (
        "from millrace import cli, process\nprocess._END_S = 0.2\n"
        "cli.main('serve hello:app --port 0 --timeout-graceful-shutdown 200ms'.split())\n"
    )
    program = script(source, files={"hello.py": HELLO})
    port = int(url_of(program)[1])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n")
        program.line_with("entered", of="stdout")
        program.process.send_signal(signal.SIGTERM)
        code, _, err = program.finish()
    assert code == 1
    assert "something blocks 1 loop" in err
    assert "threads do not end" in err


# --- the page for operators -----------------------------------------------------------------------


def test_the_page_names_only_options_that_there_are(capsys):
    page = Path(__file__).resolve().parents[2] / "docs" / "operating.md"
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text())) - OTHER_PROGRAMS
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    known = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    assert named - known == set()


# systemctl's.
OTHER_PROGRAMS = {"--kill-whom", "--signal"}
