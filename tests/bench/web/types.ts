// What the driver (drive.ts, Node) and the page (page.ts, browser) say to each other.

/** One model file with one runtime. */
export interface Target {
  id: string;
  runtime: "lacewing" | "onnxruntime-web" | "litert-js";
  /** Where the page fetches the model. */
  url: string;
  /** Of ours: which binary; the peers choose themselves. */
  backend?: "simd128" | "relaxed-simd";
  /** Of the input as this runtime wants it. */
  dtype: "float32" | "uint8";
  dims: number[];
  threads: number;
}

/** What the page offers to the driver, as window.bench. */
export interface Bench {
  /** From nothing to the first result: runtime's script, module, model, one run. Milliseconds. */
  start(target: Target): Promise<number>;
  /** Loads all targets, lets each run for warmMs, then rounds of slices in turning order. Milliseconds [targets][runs]. */
  interleave(targets: Target[], warmMs: number, rounds: number, sliceMs: number): Promise<number[][]>;
  /** The largest output element and its index, so that a runtime that computes nonsense is noticed. */
  answer(target: Target): Promise<{ index: number; value: number; sum: number }>;
}
