"""The sweeper: sends the chain again for runs that have work and no live lease, or were never sent."""
