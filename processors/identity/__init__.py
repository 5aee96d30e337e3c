"""Who is one person, and why."""
