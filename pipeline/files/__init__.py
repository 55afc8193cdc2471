"""Reads files of contacts as people have them. One reader for the command line, the API and the page.

`table.open_table` finds out how a file is to be read: `source` (compression, kind), `encoding` (of text), `dialect`
(delimiter, quotes), `layout` (what stands above the header). `Table.rows` then streams it, so that a file may have any
size. `columns` recognises what the columns mean, `contacts` makes contacts of the rows. No SQL, HTTP, Celery or
settings.
"""
