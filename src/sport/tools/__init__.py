"""Tools that a controller may call, and the pool of processes that runs them."""
