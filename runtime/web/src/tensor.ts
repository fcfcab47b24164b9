// Arrays with a type and dimensions, and what a session says of the ones that it wants.
import { InputError } from "./errors.js";

/** `uint8` holds quantized values 0..127: real = (value - zeroPoint) * scale. */
export type TensorType = "float32" | "uint8";

/** The array behind a tensor of each type. */
export interface TensorData {
  float32: Float32Array;
  uint8: Uint8Array;
}

/** A graph input or output. */
export interface TensorInfo {
  readonly name: string;
  readonly type: TensorType;
  readonly dims: readonly number[];
  /** Values in it: the product of `dims`. */
  readonly size: number;
  /** Of a uint8 tensor, else 0. */
  readonly scale: number;
  readonly zeroPoint: number;
}

/** A row-major array. The data is not copied: changing it changes the tensor. */
export class Tensor<T extends TensorType = TensorType> {
  readonly type: T;
  readonly data: TensorData[T];
  readonly dims: readonly number[];

  /** Without `dims` the tensor has one dimension. Throws `InputError` if type, data and dims do not agree. */
  constructor(
    type: T,
    data: TensorData[T] | Uint8ClampedArray | readonly number[],
    dims: readonly number[] = [data.length],
  ) {
    this.type = type;
    this.data = typed(type, data);
    this.dims = Object.freeze([...dims]);
    if (!dims.every((d) => Number.isInteger(d) && d >= 0))
      throw new InputError(`a tensor's dims are whole numbers, not [${dims.join(", ")}]`);
    if (sizeOf(dims) !== this.data.length) {
      const hint = this.data.length === 0 ? "; was its buffer transferred to a worker?" : "";
      throw new InputError(
        `dims [${dims.join(", ")}] want ${sizeOf(dims)} values, the data has ${this.data.length}${hint}`,
      );
    }
  }

  /** Values in it. */
  get size(): number {
    return this.data.length;
  }
}

/** The product of the dimensions. */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((size, d) => size * d, 1);
}

/** For messages: `float32 [1, 3, 224, 224]`. */
export function describe(tensor: { type: TensorType; dims: readonly number[] }): string {
  return `${tensor.type} [${tensor.dims.join(", ")}]`;
}

function typed<T extends TensorType>(type: T, data: unknown): TensorData[T] {
  const wanted = type === "float32" ? Float32Array : type === "uint8" ? Uint8Array : undefined;
  if (wanted === undefined)
    throw new InputError(`a tensor's type is 'float32' or 'uint8', not '${String(type)}'`);
  if (data instanceof wanted) return data as TensorData[T];
  if (type === "uint8" && data instanceof Uint8ClampedArray)
    return new Uint8Array(data.buffer, data.byteOffset, data.length) as TensorData[T];
  if (Array.isArray(data)) return wanted.from(data as number[]) as TensorData[T];
  const found = (data as object | null)?.constructor?.name ?? typeof data;
  throw new InputError(`a ${type} tensor takes a ${wanted.name} or an array of numbers, not ${found}`);
}
