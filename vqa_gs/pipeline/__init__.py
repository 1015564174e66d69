"""What tasks are made of: plans of batches, pair ends, splits that are scored, texts."""
