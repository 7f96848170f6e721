"""socketify (uWebSockets through cffi), with the request factory its benchmarks use. Arg: PORT."""

import asyncio
import sys
from typing import Any

from payload import BODY, EXTRA_HEADERS, HELLO
from socketify import App, AppListenOptions, middleware


def hello(res: Any, req: Any) -> None:
    res.write_header(b"Content-Type", b"text/plain")
    res.end(HELLO)


def user(res: Any, req: Any) -> None:
    agent = req.get_header("user-agent") or ""
    res.end({"id": int(req.get_parameter(0)), "agent": agent})


async def coroutine(res: Any, req: Any) -> None:
    res.cork(lambda res: hello(res, None))


async def sleep(res: Any, req: Any) -> None:
    await asyncio.sleep(0)
    res.cork(lambda res: hello(res, None))


def big_body(res: Any, req: Any) -> None:
    res.end(BODY)


async def echo(res: Any, req: Any) -> None:
    # on_data would spare a future, but does not work together with the response factory.
    data = await res.get_data()
    res.cork_end(data.getvalue())


def pass_on(res: Any, req: Any, data: Any = None) -> bool:
    return True


def hello_with_headers(res: Any, req: Any, data: Any = None) -> None:
    for name, value in EXTRA_HEADERS:
        res.write_header(name, value)
    hello(res, req)


app = App(None, 200_000, 0)
app.get("/", hello)
app.get("/plain", hello)
app.get("/users/:user_id", user)
app.get("/co", coroutine)
app.get("/sleep", sleep)
app.get("/body", big_body)
app.post("/echo", echo)
app.get("/middleware", middleware(pass_on, hello_with_headers))
app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"))
app.run()
