"""``millrace serve``: an app from the command line, with the flag names of uvicorn."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

from millrace import cli_operating, cli_proxy, cli_workers, patterns, process, reload
from millrace.access_log import AccessLog
from millrace.app import App
from millrace.cli_options import (
    Each,
    Parser,
    count,
    descriptor,
    duration,
    log_format,
    port_number,
    reader,
)
from millrace.filters import ProxyHeaders
from millrace.limits import Limits, read_limits
from millrace.logs import configure_logging
from millrace.server import Server
from millrace.sockets import read_socket_options
from millrace.supervisor.handover import foreign_binds

__all__ = ["main"]

_EXAMPLES = """\
Every option has an environment variable, MILLRACE_PORT for --port; the option wins.
The exit code is 3 where the server cannot start, 2 where an option is wrong.

examples:
  millrace serve hello:app
  millrace serve hello:make_app --factory --host 0.0.0.0 --port 80
  millrace serve hello:app --pattern reuseport_shards:loops=4 --timeout-graceful-shutdown 30s
  millrace serve hello:app --bind 127.0.0.1:8000 --bind '[::1]:8000' --bind unix:/run/hello.sock
  millrace serve hello:app --limit head_bytes=16KiB --limit max_connections_per_address=50
  millrace serve hello:app --proxy-headers --forwarded-allow-ips 10.0.0.0/8
  MILLRACE_LOG_LEVEL=debug millrace serve hello:app --env-file production.env
