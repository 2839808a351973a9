import { GalleryModel } from '../../../test/support/gallery-model';
import { allPages, exported, newGallery, newReference } from '../../../test/support/gallery-store-contract';
import { describeWithNats, NatsCluster } from '../../../test/support/nats-cluster';
import { unitVectors } from '../../../test/support/random-unit';
import { SEED, seededRandom } from '../../../test/support/seeded-random';
import { tempFolders } from '../../../test/support/temp-folder';
import { FaceError } from '../../errors';
import type { Notice } from '../../face/face.options';
import { DurableStore } from './durable-store';
import { MAX_SAME_IMAGE } from '../gallery-rules';
import type { GalleryStore } from './gallery-store';
import type { EnrollmentGate, Metadata, MetadataFilter, NewReference } from '../gallery.types';
import { JetstreamStore } from './jetstream-store';
import { MemoryStore } from './memory-store';

/** Random changes and reads for each store; more with STEPS. */
const STEPS = Number(process.env.STEPS ?? 4000);
/** Maximum time of a step, on three servers and a busy machine. */
const STEP_MS = 30;
/** Maximum concurrent changes. */
const MAX_BURST = 40;
const DIMENSIONS = 8;
/** One less than the number of ids in use. */
const MAX_GALLERIES = 2;
/** The index sums in another order than the model: similarities closer than this may swap places. */
const ROUNDING = 1e-6;

const tempFolder = tempFolders();

/** One change for both the store and the model. */
interface Change {
  ask: () => Promise<unknown>;
  expected: () => unknown;
}

jest.setTimeout(Math.max(120_000, STEPS * STEP_MS));

describe(`stores and the model of them, through the same random changes (SEED=${SEED})`, () => {
  it.each(['float32', 'int8'] as const)('MemoryStore, %s', async (precision) => {
    await compare(
      async (store) => store ?? new MemoryStore({ threadCount: 1, precision, maxGalleries: MAX_GALLERIES }),
    );
  });

  it('DurableStore, opened again every now and then', async () => {
    const dir = tempFolder();
    await compare(async (store) => {
      await store?.close();
      const onNotice = (notice: Notice) => {
        throw new Error(notice.message);
      };
      return DurableStore.open({
        dir,
        threadCount: 1,
        precision: 'float32',
        maxGalleries: MAX_GALLERIES,
        onNotice,
      });
    });
  });
});

describeWithNats(`replicas of JetstreamStore and the model, through random changes (SEED=${SEED})`, () => {
  it.each([1, 3])('by turns, and opened again every now and then, %i servers', async (size) => {
    const cluster = await NatsCluster.start({ size });
    const open = () =>
      JetstreamStore.open({
        nats: { servers: cluster.servers, replicas: size },
        key: 'k'.repeat(32),
        maxGalleries: MAX_GALLERIES,
        threadCount: 1,
        precision: 'float32',
        onNotice: ({ message }) => {
          // Debian 12 has such a server.
          if (!message.includes('nats-server#4365')) throw new Error(message);
        },
      });
    let replicas: JetstreamStore[] = [];
    let turn = 0;
    try {
      replicas = [await open(), await open()];
      await compare(async () => {
        const [last, next] = replicas;
        expect(await next.waitFor(last.revision)).toBe(true);
        replicas = [next, last];
        if (++turn % 3 === 0) {
          await last.close();
          replicas[1] = await open();
        }
        return next;
      }, false);
    } finally {
      await Promise.all(replicas.map((replica) => replica.close()));
      await cluster.stop();
    }
  });
});

/**
 * @param open - opens or reopens the store.
 * @param keepsCrops - whether the store keeps crops.
 */
