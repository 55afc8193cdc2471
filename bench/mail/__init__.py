"""Benchmarks of conversations with mail servers: their pace, their number, and servers that are slow."""
