"""Group pruning: which blocks of weights go, and what the kept ones become (docs/sparsity.md)."""
