"""What the stages ask for through a protocol, on Postgres and Redis."""
