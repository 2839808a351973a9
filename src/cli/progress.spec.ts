import { Progress } from './progress';

function told(isTTY: boolean, steps: number[], total: number): string {
  let text = '';
  const out = { isTTY, write: (chunk: string) => ((text += chunk), true) };
  const progress = new Progress('files', total, out as unknown as NodeJS.WriteStream);
  for (const step of steps) progress.add(step);
  return text;
}

describe(Progress.name, () => {
  it('draws a bar over itself on a terminal', () => {
    expect(told(true, [1, 1], 2)).toBe(
      `\r[${'#'.repeat(15)}${'.'.repeat(15)}] files 1 of 2\r[${'#'.repeat(30)}] files 2 of 2\n`,
    );
  });

  it('writes ten lines elsewhere, however many steps there are', () => {
    const lines = told(false, Array(1000).fill(1), 1000).trimEnd().split('\n');
    expect(lines).toHaveLength(10);
    expect([lines[0], lines[9]]).toEqual(['files 100 of 1000', 'files 1000 of 1000']);
  });
});
