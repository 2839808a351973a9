import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DurableStore } from '../../src/gallery/stores/durable-store';
import { JetstreamStore } from '../../src/gallery/stores/jetstream-store';
import { newGallery, newReference } from '../support/gallery-store-contract';
import { describeWithNats, NatsCluster } from '../support/nats-cluster';
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

describe('the key of a folder of galleries', () => {
  const KEY = 'a key of an operator, long enough';
  const NEW_KEY = 'another key of the same operator!';
  let dir: string;
  const rekey = (env: NodeJS.ProcessEnv, ...args: string[]) =>
    startCli(['gallery', 'rekey', '--dir', dir, '--json', ...args], env).ended;
  const check = (key?: string) =>
    startCli(['gallery', 'check', '--dir', dir, '--json'], key == null ? {} : { FACE_GALLERY_KEY: key })
      .ended;
  const open = (key?: string) => DurableStore.open({ dir, key, threadCount: 0, precision: 'float32' });

  beforeEach(async () => {
    dir = join(tempFolder(), 'galleries');
    const store = await open(KEY);
    await store.createGallery(newGallery());
    await store.close();
  });

  it('is changed, removed and given on the command line', async () => {
    const file = join(tempFolder(), 'new-key');
    writeFileSync(file, `${NEW_KEY}\n`);
    const changed = await rekey({ FACE_GALLERY_KEY: KEY }, '--new-key-file', file);
    expect([changed.code, JSON.parse(changed.stdout)]).toEqual([0, { isEncrypted: true }]);
    expect(await check(NEW_KEY)).toMatchObject({ code: 0 });
    expect(JSON.parse((await check(KEY)).stdout)).toMatchObject({ error: { code: 'GALLERY_STORE_INVALID' } });

    const removed = await rekey({ FACE_GALLERY_KEY: NEW_KEY }, '--remove-key');
    expect([removed.code, JSON.parse(removed.stdout)]).toEqual([0, { isEncrypted: false }]);
    expect(await check()).toMatchObject({ code: 0 });

    const given = await rekey({ FACE_GALLERY_NEW_KEY: KEY });
    expect([given.code, JSON.parse(given.stdout)]).toEqual([0, { isEncrypted: true }]);
    const store = await open(KEY);
    expect(await store.getGallery('staff')).toMatchObject({ id: 'staff' });
    await store.close();
  });

  it.each([
    ['no new key', {}, [], 'PARAMETER_INVALID'],
    ['an empty new key', { FACE_GALLERY_NEW_KEY: '' }, [], 'PARAMETER_INVALID'],
    ['a new key that is too short', { FACE_GALLERY_NEW_KEY: NEW_KEY.slice(2) }, [], 'PARAMETER_INVALID'],
    ['a new key with a space at its end', { FACE_GALLERY_NEW_KEY: `${NEW_KEY} ` }, [], 'PARAMETER_INVALID'],
    [
      'a new key that is to be none',
      { FACE_GALLERY_NEW_KEY: NEW_KEY },
      ['--remove-key'],
      'PARAMETER_INVALID',
    ],
    ['a file that is not there', {}, ['--new-key-file', '/nowhere/key'], 'PARAMETER_INVALID'],
    ['the key that it has', { FACE_GALLERY_NEW_KEY: KEY }, [], 'GALLERY_STORE_INVALID'],
    [
      'a wrong old key',
      { FACE_GALLERY_KEY: NEW_KEY, FACE_GALLERY_NEW_KEY: NEW_KEY },
      [],
      'GALLERY_STORE_INVALID',
    ],
  ])('stays for %s', async (_name, env, args, code) => {
    const { stdout, stderr, ...ended } = await rekey({ FACE_GALLERY_KEY: KEY, ...env }, ...args);
    expect([ended.code, JSON.parse(stdout)]).toMatchObject([2, { error: { code } }]);
    expect(stdout + stderr).not.toContain(NEW_KEY.slice(0, 20));
    await (await open(KEY)).close();
  });

  it('stays while the folder is in use', async () => {
    const store = await open(KEY);
    const { code, stdout } = await rekey({ FACE_GALLERY_KEY: KEY, FACE_GALLERY_NEW_KEY: NEW_KEY });
    await store.close();
    expect([code, JSON.parse(stdout)]).toMatchObject([
      2,
      { error: { code: 'GALLERY_STORE_INVALID', message: expect.stringContaining('in use') } },
    ]);
    await (await open(KEY)).close();
  });
});

describeWithNats('the key of shared galleries', () => {
  const KEY = 'a key of an operator, long enough';
  const NEW_KEY = 'another key of the same operator!';
  let cluster: NatsCluster;

  beforeAll(async () => {
    cluster = await NatsCluster.start();
  });
  afterAll(() => cluster?.stop());

  it('is changed on the command line while a replica runs, or stays as it is', async () => {
    const nats = { servers: cluster.servers, replicas: 1 };
    const open = (key: string) => JetstreamStore.open({ nats, key, threadCount: 0, precision: 'float32' });
    const rekey = async (env: NodeJS.ProcessEnv, ...args: string[]) => {
      const settings = {
        FACE_GALLERY_STORE: 'jetstream',
        FACE_GALLERY_NATS_SERVERS: cluster.servers.join(','),
        FACE_GALLERY_NATS_REPLICAS: '1',
        FACE_GALLERY_KEY: KEY,
      };
      const { code, stdout } = await startCli(['gallery', 'rekey', '--json', ...args], {
        ...settings,
        ...env,
      }).ended;
      return [code, JSON.parse(stdout)];
    };
    const refused = (code: string) => [2, { error: { code } }];
    const replica = await open(KEY);
    try {
      await replica.createGallery(newGallery());
      expect(await rekey({}, '--remove-key')).toMatchObject(refused('PARAMETER_INVALID'));
      const toNewKey = { FACE_GALLERY_NEW_KEY: NEW_KEY };
      for (const wrong of [
        { FACE_GALLERY_KEY: 'x'.repeat(32) },
        { FACE_GALLERY_KEY: NEW_KEY },
        { FACE_GALLERY_NATS_NAMESPACE: 'empty' },
      ])
        expect(await rekey({ ...toNewKey, ...wrong })).toMatchObject(refused('GALLERY_STORE_INVALID'));
      await (await open(KEY)).close();

      expect(await rekey(toNewKey)).toEqual([0, { isEncrypted: true }]);
      await replica.putSubject('staff', 'ann', {});
      await expect(open(KEY)).rejects.toMatchObject({ code: 'GALLERY_STORE_INVALID' });
      const renewed = await open(NEW_KEY);
      expect(await renewed.getSubject('staff', 'ann')).toMatchObject({ id: 'ann' });
      await renewed.close();
    } finally {
      await replica.close();
    }
  });
});
