// The package as npm would publish it: its files, its sizes, and that a fresh project builds on the tarball alone.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { build as viteBuild, createServer as viteServer } from "vite";
import webpack from "webpack";
import { ISOLATED, repository, serve, web } from "./server.mjs";

const WASM = ["simd128", "relaxed", "simd128-threads", "relaxed-threads"].map(
  (name) => `dist/lacewing-${name}.wasm`,
);
const SCRIPTS = ["lacewing.js", "lacewing.js.map", "inline.js", "worker.js", "worker.js.map"];
const OTHERS = ["LICENSE", "README.md", "package.json"];

// Runs with one thread, with two, and from the single file.
const MAIN = `
import { Session, Tensor } from "lacewing";
import { Session as Inline } from "lacewing/inline";

async function results(kind, options) {
  const session = await kind.create("/models/classifier.lace", options);
  const [{ name, type, dims, size }] = session.inputs;
  const run = await session.run({ [name]: new Tensor(type, new Float32Array(size).fill(0.5), dims) });
  return [session.backend.threads, ...Object.values(run)[0].data];
}
try {
  globalThis.done = [await results(Session), await results(Session, { threads: 2 })];
} catch (error) {
  globalThis.done = error.name + ": " + error.message;
}
globalThis.Inline = Inline;
`;

// Every use of the types that the guide shows.
const USE = `
import { type Progress, Session, Tensor, type TensorInfo } from "lacewing";
import * as inline from "lacewing/inline";
using session = await Session.create(new URL("https://example.org/m.lace"), {
  threads: "auto",
  onProgress: (p: Progress) => console.log(p.loaded, p.total),
});
const info: TensorInfo | undefined = session.inputs[0];
const out = await session.run({ x: new Tensor("float32", new Float32Array(4), [1, 4]) });
const data: Float32Array | Uint8Array | undefined = out["y"]?.data;
const picture: ImageData = session.toImageData(session.fromImageData(new ImageData(2, 2), { fit: "stretch" }));
console.log(info, data, picture, inline.availableBackends());
// @ts-expect-error a float32 tensor has no Uint8Array
new Tensor("float32", new Uint8Array(1));
`;

let folder, tarball, browser;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "lacewing-"));
  const [packed] = JSON.parse(
    execFileSync("npm", ["pack", "--json", "--pack-destination", folder], { cwd: web }),
  );
  tarball = { path: join(folder, packed.filename), files: packed.files.map(({ path }) => path) };
  mkdirSync(join(folder, "node_modules/lacewing"), { recursive: true });
  const into = ["--strip-components=1", "-C", join(folder, "node_modules/lacewing")];
  execFileSync("tar", ["-xzf", tarball.path, ...into]);
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: "fresh", private: true, type: "module" }),
  );
  writeFileSync(join(folder, "index.html"), '<!doctype html><script type="module" src="/main.js"></script>');
  writeFileSync(join(folder, "main.js"), MAIN);
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  });
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

test("npm pack holds what is needed and nothing else", () => {
  const types = tarball.files.filter((path) => /^dist\/types\/\w+\.d\.ts$/.test(path));
  const rest = tarball.files.filter((path) => !types.includes(path)).sort();
  assert.deepEqual(rest, [...SCRIPTS.map((name) => `dist/${name}`), ...WASM, ...OTHERS].sort());
  assert(types.includes("dist/types/index.d.ts"));
});

test("the scripts have at most 30 KB, and depend on nothing", () => {
  const bytes = ["lacewing.js", "worker.js"].map((name) => statSync(resolve(web, "dist", name)).size);
  assert(bytes[0] + bytes[1] <= 30_000, `${bytes}`);
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(resolve(web, "package.json")));
  assert.deepEqual([dependencies, peerDependencies], [undefined, undefined]);
});

test("the package has the version of the Python one", () => {
  const { version } = JSON.parse(readFileSync(resolve(web, "package.json")));
  const [, wanted] = /^version = "(.*)"$/m.exec(readFileSync(resolve(repository, "pyproject.toml"), "utf8"));
  assert.equal(version, wanted);
});

test("publint has nothing to say", async () => {
  const { messages, pkg } = await publint({ pkgDir: join(folder, "node_modules/lacewing"), strict: true });
  assert.deepEqual(
    messages.map((message) => formatMessage(message, pkg)),
    [],
  );
});

test("a TypeScript project of the strictest kind compiles against the types", () => {
  writeFileSync(join(folder, "use.ts"), USE);
  const options = [
    "--strict",
    "--noEmit",
    "--module",
    "nodenext",
    "--target",
    "es2022",
    "--lib",
    "esnext,dom",
  ];
  const tsc = resolve(web, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, ...options, "--types", "", "use.ts"], {
    cwd: folder,
    stdio: "inherit",
  });
});

/** Opens the page and checks what main.js found. */
async function checkPage(address) {
  const page = await browser.newPage();
  await page.goto(address);
  await page.waitForFunction(() => globalThis.done !== undefined, undefined, { timeout: 20_000 });
  const done = await page.evaluate(() => globalThis.done);
  assert(Array.isArray(done), `${done}`);
  const [[alone, ...values], [threads, ...same]] = done;
  assert.deepEqual([alone, threads, values.length > 0], [1, 2, true]);
  assert.deepEqual(values, same);
}

/** Serves what a bundler wrote, the models beside it. */
async function checkBuilt(app) {
  const server = await serve({ headers: ISOLATED, folders: { app } });
  await checkPage(`${server.base}app/index.html`);
  server.close();
}

describe("fresh projects on the tarball", () => {
  test("Vite build", async () => {
    const out = join(folder, "vite");
    await viteBuild({ root: folder, base: "./", logLevel: "warn", build: { outDir: out, target: "es2022" } });
    await checkBuilt(out);
  });

  test("Vite's dev server", async () => {
    const models = await serve({ headers: ISOLATED });
    const server = await viteServer({
      root: folder,
      configFile: false,
      logLevel: "warn",
      server: { headers: ISOLATED, port: 0, proxy: { "/models": models.base } },
    });
    await server.listen();
    await checkPage(server.resolvedUrls.local[0]);
    await server.close();
    models.close();
  });

  test("webpack", async () => {
    const out = join(folder, "webpack");
    const config = {
      mode: "production",
      context: folder,
      entry: "./main.js",
      output: { path: out, filename: "bundle.js", publicPath: "auto", module: true, chunkFormat: "module" },
      experiments: { outputModule: true },
      performance: { hints: false },
    };
    const stats = await new Promise((done, failed) => webpack(config, (e, s) => (e ? failed(e) : done(s))));
    const { errors, warnings } = stats.toJson({ errors: true, warnings: true });
    assert.deepEqual([errors, warnings], [[], []]);
    writeFileSync(join(out, "index.html"), '<!doctype html><script type="module" src="bundle.js"></script>');
    await checkBuilt(out);
  });
});
