"""Verification of addresses: where a domain takes mail, what its servers reply to probes, and what that means."""
