"""A shop in Django whose orders have addresses found: python shop.py migrate && python shop.py runserver

The shop shares the engine's database: an order and its run are committed together. DATABASE_URL is that database,
BROKER_URL the workers' broker, GROWTH_ACCOUNT_ID the account that pays.
"""

import json
import os
import sys
from functools import partial
from urllib.parse import parse_qsl, unquote, urlsplit

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from growth_client import Refused, Webhook, WebhookRefused
from growth_client.enqueue import NotSent, create_run, send


def database() -> dict[str, object]:
    """Django's settings for DATABASE_URL."""
    url = urlsplit(os.environ["DATABASE_URL"])
    options = dict(parse_qsl(url.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path.lstrip("/"),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": options.pop("host", url.hostname or ""),
        "PORT": options.pop("port", url.port or ""),
        "OPTIONS": options,
    }


settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DATABASES={"default": database()},
    DEBUG=False,
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("SECRET_KEY", "only for this example"),
    USE_TZ=True,
)
django.setup()

hook = Webhook(os.environ["GROWTH_HOOK_SECRET"])


def create_tables() -> None:
    """What migrations would do in a real project."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS shop")
        cursor.execute("CREATE TABLE IF NOT EXISTS shop.orders (number text PRIMARY KEY, run_id uuid, state text)")


@csrf_exempt
@require_POST
def create_order(request: HttpRequest) -> JsonResponse:
    order = json.loads(request.body)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            run = create_run(
                connection, os.environ["GROWTH_ACCOUNT_ID"], order["contacts"], idempotency_key=order["number"]
            )
            cursor.execute(
                "INSERT INTO shop.orders VALUES (%s, %s, 'queued') ON CONFLICT DO NOTHING",
                (order["number"], run.run_id),
            )
            transaction.on_commit(partial(start, str(run.run_id)))
    except Refused as error:
        return JsonResponse({"detail": error.detail}, status=error.status)
    return JsonResponse({"run_id": str(run.run_id)}, status=202)


def start(run_id: str) -> None:
    """Tell the workers; if their broker is away, the engine's sweeper does it later."""
    try:
        send(os.environ["BROKER_URL"], run_id)
    except NotSent as error:
        print(error, file=sys.stderr)


def show_order(_request: HttpRequest, number: str) -> JsonResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT run_id, state FROM shop.orders WHERE number = %s", (number,))
        row = cursor.fetchone()
    if row is None:
        return JsonResponse({"detail": "There is no such order."}, status=404)
    return JsonResponse({"run_id": str(row[0]), "state": row[1]})


@csrf_exempt
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    try:
        event = hook.verify(request.body, request.headers)
    except WebhookRefused as error:
        return HttpResponse(str(error), status=401)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE shop.orders SET state = %s WHERE run_id = %s",
            (event["type"].removeprefix("run."), event["data"]["run_id"]),
        )
    return HttpResponse(status=204)


urlpatterns = [
    path("orders", create_order),
    path("orders/<str:number>", show_order),
    path("hooks/growth", receive),
]
application = get_wsgi_application()

if __name__ == "__main__":
    if sys.argv[1:] == ["migrate"]:
        create_tables()
    else:
        execute_from_command_line(sys.argv)
