"""`beleg erase`: by the running process, or alone."""
