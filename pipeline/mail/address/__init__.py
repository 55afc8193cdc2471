"""Addresses (RFC 5321, 5322), and what can be said of one without asking anybody."""
