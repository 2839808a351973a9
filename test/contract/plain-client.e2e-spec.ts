import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type RunningService, startService } from '../support/start-service';
import { tempFolders } from '../support/temp-folder';
import { makePhotos, type Photos } from './photos';

const TOKEN = 'a-token-of-the-suite';

describe('a plain client of DeepFace', () => {
  const tempFolder = tempFolders();
  let service: RunningService;
  let photos: Photos;

  beforeAll(async () => {
    service = await startService({ DEEPFACE_AUTH_TOKEN: TOKEN });
    photos = await makePhotos();
  });
  afterAll(() => service?.stop());

  it('runs as it is: only the base URL is another', async () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'img1.jpg'), photos.person);
    writeFileSync(join(folder, 'img2.jpg'), photos.personAgain);
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [join(__dirname, 'plain-deepface-client.mjs'), service.url],
      { cwd: folder, env: { ...process.env, DEEPFACE_AUTH_TOKEN: TOKEN } },
    );
    expect(JSON.parse(stdout)).toEqual({
      verified: true,
      distance: expect.any(Number),
      verifiedByForm: true,
      dimensions: [512],
      faces: [
        {
          age: expect.any(Number),
          dominant_gender: expect.stringMatching(/^(Man|Woman)$/),
          dominant_emotion: expect.any(String),
        },
      ],
      inserted: 1,
      found: [['img1.jpg']],
      indexed: expect.any(String),
      foundByIndex: [['img1.jpg']],
    });
  });
});
