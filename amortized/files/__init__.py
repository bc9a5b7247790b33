"""What the command line reads and writes: a user's model file, and output files that appear whole or not at all."""
