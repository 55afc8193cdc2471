"""Caches: within a process, shared by processes, and for lookups in flight."""
