"""From float ranges and weights to the u7 activations and int8 weights of docs/quantization.md."""
