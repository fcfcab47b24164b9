"""The self-test: small models with random weights, and the digests that every machine must get from them."""
