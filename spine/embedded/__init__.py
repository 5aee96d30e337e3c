"""The log and the control log on one machine, in one SQLite file."""
