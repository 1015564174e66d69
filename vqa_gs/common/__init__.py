"""What the floors share: errors, atomic files, restricted pickles, the registry of parts, provenance."""
