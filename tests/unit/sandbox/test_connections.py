import asyncio
import gc
import socket

from sandbox.connections import Connections, close_server
from sandbox.counts import Tally
from sandbox.dns_server import Answerer, OverTcp
from sandbox.dns_zone import Zone


async def close_while_a_connection_is_being_accepted() -> socket.socket:
    connections = Connections()
    answerer = Answerer(Zone(), Tally())
    server = await asyncio.get_running_loop().create_server(lambda: OverTcp(answerer, connections), "127.0.0.1", 0)
    # The kernel completes this without the event loop, which accepts in its next turn.
    client = socket.create_connection(server.sockets[0].getsockname(), timeout=5)
    await asyncio.sleep(0)
    await close_server(server)
    await connections.hang_up()
    return client


def test_a_connection_that_is_being_accepted_while_the_server_closes_is_closed_too() -> None:
    with asyncio.run(close_while_a_connection_is_being_accepted()) as client:
        try:
            received = client.recv(1)
        except ConnectionResetError:
            received = b""

    assert received == b""
    gc.collect()  # an unclosed socket warns when it is collected, and a warning fails the test
