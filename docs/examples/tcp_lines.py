"""A server of lines: each is answered in capital letters."""

import millrace as mr


def shout(connection: mr.tcp.Connection, line: bytes) -> bytes:
    return line.upper()


LINES = mr.framing.lines(max_bytes="8kB")

if __name__ == "__main__":
    with mr.TcpServer(shout, framing=LINES) as server:
        print(f"listening on {server.address}")
        with mr.tcp_connect(server.address, framing=LINES) as connection:
            connection.write(b"hello")
            print(connection.receive())
