"""The Denoise dock: a method and its parameters, a preview, the run, and how it was done."""
