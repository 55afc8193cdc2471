"""From a person's name to the addresses that a company's mail server is worth asking about."""
