// Holds the session. /package is where the package's dist folder is served; with a bundler, import "lacewing".
import { Session } from "/package/lacewing.js";

const creating = Session.create("/models/classifier.lace", { threads: "auto" });

function pixelsOf(bitmap) {
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

async function classify(bitmap) {
  const session = await creating;
  const results = await session.run({ [session.inputs[0].name]: session.fromImageData(pixelsOf(bitmap)) });
  const scores = results[session.outputs[0].name].data;
  const best = scores.indexOf(Math.max(...scores));
  return { best, score: scores[best], backend: session.backend };
}

onmessage = async ({ data, ports: [port] }) => {
  port.postMessage(await classify(data).catch((error) => ({ error: error.message })));
};
