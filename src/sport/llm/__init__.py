"""Language models: a script, a model of this machine, a server. Each is an LLM as ``base`` has it."""
