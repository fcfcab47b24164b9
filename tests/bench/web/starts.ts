// First results, each in a browser of its own: no code cache, no warm process, and no debugger, which would be given a
// copy of every byte that arrives.

import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Served } from "./server.ts";
import type { Start, Target } from "./types.ts";

export interface Fresh {
  start: Start;
  /** Bytes that the page's processes grew by. */
  peak: number;
  /** Paths of the fetched files, in order. */
  fetched: string[];
}

const SETTLE_MS = 500; // until a fresh browser has done with itself
const LIMIT_MS = 60_000;

/** Starts `target` once in a new `chromium`. Throws what the page or the browser failed with. */
export async function measureStart(
  chromium: string,
  flags: string[],
  served: Served,
  target: Target,
): Promise<Fresh> {
  const profile = mkdtempSync(join(tmpdir(), "bench-web-"));
  const args = [...flags, "--headless", `--user-data-dir=${profile}`, `${served.origin}/start.html`];
  const browser = spawn(chromium, args, { stdio: "ignore", detached: true }); // detached: a process group of its own
  const exited = new Promise<never>((_, reject) => {
    browser.once("error", reject);
    browser.once("exit", (code) => reject(new Error(`${chromium} ended with ${code} before a result`)));
  });
  const late = new AbortController();
  try {
    const limit = sleep(LIMIT_MS, undefined, { signal: late.signal }).then(() => {
      throw new Error(`no result of ${target.runtime} after ${LIMIT_MS} ms`);
    });
    return await Promise.race([talk(browser.pid!, served, target), exited, limit]);
  } finally {
    late.abort();
    if (browser.pid !== undefined && browser.exitCode === null) process.kill(-browser.pid, "SIGKILL");
    await exited.catch(() => undefined);
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Answers the page's two questions (start.ts). */
function talk(group: number, served: Served, target: Target): Promise<Fresh> {
  let before = 0;
  served.answers.set("/target", async () => {
    await sleep(SETTLE_MS);
    before = memory(renderers(group), "VmRSS");
    served.fetched.length = 0;
    return JSON.stringify(target);
  });
  return new Promise((resolve, reject) => {
    served.answers.set("/outcome", async (body) => {
      const outcome = JSON.parse(body) as Start | { error: string };
      if ("error" in outcome) reject(new Error(`${target.runtime}, ${target.url}: ${outcome.error}`));
      else
        resolve({
          start: outcome,
          peak: memory(renderers(group), "VmHWM") - before,
          fetched: [...served.fetched],
        });
      return "";
    });
  });
}

/** Process ids of the pages of a process group: the one that is measured and the spare, which stays as it is. */
function renderers(group: number): number[] {
  const processes = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return processes.map(Number).filter((process) => {
    const command = procFile(process, "cmdline");
    const [, , itsGroup] = procFile(process, "stat")
      .replace(/^.*\) /s, "")
      .split(" "); // state, parent, group
    return Number(itsGroup) === group && command.includes("--type=renderer");
  });
}

/** Bytes of one line of Linux' account of the processes. */
function memory(processes: number[], line: "VmHWM" | "VmRSS"): number {
  const bytes = processes.map((process) => {
    const match = new RegExp(`^${line}:\\s+(\\d+) kB`, "m").exec(procFile(process, "status"));
    if (!match) throw new Error(`/proc/${process}/status has no ${line}`);
    return Number(match[1]) * 1024;
  });
  return bytes.reduce((sum, one) => sum + one, 0);
}

/** "" where the process is gone. */
function procFile(process: number, name: string): string {
  try {
    return readFileSync(`/proc/${process}/${name}`, "utf8");
  } catch {
    return "";
  }
}
