"""Delivers the messages of hooks, in a thread of the sweeper."""
