"""Finds the addresses of the contacts in a file: python find_addresses.py contacts.csv found.csv

Stopped and started again, it goes on with the same upload and the same run.
"""

import hashlib
import sys
from pathlib import Path

from growth_client import GrowthClient, GrowthError


def find_addresses(source: Path, target: Path) -> None:
    # The same file gives the same key, and so the same run.
    key = hashlib.sha256(source.read_bytes()).hexdigest()
    with GrowthClient() as growth:
        upload = growth.upload(source)
        run_id = growth.submit(upload_id=upload["upload_id"], idempotency_key=key)["run_id"]
        for state in growth.watch(run_id):
            print(f"{state['progress']['percent']:3}% {state['progress']['message']}")
        if state["status"] != "completed":
            sys.exit(f"The run is {state['status']}: {state['progress']['message']}")
        # The rows of the file as they were, with the results behind them.
        growth.download(run_id, target, "own_rows")
        print(f"{target}: {state['preview']['delivered_counts']['delivered_contacts']} addresses")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Give two files: the contacts, and where the addresses are to be written.")
    try:
        find_addresses(Path(sys.argv[1]), Path(sys.argv[2]))
    except GrowthError as error:
        sys.exit(str(error))
