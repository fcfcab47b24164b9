"""Calibration data: every source, every way it can be wrong."""

import numpy as np
import pytest
from PIL import Image

from lacewing.converter.calibration import Preprocessing, open_dataset
from lacewing.converter.calibration.sources import spread
from lacewing.converter.errors import CalibrationError, OptionError

SHAPES = {"x": (1, 3, 8, 8)}


def picture(path, size=(20, 10), colour=(255, 0, 127)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_images_are_found_in_the_whole_tree_and_spread(tmp_path):
    for i in range(10):
        picture(tmp_path / f"class{i % 2}" / f"{i:02}.png")
    dataset = open_dataset(tmp_path, SHAPES, 4)
    assert dataset.names == ["class0/00.png", "class0/04.png", "class1/01.png", "class1/05.png"]
    sample = next(iter(dataset))["x"]
    assert sample.shape == (1, 3, 8, 8)
    assert sample.dtype == np.float32
    np.testing.assert_allclose(sample[0, :, 0, 0], [1, -1, -0.5 / 127.5], atol=1e-6)


def test_spread():
    assert spread(10, 4) == [0, 2, 5, 7]
    assert spread(3, 8) == [0, 1, 2]


def test_preprocessing_options(tmp_path):
    picture(tmp_path / "a.png")
    given = Preprocessing((10.0, 20.0, 30.0), (1.0, 2.0, 1.0), "bgr", resize=9)
    sample = given.load(tmp_path / "a.png", (1, 3, 8, 8))
    np.testing.assert_allclose(sample[0, :, 4, 4], [117, -10, 225])


def test_channels_last_and_grey(tmp_path):
    picture(tmp_path / "a.png", colour=(100, 100, 100))
    assert Preprocessing().load(tmp_path / "a.png", (1, 8, 6, 3)).shape == (1, 8, 6, 3)
    grey = Preprocessing((0.0,), (1.0,)).load(tmp_path / "a.png", (1, 1, 8, 6))
    assert grey.shape == (1, 1, 8, 6)
    assert np.all(grey == 100)


def test_crop_is_the_centre(tmp_path):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, 12:20] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    sample = Preprocessing((0.0,), (1.0,), resize=16).load(tmp_path / "a.png", (1, 3, 8, 8))
    assert sample.min() == 255


@pytest.mark.parametrize(
    "bad", [{"mean": (1.0, 2.0)}, {"std": (0.0,)}, {"channels": "grb"}, {"resize": 0}, {"mean": (np.nan,)}]
)
def test_preprocessing_that_makes_no_sense(bad):
    with pytest.raises(OptionError):
        Preprocessing(**bad)


def test_arrays(tmp_path):
    data = np.random.default_rng(0).normal(size=(5, 3, 8, 8)).astype(np.float32)
    np.save(tmp_path / "a.npy", data)
    np.savez(tmp_path / "b.npz", x=data[:, None])
    for name in ("a.npy", "b.npz"):
        found = [s["x"] for s in open_dataset(tmp_path / name, SHAPES)]
        np.testing.assert_array_equal(np.concatenate(found), data)


def test_several_inputs(tmp_path):
    np.savez(tmp_path / "b.npz", x=np.ones((2, 3, 8, 8)), y=np.zeros((2, 4)))
    sample = next(iter(open_dataset(tmp_path / "b.npz", {**SHAPES, "y": (1, 4)})))
    assert sample["y"].shape == (1, 4)


def test_recipe(tmp_path):
    recipe = tmp_path / "r.py"
    recipe.write_text(
        "import numpy as np\ndef calibration():\n  while True:\n    yield {'x': np.ones((3, 8, 8))}\n"
    )
    assert len(open_dataset(recipe, SHAPES, 3)) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "def calibration"),
        ("def calibration():\n  return 3", "no iterable"),
        ("def calibration():\n  return []", "no samples"),
        ("def calibration():\n  return 1/0", "ZeroDivisionError"),
        ("def calibration(", "SyntaxError"),
        ("def calibration():\n  return [{'z': 1}]", "wants"),
        ("def calibration():\n  return [3]", "dict"),
    ],
)
def test_recipes_that_fail_say_so(tmp_path, text, message):
    recipe = tmp_path / "r.py"
    recipe.write_text(text)
    with pytest.raises(CalibrationError, match=message):
        open_dataset(recipe, SHAPES, 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.full((1, 3, 8, 8), np.nan), "NaN"),
        (np.full((1, 3, 8, 8), np.inf), "NaN"),
        (np.ones((1, 3, 8, 9)), "shape"),
        (np.array(["a"]), "numbers"),
    ],
)
def test_samples_that_do_not_fit(value, message):
    with pytest.raises(CalibrationError, match=message):
        open_dataset([{"x": value}], SHAPES)


def test_folders_and_files_that_do_not_serve(tmp_path):
    with pytest.raises(CalibrationError, match="no such file"):
        open_dataset(tmp_path / "none", SHAPES)
    with pytest.raises(CalibrationError, match="no images"):
        open_dataset(tmp_path, SHAPES)
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(CalibrationError, match=r"a\.jpg"):
        list(open_dataset(tmp_path, SHAPES))
    (tmp_path / "a.npz").write_bytes(b"PK no zip")
    with pytest.raises(CalibrationError, match="numpy"):
        open_dataset(tmp_path / "a.npz", SHAPES)
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(CalibrationError, match="pickles"):
        open_dataset(tmp_path / "o.npy", SHAPES)
    with pytest.raises(CalibrationError, match="folder of images"):
        open_dataset(tmp_path / "a.jpg", SHAPES)
    with pytest.raises(CalibrationError, match="at least 1"):
        open_dataset([], SHAPES, 0)


def test_images_need_one_image_input(tmp_path):
    picture(tmp_path / "a.png")
    with pytest.raises(CalibrationError, match="no image"):
        open_dataset(tmp_path, {"x": (1, 40)})
    with pytest.raises(CalibrationError, match="images serve one"):
        open_dataset(tmp_path, {**SHAPES, "y": (1, 4)})


def test_crop_larger_than_the_resized_image_is_an_error(tmp_path):
    picture(tmp_path / "a.png")
    with pytest.raises(CalibrationError, match="raise --resize"):
        Preprocessing(resize=6).load(tmp_path / "a.png", (1, 3, 8, 8))
