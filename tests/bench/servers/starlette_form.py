"""A form with a file, taken by Starlette and python-multipart on uvicorn. Arguments: PORT."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def upload(request: Request) -> PlainTextResponse:
    async with request.form() as form:
        return PlainTextResponse(str(form["f"].size))


uvicorn.run(
    Starlette(routes=[Route("/form", upload, methods=["POST"])]),
    host="127.0.0.1",
    port=int(sys.argv[1]),
    loop="uvloop",
    http="httptools",
    access_log=False,
    log_level="warning",
)
