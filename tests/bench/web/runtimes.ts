// The three runtimes behind one interface.

import type * as LiteRtModule from "@litertjs/core";
import type * as OrtModule from "onnxruntime-web";
import type * as LacewingModule from "lacewing";
import type { Target } from "./types.ts";

/** A loaded model with its input in place: one call is one inference, typed array in to typed array out. */
export type Run = () => Promise<ArrayLike<number>>;

export type Input = Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

/** Loads the model of a target; `input` as `inputData` makes it. */
export type Open = (target: Target, input: Input) => Promise<Run>;

/** Fetches and runs a runtime's script. */
export function load(runtime: Target["runtime"]): Promise<Open> {
  switch (runtime) {
    case "lacewing":
      return loadLacewing();
    case "onnxruntime-web":
      return loadOnnxruntime();
    case "litert-js":
      return loadLiteRt();
  }
}

async function loadLacewing(): Promise<Open> {
  const { Session, Tensor } = (await import("/lacewing/lacewing.js" as string)) as typeof LacewingModule;
  return async (target, data) => {
    const session = await Session.create(target.url, { threads: target.threads, backend: target.backend });
    const name = session.inputs[0]!.name;
    const output = session.outputs[0]!.name;
    const input = new Tensor("float32", data as Float32Array<ArrayBuffer>, target.dims);
    return async () => (await session.run({ [name]: input }))[output]!.data as Float32Array;
  };
}

async function loadOnnxruntime(): Promise<Open> {
  const ort = (await import("/onnxruntime-web/ort.wasm.min.mjs" as string)) as typeof OrtModule;
  return async (target, data) => {
    ort.env.wasm.wasmPaths = "/onnxruntime-web/";
    ort.env.wasm.numThreads = target.threads;
    const session = await ort.InferenceSession.create(target.url, { executionProviders: ["wasm"] });
    const input = new ort.Tensor("float32", data as Float32Array<ArrayBuffer>, target.dims);
    return async () => {
      const results = await session.run({ [session.inputNames[0]!]: input });
      return results[session.outputNames[0]!]!.data as Float32Array;
    };
  };
}

async function loadLiteRt(): Promise<Open> {
  const litert = (await import("/litert-js/index.js" as string)) as typeof LiteRtModule;
  return async (target, data) => {
    // One runtime per page: it refuses to be loaded twice.
    await (litert.getGlobalLiteRtPromise() ??
      litert.loadLiteRt("/litert-js-wasm/", { threads: target.threads > 1 }));
    const model = await litert.loadAndCompile(target.url, {
      accelerator: "wasm",
      cpuOptions: { numThreads: target.threads },
    });
    return async () => {
      const input = new litert.Tensor(data, target.dims);
      const results = await model.run([input]);
      const output = results[0]!.toTypedArray();
      input.delete();
      for (const result of results) result.delete();
      return output as ArrayLike<number>;
    };
  };
}

/** The same pseudo-random picture for every runtime, in the layout and type that its file wants. */
export function inputData(target: Target): Input {
  const count = target.dims.reduce((product, n) => product * n, 1);
  const channelsLast = target.dims[3] === 3;
  const pixels = count / 3;
  const data = target.dtype === "uint8" ? new Uint8Array(count) : new Float32Array(count);
  let state = 12345;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    const byte = state >>> 24;
    const at = channelsLast ? (i % pixels) * 3 + Math.floor(i / pixels) : i;
    data[at] = target.dtype === "uint8" ? byte : byte / 127.5 - 1;
  }
  return data;
}
