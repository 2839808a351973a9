/** A tensor of a file; see torch-file.cjs. */
export interface FileTensor {
  name: string;
  dims: readonly number[];
  /** Elements of its storage. */
  data: ArrayLike<number>;
  kind?: 'float' | 'long';
  offset?: number;
  strides?: readonly number[];
}

/** What the pickle says of a tensor. */
export interface PickledTensor extends Omit<FileTensor, 'data' | 'name'> {
  /** Of the storage. */
  key: string;
  /** Of the storage. */
  length: number;
  view?: Buffer;
}

export const MAGIC: Buffer;
export const VERSION: Buffer;
export function system(littleEndian: boolean): Buffer;
export function stateDict(tensors: readonly (PickledTensor & { name: string })[]): Buffer;
export function tensor(description: PickledTensor): Buffer;
export function keyList(keys: readonly string[]): Buffer;
export function storage(values: readonly number[], kind?: 'float' | 'long', length?: number): Buffer;
export function torchFile(tensors: readonly FileTensor[]): Buffer;
export function pickle(...parts: Buffer[]): Buffer;
export function text(value: string): Buffer;
export function int(value: number): Buffer;
export function global(module: string, name: string): Buffer;
export function tuple(...items: Buffer[]): Buffer;
export function call(callee: Buffer, args: Buffer): Buffer;
export function op(...codes: number[]): Buffer;
