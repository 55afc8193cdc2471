"""`growth verify`: verifies addresses and lists without a run."""
