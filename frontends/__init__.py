"""Frontends: from the user's trained model to a graph of real-valued operators."""
