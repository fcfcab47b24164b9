// What the drivers (drive.ts, starts.ts; Node) and the pages (page.ts, start.ts; browser) say to each other.

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

/** A first result. The picture is there before the clock starts. */
export interface Start {
  /** Milliseconds from nothing: the runtime's script, its module, the model, one run. */
  first: number;
  /** The same from when the script has run. */
  load: number;
  /** The largest output element, so that a runtime that computes nonsense is noticed. */
  answer: { index: number; value: number };
}

/** What page.ts offers to the driver, as window.bench. */
export interface Bench {
  /** Loads all targets, lets each run for warmMs, then rounds of slices in turning order. Milliseconds [targets][runs]. */
  interleave(targets: Target[], warmMs: number, rounds: number, sliceMs: number): Promise<number[][]>;
}
