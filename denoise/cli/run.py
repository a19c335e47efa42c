"""."""
def run() -> None:
    """x."""
