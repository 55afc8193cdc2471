"""Uploads over HTTP, on a running engine: in one request or by tus, cut, repeated, hostile; and runs from them."""

import base64
import csv
import gzip
import hashlib
import io
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from models.database import Database
from tests.factories import count
from tests.faults.engine import wait_until
from tests.integration.api.test_api import RUN, refusal
from tests.integration.conftest import Client, Population, contacts_of

UPLOADS = "/api/v1/growth/uploads"
QUOTE = "/api/v1/growth/quote"
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}
PEOPLE = (
    b"First Name,Last Name,Website,Team\nAda,Ex,alpha.test,x\nBo,Ex,beta.test,y\nada,ex,alpha.test,z\nCy,,a.test,\n"
)


def plan(upload_id: str, preset: str = "full_pipeline") -> dict[str, object]:
    return {
        "goal_plan": {
            "pipeline_id": "email_discovery_v1",
            "preset": preset,
            "input_assets": {"upload_id": upload_id},
            "output": {"export_formats": ["csv"]},
        }
    }


def uploaded(client: Client, data: bytes = PEOPLE, **options: str) -> dict[str, object]:
    response = client.http.post(UPLOADS, params={"name": "people.csv", **options}, content=data, timeout=60)
    assert response.status_code == 201, response.text
    return dict(response.json())


def begun(client: Client, size: int, **headers: str) -> str:
    response = client.http.post(UPLOADS, headers={**TUS, "Upload-Length": str(size), **headers})
    assert response.status_code == 201, response.text
    return str(httpx.URL(f"{client.api.api_url}{UPLOADS}").join(response.headers["location"]))


def offset_of(client: Client, url: str) -> int:
    return int(client.http.head(url, headers=TUS).headers["upload-offset"])


def test_one_request_uploads_a_file_and_shows_how_it_was_read(client: Client) -> None:
    shown = uploaded(client)

    assert (shown["status"], shown["name"], shown["description"]) == ("ready", "people.csv", "CSV with commas, UTF-8")
    assert shown["sha256"] == hashlib.sha256(PEOPLE).hexdigest()
    assert shown["columns"] == [
        {"heading": "First Name", "field": "first_name"},
        {"heading": "Last Name", "field": "last_name"},
        {"heading": "Website", "field": "domain"},
        {"heading": "Team", "field": None},
    ]
    assert shown["counts"] == {"rows": 4, "contacts": 2, "repeated": 1, "empty": 0, "notes": 0, "rejected": 1}
    assert shown["contacts"] == [
        {"first_name": "Ada", "last_name": "Ex", "domain": "alpha.test", "Team": "x"},
        {"first_name": "Bo", "last_name": "Ex", "domain": "beta.test", "Team": "y"},
    ]
    assert shown["rejected"] == [{"row": 5, "field": "last_name", "reason": "it is missing: give it, or full_name"}]


def test_the_rejected_rows_are_a_file(client: Client) -> None:
    response = client.http.get(f"{UPLOADS}/{uploaded(client)['upload_id']}/rejected.csv")

    assert response.text.splitlines() == [
        "row,field,reason,First Name,Last Name,Website,Team",
        '5,last_name,"it is missing: give it, or full_name",Cy,,a.test,',
    ]


def test_a_run_from_an_upload_finds_what_the_same_contacts_in_a_body_find(
    client: Client, population: Population
) -> None:
    people = contacts_of(population.hundred)
    lines = [",".join(people[0]), *(",".join(f'"{value}"' for value in person.values()) for person in people)]

    accepted = client.http.post(RUN, json=plan(str(uploaded(client, "\n".join(lines).encode())["upload_id"])))

    assert accepted.status_code == 202
    state = client.finished(accepted.json()["run_id"])
    assert state["preview"]["delivered_counts"] == {"delivered_contacts": 95, "verified_emails": 78}
    assert state["preview"]["pricing"]["rebate_credits"] == 20


def test_a_quote_of_an_upload_confirms_a_run(client: Client) -> None:
    body = plan(str(uploaded(client)["upload_id"]))

    quoted = client.http.post("/api/v1/growth/quote", json=body).json()

    assert (quoted["quotable"], quoted["credits_total"]) == (True, 8)
    confirmed = {"goal_plan": quoted["goal_plan"], "quote_token": quoted["quote_token"]}
    assert client.http.post(RUN, json=confirmed).status_code == 202


