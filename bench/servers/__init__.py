"""The mail servers and name servers of the benchmarks, beside those of the sandbox. All on loopback."""
