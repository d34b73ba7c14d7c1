"""Side-by-side measurements of Clary and what people use instead: one module for each claim. See README.md."""
