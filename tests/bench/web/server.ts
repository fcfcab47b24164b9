// A static server on loopback that isolates pages (threads need it) and remembers what was fetched. Files stay in its
// memory, so that only the first start waits for its disk.

import { createServer, type Server } from "node:http";
import { readFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { extname, join, normalize } from "node:path";
import { text } from "node:stream/consumers";
import type { AddressInfo } from "node:net";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

export interface Served {
  origin: string;
  /** Paths on disk in order of their requests. */
  fetched: string[];
  /** What a path is answered with instead of a file, given the request's body. */
  answers: Map<string, (body: string) => Promise<string>>;
  close(): void;
}

/** Serves every folder under its prefix; the longest prefix wins. */
export async function serve(folders: Record<string, string>): Promise<Served> {
  const fetched: string[] = [];
  const answers: Served["answers"] = new Map();
  const prefixes = Object.keys(folders).sort((a, b) => b.length - a.length);
  const server: Server = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? "/", "http://localhost").pathname);
    const own = answers.get(path);
    if (own) {
      void text(request)
        .then(own)
        .then((body) => response.writeHead(200, ISOLATION).end(body));
      return;
    }
    const prefix = prefixes.find((p) => path.startsWith(p));
    const file = prefix && join(folders[prefix]!, path.slice(prefix.length));
    respond(file ?? "")
      .then((body) => {
        fetched.push(file ?? "");
        const type = TYPES[extname(path)] ?? "application/octet-stream";
        response.writeHead(200, { "Content-Type": type, "Content-Length": body.length, ...ISOLATION });
        response.end(body);
      })
      .catch(() => response.writeHead(404, ISOLATION).end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, fetched, answers, close: () => server.close() };
}

const bodies = new Map<string, Promise<Buffer>>();

function respond(file: string): Promise<Buffer> {
  const known = bodies.get(file) ?? read(file);
  bodies.set(file, known);
  return known;
}

/** A file's bytes; a .js that is not there is made of the .ts beside it. */
async function read(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    if (extname(file) !== ".js") throw error;
    const source = await readFile(file.slice(0, -3) + ".ts", "utf8");
    return Buffer.from(stripTypeScriptTypes(source));
  }
}
