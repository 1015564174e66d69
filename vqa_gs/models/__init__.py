"""The networks: of visual questions, of texts, of multi-label images, one a file in a folder each."""
