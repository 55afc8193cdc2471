"""What all benchmarks share: turns, medians, the table, the picture, and the file of a result."""
