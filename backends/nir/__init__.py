"""The NIR target: the network in real numbers, for exchange with other tools."""
