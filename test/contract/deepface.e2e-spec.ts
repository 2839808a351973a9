import { delimiter, join } from 'node:path';
import { rootDir } from '../support/paths';
import { type RunningService, startService } from '../support/start-service';
import { tempFolders } from '../support/temp-folder';
import { analyzeCases } from './analyze.cases';
import { galleryCases } from './gallery.cases';
import { makePhotos } from './photos';
import { refusalCases } from './refusal.cases';
import { representCases } from './represent.cases';
import { ok, type Setup } from './shapes';
import { CARD_OF, writeSmallEmbedders } from './small-embedders';
import { thresholdCases } from './threshold.cases';
import { verifyCases } from './verify.cases';
import { Wire } from './wire';

/**
 * The DeepFace dialect held against DeepFace's contract, over HTTP: one boot with the default detector and dlib's embedder,
 * whose thresholds and confidence DeepFace has tables for, and beside it a small embedder for every other name of DeepFace
 * that a card stands for.
 */
describe('the DeepFace API', () => {
  const tempFolder = tempFolders();
  let service: RunningService;
  let setup: Setup;

  beforeAll(async () => {
    const small = writeSmallEmbedders(tempFolder(), Object.values(CARD_OF));
    service = await startService({
      FACE_EMBEDDERS: ['face-resnet-128', ...Object.values(CARD_OF)].join(','),
      FACE_MODEL_DIRS: [join(rootDir, 'models'), small].join(delimiter),
      FACE_PREPARE_MODELS: 'off',
      // The same few photos come hundreds of times.
      FACE_CACHE: 'memory',
    });
    setup = { wire: new Wire(service.url), photos: await makePhotos() };
  });
  afterAll(() => service?.stop());

  it('GET / welcomes', async () => {
    const { status, headers, text } = await setup.wire.get('/');
    expect(status).toBe(200);
    expect(headers.get('content-type')).toContain('text/html');
    expect(text).toMatch(/^<h1>Welcome to DeepFace API v\d+\.\d+\.\d+!<\/h1>/);
  });

  describe('POST /verify', () => verifyCases(() => setup));
  describe('POST /represent', () => representCases(() => setup));
  describe('POST /analyze', () => analyzeCases(() => setup));
  describe('the gallery', () => galleryCases(() => setup));
  describe('refusals:', () => refusalCases(() => setup));
  describe('thresholds and confidence:', () => thresholdCases(() => setup));

  it('stands beside the native routes', async () => {
    const image = setup.photos.person.toString('base64');
    expect(ok(await setup.wire.json('/v1/represent', { image })).faces).toHaveLength(1);
  });
});
