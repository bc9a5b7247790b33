"""Several processes that train and draw as one."""
