"""Everything about mail servers: where a domain takes mail, what its server says, and what that means."""
