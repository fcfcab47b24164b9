// The public surface of the package.
export type { Tensors } from "./arguments.js";
export { availableBackends, type Backend, type BackendName } from "./backend.js";
export type { BinaryName, WasmPaths } from "./binaries.js";
export {
  BackendError,
  DownloadError,
  EngineError,
  InputError,
  LacewingError,
  LimitError,
  ModelFormatError,
  SessionError,
} from "./errors.js";
export type { LayerInfo } from "./model.js";
export type { Pixels } from "./image.js";
export type { ImageOptions } from "./preprocessing.js";
export type { Progress } from "./receive.js";
export { Session, type SessionOptions, type ToImageOptions } from "./session.js";
export type { ModelSource } from "./source.js";
export { Tensor, type TensorData, type TensorInfo, type TensorType } from "./tensor.js";
