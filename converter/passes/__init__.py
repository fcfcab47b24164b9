"""The passes that turn an imported graph into the canonical one, in order: the one list."""

from __future__ import annotations

from collections.abc import Callable

from ..ir import Graph
from .batch_norm import batch_norm_to_affine
from .check import check_canonical
from .dead_code import remove_dead_code
from .flatten_gemm import flatten_gemm_to_conv
from .fold_affine import affine_to_depthwise, fold_affine, merge_affine
from .fuse_clip import fuse_clip
from .fuse_pad import fuse_pad
from .gates import recognize_gates
from .movement import simplify_movement
from .subsample import merge_subsampling

__all__ = ["PASSES", "TRAINING_PASSES", "run_passes"]

Pass = Callable[[Graph], None]

PASSES: tuple[Pass, ...] = (
    simplify_movement,
    flatten_gemm_to_conv,  # before clamps and normalizations go, here and in training, so that both prune the same blocks
    batch_norm_to_affine,
    recognize_gates,
    merge_affine,  # after the first look, lest a normalization hides the factor that a gate ends with
    recognize_gates,
    remove_dead_code,  # a gate's parts would keep values from having one reader
    fuse_pad,
    merge_subsampling,
    remove_dead_code,
    fold_affine,
    fuse_clip,
    affine_to_depthwise,
    remove_dead_code,
    simplify_movement,
    remove_dead_code,
    check_canonical,
)

# Those of the passes that keep every parameter that training changes: batch norms stay.
TRAINING_PASSES: tuple[Pass, ...] = (
    simplify_movement,
    flatten_gemm_to_conv,
    recognize_gates,
    merge_affine,
    recognize_gates,
    remove_dead_code,
)


def run_passes(graph: Graph) -> Graph:
    """Rewrites ``graph`` in place into canonical form and returns it.

    Raises UnsupportedModelError for what has no canonical form or exceeds the limits of the file format.
    """
    for step in PASSES:
        step(graph)
    return graph
