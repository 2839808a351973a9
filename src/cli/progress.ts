const BAR_WIDTH = 30;
/** Lines that tell of the whole work where there is no terminal. */
const PLAIN_LINES = 10;

/** Tells on stderr how far work is: a bar on a terminal, else a line for each tenth. */
export class Progress {
  private done = 0;

  constructor(
    private readonly label: string,
    private readonly total: number,
    private readonly out: Pick<NodeJS.WriteStream, 'write' | 'isTTY'> = process.stderr,
  ) {}

  add(count: number): void {
    const before = this.done;
    this.done = Math.min(this.total, before + count);
    const counts = `${this.label} ${this.done} of ${this.total}`;
    if (this.out.isTTY) {
      const filled = Math.round((this.done / this.total) * BAR_WIDTH);
      this.out.write(`\r[${'#'.repeat(filled).padEnd(BAR_WIDTH, '.')}] ${counts}`);
      if (this.done === this.total) this.out.write('\n');
    } else if (this.tenth(this.done) > this.tenth(before)) this.out.write(`${counts}\n`);
  }

  private tenth(count: number): number {
    return Math.floor((count * PLAIN_LINES) / this.total);
  }
}
