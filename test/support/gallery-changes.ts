import type { FaceError } from '../../src/errors';
import type { GalleryStore } from '../../src/gallery/stores/gallery-store';
import { exported, newGallery, newReference } from './gallery-store-contract';
import { unitVectors } from './random-unit';

type Change = (store: GalleryStore) => Promise<unknown>;

const vectors = Array.from({ length: 5 }, unitVectors(5, 8));

/** Every kind of change of every store, on what {@link fillGalleries} made. */
export const CHANGES: Record<string, Change> = {
  createGallery: (store) => store.createGallery(newGallery({ id: 'new' })),
  updateGallery: (store) => store.updateGallery('staff', { capacity: 7 }),
  deleteGallery: (store) => store.deleteGallery('staff'),
  putNewSubject: (store) => store.putSubject('staff', 'new', { a: 1 }),
  putSubject: (store) => store.putSubject('staff', 'ann', { a: 1 }),
  recordMatches: (store) => store.recordMatches('staff', ['ann', 'bob'], 5),
  rename: (store) => store.renameSubject('staff', 'ann', 'new', { merge: false }),
  merge: (store) => store.renameSubject('staff', 'ann', 'bob', { merge: true }),
  deleteSubject: (store) => store.deleteSubject('staff', 'ann'),
  addReferences: (store) =>
    store.addReferences('staff', [
      newReference('ann', 'n1', vectors[3]),
      newReference('new', 'n2', vectors[4]),
    ]),
  updateReference: (store) => store.updateReference('staff', 'ann', 'r0', { a: 1 }),
  deleteReference: (store) => store.deleteReference('staff', 'ann', 'r0'),
};

/** Kinds of change of stores that keep crops. */
export const CROP_CHANGES: Record<string, Change> = {
  replaceGallery: (store) => store.replaceGallery('staff', 'copy'),
  addCrop: (store) =>
    store.addReferences('staff', [newReference('bob', 'n3', vectors[3], { crop: Uint8Array.of(1, 2) })]),
  deleteCrops: (store) => store.deleteCrops('staff', ['ann', 'bob']),
};

/** Changes that a store may make in parts, one for each subject. */
export const PARTS: Record<string, Change[]> = {
  recordMatches: ['ann', 'bob'].map((id) => (store) => store.recordMatches('staff', [id], 5)),
  addReferences: [
    (store) => store.addReferences('staff', [newReference('ann', 'n1', vectors[3])]),
    (store) => store.addReferences('staff', [newReference('new', 'n2', vectors[4])]),
  ],
};

export async function fillGalleries(store: GalleryStore): Promise<void> {
  await store.createGallery(newGallery({ keepCrops: store.keepsCrops }));
  await store.addReferences(
    'staff',
    ['ann', 'ann', 'bob'].map((subject, i) =>
      newReference(subject, `r${i}`, vectors[i], { crop: Uint8Array.of(i) }),
    ),
  );
  await store.createGallery(newGallery({ id: 'copy', copyOf: 'staff' }));
  await store.putSubject('copy', 'ann', {});
}

/** All that reads tell. */
export async function everything(store: GalleryStore): Promise<unknown> {
  const { items } = await store.listGalleries({ limit: 100 });
  const records = await Promise.all(items.map(({ id }) => exported(store, id)));
  const probe = unitVectors(9, 8)();
  const found = await Promise.all(items.map(({ id }) => store.search(id, [probe], { limit: 10 })));
  return JSON.parse(JSON.stringify({ items, records, found })) as unknown;
}

/** Reads of a store that stopped: a gallery may be gone in part, all else is answered. */
export async function expectReads(store: GalleryStore): Promise<void> {
  await store.listGalleries({ limit: 100 });
  for (const id of ['staff', 'copy'])
    for (const read of [
      () => store.getGallery(id),
      () => exported(store, id),
      () => store.search(id, [vectors[3]], { limit: 10 }),
      () => store.search(id, [vectors[3]], { limit: 10, filter: { a: 1 } }),
      () => store.listSubjects(id, { limit: 10 }),
    ])
      await read().catch((error: FaceError) => expect(error.code).toBe('GALLERY_NOT_FOUND'));
}

export function withoutTimes(value: unknown): unknown {
  const isTime = (key: string) => key === 'createdAt' || key === 'updatedAt';
  return JSON.parse(JSON.stringify(value, (key, one: unknown) => (isTime(key) ? 0 : one)));
}
