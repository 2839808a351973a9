import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootDir } from '../support/paths';
import { type RunningService, startService } from '../support/start-service';
import { tempFolders } from '../support/temp-folder';

const photo = readFileSync(join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', 'sample3.jpg'));

interface Answer {
  error: { code: string; message: string; details: object };
}

describe('a durable gallery that was made with the earlier default set', () => {
  const tempFolder = tempFolders();
  let folder: string;
  let service: RunningService | undefined;

  const start = async (env: NodeJS.ProcessEnv) =>
    (service = await startService({
      FACE_GALLERY_STORE: 'durable',
      FACE_GALLERY_DIR: folder,
      FACE_ATTRIBUTE_MODELS: '',
      ...env,
    }));
  const stop = async () => {
    await service?.stop();
    service = undefined;
  };
  const post = async (path: string, field: string) => {
    const form = new FormData();
    form.append(field, new Blob([new Uint8Array(photo)]), 'a.jpg');
    form.append('faceSelection', 'best');
    const response = await fetch(`${service?.url}/v1/galleries/${path}`, { method: 'POST', body: form });
    return { status: response.status, body: (await response.json()) as Answer };
  };

  beforeAll(async () => {
    folder = join(tempFolder(), 'gallery');
    await start({ FACE_DETECTORS: 'ssd-mobilenetv1', FACE_EMBEDDERS: 'face-resnet-128' });
    const { status } = await post('default/subjects/ada/references', 'image');
    expect(status).toBe(201);
    await stop();
  });
  afterEach(stop);

  it('is refused while its embedder is not loaded, and the error says how to go on', async () => {
    const { output } = await start({});
    const how = 'restart with FACE_EMBEDDERS=mobilefacenet-512,face-resnet-128';
    expect(output()).toContain(how);
    for (const [path, field] of [
      ['default/identify', 'probe'],
      ['default/subjects/ada/verify', 'probe'],
      ['default/subjects/grace/references', 'image'],
    ]) {
      const { status, body } = await post(path, field);
      expect([path, status, body.error.code]).toEqual([path, 409, 'MODEL_NOT_LOADED']);
      expect(body.error.message).toContain('made by face-resnet-128, which is not loaded');
      expect(body.error.message).toContain(how);
      expect(body.error.details).toEqual({
        galleryId: 'default',
        contract: '924e43b94eda',
        embedder: 'face-resnet-128',
      });
    }
  });

  it('goes on with its embedder beside the new one, and new galleries take the new one', async () => {
    const { url } = await start({ FACE_EMBEDDERS: 'mobilefacenet-512,face-resnet-128' });
    const found = await post('default/identify', 'probe');
    expect(found.body).toMatchObject({
      embedder: 'face-resnet-128',
      contract: '924e43b94eda',
      faces: [{ unknown: false, candidates: [{ subjectId: 'ada' }] }],
    });
    const created = await fetch(`${url}/v1/galleries`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ id: 'new' }),
    });
    expect(await created.json()).toMatchObject({ contract: '68d3f0a95156', dimensions: 512 });
    expect((await post('new/subjects/ada/references', 'image')).status).toBe(201);
    const moved = await post('new/identify', 'probe');
    expect(moved.body).toMatchObject({
      embedder: 'mobilefacenet-512',
      faces: [{ unknown: false, candidates: [{ subjectId: 'ada' }] }],
    });
  });
});