def test_an_upload_is_quoted_by_its_id_alone_and_the_answer_has_the_plan_to_run(client: Client) -> None:
    upload_id = str(uploaded(client)["upload_id"])

    quoted = client.http.post(QUOTE, json={"upload_id": upload_id, "max_external_spend_credits": 8}).json()

    assert (quoted["quotable"], quoted["credits_total"]) == (True, 8)
    assert quoted["goal_plan"]["input_assets"] == {"upload_id": upload_id}
    confirmed = {"goal_plan": quoted["goal_plan"], "quote_token": quoted["quote_token"]}
    assert client.http.post(RUN, json=confirmed).status_code == 202


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"upload_id": str(uuid4())}, "missing_input_assets"),
        ({"upload_id": "mine"}, "quote_validation_failed"),
        ({"upload_id": str(uuid4()), "goal_plan": plan(str(uuid4()))["goal_plan"]}, "quote_validation_failed"),
        ({"upload_id": str(uuid4()), "preset": "full_pipeline"}, "quote_validation_failed"),
    ],
    ids=["unknown", "no id", "beside a plan", "with more"],
)
def test_an_upload_that_can_not_be_quoted_says_why(client: Client, body: dict[str, object], code: str) -> None:
    refused = client.http.post(QUOTE, json=body).json()

    assert (refused["quotable"], refused["error_code"]) == (False, code)


def test_an_upload_that_costs_more_than_may_be_spent_is_not_quoted(client: Client, stranger: Client) -> None:
    body = {"upload_id": str(uploaded(client)["upload_id"]), "max_external_spend_credits": 7}

    assert client.http.post(QUOTE, json=body).json()["error_code"] == "max_external_spend_too_low"
    assert stranger.http.post(QUOTE, json=body).json()["error_code"] == "missing_input_assets"


def test_a_quote_of_no_upload_says_what_is_missing(client: Client) -> None:
    quoted = client.http.post("/api/v1/growth/quote", json=plan(str(uuid4()))).json()

    assert (quoted["error_code"], quoted["missing_requirements"]) == (
        "missing_input_assets", ["goal_plan.input_assets.upload_id"],
    )  # fmt: skip


def test_contacts_and_an_upload_together_are_refused(client: Client) -> None:
    body = plan(str(uploaded(client)["upload_id"]))
    body["goal_plan"]["input_assets"]["contacts"] = [{"email": "a@a.test"}]  # type: ignore[index]

    assert "give one of them" in refusal(client.http.post(RUN, json=body))


def test_another_account_sees_an_upload_nowhere(client: Client, stranger: Client) -> None:
    upload_id = uploaded(client)["upload_id"]

    for asked in (upload_id, uuid4()):
        url = f"{UPLOADS}/{asked}"
        answers = [
            stranger.http.get(url),
            stranger.http.get(f"{url}/rejected.csv"),
            stranger.http.put(f"{url}/reading", json={}),
            stranger.http.patch(url, headers={**BYTES, "Upload-Offset": "0"}, content=b"x"),
            stranger.http.delete(url, headers=TUS),
            stranger.http.post(RUN, json=plan(str(asked))),
        ]
        assert [answer.status_code for answer in answers] == [404] * 6
        assert len({refusal(answer) for answer in answers}) == 1
        assert stranger.http.head(url, headers=TUS).status_code == 404
    assert stranger.http.get(UPLOADS).json() == {"uploads": []}
    assert [each["upload_id"] for each in client.http.get(UPLOADS).json()["uploads"]] == [upload_id]


def test_a_file_comes_in_pieces_by_tus(client: Client) -> None:
    url = begun(client, len(PEOPLE))
    for start in range(0, len(PEOPLE), 40):
        sent = client.http.patch(
            url, headers={**BYTES, "Upload-Offset": str(start)}, content=PEOPLE[start : start + 40]
        )
        assert (sent.status_code, sent.headers["tus-resumable"]) == (204, "1.0.0")

    assert offset_of(client, url) == len(PEOPLE)
    assert client.http.get(url).json()["status"] == "ready"


def test_tus_clients_learn_what_the_server_can(client: Client) -> None:
    answer = client.http.options(UPLOADS)

    assert (answer.status_code, answer.headers["tus-version"]) == (204, "1.0.0")
    assert "creation-with-upload" in answer.headers["tus-extension"]
    assert client.http.post(UPLOADS, headers={"Tus-Resumable": "0.2.0"}).status_code == 412


