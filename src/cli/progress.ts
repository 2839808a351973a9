const BAR_WIDTH = 30;
/** Lines that tell of the whole work where there is no terminal. */
const PLAIN_LINES = 10;

/** Says in words how far work is. */
type Describe = (done: number, total: number) => string;

/** Tells on stderr how far work is: a bar on a terminal, else a line for each tenth. */
export class Progress {
  private done = 0;
  private isLineOpen = false;

  constructor(
    private readonly label: string,
    private readonly total: number,
    private readonly out: Pick<NodeJS.WriteStream, 'write' | 'isTTY'> & { columns?: number } = process.stderr,
    private readonly describe: Describe = (done, total) => `${done} of ${total}`,
  ) {}

  add(count: number): void {
    this.to(this.done + count);
  }

  /** As {@link add}, by what is done in all; less than before where work begins anew. */
  to(done: number): void {
    const before = this.done;
    this.done = Math.min(this.total, done);
    const counts = `${this.label} ${this.describe(this.done, this.total)}`;
    if (this.out.isTTY) {
      const filled = Math.round((this.done / this.total) * BAR_WIDTH);
      const bar = `[${'#'.repeat(filled).padEnd(BAR_WIDTH, '.')}] `;
      // A line that wraps could not be drawn over.
      const columns = this.out.columns || Infinity;
      const hasRoom = bar.length + counts.trimEnd().length < columns;
      this.out.write(`\r${((hasRoom ? bar : '') + counts).slice(0, columns - 1)}`);
      this.isLineOpen = true;
      if (this.done === this.total) this.end();
    } else if (this.tenth(this.done) > this.tenth(before)) this.out.write(`${counts.trimEnd()}\n`);
  }

  /** Ends the line of the bar, so that what is written next has one of its own. */
  end(): void {
    if (this.isLineOpen) this.out.write('\n');
    this.isLineOpen = false;
  }

  private tenth(count: number): number {
    return Math.floor((count * PLAIN_LINES) / this.total);
  }
}

const MEBIBYTE = 1024 ** 2;
/** Wide enough for what a longer line before it has left on a terminal. */
const BYTES_WIDTH = 50;

/**
 * Describes bytes with the rate and the time left.
 *
 * @param now - milliseconds of a clock that never goes back.
 */
export function describeBytes(now: () => number = () => performance.now()): Describe {
  let begin: { at: number; done: number } | null = null;
  return (done, total) => {
    // What an earlier run left, or what is begun anew, says nothing about the rate.
    if (begin == null || done < begin.done) begin = { at: now(), done };
    const seconds = (now() - begin.at) / 1000;
    const rate = seconds > 0 ? (done - begin.done) / seconds : 0;
    const mebibytes = (bytes: number) => (bytes / MEBIBYTE).toFixed(1);
    const left = rate > 0 && done < total ? `, ${Math.ceil((total - done) / rate)} s left` : '';
    const speed = rate > 0 ? `, ${mebibytes(rate)} MiB/s` : '';
    return `${mebibytes(done)} of ${mebibytes(total)} MiB${speed}${left}`.padEnd(BYTES_WIDTH);
  };
}
