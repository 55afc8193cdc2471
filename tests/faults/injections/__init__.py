"""The faults, by what they hit. Each disturbs a running run, and returns when it did and which chunks it hit."""
