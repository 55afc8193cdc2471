"""`growth doctor`: checks what the engine needs and says what to do."""
