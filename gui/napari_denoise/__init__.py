"""The viewer: a napari plugin over the package `denoise`. Everything is imported on first use."""
