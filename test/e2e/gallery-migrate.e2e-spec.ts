import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import sharp from 'sharp';
import type { MigrationDto } from '../../src/server/galleries/gallery-migration.dto';
import { peoplePhotos } from '../support/people-photos';
import { startCli } from '../support/start-cli';
import { type RunningService, startService } from '../support/start-service';
import { tempFolders } from '../support/temp-folder';

const ADMIN_KEY = 'a-key-of-the-test-suite';
const HEADERS = { authorization: `Bearer ${ADMIN_KEY}` };
const [OLD, NEW] = ['face-resnet-128', 'mobilefacenet-512'];
const VARIANTS = 4;
const tempFolder = tempFolders();

describe('a gallery that is moved to another embedder', () => {
  let folder: string;
  let service: RunningService;
  let people: { id: string; photo: Buffer }[];

  const start = async (env: NodeJS.ProcessEnv = {}) => {
    service = await startService({
      ADMIN_KEY,
      FACE_GALLERY_STORE: 'durable',
      FACE_GALLERY_DIR: join(folder, 'gallery'),
      FACE_EMBEDDERS: `${OLD},${NEW}`,
      FACE_ATTRIBUTE_MODELS: '',
      FACE_WORKER_COUNT: '1',
      ...env,
    });
  };
  const call = async <T>(method: string, path: string, body?: object | FormData) => {
    const isForm = body instanceof FormData;
    const response = await fetch(`${service.url}${path}`, {
      method,
      headers: { ...HEADERS, ...(body && !isForm ? { 'content-type': 'application/json' } : {}) },
      body: isForm ? body : body && JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: (text ? JSON.parse(text) : undefined) as T };
  };
  const enroll = async (gallery: string, subjectId: string, photo: Uint8Array) => {
    const form = new FormData();
    form.append('image', new Blob([new Uint8Array(photo)]));
    form.append('faceSelection', 'best');
    const path = `/v1/galleries/${gallery}/subjects/${encodeURIComponent(subjectId)}/references`;
    expect((await call('POST', path, form)).status).toBe(201);
  };
  const identify = async (gallery: string, photo: Uint8Array) => {
    const form = new FormData();
    form.append('probe', new Blob([new Uint8Array(photo)]));
    const { body } = await call<{
      embedder: string;
      faces: { candidates: { subjectId: string }[] }[];
    }>('POST', `/v1/galleries/${gallery}/identify`, form);
    return { embedder: body.embedder, subjectId: body.faces[0].candidates[0]?.subjectId };
  };
  const likeness = (...args: string[]) =>
    startCli(['gallery', 'migrate', ...args], { ADMIN_KEY, LIKENESS_SERVER: service.url }).ended;
  const migration = async () =>
    (await call<MigrationDto>('GET', `/admin/galleries/staff/migration?embedder=${NEW}`)).body;

  beforeAll(async () => {
    folder = tempFolder();
    people = (await peoplePhotos()).map((photo, i) => ({ id: `person ${i}`, photo }));
  });
  afterAll(() => service?.stop());

  it('goes on after a kill, is searched all the while, and keeps its id', async () => {
    await start();
    await call('POST', '/v1/galleries', {
      id: 'staff',
      embedder: OLD,
      keepCrops: true,
      enrollmentGate: 'off',
    });
    const total = people.length * VARIANTS;
    for (const { id, photo } of people)
      for (let i = 0; i < VARIANTS; i++)
        await enroll(
          'staff',
          id,
          await sharp(photo)
            .modulate({ brightness: 1 - i / 20 })
            .jpeg()
            .toBuffer(),
        );
    await call('POST', '/admin/galleries/staff/migration', { embedder: NEW });
    let status = await migration();
    while (status.done < 4) {
      await setTimeout(10);
      status = await migration();
    }
    process.kill(service.pid, 'SIGKILL');
    await service.ended();

    await start();
    const copy = `staff.${NEW}`;
    const { body: gallery } = await call<{ referenceCount: number }>('GET', `/v1/galleries/${copy}`);
    expect(gallery.referenceCount).toBeGreaterThanOrEqual(status.done);
    expect(gallery.referenceCount).toBeLessThan(total);
    expect(await migration()).toMatchObject({ state: 'idle' });
    expect(await identify('staff', people[0].photo)).toEqual({ embedder: OLD, subjectId: people[0].id });

    const first = await likeness('staff', '--embedder', NEW, '--json');
    expect(JSON.parse(first.stdout)).toEqual({
      gallery: 'staff',
      embedder: NEW,
      copy,
      total,
      done: total,
      withoutCrop: 0,
      failed: 0,
      switched: false,
    });
    expect(first.stderr).toContain(`references ${total} of ${total}`);
    expect(first.code).toBe(0);
    for (const { id, photo } of people) {
      expect(await identify('staff', photo)).toEqual({ embedder: OLD, subjectId: id });
      expect(await identify(copy, photo)).toEqual({ embedder: NEW, subjectId: id });
    }

    const second = await likeness('staff', '--embedder', NEW, '--switch');
    expect(second.stdout).toContain(`staff: ${total} of ${total} references in ${copy}`);
    expect(second.stdout).toContain(`staff now holds embeddings of ${NEW}`);
    expect(second.code).toBe(0);
    for (const { id, photo } of people)
      expect(await identify('staff', photo)).toEqual({ embedder: NEW, subjectId: id });
    expect((await call('GET', `/v1/galleries/${copy}`)).status).toBe(404);
    await service.stop();
    await start();
    expect(await identify('staff', people[1].photo)).toEqual({ embedder: NEW, subjectId: people[1].id });
  });

  it('shows pictures of faces in the export of a subject for administrators alone', async () => {
    const subject = `galleries/staff/subjects/${encodeURIComponent(people[0].id)}`;
    const references = [{ hasCrop: true }, { hasCrop: true }, { hasCrop: true }, { hasCrop: true }];
    const open = await call<{ references: object[] }>('GET', `/v1/${subject}/export`);
    expect(open.body).toMatchObject({ references });
    expect(JSON.stringify(open.body)).not.toContain('"crop"');
    const full = await call<{ references: { crop: string }[] }>('GET', `/admin/${subject}/export`);
    const crop = await sharp(Buffer.from(full.body.references[0].crop, 'base64')).metadata();
    expect(crop.format).toBe('jpeg');
    const response = await fetch(`${service.url}/admin/galleries/staff/export`, { headers: HEADERS });
    expect(await response.text()).not.toContain('"crop"');
  });

  it('tells who must be enrolled again where there are no pictures', async () => {
    await call('POST', '/v1/galleries', { id: 'guests', embedder: OLD, enrollmentGate: 'off' });
    for (const { id, photo } of people.slice(0, 2)) await enroll('guests', id, photo);
    const report = join(folder, 'report.jsonl');
    const first = await likeness('guests', '--embedder', NEW, '--report', report);
    expect(first.stdout).toContain(`guests: 0 of 2 references in guests.${NEW}, 2 without a crop, 0 failed`);
    expect(first.code).toBe(2);
    const lines = readFileSync(report, 'utf8').trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as object)).toEqual(
      people.slice(0, 2).map(({ id }) => ({
        subjectId: id,
        referenceCount: 1,
        missingCount: 1,
        withoutCropCount: 1,
      })),
    );
    const refused = await likeness('guests', '--embedder', NEW, '--switch');
    expect(refused.stderr).toMatch(/^GALLERY_MIGRATING: .*2 references of 2 subjects/m);
    expect(refused.code).toBe(2);
    expect(await identify('guests', people[0].photo)).toMatchObject({ subjectId: people[0].id });
    const dropped = await likeness('guests', '--embedder', NEW, '--switch', '--drop-missing');
    expect(dropped.code).toBe(0);
    await enroll('guests', people[0].id, people[0].photo);
    expect(await identify('guests', people[0].photo)).toEqual({ embedder: NEW, subjectId: people[0].id });
  });

  it('says how to load an embedder that is not loaded', async () => {
    await service.stop();
    await start({ FACE_EMBEDDERS: NEW });
    const { stderr, code } = await likeness('staff', '--embedder', OLD);
    expect(stderr).toMatch(/^MODEL_NOT_LOADED: .*npx likeness models load face-resnet-128/m);
    expect(code).toBe(2);
  });
});
