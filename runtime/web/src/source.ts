// Where the bytes of a model come from, in pieces.
import { isNode, readFile } from "./environment.js";
import { DownloadError, InputError, reasonOf } from "./errors.js";

/** An address, a file's bytes, an answer of `fetch` or of the Cache API, a File or Blob. In Node also a path. */
export type ModelSource = string | URL | ArrayBuffer | ArrayBufferView | Response | Blob;

export interface Source {
  /** What messages call it. */
  readonly name: string;
  /** Whether it came from elsewhere, so that fewer bytes than promised are an interrupted download. */
  readonly remote: boolean;
  /** The next piece, or undefined at the end. Throws `DownloadError`. */
  read(): Promise<Uint8Array | undefined>;
  cancel(): void;
}

/** Opens it. Throws `DownloadError`, `InputError`; the signal's reason when aborted. */
export async function openSource(model: ModelSource, signal?: AbortSignal): Promise<Source> {
  if (typeof model === "string" || model instanceof URL) return openAddress(model, signal);
  if (model instanceof ArrayBuffer) return fromBytes(new Uint8Array(model));
  if (ArrayBuffer.isView(model))
    return fromBytes(new Uint8Array(model.buffer, model.byteOffset, model.byteLength));
  if (typeof Response !== "undefined" && model instanceof Response)
    return fromResponse(model, model.url || "the response");
  if (typeof Blob !== "undefined" && model instanceof Blob)
    return fromStream(model.stream(), (model as Partial<File>).name ?? "the blob", false);
  if (typeof SharedArrayBuffer !== "undefined" && (model as unknown) instanceof SharedArrayBuffer)
    return fromBytes(new Uint8Array(model as unknown as SharedArrayBuffer));
  throw new InputError(
    "a model is an address, ArrayBuffer, typed array, Response or Blob, not " +
      ((model as object | null)?.constructor?.name ?? String(model)),
  );
}

async function openAddress(address: string | URL, signal?: AbortSignal): Promise<Source> {
  const name = String(address);
  if (isNode && !/^(https?|data|blob):/.test(name)) return openFile(address, signal);
  let response: Response;
  try {
    response = await fetch(address, signal ? { signal } : {});
  } catch (error) {
    signal?.throwIfAborted();
    const advice = /^file:/.test(globalThis.location?.href ?? "")
      ? "a page opened from the file system may not fetch: serve it, for example with python -m http.server"
      : "check the address, the network, CORS, and connect-src of the page's Content-Security-Policy";
    throw new DownloadError(`${name}: could not be fetched (${reasonOf(error)}); ${advice}`, name, 0, {
      cause: error,
    });
  }
  return fromResponse(response, name);
}

async function openFile(path: string | URL, signal?: AbortSignal): Promise<Source> {
  const file = String(path).startsWith("file:") ? new URL(path) : path;
  try {
    return { ...fromBytes(await readFile(file, signal)), name: String(path) };
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof InputError) throw error;
    throw new DownloadError(`${path}: cannot be read (${reasonOf(error)}); check the path`, String(path), 0, {
      cause: error,
    });
  }
}

function fromBytes(bytes: Uint8Array): Source {
  if (bytes.length === 0)
    throw new InputError(
      "the model has no bytes: its buffer is empty or was detached (transferred to a worker?); pass a copy",
    );
  let rest: Uint8Array | undefined = bytes;
  const read = (): Promise<Uint8Array | undefined> => {
    const piece = rest;
    rest = undefined;
    return Promise.resolve(piece);
  };
  return { name: "the model", remote: false, read, cancel: () => undefined };
}

function fromResponse(response: Response, name: string): Source {
  if (!response.ok)
    throw new DownloadError(
      `${name}: the server answered ${response.status} ${response.statusText}; check the address`,
      name,
      response.status,
    );
  if (response.bodyUsed || response.body === null)
    throw new InputError(`${name}: the response has no body left to read; pass response.clone()`);
  return fromStream(response.body, name, true);
}

function fromStream(stream: ReadableStream<Uint8Array>, name: string, remote: boolean): Source {
  const reader = stream.getReader();
  const read = async (): Promise<Uint8Array | undefined> => {
    try {
      return (await reader.read()).value;
    } catch (error) {
      throw new DownloadError(`${name}: the download broke off (${reasonOf(error)}); try again`, name, 0, {
        cause: error,
      });
    }
  };
  // One piece ahead of who reads, beginning now: the next one comes while the engine is compiled, or takes this one.
  const ahead = (): Promise<Uint8Array | undefined> => {
    const piece = read();
    piece.catch(() => undefined); // who reads it hears of it
    return piece;
  };
  let next = ahead();
  return {
    name,
    remote,
    read: () => {
      const piece = next;
      next = ahead();
      return piece;
    },
    cancel: () => void reader.cancel().catch(() => undefined),
  };
}
