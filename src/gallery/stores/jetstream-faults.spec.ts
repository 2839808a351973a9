import { setTimeout as delay } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/transport-node';
import {
  CHANGES,
  everything,
  expectReads,
  fillGalleries,
  PARTS,
  withoutTimes,
} from '../../../test/support/gallery-changes';
import { describeWithNats, NatsCluster } from '../../../test/support/nats-cluster';
import { SEED } from '../../../test/support/seeded-random';
import { TcpProxy } from '../../../test/support/tcp-proxy';
import { FaceError } from '../../errors';
import type { GalleryStore } from './gallery-store';
import { VectorIndex } from '../search/vector-index';
import { JetstreamStore } from './jetstream-store';
import { MemoryStore } from './memory-store';
import { GalleryState } from './state/gallery-state';
import { PagedList } from './state/paged-list';

const TIMEOUT_MS = 5000;
/** Timeout of a store whose servers no longer answer. */
const SHORT_TIMEOUT_MS = 150;
const fault = new Error('injected');

/** Requests of a change to the servers: writes, reads and erasures of entries. */
const REQUESTS = /^likeness\.|^\$JS\.API\.STREAM\.(MSG\.GET|MSG\.DELETE|PURGE)\./;
const REFUSAL = {
  error: { code: 503, err_code: 10047, description: 'insufficient storage resources available' },
};

type Request = NatsConnection['request'];

/** Faults of a request. */
const FAULTS: Record<string, (ask: () => ReturnType<Request>) => ReturnType<Request>> = {
  'is refused': async () => ({ data: Buffer.from(JSON.stringify(REFUSAL)) }) as never,
  'does not arrive': () => Promise.reject(new Error('timeout')),
  'is not answered': (ask) => ask().then(() => Promise.reject(new Error('timeout'))),
};

const CASES = (['once', 'and all that follow'] as const).flatMap((extent) =>
  Object.keys(FAULTS).map((name) => [name, extent] as const),
);
/** With FAULTS=all every case for each kind of change, otherwise one per kind, which differs between runs. */
const first = SEED % CASES.length;
const casesOf = (kind: string) =>
  process.env.FAULTS === 'all' ? CASES : [CASES[(first + Object.keys(CHANGES).indexOf(kind)) % CASES.length]];

