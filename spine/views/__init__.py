"""The views of the store, each as it is now; laid anew whenever a migration was done."""
