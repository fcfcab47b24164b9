// One model, ready to run: what the package is for.
import {
  checkAttached,
  checkOptions,
  memoryLimit,
  pickInput,
  sameKind,
  side,
  type Tensors,
} from "./arguments.js";
import { type Backend, type BackendName, chooseBackend } from "./backend.js";
import { type WasmPaths, whyNoThreads as whyBinariesHaveNone } from "./binaries.js";
import { Engine, guarded } from "./engine.js";
import { whyNoThreads } from "./environment.js";
import { InputError, SessionError } from "./errors.js";
import { checkPixels, imageToTensor, type Pixels, tensorToImage } from "./image.js";
import { type LayerInfo, Model } from "./model.js";
import { loadModule } from "./modules.js";
import { type ImageOptions, imageShape, preprocessing } from "./preprocessing.js";
import { type Progress, receive } from "./receive.js";
import { type ModelSource, openSource } from "./source.js";
import { describe, Tensor, type TensorInfo } from "./tensor.js";
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

/** Options of `toImageData`. */
export interface ToImageOptions extends Omit<ImageOptions, "fit" | "resize"> {
  /** Size of the picture; by default the tensor's. */
  width?: number;
  height?: number;
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

  #model: Model | undefined;
  #threads: Threads | undefined;
  readonly #name: string;

  /**
   * Fetches, verifies and prepares a model. Rejects with `DownloadError`, `ModelFormatError`, `LimitError`,
   * `BackendError`, `InputError`, or the signal's reason; whatever the file holds, nothing of it stays behind.
   */
  static async create(model: ModelSource, options: SessionOptions = {}): Promise<Session> {
    checkOptions(options);
    const { signal, onProgress } = options;
    signal?.throwIfAborted();
    const limit = memoryLimit(options.maxMemory);
    const opening = openSource(model, signal); // before all else: nothing takes longer than the download
    let threads: Threads | undefined;
    try {
      const backend = chooseBackend(
        options.backend ?? "auto",
        options.threads ?? 1,
        whyBinariesHaveNone || whyNoThreads(),
      );
      if (typeof options.threads === "number" && options.threads > backend.threads)
        console.warn(`lacewing: ${backend.why}`);
      const loading = loadModule(backend, options.wasmPaths);
      const [source, module] = await untilAborted(Promise.all([opening, loading]), signal);
      const engine = new Engine(module, backend.threads > 1, limit);
      if (backend.threads > 1) threads = new Threads(engine, module, backend.threads);
      const file = await receive(engine, source, onProgress, signal);
      const prepared = new Model(engine, file, source.name, backend.threads);
      await untilAborted(threads?.ready, signal);
      return new Session(prepared, threads, backend);
    } catch (error) {
      threads?.stop();
      void opening.then((source) => source.cancel()).catch(() => undefined);
      throw error;
    }
  }

  private constructor(model: Model, threads: Threads | undefined, backend: Backend) {
    this.#model = model;
    this.#threads = threads;
    this.#name = model.name;
    this.backend = backend;
    this.inputs = model.inputs;
    this.outputs = model.outputs;
    this.fileBytes = model.fileBytes;
    this.metadata = model.metadata;
  }

  /**
   * Runs the model once: every graph output by name. `inputs` has exactly the graph inputs, each of the type and dims
   * that `inputs` says; nothing is converted silently. `outputs` may give tensors to write results into; the others
   * are new. Rejects with `InputError` or `SessionError`; the session stays usable. It computes on the calling thread:
   * a page that must stay smooth creates its session in a Worker.
   */
  async run(inputs: Tensors, outputs: Tensors = {}): Promise<Record<string, Tensor>> {
    return this.#usable().run(inputs, outputs);
  }

  /** The operators in the order in which they run, with the kernels chosen here. Throws `SessionError`. */
  get layers(): LayerInfo[] {
    return this.#usable().layers;
  }

  /** WebAssembly memory that the session holds, in bytes: the file, the work memory, inputs and outputs. */
  get memoryBytes(): number {
    return this.#usable().engine.memory.buffer.byteLength;
  }

  /**
   * An image as the input `name` (by default the only one): resized, cut and normalised as the converter did with its
   * calibration images, bit for bit, unless `options` say otherwise. Throws `InputError`, `SessionError`.
   */
  fromImageData(image: Pixels, options: ImageOptions & { input?: string } = {}): Tensor {
    const { engine } = this.#usable();
    checkPixels(image);
    const info = pickInput(this.inputs, options.input);
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
    const { engine } = this.#usable();
    if (!(tensor instanceof Tensor)) throw new InputError("toImageData takes a Tensor");
    checkAttached(tensor, "the tensor");
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
    this.#model = undefined;
  }

  /** For `using session = await Session.create(...)`. */
  [Symbol.dispose](): void {
    this.release();
  }

  #usable(): Model {
    if (this.#model === undefined)
      throw new SessionError(`${this.#name}: the session was released; create a new one`);
    return this.#model;
  }
}

/** `promise`, or the signal's reason as soon as it is aborted. */
function untilAborted<T>(promise: T | Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return Promise.resolve(promise);
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  return Promise.race([aborted, promise]);
}
