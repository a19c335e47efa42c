"""."""


def rerun() -> None:
    """x."""
