// The models that the build made (make_models.py), loaded when first needed.

import { Session } from "lacewing";

export type TaskName = "faces" | "objects" | "digits";

export interface ModelFile {
  file: string;
  /** Share of the weight groups that were dropped; 0 is dense. */
  sparsity: number;
  bytes: number;
  /** Multiply-accumulates of the dense network, and those left. */
  macs: number;
  kept: number;
}

export interface TaskModels {
  /** Why there are no models, if there are none. */
  missing?: string;
  /** Dense, then sparse. */
  models: [ModelFile, ModelFile];
  /** Whether the dense model is shown first, because the sparse one is not as good. */
  denseFirst?: boolean;
  note: string;
  photos?: { file: string; alt: string }[];
  /** 8x8 cells 0..16 of each digit. */
  examples?: number[][];
}

const FOLDER = "models/";
const sessions = new Map<string, Promise<Session>>();

/** What the build made, by task. */
export async function listTasks(): Promise<Partial<Record<TaskName, TaskModels>>> {
  return (await fetchJson("models.json")) as Partial<Record<TaskName, TaskModels>>;
}

/** Names of the thousand classes. */
export async function listClasses(): Promise<string[]> {
  return (await fetchJson("classes.json")) as string[];
}

/** The address of a photo of the build. */
export function photoAddress(file: string): string {
  return FOLDER + file;
}

/** The session of a model file; fetched once. `onProgress` hears shares 0..1 of that fetch. */
export function openModel(model: ModelFile, onProgress: (share: number) => void): Promise<Session> {
  let session = sessions.get(model.file);
  if (!session) {
    session = Session.create(FOLDER + model.file, {
      onProgress: ({ loaded }) => onProgress(loaded / model.bytes),
    });
    sessions.set(model.file, session);
    session.catch(() => sessions.delete(model.file)); // the next attempt fetches again
  }
  return session;
}

/** Bytes of Lacewing itself that this page fetched: its script and its .wasm. */
export function engineBytes(): number {
  const entries = performance.getEntriesByType("resource") as PerformanceResourceTiming[];
  const own = entries.filter((entry) => /\/lacewing[^/]*\.(js|wasm)$/.test(new URL(entry.name).pathname));
  return own.reduce((sum, entry) => sum + entry.encodedBodySize, 0);
}

async function fetchJson(file: string): Promise<unknown> {
  const response = await fetch(FOLDER + file);
  if (!response.ok)
    throw new Error(`${FOLDER}${file}: the server answered ${response.status}; build the page again`);
  return response.json();
}
