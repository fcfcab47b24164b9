// The binaries inside the script, for places that have one file only: extensions, workers, service workers.
import relaxed from "lacewing-relaxed.wasm";
import simd128 from "lacewing-simd128.wasm";
import type { BinaryName, WasmPaths } from "./binaries.js";
import { InputError } from "./errors.js";

export type { BinaryName, WasmPaths };

/** Why these binaries cannot run threads. */
export const whyNoThreads = "the single-file package has no Workers; import 'lacewing' for threads";

export function locate(name: BinaryName, paths?: WasmPaths): string {
  if (paths !== undefined)
    throw new InputError(
      "the single-file package carries its .wasm inside; import 'lacewing' to use wasmPaths",
    );
  return name;
}

export function fetchBinary(name: BinaryName): Promise<Uint8Array<ArrayBuffer>> {
  return Promise.resolve(name === "relaxed" ? relaxed : simd128);
}
