"""A truth set for the look-up: people of twenty cultures at companies of many behaviours, and their true addresses.

Common given and family names are combined by a seed, so that nobody in particular is meant. How companies make an
address of a name is written here a second time, on purpose: nothing here knows how the engine does it.
"""
