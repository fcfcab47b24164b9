// One instance of the WebAssembly module (runtime/engine/wasm/lw_web.h) and its memory, which JavaScript owns above
// the module's own data: areas are handed out in order, grow at the end, and go all at once with the instance.
import { EngineError, type Failure, LimitError, reasonOf } from "./errors.js";
import { ALIGNMENT, ErrorSlot } from "./format.js";

type Address = number;

/** What the module exports, as far as JavaScript calls it. */
export interface Exports {
  memory?: WebAssembly.Memory;
  __heap_base: WebAssembly.Global<"i32">;
  lw_web_configure(maxMemory: number, tier: number, workers: number): void;
  lw_web_work_bytes(file: Address, bytes: number): number;
  lw_web_create(file: Address, bytes: number, work: Address, workBytes: number): number;
  lw_web_run(inputs: Address, outputs: Address): number;
  lw_web_error(): Address;
  lw_web_model(): Address;
  lw_web_input(i: number): Address;
  lw_web_output(i: number): Address;
  lw_web_op(i: number): Address;
  lw_web_stop?(): void;
  lw_web_axis_words(from: number, to: number): number;
  lw_web_axis(from: number, to: number, start: number, count: number, axis: Address): void;
  lw_web_gray(rgba: Address, pixels: number): void;
  lw_web_resize_rows(
    rgba: Address,
    rows: number,
    width: number,
    axis: Address,
    words: number,
    count: number,
    to: Address,
  ): void;
  lw_web_resize_columns(
    rgba: Address,
    first: number,
    width: number,
    axis: Address,
    words: number,
    count: number,
    to: Address,
  ): void;
  lw_web_pixels_to_tensor(rgba: Address, pixels: number, norm: Address, tensor: Address): void;
  lw_web_tensor_to_pixels(tensor: Address, pixels: number, norm: Address, rgba: Address): void;
}

const UTF8 = new TextDecoder();
const PAGE = 65536;
const SHARED_PAGES = 16; // what a threads module asks for at least (runtime/engine/wasm.mk)

export class Engine {
  readonly exports: Exports;
  readonly memory: WebAssembly.Memory;
  readonly limit: number; // bytes of memory, the module's own data included
  #top: Address; // first byte that is free

  constructor(module: WebAssembly.Module, shared: boolean, limit: number) {
    this.limit = limit;
    const imports: WebAssembly.Imports = {};
    if (shared) imports["env"] = { memory: sharedMemory(limit) };
    const instance = new WebAssembly.Instance(module, imports);
    this.exports = instance.exports as unknown as Exports;
    this.memory = shared ? (imports["env"]!["memory"] as WebAssembly.Memory) : this.exports.memory!;
    this.#top = aligned(this.exports.__heap_base.value);
  }

  /** Address of a new area on a 64-byte line. Throws `LimitError`. */
  allocate(bytes: number): Address {
    const address = this.#top;
    this.extend(address, bytes);
    return address;
  }

  /** Makes the last area `bytes` long. Throws `LimitError`. */
  extend(address: Address, bytes: number): void {
    const end = aligned(address + bytes);
    if (end > this.limit) throw tooMuch(end, this.limit);
    const missing = Math.ceil((end - this.memory.buffer.byteLength) / PAGE);
    if (missing > 0) {
      try {
        this.memory.grow(missing);
      } catch {
        throw tooMuch(end, this.memory.buffer.byteLength);
      }
    }
    this.#top = end;
  }

  /** Calls `use`, then takes back what it allocated. */
  temporarily<T>(use: () => T): T {
    const top = this.#top;
    try {
      return use();
    } finally {
      this.#top = top;
    }
  }

  // Views are of the buffer as it is now: growing detaches it.
  bytes(address: Address, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address >>> 0, length);
  }

  words(address: Address, length: number): Uint32Array {
    return new Uint32Array(this.memory.buffer, address >>> 0, length);
  }

  floats(address: Address, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, address >>> 0, length);
  }

  /** An answer of the module: the array of float64 at `address`. */
  slots(address: Address, length: number): Float64Array {
    return new Float64Array(this.memory.buffer, address >>> 0, length);
  }

  text(address: Address, length: number): string {
    return UTF8.decode(this.bytes(address, length).slice()); // a copy: not every decoder takes shared bytes
  }

  /** What the last call that failed says. */
  failure(): Failure {
    const slots = this.slots(this.exports.lw_web_error(), ErrorSlot.slots);
    return {
      status: slots[ErrorSlot.status]!,
      where: this.text(slots[ErrorSlot.where]!, slots[ErrorSlot.where_bytes]!) || "file",
      index: slots[ErrorSlot.index]!,
      found: slots[ErrorSlot.found]!,
      wanted: slots[ErrorSlot.wanted]!,
    };
  }
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function tooMuch(needed: number, allowed: number): LimitError {
  return new LimitError(
    `the model needs at least ${needed} bytes of memory, ${allowed} are allowed here; ` +
      "raise maxMemory, close other pages, or use a smaller model",
    needed,
    allowed,
  );
}

function sharedMemory(limit: number): WebAssembly.Memory {
  const maximum = Math.max(SHARED_PAGES, Math.ceil(limit / PAGE));
  try {
    return new WebAssembly.Memory({ initial: SHARED_PAGES, maximum, shared: true });
  } catch (error) {
    throw new LimitError(
      `${limit} bytes of shared memory cannot be reserved (${reasonOf(error)}); lower maxMemory or use threads: 1`,
      limit,
      0,
    );
  }
}

/** Calls into the module; a trap becomes an `EngineError`. */
export function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    throw new EngineError(
      `the engine trapped (${error.message}). This is a bug in Lacewing: please report it.`,
      {
        cause: error,
      },
    );
  }
}
