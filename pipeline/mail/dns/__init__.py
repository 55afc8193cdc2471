"""DNS lookups: where a domain takes mail."""
