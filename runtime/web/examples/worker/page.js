// Sends pictures to the Worker; shows what comes back.
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

/** The Worker's answer to one picture (ImageBitmap, handed over). */
export function classify(bitmap) {
  const { port1, port2 } = new MessageChannel();
  const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
  worker.postMessage(bitmap, [bitmap, port2]);
  return answer;
}

globalThis.classify = classify;
document.querySelector("input").onchange = async ({ target }) => {
  const answer = await classify(await createImageBitmap(target.files[0]));
  document.querySelector("output").textContent = JSON.stringify(answer);
};
