"""What must not be kept, or not be used: suppressions, erasure, retention."""
