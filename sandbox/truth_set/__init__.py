"""A truth set for the look-up: people of twenty cultures at companies of many behaviours, and their true addresses.

Common given and family names are combined at random, so that no real person is meant. How companies form an address
from a name is written here a second time, on purpose: the truth must not depend on the engine's own code.
"""