describeWithNats(`a fault in ${JetstreamStore.name} (SEED=${SEED})`, () => {
  let cluster: NatsCluster;
  const opened: JetstreamStore[] = [];
  let namespaces = 0;

  beforeAll(async () => {
    cluster = await NatsCluster.start();
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await Promise.all(opened.splice(0).map((store) => store.close()));
    namespaces++;
  });
  afterAll(() => cluster?.stop());

  async function open(timeoutMs = TIMEOUT_MS, servers = cluster.servers): Promise<JetstreamStore> {
    const store = await JetstreamStore.open({
      nats: { servers, replicas: 1, namespace: `n${namespaces}`, timeoutMs },
      key: 'k'.repeat(32),
      threadCount: 0,
      precision: 'float32',
    });
    opened.push(store);
    return store;
  }

  /** Expects all replicas, and one that starts now, to hold the same state. @returns that state. */
  async function agree(stores: readonly JetstreamStore[]): Promise<unknown> {
    const fresh = await open();
    const held = await everything(fresh);
    for (const store of stores) {
      expect(await store.waitFor(fresh.revision)).toBe(true);
      expect(await everything(store)).toEqual(held);
    }
    await fresh.close();
    return withoutTimes(held);
  }

  async function refill(store: JetstreamStore): Promise<void> {
    for (const { id } of (await store.listGalleries({ limit: 10 })).items) await store.deleteGallery(id);
    await fillGalleries(store);
  }

  it('while a row is reserved changes nothing, and changes go on', async () => {
    const store = await open();
    await fillGalleries(store);
    const before = await everything(store);
    jest.spyOn(VectorIndex.prototype, 'take').mockImplementationOnce(() => {
      throw new RangeError('no addresses left');
    });
    await expect(CHANGES.addReferences(store)).rejects.toMatchObject({ code: 'GALLERY_FULL' });
    expect(await everything(store)).toEqual(before);
    expect(await CHANGES.addReferences(store)).toMatchObject([{ status: 'added' }, { status: 'added' }]);
  });

  describe.each(Object.keys(CHANGES))('of %s', (kind) => {
    /** Valid states after each answer. */
    let before: unknown, after: unknown, partly: unknown[];

    beforeAll(async () => {
      [before, after] = [await made([]), await made([CHANGES[kind]])];
      partly = await Promise.all((PARTS[kind] ?? []).map((part) => made([part])));
    });

    function expectAsAnswered(state: unknown, answer: FaceError | undefined): void {
      if (!answer) return expect(state).toEqual(after);
      const { code, message } = answer;
      if (code === 'GALLERY_STORE_FAILED')
        return expect(state).toEqual(message.startsWith('The change was made') ? after : before);
      expect(code).toBe('GALLERY_CHANGE_UNCERTAIN');
      expect([before, after, ...partly]).toContainEqual(state);
    }

    it.each(casesOf(kind))('leaves what its answer says where any request %s, %s', async (name, extent) => {
      const [store, other] = [await open(extent === 'once' ? TIMEOUT_MS : SHORT_TIMEOUT_MS), await open()];
      for (let point = 1, isOver = false; !isOver; point++) {
        await other.waitFor(store.revision);
        await refill(other);
        await store.waitFor(other.revision);
        const requests = failRequests(store, (count) =>
          count === point || (extent !== 'once' && count > point) ? FAULTS[name] : undefined,
        );
        const answer = await refusal(CHANGES[kind](store));
        isOver = requests.count < point;
        jest.restoreAllMocks();
        expectAsAnswered(await agree([store, other]), answer);
        // The store goes on, and can make the failed change.
        await refusal(CHANGES[kind](store));
        expect(store.isStopped).toBe(false);
      }
      await agree([store, other]);
    });

    it('may be made where it is not read back in time', async () => {
      const [store, other] = [await open(), await open()];
      await fillGalleries(store);
      const { log } = store as unknown as { log: { waitFor: () => Promise<boolean> } };
      jest.spyOn(log, 'waitFor').mockResolvedValue(false);
      expect(await refusal(CHANGES[kind](store))).toMatchObject({ code: 'GALLERY_CHANGE_UNCERTAIN' });
      jest.restoreAllMocks();
      expect(await agree([store, other])).toEqual(after);
    });

    it('stops where it cannot be applied: reads go on, and it is there after a restart', async () => {
      const store = await open();
      await fillGalleries(store);
      for (const method of ['set', 'delete'] as const)
        jest.spyOn(PagedList.prototype, method).mockImplementation(() => {
          throw fault;
        });
      const stopped = { code: 'GALLERY_STORE_STOPPED', cause: fault };
      await expect(CHANGES[kind](store)).rejects.toMatchObject(stopped);
      jest.restoreAllMocks();
      for (const change of Object.values(CHANGES)) await expect(change(store)).rejects.toMatchObject(stopped);
      expect(store.isStopped).toBe(true);
      await expectReads(store);
      expect(await agree([])).toEqual(after);
    });
  });

  it.each(['putSubject', 'rename', 'merge', 'addReferences', 'updateReference'])(
    'while %s is answered stops changes, and it is made',
    async (kind) => {
      const [store, other] = [await open(), await open()];
      await fillGalleries(store);
      for (const method of ['getSubject', 'getReference', 'toAdded'] as const)
        jest.spyOn(GalleryState.prototype, method).mockImplementation(() => {
          throw fault;
        });
      await expect(CHANGES[kind](store)).rejects.toMatchObject({ code: 'GALLERY_STORE_STOPPED' });
      jest.restoreAllMocks();
      expect(store.isStopped).toBe(true);
      expect(await agree([store, other])).toEqual(await made([CHANGES[kind]]));
    },
  );

  it('of the connection, cut while answers are awaited, leaves changes as they would be', async () => {
    const proxy = await TcpProxy.start(Number(cluster.servers[0].split(':').at(-1)));
    try {
      const [store, other] = [await open(TIMEOUT_MS, [`127.0.0.1:${proxy.port}`]), await open()];
      for (const change of [CHANGES.merge, CHANGES.addReferences, CHANGES.deleteSubject]) {
        await refill(other);
        await store.waitFor(other.revision);
        proxy.holdAnswers();
        const answer = change(store);
        await delay(50);
        proxy.cut();
        await answer;
        expect(await agree([store, other])).toEqual(await made([change]));
      }
    } finally {
      await proxy.stop();
    }
  });

  it('of one entry that is too large writes none of its change', async () => {
    const store = await open();
    await fillGalleries(store);
    const before = await agree([store]);
    const { log } = store as unknown as { log: { maxValueBytes: number } };
    const [small] = await store.listReferences('staff', 'bob');
    const many = Array.from({ length: 9 }, (_, i) => ({ ...small, id: `m${i}`, subjectId: 'ann' }));
    jest.spyOn(log, 'maxValueBytes', 'get').mockReturnValue(1200);
    const change = store.addReferences('staff', [{ ...small, id: 'n1', subjectId: 'new' }, ...many]);
    await expect(change).rejects.toMatchObject({ code: 'SUBJECT_FULL', details: { maxBytes: 1200 } });
    expect(await agree([store])).toEqual(before);
  });
});

/** @param faultOf - returns the fault of a request by its number, from 1. */
function failRequests(
  store: JetstreamStore,
  faultOf: (count: number) => (typeof FAULTS)[string] | undefined,
): { count: number } {
  const { connection } = (store as unknown as { log: { connection: NatsConnection } }).log;
  const request = connection.request.bind(connection);
  const seen = { count: 0 };
  jest.spyOn(connection, 'request').mockImplementation((...args) => {
    const ask = () => request(...args);
    const failed = REQUESTS.test(args[0]) ? faultOf(++seen.count) : undefined;
    return failed ? failed(ask) : ask();
  });
  return seen;
}

/** State of a memory store after the same changes. */
async function made(changes: ((store: GalleryStore) => Promise<unknown>)[]): Promise<unknown> {
  const store = new MemoryStore({ threadCount: 0, precision: 'float32' });
  jest.spyOn(store, 'keepsCrops', 'get').mockReturnValue(false);
  await fillGalleries(store);
  for (const change of changes) await change(store);
  const state = withoutTimes(await everything(store));
  await store.close();
  return state;
}

async function refusal(change: Promise<unknown>): Promise<FaceError | undefined> {
  try {
    await change;
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(FaceError);
    return error as FaceError;
  }
}
