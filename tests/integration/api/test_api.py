"""The HTTP API on the running engine: errors are as documented, and a refused request writes nothing."""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pyarrow.parquet as pq
import pytest
import redis
from python_calamine import CalamineWorkbook
from sqlalchemy import text

from cli.accounts import change_status
from models.database import Database
from models.status import SubscriptionStatus
from tests.factories import count
from tests.faults.engine import wait_until
from tests.integration.conftest import Client, Population, contacts_of

RUN = "/api/v1/growth/run"


def plan(*contacts: object, **output: object) -> dict[str, object]:
    return {
        "goal_plan": {
            "pipeline_id": "email_discovery_v1",
            "preset": "full_pipeline",
            "input_assets": {"contacts": list(contacts)},
            "output": output,
        }
    }


def refusal(response: httpx.Response) -> str:
    body = response.json()
    assert list(body) == ["detail"]
    return str(body["detail"])


def test_no_key_is_401(client: Client) -> None:
    response = client.http.get(f"/api/v1/growth/runs/{uuid4()}", headers={"Authorization": ""})

    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert "Authorization: Bearer" in refusal(response)


def test_an_unknown_key_is_401(client: Client) -> None:
    response = client.http.get(f"/api/v1/growth/runs/{uuid4()}", headers={"Authorization": "Bearer growth_no"})

    assert response.status_code == 401
    assert "not valid" in refusal(response)


def test_a_revoked_key_is_401(client: Client, stack_database: Database) -> None:
    with stack_database.transaction() as session:
        session.execute(
            text("UPDATE api_keys SET revoked_at = now() WHERE account_id = :id"), {"id": client.account.account_id}
        )

    assert client.http.get(f"/api/v1/growth/runs/{uuid4()}").status_code == 401


def test_a_subscription_that_is_not_paid_is_403(client: Client, stack_database: Database) -> None:
    with stack_database.transaction() as session:
        session.execute(
            text("UPDATE accounts SET subscription_status = 'past_due' WHERE id = :id"),
            {"id": client.account.account_id},
        )

    response = client.http.get(f"/api/v1/growth/runs/{uuid4()}")

    assert response.status_code == 403
    assert "subscription" in refusal(response)


def test_a_suspended_account_is_403(client: Client, stack_database: Database) -> None:
    with stack_database.transaction() as session:
        change_status(session, str(client.account.account_id), SubscriptionStatus.ACTIVE, SubscriptionStatus.SUSPENDED)

    response = client.http.get("/api/v1/growth/credits")

    assert response.status_code == 403
    assert "suspended" in refusal(response)


def test_a_run_that_costs_too_much_is_402(client: Client, stack_database: Database, population: Population) -> None:
    with stack_database.transaction() as session:
        session.execute(
            text("UPDATE accounts SET credit_balance = 3 WHERE id = :id"), {"id": client.account.account_id}
        )

    response = client.http.post(RUN, json=plan(*contacts_of(population.hundred[:1])))

    assert response.status_code == 402
    assert "costs 4 credits" in refusal(response)
    assert runs_of(client, stack_database) == 0


def runs_of(client: Client, database: Database) -> int:
    with database.transaction() as session:
        return count(session, "SELECT count(*) FROM runs WHERE account_id = :id", id=client.account.account_id)


@pytest.mark.parametrize("run_id", ["01a20e47-6abb-7630-81f0-c3892716d281", "not-a-uuid", "0" * 500])
def test_an_unknown_run_is_404(client: Client, run_id: str) -> None:
    response = client.http.get(f"/api/v1/growth/runs/{run_id}")

    assert response.status_code == 404
    assert "no run with this id" in refusal(response)


def test_another_accounts_run_looks_like_a_missing_one(
    client: Client, population: Population, stack_database: Database, stranger: Client
) -> None:
    run_id = client.create(population.hundred[:3])
    client.finished(run_id)
    unknown = stranger.http.get(f"/api/v1/growth/runs/{uuid4()}")

    for path in ("", "/results", "/exports/contacts_csv"):
        theirs = stranger.http.get(f"/api/v1/growth/runs/{run_id}{path}")
        assert theirs.status_code == 404
    assert stranger.http.get(f"/api/v1/growth/runs/{run_id}").json() == unknown.json()


