"""What a run's page is told beside its parts."""

import pytest

from web.fragments import news_of_contacts
from web.views.results import ROWS_ON_A_PAGE, Counts


def told(worked: int, contacts: int = 1_000) -> str:
    return news_of_contacts(Counts(contacts, 0, worked, {})).get("results", "nothing")


@pytest.mark.parametrize(
    ("worked", "news"),
    [(0, "nothing"), (1, "the first"), (ROWS_ON_A_PAGE - 1, "the first"), (ROWS_ON_A_PAGE, "a page"), (900, "a page")],
)
def test_the_page_is_told_of_the_first_contacts_and_when_they_fill_it(worked: int, news: str) -> None:
    assert told(worked) == news


def test_the_contacts_of_a_small_run_fill_the_page_when_all_are_worked() -> None:
    assert [told(2, contacts=3), told(3, contacts=3)] == ["the first", "a page"]
