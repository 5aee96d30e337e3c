"""The demo shop: its traffic, and what its numbers must be."""
