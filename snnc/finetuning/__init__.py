"""Training of the integers themselves: the shipped program forward, real gradients backward."""
