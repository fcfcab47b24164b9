// The page's elements, and how results are written into them. No state but what is shown.

import type { Answer } from "./answer.js";
import { percent } from "./classes.js";

/** The element of that id. */
export function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

/** A new element with a class and text or children. */
export function make(tag: string, className = "", ...content: (string | Node)[]): HTMLElement {
  const made = document.createElement(tag);
  if (className !== "") made.className = className;
  made.append(...content);
  return made;
}

/** Writes the answer; screen readers hear it when it changes, but at most every two seconds. */
export function showAnswer(answer: Answer): void {
  element("sentence").textContent = answer.sentence;
  element("guesses").replaceChildren(
    ...answer.guesses.map(({ label, share }) =>
      make("li", "", make("span", "", label), make("span", "", percent(share)), bar(share)),
    ),
  );
  speak(answer.sentence);
}

const SILENCE = 2000; // milliseconds between two sentences, so that a camera does not chatter
let waiting: string | undefined;

function speak(sentence: string): void {
  const busy = waiting !== undefined;
  waiting = sentence;
  if (busy) return;
  const spoken = element("spoken");
  if (spoken.textContent !== sentence) spoken.textContent = sentence;
  setTimeout(() => {
    const latest = waiting!;
    waiting = undefined;
    if (spoken.textContent !== latest) speak(latest);
  }, SILENCE);
}

/** Shows what went wrong, or takes it away. */
export function showProblem(problem: string | undefined): void {
  const place = element("problem");
  place.textContent = problem ?? "";
  place.hidden = problem === undefined;
}

/** Shows how much of a model has come, or that none is on its way. */
export function showProgress(share: number | undefined): void {
  const progress = element<HTMLProgressElement>("progress");
  progress.hidden = share === undefined;
  progress.value = share ?? 0;
}

/** Milliseconds of the two models, as far as they were measured. */
export function showSpeed(dense: number | undefined, sparse: number | undefined, sparseIsOn: boolean): void {
  const slowest = Math.max(dense ?? 0, sparse ?? 0);
  const line = (name: string, ms: number | undefined, on: boolean) => [
    make("dt", "", name),
    make("dd", on ? "" : "other", bar(ms === undefined ? 0 : ms / slowest)),
    make("dd", "", ms === undefined ? "–" : milliseconds(ms)),
  ];
  element("bars").replaceChildren(
    ...line("Dense", dense, !sparseIsOn),
    ...line("Sparse", sparse, sparseIsOn),
  );
  element("gain").textContent = gain(dense, sparse);
}

function gain(dense: number | undefined, sparse: number | undefined): string {
  if (dense === undefined || sparse === undefined) return "Flip the switch to compare.";
  return `Here the sparse model is ${(dense / sparse).toFixed(1)} times as fast as the dense one.`;
}

/** Lines of facts. */
export function showFacts(facts: Record<string, string>): void {
  element("facts").replaceChildren(
    ...Object.entries(facts).flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]),
  );
}

/** For example "5.3 ms". */
export function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(ms < 1 ? 2 : 1) : Math.round(ms)} ms`;
}

/** For example "45 KB". */
export function kilobytes(bytes: number): string {
  return bytes < 1e6 ? `${Math.round(bytes / 1e3)} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function bar(share: number): HTMLElement {
  const track = make("span", "track", make("span"));
  track.setAttribute("aria-hidden", "true");
  (track.firstChild as HTMLElement).style.width = `${100 * share}%`;
  return track;
}
