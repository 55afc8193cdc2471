"""Sends a run's chain under each of several environments, each in a fork of its own, and prints the results.

Run as `python -m tests.integration.broker.sending_process`, with the environments as JSON in its input.
"""

import json
import os
import sys
from uuid import uuid4

from worker.dispatch import DispatchFailed, send_chain


def main() -> None:
    for environment in json.load(sys.stdin):
        if child := os.fork():
            os.waitpid(child, 0)
            continue
        os.environ.update(environment)
        sys.stdout.write(json.dumps(outcome()) + "\n")
        sys.stdout.flush()
        os._exit(0)


def outcome() -> str:
    try:
        send_chain(uuid4(), "full_pipeline")
    except DispatchFailed as error:
        return str(error)
    except BaseException as error:  # noqa: BLE001 - a test checks that there is none
        return f"not documented: {error!r}"
    return "sent"


if __name__ == "__main__":
    main()
