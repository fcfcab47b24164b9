// Compiled modules, each fetched and compiled once however many sessions there are.
import type { Backend } from "./backend.js";
import { type BinaryName, fetchBinary, locate, type WasmPaths } from "./binaries.js";
import { BackendError, reasonOf } from "./errors.js";

const compiled = new Map<string, Promise<WebAssembly.Module>>();

/** The module for a backend. Throws `DownloadError`, `BackendError`; a later call tries again. */
export function loadModule(backend: Backend, paths?: WasmPaths): Promise<WebAssembly.Module> {
  const tier = backend.name === "relaxed-simd" ? "relaxed" : backend.name;
  const name: BinaryName = backend.threads > 1 ? `${tier}-threads` : tier;
  const key = String(locate(name, paths));
  let module = compiled.get(key);
  if (module === undefined) {
    module = fetchBinary(name, paths).then(compile);
    module.catch(() => compiled.delete(key));
    compiled.set(key, module);
  }
  return module;
}

async function compile(bytes: Uint8Array<ArrayBuffer>): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes);
  } catch (error) {
    throw new BackendError(
      `the engine could not be compiled (${reasonOf(error)}). If the page has a Content-Security-Policy, its ` +
        "script-src needs 'wasm-unsafe-eval'; else fetch the .wasm files of this package's version again.",
      { cause: error },
    );
  }
}
