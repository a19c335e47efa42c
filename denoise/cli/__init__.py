"""The command ``denoise``: thin functions over the engine, one module per command."""
