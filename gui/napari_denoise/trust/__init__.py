"""What a result is worth: studies of a cube, and how real its regions are."""
