"""What a result is worth, found on the cube itself without a truth: injected sources, noise draws, the negated cube."""
