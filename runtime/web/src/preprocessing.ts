// How an image becomes a model's input, as the converter records it in the file's metadata (docs/quantization.md).
import { InputError, ModelFormatError } from "./errors.js";
import type { TensorInfo } from "./tensor.js";

/** Options of `fromImageData` and `toImageData`; what is not given comes from the model's metadata, then -1 .. 1 RGB. */
export interface ImageOptions {
  /** `crop` keeps the proportions and cuts the centre out, as in calibration; `stretch` uses the whole image. */
  fit?: "crop" | "stretch";
  /** With `crop`: the short side in pixels before cutting; by default the input's size / 0.875. */
  resize?: number;
  /** value = (pixel - mean) / std, pixels 0 .. 255; one number, or one per channel in the tensor's order. */
  mean?: number | readonly number[];
  std?: number | readonly number[];
  channels?: "rgb" | "bgr";
}

export interface Preprocessing {
  readonly fit: "crop" | "stretch";
  readonly resize: number | undefined;
  readonly mean: readonly number[]; // [3]
  readonly std: readonly number[]; // [3]
  readonly bgr: boolean;
}

/** Where an image tensor keeps what. */
export interface ImageShape {
  readonly channels: 1 | 3;
  readonly height: number;
  readonly width: number;
  readonly planar: boolean;
}

const METADATA_BROKEN = 13; // the invariant's number

/** The file's metadata. Throws `ModelFormatError` if it is not a JSON object. */
export function parseMetadata(text: string, source: string): Readonly<Record<string, unknown>> {
  if (text === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // Reported below: the verifier checks the text's bytes, not its grammar.
  }
  throw new ModelFormatError(source, {
    status: METADATA_BROKEN,
    where: "section",
    index: 5,
    found: 0,
    wanted: 0,
  });
}

/** Options, completed by what the model recorded. Throws `InputError` for values that make no sense. */
export function preprocessing(options: ImageOptions, recorded: unknown, count: 1 | 3): Preprocessing {
  const model = (typeof recorded === "object" && recorded !== null ? recorded : {}) as Record<
    string,
    unknown
  >;
  const channels = options.channels ?? model["channels"] ?? "rgb";
  if (channels !== "rgb" && channels !== "bgr")
    throw new InputError(`channels is 'rgb' or 'bgr', not ${JSON.stringify(channels)}`);
  const fit = options.fit ?? "crop";
  if (fit !== "crop" && fit !== "stretch")
    throw new InputError(`fit is 'crop' or 'stretch', not '${String(fit)}'`);
  const resize = options.resize ?? model["resize"] ?? undefined;
  if (resize !== undefined && !(Number.isInteger(resize) && (resize as number) > 0))
    throw new InputError(`resize is the short side in pixels, not ${JSON.stringify(resize)}`);
  const std = channelwise("std", options.std ?? model["std"], count);
  if (Math.min(...std) <= 0) throw new InputError(`std must be above 0, not ${JSON.stringify(std)}`);
  const mean = channelwise("mean", options.mean ?? model["mean"], count);
  return { fit, resize: resize as number | undefined, mean, std, bgr: channels === "bgr" };
}

/** Three values, whatever the tensor has of them. */
function channelwise(name: string, value: unknown, count: 1 | 3): readonly number[] {
  const list: unknown[] = Array.isArray(value) ? value : [value ?? 127.5];
  if (!list.every((v) => Number.isFinite(v)) || (list.length !== 1 && list.length !== count))
    throw new InputError(
      `${name} is one finite number in pixel units, or one per channel (${count}), not ${JSON.stringify(value)}`,
    );
  return list.length === 3 ? (list as number[]) : [list[0], list[0], list[0]].map(Number);
}

/** Throws `InputError` for a tensor that is no image. */
export function imageShape(tensor: Pick<TensorInfo, "dims">, what: string): ImageShape {
  const [batch, a, b, c] = tensor.dims as [number, number, number, number];
  if (tensor.dims.length === 4 && batch === 1) {
    if (a === 1 || a === 3) return { channels: a, height: b, width: c, planar: true };
    if (c === 1 || c === 3) return { channels: c, height: a, width: b, planar: false };
  }
  throw new InputError(
    `${what} has dims [${tensor.dims.join(", ")}], which is no image [1,C,H,W] or [1,H,W,C] with 1 or 3 channels`,
  );
}
