"""Taking somebody out of the store, for good, with a receipt."""
