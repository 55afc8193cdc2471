"""The `growth` command, and the embedded servers that it can start."""
