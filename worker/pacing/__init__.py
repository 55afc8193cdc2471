"""Pacing across all workers: Redis holds which connections to mail hosts are open (docs/explanation/pacing.md)."""
