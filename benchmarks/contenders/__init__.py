"""What `benchmarks/tuning.py` compares: one problem, the ways of ours, and TRL. Each runs in a process of its own."""
