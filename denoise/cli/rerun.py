"""."""
def rerun() -> None:
    """x."""
