"""millrace through its public API, on one core. Arguments: PORT and the mode.

``routes``, ``patient``, ``middleware``, ``queue``, ``log``, ``metrics``, ``compressed`` and
``files`` are the modes; ``files`` takes a folder as well, and ``patient`` waits long for the end of
a head.

``routes`` holds plain functions and coroutines in one application, as users write them, so the
rows of plain functions pay for whatever an asyncio loop beside them costs.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import millrace as mr
from payload import BODY, EXTRA_HEADERS, GZIP_LEVEL, RECORDS, ZSTD_LEVEL


def make_routes() -> mr.App:
    app = mr.App()
    app.respond("/", "Hello, World!")

    @app.get("/plain")
    def plain(request: mr.Request) -> str:
        return "Hello, World!"

    @app.get("/users/{user_id:int}")
    def user(request: mr.Request) -> dict[str, object]:
        return {
            "id": request.path_params["user_id"],
            "agent": request.headers.get("user-agent", ""),
        }

    @app.get("/co")
    async def coroutine(request: mr.Request) -> str:
        return "Hello, World!"

    @app.get("/sleep")
    async def sleep(request: mr.Request) -> str:
        await asyncio.sleep(0)
        return "Hello, World!"

    @app.get("/body")
    def big_body(request: mr.Request) -> bytes:
        return BODY

    @app.post("/echo")
    def echo(request: mr.Request) -> bytes:
        return request.body

    @app.post("/upload")
    async def upload(request: mr.Request) -> str:
        size = 0
        async for piece in request.stream():
            size += len(piece)
        return str(size)

    @app.post("/form")
    async def form(request: mr.Request) -> str:
        upload = (await request.form())["f"]
        assert isinstance(upload, mr.UploadedFile)
        return str(upload.size)

    # What clients of the attack ask for and do not read.
    app.respond("/big", bytes(10_000_000))

    return app


def make_middleware() -> mr.App:
    app = mr.App()
    headers = dict(EXTRA_HEADERS)

    @app.middleware
    def pass_on(request: mr.Request, call_next: Callable[[mr.Request], mr.Response]) -> mr.Response:
        return call_next(request)

    @app.get("/middleware")
    def hello(request: mr.Request) -> mr.Response:
        return mr.Response("Hello, World!", headers=headers)

    return app


def make_compressed() -> mr.App:
    app = mr.App()
    app.filter(mr.filters.Compression(gzip_level=GZIP_LEVEL, zstd_level=ZSTD_LEVEL))

    @app.get("/records")
    def records(request: mr.Request) -> mr.Response:
        return mr.Response(RECORDS, content_type="application/json")

    return app


APPS = {"middleware": make_middleware, "compressed": make_compressed}


def main() -> None:
    port, mode = int(sys.argv[1]), sys.argv[2]
    app = APPS.get(mode, make_routes)()
    pattern = mr.patterns.single_thread()
    if mode == "queue":
        pattern = mr.patterns.acceptor_queue_workers(workers=1)
    if mode == "files":
        app.static("/files", sys.argv[3])
    if mode == "metrics":
        app.metrics("/metrics")
    # Room for the 10,000 idle connections of the memory row and the one that checks the answer.
    limits = mr.Limits(max_connections=12_000)
    if mode == "patient":
        limits = replace(limits, header_timeout="60s")
    log = Path(tempfile.gettempdir()) / "millrace-bench-access.log" if mode == "log" else None
    mr.run(app, host="127.0.0.1", port=port, pattern=pattern, limits=limits, access_log=log)


main()
