// The ultra-light face detector: [1,3,240,320] in, 4420 scores and boxes out, relative to priors.

import type { Session } from "lacewing";
import type { Answer, Mark } from "./answer.js";
import { timedRun } from "./timed.js";

const WIDTH = 320;
const HEIGHT = 240;
// Side lengths in pixels of the priors at every cell of each stride's grid.
const PRIORS: [stride: number, sizes: number[]][] = [
  [8, [10, 16, 24]],
  [16, [32, 48]],
  [32, [64, 96]],
  [64, [128, 192, 256]],
];
const CENTER_VARIANCE = 0.1;
const SIZE_VARIANCE = 0.2;
const LEAST_SCORE = 0.7;
const MOST_OVERLAP = 0.3; // intersection over union above which two boxes are one face

/** A face in shares of the picture's width and height. */
interface Face {
  left: number;
  top: number;
  right: number;
  bottom: number;
  score: number;
}

/** Finds the faces in a picture. */
export async function findFaces(session: Session, picture: ImageData): Promise<Answer> {
  const input = session.fromImageData(picture, { fit: "stretch", mean: 127, std: 128 });
  const { output, ms } = await timedRun(session, { input });
  const faces = distinct(decode(output["scores"]!.data, output["boxes"]!.data));
  const count = faces.length === 0 ? "No face" : faces.length === 1 ? "One face" : `${faces.length} faces`;
  return {
    sentence: `${count} found.`,
    guesses: faces.map((face, i) => ({ label: `Face ${i + 1}`, share: face.score })),
    marks: faces.map((face, i) => mark(face, `${i + 1}`, picture)),
    ms,
  };
}

function mark(face: Face, label: string, picture: ImageData): Mark {
  return {
    left: face.left * picture.width,
    top: face.top * picture.height,
    width: (face.right - face.left) * picture.width,
    height: (face.bottom - face.top) * picture.height,
    label,
  };
}

/** Faces whose score suffices. `scores` is [4420][no face, face], `boxes` [4420][x, y, width, height] regressions. */
function decode(scores: ArrayLike<number>, boxes: ArrayLike<number>): Face[] {
  const faces: Face[] = [];
  let prior = 0;
  for (const [stride, sizes] of PRIORS) {
    const columns = Math.ceil(WIDTH / stride);
    const rows = Math.ceil(HEIGHT / stride);
    for (let cell = 0; cell < rows * columns; cell++) {
      const x = ((cell % columns) + 0.5) * (stride / WIDTH);
      const y = (Math.floor(cell / columns) + 0.5) * (stride / HEIGHT);
      for (const size of sizes) {
        const score = scores[2 * prior + 1]!;
        if (score > LEAST_SCORE)
          faces.push({ ...box(x, y, size / WIDTH, size / HEIGHT, boxes, 4 * prior), score });
        prior++;
      }
    }
  }
  return faces;
}

function box(x: number, y: number, width: number, height: number, boxes: ArrayLike<number>, at: number) {
  const centerX = x + boxes[at]! * CENTER_VARIANCE * width;
  const centerY = y + boxes[at + 1]! * CENTER_VARIANCE * height;
  const halfWidth = (width * Math.exp(boxes[at + 2]! * SIZE_VARIANCE)) / 2;
  const halfHeight = (height * Math.exp(boxes[at + 3]! * SIZE_VARIANCE)) / 2;
  return {
    left: Math.max(0, centerX - halfWidth),
    top: Math.max(0, centerY - halfHeight),
    right: Math.min(1, centerX + halfWidth),
    bottom: Math.min(1, centerY + halfHeight),
  };
}

/** Non-maximum suppression: the best box of every heap. */
function distinct(faces: Face[]): Face[] {
  const kept: Face[] = [];
  for (const face of faces.sort((a, b) => b.score - a.score))
    if (kept.every((other) => overlap(face, other) < MOST_OVERLAP)) kept.push(face);
  return kept;
}

function overlap(a: Face, b: Face): number {
  const width = Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left));
  const height = Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));
  const area = (face: Face) => (face.right - face.left) * (face.bottom - face.top);
  return (width * height) / (area(a) + area(b) - width * height);
}
