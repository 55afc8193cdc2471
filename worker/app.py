"""The Celery application: every setting with its reason.

Settings are read when the application is first used, not when this module is imported.
Facts and measurements behind the choices: docs/decisions/0003-celery.md.
"""

from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from settings import UnusableSettings, load_settings
from worker.broker import QUEUE, connection_settings, is_rabbitmq

QUORUM = {"x-queue-type": "quorum"}
"""RabbitMQ's replicated queue: the only type that survives the loss of a node."""

TASKS_AT_ONCE = 64
"""Tasks of a process, each of which works a stage of a run. A run beyond them waits until one of them ends."""


def _configuration() -> dict[str, Any]:
    settings = load_settings()
    if not settings.celery_broker_url:
        raise UnusableSettings("REDIS_URL or BROKER_URL must be set, so that tasks can be sent.")
    return {
        **connection_settings(settings.celery_broker_url),
        # Postgres holds all state: a result backend would only be something to lose.
        "result_backend": None,
        "task_ignore_result": True,
        # After a crash the message is delivered again. Running a task twice is harmless by design.
        "task_acks_late": True,
        # A task that kills its process would be redelivered forever: attempts are counted in Postgres instead.
        "task_reject_on_worker_lost": False,
        # A task is a thread that waits: its work is done in the event loop of the process. One process uses one core.
        "worker_pool": "threads",
        "worker_concurrency": TASKS_AT_ONCE,
        # A message waits for a free thread, not behind a busy one.
        "worker_prefetch_multiplier": 1,
        # After a lost connection the copies of the messages in hand must not keep out new ones: they end at once.
        "worker_enable_prefetch_count_reduction": False,
        "broker_connection_timeout": 5,
        # RabbitMQ drops a silent connection after twice this time; by default after four minutes.
        "broker_heartbeat": 10,
        # By default Celery gives up after 100 attempts; a worker must survive a long outage of its broker.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # By default the pauses between attempts grow: work would wait up to 30 s after the broker is back.
        "worker_consumer": "worker.celery_patches:Consumer",
        # A Redis that is full or has become a replica refuses writes, which by default would end the worker.
        "broker_channel_error_retry": True,
        # Running look-ups are not cancelled: the lease decides whether their outcomes may still be written.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # Never pickle.
        "task_serializer": "json",
        "accept_content": ["json"],
        # One direct queue. A message to a topic exchange whose bindings were flushed is lost without an error.
        "task_queues": [_queue(settings.celery_broker_url)],
        "task_default_queue": QUEUE,
        "task_default_exchange": QUEUE,
        "task_default_exchange_type": "direct",
        "task_default_routing_key": QUEUE,
        # A typo in the name of a queue is an error.
        "task_create_missing_queues": False,
        # The sweeper repairs a failed send: fail soon instead of delaying an API request.
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0.1, "interval_max": 0.2},
        # Flower reads these.
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "worker_hijack_root_logger": False,
        "timezone": "UTC",
    }


def _queue(broker_url: str) -> Queue:
    arguments = QUORUM if is_rabbitmq(broker_url) else None
    return Queue(QUEUE, Exchange(QUEUE, type="direct"), routing_key=QUEUE, queue_arguments=arguments)


def make_app() -> Celery:
    """An application that reads its settings when it is first used and keeps them."""
    made = Celery("growth", include=["worker.tasks"], events="worker.celery_patches:Events", set_as_current=False)
    made.add_defaults(_configuration)
    return made


app = make_app()
app.set_current()
