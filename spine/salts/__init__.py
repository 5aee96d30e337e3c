"""The salts of visitor ids that last a day."""
