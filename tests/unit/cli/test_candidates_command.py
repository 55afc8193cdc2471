"""`growth candidates`: the addresses that a person may have, without a probe."""

import json

import pytest
from typer.testing import CliRunner

from cli.client import ApiError
from cli.main import app


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["candidates", *arguments], env={"COLUMNS": "120"}, catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_candidates_are_printed_with_their_chances_the_likeliest_first() -> None:
    lines = run("Zoë van der Bergen", "example.com").splitlines()

    assert lines[0].split() == ["chance", "address", "pattern"]
    assert lines[1].split()[1:] == ["zoe.vanderbergen@example.com", "first.last"]
    chances = [float(line.split("%")[0]) for line in lines[1:]]
    assert chances == sorted(chances, reverse=True)


def test_as_json_they_are_a_list_of_objects() -> None:
    (best,) = json.loads(run("Grace Hopper", "Example.COM", "--json", "--limit", "1"))

    assert set(best) == {"email", "local_part", "pattern", "probability"}
    assert best["email"] == "grace.hopper@example.com"
    assert 0 < best["probability"] < 1


def test_colleagues_patterns_are_taken_into_account() -> None:
    ranked = json.loads(run("Grace Hopper", "example.com", "--json", "--known", "f_last=4", "--known", "first"))

    assert [each["local_part"] for each in ranked[:2]] == ["g_hopper", "grace"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["???", "example.com"], "'???' has no letters to make an address of."),
        (["Grace Hopper", "not a domain"], "'not a domain' is not a domain that can have mail."),
        (["Grace Hopper", "example.com", "--known", "jdoe=2"], "'jdoe=2' is not of the form pattern=count"),
        (["Grace Hopper", "example.com", "--known", "flast=many"], "'flast=many' is not of the form pattern=count"),
    ],
)
def test_what_can_not_be_ranked_is_refused_with_a_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(ApiError) as refused:
        CliRunner().invoke(app, ["candidates", *arguments], catch_exceptions=False)

    assert sentence in str(refused.value)
