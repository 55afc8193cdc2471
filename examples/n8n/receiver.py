"""Receives the engine's webhooks, and hands the results of each run that has ended on: python receiver.py 8080

It writes one line of JSON for each result to its output, for whatever is behind a pipe.
"""

import json
import os
import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from growth_client import GrowthClient, GrowthError, Webhook, WebhookRefused

MOST_BYTES = 1 << 20
runs: "queue.Queue[str]" = queue.Queue()
hook = Webhook(os.environ["GROWTH_HOOK_SECRET"])


class Receiver(BaseHTTPRequestHandler):
    """Answers at once: the results are fetched afterwards."""

    timeout = 10

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        try:
            event = hook.verify(self.rfile.read(min(length, MOST_BYTES)), self.headers)
        except WebhookRefused as error:
            self.send_error(401, str(error))
            return
        if event["type"] in ("run.completed", "run.failed", "run.cancelled"):
            runs.put(event["data"]["run_id"])
        self.send_response(204)
        self.end_headers()


def hand_on() -> None:
    seen: set[str] = set()
    with GrowthClient() as growth:
        while True:
            run_id = runs.get()
            if run_id in seen:
                continue
            try:
                for result in growth.results(run_id):
                    print(json.dumps(result, ensure_ascii=False), flush=True)
                seen.add(run_id)
            except GrowthError as error:
                print(f"run {run_id}: {error}", file=sys.stderr)


if __name__ == "__main__":
    threading.Thread(target=hand_on, daemon=True).start()
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    print(f"receiving at http://127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
    server.serve_forever()
