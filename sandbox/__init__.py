"""A small internet on loopback: what the demo, the tests and the benchmarks use as the outside world.

It consists of real DNS and SMTP servers, some 60 invented domains that behave differently, and invented people. Their
true addresses are known, so the engine's results can be compared with the truth. A seed determines everything that is
invented. The engine reaches the sandbox by ordinary settings (`sandbox.internet.Internet.settings`); the sandbox
imports nothing of the engine.
"""
