// The demo page in headless Chromium, used as people use it: node --test demo/demo.test.mjs, DEMO=folder of the page.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const repository = resolve(import.meta.dirname, "../../..");
const folder = resolve(process.env.DEMO ?? resolve(repository, "build/web-demo"));
const pictures = resolve(repository, "build/web-demo-pictures");
const tasks = JSON.parse(readFileSync(resolve(folder, "models/models.json"), "utf8"));
const faces = { skip: tasks.faces?.missing ?? false }; // where the detector's files are not there
const QUIET = ["background-networking", "component-update", "sync"].map((what) => `--disable-${what}`);
const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", ...QUIET];

let server, base, browser;
before(async () => {
  mkdirSync(pictures, { recursive: true });
  server = spawn("python3", [resolve(import.meta.dirname, "serve.py"), folder, "0"]);
  const [line] = await new Promise((found) => createInterface(server.stdout).once("line", (l) => found([l])));
  base = line.split(" ")[0];
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  browser = await chromium.launch({
    executablePath,
    args: [...ARGS, "--use-fake-device-for-media-stream"],
  });
});
after(async () => {
  await browser?.close();
  server?.kill();
});

/** A fresh page that fails the test on any error of its script or request to elsewhere. */
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 860 }, ...options });
  const page = await context.newPage();
  const strays = [];
  page.on("pageerror", (error) => strays.push(String(error)));
  page.on("request", (request) => {
    if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(base)) strays.push(request.url());
  });
  page.setDefaultTimeout(20_000);
  await page.goto(base);
  await started(page);
  return {
    page,
    context,
    close: async () => {
      await context.close();
      assert.deepEqual(strays, []);
    },
  };
}

// The page is loaded before its script knows the tasks, which are a file of their own.
const started = (page) => page.locator("#tasks input:checked").waitFor({ state: "attached" });
const sentence = (page, text) => page.locator("#sentence", { hasText: text }).waitFor();
const measured = (page) => page.locator("#gain", { hasText: "times as fast" }).waitFor();
const picture = (page, name) => page.screenshot({ path: resolve(pictures, `${name}.png`), fullPage: true });

test("a photo of the page is answered, drawn and measured in both models", faces, async () => {
  const { page, close } = await open();
  await page.getByRole("button", { name: "Grace Hopper in uniform" }).click();
  await sentence(page, /^One face found\.$/);
  assert.match(await page.locator("#picture").getAttribute("aria-label"), /One face found/);
  const sparse = page.getByRole("switch", { name: "Sparse model" });
  assert.equal(await sparse.getAttribute("aria-checked"), "true");
  await sparse.click();
  assert.equal(await sparse.getAttribute("aria-checked"), "false");
  await measured(page);
  const facts = await page.locator("#facts").innerText();
  assert.match(facts, /relaxed-simd, \d+ thread[^]*relaxed SIMD is available[^]*engine \d+ KB, model \d+ KB/);
  await picture(page, "photo");
  await close();
});

test("a photo of the user, chosen, dropped, and a file that is none", faces, async () => {
  const { page, close } = await open();
  await sentence(page, /face/);
  await page.getByLabel("Choose a photo").setInputFiles(resolve(folder, "models/cat.jpg"));
  await sentence(page, /^No face found\.$/);
  const bytes = [...readFileSync(resolve(folder, "models/grace_hopper.jpg"))];
  const transfer = await page.evaluateHandle((bytes) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], "dropped.jpg", { type: "image/jpeg" }));
    return data;
  }, bytes);
  await page.dispatchEvent("#stage", "drop", { dataTransfer: transfer });
  await sentence(page, /^One face found\.$/);
  const file = { name: "notes.jpg", mimeType: "image/jpeg", buffer: Buffer.from("not a picture") };
  await page.getByLabel("Choose a photo").setInputFiles(file);
  await page.getByRole("alert").filter({ hasText: "notes.jpg is not a picture" }).waitFor();
  await page.getByRole("button", { name: "A cat, nobody else" }).click();
  await sentence(page, /^No face found\.$/);
  assert.equal(await page.getByRole("alert").count(), 0);
  await close();
});

test("a camera that is not allowed is said, a photo still works", faces, async () => {
  const { page, close } = await open({ permissions: [] });
  await page.getByRole("button", { name: "Use the camera" }).click();
  await page.getByRole("alert").filter({ hasText: "The camera was not allowed" }).waitFor();
  await page.getByRole("button", { name: "Grace Hopper in uniform" }).click();
  await sentence(page, /^One face found\.$/);
  await close();
});

test("a camera runs until it is stopped", faces, async () => {
  const { page, close } = await open({ permissions: ["camera"] });
  await page.getByRole("button", { name: "Use the camera" }).click();
  const stop = page.getByRole("button", { name: "Stop the camera" });
  await stop.waitFor();
  assert.equal(await stop.getAttribute("aria-pressed"), "true");
  await page.waitForFunction(() => document.getElementById("picture").width === 640);
  await sentence(page, /face/);
  await stop.click();
  await page.getByRole("button", { name: "Use the camera" }).waitFor();
  await close();
});

test("a model that does not arrive is said, and fetched again later", faces, async () => {
  const { page, context, close } = await open();
  await sentence(page, /face/);
  await context.route("**/faces_0.lace", (route) => route.abort(), { times: 1 });
  await page.getByRole("switch").click();
  await page.getByRole("alert").filter({ hasText: "faces_0.lace: could not be fetched" }).waitFor();
  await page.getByRole("button", { name: "Grace Hopper in uniform" }).click();
  await sentence(page, /^One face found\.$/);
  await close();
});

