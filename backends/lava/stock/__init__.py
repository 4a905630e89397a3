"""Lava's ``stock`` mode: the network in processes that lava-nc itself provides."""
