"""Speed of the emitted C against frameworks: ``python -m examples.benchmarks.c_speed``."""
