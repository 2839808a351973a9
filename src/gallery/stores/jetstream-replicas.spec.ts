import { setTimeout as delay } from 'node:timers/promises';
import { jetstream, jetstreamManager, type StoredMsg } from '@nats-io/jetstream';
import { connect, headers } from '@nats-io/transport-node';
import { exported, newGallery, newReference } from '../../../test/support/gallery-store-contract';
import { describeWithNats, NatsCluster } from '../../../test/support/nats-cluster';
import { unitVectors } from '../../../test/support/random-unit';
import { seededRandom } from '../../../test/support/seeded-random';
import { FaceError, type FaceErrorCode } from '../../errors';
import type { AddedReference } from '../gallery.types';
import type { EntryLog } from './jetstream/entry-log';
import { JetstreamStore, type JetstreamStoreOptions } from './jetstream-store';

/** Kills of a server; more with ROUNDS. */
const ROUNDS = Number(process.env.ROUNDS ?? 2);
/** Concurrent changes of the replicas; more with STEPS. */
const STEPS = Number(process.env.STEPS ?? 1000);
const CLIENTS = 12;
/** Time to settle after the last kill. */
const SETTLE_MS = 20_000;
/** Errors that a change may get in a conflict with others; any other error is a fault. */
const REFUSALS: FaceErrorCode[] = [
  'GALLERY_NOT_FOUND',
  'GALLERY_EXISTS',
  'SUBJECT_NOT_FOUND',
  'SUBJECT_EXISTS',
  'SUBJECT_FULL',
  'REFERENCE_NOT_FOUND',
];

