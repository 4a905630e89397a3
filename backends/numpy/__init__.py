"""The NumPy backend: the defining simulator as a folder that runs with NumPy alone."""
