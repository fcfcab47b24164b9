// What browser.test.mjs calls in a page.
import { runAll } from "./suite.mjs";

globalThis.runSuite = async ({ inWorker, script, ...env }, only) => {
  if (inWorker) return inWorkerOf({ script, ...env }, only);
  const lacewing = await import(`../package/${script}`);
  return runAll({ lacewing, ...env }, only);
};

function inWorkerOf(env, only) {
  const worker = new Worker(new URL("./suite_worker.mjs", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      worker.terminate();
      resolve(data);
    };
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage({ env, only });
  });
}

/** Imports the package, loads a model, runs it on zeros. */
globalThis.tryOut = async (script, model, options) => {
  try {
    const { Session, Tensor } = await import(script);
    const session = await Session.create(model, options);
    const [{ name, type, dims, size }] = session.inputs;
    const results = await session.run({ [name]: new Tensor(type, new Float32Array(size), dims) });
    return { backend: session.backend, outputs: Object.keys(results) };
  } catch (error) {
    return { error: `${error.name}: ${error.message}` };
  }
};
