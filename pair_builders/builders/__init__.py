"""Which questions belong together: one builder of pairs a file, found by name through `BUILDERS`."""
