import { setImmediate } from 'node:timers';
import { Turns } from './turns';

const JOBS = 5;
/** Longer than a job may work in one turn. */
const WORK_MS = 5;

describe(Turns.name, () => {
  it('continues one job per turn of the event loop, in the order in which they began to wait', async () => {
    let turn = 0;
    let isOver = false;
    const countTurns = () => {
      turn++;
      if (!isOver) setImmediate(countTurns);
    };
    setImmediate(countTurns);
    const continued: [job: number, turn: number][] = [];
    const work = async (job: number) => {
      const turns = new Turns();
      for (let round = 0; round < 2; round++) {
        const until = performance.now() + WORK_MS;
        while (performance.now() < until);
        expect(await turns.next()).toBe(true);
        continued.push([job, turn]);
      }
    };
    await Promise.all(Array.from({ length: JOBS }, (_, job) => work(job)));
    isOver = true;
    expect(continued.map(([job]) => job)).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    expect(new Set(continued.map(([, at]) => at)).size).toBe(2 * JOBS);
  });
});
