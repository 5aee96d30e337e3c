"""What is added to an event before it lands. Pure."""
