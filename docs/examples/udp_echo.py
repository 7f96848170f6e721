"""An echo server of datagrams, which never enters Python, and what it counted."""

import millrace as mr

if __name__ == "__main__":
    with mr.UdpServer(mr.udp.echo) as server:
        print(f"bound to {server.address}")
        with mr.udp_connect(server.address) as client:
            client.send(b"hello")
            print(client.recv())
    stats = server.stats()
    print(f"{stats.total('messages_in')} read, {stats.total('messages_out')} sent")
