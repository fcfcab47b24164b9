// Starting worker.js, in browsers and in Node. The single-file package takes workers_inline.ts in its place.
import { builtin, isNode } from "./environment.js";

/** A worker of either kind, as far as it is used here. */
export interface AnyWorker {
  postMessage(message: unknown): void;
  terminate(): unknown;
  onready(call: () => void): void;
  onfailure(call: (reason: string) => void): void;
}

interface NodeWorker {
  postMessage(message: unknown): void;
  terminate(): unknown;
  unref(): void;
  on(event: string, call: (value: unknown) => void): void;
}

/** Starts worker.js, which lies beside this module. */
export function startWorker(): AnyWorker {
  return isNode ? startNodeWorker() : startWebWorker();
}

function besideThisModule(file: string): string {
  return import.meta.url.replace(/[^/]*$/, file);
}

function startNodeWorker(): AnyWorker {
  const { Worker: Thread } = builtin<{ Worker: new (url: URL) => NodeWorker }>("node:worker_threads")!;
  const worker = new Thread(new URL(besideThisModule("worker.js")));
  worker.unref();
  return {
    postMessage: (message) => worker.postMessage(message),
    terminate: () => worker.terminate(),
    onready: (call) => worker.on("message", call),
    onfailure: (call) => worker.on("error", (error) => call(String(error))),
  };
}

function startWebWorker(): AnyWorker {
  const worker = newWebWorker();
  return {
    postMessage: (message) => worker.postMessage(message),
    terminate: () => worker.terminate(),
    onready: (call) => worker.addEventListener("message", call),
    onfailure: (call) =>
      worker.addEventListener("error", (event) => call(event.message || "worker.js could not be loaded")),
  };
}

function newWebWorker(): Worker {
  try {
    return new Worker(new URL("./worker.js", import.meta.url), { type: "module" }); // the form that bundlers know
  } catch {
    // From another origin, a CDN say, only a script of this origin may import it.
    const script = `import ${JSON.stringify(besideThisModule("worker.js"))};`;
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    return new Worker(url, { type: "module" });
  }
}
