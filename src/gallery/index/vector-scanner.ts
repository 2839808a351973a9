/** Threads that all indexes of a process share. */
export class VectorScanner {
  constructor(readonly options: { threadCount: number }) {}

  /** Ends the threads. Searches under way reject. */
  async close(): Promise<void> {}
}
