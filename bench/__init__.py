"""Benchmarks: the engine beside its peers, and beside itself.

`make bench` measures all of them in about five minutes, `make bench-full` takes its time. Each is a module of its own
(`python -m bench.orchestration --help`), prints a table and ends in one line of JSON. What it measured stays in
`bench/results/` with the commit, the versions and the machine, beside a picture; README and docs quote from there
(`python -m bench.reporting.quotes`). Contenders take turns within one run, so that a busy moment of the machine meets
all.

Those of files that come and go are in `files`, those of conversations with mail servers in `mail`. `reporting` is what
all benchmarks share, `contenders` runs the engine and its peers, `servers` are mail servers and name servers, `peers`
are the programs of the peers, in a virtual environment of their own.
"""