async function compare(
  open: (store?: GalleryStore) => Promise<GalleryStore>,
  keepsCrops = true,
): Promise<void> {
  const model = new GalleryModel(MAX_GALLERIES);
  const random = seededRandom(SEED);
  const below = (end: number) => Math.floor(random() * end);
  const pick = <T>(values: readonly T[]): T => values[below(values.length)];
  // Few ids, so that changes collide.
  const vector = unitVectors(SEED, DIMENSIONS);
  const embeddings = Array.from({ length: 30 }, vector);
  const galleryId = () => pick(['one', 'one', 'one', 'two', 'three']);
  const subjectId = () => `subject-${below(12)}`;
  const referenceId = () => `r${below(60)}`;
  const metadata = (): Metadata =>
    pick<Metadata>([{}, { team: 'red' }, { team: 'blue', age: below(3) }, { age: below(3), on: true }]);
  const filter = (): MetadataFilter =>
    pick<MetadataFilter>([{}, { team: 'red' }, { age: [0, 1] }, { age: 2, team: ['blue', 'red'] }]);
  const reference = (): NewReference =>
    newReference(subjectId(), referenceId(), pick(embeddings), {
      metadata: metadata(),
      crop: pick([null, undefined, Uint8Array.from({ length: 1 + below(40) }, () => below(256))]),
      imageHash: pick([null, String(below(9)).repeat(64)]),
    });
  /** Mostly an existing one. */
  const referenceOf = (gallery: string): [subjectId: string, referenceId: string] => {
    const subjects = [...(model.galleries.get(gallery)?.subjects ?? [])];
    const known = subjects.flatMap(([id, { references }]) => references.map((one) => [id, one.id] as const));
    return known.length > 0 && random() < 0.8 ? [...pick(known)] : [subjectId(), referenceId()];
  };
  let store = await open();

  function change(): Change {
    const [gallery, data] = [galleryId(), metadata()];
    const [subject, id] = referenceOf(gallery);
    const kind = below(100);
    if (kind < 2) {
      const settings = newGallery({
        id: gallery,
        dimensions: DIMENSIONS,
        capacity: 20 + below(30),
        maxSubjects: pick([null, 4 + below(8)]),
        maxReferencesPerSubject: 3 + below(4),
        keepCrops: keepsCrops && random() < 0.7,
      });
      return {
        ask: () => store.createGallery(settings),
        expected: () => model.createGallery(settings),
      };
    }
    if (kind < 4) {
      const changes = pick<object>([
        { capacity: 8 + below(40) },
        { maxSubjects: pick([null, 4 + below(8)]) },
        { keepCrops: keepsCrops && random() < 0.7 },
        { threshold: random(), metadata: data, maxAgeSeconds: pick([null, 60]) },
        { maxReferencesPerSubject: 3 + below(4), enrollmentGate: pick<EnrollmentGate>(['off', 'strict']) },
      ]);
      return {
        ask: () => store.updateGallery(gallery, changes),
        expected: () => model.updateGallery(gallery, changes),
      };
    }
    if (kind === 4 && random() < 0.3)
      return { ask: () => store.deleteGallery(gallery), expected: () => model.deleteGallery(gallery) };
    if (kind < 7) {
      const subjects = [subject, subjectId()];
      return {
        ask: () => store.deleteCrops(gallery, subjects),
        expected: () => model.deleteCrops(gallery, subjects),
      };
    }
    if (kind < 15)
      return {
        ask: () => store.putSubject(gallery, subject, data),
        expected: () => model.putSubject(gallery, subject, data),
      };
    if (kind < 25) {
      const [newId, merge] = [subjectId(), random() < 0.5];
      return {
        ask: () => store.renameSubject(gallery, subject, newId, { merge }),
        expected: () => model.renameSubject(gallery, subject, newId, merge),
      };
    }
    if (kind < 32)
      return {
        ask: () => store.deleteSubject(gallery, subject),
        expected: () => model.deleteSubject(gallery, subject),
      };
    if (kind < 42)
      return {
        ask: () => store.updateReference(gallery, subject, id, data),
        expected: () => model.updateReference(gallery, subject, id, data),
      };
    if (kind < 55)
      return {
        ask: () => store.deleteReference(gallery, subject, id),
        expected: () => model.deleteReference(gallery, subject, id),
      };
    const references = Array.from({ length: 1 + below(4) }, reference);
    return {
      ask: () => store.addReferences(gallery, references),
      expected: () => model.addReferences(gallery, references),
    };
  }

  async function compareSearch(): Promise<void> {
    const [gallery, wanted, limit] = [galleryId(), filter(), 1 + below(8)];
    const minSimilarity = pick([undefined, random() * 2 - 1]);
    const probes = [pick(embeddings), vector()];
    const answers = await outcome(() =>
      store.search(gallery, probes, { limit, minSimilarity, filter: wanted }),
    );
    const expected = await outcome(() => probes.map((probe) => model.search(gallery, probe, wanted)));
    if (answers instanceof FaceError || expected instanceof FaceError)
      return expect(codeOf(answers)).toBe(codeOf(expected));
    answers.forEach((hits, p) => {
      if (isTooClose(expected[p], minSimilarity)) return;
      const best = expected[p]
        .filter((hit) => minSimilarity === undefined || hit.similarity >= minSimilarity)
        .slice(0, limit);
      expect(hits.map((hit) => hit.subjectId)).toEqual(best.map((hit) => hit.subjectId));
      hits.forEach((hit, i) => {
        expect(hit.similarity).toBeCloseTo(best[i].similarity, 5);
        expect(best[i].referenceIds).toContain(hit.referenceId);
      });
    });
  }

  async function compareRead(): Promise<void> {
    const [gallery, subject, wanted] = [galleryId(), subjectId(), filter()];
    const list = async () => {
      const listed = await allPages((page) => store.listSubjects(gallery, { ...page, filter: wanted }), 3);
      return listed.sort(byId);
    };
    await same(
      () => store.getGallery(gallery),
      () => model.getGallery(gallery),
    );
    await same(
      () => store.getSubject(gallery, subject),
      () => model.getSubject(gallery, subject),
    );
    await same(list, () => (model.listSubjects(gallery, wanted) as { id: string }[]).sort(byId));
    await same(
      () => store.listReferences(gallery, subject),
      () => model.listReferences(gallery, subject),
    );
    await same(
      () => listCrops(gallery, subject),
      () => model.listCrops(gallery, subject),
    );
  }

  async function listCrops(gallery: string, subject: string): Promise<unknown[]> {
    const references = await store.listReferences(gallery, subject);
    return Promise.all(references.map(({ id }) => store.getCrop(gallery, subject, id)));
  }

  async function compareAll(): Promise<void> {
    for (const [gallery, { subjects }] of model.galleries) {
      await same(
        () => store.getGallery(gallery),
        () => model.getGallery(gallery),
      );
      const records = await exported(store, gallery);
      const count = (model.getGallery(gallery) as { referenceCount: number }).referenceCount;
      expect(records).toHaveLength(subjects.size + count);
      for (const subject of subjects.keys()) {
        await same(
          () => store.getSubject(gallery, subject),
          () => model.getSubject(gallery, subject),
        );
        await same(
          () => store.listReferences(gallery, subject),
          () => model.listReferences(gallery, subject),
        );
        await same(
          () => listCrops(gallery, subject),
          () => model.listCrops(gallery, subject),
        );
      }
    }
    expect((await store.listGalleries({ limit: 10 })).items).toHaveLength(model.galleries.size);
  }

  for (let step = 0; step < STEPS;) {
    const burst = Array.from({ length: 1 + below(MAX_BURST) }, change);
    const answers = burst.map(({ ask }) => outcome(ask));
    const expected = await Promise.all(burst.map(({ expected: make }) => outcome(make)));
    expect(plain(await Promise.all(answers))).toEqual(plain(expected));
    for (let i = 0; i < 4; i++) await compareSearch();
    await compareRead();
    step += burst.length + 5;
    if (random() < 0.05) store = await open(store);
    if (random() < 0.1) await compareAll();
  }
  store = await open(store);
  await compareAll();
  await store.close();
}

