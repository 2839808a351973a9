/** The used part of WebAssembly's types: they belong to TypeScript's DOM library, which the rest of the code must not see. */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array);
  }

  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, unknown>>);
    readonly exports: Record<string, unknown>;
  }

  class Memory {
    /** Sizes in pages of 64 KiB. */
    constructor(size: { initial: number; maximum: number; shared: true });
    readonly buffer: SharedArrayBuffer;
    /** @throws {RangeError} past the maximum, or if the process has no address space left. */
    grow(pages: number): number;
  }
}
