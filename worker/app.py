"""The Celery application: every setting with its reason.

Settings are read when the application is first used, not when this module is imported.
Facts and measurements behind the choices: docs/decisions/0003-celery.md.
"""

import sys
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from models.settings import load_settings

QUEUE = "growth"
QUORUM = {"x-queue-type": "quorum"}
"""RabbitMQ's replicated queue: the only kind that outlives a node."""

SOFT_TIME_LIMIT_S = 90
TIME_LIMIT_S = 120
VISIBILITY_TIMEOUT_S = 300

# A publish is done when the broker has it: one that got lost on a dying connection is noticed, and sent again.
RABBITMQ_TRANSPORT = {"confirm_publish": True}

REDIS_TRANSPORT = {
    "visibility_timeout": VISIBILITY_TIMEOUT_S,
    # Messages of a dead worker come back in seconds, not minutes.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    # A publish must not wait for ever on a dead connection.
    "socket_timeout": 30,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
}


def _configuration() -> dict[str, Any]:
    settings = load_settings()
    if not settings.celery_broker_url:
        sys.exit("REDIS_URL or BROKER_URL must be set, so that tasks can be sent.")
    is_rabbitmq = settings.celery_broker_url.startswith("amqp")
    return {
        "broker_url": settings.celery_broker_url,
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
        "task_soft_time_limit": SOFT_TIME_LIMIT_S,
        "task_time_limit": TIME_LIMIT_S,
        "broker_transport_options": RABBITMQ_TRANSPORT if is_rabbitmq else REDIS_TRANSPORT,
        "broker_connection_timeout": 5,
        # On RabbitMQ a connection that went silent is given up after twice this, not after four minutes.
        "broker_heartbeat": 10,
        # The default gives up after 100 attempts; a worker should outlive a long outage of its broker.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # By default it looks for its broker ever more rarely: work would wait up to 30 s after the broker is back.
        "worker_consumer": "worker.reconnecting:Consumer",
        # A Redis that is full or was made a replica refuses writes: by default that would end the worker for good.
        "broker_channel_error_retry": True,
        # Look-ups in hand are not cut; the lease check decides whether they may still be written.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # Never pickle.
        "task_serializer": "json",
        "accept_content": ["json"],
        # One direct queue. A publish to a topic exchange whose bindings were flushed is lost without a word.
        "task_queues": [_queue(is_rabbitmq)],
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


def _queue(is_rabbitmq: bool) -> Queue:  # noqa: FBT001 - a fact about the broker, decided once
    arguments = QUORUM if is_rabbitmq else None
    return Queue(QUEUE, Exchange(QUEUE, type="direct"), routing_key=QUEUE, queue_arguments=arguments)


app = Celery("growth", include=["worker.tasks"])
app.add_defaults(_configuration)
