"""Uploads: files of contacts that are stored while they arrive, read once they are complete, and worked by runs.

`receiving` stores bytes, `reading` makes rows of them, `contacts` gives the rows to a run, `expiry` deletes what nobody
needs any more.
"""
