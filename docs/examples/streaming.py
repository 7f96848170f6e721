"""Bodies in pieces, both ways: whoever is slower sets the pace."""

import asyncio
import http.client
from collections.abc import AsyncIterator, Iterator

import millrace as mr

app = mr.App()


@app.get("/count")
def count(request: mr.Request) -> Iterator[str]:
    for number in range(5):
        yield f"{number}\n"


@app.get("/ticks")
async def ticks(request: mr.Request) -> AsyncIterator[str]:
    for number in range(5):
        await asyncio.sleep(0.01)
        yield f"tick {number}\n"


@app.post("/upload")
async def upload(request: mr.Request) -> dict[str, int]:
    size = 0
    async for piece in request.stream():  # not read here, not sent there
        size += len(piece)
    return {"bytes": size}


def main() -> None:
    with mr.Server(app) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port)
        for path in ("/count", "/ticks"):
            client.request("GET", path)
            print(client.getresponse().read().decode().split("\n"))
        client.request("POST", "/upload", body=iter([b"x" * 1_000_000] * 5), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})  # fmt: skip
        print(client.getresponse().read().decode())
        client.close()


if __name__ == "__main__":
    main()
