"""Creates runs from a process that shares the engine's database, and sends them, without the API or the engine's code.

`create_run` calls a function of the engine's schema in your transaction: the run is there if, and only if, you commit.
`send` tells the workers. It belongs after the commit; if it is left out, the sweeper does it some seconds later.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from growth_client.answers import Output, Preset
from growth_client.calls import plan_of
from growth_client.errors import GrowthError, NotFound, refusal
from growth_client.steps import json_body

if TYPE_CHECKING:
    from celery import Celery

STATEMENT = "SELECT created_run, is_new FROM growth_create_run(CAST(%s AS uuid), CAST(%s AS json), CAST(%s AS text))"
"""What `create_run` executes. Other drivers can execute it with the parameters of `parameters_of`."""

OURS = "GR"
"""The first letters of the SQLSTATE of what the function raises; the rest is the status that the API would answer."""

QUEUE = "growth"
FIRST_IN_TURN = 3
"""The priority of a new run in Redis: it takes turns with the others."""
SENT_WITHIN_S = 2


class NotSent(GrowthError):
    """Raised when the broker did not accept the message. Nothing is lost: the sweeper sends the run."""


@dataclass(frozen=True, slots=True)
class CreatedRun:
    """A created run. `is_new` is false if its idempotency key had created it before."""

    run_id: UUID
    is_new: bool


def create_run(
    connection: Any,
    account_id: UUID | str,
    contacts: Iterable[Mapping[str, Any]],
    *,
    preset: Preset = "full_pipeline",
    output: Output | None = None,
    idempotency_key: str | None = None,
) -> CreatedRun:
    """Create a run in the transaction of `connection`; nothing is committed, and no message is sent.

    A connection is one of psycopg, psycopg2 or pg8000, Django's `connection`, or a connection or session of SQLAlchemy
    that uses one of these drivers. With psycopg, `AsyncSession.run_sync` makes it work in asyncio, too.

    Raises `Invalid`, `InsufficientCredits`, `NotFound` for an account that does not exist, and `Conflict` when the key
    was used with another body. As after each error of Postgres, the transaction can then only be rolled back.
    """
    parameters = parameters_of(account_id, contacts, preset=preset, output=output, idempotency_key=idempotency_key)
    try:
        run_id, is_new = _executor_of(connection)(parameters)
    except Exception as error:
        if (state := _sqlstate_of(error)) and state.startswith(OURS):
            raise refusal(int(state[2:]), _sentence_of(error)) from None
        raise
    return CreatedRun(UUID(str(run_id)), is_new)


def parameters_of(
    account_id: UUID | str,
    contacts: Iterable[Mapping[str, Any]],
    *,
    preset: Preset = "full_pipeline",
    output: Output | None = None,
    idempotency_key: str | None = None,
) -> tuple[str, str, str | None]:
    """The parameters of `STATEMENT`."""
    return _id_of(account_id), json_body(plan_of(contacts, None, preset, output)).decode(), idempotency_key


def send(broker_url: str, run_id: UUID | str) -> None:
    """Have the workers start a run, by a message to their broker. Sending it twice is safe.

    It needs the extra `growth-client[enqueue]`. Raises `NotSent` if the broker does not accept the message.
    """
    app = _app(broker_url)
    options: dict[str, Any] = {} if broker_url.startswith("amqp") else {"priority": FIRST_IN_TURN}
    try:
        app.send_task("growth.start", (str(run_id),), queue=QUEUE, ignore_result=True, retry=False, **options)
    except Exception as error:
        raise NotSent(
            f"The broker did not accept run {run_id} ({type(error).__name__}): the sweeper sends it."
        ) from error


@lru_cache(8)
def _app(broker_url: str) -> "Celery":
    from celery import Celery
    from kombu import Exchange, Queue

    is_rabbitmq = broker_url.startswith("amqp")
    # The workers' own queue, declared as they do it: RabbitMQ refuses another description of it.
    arguments = {"x-queue-type": "quorum"} if is_rabbitmq else None
    app = Celery("growth-client", broker=broker_url, set_as_current=False)
    if broker_url.startswith("rediss:") and "ssl_cert_reqs" not in broker_url:
        app.conf.broker_use_ssl = {"ssl_cert_reqs": "required"}
    app.conf.update(
        task_queues=[Queue(QUEUE, Exchange(QUEUE, type="direct"), routing_key=QUEUE, queue_arguments=arguments)],
        task_default_queue=QUEUE,
        task_create_missing_queues=False,
        broker_connection_timeout=SENT_WITHIN_S,
        broker_transport_options={"confirm_publish": True}
        if is_rabbitmq
        else {"socket_timeout": SENT_WITHIN_S, "socket_connect_timeout": SENT_WITHIN_S},
    )
    return app


def _id_of(account_id: UUID | str) -> str:
    """The id as text. What is none would end the caller's transaction."""
    try:
        return str(UUID(str(account_id)))
    except ValueError:
        raise NotFound("There is no account with this id: `growth account create` opens one.", 404) from None


def _executor_of(connection: Any) -> Callable[[tuple[str, str, str | None]], Any]:
    """What executes the statement and fetches its row."""
    if hasattr(connection, "get_bind") and hasattr(connection, "connection"):
        connection = connection.connection()
    if hasattr(connection, "exec_driver_sql"):
        return lambda parameters: connection.exec_driver_sql(STATEMENT, parameters).one()
    return lambda parameters: _fetched(connection.cursor(), parameters)


def _fetched(cursor: Any, parameters: tuple[str, str, str | None]) -> Any:
    try:
        cursor.execute(STATEMENT, parameters)
        row = cursor.fetchone()
        return (row["created_run"], row["is_new"]) if isinstance(row, Mapping) else row
    finally:
        cursor.close()


def _sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE that a driver gives an error, also when a library has wrapped it."""
    return next((state for each in _causes_of(error) if (state := _state_of(each))), None)


def _sentence_of(error: BaseException) -> str:
    """What the function raised, without the place in it that drivers add."""
    of_driver = next(each for each in _causes_of(error) if _state_of(each))
    sentence = getattr(getattr(of_driver, "diag", None), "message_primary", None) or _fields_of(of_driver).get("M")
    return sentence or str(of_driver).partition("\n")[0].removeprefix("ERROR:").strip()


def _state_of(error: BaseException) -> str | None:
    given = (getattr(error, "sqlstate", None), getattr(error, "pgcode", None), _fields_of(error).get("C"))
    return next((state for state in given if isinstance(state, str)), None)


def _fields_of(error: BaseException) -> Mapping[str, Any]:
    """The fields of the server's message as pg8000 gives them: by their letters in Postgres' protocol."""
    fields = error.args[0] if error.args else None
    return fields if isinstance(fields, Mapping) else {}


def _causes_of(error: BaseException) -> Iterator[BaseException]:
    each: BaseException | None = error
    for _ in range(10):
        if each is None:
            return
        yield each
        each = getattr(each, "orig", None) or each.__cause__
