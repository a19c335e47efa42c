"""."""


def info() -> None:
    """x."""
