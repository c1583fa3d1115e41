"""Tuning: one trajectory is one row of tokens, and one forward pass (step-wise DPO and SFT, with LoRA).

``pack`` lays a tree out as a row, ``attention`` keeps its branches apart, ``loss`` is the mathematics, ``trainer`` the
optimiser, ``run.tune`` the whole stage. Importing this package loads nothing;
``pack`` needs no torch, everything else does.
"""
