// Which binary runs here, and why.
import { BackendError, InputError } from "./errors.js";
import { cores, whyNoThreads } from "./environment.js";

/** `relaxed-simd` is the faster one; both give the same bits. */
export type BackendName = "simd128" | "relaxed-simd";

/** What a session runs on. */
export interface Backend {
  readonly name: BackendName;
  /** Threads that a run uses, the calling one included. */
  readonly threads: number;
  /** Why this and nothing faster, in words. */
  readonly why: string;
}

const MAX_THREADS = 16;
const MOST_AUTO_THREADS = 4; // more rarely pays on one image, and phones mix fast cores with slow ones

// The smallest module with one function () -> v128 that is `body`: engines without its opcodes refuse it as a whole.
function probe(...body: number[]): Uint8Array<ArrayBuffer> {
  const code = [0, ...body, 0x0b]; // no locals ... end
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7b, 3, 2, 1, 0];
  return new Uint8Array([...header, 10, code.length + 2, 1, code.length, ...code]);
}

const VECTOR = [0x41, 0, 0xfd, 0x0f]; // i32.const 0, i8x16.splat
const POPCOUNT = [0xfd, 0x62]; // i8x16.popcnt, of the last simd128 additions
const RELAXED_DOT = [0xfd, 0x93, 0x02]; // i32x4.relaxed_dot_i8x16_i7x16_add_s

/** The backends that this environment validates, fastest first. */
export function availableBackends(): BackendName[] {
  if (typeof WebAssembly !== "object") return [];
  const found: BackendName[] = [];
  if (WebAssembly.validate(probe(...VECTOR, ...VECTOR, ...VECTOR, ...RELAXED_DOT)))
    found.push("relaxed-simd");
  if (WebAssembly.validate(probe(...VECTOR, ...POPCOUNT))) found.push("simd128");
  return found;
}

/** Decides. Throws `BackendError` if there is no such backend here, `InputError` for options that make no sense. */
export function chooseBackend(
  wanted: BackendName | "auto",
  threads: number | "auto",
  noThreads = whyNoThreads(),
  available = availableBackends(),
): Backend {
  const [name, why] = chooseName(wanted, available);
  const [count, whyCount] = chooseThreads(threads, noThreads);
  return Object.freeze({ name, threads: count, why: `${why}; ${whyCount}` });
}

function chooseName(wanted: BackendName | "auto", available: BackendName[]): [BackendName, string] {
  const [best] = available;
  if (best === undefined)
    throw new BackendError(
      "this browser has no WebAssembly SIMD, which Lacewing needs; " +
        "use Chrome 100, Firefox 97, Safari 16.4, Node 22 or newer",
    );
  if (wanted === "auto")
    return best === "relaxed-simd"
      ? [best, "relaxed SIMD is available"]
      : [best, "relaxed SIMD is not available here"];
  if (wanted !== "simd128" && wanted !== "relaxed-simd")
    throw new InputError(`backend is 'auto', 'simd128' or 'relaxed-simd', not '${String(wanted)}'`);
  if (!available.includes(wanted))
    throw new BackendError(
      `backend '${wanted}' is not available here (${available.join(", ")} is); use 'auto'`,
    );
  return [wanted, "asked for by name"];
}

function chooseThreads(wanted: number | "auto", noThreads: string): [number, string] {
  if (wanted !== "auto" && !(Number.isInteger(wanted) && wanted >= 1 && wanted <= MAX_THREADS))
    throw new InputError(`threads is a number from 1 to ${MAX_THREADS} or 'auto', not ${String(wanted)}`);
  if (wanted === 1) return [1, "one thread as asked for (threads: 2 or 'auto' uses Workers)"];
  if (noThreads !== "") return [1, `one thread because ${noThreads}`];
  if (wanted !== "auto") return [wanted, `${wanted} threads as asked for`];
  const count = Math.max(1, Math.min(cores(), MOST_AUTO_THREADS));
  return [count, `${count} of ${cores()} cores`];
}