"""

# What uvicorn has and this version has not: refused with a remedy, never ignored.
_REFUSED = {
    "--ssl-certfile": "TLS is; put a proxy that speaks it in front",
    "--ssl-keyfile": "TLS is; put a proxy that speaks it in front",
    "--ssl-keyfile-password": "TLS is; put a proxy that speaks it in front",
    "--ssl-ca-certs": "TLS is; put a proxy that speaks it in front",
    "--ssl-cert-reqs": "TLS is; put a proxy that speaks it in front",
    "--ssl-ciphers": "TLS is; put a proxy that speaks it in front",
    "--ssl-version": "TLS is; put a proxy that speaks it in front",
    "--root-path": "a root path is; use App.include(prefix, app)",
    "--header": "a field for every answer is; set it in a middleware",
}


def main(argv: Sequence[str]) -> int:
    """Run ``millrace serve`` and return its exit code."""
    parser = _parser()
    _load_env_file(parser, argv)
    _defaults_from_environment(parser, os.environ)
    options = parser.parse_args(argv)
    if options.app is None:
        parser.error("no app is named: write it as module:app, for instance hello:app")
    named = _check_address(parser, options, argv)
    try:
        options.socket_option = read_socket_options(options.socket_option)
    except ValueError as error:
        parser.error(f"--socket-option: {error}")
    limits = _limits(parser, options)
    try:
        options.pattern = cli_workers.chosen_pattern(options, os.environ)
        proxy_headers = cli_proxy.chosen_filter(options, os.environ)
    except ValueError as error:
        parser.error(str(error))
    cli_operating.check(parser, options)
    inherited = reload.inherited_binds(os.environ)
    with ExitStack() as stack:
        with process.starting():
            configure_logging(
                log_level=options.log_level,
                log_config=options.log_config,
                error_log=options.error_log,
            )
            handed_over = inherited or cli_operating.handed_over() or foreign_binds(os.environ)
            if handed_over and named and not inherited and not foreign_binds(os.environ):
                parser.error(f"{named[0]} and the sockets of LISTEN_FDS exclude each other: "
                             "leave one out")  # fmt: skip
            binds = cli_operating.prepare(options, handed_over or _binds(options), stack)
        if options.reload and not inherited:
            return reload.serve_and_watch(argv, binds, cli_operating.watched(options))
        app = process.find_app(options.app, app_dir=options.app_dir, factory=options.factory)
        server = _server(parser, options, app, binds, limits, proxy_headers)
        if inherited:
            deaf_to, is_replaced = reload.HEARD_BY_RELOADER, reload.is_replaced
            process.serve(server, deaf_to=deaf_to, is_replaced=is_replaced)
        else:
            process.serve(server)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="millrace serve",
        description="Serve an app until Ctrl-C.",
        epilog=_EXAMPLES,
    )
    add = parser.add_argument
    add("app", nargs="?", metavar="MODULE:APP", help="where to import the app from")
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add(
        "--port",
        type=port_number,
        default=8000,
        help="port to listen on; 0 takes a free one (8000)",
    )
    add("--uds", metavar="PATH", help="a Unix socket to listen on instead")
    add(
        "--fd",
        type=descriptor,
        metavar="N",
        help="a listening socket of the parent process instead",
    )
    add("--bind", action=Each, metavar="ADDRESS",
        help="host:port, unix:/path or fd://N instead; may be given several times")  # fmt: skip
    add(
        "--pattern",
        type=reader(patterns.parse),
        metavar="NAME[:OPTION=VALUE,...]",
        help="execution pattern (single_thread); see millrace.patterns",
    )
    cli_workers.add_options(parser)
    add("--http", default="h1", help="protocol versions (h1)")
    add("--factory", action="store_true", help="MODULE:APP names a function that makes the app")
    add("--app-dir", default=".", metavar="DIR", help="folder to import from first (.)")
    add("--env-file", metavar="FILE", help="KEY=VALUE lines for the environment")
    add("--log-config", metavar="FILE", help="logging configuration, .json or .ini")
    levels = ("critical", "error", "warning", "info", "debug")
    add("--log-level", choices=levels, default="info", help="(info)")
    cli_operating.add_options(parser)
    add("--access-log", action="store_true", help="write a line per request to standard output")
    add("--no-access-log", action="store_true", help="write none, whatever else says so")
    add("--access-log-file", metavar="FILE", help="write them to a file instead")
    add("--access-log-format", type=log_format, metavar="FORMAT",
        help="common, combined (the default), json, or Apache's directives")  # fmt: skip
    add("--slow-request", type=duration, metavar="TIME",
        help="log requests that take this long, with their journey")  # fmt: skip
    add("--monitor", nargs="?", const=True, metavar="PATH",
        help="open a Unix socket for `millrace top`; PATH goes by the process id")  # fmt: skip
    add("--limit", action=Each, metavar="NAME=VALUE", default=(),
        help="a limit of millrace.Limits, such as head_bytes=16KiB or handler_stuck=off; may be "
        "given several times. `millrace doctor --limits` has all")  # fmt: skip
    add("--limit-concurrency", type=count, metavar="N",
        help="requests under way; more are 503. As --limit max_in_flight=N")  # fmt: skip
    add("--backlog", type=count, metavar="N", help="connections the kernel keeps for us")
    add("--socket-option", action=Each, metavar="NAME=VALUE", default=(),
        help="such as receive_buffer=64kB; may be given several times")  # fmt: skip
    add("--timeout-keep-alive", type=duration, metavar="TIME",
        help="idle time; 75 or 75s. As --limit idle_timeout=TIME")  # fmt: skip
    cli_proxy.add_options(parser)
    add("--timeout-graceful-shutdown", type=duration, default=10.0, metavar="TIME",
        help="for requests under way when stopping (10s)")  # fmt: skip
    add("--decompress", action="store_true",
        help="hand bodies of requests to handlers without their Content-Encoding")  # fmt: skip
    add("--half-close", action="store_true", help="answer clients that ended their sending side")
    add("--no-journey", action="store_true", help="do not record where the time goes")
    for flag, why in _REFUSED.items():
        add(flag, nargs="?", action=_Refuse, help=argparse.SUPPRESS, default=argparse.SUPPRESS,
            metavar=why)  # fmt: skip
    return parser


def _access_log(options: argparse.Namespace) -> AccessLog | None:
    """Read the four flags as one: a file or a format asks for the log, and --no-access-log wins."""
    asked = options.access_log or options.access_log_file or options.access_log_format
    if options.no_access_log or not asked:
        return None
    return AccessLog(
        options.access_log_file or AccessLog.path, options.access_log_format or AccessLog.format
    )


class _Refuse(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        parser.error(_refusal(self.option_strings[0]))


def _refusal(flag: str) -> str:
    what, _, remedy = _REFUSED[flag].partition("; ")
    return f"{flag}: {what} not available in this version; {remedy}"


def _defaults_from_environment(
    parser: argparse.ArgumentParser, environment: Mapping[str, str]
) -> None:
    """Take defaults from MILLRACE_<NAME>; refuse those of flags that are not available."""
    for action in parser._actions:
        flag = action.option_strings[-1] if action.option_strings else f"--{action.dest}"
        variable = "MILLRACE_" + flag.strip("-").replace("-", "_").upper()
        text = environment.get(variable)
        if text is None or action.dest in ("help", "env_file"):
            continue
        if isinstance(action, _Refuse):
            parser.error(f"{variable}: {_refusal(flag)}")
        try:
            action.default = _read(action, text)
        except (ValueError, argparse.ArgumentTypeError) as error:
            parser.error(f"{variable}={text!r}: {error}")


def _read(action: argparse.Action, text: str) -> Any:
    if isinstance(action, argparse._StoreTrueAction):
        truth = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        if text.lower() not in truth:
            raise ValueError("write 1 or 0")
        return truth[text.lower()]
    if action.choices is not None and text not in action.choices:
        raise ValueError(f"use one of {', '.join(action.choices)}")
    if isinstance(action, Each):
        return text.split()
    read = action.type
    return read(text) if callable(read) else text


def _load_env_file(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """Read the file before the rest, since it may hold MILLRACE_ variables."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--env-file", default=os.environ.get("MILLRACE_ENV_FILE"))
    path = finder.parse_known_args(argv)[0].env_file
    if path is None:
        return
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        parser.error(f"--env-file: {path}: {error.strerror}")
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, separator, value = stripped.removeprefix("export ").partition("=")
        if not separator or not key.strip().isidentifier():
            parser.error(f"--env-file: {path}:{number}: {line!r} is not KEY=VALUE")
        os.environ.setdefault(key.strip(), _unquoted(value.strip()))


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def _check_address(
    parser: argparse.ArgumentParser, options: argparse.Namespace, argv: Sequence[str]
) -> list[str]:
    """Return the flags that say where to listen."""
    given = {argument.split("=")[0] for argument in argv}
    named = [flag for flag in ("--bind", "--fd", "--uds") if getattr(options, flag[2:]) is not None]
    named += [flag for flag in ("--host", "--port") if flag in given]
    if len(named) > 1 and named[0] not in ("--host", "--port"):
        parser.error(f"{named[0]} and {named[1]} exclude each other: leave one out")
    return named


