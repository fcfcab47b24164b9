// The four WebAssembly files that lie beside this module. inline.ts takes its own version of this file.
import { readFile } from "./environment.js";
import { BackendError, DownloadError, reasonOf } from "./errors.js";

export type BinaryName = "simd128" | "relaxed" | "simd128-threads" | "relaxed-threads";

/** Where the .wasm files are: the address of their folder, or of each one. */
export type WasmPaths = string | URL | Partial<Record<BinaryName, string | URL>>;

/** Why these binaries cannot run threads, or "". */
export const whyNoThreads = "";

/** Address of a binary. */
export function locate(name: BinaryName, paths?: WasmPaths): URL | string {
  if (typeof paths === "string" || paths instanceof URL) {
    const folder = String(paths);
    return `${folder}${folder.endsWith("/") ? "" : "/"}lacewing-${name}.wasm`;
  }
  return paths?.[name] ?? besideThisModule(name);
}

// Each address stands in one piece: bundlers find the file by this form.
function besideThisModule(name: BinaryName): URL {
  switch (name) {
    case "simd128":
      return new URL("./lacewing-simd128.wasm", import.meta.url);
    case "relaxed":
      return new URL("./lacewing-relaxed.wasm", import.meta.url);
    case "simd128-threads":
      return new URL("./lacewing-simd128-threads.wasm", import.meta.url);
    case "relaxed-threads":
      return new URL("./lacewing-relaxed-threads.wasm", import.meta.url);
  }
}

/** A binary's bytes. Throws `DownloadError`, `BackendError`. */
export async function fetchBinary(name: BinaryName, paths?: WasmPaths): Promise<Uint8Array<ArrayBuffer>> {
  const url = locate(name, paths);
  const response = String(url).startsWith("file:") ? await fileResponse(url) : await answer(url);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d) return bytes;
  const type = response.headers.get("Content-Type") ?? "no type";
  throw new BackendError(
    `${url}: the answer is no WebAssembly file but ${bytes.length} bytes of ${type}; the type of .wasm is ` +
      `application/wasm. ${ADVICE}`,
  );
}

const ADVICE =
  "Copy the .wasm files of the package's dist folder beside its script, or say where they are with wasmPaths; " +
  "with Vite's dev server put 'lacewing' into optimizeDeps.exclude.";

async function answer(url: URL | string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new DownloadError(`${url}: could not be fetched (${reasonOf(error)}). ${ADVICE}`, String(url), 0, {
      cause: error,
    });
  }
  if (response.ok) return response;
  throw new DownloadError(
    `${url}: the server answered ${response.status} ${response.statusText}. ${ADVICE}`,
    String(url),
    response.status,
  );
}

async function fileResponse(url: URL | string): Promise<Response> {
  try {
    return new Response((await readFile(new URL(url))) as Uint8Array<ArrayBuffer>);
  } catch (error) {
    throw new DownloadError(`${url}: cannot be read (${reasonOf(error)}). ${ADVICE}`, String(url), 0, {
      cause: error,
    });
  }
}
