"""The `growth` command, for people and scripts; and embedded servers for a laptop."""
