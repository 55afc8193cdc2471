"""The group, id and title of each call in the OpenAPI document: clients are generated from the ids, and people read the
titles. FastAPI would make both of the names of functions, which are short since their module says the rest."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from api.document.examples import ROOT


class Operation(NamedTuple):
    """What a call is called."""

    tag: str
    operation_id: str
    summary: str


RUNS = "Runs"
RESULTS = "Results and exports"
UPLOADS = "Uploads"
CREDITS = "Credits"
HOOKS = "Hooks"
SUPPRESSION = "Suppression and erasure"
HEALTH = "Health"
TAGS = (RUNS, RESULTS, UPLOADS, CREDITS, HOOKS, SUPPRESSION, HEALTH)

_RUN = f"{ROOT}/runs/{{run_id}}"
_UPLOAD = f"{ROOT}/uploads/{{upload_id}}"
_HOOK = f"{ROOT}/hooks/{{hook_id}}"

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("post", f"{ROOT}/run"): Operation(RUNS, "create_run", "Create a run"),
    ("get", f"{ROOT}/runs"): Operation(RUNS, "list_runs", "List runs"),
    ("get", _RUN): Operation(RUNS, "read_run", "Read the state of a run"),
    ("get", f"{_RUN}/events"): Operation(RUNS, "stream_run", "Follow a run as a stream of events"),
    ("get", f"{_RUN}/timeline"): Operation(RUNS, "read_timeline", "Read the timeline of a run"),
    ("post", f"{_RUN}/cancel"): Operation(RUNS, "cancel_run", "Cancel a run"),
    ("post", f"{_RUN}/retry"): Operation(RUNS, "retry_run", "Retry a run"),
    ("get", f"{ROOT}/presets"): Operation(RUNS, "list_presets", "List presets"),
    ("get", f"{_RUN}/results"): Operation(RESULTS, "list_results", "Read results page by page"),
    ("post", f"{_RUN}/exports"): Operation(RESULTS, "add_exports", "Export a run in further formats"),
    ("get", f"{_RUN}/exports/{{asset_id}}"): Operation(RESULTS, "download_export", "Download a file of a run"),
    ("post", f"{ROOT}/uploads"): Operation(UPLOADS, "create_upload", "Upload a file"),
    ("get", f"{ROOT}/uploads"): Operation(UPLOADS, "list_uploads", "List uploads"),
    ("get", _UPLOAD): Operation(UPLOADS, "read_upload", "Read how an upload was read"),
    ("head", _UPLOAD): Operation(UPLOADS, "read_upload_offset", "Ask how many bytes have arrived"),
    ("patch", _UPLOAD): Operation(UPLOADS, "append_to_upload", "Send more bytes of an upload"),
    ("delete", _UPLOAD): Operation(UPLOADS, "delete_upload", "Delete an upload"),
    ("get", f"{_UPLOAD}/progress"): Operation(UPLOADS, "read_upload_progress", "Read the progress of an upload"),
    ("put", f"{_UPLOAD}/reading"): Operation(UPLOADS, "change_reading", "Have an upload read in another way"),
    ("get", f"{_UPLOAD}/rejected.csv"): Operation(UPLOADS, "download_rejected", "Download the rejected rows"),
    ("post", f"{ROOT}/quote"): Operation(CREDITS, "create_quote", "Quote a plan"),
    ("get", f"{ROOT}/credits"): Operation(CREDITS, "read_credits", "Read balance and statement"),
    ("get", f"{ROOT}/credits/statement.csv"): Operation(CREDITS, "download_statement", "Download the statement"),
    ("post", f"{ROOT}/hooks"): Operation(HOOKS, "add_hook", "Add a hook"),
    ("get", f"{ROOT}/hooks"): Operation(HOOKS, "list_hooks", "List hooks"),
    ("get", _HOOK): Operation(HOOKS, "read_hook", "Read a hook"),
    ("patch", _HOOK): Operation(HOOKS, "change_hook", "Change a hook"),
    ("delete", _HOOK): Operation(HOOKS, "delete_hook", "Delete a hook"),
    ("post", f"{_HOOK}/rotate"): Operation(HOOKS, "rotate_hook_secret", "Give a hook a new secret"),
    ("get", f"{_HOOK}/deliveries"): Operation(HOOKS, "list_deliveries", "List the deliveries to a hook"),
    ("post", f"{_HOOK}/deliveries/{{delivery_id}}/replay"):
        Operation(HOOKS, "replay_delivery", "Make a delivery again"),
    ("post", f"{_HOOK}/replay"): Operation(HOOKS, "replay_dead_deliveries", "Make dead deliveries again"),
    ("post", f"{ROOT}/suppressions"): Operation(SUPPRESSION, "add_suppressions", "Add to the suppression list"),
    ("get", f"{ROOT}/suppressions"): Operation(SUPPRESSION, "list_suppressions", "Show the suppression list"),
    ("post", f"{ROOT}/suppressions/remove"):
        Operation(SUPPRESSION, "remove_suppressions", "Remove from the suppression list"),
    ("post", f"{ROOT}/suppressions/check"): Operation(SUPPRESSION, "check_suppressions", "Check what is suppressed"),
    ("post", f"{ROOT}/erasures"): Operation(SUPPRESSION, "erase_people", "Erase people"),
    ("get", "/healthz"): Operation(HEALTH, "read_liveness", "Ask whether the process lives"),
    ("get", "/readyz"): Operation(HEALTH, "read_readiness", "Ask whether it can serve"),
}  # fmt: skip
"""Each call by its method and path."""


def name_operations(document: dict[str, Any]) -> None:
    """Name the calls of the OpenAPI document, and give its groups their order."""
    document["tags"] = [{"name": tag} for tag in TAGS]
    for (method, path), named in OPERATIONS.items():
        call = document["paths"][path][method]
        call["tags"], call["operationId"], call["summary"] = [named.tag], named.operation_id, named.summary
