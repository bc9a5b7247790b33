"""Files of numbers: tensors and words that are read back without running anything."""
