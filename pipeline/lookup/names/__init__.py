"""How the world's names are read: words, order, scripts, short forms, spellings. `lookup.names` is the way in."""
