// Builds the demo page: node demo/build.mjs MODELS OUTPUT. MODELS is what make_models.py wrote; the package is in dist/.
import { copyFileSync, cpSync, mkdirSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { build } from "esbuild";

const [models, output] = process.argv.slice(2).map((path) => resolve(path));
const here = import.meta.dirname;
const dist = resolve(here, "../dist");
const PACKAGE = ["lacewing.js", "worker.js", ...["simd128", "relaxed"].flatMap(binaries)];

function binaries(tier) {
  return [`lacewing-${tier}.wasm`, `lacewing-${tier}-threads.wasm`];
}

// The page uses the package as it is published, as two static files beside it.
const published = {
  name: "published",
  setup(hooks) {
    hooks.onResolve({ filter: /^lacewing$/ }, () => ({ path: "./lacewing/lacewing.js", external: true }));
  },
};

rmSync(output, { recursive: true, force: true });
mkdirSync(resolve(output, "lacewing"), { recursive: true });
await build({
  entryPoints: [resolve(here, "src/main.ts")],
  outfile: resolve(output, "main.js"),
  bundle: true,
  charset: "utf8",
  format: "esm",
  minify: true,
  plugins: [published],
  sourcemap: true,
  target: "es2023",
});
for (const file of ["index.html", "style.css", "wing.svg"])
  copyFileSync(resolve(here, file), resolve(output, file));
for (const file of PACKAGE) copyFileSync(resolve(dist, file), resolve(output, "lacewing", file));
cpSync(models, resolve(output, "models"), { recursive: true });
console.log(`${output}: serve it, for example with python3 runtime/web/demo/serve.py ${output}`);
