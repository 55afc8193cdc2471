"""Sources of addresses beyond a domain's own mail server, cheapest first, none paid twice for the same question.

A `Source` answers about one person. `Metered` adds a rate limit, a circuit breaker and the journal, to which each
question is written before it is sent. A `Waterfall` asks one source after the other.
"""
