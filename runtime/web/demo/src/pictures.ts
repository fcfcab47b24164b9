// Pictures from files, the clipboard, the build's photos and the camera, at a size that is quick to draw.

const LONGEST_SIDE = 800; // pixels

/** A picture on a canvas of its own. */
export type Picture = HTMLCanvasElement;

/** Draws a source of width x height pixels onto a canvas, shrunk when it is large. */
export function toPicture(source: CanvasImageSource, width: number, height: number, onto?: Picture): Picture {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  const canvas = onto ?? document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.getContext("2d", { willReadFrequently: true })!.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** All pixels of a picture. */
export function pixels(picture: Picture): ImageData {
  const context = picture.getContext("2d", { willReadFrequently: true })!;
  return context.getImageData(0, 0, picture.width, picture.height);
}

/** A picture from a file. Throws an Error that says what is wrong with it. */
export async function openFile(file: Blob, name: string): Promise<Picture> {
  try {
    const bitmap = await createImageBitmap(file);
    return toPicture(bitmap, bitmap.width, bitmap.height);
  } catch {
    throw new Error(`${name} is not a picture that this browser can open. A JPEG, PNG or WebP file will do.`);
  }
}

/** A picture from the page's own server. */
export async function fetchPicture(address: string): Promise<Picture> {
  return openFile(await (await fetch(address)).blob(), address);
}

/** A running camera; `stop` switches it off. */
export interface Camera {
  video: HTMLVideoElement;
  stop(): void;
}

/** Starts the camera. Throws an Error that says why it does not. */
export async function openCamera(): Promise<Camera> {
  if (!navigator.mediaDevices)
    throw new Error(
      "This page may not ask for a camera: it needs https or localhost. A photo works just as well.",
    );
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "user", width: { ideal: 640 } },
    });
  } catch (error) {
    const denied = error instanceof DOMException && error.name === "NotAllowedError";
    throw new Error(
      denied
        ? "The camera was not allowed. Allow it in the browser's address bar, or choose a photo."
        : "No camera was found, or another program uses it. A photo works just as well.",
    );
  }
  const video = document.createElement("video");
  video.srcObject = stream;
  video.muted = true;
  video.playsInline = true;
  await video.play();
  return { video, stop: () => stream.getTracks().forEach((track) => track.stop()) };
}
