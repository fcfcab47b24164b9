// The suite in Node, from the package as it is built; and what only Node has: paths.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import * as lacewing from "../dist/lacewing.js";
import * as inline from "../dist/inline.js";
import { repository, serve } from "./server.mjs";
import { tests } from "./suite.mjs";

const badFiles = readdirSync(resolve(repository, "tests/golden/bad")).filter((name) =>
  name.endsWith(".lace"),
);
let server;
before(async () => (server = await serve()));
after(() => server.close());

test("this Node runs relaxed SIMD right", () => {
  assert(Number(process.versions.node.split(".")[0]) >= 22, `Node ${process.version}: use the package's own`);
  assert.deepEqual(lacewing.availableBackends(), ["relaxed-simd", "simd128"]);
});

// A thread of Node starts slowly: Chromium runs every vector with threads, Node some.
const everyVector = 20;

describe("lacewing in Node", () => {
  for (const [name, body] of Object.entries(tests))
    test(name, () => body({ lacewing, base: server.base, threads: true, badFiles, everyVector }));
});

describe("lacewing/inline in Node", () => {
  const env = {
    lacewing: inline,
    threads: false,
    inline: true,
    whyNoThreads: "single-file package",
    badFiles,
  };
  for (const [name, body] of Object.entries(tests)) test(name, () => body({ ...env, base: server.base }));
});

test("paths and file addresses", async () => {
  const path = resolve(repository, "tests/conformance/vectors/add_plain_1.lace");
  for (const model of [path, pathToFileURL(path), pathToFileURL(path).href])
    (await lacewing.Session.create(model)).release();
  await assert.rejects(lacewing.Session.create("/no/such/file.lace"), {
    name: "DownloadError",
    message: /no\/such\/file\.lace: cannot be read .* check the path/,
  });
});

test("without SIMD the error says what to use", async () => {
  const { validate } = WebAssembly;
  WebAssembly.validate = () => false;
  try {
    await assert.rejects(lacewing.Session.create(new ArrayBuffer(1)), {
      name: "BackendError",
      message: /no WebAssembly SIMD.*Safari 16\.4/,
    });
  } finally {
    WebAssembly.validate = validate;
  }
});
