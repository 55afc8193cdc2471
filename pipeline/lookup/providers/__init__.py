"""Sources of addresses beyond a domain's own mail server, cheapest first, and what keeps them from being paid twice.

A `Source` answers about one person. `Metered` puts in front of a paid one its pace, its circuit breaker and the
journal in which each question is written before it is asked. A `Waterfall` asks one source after the other.
"""
