"""The Lava backend: one fused process per layer, on lava-nc 0.10.0."""
