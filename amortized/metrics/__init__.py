"""How far draws lie from the truth: figures of the benchmark. Each is a function of tensors."""
