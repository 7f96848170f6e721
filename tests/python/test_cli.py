"""The command line: serving, signals, exit codes, refusals, load, doctor."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys

import millrace as mr
import pytest
from millrace import cli

from tests.python.wire import PATIENCE_S

HELLO = """
import asyncio, os, sys
import millrace as mr

app = mr.App()
not_an_app = 7

@app.get("/")
def hello(request):
    return os.environ.get("GREETING", "hello")

@app.post("/slow")
async def slow(request):
    print("entered", flush=True)
    return await request.read()

@app.get("/forever")
async def forever(request):
    print("entered", flush=True)
    await asyncio.Event().wait()

def make_app():
    return app
"""


@pytest.fixture
def millrace(script):
    def start(*arguments, env=None, files=None):
        files = {"hello.py": HELLO, **(files or {})}
        return script(arguments=["-m", "millrace", *arguments], files=files, env=env)

    return start


def url_of(program):
    line = program.line_with("serving on")
    return re.search(r"http://[\d.:]+", line)[0]


def connect(url):
    host, _, port = url.removeprefix("http://").partition(":")
    client = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
    return client, client.makefile("rwb", buffering=0)


def ask(url, path="/"):
    client, stream = connect(url)
    with client, stream:
        stream.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        return stream.read().partition(b"\r\n\r\n")[2].decode()


# --- serve ----------------------------------------------------------------------------------------


def test_serve_answers_and_ctrl_c_ends_it(millrace):
    program = millrace("serve", "hello:app", "--port", "0")
    assert ask(url_of(program)) == "hello"
    program.process.send_signal(signal.SIGINT)
    code, _, err = program.finish()
    assert code == 0
    assert "stopped" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_requests_finish(millrace, number):
    program = millrace("serve", "hello:app", "--port", "0")
    client, stream = connect(url_of(program))
    with client, stream:
        stream.write(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        program.line_with("entered", of="stdout")
        program.process.send_signal(number)
        program.line_with("stopping")
        stream.write(b"cd")
        assert stream.read().endswith(b"abcd")  # to its end: the connection is closed after it
    assert program.finish()[0] == 0


def test_a_second_signal_cuts_requests_off(millrace):
    program = millrace("serve", "hello:app", "--port", "0", "--timeout-graceful-shutdown", "1h")
    client, stream = connect(url_of(program))
    with client, stream:
        stream.write(b"GET /forever HTTP/1.1\r\nHost: a\r\n\r\n")
        program.line_with("entered", of="stdout")
        program.process.send_signal(signal.SIGINT)
        program.line_with("stopping")
        program.process.send_signal(signal.SIGINT)
        assert program.finish()[0] == 0


def test_a_port_in_use_exits_with_3_and_one_line(millrace):
    with mr.Server(mr.App()) as server:
        code, out, err = millrace("serve", "hello:app", "--port", str(server.port)).finish()
    assert (code, out) == (3, "")
    (line,) = err.splitlines()
    assert "cannot start" in line
    assert "in use" in line
    assert str(server.port) if server.is_running else True


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("hello", "write it as module:app"),
        ("nowhere:app", "no module 'nowhere'"),
        ("hello:missing", "has no 'missing'"),
        ("hello:not_an_app", "no millrace.App"),
        ("broken:app", "NameError: name 'undefined' is not defined"),
        ("importing:app", "No module named 'not_installed_anywhere'"),
        ("failing:app", "RuntimeError: no database"),
    ],
)
def test_an_app_that_cannot_be_served_exits_with_3_and_one_line(millrace, target, says):
    files = {
        "broken.py": "undefined",
        "importing.py": "import not_installed_anywhere",
        "failing.py": "import millrace as mr\napp = mr.App()\n@app.lifespan\nasync def life(app):\n"
        "    raise RuntimeError('no database')\n    yield\n",
    }
    code, _, err = millrace("serve", target, "--port", "0", files=files).finish()
    assert code == 3
    (line,) = err.splitlines()
    assert says in line


def test_a_factory_makes_the_app(millrace):
    program = millrace("serve", "hello:make_app", "--factory", "--port", "0")
    assert ask(url_of(program)) == "hello"


def test_options_have_environment_variables_and_the_option_wins(millrace):
    env = {"MILLRACE_PORT": "1", "MILLRACE_PATTERN": "reuseport_shards:loops=2"}
    program = millrace("serve", "hello:app", "--port", "0", env=env)
    line = program.line_with("serving on")
    assert "reuseport_shards(loops=2)" in line
    assert ":1 " not in line


def test_an_env_file_sets_variables_for_app_and_options(millrace):
    text = "# a comment\n\nexport GREETING='good day'\nMILLRACE_PORT=0\n"
    program = millrace("serve", "hello:app", "--env-file", "some.env", files={"some.env": text})
    assert ask(url_of(program)) == "good day"


def test_an_app_is_found_in_its_folder(millrace, tmp_path):
    (tmp_path / "apps").mkdir()
    program = millrace(
        "serve", "inner:app", "--app-dir", "apps", "--port", "0", files={"apps/inner.py": HELLO}
    )
    assert ask(url_of(program)) == "hello"


def test_a_unix_socket_instead_of_a_port(millrace, tmp_path):
    program = millrace("serve", "hello:app", "--uds", str(tmp_path / "socket"))
    assert f"unix:{tmp_path}/socket" in program.line_with("serving on")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(str(tmp_path / "socket"))
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"".join(iter(lambda: client.recv(4096), b"")).endswith(b"hello")


def test_several_binds_at_once_and_an_option_replaces_those_of_the_environment(millrace, tmp_path):
    binds = ("127.0.0.1:0", f"unix:{tmp_path}/a", f"unix:{tmp_path}/b")
    line = millrace(
        "serve", "hello:app", "--bind", binds[0], "--bind", binds[1], env={"MILLRACE_BIND": "x:y"}
    ).line_with("serving on")
    assert "http://127.0.0.1:" in line
    assert binds[1] in line
    bind = f"{binds[0]} {binds[2]}"
    line = millrace("serve", "hello:app", env={"MILLRACE_BIND": bind}).line_with("serving on")
    assert "http://127.0.0.1:" in line
    assert binds[2] in line


def test_socket_options_reach_the_kernel_and_what_it_rounds_is_logged(millrace):
    program = millrace(
        "serve", "hello:app", "--port", "0", "--socket-option", "nodelay=off",
        "--socket-option", "defer-accept=4s",
    )  # fmt: skip
    assert "defer_accept of 127.0.0.1" in program.line_with("4 s was changed, it is 7 s")
    assert ask(url_of(program)) == "hello"


def test_the_log_can_be_configured(millrace, tmp_path):
    config = {
        "version": 1,
        "handlers": {"file": {"class": "logging.FileHandler", "filename": str(tmp_path / "log")}},
        "loggers": {"millrace": {"level": "INFO", "handlers": ["file"]}},
    }
    files = {"log.json": json.dumps(config)}
    program = millrace("serve", "nowhere:app", "--log-config", "log.json", files=files)
    code, _, err = program.finish()
    assert (code, err) == (3, "")
    assert "no module 'nowhere'" in (tmp_path / "log").read_text()


REFUSED_FLAGS = [
    ["--ssl-certfile", "x"],
    ["--ssl-keyfile", "x"],
    ["--root-path", "/x"],
    ["--header", "a:b"],
]


@pytest.mark.parametrize("flags", REFUSED_FLAGS, ids=lambda flags: flags[0])
def test_a_flag_that_is_not_built_is_refused_and_never_ignored(capsys, monkeypatch, flags):
    with pytest.raises(SystemExit) as left:
        cli.main(["serve", "hello:app", *flags])
    assert left.value.code == 2
    assert f"{flags[0]}: " in (said := capsys.readouterr().err)
    assert "not available in this version; " in said
    variable = "MILLRACE_" + flags[0].strip("-").replace("-", "_").upper()
    monkeypatch.setenv(variable, "1")
    with pytest.raises(SystemExit) as left:
        cli.main(["serve", "hello:app"])
    assert left.value.code == 2
    assert variable in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "eighty"], "--port: 'eighty' is not a whole number"),
        (["--port", "65536"], "--port: 65536 is not from 0 to 65535"),
        (["--pattern", "fastest"], "--pattern: pattern 'fastest' is not one of single_thread"),
        (["--http", "h2"], "--http='h2' is not available in this version"),
        (["--timeout-keep-alive", "long"], "--timeout-keep-alive: 'long' is no duration"),
        (["--uds", "x", "--port", "1"], "--uds and --port exclude each other"),
        (["--fd", "3", "--host", "::"], "--fd and --host exclude each other"),
        (["--bind", "[::1]:0", "--uds", "x"], "--bind and --uds exclude each other"),
        (["--fd", "-1"], "--fd: -1 is not from 0"),
        (["--socket-option", "colour=red"], "--socket-option: 'colour' is no socket option"),
        (["--socket-option", "nodelay"], "--socket-option: 'nodelay': write NAME=VALUE"),
        (["--socket-option", "cork=maybe"], "--socket-option: cork='maybe': write on or off"),
        (["--socket-option", "unix_mode=9"], "unix_mode='9': write an octal number"),
        (["--socket-option", "keepalive=60"], "keepalive='60': write on, off, or idle"),
        (["--env-file", "none.env"], "--env-file: none.env: No such file"),
        (["--workers", "0"], "--workers: 0 is not from 1"),
        (
            ["--workers", "2", "--pattern", "multi_process:processes=3"],
            "--workers and --pattern multi_process exclude each other",
        ),
        (["--workers-max-rss", "huge"], "'huge' is no size"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--log-level", "loud"], "--log-level"),
        (["--limit-concurrency", "0"], "--limit-concurrency: 0 is not from 1"),
    ],
)
def test_a_wrong_option_is_named_with_its_remedy(capsys, arguments, says, monkeypatch):
    monkeypatch.setattr("millrace.process.find_app", lambda *a, **k: mr.App())
    with pytest.raises(SystemExit) as left:
        cli.main(["serve", "hello:app", *arguments])
    assert left.value.code == 2
    assert says in capsys.readouterr().err


def test_a_wrong_environment_variable_is_named(capsys, monkeypatch):
    monkeypatch.setenv("MILLRACE_PORT", "eighty")
    with pytest.raises(SystemExit):
        cli.main(["serve", "hello:app"])
    assert "MILLRACE_PORT='eighty'" in capsys.readouterr().err


def test_options_reach_the_server(monkeypatch):
    made = []
    monkeypatch.setattr("millrace.process.find_app", lambda *a, **k: mr.App())
    monkeypatch.setattr("millrace.process.serve", made.append)
    flags = "--limit-concurrency 5 --backlog 6 --timeout-keep-alive 7 --no-journey --half-close"
    flags += " --decompress"
    flags += " --timeout-graceful-shutdown 500ms --pattern acceptor_queue_workers:workers=3"
    assert cli.main(["serve", "hello:app", *flags.split()]) == 0
    (server,) = made
    options = server._options
    assert (options.max_in_flight, options.backlog, options.limits.idle_timeout) == (5, 6, 7.0)
    assert (options.journey, options.half_close, server._drain_s) == (False, True, 0.5)
    assert options.decompress
    assert server.pattern == mr.patterns.acceptor_queue_workers(workers=3)


SINGLE, multi_process = mr.patterns.single_thread(), mr.patterns.multi_process


@pytest.mark.parametrize(
    ("flags", "concurrency", "pattern"),
    [
        ("", "", SINGLE),
        ("", "3", multi_process(3)),
        ("--workers 1", "3", SINGLE),
        ("--workers 2 --pattern reuseport_shards:loops=2", "",
         multi_process(2, inner=mr.patterns.reuseport_shards(loops=2))),
        ("--limit-max-requests 5 --limit-max-requests-jitter 2", "",
         multi_process(1, max_requests=5, max_requests_jitter=2)),
        ("--workers 2 --workers-lifetime 1h --workers-max-rss 1MB", "",
         multi_process(2, max_lifetime=3600, max_memory=1_000_000)),
    ],
)  # fmt: skip
def test_workers_are_put_around_the_pattern(monkeypatch, flags, concurrency, pattern):
    made = []
    monkeypatch.setenv("WEB_CONCURRENCY", concurrency)
    monkeypatch.setattr("millrace.process.find_app", lambda *a, **k: mr.App())
    monkeypatch.setattr("millrace.process.serve", made.append)
    assert cli.main(["serve", "hello:app", *flags.split()]) == 0
    assert made[0].pattern == pattern


def test_a_malformed_web_concurrency_is_named(capsys, monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "many")
    monkeypatch.setattr("millrace.process.find_app", lambda *a, **k: mr.App())
    with pytest.raises(SystemExit) as left:
        cli.main(["serve", "hello:app"])
    assert left.value.code == 2
    assert "WEB_CONCURRENCY='many'" in capsys.readouterr().err


# --- run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["app", "'program:app'"])
def test_run_serves_an_app_or_its_name(script, target):
    text = (
        "import millrace as mr\napp = mr.App()\napp.respond('/', 'hello')\n"
        f"if __name__ == '__main__':\n    mr.run({target}, port=0)\n    print('after')\n"
    )
    program = script(text)
    assert ask(url_of(program)) == "hello"
    program.process.send_signal(signal.SIGTERM)
    code, out, _ = program.finish()
    assert (code, out) == (0, "after\n")


def test_run_leaves_configured_logging_alone(script):
    text = (
        "import logging, millrace as mr\nlogging.basicConfig(format='own %(message)s', level=20)\n"
        "mr.run(mr.App(), port=0)\n"
    )
    program = script(text)
    assert program.line_with("serving on").startswith("own ")


def test_run_belongs_to_the_main_thread():
    import threading

    failures = []

    def target():
        try:
            mr.run(mr.App(), port=0)
        except RuntimeError as error:
            failures.append(str(error))

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    assert "use Server instead" in failures[0]


# --- load, doctor, the rest -----------------------------------------------------------------------


@pytest.fixture
def server(serve):
    app = mr.App()
    app.respond("/", "hello")
    app.post("/echo")(lambda request: request.body + request.headers["x-a"].encode())
    app.get("/fails")(lambda request: mr.Response(status=500))
    return serve(app)


def test_load_reports_for_people(server, capsys):
    assert cli.main(["load", server.url, "--requests", "50", "--connections", "3"]) == 0
    assert "50 requests" in capsys.readouterr().out


def test_load_reports_for_machines(server, capsys, tmp_path):
    hlog = tmp_path / "load.hlog"
    flags = ["--requests", "50", "--connections", "3", "--json", "--hlog", str(hlog)]
    assert cli.main(["load", server.url, *flags]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["requests"], result["errors"], result["statuses"]) == (50, 0, {"200": 50})
    assert result["latency_s"]["count"] == 50
    assert result["intended_s"] is None  # a closed loop has none
    assert "Tag=latency" in hlog.read_text()


def test_load_sends_what_it_is_told(server, capsys):
    flags = "--method POST --data body --header X-A:1 --requests 20 --rate 2000 --poisson --json"
    assert cli.main(["load", server.url + "/echo", *flags.split()]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["statuses"] == {"200": 20}
    assert (result["rate"], result["arrivals"]) == (2000, "poisson")
    assert result["intended_s"]["count"] == 20


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--poisson"], "add --rate"),
        (["--header", "nonsense"], "--header: 'nonsense' is no header"),
        (["--data", "@/none"], "--data: /none: No such file"),
        (["--rate", "0"], "--rate: 0 requests per second cannot be sent"),
        (["--duration", "soon"], "--duration: 'soon' is no duration"),
    ],
)
def test_a_wrong_load_option_is_named_with_its_remedy(capsys, arguments, says):
    with pytest.raises(SystemExit) as left:
        cli.main(["load", "http://127.0.0.1:1/", *arguments])
    assert left.value.code == 2
    assert says in capsys.readouterr().err


def test_load_on_nobody_is_one_line_and_1(capsys):
    with mr.Server(mr.App()) as server:
        url = server.url
    assert cli.main(["load", url, "--requests", "5"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "is a server listening there?" in line


def test_doctor_finds_what_the_engine_needs(capsys):
    assert cli.main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert cli.main(["doctor", "--json"]) == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    for name in ("kernel", "cores", "python", "somaxconn", "nofile", "SO_REUSEPORT",
                 "EPOLLEXCLUSIVE", "openat2", "millrace"):  # fmt: skip
        assert name in shown
        assert found[name]["value"]
    assert all(row["verdict"] == "ok" or row["remedy"] for row in found.values())


def test_doctor_says_what_is_missing_and_fails(capsys, monkeypatch):
    def refuse():
        raise OSError

    monkeypatch.setattr("millrace.doctor._has_reuseport", refuse)
    assert cli.main(["doctor"]) == 1
    assert "MISSING SO_REUSEPORT" in capsys.readouterr().out


def test_version_and_help_with_examples(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"millrace {mr.__version__}\n"
    assert cli.main(["--help"]) == 0
    assert "examples:" in capsys.readouterr().out
    for command in ("serve", "load", "doctor"):
        with pytest.raises(SystemExit) as left:
            cli.main([command, "--help"])
        assert left.value.code == 0
        assert "examples:" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["srve"]])
def test_no_command_or_a_wrong_one_names_those_there_are(capsys, arguments):
    assert cli.main(arguments) == 2
    assert "serve, top, load, demo, doctor" in capsys.readouterr().err


def test_the_installed_command_is_this_one():
    shown = subprocess.run(
        [sys.executable, "-m", "millrace", "--version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == f"millrace {mr.__version__}\n"
