"""A new run: a file that is sent in pieces, read, mapped, priced and started."""

import re
import time
from collections.abc import Callable
from html import unescape

import pytest
from markupsafe import escape
from sqlalchemy import text

from models.database import Database
from pipeline.credits import RateCard
from pipeline.ledger import standing
from pipeline.runs.create import create_run
from tests.factories import order
from tests.integration.conftest import Client, Population
from tests.integration.web.conftest import Visitor
from tests.integration.web.test_security import PAYLOAD, inline_code

Visit = Callable[[], Visitor]

SELECT = re.compile(r'<select id="map-.*?</select>', re.DOTALL)
VALUES = re.compile(r'<td role="cell" class="muted"><span class="name" title="([^"]*)"')
CHOSEN = re.compile(r'<option value="(\w*)" selected>')
BYTES = {"Content-Type": "application/offset+octet-stream"}


def file_of(population: Population, count: int = 5, header: str = "First Name;Surname;Web;Badge") -> bytes:
    people = population.crowd[:count]
    rows = [f"{each.first_name};{each.last_name};{each.domain};b-{number}" for number, each in enumerate(people)]
    return "\n".join([header, *rows, "Nobody;;alpha.test;x"]).encode()


def begin(visitor: Visitor, data: bytes, name: str = "people.csv") -> str:
    origin = {"Origin": str(visitor.http.base_url).rstrip("/")}
    headers = BYTES | origin | {"Upload-Length": str(len(data)), "Accept": "*/*"}
    answer = visitor.http.post("/uploads", params={"name": name}, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["upload_id"])


def send(visitor: Visitor, upload_id: str, data: bytes, start: int = 0) -> int:
    origin = {"Origin": str(visitor.http.base_url).rstrip("/"), "Accept": "*/*"}
    headers = BYTES | origin | {"Upload-Offset": str(start)}
    answer = visitor.http.patch(f"/uploads/{upload_id}", content=data[start:], headers=headers)
    assert answer.status_code == 204, answer.text
    return int(answer.headers["upload-offset"])


def arrived(visitor: Visitor, data: bytes, name: str = "people.csv") -> str:
    """The page of a file that has arrived and was read."""
    upload_id = begin(visitor, data, name)
    send(visitor, upload_id, data)
    assert visitor.post(f"/new/{upload_id}/read").headers["hx-refresh"] == "true"
    return f"/new/{upload_id}"


def mapping_on(page: str) -> list[str]:
    """What each column becomes."""
    return [(CHOSEN.findall(select) or [""])[0] for select in SELECT.findall(page)]


