"""The agent: what it writes, where it lives, how one step follows another."""
