// What must hold wherever the package runs: pages, workers and Node import this file and run every test in it.
// A test takes { lacewing, base, badFiles, threads, ... }: the package, the test server's address, the golden bad files,
// whether Workers share memory here.

function check(condition, message) {
  if (!condition) throw new Error(message);
}

function equal(found, wanted, what) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  check(a === b, `${what}: found ${a}, wanted ${b}`);
}

/** The error that `call` throws or rejects with; its class by name and a part of its message are checked. */
async function fails(call, name, part) {
  let error;
  try {
    await call();
  } catch (thrown) {
    error = thrown;
  }
  check(error !== undefined, `nothing failed, wanted ${name} with '${part}'`);
  check(
    error.name === name && error.message.includes(part),
    `found ${error.name}: ${error.message}, wanted ${name} with '${part}'`,
  );
  return error;
}

function* xorshift32(seed) {
  for (let x = seed; ;) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    yield (x >>>= 0);
  }
}

/** The inputs of a conformance vector (tests/conformance/inputs.py). */
function vectorInputs({ Tensor }, session, seed) {
  const state = xorshift32(seed);
  const value = { uint8: (x) => x >>> 25, float32: (x) => ((x | 0) >> 8) * 2 ** -20 };
  return Object.fromEntries(
    session.inputs.map(({ name, type, dims, size }) => {
      const data = Array.from({ length: size }, () => value[type](state.next().value));
      return [name, new Tensor(type, data, dims)];
    }),
  );
}

/** The picture of tests/conformance/images.py. */
function picture(width, height) {
  const state = xorshift32(1);
  const half = Math.floor(height / 2) * width * 4;
  const data = Uint8Array.from({ length: width * height * 4 }, (_, i) => {
    const byte = state.next().value >>> 24;
    return i < half ? (byte >> 7) * 255 : byte;
  });
  return { data, width, height };
}

