"""."""


def demo() -> None:
    """x."""
