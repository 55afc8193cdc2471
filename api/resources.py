"""The resources that requests use: the settings, Postgres, Redis and storage of this process."""

from dataclasses import dataclass

import redis
from fastapi import Request

from models.database import Database, open_database
from models.redis_server import open_redis
from pipeline.storage import Storage, open_storage
from settings import Settings

REDIS_TIMEOUT_S = 0.5


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources of one process."""

    settings: Settings
    database: Database
    redis: redis.Redis
    storage: Storage

    def close(self) -> None:
        self.redis.close()
        self.database.close()


def open_resources(settings: Settings, connections: int) -> Resources:
    """Open the resources, with at most `connections` connections to Postgres."""
    return Resources(
        settings,
        open_database(settings.database_url, pool_size=connections, pool_timeout=5),
        open_redis(settings.redis_url, REDIS_TIMEOUT_S),
        open_storage(settings.export_storage, settings.export_dir),
    )


def resources_of(request: Request) -> Resources:
    """The resources of the process that received the request."""
    resources: Resources = request.app.state.resources
    return resources


def settings_of(request: Request) -> Settings:
    """The settings of this process."""
    return resources_of(request).settings


def database_of(request: Request) -> Database:
    """The database of this process."""
    return resources_of(request).database


def redis_of(request: Request) -> redis.Redis:
    """The Redis client of this process."""
    return resources_of(request).redis


def storage_of(request: Request) -> Storage:
    """The storage of files of this process."""
    return resources_of(request).storage
