import { describeBytes, Progress } from './progress';

function printed(isTTY: boolean, steps: number[], total: number): string {
  let text = '';
  const out = { isTTY, write: (chunk: string) => ((text += chunk), true) };
  const progress = new Progress('files', total, out as unknown as NodeJS.WriteStream);
  for (const step of steps) progress.add(step);
  return text;
}

describe(Progress.name, () => {
  it('draws a bar over itself on a terminal', () => {
    expect(printed(true, [1, 1], 2)).toBe(
      `\r[${'#'.repeat(15)}${'.'.repeat(15)}] files 1 of 2\r[${'#'.repeat(30)}] files 2 of 2\n`,
    );
  });

  it('writes ten lines elsewhere, however many steps there are', () => {
    const lines = printed(false, Array(1000).fill(1), 1000).trimEnd().split('\n');
    expect(lines).toHaveLength(10);
    expect([lines[0], lines[9]]).toEqual(['files 100 of 1000', 'files 1000 of 1000']);
  });

  it('leaves the bar out, and then words, where the terminal is narrow', () => {
    const printed = (columns: number) => {
      let text = '';
      const out = { isTTY: true, columns, write: (chunk: string) => ((text += chunk), true) };
      new Progress('files', 2, out as unknown as NodeJS.WriteStream).to(1);
      return text;
    };
    expect(printed(46)).toBe(`\r[${'#'.repeat(15)}${'.'.repeat(15)}] files 1 of 2`.slice(0, 46));
    expect([printed(45), printed(10)]).toEqual(['\rfiles 1 of 2', '\rfiles 1 o']);
  });

  it('restarts its bar with the work, and ends its line before other output', () => {
    let text = '';
    const out = { isTTY: true, write: (chunk: string) => ((text += chunk), true) };
    const progress = new Progress('bytes', 10, out as unknown as NodeJS.WriteStream);
    progress.to(10);
    progress.to(5);
    progress.end();
    progress.end();
    const half = '#'.repeat(15);
    expect(text).toBe(`\r[${half}${half}] bytes 10 of 10\n\r[${half}${'.'.repeat(15)}] bytes 5 of 10\n`);
  });
});

describe(describeBytes.name, () => {
  const MiB = 1024 ** 2;
  it('computes rate and time left from the bytes since the start, or the last restart', () => {
    let now = 5000;
    const describeAt = describeBytes(() => now);
    const printed = ([done, at]: [number, number]) => {
      now = at;
      return describeAt(done * MiB, 10 * MiB).trimEnd();
    };
    const steps: [number, number][] = [
      [2, 5000],
      [4, 6000],
      [0, 7000],
      [1, 9000],
      [10, 17_000],
    ];
    expect(steps.map(printed)).toEqual([
      '2.0 of 10.0 MiB',
      '4.0 of 10.0 MiB, 2.0 MiB/s, 3 s left',
      '0.0 of 10.0 MiB',
      '1.0 of 10.0 MiB, 0.5 MiB/s, 18 s left',
      '10.0 of 10.0 MiB, 1.0 MiB/s',
    ]);
  });
});
