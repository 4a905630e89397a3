"""The torch backend: the integer program as a ``torch.nn.Module``, batched, on any device."""