def test_the_name_and_the_checksum_may_come_as_metadata_of_tus(client: Client) -> None:
    pairs = {"filename": "given.csv", "sha256": "0" * 64}
    metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())
    url = begun(client, len(PEOPLE), **{"Upload-Metadata": metadata})
    client.http.patch(url, headers={**BYTES, "Upload-Offset": "0"}, content=PEOPLE)

    shown = client.http.get(url).json()

    assert shown["status"] == "refused"
    assert "given.csv arrived with another SHA-256" in shown["detail"]


def cut_off(client: Client, url: str, start: int, announced: int, data: bytes) -> None:
    """Send some of the bytes that were announced, and close the connection."""
    place = urlsplit(url)
    head = (
        f"PATCH {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {announced}\r\n"
        f"Authorization: {client.http.headers['authorization']}\r\nUpload-Offset: {start}\r\n"
        "Content-Type: application/offset+octet-stream\r\nTus-Resumable: 1.0.0\r\n\r\n"
    )
    with socket.create_connection((str(place.hostname), place.port or 80)) as connection:
        connection.sendall(head.encode() + data)


def test_what_arrived_before_a_cut_is_kept_and_the_rest_follows(client: Client) -> None:
    data = b"full_name,domain\n" + b"".join(b"Person %d,a%d.test\n" % (n, n) for n in range(100_000))
    url = begun(client, len(data))
    half = 1 << 20
    cut_off(client, url, 0, len(data), data[:half])
    wait_until(lambda: offset_of(client, url) >= half, "what was sent before the cut", seconds=30)
    arrived = offset_of(client, url)

    sent = client.http.patch(url, headers={**BYTES, "Upload-Offset": str(arrived)}, content=data[arrived:], timeout=60)

    assert sent.status_code == 204
    shown = client.http.get(url, timeout=60).json()
    assert (shown["counts"]["contacts"], shown["sha256"]) == (100_000, hashlib.sha256(data).hexdigest())


def test_a_file_in_one_request_that_is_cut_leaves_no_upload(client: Client) -> None:
    place = urlsplit(client.api.api_url)
    head = (
        f"POST {UPLOADS} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: 10000000\r\n"
        f"Authorization: {client.http.headers['authorization']}\r\n\r\n"
    )
    with socket.create_connection((str(place.hostname), place.port or 80)) as connection:
        connection.sendall(head.encode() + PEOPLE)
        wait_until(lambda: len(client.http.get(UPLOADS).json()["uploads"]) == 1, "the upload", seconds=10)

    wait_until(lambda: client.http.get(UPLOADS).json() == {"uploads": []}, "its end", seconds=10)


def test_a_run_from_an_upload_delivers_the_rows_of_the_file_and_the_rejected_ones(
    client: Client, population: Population
) -> None:
    ada = population.hundred[0]
    lines = [
        "Vorname,Nachname,Webseite,Email Status",
        f"{ada.first_name},{ada.last_name},{ada.domain},old",
        "Bo,,b.test,old",
        f"{ada.first_name},{ada.last_name},{ada.domain},again",
        ",,,",
        "a,b,c.test,d,e",
    ]
    upload_id = str(uploaded(client, "\n".join(lines).encode())["upload_id"])
    state = client.finished(client.http.post(RUN, json=plan(upload_id)).json()["run_id"])

    files = {each["asset_id"]: each for each in state["artifact_handles"]}
    own, rejects = (client.http.get(files[name]["download_url"]) for name in ("own_rows", "rejected_rows"))
    assert hashlib.sha256(own.content).hexdigest() == files["own_rows"]["sha256"]
    back = list(csv.reader(io.StringIO(own.text, newline="")))
    assert [row[:4] for row in back] == [line.split(",")[:4] for line in lines]
    assert back[0][4:] == ["email", "growth_email_status", "email_reason", "email_score", "email_source"]
    assert back[1][4:] == back[3][4:] != [""] * 5
    assert back[2][5:7] == ["rejected", "last_name: it is missing: give it, or full_name"]
    assert back[4][4:] == [""] * 5
    assert [line.split(",")[0] for line in rejects.text.splitlines()] == ["row", "3", "6"]
    assert rejects.text.splitlines()[2].endswith("a,b,c.test,d,e")
    assert (files["own_rows"]["rows"], files["rejected_rows"]["rows"]) == (5, 2)


