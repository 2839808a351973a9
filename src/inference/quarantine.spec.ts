import { Quarantine, QUARANTINE_MS } from './quarantine';

const origin = (caller: string, image: string) => ({ caller, imageHash: () => image });

describe(Quarantine.name, () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  it('refuses an image at its second strike, to every caller, and says for how long', () => {
    const quarantine = new Quarantine();
    quarantine.blame(origin('eve', 'a'));
    expect(quarantine.refusalOf(origin('bob', 'a'))).toBeNull();
    quarantine.blame(origin('eve', 'a'));
    expect(quarantine.refusalOf(origin('bob', 'a'))).toEqual({ subject: 'image', leftMs: QUARANTINE_MS });
    expect(quarantine.refusalOf(origin('bob', 'b'))).toBeNull();
    jest.advanceTimersByTime(QUARANTINE_MS);
    expect(quarantine.refusalOf(origin('bob', 'a'))).toBeNull();
  });

  it('asks for no hash once all that was under suspicion is forgotten', () => {
    const quarantine = new Quarantine();
    const imageHash = jest.fn(() => 'b');
    quarantine.blame(origin('eve', 'a'));
    quarantine.refusalOf({ caller: 'bob', imageHash });
    expect(imageHash).toHaveBeenCalledTimes(1);
    jest.advanceTimersByTime(QUARANTINE_MS);
    quarantine.refusalOf({ caller: 'bob', imageHash });
    quarantine.acquit({ caller: 'bob', imageHash });
    expect(imageHash).toHaveBeenCalledTimes(1);
  });

  it('does not add a strike to one that is forgotten', () => {
    const quarantine = new Quarantine();
    quarantine.blame(origin('', 'a'));
    jest.advanceTimersByTime(QUARANTINE_MS);
    quarantine.blame(origin('', 'a'));
    expect(quarantine.refusalOf(origin('', 'a'))).toBeNull();
  });

  it('refuses a caller of three images under suspicion until the first of them is forgotten', () => {
    const quarantine = new Quarantine();
    for (const image of ['a', 'b', 'c']) {
      expect(quarantine.refusalOf(origin('eve', 'x'))).toBeNull();
      quarantine.blame(origin('eve', image));
      jest.advanceTimersByTime(1000);
    }
    expect(quarantine.refusalOf(origin('eve', 'x'))).toEqual({
      subject: 'caller',
      leftMs: QUARANTINE_MS - 3000,
    });
    expect(quarantine.refusalOf(origin('bob', 'x'))).toBeNull();
    jest.advanceTimersByTime(QUARANTINE_MS - 3000);
    expect(quarantine.refusalOf(origin('eve', 'x'))).toBeNull();
    quarantine.blame(origin('eve', 'd'));
    expect(quarantine.refusalOf(origin('eve', 'x'))?.subject).toBe('caller');
  });

  it('counts an image that a caller sends again once', () => {
    const quarantine = new Quarantine();
    for (let i = 0; i < 9; i++) quarantine.blame(origin('eve', 'a'));
    expect(quarantine.refusalOf(origin('eve', 'x'))).toBeNull();
  });

  it('forgives image and caller where the image comes through after all', () => {
    const quarantine = new Quarantine();
    for (const image of ['a', 'b', 'c']) quarantine.blame(origin('eve', image));
    quarantine.acquit(origin('bob', 'b'));
    expect(quarantine.refusalOf(origin('eve', 'x'))).toBeNull();
    quarantine.blame(origin('eve', 'd'));
    expect(quarantine.refusalOf(origin('eve', 'x'))?.subject).toBe('caller');
  });

  it('hashes no image while nothing is under suspicion', () => {
    const quarantine = new Quarantine();
    const imageHash = jest.fn(() => 'a');
    quarantine.acquit({ caller: 'bob', imageHash });
    expect(quarantine.refusalOf({ caller: 'bob', imageHash })).toBeNull();
    expect(imageHash).not.toHaveBeenCalled();
  });

  it('remembers a bounded number of images and callers, the latest', () => {
    const quarantine = new Quarantine();
    const blame = (caller: string) => {
      for (const image of ['a', 'b', 'c']) quarantine.blame(origin(caller, caller + image));
    };
    blame('eve');
    for (let i = 0; i < 1000; i++) blame(`caller ${i}`);
    expect(quarantine.refusalOf(origin('eve', 'x'))).toBeNull();
    expect(quarantine.refusalOf(origin('caller 999', 'x'))?.subject).toBe('caller');
    const { images, callers } = quarantine as unknown as Record<'images' | 'callers', Map<string, unknown>>;
    expect([images.size, callers.size]).toEqual([1000, 1000]);
  });
});
