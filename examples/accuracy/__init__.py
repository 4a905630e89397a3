"""What quantization costs in accuracy: six networks, several trainings each, on real data."""
