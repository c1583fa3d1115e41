"""Where model-written code runs: interpreters that can be forked into isolated futures."""
