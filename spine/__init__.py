"""The floor both halves stand on: what an event is, the log it travels on, the store it rests in.

Nothing here knows about HTTP requests, consent rules or derived tables, and nothing here imports
another room of the house.
"""
