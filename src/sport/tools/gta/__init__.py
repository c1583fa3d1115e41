"""GTA's fourteen tools (arXiv 2407.08713) under their own names and schemas, on top of ours."""
