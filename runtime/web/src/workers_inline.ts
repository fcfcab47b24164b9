// The single-file package has no worker.js beside it: one thread only, as binaries_inline.ts says.
import { BackendError } from "./errors.js";
import type { AnyWorker } from "./workers.js";

export function startWorker(): AnyWorker {
  throw new BackendError("the single-file package runs on one thread; import 'lacewing' for more");
}
