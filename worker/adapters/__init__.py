"""Implementations of the stages' protocols on Postgres and Redis."""
