const BAR_WIDTH = 30;
/** Progress lines in all, without a terminal. */
const PLAIN_LINES = 10;

/** Formats progress as text. */
type Describe = (done: number, total: number) => string;

/** Reports progress on stderr: a bar on a terminal, otherwise a line for each tenth. */
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

  /** Sets the total of finished work, which is less than before if the work restarts. */
  to(done: number): void {
    const before = this.done;
    this.done = Math.min(this.total, done);
    const counts = `${this.label} ${this.describe(this.done, this.total)}`;
    if (this.out.isTTY) {
      const filled = Math.round((this.done / this.total) * BAR_WIDTH);
      const bar = `[${'#'.repeat(filled).padEnd(BAR_WIDTH, '.')}] `;
      // A wrapped line cannot be overwritten.
      const columns = this.out.columns || Infinity;
      const hasRoom = bar.length + counts.trimEnd().length < columns;
      this.out.write(`\r${((hasRoom ? bar : '') + counts).slice(0, columns - 1)}`);
      this.isLineOpen = true;
      if (this.done === this.total) this.end();
    } else if (this.tenth(this.done) > this.tenth(before)) this.out.write(`${counts.trimEnd()}\n`);
  }

  /** Ends the line of the bar, so that later output starts on a new one. */
  end(): void {
    if (this.isLineOpen) this.out.write('\n');
    this.isLineOpen = false;
  }

  private tenth(count: number): number {
    return Math.floor((count * PLAIN_LINES) / this.total);
  }
}

const MEBIBYTE = 1024 ** 2;
/** Wide enough to overwrite a longer previous line on a terminal. */
const BYTES_WIDTH = 50;

/**
 * Describes bytes with the rate and the time left.
 *
 * @param now - monotonic clock in milliseconds.
 */
export function describeBytes(now: () => number = () => performance.now()): Describe {
  let begin: { at: number; done: number } | null = null;
  return (done, total) => {
    // Bytes of an earlier run or before a restart do not count toward the rate.
    if (begin == null || done < begin.done) begin = { at: now(), done };
    const seconds = (now() - begin.at) / 1000;
    const rate = seconds > 0 ? (done - begin.done) / seconds : 0;
    const mebibytes = (bytes: number) => (bytes / MEBIBYTE).toFixed(1);
    const left = rate > 0 && done < total ? `, ${Math.ceil((total - done) / rate)} s left` : '';
    const speed = rate > 0 ? `, ${mebibytes(rate)} MiB/s` : '';
    return `${mebibytes(done)} of ${mebibytes(total)} MiB${speed}${left}`.padEnd(BYTES_WIDTH);
  };
}
