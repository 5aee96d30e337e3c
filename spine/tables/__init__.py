"""The tables and views of the store, as numbered SQL files."""
