"""Limits on the connections to each mail host and provider."""
