"""URLs of Redis: whatever spelling an operator knows, each client gets what it was meant to get."""

import pytest
from redis.connection import parse_url

from models.redis_url import celery_url, database_of, normal_url, with_another_database
from settings import Settings, UnusableSettings, load_settings
from worker.broker import connection_settings

PASSWORD = "p@s:s/w%rd#1?&"
ENCODED = "p%40s%3As%2Fw%25rd%231%3F%26"


@pytest.mark.parametrize(
    ("given", "normal", "broker"),
    [
        ("redis://h", "redis://h/0", "redis://h/1"),
        ("redis://h:6380/", "redis://h:6380/0", "redis://h:6380/1"),
        ("redis://h/3", "redis://h/3", "redis://h/1"),
        ("redis://h/1", "redis://h/1", "redis://h/2"),
        ("redis://h/0?db=2", "redis://h/2", "redis://h/1"),
        ("redis://[::1]:6380", "redis://[::1]:6380/0", "redis://[::1]:6380/1"),
        (f"redis://u:{ENCODED}@h/0", f"redis://u:{ENCODED}@h/0", f"redis://u:{ENCODED}@h/1"),
        (
            "rediss://h?ssl_ca_certs=%2Fca%2Fa.pem&ssl_cert_reqs=CERT_REQUIRED",
            "rediss://h/0?ssl_ca_certs=/ca/a.pem&ssl_cert_reqs=required",
            "rediss://h/1?ssl_ca_certs=/ca/a.pem&ssl_cert_reqs=required",
        ),
        ("unix:///run/r.sock", "unix:///run/r.sock?db=0", "unix:///run/r.sock?db=1"),
        ("unix://u:p@/run/r.sock?db=3", "unix://u:p@/run/r.sock?db=3", "unix://u:p@/run/r.sock?db=1"),
        ("redis+socket://:p@/r.sock?virtual_host=1", "unix://:p@/r.sock?db=1", "unix://:p@/r.sock?db=2"),
    ],
)
def test_the_broker_is_the_same_server_user_and_options_with_another_database(
    given: str, normal: str, broker: str
) -> None:
    settings = Settings(redis_url=given)

    assert (settings.redis_url, settings.celery_broker_url) == (normal, broker)
    assert parse_url(normal).get("db", 0) == database_of(normal) != database_of(broker)
    assert normal_url(broker) == broker


@pytest.mark.parametrize("url", ["amqp://guest:guest@127.0.0.1:5672//", "amqps://h/vhost", "amqp://a//;amqp://b//"])
def test_a_broker_may_be_rabbitmq(url: str) -> None:
    assert Settings(redis_url="redis://h", broker_url=url).celery_broker_url == url


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (f"redis://u:{PASSWORD}@h/0", "percent-encoded"),
        ("redis://u:pw#@h/0", "percent-encoded"),
        ("redis://u:pw/w@h/0", "percent-encoded"),
        ("redis://h:66000/0", "one server"),
        ("redis://[::1/0", "can't be read"),
        ("redis://a,b/0", "one server"),
        ("redis://h/queue", "the number of a database"),
        ("redis://h/0?ssl_ca_certs=/ca.pem", r"options \(ssl_ca_certs\)"),
        ("rediss://h/0?ssl_cert_reqs=maybe", r"options \(ssl_cert_reqs\)"),
        ("redis://h/0?colour=red", r"options \(colour\)"),
        ("sentinel://h:26379", "Sentinel and Cluster are not supported"),
        ("redis+cluster://h", "Sentinel and Cluster are not supported"),
        ("http://h", "it must be a redis:// URL"),
        ("unix://", "a socket"),
    ],
)
def test_a_url_that_can_not_be_used_is_a_sentence_without_the_url(
    url: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_URL", url)
    load_settings.cache_clear()

    with pytest.raises(UnusableSettings, match=sentence) as raised:
        load_settings()

    assert str(raised.value).startswith("Setting BROKER_URL is not usable")
    assert PASSWORD not in str(raised.value)


def test_celery_gets_the_same_server_user_database_and_certificates() -> None:
    url = normal_url(f"rediss://u:{ENCODED}@h:6380/4?ssl_ca_certs=/ca.pem&ssl_cert_reqs=none&socket_timeout=7")

    settings = connection_settings(url)

    assert settings["broker_url"] == f"rediss://u:{ENCODED}@h:6380/4"
    assert settings["broker_use_ssl"] == {"ssl_ca_certs": "/ca.pem", "ssl_cert_reqs": "none"}
    assert settings["broker_transport_options"]["socket_timeout"] == 7


def test_celery_checks_certificates_unless_the_url_says_otherwise() -> None:
    assert connection_settings("rediss://h/0")["broker_use_ssl"] == {"ssl_cert_reqs": "required"}


def test_celery_gets_sockets_in_its_own_spelling() -> None:
    assert celery_url("unix://u:p@/run/r.sock?db=3") == "redis+socket://u:p@/run/r.sock?virtual_host=3"
    assert with_another_database("unix:///run/db=7.sock?db=0") == "unix:///run/db=7.sock?db=1"
