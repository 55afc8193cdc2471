"""Finds a person's address: parses the name, ranks candidates, probes the mail server, asks other sources."""
