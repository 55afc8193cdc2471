"""Parses the world's names: words, order, scripts, short forms, spellings. `parse` is the entry point."""
