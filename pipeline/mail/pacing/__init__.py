"""How many conversations a mail host or provider gets at a time."""
