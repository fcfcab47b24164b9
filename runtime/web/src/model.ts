// The engine's model of a file: verified, described, run.
import { checkNames, checkOutputs, checkTensor, own, type Tensors } from "./arguments.js";
import { type Engine, guarded } from "./engine.js";
import { EngineError, type Failure, InputError, LimitError, ModelFormatError, statusText } from "./errors.js";
import { DTYPES, FIRST_RUN_ERROR, ModelSlot, OPERATORS, OpSlot, TensorSlot, TIERS } from "./format.js";
import { parseMetadata } from "./preprocessing.js";
import type { ReceivedFile } from "./receive.js";
import { sizeOf, Tensor, type TensorInfo } from "./tensor.js";

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

/** A graph input or output and where it lies in the engine's memory. */
interface Place {
  readonly info: TensorInfo;
  readonly address: number;
}

const AUTO_TIER = Number(Object.entries(TIERS).find(([, name]) => name === "auto")![0]);

export class Model {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly fileBytes: number;
  readonly #inputs: readonly Place[];
  readonly #outputs: readonly Place[];
  readonly #addresses: number; // of [inputs + outputs] u32 addresses
  readonly #opCount: number;

  /** `name` is what messages call it. Throws `ModelFormatError`, `LimitError`. */
  constructor(
    readonly engine: Engine,
    file: ReceivedFile,
    readonly name: string,
    workers: number,
  ) {
    guarded(() => prepare(engine, file, name, workers));
    const { exports } = engine;
    const slots = engine.slots(exports.lw_web_model(), ModelSlot.slots).slice();
    this.fileBytes = file.bytes;
    this.metadata = parseMetadata(
      engine.text(slots[ModelSlot.metadata]!, slots[ModelSlot.metadata_bytes]!),
      name,
    );
    this.#opCount = slots[ModelSlot.ops]!;
    this.#inputs = places(engine, (i) => exports.lw_web_input(i), slots[ModelSlot.inputs]!);
    this.#outputs = places(engine, (i) => exports.lw_web_output(i), slots[ModelSlot.outputs]!);
    this.inputs = Object.freeze(this.#inputs.map((place) => place.info));
    this.outputs = Object.freeze(this.#outputs.map((place) => place.info));
    const addresses = [...this.#inputs, ...this.#outputs].map((place) => place.address);
    this.#addresses = engine.allocate(4 * addresses.length);
    engine.words(this.#addresses, addresses.length).set(addresses);
  }

  get layers(): LayerInfo[] {
    return Array.from({ length: this.#opCount }, (_, i) => layer(this.engine, i));
  }

  /** Throws `InputError`; `EngineError` where the engine is at fault. */
  run(inputs: Tensors, outputs: Tensors): Record<string, Tensor> {
    checkNames(inputs, this.inputs, "input", true);
    checkOutputs(outputs, this.outputs);
    for (const place of this.#inputs)
      view(this.engine, place).set(checkTensor(inputs[place.info.name], place.info, "input").data);
    const toOutputs = this.#addresses + 4 * this.#inputs.length;
    const status = guarded(() => this.engine.exports.lw_web_run(this.#addresses, toOutputs));
    if (status !== 0) throw this.#runFailure();
    return Object.fromEntries(
      this.#outputs.map((place) => [
        place.info.name,
        read(this.engine, place, own(outputs, place.info.name)),
      ]),
    );
  }

  #runFailure(): Error {
    const failure = this.engine.failure();
    const [name, rule] = statusText(failure.status);
    if (name !== "input_range" && name !== "input_nan") return engineRefused(this.name, failure);
    const advice = name === "input_range" ? "uint8 inputs hold 0..127" : "replace the NaN first";
    const input = this.#inputs[failure.index]?.info.name ?? failure.index;
    return new InputError(`${this.name}: input '${input}': ${rule}; ${advice}`);
  }
}

function prepare(engine: Engine, file: ReceivedFile, name: string, workers: number): void {
  const { exports } = engine;
  const left = engine.limit - file.address - file.bytes;
  exports.lw_web_configure(Math.max(1, left), AUTO_TIER, workers);
  const need = exports.lw_web_work_bytes(file.address, file.bytes) >>> 0;
  if (need === 0) throw refusal(engine, name);
  const work = engine.allocate(need);
  if (exports.lw_web_create(file.address, file.bytes, work, need) !== 0) throw refusal(engine, name);
}

function refusal(engine: Engine, name: string): Error {
  const failure = engine.failure();
  if (failure.status < FIRST_RUN_ERROR) return new ModelFormatError(name, failure);
  if (statusText(failure.status)[0] !== "memory") return engineRefused(name, failure);
  return new LimitError(
    `${name}: needs ${failure.found} bytes of work memory, maxMemory leaves ${failure.wanted}; ` +
      "raise maxMemory or use a smaller model",
    failure.found,
    failure.wanted,
  );
}

function engineRefused(name: string, failure: Failure): EngineError {
  const [status, rule] = statusText(failure.status);
  return new EngineError(
    `${name}: the engine refused a call: ${status}: ${rule} (${failure.where} ${failure.index}, found ` +
      `${failure.found}, wanted ${failure.wanted}). This is a bug in Lacewing: please report it.`,
  );
}

/** `describeTensor` gives the address of the module's answer about one tensor. */
function places(engine: Engine, describeTensor: (i: number) => number, count: number): Place[] {
  return Array.from({ length: count }, (_, i) => {
    const slots = engine.slots(describeTensor(i), TensorSlot.slots).slice();
    const dims = Object.freeze(
      Array.from(slots.subarray(TensorSlot.dim_0, TensorSlot.dim_0 + slots[TensorSlot.rank]!)),
    );
    const info = Object.freeze<TensorInfo>({
      name: engine.text(slots[TensorSlot.name]!, slots[TensorSlot.name_bytes]!),
      type: slots[TensorSlot.dtype] === DTYPES.f32 ? "float32" : "uint8",
      dims,
      size: sizeOf(dims),
      scale: slots[TensorSlot.scale]!,
      zeroPoint: slots[TensorSlot.zero_point]!,
    });
    return { info, address: engine.allocate(slots[TensorSlot.bytes]!) };
  });
}

function layer(engine: Engine, i: number): LayerInfo {
  const slots = engine.slots(engine.exports.lw_web_op(i), OpSlot.slots).slice();
  return {
    name: engine.text(slots[OpSlot.name]!, slots[OpSlot.name_bytes]!),
    kind: (OPERATORS as Record<number, string>)[slots[OpSlot.kind]!] ?? "unknown",
    kernel: engine.text(slots[OpSlot.kernel]!, slots[OpSlot.kernel_bytes]!),
    tier: (TIERS as Record<number, string>)[slots[OpSlot.tier]!] ?? "unknown",
    macs: slots[OpSlot.macs]!,
    keptMacs: slots[OpSlot.kept_macs]!,
    weightBytes: slots[OpSlot.weight_bytes]!,
  };
}

function view(engine: Engine, { info, address }: Place): Float32Array | Uint8Array {
  return info.type === "float32" ? engine.floats(address, info.size) : engine.bytes(address, info.size);
}

function read(engine: Engine, place: Place, into: Tensor | undefined): Tensor {
  const result = view(engine, place);
  if (into === undefined) return new Tensor(place.info.type, result.slice(), place.info.dims);
  into.data.set(result);
  return into;
}
