// The suite in a Worker.
import { runAll } from "./suite.mjs";

globalThis.onmessage = async ({ data: { env, only } }) => {
  const lacewing = await import(`../package/${env.script}`);
  globalThis.postMessage(await runAll({ lacewing, ...env }, only));
};
