"""What is checked of a model, its data and its density; ``amortized.targets.pyro`` says when."""
