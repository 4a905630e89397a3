"""Networks for Loihi, trained on digits, and a Lava program around one of them."""
