"""`growth up` and `growth demo`: everything on this machine, on embedded servers."""
