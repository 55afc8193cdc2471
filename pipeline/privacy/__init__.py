"""Suppression lists, erasure of people, and retention of run data."""
