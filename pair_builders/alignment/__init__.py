"""Which region of one image corresponds to which of another, and the directions that follow from it."""
