"""Where the time of requests goes, stage by stage."""

import time

import millrace as mr

app = mr.App()


@app.get("/")
def handler(request: mr.Request) -> str:
    time.sleep(0.001)
    return "done"


def main() -> None:
    pattern = mr.patterns.acceptor_queue_workers(workers=2)
    with mr.Server(app, pattern=pattern) as server:
        result = mr.lab.load(server.url, connections=8, requests=400)
        print(result)
        journey = server.journey()
        print(journey)
    queue, process = journey["queue"].times, journey["process"].times
    slower = "waiting for a worker" if queue.p50 > process.p50 else "in the handler"
    print(f"Half of the requests spend most of their time {slower}.")


if __name__ == "__main__":
    main()