def _binds(options: argparse.Namespace) -> list[str]:
    if options.bind is not None:
        return list(options.bind)
    if options.fd is not None:
        return [f"fd://{options.fd}"]
    if options.uds is not None:
        return [f"unix:{options.uds}"]
    return [process.join_address(options.host, options.port)]


# What uvicorn has a flag for.
_LIMIT_FLAGS = {"limit_concurrency": "max_in_flight", "timeout_keep_alive": "idle_timeout"}


def _limits(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Limits:
    try:
        chosen = read_limits(options.limit)
    except ValueError as error:
        parser.error(f"--limit: {error}")
    for flag, name in _LIMIT_FLAGS.items():
        value = getattr(options, flag)
        if value is not None and name in chosen:
            parser.error(f"--limit {name} and --{flag.replace('_', '-')} exclude each other: leave "
                         "one out")  # fmt: skip
        if value is not None:
            chosen[name] = value
    try:
        return Limits(**chosen)
    except ValueError as error:
        parser.error(str(error))


def _server(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    app: App,
    binds: list[str],
    limits: Limits,
    proxy_headers: ProxyHeaders | None,
) -> Server:
    try:
        return Server(
            app,
            bind=binds,
            pattern=options.pattern,
            limits=limits,
            proxy_headers=proxy_headers,
            http=options.http,
            journey=not options.no_journey,
            decompress=options.decompress,
            half_close=options.half_close,
            backlog=options.backlog,
            socket_options=options.socket_option,
            drain=options.timeout_graceful_shutdown,
            access_log=_access_log(options),
            slow_request=options.slow_request,
            monitor=options.monitor,
        )
    except ValueError as error:
        parser.error(f"--{error}" if str(error).startswith("http=") else str(error))
