"""Targets: unnormalized log densities that count their evaluations."""