async function digest(array) {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const hash = await crypto.subtle.digest("SHA-256", bytes.slice());
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function digests(tensors) {
  const entries = Object.entries(tensors).map(async ([name, tensor]) => [name, await digest(tensor.data)]);
  return Object.fromEntries(await Promise.all(entries));
}

async function json(address) {
  return (await fetch(address)).json();
}

async function bytesOf(address) {
  return new Uint8Array(await (await fetch(address)).arrayBuffer());
}

async function wrongResults({ lacewing, base }, folder, index, options, every = 1) {
  const wrong = [];
  const all = Object.entries(await json(`${base}${folder}/${index}`));
  for (const [name, { seed, outputs }] of all.filter((_, i) => i % every === 0)) {
    const session = await lacewing.Session.create(`${base}${folder}/${name}.lace`, options);
    const found = await digests(await session.run(vectorInputs(lacewing, session, seed)));
    equal(session.backend.threads, options.threads, "threads");
    if (Object.entries(outputs).some(([output, wanted]) => found[output] !== wanted)) wrong.push(name);
    session.release();
  }
  return wrong;
}

/** Every backend here alone, and the fastest with threads where that can be: a Worker for each of 220 vectors takes its time. */
function configurations({ lacewing, threads }) {
  const all = lacewing.availableBackends().map((backend) => ({ backend, threads: 1 }));
  return threads
    ? [...all, { backend: all[0].backend, threads: 2 }, { backend: "simd128", threads: 3 }]
    : all;
}

async function classifier({ lacewing, base }, options) {
  const session = await lacewing.Session.create(`${base}models/classifier.lace`, options);
  return { session, inputs: vectorInputs(lacewing, session, 7) };
}

export const tests = {
  async vectors_give_the_committed_digests(env) {
    for (const options of configurations(env)) {
      const every = options.threads > 1 ? env.everyVector : 1;
      equal(await wrongResults(env, "vectors", "vectors.json", options, every), [], JSON.stringify(options));
    }
  },

  async whole_models_give_the_native_digests(env) {
    const threaded = env.threads ? [{ backend: "simd128", threads: 3 }] : [];
    for (const options of [...configurations(env), ...threaded])
      equal(await wrongResults(env, "models", "models.json", options), [], JSON.stringify(options));
  },

  async images_become_what_the_converter_makes_of_them(env) {
    const sessions = {};
    for (const { model, width, height, options, input } of await json(`${env.base}models/images.json`)) {
      sessions[model] ??= await env.lacewing.Session.create(`${env.base}models/${model}.lace`);
      const tensor = sessions[model].fromImageData(picture(width, height), options);
      equal(await digest(tensor.data), input, `${model} ${width}x${height} ${JSON.stringify(options)}`);
    }
  },

  async an_image_comes_back_from_its_tensor(env) {
    const { session } = await classifier(env);
    const image = picture(33, 33);
    for (const options of [{}, { mean: [1, 2, 3], std: [2, 50, 64], channels: "bgr" }]) {
      const back = session.toImageData(session.fromImageData(image, { ...options, fit: "stretch" }), options);
      equal([back.width, back.height], [33, 33], "size");
      const differs = back.data.findIndex((byte, i) => byte !== (i % 4 === 3 ? 255 : image.data[i]));
      equal(differs, -1, `first byte that differs, ${JSON.stringify(options)}`);
    }
    const small = session.toImageData(session.fromImageData(image), { width: 5, height: 9 });
    equal([small.width, small.height, small.data.length], [5, 9, 180], "resized");
  },

  async a_large_photo_leaves_little_memory_behind(env) {
    const { session } = await classifier(env);
    const before = session.memoryBytes;
    const image = { data: new Uint8ClampedArray(4000 * 3000 * 4).fill(200), width: 4000, height: 3000 };
    const { data } = session.fromImageData(image);
    check(
      data.every((value) => Math.abs(value - (200 - 127.5) / 127.5) < 1e-6),
      "a flat picture stays flat",
    );
    check(session.memoryBytes - before < 4 << 20, `memory grew from ${before} to ${session.memoryBytes}`);
  },

  async wrong_images_are_refused(env) {
    const { session } = await classifier(env);
    const image = picture(8, 8);
    await fails(
      () => session.fromImageData({ ...image, width: 9 }),
      "InputError",
      "288 bytes of RGBA, not 256",
    );
    await fails(() => session.fromImageData({ ...image, data: [] }), "InputError", "RGBA bytes");
    await fails(() => session.fromImageData(image, { input: "no" }), "InputError", "no input 'no'");
    await fails(
      () => session.fromImageData(image, { mean: [1, 2] }),
      "InputError",
      "mean is one finite number",
    );
    await fails(() => session.fromImageData(image, { std: 0 }), "InputError", "std must be above 0");
    await fails(() => session.fromImageData(image, { resize: 8 }), "InputError", "raise resize");
    await fails(() => session.fromImageData(image, { fit: "cover" }), "InputError", "'crop' or 'stretch'");
    await fails(() => session.toImageData(image), "InputError", "takes a Tensor");
    const flat = new env.lacewing.Tensor("float32", [1, 2]);
    await fails(() => session.toImageData(flat), "InputError", "no image");
    const gone = session.fromImageData(image);
    structuredClone(gone.data, { transfer: [gone.data.buffer] });
    await fails(() => session.toImageData(gone), "InputError", "detached");
  },

  async a_session_says_what_it_is(env) {
    const { session } = await classifier(env);
    equal(session.inputs.length, 1, "inputs");
    const { type, dims, size, scale, zeroPoint } = session.inputs[0];
    equal({ type, dims, size }, { type: "float32", dims: [1, 3, 33, 33], size: 3267 }, "input");
    equal({ scale, zeroPoint }, { scale: 0, zeroPoint: 0 }, "quantization of a float input");
    equal(
      session.outputs.map((o) => o.dims).sort(),
      [
        [1, 21],
        [1, 21, 1, 1],
      ],
      "outputs",
    );
    equal(session.fileBytes, (await bytesOf(`${env.base}models/classifier.lace`)).length, "fileBytes");
    equal(session.metadata, {}, "metadata");
    equal(session.backend.name, env.lacewing.availableBackends()[0], "backend");
    check(session.backend.why.includes("one thread as asked for"), session.backend.why);
    check(session.memoryBytes % 65536 === 0, `memoryBytes ${session.memoryBytes}`);
    const conv = session.layers.find((layer) => layer.kind === "conv" && layer.keptMacs < layer.macs);
    check(conv.kernel !== "" && conv.tier !== "" && conv.weightBytes > 0, JSON.stringify(conv));
  },

  async any_kind_of_source_loads(env) {
    const { Session } = env.lacewing;
    const address = `${env.base}models/classifier.lace`;
    const bytes = await bytesOf(address);
    const padded = new Uint8Array(bytes.length + 3);
    padded.set(bytes, 3);
    const sources = [new URL(address), bytes.slice().buffer, padded.subarray(3), await fetch(address)];
    for (const source of [...sources, new Blob([bytes])]) {
      const session = await Session.create(source);
      equal(session.fileBytes, bytes.length, "fileBytes");
      session.release();
    }
    await fails(() => Session.create(7), "InputError", "not Number");
    await fails(() => Session.create(new ArrayBuffer(0)), "InputError", "detached");
    const used = await fetch(address);
    await used.arrayBuffer();
    await fails(() => Session.create(used), "InputError", "no body left");
  },

  async progress_ends_at_the_file_size(env) {
    for (const folder of ["", "odd/gzip/"]) {
      const seen = [];
      const onProgress = (progress) => seen.push(progress);
      const { fileBytes } = await env.lacewing.Session.create(`${env.base}${folder}models/detector.lace`, {
        onProgress,
      });
      equal(seen.at(-1), { loaded: fileBytes, total: fileBytes }, "last progress");
      check(
        seen.every(({ loaded }, i) => loaded > (seen[i - 1]?.loaded ?? 0)),
        "progress goes on",
      );
    }
  },

  async abort_before_and_during_the_download(env) {
    const { Session } = env.lacewing;
    const address = `${env.base}odd/stalled/models/detector.lace`;
    await fails(() => Session.create(address, { signal: AbortSignal.abort() }), "AbortError", "");
    for (const source of [() => address, () => fetch(address)]) {
      const control = new AbortController();
      const options = { signal: control.signal, onProgress: () => control.abort(new Error("enough")) };
      await fails(async () => Session.create(await source(), options), "Error", "enough");
    }
    await fails(() => Session.create(address, { signal: AbortSignal.timeout(200) }), "TimeoutError", "");
    if (!env.inline) {
      const options = { wasmPaths: `${env.base}odd/stalled/package`, signal: AbortSignal.timeout(200) };
      await fails(() => Session.create(`${env.base}models/detector.lace`, options), "TimeoutError", "");
    }
    (await Session.create(`${env.base}models/detector.lace`)).release();
  },

  async downloads_that_fail_say_how(env) {
    const { Session } = env.lacewing;
    const at = (path) => () => Session.create(env.base + path);
    const missing = await fails(at("models/none.lace"), "DownloadError", "the server answered 404");
    equal(missing.status, 404, "status");
    await fails(at("odd/broken/models/detector.lace"), "DownloadError", "broke off");
    await fails(at("odd/short/models/detector.lace"), "DownloadError", "truncated download");
    await fails(at("odd/html/models/detector.lace"), "ModelFormatError", "as a web page does");
    await fails(at("models/models.json"), "ModelFormatError", "as a web page does");
    await fails(() => Session.create("http://localhost:1/m.lace"), "DownloadError", "could not be fetched");
  },

  async a_missing_engine_is_named_and_may_come_later(env) {
    if (env.inline) return;
    const { Session } = env.lacewing;
    const address = `${env.base}models/classifier.lace`;
    const at = (path) => () => Session.create(address, { wasmPaths: env.base + path });
    const missing = await fails(at("nowhere"), "DownloadError", "wasmPaths");
    equal(missing.status, 404, "status");
    await fails(
      at("odd/html/package/"),
      "BackendError",
      "bytes of text/html; the type of .wasm is application/wasm",
    );
    (await at("odd/untyped/package")()).release(); // a wrong type alone hurts nobody
    (await at("package/")()).release();
    const relaxed = `${env.base}package/lacewing-relaxed.wasm`;
    const simd128 = `${env.base}package/lacewing-simd128.wasm`;
    (await Session.create(address, { wasmPaths: { relaxed, simd128 } })).release();
  },

  async hostile_files_are_refused_and_hurt_nothing(env) {
    const { Session } = env.lacewing;
    const { session, inputs } = await classifier(env);
    const before = await digests(await session.run(inputs));
    const wrong = [];
    for (const name of env.badFiles) {
      const bytes = await bytesOf(`${env.base}bad/${name}`);
      const error = await Session.create(bytes.length ? bytes : new Response(bytes)).catch((e) => e);
      if (error.name !== "ModelFormatError" || error.code !== Number(name.slice(0, 2)))
        wrong.push(`${name}: ${error.name} ${error.message}`);
    }
    equal(wrong, [], "files refused for another reason");
    equal(await digests(await session.run(inputs)), before, "the session from before");
    equal(await digests(await (await classifier(env)).session.run(inputs)), before, "a session from after");
  },

  async a_file_longer_than_it_says_is_not_read_to_its_end(env) {
    const bytes = await bytesOf(`${env.base}models/classifier.lace`);
    let pulled = 0;
    const endless = new ReadableStream({
      pull: (controller) => controller.enqueue(pulled++ === 0 ? bytes : new Uint8Array(65536)),
    });
    const error = await fails(
      () => env.lacewing.Session.create(new Response(endless)),
      "ModelFormatError",
      "truncated",
    );
    equal(error.code, 1, "code");
    check(pulled < 10, `${pulled} pieces were pulled`);
  },

  async memory_stays_below_the_limit(env) {
    const { Session } = env.lacewing;
    const address = `${env.base}models/classifier.lace`;
    let refused = 0;
    for (let maxMemory = 1; ; maxMemory += 8192) {
      const made = await Session.create(address, { maxMemory }).catch((error) => error);
      if (made instanceof Session) break;
      check(made.name === "LimitError" && made.message.includes("maxMemory"), `${maxMemory}: ${made}`);
      check(made.needed > made.allowed, `${maxMemory}: needed ${made.needed}, allowed ${made.allowed}`);
      refused++;
    }
    check(refused > 10, `${refused} limits refused`);
    await fails(() => Session.create(address, { maxMemory: 1.5 }), "InputError", "whole number");
    const limit = 4 << 20;
    const { memoryBytes } = await Session.create(`${env.base}models/detector.lace`, { maxMemory: limit });
    check(memoryBytes <= limit, `memoryBytes ${memoryBytes}`);
  },

  async wrong_tensors_are_refused_and_the_session_goes_on(env) {
    const { Tensor } = env.lacewing;
    const { session, inputs } = await classifier(env);
    const [{ name, dims, size }] = session.inputs;
    const run = (tensor, key = name) => session.run({ [key]: tensor });
    await fails(() => session.run({}), "InputError", `input '${name}' is missing`);
    await fails(() => session.run(null), "InputError", "inputs is an object");
    await fails(() => session.run({ ...inputs, more: inputs[name] }), "InputError", "no input 'more'");
    await fails(() => run(new Float32Array(size)), "InputError", "wanted a Tensor float32 [1, 3, 33, 33]");
    await fails(() => run(new Tensor("uint8", new Uint8Array(size), dims)), "InputError", "found uint8");
    await fails(
      () => run(new Tensor("float32", new Float32Array(size))),
      "InputError",
      "found float32 [3267]",
    );
    const nan = new Tensor("float32", new Float32Array(size).fill(NaN), dims);
    await fails(() => run(nan), "InputError", "replace the NaN");
    const gone = new Tensor("float32", new Float32Array(size), dims);
    structuredClone(gone.data, { transfer: [gone.data.buffer] });
    await fails(() => run(gone), "InputError", "detached");
    await fails(() => session.run(inputs, { no: nan }), "InputError", "no output 'no'");
    check((await session.run(inputs))[session.outputs[0].name].size > 0, "runs after errors");
  },

  async a_quantized_input_above_127_is_refused(env) {
    const { lacewing, base } = env;
    const session = await lacewing.Session.create(`${base}vectors/add_plain_1.lace`);
    const inputs = vectorInputs(lacewing, session, 1);
    Object.values(inputs)[0].data[0] = 128;
    await fails(() => session.run(inputs), "InputError", "uint8 inputs hold 0..127");
  },

  async results_go_into_given_tensors(env) {
    const { Tensor } = env.lacewing;
    const { session, inputs } = await classifier(env);
    const [first, second] = session.outputs;
    const into = new Tensor(first.type, new Float32Array(first.size), first.dims);
    const results = await session.run(inputs, { [first.name]: into });
    check(
      results[first.name] === into && into.data.some((v) => v !== 0),
      "the given tensor holds the result",
    );
    equal(await digests(results), await digests(await session.run(inputs)), "results");
    const shared = new Tensor(second.type, into.data, second.dims);
    const both = { [first.name]: into, [second.name]: shared };
    await fails(() => session.run(inputs, both), "InputError", "share memory");
  },

  async tensors_check_themselves({ lacewing: { Tensor } }) {
    equal(new Tensor("uint8", new Uint8ClampedArray([1, 2])).dims, [2], "dims by default");
    await fails(() => new Tensor("int8", [1]), "InputError", "'float32' or 'uint8'");
    await fails(() => new Tensor("float32", new Float64Array(1)), "InputError", "not Float64Array");
    await fails(() => new Tensor("float32", [1, 2], [3]), "InputError", "want 3 values, the data has 2");
    await fails(() => new Tensor("float32", [1], [1.5]), "InputError", "whole numbers");
  },

  async a_released_session_says_so(env) {
    const { session, inputs } = await classifier(env, env.threads ? { threads: 2 } : {});
    await session.run(inputs);
    session[Symbol.dispose]();
    session.release();
    await fails(() => session.run(inputs), "SessionError", "released");
    await fails(() => session.layers, "SessionError", "released");
    equal(session.inputs.length, 1, "inputs stay known");
  },

  async backends_are_chosen_by_name_or_refused(env) {
    const { session } = await classifier(env, { backend: "simd128" });
    equal([session.backend.name, session.backend.threads], ["simd128", 1], "backend");
    await fails(() => classifier(env, { backend: "webgpu" }), "InputError", "'simd128' or 'relaxed-simd'");
    await fails(
      () => classifier(env, { thread: 2 }),
      "InputError",
      "no option 'thread'; there are threads, signal",
    );
    await fails(() => classifier(env, { threads: 0 }), "InputError", "1 to 16 or 'auto'");
    await fails(() => classifier(env, { threads: 2.5 }), "InputError", "1 to 16 or 'auto'");
  },

  async threads_run_where_memory_can_be_shared(env) {
    const { session, inputs } = await classifier(env, { threads: 2 });
    equal(session.backend.threads, env.threads ? 2 : 1, "threads");
    if (!env.threads) check(session.backend.why.includes(env.whyNoThreads), session.backend.why);
    const alone = await (await classifier(env)).session.run(inputs);
    for (let i = 0; i < 20; i++)
      equal(await digests(await session.run(inputs)), await digests(alone), "results");
    session.release();
    const auto = (await classifier(env, { threads: "auto" })).session;
    check(env.threads || auto.backend.threads === 1, JSON.stringify(auto.backend));
    auto.release();
  },

  async sessions_side_by_side_do_not_meet(env) {
    const options = env.threads ? { threads: 2 } : {};
    const many = await Promise.all(Array.from({ length: 4 }, () => classifier(env, options)));
    const found = await Promise.all(
      many.map(async ({ session, inputs }) => digests(await session.run(inputs))),
    );
    for (const one of found) equal(one, found[0], "results");
    for (const { session } of many) session.release();
  },
};

/** Runs all of them; name -> "ok" or what went wrong. */
export async function runAll(env, only = Object.keys(tests)) {
  const results = {};
  for (const name of only) {
    try {
      await tests[name](env);
      results[name] = "ok";
    } catch (error) {
      results[name] = error.stack?.includes(error.message) ? error.stack : `${error.message}\n${error.stack}`;
    }
  }
  return results;
}
