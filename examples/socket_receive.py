"""Receive arrays over a socket straight into pooled memory: no bytes object, no copy.

A sender on the loopback device sends arrays as raw float32; the receiver reads each into a `bufpool.Buffer` with
``recv_into`` and looks at it as an array.
"""

from __future__ import annotations

import argparse
import socket
import struct
import threading

import numpy as np

import bufpool

LENGTH = struct.Struct("!Q")  # before each message: its bytes


def send_all(address: tuple[str, int], messages: int, elements: int) -> None:
    with socket.create_connection(address) as connection:
        for i in range(messages):
            body = np.full(elements, i, "f4")
            connection.sendall(LENGTH.pack(body.nbytes))
            connection.sendall(body.data)


def receive_exactly(connection: socket.socket, buffer: bufpool.Buffer) -> None:
    """Fill the buffer. The memoryviews are released as we go, so that the buffer can be."""
    with memoryview(buffer) as view:
        filled = 0
        while filled < len(view):
            with view[filled:] as rest:
                count = connection.recv_into(rest)
            if count == 0:
                raise ConnectionError(f"the sender stopped after {filled} of {len(view)} bytes")
            filled += count


def receive(connection: socket.socket, pool: bufpool.BufferPool, messages: int) -> list[float]:
    means: list[float] = []
    for _ in range(messages):
        with pool.buffer(LENGTH.size) as head:
            receive_exactly(connection, head)
            (nbytes,) = LENGTH.unpack(head)
        with pool.buffer(nbytes) as body:
            receive_exactly(connection, body)
            # The array looks into the buffer: the memory stays until it is gone, here with the next round.
            samples = np.frombuffer(body[:], np.float32)
            means.append(float(samples.mean()))
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=50)
    parser.add_argument("--elements", type=int, default=1_000_000)
    args = parser.parse_args()

    pool = bufpool.BufferPool(name="network")
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = threading.Thread(target=send_all, args=(server.getsockname(), args.messages, args.elements))
        sender.start()
        connection, _ = server.accept()
        with connection:
            means = receive(connection, pool, args.messages)
        sender.join()
    assert means == [float(i) for i in range(args.messages)]
    stats = pool.stats()
    print(f"{args.messages} messages of {args.elements * 4} bytes; {stats.misses} blocks made, {stats.hits} reused")


if __name__ == "__main__":
    main()
