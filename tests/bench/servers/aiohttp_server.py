"""aiohttp's web server with its router, on uvloop, without an access log. Argument: PORT."""

import asyncio
import sys

import uvloop
from aiohttp import web
from aiohttp.typedefs import Handler
from payload import BODY, EXTRA_HEADERS, HELLO


async def hello(request: web.Request) -> web.Response:
    return web.Response(body=HELLO, content_type="text/plain")


async def user(request: web.Request) -> web.Response:
    agent = request.headers.get("user-agent", "")
    return web.json_response({"id": int(request.match_info["user_id"]), "agent": agent})


async def sleep(request: web.Request) -> web.Response:
    await asyncio.sleep(0)
    return web.Response(body=HELLO, content_type="text/plain")


async def big_body(request: web.Request) -> web.Response:
    return web.Response(body=BODY)


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


async def hello_with_headers(request: web.Request) -> web.Response:
    return web.Response(body=HELLO, content_type="text/plain", headers=dict(EXTRA_HEADERS))


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    return await handler(request)


# A middleware belongs to a whole application, so that row has one of its own below the main one.
inner = web.Application(middlewares=[middleware])
inner.router.add_get("", hello_with_headers)

app = web.Application()
app.router.add_get("/", hello)
app.router.add_get("/plain", hello)
app.router.add_get("/co", hello)
app.router.add_get("/users/{user_id:[0-9]+}", user)
app.router.add_get("/sleep", sleep)
app.router.add_get("/body", big_body)
app.router.add_post("/echo", echo)
app.add_subapp("/middleware", inner)

web.run_app(
    app,
    host="127.0.0.1",
    port=int(sys.argv[1]),
    access_log=None,
    print=None,
    loop=uvloop.new_event_loop(),
)