def test_an_erased_person_is_gone_from_the_rows_that_a_run_delivers(client: Client, population: Population) -> None:
    ada, bea = population.hundred[:2]
    rows = [f"{each.first_name},{each.last_name},{each.domain}" for each in (ada, bea)]
    data = "\n".join(["first_name,last_name,domain", *rows, f"{ada.first_name},{ada.last_name},"]).encode()
    run_id = client.http.post(RUN, json=plan(str(uploaded(client, data)["upload_id"]))).json()["run_id"]
    client.finished(run_id)

    person = {"first_name": ada.first_name, "last_name": ada.last_name, "domain": ada.domain}
    client.http.post("/api/v1/growth/erasures", json={"people": [person]}, timeout=60).raise_for_status()

    def files() -> dict[str, str]:
        handles = client.api.read_run(run_id)["artifact_handles"]
        return {each["asset_id"]: each.get("download_url", "") for each in handles}

    wait_until(lambda: bool(files().get("own_rows")), "the files", seconds=30)
    text = client.http.get(files()["own_rows"]).text
    assert rows[0] not in text
    assert rows[1] in text


def test_of_several_requests_for_the_same_bytes_one_is_taken(client: Client, stack_database: Database) -> None:
    url = begun(client, len(PEOPLE))

    def send(_: int) -> int:
        return client.http.patch(url, headers={**BYTES, "Upload-Offset": "0"}, content=PEOPLE).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(send, range(4))) == [204, 409, 409, 409]
    with stack_database.transaction() as session:
        query = "SELECT count(*) FROM upload_pieces p JOIN uploads u ON u.id = p.upload_id WHERE u.account_id = :id"
        assert count(session, query, id=client.account.account_id) == 1


def test_two_accounts_upload_at_once(client: Client, stranger: Client) -> None:
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(uploaded, (client, stranger))

    assert one["status"] == other["status"] == "ready"
    assert one["upload_id"] != other["upload_id"]


def test_a_mapping_is_changed_before_a_run_starts(client: Client) -> None:
    upload_id = uploaded(client, b"Name,Website,Backup\nAda Ex,alpha.test,other.test\n")["upload_id"]

    shown = client.http.put(f"{UPLOADS}/{upload_id}/reading", json={"mapping": {"domain": "Backup"}}).json()

    assert shown["contacts"] == [{"full_name": "Ada Ex", "domain": "other.test", "Website": "alpha.test"}]


def test_a_mapping_may_come_with_the_file(client: Client) -> None:
    shown = uploaded(client, b"Name,Website,Backup\nAda Ex,alpha.test,other.test\n", map="domain=Backup")

    assert shown["contacts"][0]["domain"] == "other.test"  # type: ignore[index]


def test_a_deleted_upload_is_gone(client: Client) -> None:
    url = f"{UPLOADS}/{uploaded(client)['upload_id']}"

    assert client.http.delete(url, headers=TUS).status_code == 204
    assert client.http.get(url).status_code == 404


def pieces() -> Iterator[bytes]:
    yield PEOPLE[:50]
    yield PEOPLE[50:]


def test_a_file_without_a_stated_length_is_taken(client: Client) -> None:
    shown = client.http.post(UPLOADS, content=pieces()).json()

    assert (shown["status"], shown["bytes"]) == ("ready", len(PEOPLE))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Encoding": "gzip"}, 400),
        ({"Tus-Resumable": "1.0.0"}, 422),
        ({"Tus-Resumable": "1.0.0", "Upload-Length": "1" * 15}, 422),
        ({"Tus-Resumable": "1.0.0", "Upload-Length": "-1"}, 422),
        ({"Tus-Resumable": "1.0.0", "Upload-Length": "1_0"}, 422),
        ({"Tus-Resumable": "1.0.0", "Upload-Length": "+10"}, 422),
        ({"Tus-Resumable": "1.0.0", "Upload-Length": "1.0"}, 422),
        ({"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": "filename ***"}, 422),
    ],
)
def test_a_creation_that_makes_no_sense_is_refused(client: Client, headers: dict[str, str], status: int) -> None:
    response = client.http.post(UPLOADS, headers=headers, content=b"x")

    assert response.status_code == status
    assert len(refusal(response)) > 20


@pytest.mark.proof
def test_a_bomb_is_refused(client: Client) -> None:
    block = gzip.compress(b"\n" * (16 << 20), 1)

    shown = uploaded(client, block * 150)

    assert shown["status"] == "refused"
    assert "unpacks to more than" in str(shown["detail"])
