"""An SMTP client (RFC 5321) that never sends a message."""
