"""Accuracy of group-sparse int8 networks on CIFAR-10, fine-tuned from float, and what else costs the same time."""
