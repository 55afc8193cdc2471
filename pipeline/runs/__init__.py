"""A run's life: created, worked chunk by chunk, ended, retried."""
