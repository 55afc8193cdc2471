"""Which API the command talks to, and the errors about an unusable address or key."""

from pathlib import Path

import pytest

from cli.client import ApiClient, ApiError, Credentials, find_credentials
from tests.unit.cli.scripted_api import scripted_api, state

URL, KEY = "GROWTH_API_URL", "GROWTH_API_KEY"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({URL: "http://127.0.0.1:9"}, "GROWTH_API_KEY is not: set both"),
        ({KEY: "growth_x"}, "GROWTH_API_URL is not: set both"),
        ({URL: "127.0.0.1:8000", KEY: "growth_x"}, "GROWTH_API_URL is not usable"),
        ({URL: "http://[::1", KEY: "growth_x"}, "GROWTH_API_URL is not usable"),
        ({URL: "http://x.test:99999", KEY: "growth_x"}, "GROWTH_API_URL is not usable"),
        ({URL: "http://me:secret@x.test", KEY: "growth_x"}, "GROWTH_API_URL is not usable"),
        ({URL: "http://127.0.0.1:9", KEY: "growth_ß"}, "GROWTH_API_KEY holds characters"),
        ({URL: "", KEY: ""}, "start one with `growth up`, give --home"),
    ],
)
def test_an_unusable_address_or_key_is_reported_without_showing_it(
    settings: dict[str, str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (URL, KEY):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ApiError, match=sentence) as refused:
        find_credentials(tmp_path)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("data", ["", "{", "[]", '{"api_url": "http://x.test"}', "\udcff"])
def test_damaged_credentials_say_what_to_do(data: str, tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text(data, errors="surrogateescape")

    with pytest.raises(ApiError, match="is damaged: delete it"):
        find_credentials(tmp_path)


def test_credentials_are_kept_for_their_owner_only_and_those_of_other_versions_are_read(tmp_path: Path) -> None:
    kept = Credentials("http://127.0.0.1:8000", "growth_x", "postgresql://x", {"SMTP_PORT": "2525"})

    kept.save(tmp_path)
    path = tmp_path / "credentials.json"

    assert path.stat().st_mode & 0o777 == 0o600
    assert find_credentials(tmp_path) == kept
    path.write_text('{"api_url": "http://x.test", "api_key": "growth_x", "of_tomorrow": 1}')
    assert find_credentials(tmp_path) == Credentials("http://x.test", "growth_x")


@pytest.mark.parametrize("run_id", ["4711", "../../healthz", "a?b#c", "\udcff", ""])
def test_a_malformed_run_id_is_reported_without_a_request(run_id: str) -> None:
    with scripted_api(state()) as (credentials, script), ApiClient(credentials) as client:
        with pytest.raises(ApiError, match="is not a run's id"):
            client.read_run(run_id)

        assert script.requests == []


def test_an_address_with_a_path_is_the_api_behind_that_path() -> None:
    with (
        scripted_api(state()) as (credentials, script),
        ApiClient(Credentials(f"{credentials.api_url}/engine", "growth_x")) as client,
    ):
        client.read_run("7c3e1d22-9b4a-4f8c-b1e2-3d5f0a7c9e1b")

    assert script.requests[0][1] == "/engine/api/v1/growth/runs/7c3e1d22-9b4a-4f8c-b1e2-3d5f0a7c9e1b"
