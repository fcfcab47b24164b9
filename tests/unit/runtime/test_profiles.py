"""Device profiles: the file people may write, the cost model, the fit, and measuring."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import nnls

from lacewing import cli
from lacewing.exit_codes import ExitCode
from lacewing.format import Model
from lacewing.profiles import measure, profile
from lacewing.profiles.errors import ProfileError
from lacewing.profiles.fit import Sample, fit, nonnegative_least_squares
from lacewing.profiles.profile import Profile, for_file, for_this_machine, load, parse, shipped, to_toml
from lacewing.profiles.work import BLOCKS, OPTIONAL, REQUIRED, WIDE_BLOCK, Conv, conv_work, op_work
from lacewing.selftest.models import MODELS

Captured = pytest.CaptureFixture[str]
SHIPPED = {"x86-avx2": "avx2", "x86-avx512vnni": "avx512vnni", "x86-xeon": "avx512vnni"}  # name: tier


def random_profile(seed: int, wide: bool = False) -> Profile:
    rng = np.random.default_rng(seed)
    kernels = {**REQUIRED, **(OPTIONAL if wide else {})}
    costs = {k: {u: round(float(rng.exponential()), 3) for u in units} for k, units in kernels.items()}
    return Profile("test", "avx2", "a test", "2026-01-01", int(rng.choice([4, 8, 16])), costs)


def random_conv(rng: np.random.Generator) -> Conv:
    size, kernel = int(rng.integers(1, 60)), int(rng.choice([1, 3]))
    return Conv(*(int(n) for n in rng.integers(1, 300, 2)), kernel**2, size, size, kernel > 1)


def test_the_shipped_profiles_load_and_name_themselves() -> None:
    assert shipped() == list(SHIPPED)
    for name, tier in SHIPPED.items():
        found = load(name)
        assert (found.name, found.tier) == (name, tier)
        assert all(any(units.values()) for kernel, units in found.costs.items()), name


@pytest.mark.parametrize("wide", [False, True])
def test_a_profile_survives_its_text(wide: bool) -> None:
    written = random_profile(3, wide)
    assert parse(to_toml(written), "text") == written
    assert (WIDE_BLOCK in written.blocks) == wide


GOOD = to_toml(random_profile(0))
MISTAKES = {
    "no TOML": ("schema = = 1", "is not TOML"),
    "empty": ("", "schema is None"),
    "another schema": (GOOD.replace("schema = 1", "schema = 2"), "schema is 2"),
    "no name": (GOOD.replace('name = "test"\n', ""), "the file lacks name"),
    "name of two lines": (GOOD.replace('"test"', '"a\\nb"'), "name is"),
    "name that is a number": (GOOD.replace('"test"', "5"), "name is 5"),
    "step of nothing": (GOOD.replace("pixel_step = ", "pixel_step = 0 #"), "pixel_step is 0"),
    "step that is true": (GOOD.replace("pixel_step = ", "pixel_step = true #"), "pixel_step is True"),
    "unknown key": ("speed = 3\n" + GOOD, "unknown 'speed'"),
    "no costs": (GOOD.partition("\n\n")[0] + "\nnanoseconds = 4\n", "nanoseconds is no table"),
    "missing kernel": (
        GOOD.replace("[nanoseconds.add]\n", "[nanoseconds.odd]\n"),
        "nanoseconds lacks add and has",
    ),
    "missing unit": (GOOD.replace("tap = ", "trap = ", 1), "lacks tap and has unknown 'trap'"),
    "negative cost": (GOOD.replace("call = ", "call = -", 1), "nanoseconds.gemm-dense.call is -"),
    "cost that is no number": (GOOD.replace("call = ", "call = nan #", 1), "gemm-dense.call is nan"),
    "cost that is a text": (GOOD.replace("call = ", 'call = "1" #', 1), "gemm-dense.call is '1'"),
    "half of the wide kernels": (
        to_toml(random_profile(0, wide=True)).partition("\n[nanoseconds.gemv-4x8]")[0],
        "give all of them or none",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_profile_with_a_mistake_is_refused(case: str) -> None:
    text, message = MISTAKES[case]
    assert parse(GOOD, "GOOD").name == "test"
    with pytest.raises(ProfileError) as caught:
        parse(text, "mine.toml")
    assert str(caught.value).startswith("mine.toml: ") and message in str(caught.value)


def test_profiles_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"no device profile 'abacus'; there are x86-avx2, x86-avx512vnni"):
        load("abacus")
    with pytest.raises(ProfileError, match="cannot be read"):
        load(str(tmp_path / "none.toml"))
    path = tmp_path / "bytes.toml"
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(ProfileError, match="not UTF-8"):
        load(str(path))
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ProfileError, match="this is no device profile"):
        load(str(path))


def test_the_profile_of_a_file_and_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lacewing.library.best_tier", lambda: "avx512vnni")
    assert for_this_machine().name == "x86-avx512vnni"  # not the Xeon's of the same tier
    monkeypatch.setattr("lacewing.library.best_tier", lambda: "avx2")
    assert for_this_machine().name == "x86-avx2"
    assert for_file({"profile": "x86-avx512vnni"}).name == "x86-avx512vnni"
    assert for_file({"profile": "somebody's"}).name == for_file({"profile": 7}).name == "x86-avx2"
    monkeypatch.setattr("lacewing.library.best_tier", lambda: "scalar")
    assert for_this_machine().name == profile.FALLBACK


@pytest.mark.parametrize("seed", range(20))
def test_fewer_kept_blocks_are_never_slower(seed: int) -> None:
    rng = np.random.default_rng(seed)
    conv = random_conv(rng)
    for costs in (random_profile(seed, wide=True), load("x86-avx512vnni"), load("x86-avx2")):
        for block in (*BLOCKS, WIDE_BLOCK):
            times = [costs.conv(conv, block, kept) for kept in np.linspace(0, conv.blocks(block), 12)]
            assert np.all(np.diff(times) >= 0), (seed, conv, block, times)


@pytest.mark.parametrize("name", MODELS)
def test_every_operator_of_a_file_has_a_time(name: str) -> None:
    model = MODELS[name]()
    for op in model.ops:
        for work in op_work(model, op, 8, wide=False):
            assert set(work.amounts) == set(REQUIRED[work.kernel]), (op.name, work)
        assert load("x86-avx2").op(model, op) > 0, op.name


def test_pairs_of_blocks_count_as_wide_ones_where_the_device_has_them() -> None:
    narrow, wide = random_profile(1), random_profile(1, wide=True)
    model = measure.conv_model(measure.Shape(32, 32, 8, 1, 1), wide=True)
    sparse = [op for op in model.ops if op.kind == "conv" and op.attributes["encoding"]]
    assert len(sparse) == len(measure.DENSITIES)
    conv = Conv(32, 32, 1, 8, 8, packed=False)
    for op in sparse:
        pairs = len(op.data["weights"]) // 2
        assert wide.op(model, op) == wide.conv(conv, WIDE_BLOCK, pairs)
        assert (
            narrow.op(model, op)
            == narrow.conv(conv, "4x4", 2 * pairs)
            == narrow.conv(conv, WIDE_BLOCK, pairs)
        )


@pytest.mark.parametrize("seed", range(8))
def test_least_squares_without_negative_numbers_is_the_one_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.random((40, 12)) * 10.0 ** rng.integers(-3, 4, 12)
    matrix[:, 3] = 0
    target = matrix @ rng.normal(size=12) + rng.normal(size=40)
    got, (wanted, residual) = nonnegative_least_squares(matrix, target), nnls(matrix, target)
    assert got.min() >= 0
    assert np.linalg.norm(matrix @ got - target) == pytest.approx(residual, rel=1e-6), (seed, got, wanted)


def test_the_fit_finds_the_costs_again() -> None:
    rng = np.random.default_rng(5)
    true, samples = random_profile(5), []
    for _ in range(600):
        conv, block = random_conv(rng), str(rng.choice(["dense", *BLOCKS]))
        kept = 0 if block == "dense" else int(rng.integers(0, conv.blocks(block) + 1))
        work = conv_work(conv, block, kept, true.pixel_step)
        samples.append(Sample(work, true.nanoseconds(work) * (1 + 0.01 * rng.normal())))
    costs, errors = fit(samples)
    assert np.median(np.abs(errors)) < 0.01
    assert costs["gemm-2x4"]["product"] == pytest.approx(true.costs["gemm-2x4"]["product"], rel=0.05)
    assert all(value == 0 for value in costs["softmax"].values())  # nothing was measured of it


@pytest.fixture
def few_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    few = [measure.Shape(16, 16, 8, 3, 2), measure.Shape(32, 16, 9, 1, 1), measure.Shape(64, 16, 1, 1, 1)]
    monkeypatch.setattr(measure, "shapes", lambda: few)
    monkeypatch.setattr(measure, "OTHER_SHAPES", ((8, 8),))


@pytest.mark.usefixtures("few_shapes")
def test_profile_writes_what_convert_and_inspect_read(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LACEWING_TIER", "scalar")
    output = tmp_path / "toaster.toml"
    assert cli.main(["profile", "-o", str(output), "--seconds", "0.1", "--json"]) == ExitCode.OK
    report = json.loads(capsys.readouterr().out)
    found = load(str(output))
    assert (found.name, found.tier, report["profile"]["name"]) == ("toaster", "scalar", "toaster")
    assert all(any(found.costs[kernel].values()) for kernel in ("gemm-2x4", "gemv-dense", "add", "depthwise"))
    assert cli.main(["profile", "--seconds", "0.1", "--name", 'a "b"']) == ExitCode.OK
    assert parse(capsys.readouterr().out, "stdout").name == 'a "b"'


def test_profile_measures_wide_blocks_where_the_tier_has_them() -> None:
    for shape in measure.shapes()[:3]:
        model = measure.conv_model(shape, wide=True)
        Model.from_bytes(model.to_bytes())
        sparse = [op for op in model.ops if op.kind == "conv" and op.attributes["encoding"]]
        assert all(
            work.kernel.endswith(WIDE_BLOCK) for op in sparse for work in op_work(model, op, 8, True)[:1]
        )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--seconds", "0"], ExitCode.USAGE, "--seconds 0"),
        (["--seconds", "nan"], ExitCode.USAGE, "--seconds nan"),
        (["--name", "a\nb"], ExitCode.USAGE, "--name"),
        (["-o", "/nowhere/device.toml"], ExitCode.OUTPUT, "the folder /nowhere does not exist"),
    ],
)
def test_mistakes_of_profile(arguments: list[str], code: ExitCode, message: str, capsys: Captured) -> None:
    assert cli.main(["profile", *arguments]) == code
    assert message in capsys.readouterr().err


def test_inspect_predicts_with_the_profile_that_is_named(
    classifier_path: Path, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    page = tmp_path / "page.html"
    line = ["inspect", str(classifier_path), "--profile", str(path), "--html", str(page), "--json"]
    assert cli.main(line) == ExitCode.OK
    report = json.loads(capsys.readouterr().out)
    model, costs = Model.from_bytes(classifier_path.read_bytes()), parse(GOOD, "")
    wanted = [costs.op(model, op) / 1e3 for op in model.ops]
    assert [layer["predicted_us"] for layer in report["layers"]] == pytest.approx(wanted)
    assert report["profile"] == "test" and report["predicted_ms"] == pytest.approx(sum(wanted) / 1e3)
    assert f"{sum(wanted) / 1e3:.3f} ms, test" in page.read_text()
    assert cli.main(["inspect", str(classifier_path)]) == ExitCode.OK
    assert f"ms predicted, {for_this_machine().name}" in capsys.readouterr().out
    assert cli.main(["inspect", str(classifier_path), "--profile", "abacus"]) == ExitCode.USAGE
    assert "there are x86-avx2" in capsys.readouterr().err
