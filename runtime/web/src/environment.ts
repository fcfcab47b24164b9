// What browsers and Node do differently. Node's modules are asked for at run time, so that bundlers for the web meet no
// `node:` import.

interface NodeProcess {
  getBuiltinModule?(name: string): unknown;
}

/** A module of Node's own, or undefined elsewhere. */
export function builtin<T>(name: string): T | undefined {
  const node = (globalThis as { process?: NodeProcess }).process;
  return node?.getBuiltinModule?.(name) as T | undefined;
}

/** Whether this is Node (or a runtime that has its modules). */
export const isNode = builtin("node:worker_threads") !== undefined && typeof window === "undefined";

/** A file's bytes, in Node. */
export async function readFile(path: string | URL, signal?: AbortSignal): Promise<Uint8Array> {
  interface Files {
    readFile(path: string | URL, options: { signal: AbortSignal | undefined }): Promise<Uint8Array>;
  }
  return builtin<Files>("node:fs/promises")!.readFile(path, { signal });
}

/** Why Workers on shared memory cannot be had here, or "" if they can. */
export function whyNoThreads(): string {
  if (isNode) return "";
  if (typeof Worker === "undefined") return "this kind of worker cannot start Workers";
  if (!globalThis.crossOriginIsolated)
    return (
      "the page is not cross-origin isolated: serve it with " +
      "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp"
    );
  return "";
}

/** Cores that the environment admits to. */
export function cores(): number {
  return globalThis.navigator?.hardwareConcurrency ?? 1;
}
