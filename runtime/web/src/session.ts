// One model, ready to run.
import { type Backend, type BackendName, chooseBackend } from "./backend.js";
import { type WasmPaths, whyNoThreads as whyBinariesHaveNone } from "./binaries.js";
import { Engine, guarded } from "./engine.js";
import { whyNoThreads } from "./environment.js";
import {
  EngineError,
  type Failure,
  InputError,
  LimitError,
  ModelFormatError,
  SessionError,
  statusText,
} from "./errors.js";
import { DTYPES, FIRST_RUN_ERROR, OPERATORS, SLOTS, TIERS } from "./format.js";
import { checkPixels, imageToTensor, type Pixels, tensorToImage } from "./image.js";
import { loadModule } from "./modules.js";
import { type ImageOptions, imageShape, parseMetadata, preprocessing } from "./preprocessing.js";
import { type Progress, receive, type ReceivedFile } from "./receive.js";
import { type ModelSource, openSource, type Source } from "./source.js";
import { describe, sizeOf, Tensor, type TensorInfo } from "./tensor.js";
import { Threads } from "./threads.js";

export interface SessionOptions {
  /** Threads of a run, the calling one included: 1 (default) to 16, or "auto". More than one needs cross-origin isolation. */
  threads?: number | "auto";
  /** Aborts the download; `create` then rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Called for every piece of the model file that arrives. */
  onProgress?: (progress: Progress) => void;
  /** Bytes of WebAssembly memory that the session may take, file included. By default 1 GiB. */
  maxMemory?: number;
  /** "auto" (default) takes the fastest; by name, `create` fails where it is not available. */
  backend?: BackendName | "auto";
  /** Where the .wasm files are, if not beside the package's script. */
  wasmPaths?: WasmPaths;
}

/** One operator of the model. */
export interface LayerInfo {
  readonly name: string;
  /** As in the format's list of operators. */
  readonly kind: string;
  /** The kernel chosen here, and its tier. */
  readonly kernel: string;
  readonly tier: string;
  /** Dense multiply-accumulates, and those left after sparsity. */
  readonly macs: number;
  readonly keptMacs: number;
  /** In the file. */
  readonly weightBytes: number;
}

/** Options of `toImageData`. */
export interface ToImageOptions extends Omit<ImageOptions, "fit" | "resize"> {
  /** Size of the picture; by default the tensor's. */
  width?: number;
  height?: number;
}

export type Tensors = Readonly<Record<string, Tensor>>;

const DEFAULT_MAX_MEMORY = 2 ** 30;
const MOST_MEMORY = 2 ** 32; // what a 32-bit WebAssembly memory can have
const AUTO_TIER = Number(Object.entries(TIERS).find(([, name]) => name === "auto")![0]);

/** Where a graph input or output lies in the engine's memory. */
interface Place {
  info: TensorInfo;
  address: number;
  bytes: number;
}

export class Session {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** What was chosen and why. */
  readonly backend: Backend;
  /** Size of the model file. */
  readonly fileBytes: number;
  /** The file's metadata, for example the preprocessing that the converter recorded. */
  readonly metadata: Readonly<Record<string, unknown>>;

  #engine: Engine | undefined;
  #threads: Threads | undefined;
  readonly #name: string;
  readonly #inputs: readonly Place[];
  readonly #outputs: readonly Place[];
  readonly #addresses: number; // of [inputs + outputs] u32 addresses

  /**
   * Fetches, verifies and prepares a model. Rejects with `DownloadError`, `ModelFormatError`, `LimitError`,
   * `BackendError`, `InputError`, or the signal's reason; whatever the file holds, nothing of it stays behind.
   */
  static async create(model: ModelSource, options: SessionOptions = {}): Promise<Session> {
    checkOptions(options);
    const { signal, onProgress } = options;
    signal?.throwIfAborted();
    const limit = memoryLimit(options.maxMemory);
    const backend = chooseBackend(
      options.backend ?? "auto",
      options.threads ?? 1,
      whyBinariesHaveNone || whyNoThreads(),
    );
    if (typeof options.threads === "number" && options.threads > backend.threads)
      console.warn(`lacewing: ${backend.why}`);
    const opening = openSource(model, signal);
    const loading = loadModule(backend, options.wasmPaths);
    let threads: Threads | undefined;
    try {
      const [source, module] = await Promise.all([opening, loading]);
      signal?.throwIfAborted();
      const engine = new Engine(module, backend.threads > 1, limit);
      if (backend.threads > 1) threads = new Threads(engine, module, backend.threads);
      const file = await receive(engine, source, onProgress, signal);
      guarded(() => prepare(engine, file, source, backend.threads));
      await threads?.ready;
      signal?.throwIfAborted();
      return new Session(engine, threads, source.name, file.bytes, backend);
    } catch (error) {
      threads?.stop();
      void opening.then((source) => source.cancel()).catch(() => undefined);
      throw error;
    }
  }

