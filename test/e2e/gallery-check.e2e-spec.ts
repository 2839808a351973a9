import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DurableStore } from '../../src/gallery/durable-store';
import { newGallery, newReference } from '../support/gallery-store-contract';
import { unitVectors } from '../support/random-unit';
import { startCli } from '../support/start-cli';
import { startService } from '../support/start-service';
import { tempFolders } from '../support/temp-folder';

const tempFolder = tempFolders();

describe('a damaged folder of galleries', () => {
  const likeness = (dir: string, command: string) =>
    startCli(['gallery', command, '--dir', dir, '--json']).ended;

  it('keeps the service from starting; is checked, put back, and repaired on the command line', async () => {
    const dir = join(tempFolder(), 'galleries');
    const store = await DurableStore.open({ dir, threadCount: 0, precision: 'float32' });
    await store.createGallery(newGallery());
    const random = unitVectors(1, newGallery().dimensions);
    for (const id of ['a', 'b', 'c', 'd'])
      await store.addReferences('staff', [newReference(id, id, random())]);
    await store.close();
    const path = join(dir, 'keys');
    const keys = readFileSync(path);

    truncateSync(path, keys.length / 2);
    const service = startService({ FACE_GALLERY_STORE: 'durable', FACE_GALLERY_DIR: dir });
    await expect(service).rejects.toThrow();
    const damaged = await likeness(dir, 'check');
    expect([damaged.code, JSON.parse(damaged.stdout)]).toEqual([2, { asideCount: 5, removedCount: 0 }]);

    writeFileSync(path, keys);
    const whole = await likeness(dir, 'check');
    expect([whole.code, JSON.parse(whole.stdout)]).toEqual([0, { asideCount: 0, removedCount: 0 }]);

    truncateSync(path, keys.length / 2);
    const repaired = await likeness(dir, 'repair');
    expect([repaired.code, JSON.parse(repaired.stdout)]).toEqual([0, { asideCount: 0, removedCount: 5 }]);
    const after = await DurableStore.open({ dir, threadCount: 0, precision: 'float32' });
    expect(await after.getGallery('staff')).toMatchObject({ subjectCount: 2, referenceCount: 1 });
    await after.close();
  });

  it('is not looked for where there is none', async () => {
    const { code, stdout } = await likeness(join(tempFolder(), 'nowhere'), 'check');
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'GALLERY_STORE_INVALID' } });
    expect(code).toBe(2);
  });
});
