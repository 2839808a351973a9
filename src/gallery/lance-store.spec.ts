import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { galleryStoreContract } from '../../test/support/gallery-store-contract';
import { LanceStore } from './lance-store';

describe('LanceStore', () => {
  let root: string;
  let folders = 0;
  const open = (folder = `${folders++}`) => LanceStore.open({ uri: join(root, folder) });

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'lance-store-'));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  galleryStoreContract('LanceStore', open);
});
