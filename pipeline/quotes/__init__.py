"""Quotes: what a run would cost and find, and the token that confirms it."""
