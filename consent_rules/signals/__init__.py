"""What a request says about consent, one file a source: pure, total, bounded in time."""
