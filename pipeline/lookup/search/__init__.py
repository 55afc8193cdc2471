"""Searches for one domain's addresses: plans the probes, and draws conclusions from the answers."""
