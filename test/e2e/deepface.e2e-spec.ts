import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootDir } from '../support/paths';
import { type RunningService, startService } from '../support/start-service';

const sample = (i: number) =>
  readFileSync(join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', `sample${i}.jpg`));
const dataUri = (image: Buffer) => `data:image/jpeg;base64,${image.toString('base64')}`;
const EMOTIONS = ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'];

interface Area {
  x: number;
  y: number;
  w: number;
  h: number;
  left_eye: number[] | null;
  right_eye: number[] | null;
}
interface Represented {
  embedding: number[];
  facial_area: Area;
  face_confidence: number;
}

describe('the DeepFace API on the default models', () => {
  let service: RunningService;
  const one = dataUri(sample(6));
  const group = dataUri(sample(5));

  // The embedder that DeepFace has thresholds and confidence for.
  beforeAll(async () => (service = await startService({ FACE_EMBEDDERS: 'face-resnet-128' })));
  afterAll(() => service?.stop());

  async function post<T>(path: string, body: object): Promise<T> {
    const response = await fetch(service.url + path, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer as T;
  }
  const represent = (img: string, options: object = {}) =>
    post<{ results: Represented[] }>('/represent', { img, ...options });

  it('says that it is there', async () => {
    expect(await (await fetch(service.url)).text()).toContain('DeepFace API v0.0.100!');
  });

  it('verifies, with the thresholds and the confidence of DeepFace', async () => {
    const answer = await post<Record<string, unknown>>('/verify', { img1: one, img2: one });
    expect(answer).toMatchObject({
      verified: true,
      distance: 0,
      threshold: 0.07,
      confidence: 100,
      model: 'Dlib',
      detector_backend: 'rfb-320',
      similarity_metric: 'cosine',
    });
  });

  it.each([
    ['cosine', 0.07],
    ['euclidean', 0.6],
    ['euclidean_l2', 0.4],
    ['angular', 0.12],
  ] as const)(
    'gives vectors whose %s is the distance of /verify, to 1e-6',
    async (distance_metric, threshold) => {
      const options = { enforce_detection: false, max_faces: 1 };
      const [a] = (await represent(one, options)).results;
      const [b] = (await represent(group, options)).results;
      const answer = await post<{
        distance: number;
        threshold: number;
        verified: boolean;
        confidence: number;
      }>('/verify', { img1: a.embedding, img2: b.embedding, distance_metric });
      const norm = (v: number[]) => Math.hypot(...v);
      const unit = (v: number[]) => v.map((x) => x / norm(v));
      const apart = (u: number[], v: number[]) => norm(u.map((x, i) => x - v[i]));
      const cos = unit(a.embedding).reduce((sum, x, i) => sum + x * unit(b.embedding)[i], 0);
      const expected = {
        cosine: 1 - cos,
        euclidean: apart(a.embedding, b.embedding),
        euclidean_l2: apart(unit(a.embedding), unit(b.embedding)),
        angular: Math.acos(cos) / Math.PI,
      }[distance_metric];
      expect(Math.abs(answer.distance - expected)).toBeLessThanOrEqual(1e-6);
      expect(answer).toMatchObject({ threshold, verified: answer.distance <= threshold });
      expect(answer.confidence >= 51).toBe(answer.verified);
      // Not of length 1: dlib's network does not bring its vectors there.
      expect(norm(a.embedding)).toBeGreaterThan(1.05);
    },
  );

  it('represents a group, a list, and a whole image', async () => {
    const { results } = await represent(group);
    expect(results.length).toBeGreaterThan(2);
    for (const { facial_area, face_confidence } of results) {
      for (const value of [facial_area.x, facial_area.y, facial_area.w, facial_area.h]) {
        expect(Number.isInteger(value) && value >= 0).toBe(true);
      }
      const [left, right] = [facial_area.left_eye as number[], facial_area.right_eye as number[]];
      expect(left[0]).toBeGreaterThan(right[0]);
      expect(face_confidence).toBeGreaterThan(0);
    }
    const list = await post<{ results: Represented[][] }>('/represent', { img: [one, group] });
    expect(list.results.map((faces) => faces.length)).toEqual([expect.any(Number), results.length]);
    const [skipped] = (await represent(one, { detector_backend: 'skip' })).results;
    expect(skipped).toMatchObject({
      face_confidence: 0,
      facial_area: { x: 0, y: 0, left_eye: null, right_eye: null },
    });
    expect(skipped.facial_area.w).toBeGreaterThan(100);
  });

  it('represents faces that are not turned by another vector', async () => {
    const [aligned] = (await represent(one, { max_faces: 1 })).results;
    const [unaligned] = (await represent(one, { max_faces: 1, align: false })).results;
    expect(unaligned.facial_area).toEqual(aligned.facial_area);
    expect(unaligned.embedding).not.toEqual(aligned.embedding);
  });

  it('analyzes what the default models serve', async () => {
    const { results } = await post<{ results: Record<string, never>[] }>('/analyze', { img: one });
    const [face] = results;
    expect(Object.keys(face)).toEqual([
      'age',
      'gender',
      'dominant_gender',
      'emotion',
      'dominant_emotion',
      'region',
      'face_confidence',
    ]);
    expect(Number.isInteger(face.age)).toBe(true);
    const sum = (scores: Record<string, number>) => Object.values(scores).reduce((total, x) => total + x, 0);
    expect(Object.keys(face.gender)).toEqual(['Woman', 'Man']);
    expect(sum(face.gender)).toBeCloseTo(100, 3);
    expect(Object.keys(face.emotion)).toEqual(EMOTIONS);
    expect(sum(face.emotion)).toBeCloseTo(100, 3);
    await expect(post('/analyze', { img: one, actions: ['race'] })).rejects.toThrow(
      /400 .*No model for action race is loaded/,
    );
  });

  it('registers, finds, and tells apart', async () => {
    expect(await post('/register', { img: one, img_name: 'six.jpg' })).toMatchObject({
      inserted: expect.any(Number),
    });
    expect(await post('/register', { img: one, img_name: 'six.jpg' })).toEqual({ inserted: 0 });
    for (const search_method of ['exact', 'ann']) {
      const { results } = await post<{ results: { img_name: string; distance: number }[][] }>('/search', {
        img: one,
        search_method,
      });
      for (const [closest] of results) expect(closest).toMatchObject({ img_name: 'six.jpg', distance: 0 });
    }
    expect(await post('/build/index', {})).toEqual({ message: 'Index built successfully' });
  });

  it('takes a multipart form as curl -F sends it, and refuses what is no image', async () => {
    const form = new FormData();
    form.append('img1', new Blob([new Uint8Array(sample(6))]), 'a.jpg');
    form.append('img2', new Blob([new Uint8Array(sample(6))]), 'b.jpg');
    const verified = await fetch(`${service.url}/verify`, { method: 'POST', body: form });
    expect(await verified.json()).toMatchObject({ verified: true });
    form.set('img2', new Blob([new Uint8Array(Buffer.from('no image'))]), 'b.txt');
    const refused = await fetch(`${service.url}/verify`, { method: 'POST', body: form });
    expect(refused.status).toBe(400);
    expect(await refused.json()).toEqual({ exception: expect.stringContaining('img2: ') });
    await expect(post('/represent', { img: Buffer.from('no image').toString('base64') })).rejects.toThrow(
      /400 .*Exception while representing: img: /,
    );
  });

  it('never loads a model for a request', async () => {
    for (const model_name of ['SFace', 'VGG-Face', 'Facenet']) {
      await expect(represent(one, { model_name })).rejects.toThrow(/is not loaded/);
    }
    const { models } = (await (await fetch(`${service.url}/v1/models`)).json()) as {
      models: { state: string; name: string }[];
    };
    expect(models.filter(({ state }) => state === 'loaded').map(({ name }) => name)).not.toContain('sface');
  });
});
