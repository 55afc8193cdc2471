"""Benchmarks of files: lists that are uploaded, large runs of them, and exports."""
