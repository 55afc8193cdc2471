"""The client's types are the API's: each answer has the fields of the model that the API sends."""

from typing import get_args, get_type_hints, is_typeddict

import pytest
from pydantic import BaseModel

from growth_client import answers
from models import quote_wire, state_wire, upload_wire, wire
from models.status import TERMINAL_RUN_STATUSES

PAIRS: list[tuple[object, list[type[BaseModel]]]] = [
    (answers.Accepted, [wire.RunAccepted]),
    (answers.AcceptedPreview, [wire.RunAcceptedPreview]),
    (answers.StageProgress, [wire.StageProgress]),
    (answers.Failure, [wire.RunFailure]),
    (answers.Progress, [wire.Progress]),
    (answers.RunState, [wire.RunState]),
    (answers.RunInList, [wire.RunInList]),
    (answers.TimelineEvent, [wire.TimelineEvent]),
    (answers.Output, [wire.Output]),
    (answers.Upload, [upload_wire.UploadShown]),
    (answers.UploadColumn, [upload_wire.UploadColumn]),
    (answers.UploadCounts, [upload_wire.UploadCounts]),
    (answers.RejectedRow, [upload_wire.RejectedRow]),
    (answers.Quote, [quote_wire.Quote, quote_wire.NoQuote]),
    (answers.ProviderEstimate, [quote_wire.ProviderEstimate]),
    (answers.ExpectedArtifacts, [quote_wire.ExpectedArtifacts]),
]


@pytest.mark.parametrize(("typed", "models"), PAIRS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_answer_has_the_fields_of_its_model(typed: object, models: list[type[BaseModel]]) -> None:
    assert is_typeddict(typed)
    assert set(get_type_hints(typed)) == {name for model in models for name in model.model_fields}


def test_each_typed_answer_is_compared() -> None:
    typed = {value for value in vars(answers).values() if is_typeddict(value)}

    assert typed - {one for one, _ in PAIRS} == {answers.FileHandle}


def test_the_handle_of_a_file_has_the_fields_that_the_document_states() -> None:
    assert set(get_type_hints(answers.FileHandle)) == set(get_type_hints(state_wire.FileHandle))


@pytest.mark.parametrize("name", ["Preset", "Status", "EmailStatus"])
def test_words_are_the_apis(name: str) -> None:
    assert set(get_args(getattr(answers, name))) == set(get_args(getattr(wire, name)))


def test_the_statuses_of_uploads_and_the_final_ones_are_the_apis() -> None:
    assert set(get_args(answers.UploadStatus)) == set(get_args(upload_wire.UploadStatus))
    assert {str(status) for status in TERMINAL_RUN_STATUSES} == answers.FINAL
