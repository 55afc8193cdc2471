"""The engine and its peers as what a benchmark measures: something that does runs in two worker processes."""
