"""A network that silently drops packets: connections to Postgres end within seconds."""

import os
import socket
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from models.database import open_database
from tests.faults.machine.relay import running_relays, to_socket


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other names for these options")
def test_a_tcp_connection_that_gets_no_answer_ends_within_seconds(postgres_url: str) -> None:
    url = make_url(postgres_url)
    place = Path(str(url.query["host"])) / ".s.PGSQL.5432"
    with running_relays(to_socket(str(place))) as (relay,):
        over_tcp = url.set(host="127.0.0.1", port=relay.port).difference_update_query(["host"])
        database = open_database(over_tcp.render_as_string(hide_password=False))
        with database.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            descriptor = connection.connection.driver_connection.fileno()  # type: ignore[union-attr]
            options = socket.socket(fileno=os.dup(descriptor))
            with options:
                assert options.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
                idle = options.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
                interval = options.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
                tries = options.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
        database.close()

    assert idle + interval * tries < 15
