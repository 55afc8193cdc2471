"""Verdicts from and for programs that speak Reacher's JSON."""
