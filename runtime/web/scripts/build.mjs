// Builds dist/: the package's script, its single-file variant, the worker, the types, and the .wasm from `make wasm`.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const repository = resolve(root, "../..");
const wasm = resolve(process.env.LACEWING_WASM ?? resolve(repository, "build/wasm"));
const dist = resolve(root, "dist");
const BINARIES = ["simd128", "relaxed", "simd128-threads", "relaxed-threads"];
const MOST_SCRIPT_BYTES = 30_000; // of lacewing.js and worker.js; raise it only with a reason in the commit

const common = {
  absWorkingDir: root,
  bundle: true,
  charset: "utf8",
  format: "esm",
  minify: true,
  outdir: "dist",
  sourcemap: true,
  target: "es2022",
};

// Imports of the inline variant: other files for some modules, bytes for the binaries.
const inline = {
  name: "inline",
  setup(hooks) {
    hooks.onResolve({ filter: /^\.\/(binaries|workers)\.js$/ }, ({ path }) => ({
      path: resolve(root, "src", path.replace(".js", "_inline.ts")),
    }));
    hooks.onResolve({ filter: /^lacewing-.*\.wasm$/ }, ({ path }) => ({ path: resolve(wasm, path) }));
  },
};

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
await build({ ...common, entryPoints: { lacewing: "src/index.ts", worker: "src/worker.ts" } });
await build({
  ...common,
  entryPoints: { inline: "src/index.ts" },
  loader: { ".wasm": "binary" },
  plugins: [inline],
  sourcemap: false, // it would carry the binaries once more
});
execFileSync(process.execPath, [resolve(root, "node_modules/typescript/bin/tsc")], {
  cwd: root,
  stdio: "inherit",
});
for (const name of BINARIES)
  copyFileSync(resolve(wasm, `lacewing-${name}.wasm`), resolve(dist, `lacewing-${name}.wasm`));
copyFileSync(resolve(repository, "LICENSE"), resolve(root, "LICENSE"));

const bytes = ["lacewing.js", "worker.js"].reduce((sum, file) => sum + statSync(resolve(dist, file)).size, 0);
console.log(`lacewing.js and worker.js: ${bytes} bytes of at most ${MOST_SCRIPT_BYTES}`);
if (bytes > MOST_SCRIPT_BYTES)
  throw new Error(`the scripts have ${bytes} bytes, at most ${MOST_SCRIPT_BYTES} are allowed`);
