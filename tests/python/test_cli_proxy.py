"""`millrace serve --proxy-headers`: whom to believe about the client."""

from __future__ import annotations

import os

import millrace as mr
import pytest
from millrace import cli
from millrace.filters import ProxyHeaders

from tests.python.wire import Wire

FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
TOLD, PEER = ["203.0.113.9", "https"], ["127.0.0.1", "http"]


@pytest.fixture
def app() -> mr.App:
    app = mr.App()
    app.get("/")(lambda request: [request.client[0], request.scheme])
    return app


@pytest.mark.parametrize(
    ("flags", "variable", "trusted"),
    [
        ("", None, None),
        ("", "*", None),
        ("--proxy-headers", None, ("127.0.0.1", "::1", "unix")),
        ("--proxy-headers", "", ("127.0.0.1", "::1", "unix")),
        ("--proxy-headers", "10.0.0.0/8, ::1", ["10.0.0.0/8", "::1"]),
        ("--forwarded-allow-ips *", None, ["*"]),
        ("--proxy-headers --forwarded-allow-ips 10.0.0.1,unix", "*", ["10.0.0.1", "unix"]),
        ("--no-proxy-headers", "*", None),
        ("--proxy-headers --no-proxy-headers", None, None),
        ("--forwarded-allow-ips * --no-proxy-headers", None, None),
    ],
)
def test_the_flags_say_who_is_believed(served, monkeypatch, flags, variable, trusted):
    if variable is not None:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", variable)
    chosen = served(*flags.split())._proxy_headers
    assert chosen == (None if trusted is None else ProxyHeaders(trusted=trusted))


def test_they_have_environment_variables(served, monkeypatch):
    monkeypatch.setenv("MILLRACE_PROXY_HEADERS", "1")
    assert served()._proxy_headers == ProxyHeaders()
    monkeypatch.setenv("MILLRACE_FORWARDED_ALLOW_IPS", "10.0.0.0/8")
    assert served()._proxy_headers == ProxyHeaders(trusted=["10.0.0.0/8"])


@pytest.mark.parametrize(
    ("flags", "variable", "says"),
    [
        ("--forwarded-allow-ips nginx", "", "--forwarded-allow-ips: 'nginx' does not appear to be"),
        ("--proxy-headers", "10.0.0.1/8", "FORWARDED_ALLOW_IPS: 10.0.0.1/8 has host bits set"),
        ("--forwarded-allow-ips ,", "", "--forwarded-allow-ips: ',' names nobody: use --no-proxy"),
    ],
)
def test_what_is_no_address_is_named(monkeypatch, capsys, flags, variable, says):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", variable)
    with pytest.raises(SystemExit) as left:
        cli.main(["serve", "hello:app", *flags.split()])
    assert left.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        ("", PEER),
        ("--proxy-headers", TOLD),
        ("--forwarded-allow-ips 127.0.0.0/8", TOLD),
        ("--forwarded-allow-ips *", TOLD),
        ("--forwarded-allow-ips 10.0.0.0/8", PEER),
    ],
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_they_reach_whoever_serves(served, app, flags, workers, answer):
    with served("--port", "0", "--workers", workers, *flags.split(), app=app) as server:
        for _ in range(4):  # whichever worker takes it
            with Wire(server) as wire:
                assert wire.get("/", FORWARDED).json() == answer


def test_they_come_before_the_filters_of_the_app(app, serve, pattern):
    app.filter(mr.filters.HTTPSRedirect())
    with Wire(serve(app, pattern=pattern, proxy_headers=ProxyHeaders())) as wire:
        assert wire.get("/").status == 308
        assert wire.get("/", FORWARDED).json() == TOLD


def test_an_app_that_has_the_filter_itself_is_refused(app, serve, pattern):
    outer = mr.App()
    outer.include("/inner", app)
    app.filter(ProxyHeaders(trusted=["10.0.0.0/8"]), prefix="/below")
    server = mr.Server(outer, pattern=pattern, proxy_headers=ProxyHeaders())
    with pytest.raises(ValueError, match=r"--proxy-headers.*leave one of them out"):
        server.start()
    with Wire(serve(outer, pattern=pattern)) as wire:
        assert wire.get("/inner/", FORWARDED).json() == PEER


def test_the_command_says_so_in_one_line(script):
    text = "import millrace as mr\napp = mr.App()\napp.filter(mr.filters.ProxyHeaders())\n"
    flags = ["serve", "hello:app", "--port", "0", "--workers", "2", "--proxy-headers"]
    program = script(arguments=["-m", "millrace", *flags], files={"hello.py": text},
                     env={"PYTHONPATH": os.environ.get("PYTHONPATH", "")})  # fmt: skip
    code, _, err = program.finish()
    (line,) = err.splitlines()
    assert code == 3
    assert "the app has the filter ProxyHeaders itself" in line
