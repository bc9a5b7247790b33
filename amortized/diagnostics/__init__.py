"""Diagnostics: they read records (draws, paths, log weights) and never a guide."""
