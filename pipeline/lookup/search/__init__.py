"""The search for one domain's addresses: what to ask next, and what the answers mean."""
