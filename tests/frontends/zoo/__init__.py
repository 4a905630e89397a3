"""A zoo of spiking networks: each is exported, proven, compared and, where it can be, compiled."""
