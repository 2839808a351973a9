import { join } from 'node:path';
import { rootDir } from '../support/paths';
import { startService, type RunningService } from '../support/start-service';
import { tempFolders } from '../support/temp-folder';
import { makePhotos } from './photos';
import { CARD_OF, writeSmallEmbedders } from './small-embedders';
import { delimiter } from 'node:path';

describe('probe', () => {
  const folder = tempFolders();
  let service: RunningService;
  beforeAll(async () => {
    service = await startService({ FACE_EMBEDDERS: ['face-resnet-128', ...Object.values(CARD_OF)].join(','), FACE_MODEL_DIRS: [join(rootDir, 'models'), writeSmallEmbedders(folder(), Object.values(CARD_OF))].join(delimiter)});
  });
  afterAll(() => service?.stop());
  it('x', async () => {
    const p = await makePhotos();
    const rep: any = {};
    for (const embedder of ['face-resnet-128', 'sface', 'arcface']) for (const [n, b] of Object.entries(p)) {
      const fd = new FormData(); fd.append('image', new Blob([new Uint8Array(b)]), 'a'); fd.append('embedder', embedder);
      const r: any = await (await fetch(service.url + '/v1/represent', { method: 'POST', body: fd })).json();
      console.log(embedder, n, JSON.stringify(r.faces?.map((f: any) => [f.box, f.detectionScore, f.embeddingNorm]) ?? r), );
      rep[embedder + n] = r.faces?.[0]?.embedding;
    }
    const cos = (a: number[], b: number[]) => 1 - a.reduce((s, v, i) => s + v * b[i], 0);
    for (const e of ['face-resnet-128', 'sface', 'arcface']) console.log(e, cos(rep[e + 'person'], rep[e + 'personAgain']), cos(rep[e + 'person'], rep[e + 'stranger']), cos(rep[e+'person'], rep[e+'cutOff']));
  });
});