@pytest.mark.parametrize(
    "body",
    [b"not json", b"", b'{"goal_plan":', b"\xff\xfe\x00", b"x" * 10_000_000, b"[" * 100_000],
    ids=["words", "nothing", "half an object", "binary", "10 MB of no JSON", "deep nesting"],
)
def test_a_body_that_is_not_json_is_400_and_leaves_nothing(
    client: Client, stack_database: Database, body: bytes
) -> None:
    response = client.http.post(RUN, content=body)

    assert response.status_code == 400
    assert refusal(response).startswith("The body is not JSON")
    assert runs_of(client, stack_database) == 0


def test_a_body_that_is_too_large_is_400(client: Client, stack_database: Database) -> None:
    response = client.http.post(RUN, content=megabytes(70))

    assert response.status_code == 400
    assert "larger than" in refusal(response)


def megabytes(number: int) -> Iterator[bytes]:
    for _ in range(number):
        yield b"x" * 1024 * 1024


def test_a_missing_domain_is_422_with_the_contact_and_the_field(client: Client, stack_database: Database) -> None:
    good = {"full_name": "Ada Example", "domain": "alpha.test"}

    response = client.http.post(RUN, json=plan(good, {"full_name": "Bo Example"}))

    assert response.status_code == 422
    assert "contact 2: field domain is missing" in refusal(response)
    assert runs_of(client, stack_database) == 0


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e400", '{"a":[NaN]}', '"\\ud800"', '"\\u0000"', "9" * 400])
def test_a_column_that_could_not_be_returned_unchanged_is_422(
    client: Client, stack_database: Database, value: str
) -> None:
    body = json.dumps(plan({"full_name": "Ada Example", "domain": "alpha.test", "revenue": 0}))

    response = client.http.post(RUN, content=body.replace('"revenue": 0', f'"revenue": {value}'))

    assert response.status_code == 422
    assert "contact 1" in refusal(response)
    assert runs_of(client, stack_database) == 0


@pytest.mark.parametrize("key", [b"", b"x" * 256, "é".encode(), b"\xff"])
def test_an_unusable_idempotency_key_is_422(client: Client, stack_database: Database, key: bytes) -> None:
    body = plan({"full_name": "Ada Example", "domain": "alpha.test"})

    response = client.http.post(RUN, json=body, headers=[(b"Idempotency-Key", key)])

    assert response.status_code == 422
    assert "dempotency-" in refusal(response)
    assert runs_of(client, stack_database) == 0


@pytest.mark.parametrize("odd", ["%00", "%2f", "..%2f..", "%ff", "x" * 10_000, "%0a", "%F0%9F%98%80", "-1", "%25"])
def test_odd_ids_are_404(client: Client, population: Population, odd: str) -> None:
    run_id = client.create(population.hundred[:1])

    for path in (odd, f"{odd}/events", f"{odd}/timeline", f"{run_id}/exports/{odd}", f"{run_id}{odd}"):
        assert client.http.get(f"/api/v1/growth/runs/{path}").status_code == 404
    for path in (f"{odd}/cancel", f"{odd}/retry"):
        assert client.http.post(f"/api/v1/growth/runs/{path}").status_code == 404


def test_an_id_in_an_unusual_spelling_is_404(client: Client, population: Population) -> None:
    digits = client.create(population.hundred[:1]).replace("-", "")

    assert client.http.get(f"/api/v1/growth/runs/{digits.upper()}").status_code == 200
    for odd in (f"%0a{digits[1:]}", f"+{digits[1:]}", f"{{{digits}}}", f"urn:uuid:{digits}", f"%D9%A0{digits[1:]}"):
        assert client.http.get(f"/api/v1/growth/runs/{odd}").status_code == 404


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=10001", "limit=1e9", "limit=" + "9" * 5000, "after=%00", "after=zz"]
)
def test_odd_query_parameters_are_422(client: Client, query: str) -> None:
    assert client.http.get(f"/api/v1/growth/suppressions?{query}").status_code == 422


