"""Which regions matter to a question: one source of evidence a file, found by name through `EVIDENCE`."""
