import { setImmediate } from 'node:timers';
import { nextTurn, takeTurn, Turns } from './turns';

const JOBS = 5;
/** Longer than a job may work in one turn. */
const WORK_MS = 5;

/** Counts the turns of the event loop. */
class TurnCounter {
  count = 0;
  private isOver = false;

  constructor() {
    const next = () => {
      this.count++;
      if (!this.isOver) setImmediate(next);
    };
    setImmediate(next);
  }

  stop(): void {
    this.isOver = true;
  }
}

function work(): void {
  const until = performance.now() + WORK_MS;
  while (performance.now() < until);
}

/** Waits for a turn that nobody has. */
async function freeTurn(): Promise<void> {
  for (let i = 0; i < 2; i++) await new Promise((resolve) => setImmediate(resolve));
}

describe('turns of the event loop', () => {
  let turns: TurnCounter;

  beforeEach(async () => {
    await freeTurn();
    turns = new TurnCounter();
  });
  afterEach(() => turns.stop());

  it('gives the present one to the first, and one later to each of the others, in their order', async () => {
    const begun: [name: string, turn: number][] = [];
    await Promise.all(
      ['a', 'b', 'c', 'd'].map(async (name) => {
        await takeTurn();
        begun.push([name, turns.count]);
      }),
    );
    expect(begun.map(([name]) => name)).toEqual(['a', 'b', 'c', 'd']);
    expect(begun[0][1]).toBe(0);
    expect(new Set(begun.map(([, turn]) => turn)).size).toBe(4);
  });

  it('gives the present one again once nobody waits', async () => {
    await takeTurn();
    await freeTurn();
    const before = turns.count;
    await takeTurn();
    expect(turns.count).toBe(before);
  });

  it('never gives the present one to who has worked already', async () => {
    const before = turns.count;
    await nextTurn();
    expect(turns.count).toBeGreaterThan(before);
  });

  it('shares one queue among jobs and all others', async () => {
    const continued: [name: string, turn: number][] = [];
    const job = async (name: string) => {
      const ofJob = new Turns();
      for (let round = 0; round < 2; round++) {
        work();
        expect(await ofJob.next()).toBe(true);
        continued.push([name, turns.count]);
      }
    };
    const other = async (name: string) => {
      await takeTurn();
      continued.push([name, turns.count]);
    };
    const names = Array.from({ length: JOBS }, (_, i) => `job ${i}`);
    await Promise.all([other('first'), ...names.map(job), other('last')]);
    expect(continued.map(([name]) => name)).toEqual(['first', ...names, 'last', ...names]);
    expect(new Set(continued.map(([, turn]) => turn)).size).toBe(2 * JOBS + 2);
  });

  it('does not turn for a job that has hardly worked', async () => {
    expect(await new Turns().next()).toBe(false);
    expect(turns.count).toBe(0);
  });
});
