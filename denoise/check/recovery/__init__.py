"""Sources put into a cube, what a method makes of them, and fluxes corrected by that."""
