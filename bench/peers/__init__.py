"""What somebody would use instead of the engine, each as its documentation says, doing the same work.

A run has N contacts and two stages; the result of each contact and stage is a row that must be committed. The programs
run in a virtual environment of their own (`bench/peers/requirements.txt`). Submitters read lines of run, contacts and
mode. `reading` opens export files with other programs' readers.
"""