def test_a_compressed_body_is_400(client: Client) -> None:
    response = client.http.post(RUN, content=gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"})

    assert response.status_code == 400
    assert "compressed" in refusal(response)


def test_the_same_idempotency_key_gives_the_first_run(
    client: Client, population: Population, stack_database: Database
) -> None:
    body, headers = plan(*contacts_of(population.hundred[:2])), {"Idempotency-Key": "order-1"}

    answers = [client.http.post(RUN, json=body, headers=headers) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert runs_of(client, stack_database) == 1
    client.finished(answers[0].json()["run_id"])


def test_the_same_idempotency_key_with_another_body_is_409(client: Client, population: Population) -> None:
    headers = {"Idempotency-Key": "order-1"}
    first = client.http.post(RUN, json=plan(*contacts_of(population.hundred[:2])), headers=headers)

    second = client.http.post(RUN, json=plan(*contacts_of(population.hundred[:1])), headers=headers)

    assert second.status_code == 409
    assert "another body" in refusal(second)
    client.finished(first.json()["run_id"])


def test_preview_rows_are_returned_as_result_handles(client: Client, population: Population) -> None:
    run_id = client.create(population.hundred, preview_rows=7)

    contacts = client.finished(run_id)["result_handles"]

    assert [contact["crm_id"] for contact in contacts] == [person.crm_id for person in population.hundred[:7]]
    assert {"email", "email_status", "email_reason", "email_score", "email_source"} <= set(contacts[0])


def test_each_export_has_each_contact_in_its_order_and_its_checksum(client: Client, population: Population) -> None:
    formats = ["csv", "json", "ndjson", "xlsx", "parquet", "excel", "excel_de"]
    body = plan(*contacts_of(population.hundred), export_formats=formats)
    state = client.finished(client.http.post(RUN, json=body).json()["run_id"])

    handles = {handle["format"]: handle for handle in state["export_handles"]}
    assert sorted(handles) == sorted(formats)
    for export_format, handle in handles.items():
        response = client.http.get(handle["download_url"])
        assert (len(response.content), handle["rows"]) == (handle["bytes"], len(population.hundred))
        assert hashlib.sha256(response.content).hexdigest() == handle["sha256"]
        assert response.headers["content-type"].startswith(handle["mime_type"])
        assert crm_ids(response, export_format) == [person.crm_id for person in population.hundred]


def test_a_further_format_is_made_on_demand(client: Client, population: Population, stranger: Client) -> None:
    run_id = client.create(population.hundred[:3])
    running = client.http.post(f"/api/v1/growth/runs/{run_id}/exports?format=xlsx")
    client.finished(run_id)

    asked = client.http.post(f"/api/v1/growth/runs/{run_id}/exports?format=xlsx&format=ndjson")
    theirs = stranger.http.post(f"/api/v1/growth/runs/{run_id}/exports?format=parquet")
    unknown = client.http.post(f"/api/v1/growth/runs/{run_id}/exports?format=pdf")

    assert (running.status_code, asked.status_code, theirs.status_code, unknown.status_code) == (409, 202, 404, 422)
    wait_until(lambda: len(client.api.read_run(run_id)["export_handles"]) == 4, "two more exports", 30)
    (handle,) = [h for h in client.api.read_run(run_id)["export_handles"] if h["format"] == "xlsx"]
    response = client.http.get(handle["download_url"])
    assert crm_ids(response, "xlsx") == [person.crm_id for person in population.hundred[:3]]


def test_a_range_of_an_export_is_served_and_one_outside_of_it_is_refused(
    client: Client, population: Population
) -> None:
    state = client.finished(client.create(population.hundred[:2]))
    handle = state["export_handles"][0]
    url, size = handle["download_url"], handle["bytes"]
    whole = client.http.get(url)

    def part(byte_range: str) -> httpx.Response:
        return client.http.get(url, headers={"Range": byte_range})

    assert (part("bytes=5-9").status_code, part("bytes=5-9").content) == (206, whole.content[5:10])
    for invalid in ("bytes=9-5", "bytes=x", "lines=1-2"):
        assert (part(invalid).status_code, part(invalid).content) == (200, whole.content)
    beyond = part(f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")
    assert "bytes" in refusal(beyond)
    head = client.http.head(url)
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(size), b"")


@pytest.fixture
def handle(client: Client, population: Population) -> dict[str, Any]:
    """An export of a small run."""
    state = client.finished(client.create(population.hundred[:2]))
    return dict(state["export_handles"][0])


def test_a_download_url_needs_no_key_and_what_was_changed_in_it_is_403(client: Client, handle: dict[str, Any]) -> None:
    url = handle["download_url"]
    expires = url.partition("expires=")[2].partition("&")[0]

    with httpx.Client(base_url=client.http.base_url) as stranger:
        linked = stranger.get(url)
        assert hashlib.sha256(linked.content).hexdigest() == handle["sha256"]
        assert stranger.get(url.partition("?")[0]).status_code == 401
        answers = [
            stranger.get(url.replace(expires, str(int(expires) + 3600))),
            stranger.get(f"{url}0"),
            stranger.get(url.replace("contacts_csv", "contacts_json")),
            stranger.get(url.replace(handle["sha256"][:8], "0"), params={"signature": "0"}),
            stranger.get(f"/api/v1/growth/runs/{uuid4()}/exports/contacts_csv?expires={expires}&signature=0"),
            stranger.get(url.replace(expires, "1e9")),
        ]
    assert [answer.status_code for answer in answers] == [403] * 6
    assert {refusal(answer) for answer in answers} == {
        "This link is not valid, or no longer: read the run for a new one."
    }


def test_with_a_key_a_link_is_good_for_its_account_only(
    client: Client, handle: dict[str, Any], stranger: Client
) -> None:
    assert client.http.get(handle["download_url"]).status_code == 200
    assert stranger.http.get(handle["download_url"]).status_code == 404


def test_each_artifact_can_be_downloaded_with_its_checksum(client: Client, population: Population) -> None:
    state = client.finished(client.create(population.hundred))

    handles = {handle["asset_id"]: handle for handle in state["artifact_handles"]}
    assert list(handles) == ["verified_contacts", "all_contacts", "gap_report", "run_summary"]
    for handle in handles.values():
        answer = client.http.get(handle["download_url"])
        assert (len(answer.content), hashlib.sha256(answer.content).hexdigest()) == (handle["bytes"], handle["sha256"])
        assert answer.headers["content-type"].startswith(handle["mime_type"])
    summary = client.http.get(handles["run_summary"]["download_url"]).json()
    assert {key: summary[key] for key in ("run_id", "preview", "gap_report")} == {
        key: state[key] for key in ("run_id", "preview", "gap_report")
    }
    assert handles["verified_contacts"]["rows"] == state["preview"]["delivered_counts"]["verified_emails"]


def test_a_link_is_not_valid_once_its_file_is_written_again(
    client: Client, handle: dict[str, Any], stack_database: Database
) -> None:
    with stack_database.transaction() as session:
        session.execute(text("UPDATE artifacts SET signing_key = sha256(signing_key)"))

    assert httpx.get(client.http.base_url.join(handle["download_url"])).status_code == 403


def test_the_etag_of_an_export_is_its_checksum_and_saves_a_download(client: Client, handle: dict[str, Any]) -> None:
    url, etag = handle["download_url"], f'"{handle["sha256"]}"'

    assert client.http.head(url).headers["etag"] == etag
    for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = client.http.get(url, headers={"If-None-Match": given})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert client.http.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    whole = client.http.get(url).content
    for if_range, status, content in ((etag, 206, whole[:5]), ('"other"', 200, whole)):
        part = client.http.get(url, headers={"Range": "bytes=0-4", "If-Range": if_range})
        assert (part.status_code, part.content) == (status, content)


def all_results(client: Client, run_id: str, **query: str) -> list[dict[str, object]]:
    results: list[dict[str, object]] = []
    after: str | None = ""
    while after is not None:
        response = client.http.get(f"/api/v1/growth/runs/{run_id}/results", params={"after": after, **query})
        assert response.status_code == 200
        page = response.json()
        results += page["results"]
        after = page["next"]
    return results


def test_results_page_by_page_are_the_records_of_the_export(client: Client, population: Population) -> None:
    state = client.finished(client.create(population.hundred))
    (handle,) = [h for h in state["export_handles"] if h["format"] == "json"]
    exported = client.http.get(handle["download_url"]).json()

    assert all_results(client, state["run_id"], limit="7") == exported
    valid = all_results(client, state["run_id"], limit="7", status="valid")
    assert valid == [record for record in exported if record["email_status"] == "valid"]


def test_results_of_a_running_run_are_in_the_contacts_order_and_those_that_it_has_so_far(
    client: Client, population: Population
) -> None:
    run_id = client.create(population.crowd)
    client.states(run_id, until=lambda state: state["progress"]["percent"] > 5)

    ids = [result["crm_id"] for result in all_results(client, run_id, limit="100")]

    order = {person.crm_id: place for place, person in enumerate(population.crowd)}
    places = [order[str(crm_id)] for crm_id in ids]
    assert places
    assert places == sorted(set(places))
    client.finished(run_id)


@pytest.mark.parametrize("query", ["after=x", "after=-1", "status=nice", "limit=0", "limit=1001"])
def test_odd_parameters_of_results_are_422(client: Client, population: Population, query: str) -> None:
    run_id = client.create(population.hundred[:1])

    assert client.http.get(f"/api/v1/growth/runs/{run_id}/results?{query}").status_code == 422
    client.finished(run_id)


def crm_ids(response: httpx.Response, export_format: str) -> list[str]:
    if export_format == "json":
        return [contact["crm_id"] for contact in json.loads(response.content)]
    if export_format == "ndjson":
        return [json.loads(line)["crm_id"] for line in response.text.splitlines()]
    if export_format == "parquet":
        return pq.read_table(io.BytesIO(response.content))["crm_id"].to_pylist()
    if export_format == "xlsx":
        header, *rows = CalamineWorkbook.from_filelike(io.BytesIO(response.content)).get_sheet_by_index(0).to_python()
        return [str(row[header.index("crm_id")]) for row in rows]
    text = response.content.decode("utf-8-sig")
    delimiter = ";" if export_format == "excel_de" else ","
    return [row["crm_id"] for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)]


def test_verify_existing_emails_verifies_supplied_addresses(client: Client, population: Population) -> None:
    people = [person for person in population.hundred if person.email]
    contacts = [{"email": person.email or "", "crm_id": person.crm_id} for person in people]

    state = client.finished(client.api.create_run(contacts, "verify_existing_emails"))

    assert state["stage_status"] == {"email_verify": "completed"}
    assert state["preview"]["delivered_counts"]["verified_emails"] == 78
    assert state["preview"]["verdicts"]["valid"] == 78


def test_too_many_requests_are_429_with_retry_after(client: Client, stack_redis: redis.Redis) -> None:
    stack_redis.set(f"growth:requests:{client.account.account_id}", 100_000)

    response = client.http.get(f"/api/v1/growth/runs/{uuid4()}")

    assert response.status_code == 429
    assert 1 <= int(response.headers["retry-after"]) <= 60


def test_health_and_readiness_are_answered_without_a_key(client: Client) -> None:
    assert httpx.get(f"{client.api.api_url}/healthz", trust_env=False).json() == {"status": "ok"}
    ready = httpx.get(f"{client.api.api_url}/readyz", trust_env=False)
    assert (ready.status_code, ready.json()["postgres"]) == (200, "ok")


def test_a_path_that_is_none_is_answered_with_where_they_are(client: Client) -> None:
    response = client.http.get("/api/v1/growth/nowhere")

    assert (response.status_code, response.json()) == (404, {"detail": "There is no such path: /docs lists all."})


def test_the_documentation_names_each_route(client: Client) -> None:
    paths = client.http.get("/openapi.json").json()["paths"]

    assert {RUN, "/api/v1/growth/runs/{run_id}", "/api/v1/growth/runs/{run_id}/exports/{asset_id}"} <= set(paths)
