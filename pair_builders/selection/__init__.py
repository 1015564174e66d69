"""Which of the pairs found are worth learning from: one rule a file, found by name through `SELECTIONS`."""
