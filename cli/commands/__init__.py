"""The commands that are modules of their own; `cli.main` joins them to the others."""
