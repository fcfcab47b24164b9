// Checks what callers pass. Every refusal says what was found and what was wanted.
import { InputError } from "./errors.js";
import type { SessionOptions } from "./session.js";
import { describe, sizeOf, Tensor, type TensorInfo } from "./tensor.js";

const DEFAULT_MAX_MEMORY = 2 ** 30;
const MOST_MEMORY = 2 ** 32; // what a 32-bit WebAssembly memory can have
/** Pixels of a picture, each way. */
export const LARGEST_SIDE = 32767;

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>;

const OPTIONS = [
  "threads",
  "signal",
  "onProgress",
  "maxMemory",
  "backend",
  "wasmPaths",
] satisfies (keyof SessionOptions)[];

/** Throws `InputError` for an option that does not exist: ignored, it would be a silent mistake. */
export function checkOptions(options: SessionOptions): void {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name as never));
  if (unknown !== undefined)
    throw new InputError(`create has no option '${unknown}'; there are ${OPTIONS.join(", ")}`);
}

/** Bytes of memory that a session may take. Throws `InputError`. */
export function memoryLimit(maxMemory = DEFAULT_MAX_MEMORY): number {
  if (Number.isInteger(maxMemory) && maxMemory > 0) return Math.min(maxMemory, MOST_MEMORY);
  throw new InputError(`maxMemory is a positive whole number of bytes, not ${String(maxMemory)}`);
}

/** Names that the model does not have and, if `allOfThem`, names that are missing. Throws `InputError`. */
export function checkNames(
  given: Tensors,
  wanted: readonly TensorInfo[],
  what: string,
  allOfThem: boolean,
): void {
  if (typeof given !== "object" || given === null)
    throw new InputError(`${what}s is an object of name to Tensor, not ${String(given)}`);
  const names = wanted.map((info) => info.name);
  const list = names.map((name) => `'${name}'`).join(", ");
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown !== undefined) throw new InputError(`the model has no ${what} '${unknown}'; it has ${list}`);
  const missing = names.find((name) => !Object.hasOwn(given, name));
  if (allOfThem && missing !== undefined)
    throw new InputError(`${what} '${missing}' is missing; the model wants ${list}`);
}

/** The tensor, if it is exactly what `info` says. Throws `InputError`. */
export function checkTensor(tensor: Tensor | undefined, info: TensorInfo, what: string): Tensor {
  if (!(tensor instanceof Tensor))
    throw new InputError(`${what} '${info.name}': found ${typeof tensor}, wanted a Tensor ${describe(info)}`);
  if (!sameKind(info, tensor))
    throw new InputError(`${what} '${info.name}': found ${describe(tensor)}, wanted ${describe(info)}`);
  checkAttached(tensor, `${what} '${info.name}'`);
  return tensor;
}

/** Throws `InputError` for a tensor whose data went elsewhere after it was made. */
export function checkAttached(tensor: Tensor, what: string): void {
  if (tensor.data.length !== sizeOf(tensor.dims))
    throw new InputError(`${what}: its buffer is detached; it was transferred to a worker? Pass a copy`);
}

/** Like `checkTensor` for those that are given; results that shared bytes would overwrite each other. */
export function checkOutputs(given: Tensors, wanted: readonly TensorInfo[]): void {
  checkNames(given, wanted, "output", false);
  const infos = wanted.filter((info) => Object.hasOwn(given, info.name));
  const arrays = infos.map((info) => checkTensor(given[info.name], info, "output").data);
  const overlap = (a: Tensor["data"], b: Tensor["data"]): boolean =>
    a.buffer === b.buffer &&
    a.byteOffset < b.byteOffset + b.byteLength &&
    b.byteOffset < a.byteOffset + a.byteLength;
  if (arrays.some((a, i) => arrays.slice(0, i).some((b) => overlap(a, b))))
    throw new InputError("two output tensors share memory; give each its own");
}

/** Whether type and dims agree. */
export function sameKind(info: TensorInfo, tensor: Tensor): boolean {
  return info.type === tensor.type && info.dims.join() === tensor.dims.join();
}

/** A property of the object itself: a tensor may be called `constructor`. */
export function own(tensors: Tensors, name: string): Tensor | undefined {
  return Object.hasOwn(tensors, name) ? tensors[name] : undefined;
}

/** The input called `name`, or the only one. Throws `InputError`. */
export function pickInput(inputs: readonly TensorInfo[], name: string | undefined): TensorInfo {
  const input = name === undefined ? inputs[0] : inputs.find((info) => info.name === name);
  const list = inputs.map((info) => `'${info.name}'`).join(", ");
  if (input === undefined) throw new InputError(`the model has no input '${name}'; it has ${list}`);
  if (name === undefined && inputs.length > 1)
    throw new InputError(`the model has ${inputs.length} inputs; say which one as { input: name }: ${list}`);
  return input;
}

/** Throws `InputError` unless this is a picture's width or height. */
export function side(pixels: number): number {
  if (Number.isInteger(pixels) && pixels > 0 && pixels <= LARGEST_SIDE) return pixels;
  throw new InputError(`width and height are 1 to ${LARGEST_SIDE} pixels, not ${String(pixels)}`);
}
