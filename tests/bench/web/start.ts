// Runs in the browser, by itself: asks the driver (starts.ts) what to start, and tells it what came of that.

import { inputData, load } from "./runtimes.js";
import type { Start, Target } from "./types.ts";

async function start(target: Target): Promise<Start> {
  const input = inputData(target);
  const before = performance.now();
  const open = await load(target.runtime);
  const loaded = performance.now();
  const values = await (await open(target, input))();
  const after = performance.now();
  return { first: after - before, load: after - loaded, answer: largest(values) };
}

function largest(values: ArrayLike<number>): Start["answer"] {
  let index = 0;
  for (let i = 0; i < values.length; i++) if (values[i]! > values[index]!) index = i;
  return { index, value: values[index]! };
}

const target = (await (await fetch("/target")).json()) as Target;
const outcome = await start(target).catch((error: unknown) => ({ error: String(error) }));
await fetch("/outcome", { method: "POST", body: JSON.stringify(outcome) });
