// The suite in headless Chromium: in a page with and without cross-origin isolation, in a Worker, from the single file;
// and what only pages have: service workers, a Content-Security-Policy, another origin.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { ISOLATED, repository, serve } from "./server.mjs";
import { tests } from "./suite.mjs";

const badFiles = readdirSync(resolve(repository, "tests/golden/bad")).filter((name) =>
  name.endsWith(".lace"),
);
const QUIET = ["background-networking", "component-update", "sync"].map((what) => `--disable-${what}`);
const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", ...QUIET];

let browser, plain, isolated;
before(async () => {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: ARGS, headless: true });
  plain = await serve();
  isolated = await serve({ headers: ISOLATED });
});
after(async () => {
  await browser?.close();
  plain?.close();
  isolated?.close();
});

async function openPage(server, path = "tests/page.html") {
  const page = await browser.newPage();
  await page.goto(server.base + path);
  return page;
}

/** Runs the whole suite behind one page function and reports each of its tests. */
function suiteIn(what, server, options, only = Object.keys(tests)) {
  describe(what, () => {
    let page;
    before(async () => (page = await openPage(server())));
    after(() => page.close());
    for (const name of only)
      test(name, async () => {
        const env = { base: server().base, badFiles, ...options };
        const { [name]: result } = await page.evaluate(
          ([env, name]) => globalThis.runSuite(env, [name]),
          [env, name],
        );
        assert.equal(result, "ok");
      });
  });
}

const isolation = { threads: false, whyNoThreads: "not cross-origin isolated" };
suiteIn("a page without cross-origin isolation", () => plain, { ...isolation, script: "lacewing.js" });
suiteIn("a page with cross-origin isolation", () => isolated, { threads: true, script: "lacewing.js" });

const ESSENTIAL = Object.keys(tests).filter((name) => !/vectors|whole_models|large_photo/.test(name));
suiteIn("a Worker", () => isolated, { threads: true, script: "lacewing.js", inWorker: true }, ESSENTIAL);
const inline = { threads: false, inline: true, whyNoThreads: "single-file package", script: "inline.js" };
suiteIn("the single file", () => plain, inline, ESSENTIAL);

/** Imports a script in a page, runs the classifier once, and returns the backend or the error. */
async function tryOut(page, script, options = {}) {
  const model = new URL("/models/classifier.lace", page.url()).href;
  return page.evaluate(([...given]) => globalThis.tryOut(...given), [script, model, options]);
}

test("pages of a strict Content-Security-Policy", async () => {
  const policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'";
  const strict = await serve({ headers: { ...ISOLATED, "Content-Security-Policy": policy } });
  const page = await openPage(strict);
  assert.equal((await tryOut(page, "/package/lacewing.js", { threads: 2 })).backend?.threads, 2);
  const stricter = await serve({
    headers: { "Content-Security-Policy": "default-src 'self'; script-src 'self'" },
  });
  const refused = await tryOut(await openPage(stricter), "/package/lacewing.js");
  assert.match(refused.error, /^BackendError: .*script-src needs 'wasm-unsafe-eval'/);
  strict.close();
  stricter.close();
});

test("the package from another origin, with threads", async () => {
  const cdn = await serve({ headers: ISOLATED });
  const { backend, error } = await tryOut(await openPage(isolated), `${cdn.base}package/lacewing.js`, {
    threads: 2,
  });
  assert.equal(backend?.threads, 2, error);
  cdn.close();
});

test("an isolated page whose worker.js is missing says so", async () => {
  const files = resolve(repository, "runtime/web/dist");
  const bare = await serve({
    headers: ISOLATED,
    folders: { package: resolve(files, "nowhere"), other: files },
  });
  const page = await openPage(bare);
  await page.route("**/worker.js", (route) => route.fulfill({ status: 404, body: "no such file" }));
  const { error } = await tryOut(page, "/other/lacewing.js", { threads: 2 });
  assert.match(error, /^BackendError: a Worker could not be started .*threads: 1 needs none/);
  bare.close();
});

test("the example of a service worker answers from its cache, offline", async () => {
  const server = await serve();
  const page = await openPage(server, "examples/service-worker/index.html");
  await page.waitForFunction(() => globalThis.ask !== undefined);
  const online = await page.evaluate(() => globalThis.ask());
  server.close();
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("ServiceWorker.enable");
  await devtools.send("ServiceWorker.stopAllWorkers");
  const offline = await page.evaluate(() => globalThis.ask());
  assert.equal(online.error, undefined);
  assert.deepEqual(offline.results, online.results);
  assert.deepEqual([online.results.length > 0, online.fromCache, offline.fromCache], [true, false, true]);
});

test("the example of a Worker classifies a picture", async () => {
  const page = await openPage(isolated, "examples/worker/index.html");
  await page.waitForFunction(() => globalThis.classify !== undefined);
  const answer = await page.evaluate(async () =>
    globalThis.classify(await createImageBitmap(new ImageData(50, 40))),
  );
  assert.equal(answer.error, undefined);
  assert(answer.best >= 0 && Number.isFinite(answer.score), JSON.stringify(answer));
});
