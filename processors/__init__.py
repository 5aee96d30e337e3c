"""Log in, rows out: judge each record, land it, derive what it touches."""
