"""SMTP (RFC 5321), as a client that never sends a message."""
