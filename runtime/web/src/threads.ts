// The Workers of one session. Each instantiates the module on the session's memory and stays in the engine's loop;
// nothing waits for them but `ready`, which is there to say early that they cannot be had.
import type { Engine } from "./engine.js";
import { BackendError, reasonOf } from "./errors.js";
import { WORKER_STACK_BYTES } from "./format.js";
import type { Start } from "./worker.js";
import { type AnyWorker, startWorker } from "./workers.js";

export class Threads {
  readonly #workers: AnyWorker[] = [];
  /** Settled when all of them run. Rejects with `BackendError`. */
  readonly ready: Promise<unknown>;

  /** `count` includes the calling thread, which needs no Worker. */
  constructor(
    private readonly engine: Engine,
    module: WebAssembly.Module,
    count: number,
  ) {
    const started: Promise<void>[] = [];
    for (let worker = 1; worker < count; worker++) {
      const stackTop = engine.allocate(WORKER_STACK_BYTES) + WORKER_STACK_BYTES;
      started.push(this.#start({ module, memory: engine.memory, stackTop, worker }));
    }
    this.ready = Promise.all(started);
    this.ready.catch(() => undefined); // whoever awaits it hears of it
  }

  #start(message: Start): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (reason: string): void =>
        reject(
          new BackendError(
            `a Worker could not be started (${reason}). worker.js must lie beside the package's script, and the ` +
              "Content-Security-Policy must allow it (worker-src 'self'); threads: 1 needs none",
          ),
        );
      try {
        const worker = startWorker();
        this.#workers.push(worker);
        worker.onready(resolve);
        worker.onfailure(fail);
        worker.postMessage(message);
      } catch (error) {
        fail(reasonOf(error));
      }
    });
  }

  /** Ends them. No run may be going on. */
  stop(): void {
    this.engine.exports.lw_web_stop?.();
    for (const worker of this.#workers) worker.terminate();
  }
}
