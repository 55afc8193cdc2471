"""Sends a run's chain, from a process of its own: `python -m tests.faults.machine.chain_sender RUN TIMES`."""

import sys
from uuid import UUID

from worker.dispatch import send_chain

if __name__ == "__main__":
    for _ in range(int(sys.argv[2])):
        send_chain(UUID(sys.argv[1]), "full_pipeline")
