"""The Celery application: every setting with its reason.

Settings are read when the application is first used, not when this module is imported.
Facts and measurements behind the choices: docs/decisions/0003-celery.md.
"""

import math
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from settings import UnusableSettings, load_settings
from worker.broker import QUEUE, connection_settings, is_rabbitmq

QUORUM = {"x-queue-type": "quorum"}
"""RabbitMQ's replicated queue: the only kind that outlives a node."""

TO_END_A_CHUNK_S = 10
"""Seconds beyond a chunk's time that its task may need to write what is in hand."""
TO_BE_KILLED_S = 30
"""Seconds that it has then until its process is killed: long before its message would be delivered again."""

EXPORT_SOFT_TIME_LIMIT_S = 3600
EXPORT_TIME_LIMIT_S = 3630
"""For writing export files, which takes minutes for a million contacts. Their lease ends within seconds if it stands
still; a copy that is delivered meanwhile finds the lease, and ends."""


def _configuration() -> dict[str, Any]:
    settings = load_settings()
    if not settings.celery_broker_url:
        raise UnusableSettings("REDIS_URL or BROKER_URL must be set, so that tasks can be sent.")
    time_limit = math.ceil(settings.chunk_seconds) + TO_END_A_CHUNK_S
    return {
        **connection_settings(settings.celery_broker_url),
        # Postgres is the truth: there is nothing to lose or to expire in a result backend.
        "result_backend": None,
        "task_ignore_result": True,
        # A crash leaves the message to be delivered again; working it twice is harmless by design.
        "task_acks_late": True,
        # A task that kills its process would run for ever; attempts are counted in Postgres instead.
        "task_reject_on_worker_lost": False,
        # No hoarding: a message waits for a free process, not behind a busy one.
        "worker_prefetch_multiplier": 1,
        # No live task is redelivered: it ends long before its message becomes visible again.
        "task_soft_time_limit": time_limit,
        "task_time_limit": time_limit + TO_BE_KILLED_S,
        "broker_connection_timeout": 5,
        # On RabbitMQ a connection that went silent is given up after twice this, not after four minutes.
        "broker_heartbeat": 10,
        # The default gives up after 100 attempts; a worker should outlive a long outage of its broker.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # By default it looks for its broker ever more rarely: work would wait up to 30 s after the broker is back.
        "worker_consumer": "worker.celery_patches:Consumer",
        # A Redis that is full or was made a replica refuses writes: by default that would end the worker for good.
        "broker_channel_error_retry": True,
        # Look-ups in hand are not cut; the lease check decides whether they may still be written.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # Never pickle.
        "task_serializer": "json",
        "accept_content": ["json"],
        # One direct queue. A publish to a topic exchange whose bindings were flushed is lost without a word.
        "task_queues": [_queue(settings.celery_broker_url)],
        "task_default_queue": QUEUE,
        "task_default_exchange": QUEUE,
        "task_default_exchange_type": "direct",
        "task_default_routing_key": QUEUE,
        # A typo in a queue's name is an error.
        "task_create_missing_queues": False,
        # A send that fails is the sweeper's to repair: fail soon instead of holding up an API request.
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
    """An application that reads its settings when it is first used, and keeps them."""
    made = Celery("growth", include=["worker.tasks"], set_as_current=False)
    made.add_defaults(_configuration)
    return made


app = make_app()
app.set_current()
