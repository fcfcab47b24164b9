// Runs in the browser. drive.ts calls window.bench.

import { inputData, load, type Run } from "./runtimes.js";
import type { Bench, Target } from "./types.ts";

async function open(target: Target): Promise<Run> {
  return (await load(target.runtime))(target, inputData(target));
}

async function interleave(
  targets: Target[],
  warmMs: number,
  rounds: number,
  sliceMs: number,
): Promise<number[][]> {
  const runs: Run[] = [];
  for (const target of targets) runs.push(await open(target));
  // Browsers compile twice: quickly at first, well once a function is hot. Both must be over before the clock starts.
  for (const run of runs) await slice(run, warmMs);
  const times: number[][] = targets.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < runs.length; i++) {
      const turn = (i + round) % runs.length;
      times[turn]!.push(...(await slice(runs[turn]!, sliceMs)));
    }
  }
  return times;
}

/** Milliseconds of each run until sliceMs are over; the first run, which finds the caches full of others' data, is not counted. */
async function slice(run: Run, sliceMs: number): Promise<number[]> {
  await new Promise((resolve) => setTimeout(resolve));
  await run();
  const times: number[] = [];
  const end = performance.now() + sliceMs;
  do {
    const before = performance.now();
    await run();
    times.push(performance.now() - before);
  } while (performance.now() < end);
  return times;
}

declare global {
  interface Window {
    bench: Bench;
  }
}
window.bench = { interleave };
