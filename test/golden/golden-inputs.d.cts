/** Kinds of synthetic picture. */
export const KINDS: readonly string[];

/** Input size in pixels, and the names of the outputs, of every compiled model. */
export const NETWORKS: Readonly<Record<string, { size: number; outputs: readonly string[] }>>;

/** Draws one picture: Uint8Array [size * size * 3] HWC RGB, 0..255. */
export function goldenInput(kind: string, size: number): Uint8Array;
