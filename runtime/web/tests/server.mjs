// A static server of the folders that the tests need, which can also answer badly on purpose.
import { createReadStream, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

export const web = resolve(fileURLToPath(import.meta.url), "../..");
export const repository = resolve(web, "../..");

const FOLDERS = {
  package: resolve(web, "dist"),
  tests: resolve(web, "tests"),
  examples: resolve(web, "examples"),
  vectors: resolve(repository, "tests/conformance/vectors"),
  models: resolve(process.env.LACEWING_MODELS ?? resolve(repository, "build/conformance")),
  bad: resolve(repository, "tests/golden/bad"),
};
const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

// Each takes the file that was asked for: /odd/NAME/FOLDER/FILE.
const ODD = {
  broken: (response, file) => {
    const bytes = readFileSync(file);
    response.writeHead(200, { "Content-Length": bytes.length });
    response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
  },
  short: (response, file) => {
    const bytes = readFileSync(file);
    response.end(bytes.subarray(0, bytes.length / 2)); // chunked: the transfer itself looks complete
  },
  stalled: (response, file) => {
    const bytes = readFileSync(file);
    response.writeHead(200, { "Content-Length": bytes.length });
    response.write(bytes.subarray(0, bytes.length / 2));
  },
  gzip: (response, file) => {
    response.writeHead(200, { "Content-Encoding": "gzip" });
    response.end(gzipSync(readFileSync(file)));
  },
  html: (response) => {
    response.writeHead(200, { "Content-Type": "text/html" });
    response.end("<!doctype html><title>Not what was asked for</title><p>But a page all the same.</p>");
  },
  untyped: (response, file) => {
    response.writeHead(200, { "Content-Type": "text/plain" });
    response.end(readFileSync(file));
  },
};

function fileOf(folders, path) {
  const [, folder, ...rest] = path.split("/");
  const root = folders[folder];
  const file = root && resolve(root, rest.join("/"));
  return file?.startsWith(root + sep) ? file : undefined;
}

/** Serves on a free port: { base, close }. `headers` go with every answer, `folders` adds to those above. */
export async function serve({ headers = {}, folders = {} } = {}) {
  const all = { ...FOLDERS, ...folders };
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries({ "Cache-Control": "no-store", ...headers }))
      response.setHeader(name, value);
    let path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    const odd = /^\/odd\/(\w+)(\/.*)/.exec(path);
    if (odd) path = odd[2];
    const file = fileOf(all, path);
    const found = file !== undefined && statSync(file, { throwIfNoEntry: false })?.isFile();
    if (odd && (found || odd[1] === "html")) return ODD[odd[1]](response, file);
    if (!found) return response.writeHead(404, { "Content-Type": "text/plain" }).end("no such file");
    response.writeHead(200, {
      "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
      "Content-Length": statSync(file).size,
    });
    createReadStream(file).pipe(response);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { base: `http://localhost:${server.address().port}/`, close };
}

/** What makes a page cross-origin isolated, and its resources loadable from another origin. */
export const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "cross-origin",
  "Access-Control-Allow-Origin": "*",
};
