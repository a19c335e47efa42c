"""The Compare dock: two layers against each other, by blinking, a wipe and their difference."""
