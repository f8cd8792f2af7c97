"""Projections of a network's units together with the photos that they were made for."""
