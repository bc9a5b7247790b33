"""Several processes that train one sampler."""
