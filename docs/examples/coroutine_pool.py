"""A pool of connections that coroutines share, as asynchronous database drivers have.

It is made in the lifespan, on the one asyncio loop that runs all coroutine handlers.
"""

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import millrace as mr


class Pool:
    """Stands for a driver's pool: at most so many connections, waiting for a free one."""

    def __init__(self, size: int) -> None:
        self._free: asyncio.Queue[int] = asyncio.Queue()
        for number in range(size):
            self._free.put_nowait(number)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[int]:
        connection = await self._free.get()
        try:
            yield connection
        finally:
            self._free.put_nowait(connection)


app = mr.App()


@app.lifespan
async def life(app: mr.App) -> AsyncIterator[None]:
    app.state.pool = Pool(size=2)
    print("pool open")
    yield
    print("pool closed")


@app.get("/query/{number:int}")
async def query(request: mr.Request) -> dict[str, int]:
    async with asyncio.timeout(5), request.app.state.pool.acquire() as connection:
        await asyncio.sleep(0.01)  # the database works
        return {"query": request.path_params["number"], "connection": connection}


def main() -> None:
    with mr.Server(app) as server:

        def fetch(number: int) -> str:
            with urllib.request.urlopen(f"{server.url}/query/{number}") as answer:
                return str(answer.read().decode())

        with ThreadPoolExecutor(8) as clients:
            for line in clients.map(fetch, range(8)):
                print(line)


if __name__ == "__main__":
    main()
