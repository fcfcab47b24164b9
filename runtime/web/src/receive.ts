// A model file on its way into the engine's memory. Its header says how long it is, so that progress has a total even
// when the transfer is compressed, and a file that is too large or none of ours is refused after its first bytes.
import type { Engine } from "./engine.js";
import { DownloadError, LimitError, ModelFormatError } from "./errors.js";
import { HEADER_BYTES, HeaderOffset, MAGIC } from "./format.js";
import type { Source } from "./source.js";

/** Bytes of the model file; `total` is unknown until the file's header has come. */
export interface Progress {
  readonly loaded: number;
  readonly total: number | undefined;
}

export interface ReceivedFile {
  readonly address: number;
  readonly bytes: number;
}

const FIRST_AREA = 65536; // bytes reserved before the header is there
const MAGIC_BROKEN = 2; // the invariant's number

/** Writes the source into a new area. Throws `DownloadError`, `LimitError`, `ModelFormatError`. */
export async function receive(
  engine: Engine,
  source: Source,
  onProgress?: (progress: Progress) => void,
  signal?: AbortSignal,
): Promise<ReceivedFile> {
  const file = new IncomingFile(engine, source);
  const stop = (): void => source.cancel(); // ends the read that waits
  signal?.addEventListener("abort", stop);
  try {
    while (!file.overfull) {
      const piece = await source.read();
      signal?.throwIfAborted();
      if (piece === undefined) break;
      file.append(piece);
      onProgress?.({ loaded: file.loaded, total: file.total });
    }
  } catch (error) {
    source.cancel();
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
  if (file.overfull) source.cancel();
  if (source.remote && file.total !== undefined && file.loaded < file.total)
    throw new DownloadError(
      `${source.name}: truncated download: ${file.loaded} of ${file.total} bytes came; try again`,
      source.name,
    );
  engine.extend(file.address, file.loaded);
  return { address: file.address, bytes: file.loaded };
}

class IncomingFile {
  readonly address: number;
  loaded = 0;
  total: number | undefined;
  #reserved = FIRST_AREA;

  constructor(
    private readonly engine: Engine,
    private readonly source: Source,
  ) {
    this.address = engine.allocate(FIRST_AREA);
  }

  /** More bytes than the header promised: the verifier will refuse it, there is no need to read on. */
  get overfull(): boolean {
    return this.total !== undefined && this.loaded > this.total;
  }

  append(piece: Uint8Array): void {
    this.#reserve(this.loaded + piece.length);
    this.engine.bytes(this.address + this.loaded, piece.length).set(piece);
    this.loaded += piece.length;
    if (this.total === undefined && this.loaded >= HEADER_BYTES) this.#readHeader();
  }

  // Room grows with what has come, never with what a header merely claims.
  #reserve(bytes: number): void {
    if (bytes <= this.#reserved) return;
    this.#reserved = Math.max(bytes, Math.min(2 * this.#reserved, this.total ?? Infinity));
    this.engine.extend(this.address, this.#reserved);
  }

  #readHeader(): void {
    const header = this.engine.bytes(this.address, HEADER_BYTES);
    if (!MAGIC.every((byte, i) => header[i] === byte)) throw this.#notOurs(header);
    const view = new DataView(header.buffer, header.byteOffset);
    this.total = Number(view.getBigUint64(HeaderOffset.file_bytes, true));
    if (this.source.remote && this.total > this.engine.limit)
      throw new LimitError(
        `${this.source.name}: the file has ${this.total} bytes, ${this.engine.limit} of memory are allowed; raise maxMemory`,
        this.total,
        this.engine.limit,
      );
  }

  #notOurs(header: Uint8Array): ModelFormatError {
    const start = new TextDecoder().decode(header.slice()).trimStart();
    const advice = /^[<{]/.test(start)
      ? `it begins with ${JSON.stringify(start.slice(0, 15))}, as a web page does: check the address`
      : "convert the network with `lacewing convert`, or check the address";
    return new ModelFormatError(
      this.source.name,
      { status: MAGIC_BROKEN, where: "header", index: 0, found: 0, wanted: 0 },
      advice,
    );
  }
}
