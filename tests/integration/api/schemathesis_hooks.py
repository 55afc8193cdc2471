"""A further check of schemathesis: a quote answers 200 for an invalid plan, and must say that it is none."""

import schemathesis
from schemathesis import Case, CheckContext, Response
from schemathesis.core.parameters import ParameterLocation


@schemathesis.check
def no_quote_for_an_invalid_plan(_context: CheckContext, response: Response, case: Case) -> None:
    if case.operation.label != "POST /api/v1/growth/quote" or response.status_code != 200 or case.meta is None:
        return
    body = case.meta.components.get(ParameterLocation.BODY)
    if body and body.mode.is_negative:
        assert response.json()["quotable"] is False, "An invalid plan was quoted"
