// The public surface of the package.
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
export type { Pixels } from "./image.js";
export type { ImageOptions } from "./preprocessing.js";
export type { Progress } from "./receive.js";
export {
  type LayerInfo,
  Session,
  type SessionOptions,
  type Tensors,
  type ToImageOptions,
} from "./session.js";
export type { ModelSource } from "./source.js";
export { Tensor, type TensorData, type TensorInfo, type TensorType } from "./tensor.js";
