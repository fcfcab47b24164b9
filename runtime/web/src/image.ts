// Images to tensors and back. The arithmetic is the module's (runtime/engine/wasm/lw_image.h); here is its memory.
import { LARGEST_SIDE } from "./arguments.js";
import type { Engine } from "./engine.js";
import { InputError } from "./errors.js";
import { NormSlot } from "./format.js";
import type { ImageShape, Preprocessing } from "./preprocessing.js";
import type { TensorType } from "./tensor.js";

/** Pixels as a canvas has them: RGBA, four bytes each. An `ImageData` is one. */
export interface Pixels {
  readonly data: Uint8ClampedArray | Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** How a tensor's values are stored. */
export interface Quantization {
  readonly type: TensorType;
  readonly scale: number;
  readonly zeroPoint: number;
}

/** One axis of a resize: the part of the resized picture that is kept. */
interface Axis {
  from: number;
  to: number;
  start: number;
  count: number;
}

const CROP_SHARE = 0.875; // of the resized short side that the crop keeps, as in the converter
const STRIP_BYTES = 1 << 20; // a large photo passes through the module's memory in pieces

/** Throws `InputError` if these are no pixels. */
export function checkPixels(image: Pixels): void {
  const { data, width, height } = image;
  if (!(data instanceof Uint8ClampedArray || data instanceof Uint8Array))
    throw new InputError("an image has data (RGBA bytes), width and height, as ImageData has");
  const sides = [width, height];
  if (!sides.every((side) => Number.isInteger(side) && side > 0 && side <= LARGEST_SIDE))
    throw new InputError(`an image has 1 to ${LARGEST_SIDE} pixels a side, not ${width} x ${height}`);
  if (data.length !== width * height * 4)
    throw new InputError(
      `an image of ${width} x ${height} has ${width * height * 4} bytes of RGBA, not ${data.length}` +
        (data.length === 0 ? "; was its buffer transferred to a worker?" : ""),
    );
}

/** The part of the image that the model sees, resized and normalised, into a tensor area. Throws `InputError`. */
export function imageToTensor(
  engine: Engine,
  image: Pixels,
  shape: ImageShape,
  how: Preprocessing,
  stored: Quantization,
): Uint8Array<ArrayBuffer> {
  const [across, down] = axes(image, shape, how);
  return engine.temporarily(() => {
    const pixels = shape.width * shape.height;
    const rgba = resize(engine, image, across, down, shape.channels === 1);
    const norm = normalization(engine, shape, how, stored);
    const bytes = pixels * shape.channels * (stored.type === "float32" ? 4 : 1);
    const tensor = engine.allocate(bytes);
    engine.exports.lw_web_pixels_to_tensor(rgba, pixels, norm, tensor);
    return engine.bytes(tensor, bytes).slice() as Uint8Array<ArrayBuffer>;
  });
}

/** The tensor's picture, in its own size or another. */
export function tensorToImage(
  engine: Engine,
  tensor: Uint8Array,
  shape: ImageShape,
  how: Preprocessing,
  stored: Quantization,
  size: { width: number; height: number },
): Uint8ClampedArray<ArrayBuffer> {
  return engine.temporarily(() => {
    const pixels = shape.width * shape.height;
    const values = engine.allocate(tensor.length);
    engine.bytes(values, tensor.length).set(tensor);
    let rgba = engine.allocate(pixels * 4);
    engine.exports.lw_web_tensor_to_pixels(values, pixels, normalization(engine, shape, how, stored), rgba);
    if (size.width !== shape.width || size.height !== shape.height) {
      const image = {
        data: engine.bytes(rgba, pixels * 4).slice(),
        width: shape.width,
        height: shape.height,
      };
      const across = { from: shape.width, to: size.width, start: 0, count: size.width };
      const down = { from: shape.height, to: size.height, start: 0, count: size.height };
      rgba = resize(engine, image, across, down, false);
    }
    return new Uint8ClampedArray(engine.bytes(rgba, size.width * size.height * 4));
  });
}

function axes(image: Pixels, shape: ImageShape, how: Preprocessing): [Axis, Axis] {
  const { width, height } = image;
  let size = [shape.width, shape.height] as [number, number];
  if (how.fit === "crop") {
    const factor =
      how.resize === undefined
        ? Math.max(shape.width / width, shape.height / height) / CROP_SHARE
        : how.resize / Math.min(width, height);
    size = [roundHalfEven(width * factor), roundHalfEven(height * factor)];
  }
  if (size[0] < shape.width || size[1] < shape.height)
    throw new InputError(
      `the image is ${size[0]} x ${size[1]} after resize: ${how.resize}, smaller than the model's ` +
        `${shape.width} x ${shape.height}; raise resize`,
    );
  if (Math.max(...size) > LARGEST_SIDE)
    throw new InputError(
      `an image of ${width} x ${height} is too long and thin for fit: 'crop'; use 'stretch'`,
    );
  return [
    { from: width, to: size[0], start: Math.floor((size[0] - shape.width) / 2), count: shape.width },
    { from: height, to: size[1], start: Math.floor((size[1] - shape.height) / 2), count: shape.height },
  ];
}

// As Python's round, which the converter uses.
function roundHalfEven(value: number): number {
  const low = Math.floor(value);
  return value - low === 0.5 ? low + (low % 2) : Math.round(value);
}

interface PlacedAxis {
  address: number;
  words: number;
}

function placeAxis(engine: Engine, axis: Axis): PlacedAxis {
  const words = engine.exports.lw_web_axis_words(axis.from, axis.to);
  const address = engine.allocate(axis.count * words * 4);
  engine.exports.lw_web_axis(axis.from, axis.to, axis.start, axis.count, address);
  return { address, words };
}

/** First and past-the-last source pixel that an axis reads. */
function extent(engine: Engine, placed: PlacedAxis, axis: Axis): [number, number] {
  const rows = engine.words(placed.address, axis.count * placed.words);
  const last = (axis.count - 1) * placed.words;
  return [rows[0]!, rows[last]! + rows[last + 1]!];
}

/** Address of [down.count][across.count] RGBA. */
function resize(engine: Engine, image: Pixels, across: Axis, down: Axis, gray: boolean): number {
  const { exports } = engine;
  const xs = placeAxis(engine, across);
  const ys = placeAxis(engine, down);
  const [first, end] = extent(engine, ys, down);
  const narrow = engine.allocate((end - first) * across.count * 4); // [end - first][across.count] RGBA
  const line = image.width * 4;
  const rows = Math.max(1, Math.min(end - first, Math.floor(STRIP_BYTES / line)));
  const strip = engine.allocate(rows * line);
  for (let y = first; y < end; y += rows) {
    const count = Math.min(rows, end - y);
    engine.bytes(strip, count * line).set(image.data.subarray(y * line, (y + count) * line));
    if (gray) exports.lw_web_gray(strip, count * image.width);
    const to = narrow + (y - first) * across.count * 4;
    exports.lw_web_resize_rows(strip, count, image.width, xs.address, xs.words, across.count, to);
  }
  const rgba = engine.allocate(down.count * across.count * 4);
  exports.lw_web_resize_columns(narrow, first, across.count, ys.address, ys.words, down.count, rgba);
  return rgba;
}

function normalization(engine: Engine, shape: ImageShape, how: Preprocessing, stored: Quantization): number {
  const address = engine.allocate(NormSlot.slots * 4);
  const norm = engine.floats(address, NormSlot.slots);
  norm.set(how.mean, NormSlot.mean_0);
  norm.set(how.std, NormSlot.std_0);
  norm[NormSlot.scale] = stored.scale;
  norm[NormSlot.zero_point] = stored.zeroPoint;
  norm[NormSlot.channels] = shape.channels;
  norm[NormSlot.planar] = Number(shape.planar);
  norm[NormSlot.bgr] = Number(how.bgr);
  return address;
}
