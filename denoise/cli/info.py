"""."""
def info() -> None:
    """x."""
