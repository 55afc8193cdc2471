"""A small internet on loopback: what the demo, the tests and the benchmarks use as the outside world.

Real DNS and SMTP servers, some 60 invented domains of different behaviours, and people whose true addresses are
known, so that what the engine finds can be held against the truth. Everything is seeded. The engine reaches
it by ordinary settings only (`sandbox.internet.Internet.settings`), and nothing here knows the engine.
"""
