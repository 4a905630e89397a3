"""Every family of networks that snnc compiles, written in plain PyTorch from its equations."""
