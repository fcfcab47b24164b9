// Runs a model in a service worker and keeps its file in the Cache API, so that it works offline. The single-file
// package brings its WebAssembly along: there is nothing else to cache. /package is where the package's dist folder is
// served, /models where the models are; give a new version of a model a new address.
import { Session, Tensor } from "/package/inline.js";

const MODEL = "/models/classifier.lace";
const CACHE = "models";

async function fetchCached(address) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(address);
  if (kept !== undefined) return { response: kept, fromCache: true };
  const response = await fetch(address);
  if (response.ok) await cache.put(address, response.clone()); // an error page is not worth keeping
  return { response, fromCache: false };
}

// The browser stops and starts a service worker as it likes: the session is made when it is first needed.
let starting;

async function start() {
  const { response, fromCache } = await fetchCached(MODEL);
  return { session: await Session.create(response), fromCache };
}

async function answer() {
  starting ??= start().catch((error) => {
    starting = undefined; // the next question tries again
    throw error;
  });
  const { session, fromCache } = await starting;
  const [{ name, type, dims, size }] = session.inputs;
  const results = await session.run({ [name]: new Tensor(type, new Float32Array(size).fill(0.5), dims) });
  return { results: Array.from(Object.values(results)[0].data), fromCache };
}

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("message", (event) => {
  const reply = (data) => event.ports[0].postMessage(data);
  event.waitUntil(answer().then(reply, (error) => reply({ error: error.message })));
});
