"""What is over goes: which it is, and how."""
