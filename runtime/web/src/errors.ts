// Every error that Lacewing raises on purpose. Each message says what, where, and what to do.
import { STATUSES } from "./format.js";

/** Base of all of them. An abort is no such error: `create` then rejects with the signal's reason, as `fetch` does. */
export class LacewingError extends Error {
  override name = "LacewingError";
}

/** The file breaks an invariant of the format (docs/format.md), or is no .lace file. */
export class ModelFormatError extends LacewingError {
  override name = "ModelFormatError";
  /** Number of the invariant. */
  readonly code: number;
  /** Name of the invariant, for example `checksum`. */
  readonly invariant: string;
  /** Header, section, tensor, op or graph entry that breaks it. */
  readonly where: string;
  readonly index: number;
  /** The two numbers that disagree, where there are two. */
  readonly found: number;
  readonly wanted: number;

  constructor(source: string, at: Failure, advice = "fetch or convert it again") {
    const [invariant, rule] = statusText(at.status);
    const numbers = at.found === at.wanted ? "" : ` (found ${at.found}, wanted ${at.wanted})`;
    super(
      `${source}: ${at.where} ${at.index} breaks invariant ${at.status}, ${invariant}: ${rule}${numbers}. ` +
        `The file is damaged or was not written by Lacewing: ${advice}.`,
    );
    this.code = at.status;
    this.invariant = invariant;
    this.where = at.where;
    this.index = at.index;
    this.found = at.found;
    this.wanted = at.wanted;
  }
}

/** The model or a .wasm could not be fetched, or arrived incomplete. */
export class DownloadError extends LacewingError {
  override name = "DownloadError";
  readonly url: string;
  /** HTTP status, or 0 where there was no answer. */
  readonly status: number;

  constructor(message: string, url: string, status = 0, options?: ErrorOptions) {
    super(message, options);
    this.url = url;
    this.status = status;
  }
}

/** This environment cannot run the engine, or not the backend that was asked for. */
export class BackendError extends LacewingError {
  override name = "BackendError";
}

/** An argument or a tensor does not fit: name, type, dims, NaN, value range. */
export class InputError extends LacewingError {
  override name = "InputError";
}

/** The model needs more memory than `maxMemory` or the browser allows; bytes. */
export class LimitError extends LacewingError {
  override name = "LimitError";
  readonly needed: number;
  readonly allowed: number;

  constructor(message: string, needed: number, allowed: number) {
    super(message);
    this.needed = needed;
    this.allowed = allowed;
  }
}

/** The session was released. */
export class SessionError extends LacewingError {
  override name = "SessionError";
}

/** The engine refused a call that this package made, or trapped; a bug in Lacewing: please report it. */
export class EngineError extends LacewingError {
  override name = "EngineError";
}

/** What the engine says of a call that failed. */
export interface Failure {
  status: number;
  where: string;
  index: number;
  found: number;
  wanted: number;
}

/** Name and rule of a status. */
export function statusText(status: number): readonly [string, string] {
  return (STATUSES as Record<number, readonly [string, string]>)[status] ?? ["unknown", "unknown status"];
}

/** An error's message, whatever was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
