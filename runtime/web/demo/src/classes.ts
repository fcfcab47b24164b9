// Classifiers: a picture of an object, or a digit.

import { type Session, Tensor } from "lacewing";
import type { Answer } from "./answer.js";
import { timedRun } from "./timed.js";

const SHOWN = 5;
const LEAST_SHARE = 0.005; // what rounds to 0 % says nothing

/** Names what the picture's centre shows. */
export async function nameObject(
  session: Session,
  picture: ImageData,
  classes: readonly string[],
): Promise<Answer> {
  const input = session.fromImageData(picture);
  const { output, ms } = await timedRun(session, { [session.inputs[0]!.name]: input });
  const guesses = ranked(output[session.outputs[0]!.name]!.data, classes);
  const size = 0.875 * Math.min(picture.width, picture.height); // what the centre crop keeps
  const best = guesses[0]!;
  return {
    sentence: `${best.label}, ${percent(best.share)}.`,
    guesses,
    marks: [
      {
        left: (picture.width - size) / 2,
        top: (picture.height - size) / 2,
        width: size,
        height: size,
        label: best.label,
      },
    ],
    ms,
  };
}

/** Reads a digit: `cells` is 8x8, 0..16, as in the UCI set. */
export async function readDigit(session: Session, cells: readonly number[]): Promise<Answer> {
  const [, , height, width] = session.inputs[0]!.dims as [number, number, number, number];
  const pixels = Float32Array.from(
    { length: height * width },
    (_, i) =>
      cells[Math.floor(i / width / (height / 8)) * 8 + Math.floor((i % width) / (width / 8))]! / 8 - 1,
  );
  const input = new Tensor("float32", pixels, [1, 1, height, width]);
  const { output, ms } = await timedRun(session, { [session.inputs[0]!.name]: input });
  const guesses = ranked(output[session.outputs[0]!.name]!.data, [..."0123456789"]);
  return { sentence: `It is a ${guesses[0]!.label}, ${percent(guesses[0]!.share)}.`, guesses, marks: [], ms };
}

/** A share in words: 0.97 -> "97 %". */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** The likeliest classes by softmax; never none. */
function ranked(logits: ArrayLike<number>, names: readonly string[]): Answer["guesses"] {
  const values = Array.from(logits);
  const largest = values.reduce((a, b) => Math.max(a, b));
  const powers = values.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers
    .map((power, i) => ({ label: names[i] ?? `class ${i}`, share: power / sum }))
    .sort((a, b) => b.share - a.share)
    .filter(({ share }, i) => i === 0 || (i < SHOWN && share >= LEAST_SHARE));
}
