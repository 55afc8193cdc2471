"""What Celery does wrong, corrected in our own worker."""