test("a build without its list of models is said", async () => {
  const { page, context, close } = await open();
  await context.route("**/models.json", (route) => route.fulfill({ status: 404 }));
  await page.reload();
  await page.getByRole("alert").filter({ hasText: "models.json: the server answered 404" }).waitFor();
  await close();
});

test("a digit drawn with the pointer is read", async () => {
  const { page, close } = await open();
  await page.getByLabel("Digits", { exact: true }).check();
  await sentence(page, /^Draw a digit\.$/);
  const area = await page.locator("#pad").boundingBox();
  const at = (x, y) => [area.x + x * area.width, area.y + y * area.height];
  await page.mouse.move(...at(0.5, 0.15));
  await page.mouse.down();
  for (let i = 0; i <= 12; i++) {
    const angle = (Math.PI * i) / 6;
    await page.mouse.move(...at(0.5 - 0.2 * Math.sin(angle), 0.5 - 0.35 * Math.cos(angle)));
  }
  await page.mouse.up();
  await sentence(page, /^It is a 0/);
  await picture(page, "digit-drawn");
  await page.getByRole("button", { name: "Clear" }).click();
  await sentence(page, /^Draw a digit\.$/);
  await close();
});

test("everything can be done with the keyboard alone", async () => {
  const { page, close } = await open();
  const focused = () => page.evaluate(() => document.activeElement?.textContent.trim());
  const tabTo = async (name) => {
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press("Tab");
      if ((await focused()) === name) return;
    }
    assert.fail(`Tab does not reach "${name}"`);
  };
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.name), "task");
  for (let i = 0; i < 3 && !(await page.getByLabel("Digits", { exact: true }).isChecked()); i++)
    await page.keyboard.press("ArrowRight");
  await tabTo("3");
  await page.keyboard.press("Enter");
  await sentence(page, /^It is a 3/);
  await tabTo("Sparse model");
  await page.keyboard.press("Space");
  await measured(page);
  assert.equal(await page.getByRole("switch").getAttribute("aria-checked"), "false");
  await page.locator("#spoken", { hasText: "It is a 3" }).waitFor({ state: "attached" });
  await close();
});

test("a phone shows all of it without scrolling sideways, with targets for fingers", async () => {
  const { page, close } = await open({
    viewport: { width: 360, height: 740 },
    hasTouch: true,
    isMobile: true,
  });
  if (!faces.skip) await sentence(page, /face/);
  await picture(page, "phone");
  await page.getByLabel("Digits", { exact: true }).check();
  await page.getByRole("button", { name: "7", exact: true }).tap();
  await sentence(page, /^It is a 7/);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  for (const box of await page.getByRole("button").all()) {
    const { height } = await box.boundingBox();
    assert.ok(height >= 43, `${await box.innerText()} is ${height} pixels high`);
  }
  await picture(page, "phone-digit");
  await close();
});

for (const colorScheme of ["light", "dark"])
  test(`text has contrast enough in the ${colorScheme} scheme, and nothing moves unasked`, async () => {
    const { page, close } = await open({ colorScheme, reducedMotion: "reduce" });
    const ratios = await page.evaluate(() => {
      const style = getComputedStyle(document.documentElement);
      const luminance = (name) => {
        const hex = style.getPropertyValue(name).trim().slice(1);
        const parts = [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);
        const [r, g, b] = parts.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const pairs = ["--ink", "--soft", "--warn"].flatMap((text) =>
        ["--paper", "--card"].map((on) => [text, on]),
      );
      return [...pairs, ["--on-wing", "--wing"]].map(([text, on]) => {
        const [a, b] = [luminance(text), luminance(on)].sort((x, y) => y - x);
        return [`${text} on ${on}`, (a + 0.05) / (b + 0.05)];
      });
    });
    for (const [pair, ratio] of ratios) assert.ok(ratio >= 4.5, `${pair}: ${ratio.toFixed(2)} of 4.5`);
    const moving = await page.evaluate(() => document.getAnimations().length);
    assert.equal(moving, 0);
    assert.match(
      await page.locator(".knob").evaluate((e) => getComputedStyle(e, "::after").transitionProperty),
      /none/,
    );
    await picture(page, colorScheme);
    await close();
  });

test("no task can be chosen before the page knows which ones it has", async () => {
  const { page, close } = await open();
  const held = Promise.withResolvers();
  await page.route("**/models.json", async (route) => {
    await held.promise;
    await route.continue();
  });
  await page.reload();
  const tasksOn = page.locator("#tasks input:enabled");
  assert.equal(await tasksOn.count(), 0);
  held.resolve();
  await started(page);
  assert.ok((await tasksOn.count()) > 0);
  await close();
});

test("tasks that are not in the build cannot be chosen, and the page says why", async () => {
  const { page, close } = await open();
  const absent = ["faces", "objects", "digits"].filter((name) => !tasks[name] || tasks[name].missing);
  for (const name of absent) assert.ok(await page.locator(`input[value=${name}]`).isDisabled());
  const note = await page.locator("#note").innerText();
  assert.equal((note.match(/is missing: /g) ?? []).length, absent.length, note);
  await close();
});
