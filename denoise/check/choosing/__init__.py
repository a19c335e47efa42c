"""Methods and parameters compared on one cube by what they were not shown."""