async function same(answer: () => Promise<unknown>, expected: () => unknown): Promise<void> {
  expect(plain(await outcome(answer))).toEqual(plain(await outcome(expected)));
}

async function outcome<T>(work: () => T | Promise<T>): Promise<T | FaceError> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FaceError) return error;
    throw error;
  }
}

/** Whether rounding may decide the order of two subjects, or whether one reaches the threshold. */
function isTooClose(hits: readonly { similarity: number }[], minSimilarity: number | undefined): boolean {
  const isClose = (a: number, b: number) => a !== b && Math.abs(a - b) < ROUNDING;
  return hits.some(
    ({ similarity }, i) =>
      isClose(similarity, hits[i + 1]?.similarity ?? similarity) ||
      isClose(similarity, minSimilarity ?? similarity),
  );
}

const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
const codeOf = (answer: unknown) => (answer instanceof FaceError ? answer.code : 'none');

/** Drops times, which the model lacks; reduces errors to code and details; sorts unordered lists. */
function plain(value: unknown): unknown {
  if (value instanceof FaceError) return { code: value.code, details: value.details };
  if (ArrayBuffer.isView(value)) return Array.from(value as Float32Array);
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([key]) => key !== 'createdAt' && key !== 'updatedAt');
  return Object.fromEntries(
    entries.map(([key, one]) => [key, key === 'sameImage' ? plainSameImage(one as object[]) : plain(one)]),
  );
}

/** Stores return at most ten of them, and of more any ten. */
function plainSameImage(keys: readonly object[]): unknown {
  return keys.length < MAX_SAME_IMAGE ? keys.map((key) => JSON.stringify(key)).sort() : 'ten or more';
}
