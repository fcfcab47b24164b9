"""A session's memory: the file, the arena and 2 MB, no more, above an interpreter that has imported the package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from lacewing import Session
from tests.models import Builder

ALLOWED_BYTES = 2 << 20  # above file and arena: the plan, the stack, what Python needs for one call


def test_peak_is_at_most_file_and_arena_and_two_megabytes(tmp_path: Path) -> None:
    builder = Builder(seed=1)
    value = builder.image(64, 56, 56)
    for _ in range(6):  # 2.4 MB of weights
        value = builder.conv(value, 512, kernel=(1, 1), block_rows=4)
        value = builder.conv(value, 384, kernel=(1, 1), block_rows=2, density=0.5)
    path = tmp_path / "model.lace"
    path.write_bytes(builder.finish().to_bytes())
    with Session(path) as session:
        arena, buffers = (
            session.arena_bytes,
            sum(_bytes(t.shape, t.dtype) for t in (*session.inputs, *session.outputs)),
        )
    command = [sys.executable, "-m", "lacewing.bench.probe", "lacewing", str(path), "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak = json.loads(done.stdout)["peak_bytes"]
    limit = path.stat().st_size + arena + buffers + ALLOWED_BYTES
    assert peak <= limit, (
        f"peak {peak}, file {path.stat().st_size}, arena {arena}, inputs and outputs {buffers}"
    )


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    count = 4 if dtype == "float32" else 1
    for dim in shape:
        count *= dim
    return count
