"""The regions of an output, how real each is, and what the residual still holds."""
