"""The ONNX backend: the program in integer operators alone, one Scan per loop over time."""
