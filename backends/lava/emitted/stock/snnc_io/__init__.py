"""Processes that feed and record the network."""
