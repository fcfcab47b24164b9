// One thread of a session: the same module on the same memory, with a stack of its own, in the engine's worker loop.

interface Port {
  postMessage(message: unknown): void;
  addEventListener(type: "message", call: (event: { data: Start }) => void): void;
  start?(): void;
}

/** What the session sends to it once. */
export interface Start {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  stackTop: number;
  worker: number; // 1 .. workers-1; 0 is the thread that calls run
}

interface Exports {
  __stack_pointer: WebAssembly.Global;
  lw_web_worker(worker: number): void;
}

interface NodeProcess {
  getBuiltinModule?(name: string): { parentPort: Port | null };
}

const node = (globalThis as { process?: NodeProcess }).process;
const port = node?.getBuiltinModule?.("node:worker_threads").parentPort ?? (globalThis as unknown as Port);

port.addEventListener("message", ({ data }) => {
  const instance = new WebAssembly.Instance(data.module, { env: { memory: data.memory } });
  const exports = instance.exports as unknown as Exports;
  exports.__stack_pointer.value = data.stackTop;
  port.postMessage("ready");
  exports.lw_web_worker(data.worker); // returns when the session is released
});
port.start?.();
