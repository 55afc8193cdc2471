"""The HTTP door: create, read, download."""
