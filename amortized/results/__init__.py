"""The records of draws and their ways out: a posterior, its draws, ArviZ."""
