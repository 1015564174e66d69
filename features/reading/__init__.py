"""What the public feature formats share: sources of images, and the reading of HDF5, TSV and records."""
