"""Addresses (RFC 5321, 5322), and what is known of one without a probe."""
