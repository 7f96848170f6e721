"""Work for after the answer: the client does not wait for it, the server's end does."""

import asyncio
import threading
import urllib.request

import millrace as mr

app = mr.App()
sent = threading.Event()


async def send_mail(address: str) -> None:
    await asyncio.sleep(0.05)
    print(f"mail to {address} sent")


def write_report(text: str) -> None:
    print(f"report: {text}")
    sent.set()


@app.post("/sign-up/{address}")
async def sign_up(request: mr.Request) -> mr.Response:
    address = request.path_params["address"]
    request.app.spawn(send_mail(address))  # now, beside the answer
    later = mr.BackgroundTask(write_report, f"{address} signed up")  # once the answer is out
    return mr.Response("welcome", status=201, background=later)


def main() -> None:
    with mr.Server(app) as server:
        request = urllib.request.Request(server.url + "/sign-up/ada@example.org", method="POST")
        with urllib.request.urlopen(request) as answer:
            print(f"{answer.status} {answer.read().decode()}")
        sent.wait(10)
    print("stopped, with nothing left undone")


if __name__ == "__main__":
    main()