def token_on(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found, page
    return unescape(found[1])


def test_what_was_recognised_is_shown_with_the_rows_that_can_t_be_used(
    visitor: Visitor, population: Population
) -> None:
    page = unescape(visitor.get(arrived(visitor, file_of(population))).text)

    assert mapping_on(page) == ["first_name", "last_name", "domain", ""]
    assert "6 rows" in page
    assert "1 row can’t be used" in page
    assert population.crowd[0].last_name in page
    assert "b-0" in page
    assert "Nobody" in page
    assert "5 of 5" in page


def test_the_first_contacts_are_shown_with_the_domain_that_is_asked(visitor: Visitor) -> None:
    data = b"First Name,Last Name,Web\nAda,Ex,https://www.alpha.test/impressum\nBo,Ex,beta.test\n"

    page = unescape(visitor.get(arrived(visitor, data)).text)

    first = page.partition('id="first"')[2]
    assert re.findall(r'<span class="cell" title="(\w+\.test)"', first) == ["alpha.test", "beta.test"]
    assert "impressum" not in first
    assert "https://www.alpha.test/impressum, beta.test" in page, "the columns are shown as they are in the file"


def test_the_quote_is_that_of_the_api(visitor: Visitor, client: Client, population: Population) -> None:
    path = arrived(visitor, file_of(population))
    page = unescape(visitor.get(path).text)

    plan = {"pipeline_id": "email_discovery_v1", "preset": "full_pipeline", "input_assets": {"upload_id": path[5:]}}
    quote = client.http.post("/api/v1/growth/quote", json={"goal_plan": plan}).json()

    assert quote["credits_total"] == 20
    assert "Start run for 20 credits" in page
    assert f"about {quote['expected_artifacts']['verified_emails']}</dd>" in page
    assert "<dt>Balance after the start</dt><dd>99,980</dd>" in page


def test_a_run_is_started_once_however_often_the_form_is_sent(
    visitor: Visitor, client: Client, population: Population
) -> None:
    path = arrived(visitor, file_of(population))
    form = {"token": token_on(visitor.get(path).text), "preset": "full_pipeline"}

    first, second = visitor.post(f"{path}/start", form), visitor.post(f"{path}/start", form)

    assert first.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    run_id = first.headers["location"].rpartition("/")[2]
    assert client.finished(run_id)["status"] == "completed"
    assert len(client.http.get("/api/v1/growth/runs").json()["runs"]) == 1
    assert run_id in visitor.get(path).text, "the file says which run was started from it"


def test_a_run_is_named_by_its_file_in_the_table_in_its_row_as_it_changes_and_in_its_head(
    visitor: Visitor, population: Population
) -> None:
    name = "people " * 8 + '<b title="\'x">&{{7*7}}.csv'
    path = arrived(visitor, file_of(population), name)
    started = visitor.post(f"{path}/start", {"token": token_on(visitor.get(path).text), "preset": "full_pipeline"})
    run = started.headers["location"]

    table, head = visitor.get("/runs").text, visitor.get(run).text
    row = next(event.data for event in visitor.live(f"/runs/live?run={run[6:]}") if event.kind == "run")

    for shown in (table, row):
        assert f'<small class="name" title="{escape(name)}">{escape(name)}</small>' in shown
    assert f'<span title="{escape(name)}">people people people' in head
    assert "…</span><span>Find and verify</span>" in head
    assert inline_code(head) == inline_code(table) == []


def test_a_column_that_gets_a_field_takes_it_from_the_one_that_had_it(visitor: Visitor, population: Population) -> None:
    path = arrived(visitor, file_of(population))
    form = {
        "map-0": "first_name",
        "map-1": "last_name",
        "map-2": "domain",
        "map-3": "last_name",
        "preset": "full_pipeline",
    }

    answer = visitor.post(f"{path}/reading", form, **{"HX-Trigger-Name": "map-3"})
    page = unescape(visitor.get(answer.headers["location"]).text)

    assert mapping_on(page) == ["first_name", "", "domain", "last_name"]
    assert "6 of 6" in page, "the row without a surname has a badge"


def test_a_file_whose_columns_are_not_recognised_can_be_mapped(visitor: Visitor, population: Population) -> None:
    path = arrived(visitor, file_of(population, header="a1;b2;c3;d4").replace(b"Nobody;;alpha.test;x", b""))
    before = unescape(visitor.get(path).text)

    form = {"map-0": "first_name", "map-1": "last_name", "map-2": "domain", "map-3": "", "preset": "full_pipeline"}
    visitor.post(f"{path}/reading", form)
    after = unescape(visitor.get(path).text)

    assert "No run can be started from this file as it is." in before
    assert "Say below which column is which." in before
    assert "--map" not in before
    assert len(mapping_on(before)) == 4
    assert VALUES.findall(before) == [
        *(
            ", ".join(getattr(each, name) for each in population.crowd[:3])
            for name in ("first_name", "last_name", "domain")
        ),
        "b-0, b-1, b-2",
    ]
    assert 'name="token"' not in before
    assert mapping_on(after) == ["first_name", "last_name", "domain", ""]
    assert "Start run for 20 credits" in after


def test_asking_again_about_known_addresses_is_part_of_the_quote(
    visitor: Visitor, client: Client, population: Population
) -> None:
    path = arrived(visitor, file_of(population))
    token = token_on(visitor.get(path).text)
    fresh = token_on(visitor.get(f"{path}?fresh=true").text)

    refused = visitor.post(f"{path}/start", {"token": token, "preset": "full_pipeline", "fresh": "true"})
    started = visitor.post(f"{path}/start", {"token": fresh, "preset": "full_pipeline", "fresh": "true"})

    assert refused.status_code == 409
    assert "The run was not started." in refused.text
    assert started.status_code == 303


def test_a_start_without_enough_credits_says_how_many_are_missing(
    visitor: Visitor, client: Client, population: Population, stack_database: Database
) -> None:
    path = arrived(visitor, file_of(population))
    token = token_on(visitor.get(path).text)
    spend(stack_database, client, keep=3)

    page = visitor.get(path).text
    refused = visitor.post(f"{path}/start", {"token": token, "preset": "full_pipeline"})

    assert "17 credits more are needed." in page
    assert "Not enough credits" in page
    assert refused.status_code == 402
    assert 'role="alert"' in refused.text


def spend(database: Database, client: Client, keep: int) -> None:
    """Have most credits held by a run that waits."""
    with database.transaction() as session:
        balance = standing(session, client.account.account_id).balance
        create_run(session, client.account.account_id, order(1), rate_card=RateCard(balance - keep, 4, 0))
        session.execute(
            text("UPDATE runs SET resend_at = now() + interval '1 hour' WHERE account_id = :id"),
            {"id": client.account.account_id},
        )


def test_an_upload_goes_on_where_it_was_interrupted(visitor: Visitor, population: Population) -> None:
    data = file_of(population, 50)
    upload_id = begin(visitor, data)
    send(visitor, upload_id, data[:100])
    half = unescape(visitor.get(f"/new/{upload_id}").text)
    at = visitor.http.head(f"/uploads/{upload_id}").headers["upload-offset"]

    send(visitor, upload_id, data, start=int(at))
    visitor.post(f"/new/{upload_id}/read")

    assert "100 B of" in half
    assert f'data-size="{len(data)}"' in half
    assert at == "100"
    assert "51 rows" in visitor.get(f"/new/{upload_id}").text


def test_a_file_that_is_no_table_is_refused_with_a_sentence(visitor: Visitor) -> None:
    page = unescape(visitor.get(arrived(visitor, b"%PDF-1.7\n\x00\x01\x02", "report.pdf")).text)

    assert "No run can be started from this file as it is." in page
    assert "report.pdf" in page


def test_a_file_that_is_no_table_has_nothing_to_choose_and_a_text_in_an_unclear_encoding_has(visitor: Visitor) -> None:
    picture = visitor.get(arrived(visitor, b"\x89PNG\r\n\x1a\n" + bytes(50), "UTF-8.png")).text
    unclear = visitor.get(arrived(visitor, b"full_name,domain\nAda\0 Ex,alpha.test\n" * 20)).text

    assert "is not a table but a picture" in picture
    assert 'id="encoding"' not in picture
    assert 'name="preset"' not in picture
    assert 'id="encoding"' in unclear


def test_files_that_no_run_uses_have_a_state(visitor: Visitor, population: Population) -> None:
    data = file_of(population)
    arrived(visitor, data, "good.csv")
    arrived(visitor, b"%PDF-1.7", "bad.pdf")
    send(visitor, begin(visitor, data, "whole.csv"), data)
    begin(visitor, data, "begun.csv")

    rows = visitor.get("/new").text.partition('id="waiting"')[2].split("<tr ")[2:]

    names = ("begun.csv", "whole.csv", "bad.pdf", "good.csv")
    states = ("Incomplete", "Not read yet", "Can’t be used", "Ready")
    for row, name, state in zip(rows, names, states, strict=True):
        assert f">{name}</a>" in row
        assert f"{state}</span>" in row


def test_a_file_that_no_run_uses_can_be_deleted(visitor: Visitor, population: Population) -> None:
    path = arrived(visitor, file_of(population))
    listed = visitor.get("/new").text

    answer = visitor.post(f"{path}/discard")

    assert path in listed
    assert (answer.status_code, answer.headers["location"]) == (303, "/new")
    assert visitor.get(path).status_code == 404
    assert path not in visitor.get("/new").text


def test_the_rows_that_can_t_be_used_are_downloaded(visitor: Visitor, population: Population) -> None:
    path = arrived(visitor, file_of(population))

    answer = visitor.get(f"/uploads/{path[5:]}/rejected.csv")

    assert answer.status_code == 200
    assert answer.text.count("\n") == 2
    assert "Nobody" in answer.text


def test_what_a_file_holds_is_text_on_the_page(visitor: Visitor) -> None:
    quoted = '"' + PAYLOAD.replace('"', '""') + '"'
    data = f"First Name,Last Name,Domain,{quoted}\n{quoted},Ex,alpha.test,{quoted}\n{quoted},,{quoted},x\n".encode()

    page = visitor.get(arrived(visitor, data, f"{PAYLOAD}.csv")).text

    for piece in ("<script>alert", "<img src=x", "49</"):
        assert piece not in page
    assert inline_code(page) == []
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_file_of_another_account_is_not_there(
    visitor: Visitor, visit: Visit, stranger: Client, population: Population
) -> None:
    data = file_of(population)
    path = arrived(visitor, data)
    browser = visit()
    browser.sign_in(stranger.account.api_key)

    answers = [
        browser.get(path),
        browser.get(f"{path}/progress"),
        browser.get(f"/uploads/{path[5:]}/rejected.csv"),
        *(browser.post(f"{path}/{action}", {"token": "x"}) for action in ("read", "reading", "discard")),
    ]

    assert [answer.status_code for answer in answers] == [404] * 6
    assert browser.http.head(f"/uploads/{path[5:]}").status_code == 404
    refused = browser.post(f"{path}/start", {"token": "x", "preset": "full_pipeline"})
    assert refused.status_code == 404
    assert visitor.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/uploads", "/new/{}/start", "/new/{}/reading", "/new/{}/discard"])
def test_another_site_can_t_send_files_or_start_runs(visitor: Visitor, population: Population, path: str) -> None:
    at = arrived(visitor, file_of(population))

    answer = visitor.post(path.format(at[5:]), {"token": "x"}, Origin="https://elsewhere.example")

    assert answer.status_code == 403
    assert visitor.get(at).status_code == 200


def test_a_large_file_says_how_many_rows_were_read_so_far(visitor: Visitor, population: Population) -> None:
    data = file_of(population, 3)
    upload_id = begin(visitor, data)
    send(visitor, upload_id, data)

    page, progress = visitor.get(f"/new/{upload_id}").text, visitor.get(f"/new/{upload_id}/progress")

    assert "Reading people.csv" in page
    assert "about to be read" in progress.text
    visitor.post(f"/new/{upload_id}/read")
    until = time.monotonic() + 10
    while visitor.get(f"/new/{upload_id}/progress").status_code != 204:
        assert time.monotonic() < until
