"""HTTP in, log out: from a socket to durable records, one answer per event."""
