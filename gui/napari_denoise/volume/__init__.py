"""Input and result in 3D, side by side."""
