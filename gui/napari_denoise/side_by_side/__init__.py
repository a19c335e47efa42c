"""Several methods on the same part of a cube, side by side."""
