"""`growth verify`: addresses and lists of them, checked without a run."""
