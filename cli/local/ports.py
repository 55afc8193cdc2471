"""Finds ports of 127.0.0.1 for servers that are about to start."""

import errno
import random
import socket
from contextlib import suppress

from cli.exit_codes import CommandFailed

BELOW_OUTGOING = range(20_000, 32_768)
"""Ports that Linux never gives to an outgoing connection, which might take one before our server does."""


class PortTaken(CommandFailed):
    """Raised when the wanted port can't be used. Its text says what to do."""


def free_port(wanted: int) -> int:
    """Return the wanted port, or another if it is taken; 0 means any."""
    others = random.sample(BELOW_OUTGOING, 100)
    for port in [wanted, *others] if wanted else others:
        with suppress(PortTaken):
            return exact_port(port)
    return exact_port(0)


def exact_port(wanted: int) -> int:
    """Return the wanted port; 0 means any. Raises `PortTaken`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            why = "is taken" if error.errno == errno.EADDRINUSE else f"can't be used ({error.strerror})"
            raise PortTaken(f"Port {wanted} {why}: choose another with --port, or 0 for any that is free.") from error
        port: int = probe.getsockname()[1]
        return port
