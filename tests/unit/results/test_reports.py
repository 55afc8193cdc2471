"""The gap report's sentences."""

import pytest

from pipeline.outcomes import REASON_SENTENCES, Reason
from pipeline.results.advice import ADVICE


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_a_sentence_that_says_why_and_one_that_says_what_to_do(reason: Reason) -> None:
    for sentence in (REASON_SENTENCES[reason], ADVICE[reason]):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
