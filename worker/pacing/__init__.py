"""Pacing across all workers: who may connect to which mail host is kept in Redis (docs/pacing.md)."""
