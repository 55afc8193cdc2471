"""Patterns of addresses, and how probable each is at a domain."""