describeWithNats(`replicas of ${JetstreamStore.name}`, () => {
  const vector = unitVectors(7, 8);
  let cluster: NatsCluster;
  let opened: JetstreamStore[] = [];
  let namespaces = 0;

  afterEach(async () => {
    await Promise.all(opened.map((store) => store.close()));
    opened = [];
  });

  async function open(options: Partial<JetstreamStoreOptions> = {}): Promise<JetstreamStore> {
    const store = await JetstreamStore.open({
      nats: { servers: cluster.servers, replicas: cluster.servers.length, namespace: `n${namespaces}` },
      key: 'k'.repeat(32),
      threadCount: 0,
      precision: 'float32',
      ...options,
    });
    opened.push(store);
    return store;
  }

  /** Opens replicas that see the gallery `staff`. */
  async function openAll(count: number): Promise<JetstreamStore[]> {
    namespaces++;
    const stores = await Promise.all(Array.from({ length: count }, () => open()));
    await stores[0].createGallery(newGallery({ capacity: 100_000, maxReferencesPerSubject: 10 }));
    await agree(stores);
    return stores;
  }

  async function agree(stores: readonly JetstreamStore[]): Promise<void> {
    const newest = Math.max(...stores.map(({ revision }) => revision));
    for (const store of stores) expect(await store.waitFor(newest, SETTLE_MS)).toBe(true);
  }

  /** Expects all replicas, and one that starts now, to hold the same state. */
  async function expectEqual(stores: readonly JetstreamStore[]): Promise<void> {
    await agree(stores);
    const [first, ...others] = await Promise.all([...stores, await open()].map(everything));
    for (const other of others) expect(other).toEqual(first);
    for (const store of stores) expect(store.isStopped).toBe(false);
  }

  async function everything(store: JetstreamStore): Promise<unknown> {
    const { items } = await store.listGalleries({ limit: 100 });
    const contents = items.map(async ({ id }) => ({
      records: (await exported(store, id)).map((record) => JSON.stringify(record)).sort(),
      hits: await store.search(id, [unitVectors(1, 8)()], { limit: 20 }),
    }));
    return { items, contents: await Promise.all(contents) };
  }

  /**
   * Renumbers all messages of a stream without gaps, like the copy on a nats-server before 2.9.21 that counted refused writes
   * differently from the leader.
   *
   * @param lost - number of last messages to drop.
   */
  async function renumber(stream: string, lost = 0): Promise<void> {
    const connection = await connect({ servers: cluster.servers });
    const manager = await jetstreamManager(connection);
    const { config, state } = await manager.streams.info(stream);
    const messages: StoredMsg[] = [];
    for (let seq = 1; seq <= state.last_seq; seq++) {
      const message = await manager.streams.getMessage(stream, { seq }).catch(() => null);
      if (message) messages.push(message);
    }
    await manager.streams.delete(stream);
    await manager.streams.add(config);
    for (const { subject, header, data } of messages.slice(0, messages.length - lost)) {
      const given = headers();
      for (const key of header.keys()) if (!key.startsWith('Nats-')) given.set(key, header.get(key));
      await jetstream(connection).publish(subject, data, { headers: given });
    }
    await connection.close();
  }

  describe('on one server', () => {
    beforeAll(async () => {
      cluster = await NatsCluster.start();
    });
    afterAll(() => cluster?.stop());

    it('hold the same after changes of the same few subjects at the same time', async () => {
      const stores = await openAll(3);
      const random = seededRandom(5);
      const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)];
      const subjectId = () => `s${Math.floor(random() * 6)}`;
      let step = 0;
      const change = async (store: JetstreamStore): Promise<unknown> => {
        const kind = random();
        if (kind < 0.45) {
          const imageHash = pick([null, 'a'.repeat(64), 'b'.repeat(64)]);
          return store.addReferences('staff', [
            newReference(subjectId(), `r${step}`, vector(), { imageHash }),
          ]);
        }
        if (kind < 0.6)
          return store.renameSubject('staff', subjectId(), subjectId(), { merge: random() < 0.6 });
        if (kind < 0.7) return store.deleteSubject('staff', subjectId());
        if (kind < 0.8) return store.putSubject('staff', subjectId(), { step });
        if (kind < 0.9) {
          const [subject, known] = [subjectId(), step];
          const references = await store.listReferences('staff', subject);
          return (
            references.length &&
            store.deleteReference('staff', subject, references[known % references.length].id)
          );
        }
        if (kind < 0.95) return store.recordMatches('staff', [subjectId(), subjectId()], step);
        if (kind < 0.98) return store.updateGallery('staff', { metadata: { step } });
        await store.deleteGallery('staff');
        return store.createGallery(newGallery());
      };
      const client = async (store: JetstreamStore): Promise<void> => {
        while (step++ < STEPS) {
          try {
            await change(store);
          } catch (error) {
            expect(error).toBeInstanceOf(FaceError);
            expect(REFUSALS).toContain((error as FaceError).code);
            await delay(1);
          }
        }
      };
      await Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(stores[i % stores.length])));
      await expectEqual(stores);
    });

    it('give one reference id to one of two subjects that ask for it at once', async () => {
      const stores = await openAll(2);
      for (let round = 0; round < 10; round++) {
        const id = `r${round}`;
        const answers = await Promise.all(
          stores.map(
            async (store, i) =>
              (await store.addReferences('staff', [newReference(`s${i}`, id, vector())]))[0],
          ),
        );
        const statuses = answers.map((answer) => (answer as AddedReference).status).sort();
        expect(statuses).toEqual(['added', 'existing']);
      }
      await expectEqual(stores);
    });

    it.each([false, true])('finish a rename whose process ended in the middle (merge: %s)', async (merge) => {
      const [store, other] = await openAll(2);
      await store.addReferences('staff', [
        newReference('ann', 'r1', vector()),
        newReference('ann', 'r2', vector()),
      ]);
      if (merge) await store.addReferences('staff', [newReference('bob', 'r3', vector())]);
      const inside = store as unknown as { finishMove: () => Promise<void> };
      jest.spyOn(inside, 'finishMove').mockRejectedValue(new Error('ended'));
      await expect(store.renameSubject('staff', 'ann', 'bob', { merge })).rejects.toMatchObject({
        code: 'GALLERY_STORE_FAILED',
        message: expect.stringContaining('The change was made') as unknown,
      });
      await agree([store, other]);
      const fresh = await open();
      for (const replica of [other, fresh]) {
        await expect(replica.getSubject('staff', 'ann')).rejects.toMatchObject({ code: 'SUBJECT_NOT_FOUND' });
        expect(await replica.listReferences('staff', 'bob')).toHaveLength(merge ? 3 : 2);
      }
      await fresh.putSubject('staff', 'ann', { again: true });
      await expectEqual([store, other, fresh]);
    });

    it('do not bring back a subject that was renamed by a process that ended, and deleted by another', async () => {
      const [store, other] = await openAll(2);
      await store.addReferences('staff', [newReference('ann', 'r1', vector())]);
      const inside = store as unknown as { finishMove: () => Promise<void> };
      jest.spyOn(inside, 'finishMove').mockRejectedValue(new Error('ended'));
      await expect(store.renameSubject('staff', 'ann', 'bob', { merge: false })).rejects.toThrow();
      await agree([store, other]);
      expect(await other.deleteSubject('staff', 'bob')).toMatchObject({ referenceCount: 1 });
      await expectEqual([store, other]);
      expect(await exported(await open(), 'staff')).toEqual([]);
    });

    it('hold a renamed subject also where they have read an older version of it than the last', async () => {
      const [store, other] = await openAll(2);
      await store.addReferences('staff', [newReference('ann', 'r1', vector())]);
      // The version named by the rename is erased, and the one before it remains, as its erasure failed.
      const inside = store as unknown as { log: { eraseLater: () => void; oldestOf: () => unknown } };
      jest.spyOn(inside.log, 'eraseLater').mockReturnValue();
      jest.spyOn(inside.log, 'oldestOf').mockReturnValue(undefined);
      await store.addReferences('staff', [newReference('ann', 'r2', vector())]);
      await store.renameSubject('staff', 'ann', 'bob', { merge: false });
      const fresh = await open();
      for (const replica of [other, fresh])
        expect(await replica.listReferences('staff', 'bob')).toHaveLength(2);
      await expectEqual([store, other, fresh]);
    });

    it('take the embedding of a reference that was made again, also where its deletion was erased unread', async () => {
      const [store, other] = await openAll(2);
      await store.addReferences('staff', [newReference('ann', 'r1', vector())]);
      const later = await open();
      await later.createGallery(newGallery({ id: 'guests' }));
      await agree([store, other, later]);
      const inside = other as unknown as { held: { take: () => boolean } };
      jest.spyOn(inside.held, 'take').mockReturnValueOnce(true);
      await later.deleteSubject('staff', 'ann');
      await other.waitFor(later.revision);
      await later.addReferences('staff', [newReference('ann', 'r1', vector())]);
      await expectEqual([other, later]);
    });

    it('serve, both of two that begin at once on empty storage', async () => {
      for (let round = 0; round < 10; round++) {
        namespaces++;
        const stores = await Promise.all([open(), open()]);
        const made = await Promise.allSettled(stores.map((store) => store.createGallery(newGallery())));
        expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
        await expectEqual(stores);
      }
    });

    it('go on reading without the server, refuse changes, and go on where they were when it is back', async () => {
      const stores = await openAll(2);
      await stores[0].putSubject('staff', 'ann', {});
      await agree(stores);
      await cluster.kill(0);
      while (stores.some(({ staleSince }) => staleSince === null)) await delay(20);
      for (const store of stores) {
        expect((await store.getSubject('staff', 'ann')).id).toBe('ann');
        expect(await store.search('staff', [vector()], { limit: 1 })).toEqual([[]]);
        await expect(store.putSubject('staff', 'bob', {})).rejects.toMatchObject({
          code: 'GALLERY_STORE_FAILED',
        });
      }
      await cluster.restart(0);
      while (stores.some(({ staleSince }) => staleSince !== null)) await delay(20);
      await stores[1].putSubject('staff', 'bob', {});
      await expectEqual(stores);
    });

    it('read all again where the servers give the messages other numbers', async () => {
      const [store, other] = await openAll(2);
      const notices: string[] = [];
      const onNotice = ({ message }: { message: string }) => notices.push(message);
      const third = await open({ onNotice });
      await store.putSubject('staff', 'ann', { first: true });
      await store.addReferences('staff', [newReference('bob', 'r1', vector())]);
      await store.addReferences('staff', [newReference('cid', 'r2', vector())]);
      // Later versions keep the uid of the first one, a number that other messages get now.
      await store.putSubject('staff', 'ann', { first: false });
      await store.renameSubject('staff', 'bob', 'dan', { merge: false });
      await store.createGallery(newGallery({ id: 'guests' }));
      const stores = [store, other, third];
      await agree(stores);
      const before = await everything(store);

      const failures: unknown[] = [];
      let isOver = false;
      const search = async () => {
        while (!isOver) {
          await third.search('staff', [vector()], { limit: 3 }).catch((error) => failures.push(error));
          await delay(5);
        }
      };
      const searching = search();
      await renumber(`LIKENESS_n${namespaces}`);
      while (notices.length === 0) await delay(20);
      expect(third.staleSince).not.toBeNull();
      await expect(third.putSubject('staff', 'eve', {})).rejects.toMatchObject({
        code: 'GALLERY_STORE_FAILED',
      });
      while (notices.length < 2 || stores.some(({ staleSince }) => staleSince !== null)) await delay(20);
      isOver = true;
      await searching;
      expect(failures).toEqual([]);
      expect(notices).toEqual([
        expect.stringContaining('All are read again'),
        expect.stringContaining('were read again'),
      ]);
      for (const replica of [...stores, await open()]) expect(await everything(replica)).toEqual(before);
      const { items } = await third.listSubjects('staff', { limit: 10 });
      expect(items.map(({ id }) => id).sort()).toEqual(['ann', 'cid', 'dan']);
      // No compare-and-set fails because of an old number.
      await third.deleteSubject('staff', 'cid');
      await other.waitFor(third.revision);
      await other.putSubject('staff', 'ann', { again: true });
      await expectEqual(stores);
    });

    it.each(['read', 'finishReading'] as const)(
      'read all once more where the numbers change again after %s',
      async (step) => {
        const [store] = await openAll(1);
        const notices: string[] = [];
        const other = await open({ onNotice: ({ message }) => notices.push(message) });
        const untilCurrent = async (replica: JetstreamStore) => {
          while (replica.staleSince !== null) await delay(20);
        };
        /** The versions in between are erased, so the messages get other numbers than before. */
        const changeAndRenumber = async (value: number) => {
          for (let i = 0; i < 3; i++) await store.putSubject('staff', 'ann', { value, i });
          await store.putSubject('staff', `s${value}`, {});
          await renumber(`LIKENESS_n${namespaces}`);
        };
        let times = 0;
        const inside = other as unknown as Record<typeof step, () => Promise<{ log: EntryLog } | undefined>>;
        const original = inside[step].bind(other);
        jest.spyOn(inside, step).mockImplementation(async () => {
          const isFirst = ++times === 1;
          const reading = step === 'read' ? await original() : undefined;
          if (isFirst) {
            await untilCurrent(store);
            await changeAndRenumber(2);
            while (reading && !reading.log.isLost) await delay(20);
          }
          return reading ?? original();
        });

        await changeAndRenumber(1);
        while (times < 2 || !notices.at(-1)?.includes('were read again')) await delay(20);
        await Promise.all([untilCurrent(store), untilCurrent(other)]);
        expect(await other.getSubject('staff', 'ann')).toMatchObject({ metadata: { value: 2, i: 2 } });
        await other.putSubject('staff', 'ann', { value: 3 });
        await expectEqual([store, other]);
        const { items } = await other.listSubjects('staff', { limit: 10 });
        expect(items.map(({ id }) => id).sort()).toEqual(['ann', 's1', 's2']);
      },
    );

    it('take no more changes where messages are gone that were read', async () => {
      const [store] = await openAll(1);
      await store.putSubject('staff', 'ann', {});
      await store.putSubject('staff', 'bob', {});
      await renumber(`LIKENESS_n${namespaces}`, 1);
      while (!store.isStopped) await delay(20);
      expect(await store.getSubject('staff', 'bob')).toMatchObject({ id: 'bob' });
      await expect(store.putSubject('staff', 'cid', {})).rejects.toMatchObject({
        code: 'GALLERY_STORE_STOPPED',
      });
    });

    it('take no more changes where one cannot be applied, and leave it to the others', async () => {
      const [store, other] = await openAll(2);
      const fault = new Error('injected');
      const inside = store as unknown as { held: { take: () => boolean } };
      jest.spyOn(inside.held, 'take').mockImplementation(() => {
        throw fault;
      });
      const stopped = { code: 'GALLERY_STORE_STOPPED', cause: fault };
      await expect(store.putSubject('staff', 'ann', {})).rejects.toMatchObject(stopped);
      await expect(store.putSubject('staff', 'bob', {})).rejects.toMatchObject(stopped);
      expect(store.isStopped).toBe(true);
      expect(await store.search('staff', [vector()], { limit: 1 })).toEqual([[]]);
      await agree([store, other]);
      for (const replica of [other, await open()])
        expect(await replica.getSubject('staff', 'ann')).toMatchObject({ id: 'ann' });
    });

    it('refuse another key, and no key', async () => {
      await openAll(1);
      for (const key of ['x'.repeat(32), null])
        await expect(open({ key })).rejects.toMatchObject({ code: 'GALLERY_STORE_INVALID' });
    });
  });

  describe('on three servers', () => {
    beforeAll(async () => {
      cluster = await NatsCluster.start({ size: 3 });
    });
    afterAll(() => cluster?.stop());

    it('lose nothing and bring nothing back while servers are killed, and searches go on', async () => {
      const stores = await openAll(2);
      /** Subjects whose last change was acknowledged. */
      const isThere = new Map<string, boolean>();
      let [count, failedSearches, isOver] = [0, 0, false];
      const client = async (i: number): Promise<void> => {
        while (!isOver) {
          const id = `s${count++}`;
          const [store, other] = count % 2 === 0 ? stores : [stores[1], stores[0]];
          try {
            await store.addReferences('staff', [newReference(id, `r-${id}`, vector())]);
            isThere.set(id, true);
            if (i % 2 === 0) continue;
            isThere.delete(id);
            await other.waitFor(store.revision);
            await other.deleteSubject('staff', id);
            isThere.set(id, false);
          } catch (error) {
            expect(['GALLERY_STORE_FAILED', 'GALLERY_CHANGE_UNCERTAIN', 'SUBJECT_NOT_FOUND']).toContain(
              (error as FaceError).code,
            );
            await delay(20);
          }
        }
      };
      const searcher = async (): Promise<void> => {
        while (!isOver) {
          await stores[0].search('staff', [vector()], { limit: 3 }).catch(() => failedSearches++);
          await delay(5);
        }
      };
      const running = [...Array.from({ length: CLIENTS }, (_, i) => client(i)), searcher()];
      for (let round = 0; round < ROUNDS; round++) {
        await delay(500);
        const leader = await cluster.leaderOf(`LIKENESS_n${namespaces}`);
        const victim = round % 2 === 0 ? leader : (leader + 1) % 3;
        await cluster.kill(victim);
        await delay(2000);
        await cluster.restart(victim);
        await cluster.ready();
        await cluster.healed(`LIKENESS_n${namespaces}`);
      }
      isOver = true;
      await Promise.all(running);
      await expectEqual(stores);
      expect(failedSearches).toBe(0);
      expect(isThere.size).toBeGreaterThan(0);
      const there = new Set((await exported(stores[1], 'staff')).map((record) => subjectOf(record)));
      for (const [id, expected] of isThere) expect([id, there.has(id)]).toEqual([id, expected]);
    });
  });
});

function subjectOf(record: Awaited<ReturnType<typeof exported>>[number]): string {
  return record.kind === 'subject' ? record.subject.id : record.reference.subjectId;
}
