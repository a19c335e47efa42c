"""."""
def demo() -> None:
    """x."""
