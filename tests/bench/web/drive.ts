// Runs the measurement in headless Chromium: node drive.ts PLAN.json RESULT.json (__main__.py writes the one, reads the other).

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { chromium, type Browser, type Page } from "playwright-core";
import { serve, type Served } from "./server.ts";
import { type Fresh, measureStart } from "./starts.ts";
import type { Start, Target } from "./types.ts";

interface Plan {
  chromium: string;
  /** Folder of our package as it is published. */
  lacewing: string;
  /** Folder with onnxruntime-web and @litertjs. */
  modules: string;
  /** Folder of the model files. */
  models: string;
  warmMs: number;
  /** Fresh browsers that share the rounds: V8 may run the same code a tenth slower for the life of a process. */
  browsers: number;
  /** In each browser. */
  rounds: number;
  sliceMs: number;
  starts: number;
  /** Each group is measured in one page. */
  groups: Target[][];
}

interface Result {
  target: Target;
  /** Milliseconds of the warm runs. */
  times: number[];
  /** One fresh browser each. */
  starts: Start[];
  /** Bytes that the renderer processes grew by, one fresh browser each. */
  peaks: number[];
  /** Bytes fetched for a start: the runtime's files, raw and as brotli, and the model's. */
  runtimeBytes: number;
  runtimeBrotliBytes: number;
}

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // A page that nobody looks at would run at a lower priority.
  "--disable-renderer-backgrounding",
  "--disable-backgrounding-occluded-windows",
  "--disable-background-timer-throttling",
];

async function main(planFile: string, resultFile: string): Promise<void> {
  const plan = JSON.parse(readFileSync(planFile, "utf8")) as Plan;
  const served = await serve({
    "/": import.meta.dirname,
    "/lacewing/": plan.lacewing,
    "/models/": plan.models,
    "/onnxruntime-web/": join(plan.modules, "onnxruntime-web", "dist"),
    "/litert-js/": join(plan.modules, "@litertjs", "core", "dist"),
    "/litert-js-wasm/": join(plan.modules, "@litertjs", "core", "wasm"),
    "/litert-wasm-utils/": join(plan.modules, "@litertjs", "wasm-utils", "dist"),
  });
  let version = "";
  const results: Result[] = [];
  for (const group of plan.groups) {
    const fresh = await measureStarts(plan, served, group);
    const times: number[][] = group.map(() => []);
    for (let i = 0; i < plan.browsers; i++) {
      const browser = await launch(plan);
      version = browser.version();
      const page = await openPage(browser, served);
      const found = await page.evaluate(
        ([targets, warm, rounds, slice]) => window.bench.interleave(targets, warm, rounds, slice),
        [group, plan.warmMs, plan.rounds, plan.sliceMs] as const,
      );
      found.forEach((some, target) => times[target]!.push(...some));
      await browser.close();
    }
    for (const [i, target] of group.entries()) results.push({ ...fresh[i]!, target, times: times[i]! });
    console.error(`${group[0]!.url}: ${group.length} targets, ${group[0]!.threads} thread(s) done`);
  }
  served.close();
  writeFileSync(resultFile, JSON.stringify({ chromium: version, results }));
}

function launch(plan: Plan): Promise<Browser> {
  return chromium.launch({ executablePath: plan.chromium, args: FLAGS });
}

async function openPage(browser: Browser, served: Served): Promise<Page> {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(error));
  await page.goto(`${served.origin}/page.html`);
  await page.waitForFunction(() => "bench" in window && crossOriginIsolated);
  return page;
}

type Starts = Omit<Result, "target" | "times">;

/** The targets in turn, `plan.starts` times. */
async function measureStarts(plan: Plan, served: Served, group: Target[]): Promise<Starts[]> {
  const found: Fresh[][] = group.map(() => []);
  for (let round = 0; round < plan.starts; round++) {
    for (const [i, target] of group.entries())
      found[i]!.push(await measureStart(plan.chromium, FLAGS, served, target));
  }
  return found.map((fresh) => {
    const files = [...new Set(fresh[0]!.fetched)].filter((file) => dirname(file) !== plan.models);
    return {
      starts: fresh.map(({ start }) => start),
      peaks: fresh.map(({ peak }) => peak),
      runtimeBytes: files.reduce((sum, file) => sum + readFileSync(file).length, 0),
      runtimeBrotliBytes: files.reduce((sum, file) => sum + brotliBytes(file), 0),
    };
  });
}

const compressed = new Map<string, number>();

/** Size at quality 9; 11 takes minutes for the peers' files and saves a tenth. */
function brotliBytes(file: string): number {
  let bytes = compressed.get(file);
  if (bytes === undefined) {
    const params = { [constants.BROTLI_PARAM_QUALITY]: 9 };
    bytes = brotliCompressSync(readFileSync(file), { params }).length;
    compressed.set(file, bytes);
  }
  return bytes;
}

await main(process.argv[2]!, process.argv[3]!);
