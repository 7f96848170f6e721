"""An execution pattern of one's own: two sharded loops in front of three workers."""

import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import millrace as mr

app = mr.App()
all_at_once = threading.Barrier(3)


@app.get("/")
def handler(request: mr.Request) -> str:
    all_at_once.wait(timeout=10)  # opens when three handlers run at the same time
    return threading.current_thread().name


pattern = mr.Pattern(
    accept="socket_per_loop",
    dispatch=mr.patterns.queue(workers=3, capacity=64),
    loops=2,
    name="sharded_workers",
)


def main() -> None:
    with mr.Server(app, pattern=pattern) as server:
        print(pattern)

        def fetch(_: int) -> int:
            with urllib.request.urlopen(server.url) as answer:
                return int(answer.status)

        with ThreadPoolExecutor(3) as clients:
            print(list(clients.map(fetch, range(9))))
        print("requests by worker:", sorted(server.stats()["queue"]["workers"]))


if __name__ == "__main__":
    main()
