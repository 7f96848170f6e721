"""CPU and memory of a server that takes a large file in a multipart form.

Not a row of `run.py`, whose load generator sends the same small request over and over. By hand:

    python tests/bench/multipart.py --peers ENVIRONMENT/bin/python

where the environment holds uvicorn, uvloop, httptools, starlette and python-multipart. Each server
gets the form several times, in turn; both spool the file to the disk and answer with its size.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from suite import process_tree

MILLRACE = """
import sys, millrace as mr
app = mr.App()

@app.post("/")
async def upload(request):
    form = await request.form()
    return str(form["f"].size)

mr.run(app, port=int(sys.argv[1]))
"""

STARLETTE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def upload(request):
    async with request.form() as form:
        return PlainTextResponse(str(form["f"].size))

app = Starlette(routes=[Route("/", upload, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False)
"""

HEAD = (
    b'--bench\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n"
)
END = b"\r\n--bench--\r\n"


def upload(port: int, size: int, block: bytes) -> None:
    """Send the form, and check that all of it has arrived."""
    length = len(HEAD) + size + len(END)
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n"
            b"Content-Type: multipart/form-data; boundary=bench\r\n"
            b"Content-Length: %d\r\n\r\n" % length + HEAD
        )
        for at in range(0, size, len(block)):
            connection.sendall(block[: size - at])
        connection.sendall(END)
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.endswith(b"\r\n\r\n%d" % size), answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
        except OSError:
            time.sleep(0.01)
            continue
        return
    sys.exit("a server ended early")


def peak_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--peers", required=True, help="the Python that has Starlette")
    options.add_argument("--megabytes", type=int, default=100)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--content", choices=["random", "text"], default="random")
    given = options.parse_args()
    size = given.megabytes * 1_000_000
    block = os.urandom(1 << 20)
    if given.content == "text":
        block = b"A line of text as files of text have them.\r\n" * (len(block) // 44)
    commands = {"millrace": (sys.executable, MILLRACE), "starlette": (given.peers, STARLETTE)}
    running, cpu_ms, quiet = {}, {name: [] for name in commands}, {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name, (python, source) in commands.items():
                script = Path(folder, f"{name}_server.py")
                script.write_text(source)
                port = free_port()
                process = subprocess.Popen([python, script, str(port)], stderr=subprocess.DEVNULL)
                running[name] = port, process
                wait_for(port, process)
                upload(port, 10, block)
                quiet[name] = peak_bytes(process.pid)
            for _ in range(given.rounds):
                for name, (port, process) in running.items():
                    before = process_tree.cpu_time_ns([process.pid])
                    upload(port, size, block)
                    spent = process_tree.cpu_time_ns([process.pid]) - before
                    cpu_ms[name].append(spent / 1e6)
            for name, (_, process) in running.items():
                rows, grown = cpu_ms[name], peak_bytes(process.pid) - quiet[name]
                print(
                    f"{name:10} {statistics.median(rows):8.1f} ms CPU per {given.megabytes} MB"
                    f" ({min(rows):.1f} to {max(rows):.1f}), peak memory + {grown / 1e6:.1f} MB"
                )
        finally:
            for _, process in running.values():
                process.terminate()
                process.wait()
    ratio = statistics.median(cpu_ms["millrace"]) / statistics.median(cpu_ms["starlette"])
    print(f"millrace / starlette: {ratio:.3f}")


if __name__ == "__main__":
    main()