  private constructor(
    engine: Engine,
    threads: Threads | undefined,
    name: string,
    fileBytes: number,
    backend: Backend,
  ) {
    this.#engine = engine;
    this.#threads = threads;
    this.#name = name;
    this.fileBytes = fileBytes;
    this.backend = backend;
    const { exports } = engine;
    const slots = engine.slots(exports.lw_web_model(), SLOTS.model.slots).slice();
    const at = SLOTS.model;
    this.#inputs = places(engine, (i) => exports.lw_web_input(i), slots[at.inputs]!);
    this.#outputs = places(engine, (i) => exports.lw_web_output(i), slots[at.outputs]!);
    this.inputs = Object.freeze(this.#inputs.map((place) => place.info));
    this.outputs = Object.freeze(this.#outputs.map((place) => place.info));
    this.metadata = parseMetadata(engine.text(slots[at.metadata]!, slots[at.metadata_bytes]!), name);
    const addresses = [...this.#inputs, ...this.#outputs].map((place) => place.address);
    this.#addresses = engine.allocate(4 * addresses.length);
    engine.words(this.#addresses, addresses.length).set(addresses);
  }

  /**
   * Runs the model once: every graph output by name. `inputs` has exactly the graph inputs, each of the type and dims
   * that `inputs` says; nothing is converted silently. `outputs` may give tensors to write results into; the others
   * are new. Rejects with `InputError` or `SessionError`; the session stays usable. It computes on the calling thread:
   * a page that must stay smooth creates its session in a Worker.
   */
  async run(inputs: Tensors, outputs: Tensors = {}): Promise<Record<string, Tensor>> {
    const engine = this.#usable();
    checkNames(inputs, this.#inputs, "input", true);
    checkOutputs(outputs, this.#outputs);
    for (const place of this.#inputs)
      write(engine, place, checkTensor(inputs[place.info.name], place.info, "input"));
    const toOutputs = this.#addresses + 4 * this.#inputs.length;
    if (guarded(() => engine.exports.lw_web_run(this.#addresses, toOutputs)) !== 0)
      throw this.#runFailure(engine);
    return Object.fromEntries(
      this.#outputs.map((place) => [place.info.name, read(engine, place, own(outputs, place.info.name))]),
    );
  }

  #runFailure(engine: Engine): Error {
    const failure = engine.failure();
    const [name, rule] = statusText(failure.status);
    if (name !== "input_range" && name !== "input_nan") return engineRefused(this.#name, failure);
    const advice = name === "input_range" ? "uint8 inputs hold 0..127" : "replace the NaN first";
    return new InputError(
      `${this.#name}: input '${this.inputs[failure.index]?.name ?? failure.index}': ${rule}; ${advice}`,
    );
  }

  /** The operators in the order in which they run, with the kernels chosen here. Throws `SessionError`. */
  get layers(): LayerInfo[] {
    const engine = this.#usable();
    const count = engine.slots(engine.exports.lw_web_model(), SLOTS.model.slots)[SLOTS.model.ops]!;
    return Array.from({ length: count }, (_, i) => layer(engine, i));
  }

  /** WebAssembly memory that the session holds, in bytes: the file, the work memory, inputs and outputs. */
  get memoryBytes(): number {
    return this.#usable().memory.buffer.byteLength;
  }

  /**
   * An image as the input `name` (by default the only one): resized, cut and normalised as the converter did with its
   * calibration images, bit for bit, unless `options` say otherwise. Throws `InputError`, `SessionError`.
   */
  fromImageData(image: Pixels, options: ImageOptions & { input?: string } = {}): Tensor {
    const engine = this.#usable();
    checkPixels(image);
    const info = options.input === undefined ? onlyInput(this.inputs) : named(this.inputs, options.input);
    const shape = imageShape(info, `input '${info.name}'`);
    const how = preprocessing(options, this.metadata["preprocessing"], shape.channels);
    const bytes = guarded(() => imageToTensor(engine, image, shape, how, info));
    return new Tensor(info.type, info.type === "float32" ? new Float32Array(bytes.buffer) : bytes, info.dims);
  }

  /**
   * A tensor [1,C,H,W] or [1,H,W,C] as a picture: pixel = value * std + mean, rounded and clamped. A uint8 tensor takes
   * its scale from the graph output or input of the same dims. Throws `InputError`, `SessionError`.
   */
  toImageData(tensor: Tensor, options: ToImageOptions = {}): ImageData {
    const engine = this.#usable();
    if (!(tensor instanceof Tensor)) throw new InputError("toImageData takes a Tensor");
    const shape = imageShape(tensor, "the tensor");
    const how = preprocessing(options, this.metadata["preprocessing"], shape.channels);
    const stored = [...this.outputs, ...this.inputs].find((info) => sameKind(info, tensor));
    if (tensor.type === "uint8" && stored === undefined)
      throw new InputError(
        `${describe(tensor)} is neither an output nor an input of the model; its scale is unknown`,
      );
    const size = { width: side(options.width ?? shape.width), height: side(options.height ?? shape.height) };
    const as = stored ?? { type: tensor.type, scale: 0, zeroPoint: 0 };
    const { buffer, byteOffset, byteLength } = tensor.data;
    const values = new Uint8Array(buffer, byteOffset, byteLength);
    const data = guarded(() => tensorToImage(engine, values, shape, how, as, size));
    if (typeof ImageData === "undefined") return { data, colorSpace: "srgb", ...size } as ImageData;
    return new ImageData(data, size.width, size.height);
  }

  /** Gives the memory and the Workers back. Releasing twice is fine. */
  release(): void {
    this.#threads?.stop();
    this.#threads = undefined;
    this.#engine = undefined;
  }

  /** For `using session = await Session.create(...)`. */
  [Symbol.dispose](): void {
    this.release();
  }

  #usable(): Engine {
    if (this.#engine === undefined)
      throw new SessionError(`${this.#name}: the session was released; create a new one`);
    return this.#engine;
  }
}

const OPTIONS = [
  "threads",
  "signal",
  "onProgress",
  "maxMemory",
  "backend",
  "wasmPaths",
] satisfies (keyof SessionOptions)[];

/** A misspelt option would be ignored. */
function checkOptions(options: SessionOptions): void {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name as never));
  if (unknown !== undefined)
    throw new InputError(`create has no option '${unknown}'; there are ${OPTIONS.join(", ")}`);
}

function memoryLimit(maxMemory = DEFAULT_MAX_MEMORY): number {
  if (Number.isInteger(maxMemory) && maxMemory > 0) return Math.min(maxMemory, MOST_MEMORY);
  throw new InputError(`maxMemory is a positive whole number of bytes, not ${String(maxMemory)}`);
}

/** Verifies the file and makes the engine's model of it. */
function prepare(engine: Engine, file: ReceivedFile, source: Source, workers: number): void {
  const { exports } = engine;
  const left = engine.limit - file.address - file.bytes;
  exports.lw_web_configure(Math.max(1, left), AUTO_TIER, workers);
  const need = exports.lw_web_work_bytes(file.address, file.bytes) >>> 0;
  if (need === 0) throw refusal(engine, source.name);
  const work = engine.allocate(need);
  if (exports.lw_web_create(file.address, file.bytes, work, need) !== 0) throw refusal(engine, source.name);
}

function refusal(engine: Engine, source: string): Error {
  const failure = engine.failure();
  if (failure.status < FIRST_RUN_ERROR) return new ModelFormatError(source, failure);
  if (statusText(failure.status)[0] !== "memory") return engineRefused(source, failure);
  return new LimitError(
    `${source}: needs ${failure.found} bytes of work memory, maxMemory leaves ${failure.wanted}; ` +
      "raise maxMemory or use a smaller model",
    failure.found,
    failure.wanted,
  );
}

function engineRefused(source: string, failure: Failure): EngineError {
  const [name, rule] = statusText(failure.status);
  return new EngineError(
    `${source}: the engine refused a call: ${name}: ${rule} (${failure.where} ${failure.index}, found ` +
      `${failure.found}, wanted ${failure.wanted}). This is a bug in Lacewing: please report it.`,
  );
}

function places(engine: Engine, describeTensor: (i: number) => number, count: number): Place[] {
  return Array.from({ length: count }, (_, i) => {
    const at = SLOTS.tensor;
    const slots = engine.slots(describeTensor(i), at.slots).slice();
    const dims = Object.freeze(Array.from(slots.subarray(at.dim_0, at.dim_0 + slots[at.rank]!)));
    const info = Object.freeze<TensorInfo>({
      name: engine.text(slots[at.name]!, slots[at.name_bytes]!),
      type: slots[at.dtype] === DTYPES.f32 ? "float32" : "uint8",
      dims,
      size: sizeOf(dims),
      scale: slots[at.scale]!,
      zeroPoint: slots[at.zero_point]!,
    });
    return { info, address: engine.allocate(slots[at.bytes]!), bytes: slots[at.bytes]! };
  });
}

function layer(engine: Engine, i: number): LayerInfo {
  const at = SLOTS.op;
  const slots = engine.slots(engine.exports.lw_web_op(i), at.slots).slice();
  return {
    name: engine.text(slots[at.name]!, slots[at.name_bytes]!),
    kind: (OPERATORS as Record<number, string>)[slots[at.kind]!] ?? "unknown",
    kernel: engine.text(slots[at.kernel]!, slots[at.kernel_bytes]!),
    tier: (TIERS as Record<number, string>)[slots[at.tier]!] ?? "unknown",
    macs: slots[at.macs]!,
    keptMacs: slots[at.kept_macs]!,
    weightBytes: slots[at.weight_bytes]!,
  };
}

function checkNames(given: Tensors, wanted: readonly Place[], what: string, allOfThem: boolean): void {
  if (typeof given !== "object" || given === null)
    throw new InputError(`${what}s is an object of name to Tensor, not ${String(given)}`);
  const names = wanted.map((place) => place.info.name);
  const list = names.map((name) => `'${name}'`).join(", ");
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown !== undefined) throw new InputError(`the model has no ${what} '${unknown}'; it has ${list}`);
  const missing = names.find((name) => !Object.hasOwn(given, name));
  if (allOfThem && missing !== undefined)
    throw new InputError(`${what} '${missing}' is missing; the model wants ${list}`);
}

function checkTensor(tensor: Tensor | undefined, info: TensorInfo, what: string): Tensor {
  if (!(tensor instanceof Tensor))
    throw new InputError(`${what} '${info.name}': found ${typeof tensor}, wanted a Tensor ${describe(info)}`);
  if (!sameKind(info, tensor))
    throw new InputError(`${what} '${info.name}': found ${describe(tensor)}, wanted ${describe(info)}`);
  if (tensor.data.length !== info.size)
    throw new InputError(
      `${what} '${info.name}': its buffer is detached; it was transferred to a worker? Pass a copy`,
    );
  return tensor;
}

/** Results that shared bytes would overwrite each other. */
function checkOutputs(given: Tensors, wanted: readonly Place[]): void {
  checkNames(given, wanted, "output", false);
  const infos = wanted.map((place) => place.info).filter((info) => Object.hasOwn(given, info.name));
  const arrays = infos.map((info) => checkTensor(given[info.name], info, "output").data);
  const overlap = (a: Tensor["data"], b: Tensor["data"]): boolean =>
    a.buffer === b.buffer &&
    a.byteOffset < b.byteOffset + b.byteLength &&
    b.byteOffset < a.byteOffset + a.byteLength;
  if (arrays.some((a, i) => arrays.slice(0, i).some((b) => overlap(a, b))))
    throw new InputError("two output tensors share memory; give each its own");
}

function sameKind(info: TensorInfo, tensor: Tensor): boolean {
  return info.type === tensor.type && info.dims.join() === tensor.dims.join();
}

function view(engine: Engine, place: Place): Float32Array | Uint8Array {
  const { info, address } = place;
  return info.type === "float32" ? engine.floats(address, info.size) : engine.bytes(address, info.size);
}

function write(engine: Engine, place: Place, tensor: Tensor): void {
  view(engine, place).set(tensor.data);
}

function read(engine: Engine, place: Place, into: Tensor | undefined): Tensor {
  const result = view(engine, place);
  if (into === undefined) return new Tensor(place.info.type, result.slice(), place.info.dims);
  into.data.set(result);
  return into;
}

function own(tensors: Tensors, name: string): Tensor | undefined {
  return Object.hasOwn(tensors, name) ? tensors[name] : undefined;
}

function onlyInput(inputs: readonly TensorInfo[]): TensorInfo {
  const [input, second] = inputs;
  if (input !== undefined && second === undefined) return input;
  throw new InputError(`the model has ${inputs.length} inputs; say which one with { input: name }`);
}

function named(inputs: readonly TensorInfo[], name: string): TensorInfo {
  const input = inputs.find((info) => info.name === name);
  if (input !== undefined) return input;
  throw new InputError(
    `the model has no input '${name}'; it has ${inputs.map((i) => `'${i.name}'`).join(", ")}`,
  );
}

function side(pixels: number): number {
  if (Number.isInteger(pixels) && pixels > 0 && pixels <= 32767) return pixels;
  throw new InputError(`width and height are 1 to 32767 pixels, not ${String(pixels)}`);
}
