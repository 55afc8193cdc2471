"""The faults, by what they hurt: each does its damage to a run in the middle of its work, and says when and to whom."""
