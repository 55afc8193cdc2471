"""Patterns of addresses, and the probability of each at a domain."""
