"""The Celery door: tasks of a few lines that carry ids, and call the pipeline."""
