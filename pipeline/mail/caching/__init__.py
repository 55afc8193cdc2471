"""Answers that are remembered for a time, and shared by processes."""
