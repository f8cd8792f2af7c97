"""Ways to change a part of a photo."""
