import axe, { type AxeResults } from 'axe-core';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import sharp from 'sharp';
import { makePhotos, type Photos } from '../contract/photos';
import { describeWithChromium, launchChromium } from '../support/chromium';
import { writeKeyFile } from '../support/key-file';
import { rootDir } from '../support/paths';
import { couple, portrait, withOrientation } from '../support/portrait';
import { type RunningService, startService } from '../support/start-service';
import { tempFolders } from '../support/temp-folder';

const WIDE = { width: 1280, height: 900 };
/** A small phone. */
const NARROW = { width: 360, height: 740 };
const SCREENS = [
  ['wide and light', WIDE, 'light'],
  ['narrow and dark', NARROW, 'dark'],
] as const;
const GALLERY = '#/gallery/default';

describeWithChromium('the console', () => {
  const makeFolder = tempFolders();
  let browser: Browser;
  let photos: Photos;
  const contexts: BrowserContext[] = [];
  /** What went wrong in the pages: errors of scripts, and what their content security policy refused. */
  let faults: string[];

  beforeAll(async () => {
    [browser, photos] = await Promise.all([launchChromium(), makePhotos()]);
  });
  beforeEach(() => (faults = []));
  afterEach(async () => {
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    expect(faults).toEqual([]);
  });
  afterAll(() => browser?.close());

  async function open(url: string, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ viewport: WIDE, ...options });
    contexts.push(context);
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => {
      // The browser also writes every response from 400 on.
      const isRefusal = /Failed to load resource.*(4\d\d|503)/.test(message.text());
      if (message.type() === 'error' && !isRefusal) faults.push(message.text());
    });
    await page.goto(url);
    await page.getByRole('heading', { level: 1 }).waitFor();
    return page;
  }

  const file = (buffer: Buffer, name = 'photo.jpg', mimeType = 'image/jpeg') => ({ name, mimeType, buffer });
  const choose = (page: Page, title: string, ...buffers: Buffer[]) =>
    page
      .getByRole('region', { name: title })
      .locator('input[type=file]')
      .setInputFiles(buffers.map((buffer, index) => file(buffer, `photo-${index + 1}.jpg`)));
  const decision = (page: Page) => page.getByRole('region', { name: 'Result' }).getByRole('heading');

  /** Serious and critical findings of axe-core. */
  async function findings(page: Page): Promise<string[]> {
    // Not through a script element, which the page forbids.
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate<AxeResults>("axe.run({ resultTypes: ['violations'] })");
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
  }

  describe('without keys', () => {
    let service: RunningService;
    beforeAll(async () => {
      service = await startService({
        FACE_PRESENTATION_ATTACK_MODELS: 'minifasnet-v2-se',
        FACE_WORKER_COUNT: '1',
      });
    });
    afterAll(() => service?.stop());

    it('compares two photos, and shows faces, similarity, rate and presentation attack', async () => {
      const page = await open(service.url);
      await choose(page, 'First photo', photos.person);
      await choose(page, 'Second photo', photos.personAgain);
      expect(await decision(page).textContent()).toBe('Match');
      const result = page.getByRole('region', { name: 'Result' });
      expect(await result.textContent()).toMatch(/1 in [\d,]+ pairs of strangers are this similar/);
      const scale = await result.getByRole('img').getAttribute('aria-label');
      expect(scale).toMatch(/^Similarity 0\.\d\d on a scale from 0 to 1\. The threshold is 0\.\d\d/);
      const side = page.getByRole('region', { name: 'First photo' });
      expect(await side.locator('.face.chosen rect').count()).toBe(1);
      expect(await side.locator('.face.chosen circle').count()).toBe(5);
      expect(await side.textContent()).toMatch(/Face\d+ × \d+ pixels.*Turn.*Presentation attack/);
      await expectAnnounced(page, /^Match\. /);

      await choose(page, 'Second photo', photos.stranger);
      await page.getByRole('heading', { name: 'No match' }).waitFor();
    });

    it('lets the user choose one of several faces', async () => {
      const page = await open(`${service.url}/console`);
      await choose(page, 'First photo', photos.group);
      await choose(page, 'Second photo', photos.person);
      const faces = page.getByRole('radio');
      await faces.nth(2).waitFor();
      const decisions: string[] = [];
      for (let index = 0; index < 3; index++) {
        await page.getByRole('region', { name: 'Result' }).waitFor();
        const answered = index === 0 ? null : page.waitForResponse(/v1\/verify/);
        await faces.nth(index).check();
        await answered;
        decisions.push((await decision(page).textContent()) ?? '');
      }
      expect(decisions.sort()).toEqual(['Match', 'No match', 'No match']);
    });

    it('says what is wrong with a photo, and takes another one', async () => {
      const page = await open(service.url);
      const first = page.getByRole('region', { name: 'First photo' });
      await choose(page, 'First photo', Buffer.from('no photo'));
      await choose(page, 'Second photo', photos.person);
      await first.getByText('The file is not a photo that the service can read').waitFor();
      await choose(page, 'First photo', photos.blank);
      await first.getByText('No face was found in the first photo.').waitFor();
      await expectAnnounced(page, /No face was found/);
      await choose(page, 'First photo', photos.person);
      await page.getByRole('heading', { name: 'Match', exact: true }).waitFor();
      expect(await first.locator('.problem').count()).toBe(0);
    });

    it('takes dropped and pasted photos', async () => {
      const page = await open(service.url);
      for (const [type, title] of [
        ['drop', 'First photo'],
        ['paste', 'Second photo'],
      ] as const) {
        const data = `dataOf('${type}.jpg', '${photos.person.toString('base64')}')`;
        await page.evaluate(`(() => {
          const dataOf = (name, base64) => {
            const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], name, { type: 'image/jpeg' }));
            return data;
          };
          const target = document.querySelector('[aria-label="${title}"]');
          const options = { bubbles: true, cancelable: true };
          ${
            type === 'drop'
              ? `target.dispatchEvent(new DragEvent('drop', { ...options, dataTransfer: ${data} }))`
              : `document.dispatchEvent(new ClipboardEvent('paste', { ...options, clipboardData: ${data} }))`
          };
        })()`);
        const target = page.getByRole('region', { name: title });
        await target.getByRole('img', { name: `${title}: ${type}.jpg` }).waitFor();
      }
      await page.getByRole('heading', { name: 'Match', exact: true }).waitFor();
    });

    it('is used by the keyboard alone', async () => {
      const page = await open(service.url);
      await page.keyboard.press('Tab');
      const focused = () =>
        page.evaluate<string>(
          '(document.activeElement.labels?.[0] ?? document.activeElement).textContent || document.activeElement.tagName',
        );
      const order = [await focused()];
      for (let i = 0; i < 9; i++) {
        await page.keyboard.press('Tab');
        order.push(await focused());
      }
      expect(order).toEqual([
        'Skip to content',
        'Likeness',
        'Verify',
        'Gallery',
        'Status',
        'Accuracy and limits',
        'Enter key',
        'Choose a photoor drop it here, or paste it',
        'Choose a photoor drop it here, or paste it',
        'Check for presentation attacks (photos of photos, screens, masks)',
      ]);
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      // Without photos, the focus goes to the first one that is missing.
      expect(await focused()).toBe('Choose a photoor drop it here, or paste it');
      await page.getByText('Add a photo first.').first().waitFor();
    });

    it('draws boxes where the faces are, also on photos that EXIF turns', async () => {
      const page = await open(service.url);
      const drawn = await sharp(await portrait().png().toBuffer())
        .extract({ left: 0, top: 0, width: 420, height: 512 })
        .png()
        .toBuffer();
      const seen: { box: number[]; size: number[]; nose: number[] }[] = [];
      for (const orientation of [1, 6, 8, 5]) {
        const answered = page.waitForResponse(/v1\/detect/);
        await choose(page, 'First photo', await withOrientation(drawn, orientation));
        await answered;
        await page.locator('.face rect').waitFor();
        seen.push(await page.evaluate<(typeof seen)[number]>(READ_DRAWING));
        await page.getByRole('button', { name: 'Remove: first photo' }).click();
      }
      const [upright] = seen;
      expect(upright.size).toEqual([420, 512]);
      for (const { box, size, nose } of seen) {
        expect(size).toEqual(upright.size);
        box.forEach((value, index) => expect(Math.abs(value - upright.box[index])).toBeLessThan(12));
        nose.forEach((value, index) => expect(Math.abs(value - upright.nose[index])).toBeLessThan(40));
      }
    });

    it('enrolls, lists, identifies and deletes people', async () => {
      const page = await open(`${service.url}/console#/gallery`);
      await page.getByRole('link', { name: 'default' }).click();
      await page.getByRole('heading', { name: 'Gallery default' }).waitFor();
      await page.getByText('No subjects yet.').waitFor();
      const enroll = page.getByRole('region', { name: 'Enroll', exact: true });

      await choose(page, 'Photos of one person', photos.person, photos.personAgain, photos.blank);
      await enroll.getByLabel('Subject id').fill('ada');
      await enroll.getByLabel('Metadata').fill('no pair');
      await enroll.getByRole('button', { name: 'Enroll' }).click();
      await enroll.getByText('is not “name: value”').waitFor();
      await enroll.getByLabel('Metadata').fill('department: it\nfloor: 3');
      await enroll.getByRole('button', { name: 'Enroll' }).click();
      await enroll.getByText('ada: 2 of 3 photos added', { exact: true }).waitFor();
      expect(await enroll.textContent()).toContain('No face was found in the photo.');
      const row = page.getByRole('row', { name: /^ada / });
      await row.getByText('department: it, floor: 3').waitFor();
      await page.getByText('1 subject with 2 references').waitFor();

      await choose(page, 'Photo of one or several people', photos.group);
      await page.locator('.rate', { hasText: '3 faces found, 1 recognized' }).waitFor();
      const labels = await page.locator('.face-label').allTextContents();
      expect(labels.map((label) => label.slice(3)).sort()).toEqual(['ada', 'unknown', 'unknown']);
      await expectAnnounced(page, /3 faces found, 1 recognized\. .*ada/);

      await row.getByRole('button', { name: 'Delete ada' }).click();
      await page.getByRole('dialog').getByText('its 2 references will be erased').waitFor();
      await page.keyboard.press('Escape');
      await row.waitFor();
      await row.getByRole('button', { name: 'Delete ada' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
      await page.getByText('No subjects yet.').waitFor();
    });

    it('turns the pages of a long list', async () => {
      const names = Array.from({ length: 23 }, (_, index) => `person-${String(index).padStart(2, '0')}`);
      const send = (method: string, path: string, body: object) =>
        fetch(`${service.url}/v1/galleries${path}`, {
          method,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        });
      await send('POST', '', { id: 'crowd' });
      await Promise.all(names.map((name) => send('PUT', `/crowd/subjects/${name}`, {})));
      const page = await open(`${service.url}/#/gallery`);
      await page.getByRole('link', { name: 'crowd' }).click();
      const rows = page.getByRole('row', { name: /person-/ });
      await rows.nth(19).waitFor();
      expect(await rows.count()).toBe(20);
      await page.getByRole('button', { name: 'Next page' }).click();
      await page.waitForFunction("document.querySelectorAll('tbody tr').length === 3");
      await page.getByRole('button', { name: 'Previous page' }).click();
      await rows.nth(19).waitFor();
    });

    it('shows models, load and latency', async () => {
      const page = await open(`${service.url}/#/status`);
      await page.getByText('Ready', { exact: true }).waitFor();
      const models = page.getByRole('table', { name: 'Loaded models' });
      await models.getByRole('row', { name: /rfb-320 \(default\) detection/ }).waitFor();
      await models.getByRole('row', { name: /minifasnet-v2-se presentation attack/ }).waitFor();
      const latency = page.getByRole('table', { name: 'Requests since the start of the service' });
      await latency.getByRole('row', { name: /POST \/v1\/verify \d+ [\d.]+ ms [\d.]+ ms/ }).waitFor();
      expect(await page.getByRole('region', { name: 'Service', exact: true }).textContent()).toMatch(
        /Workers1/,
      );
    });

    it('shows the measured accuracy and the calibration of the loaded models', async () => {
      const page = await open(`${service.url}/#/accuracy`);
      await page
        .getByText('Measured with the models that answer here: rfb-320 + mobilefacenet-512.')
        .waitFor();
      const groups = page.getByRole('table', { name: 'Groups of people' });
      expect(await groups.getByRole('row').count()).toBe(6);
      expect(
        await page.getByRole('table', { name: 'Calibration of the loaded embedder' }).textContent(),
      ).toMatch(/1 in 1,000,000/);
    });

    /** States of the page, by what leads to them. */
    const STATES: [string, (page: Page) => Promise<void>][] = [
      [
        'with a result',
        async (page) => {
          await choose(page, 'First photo', await couple());
          await choose(page, 'Second photo', await portrait().jpeg({ quality: 60 }).toBuffer());
          await decision(page).waitFor();
        },
      ],
      [
        'with a problem',
        async (page) => {
          await choose(page, 'First photo', photos.blank);
          await choose(page, 'Second photo', photos.blank);
          await page.locator('.problem-box').waitFor();
        },
      ],
      ['with the dialog for a key', (page) => page.getByRole('button', { name: 'Enter key' }).click()],
      [
        'with a gallery',
        async (page) => {
          await page.goto(`${service.url}/${GALLERY}`);
          await choose(page, 'Photo of one or several people', await couple());
          await page.locator('.people').waitFor();
        },
      ],
      [
        'with the status',
        async (page) => {
          await page.goto(`${service.url}/#/status`);
          await page.getByRole('table', { name: 'Loaded models' }).waitFor();
          await page.getByRole('table', { name: 'Requests since the start of the service' }).waitFor();
        },
      ],
      [
        'with the accuracy',
        async (page) => {
          await page.goto(`${service.url}/#/accuracy`);
          await page.getByRole('table', { name: 'Groups of people' }).waitFor();
        },
      ],
    ];

    it.each(STATES)(
      '%s has no serious problem of accessibility, and never scrolls sideways',
      async (name, reach) => {
        const page = await open(service.url, { reducedMotion: 'reduce' });
        await reach(page);
        for (const [screen, viewport, colorScheme] of SCREENS) {
          await page.setViewportSize(viewport);
          await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
          const overflow = await page.evaluate(
            'document.documentElement.scrollWidth - document.documentElement.clientWidth',
          );
          const seen = { screen, overflow, findings: await findings(page) };
          if (process.env.SCREENSHOTS) {
            const path = join(process.env.SCREENSHOTS, `${name}, ${screen}.png`);
            await page.screenshot({ path, fullPage: true });
          }
          expect(seen).toEqual({ screen, overflow: 0, findings: [] });
        }
      },
    );

    /** The picture of the README, with drawn faces. */
    it('looks as in docs/console.png (UPDATE_SCREENSHOT=1 makes it)', async () => {
      const page = await open(service.url, { viewport: { width: 1000, height: 1150 }, colorScheme: 'light' });
      await page.getByLabel(/Check for presentation attacks/).uncheck();
      await choose(page, 'First photo', await portrait().jpeg().toBuffer());
      await choose(page, 'Second photo', await otherPortrait());
      await decision(page).waitFor();
      await page.locator('.photo img').first().waitFor();
      const picture = await page.screenshot();
      const path = join(rootDir, 'docs', 'console.png');
      const small = await sharp(picture).png({ palette: true, quality: 90, effort: 10 }).toBuffer();
      expect(small.length).toBeLessThan(200_000);
      if (process.env.UPDATE_SCREENSHOT) writeFileSync(path, small);
      const { width, height } = await sharp(path).metadata();
      expect([width, height]).toEqual([1000, 1150]);
    });
  });

  describe('with keys', () => {
    let service: RunningService;
    let keys: Record<string, string>;
    beforeAll(async () => {
      const keyFile = writeKeyFile(makeFolder(), {
        all: { scopes: ['verify', 'identify', 'enroll', 'read', 'delete', 'metrics'] },
        verifier: { scopes: ['verify'] },
      });
      keys = keyFile.keys;
      service = await startService({ FACE_API_KEYS_FILE: keyFile.file, FACE_WORKER_COUNT: '1' });
    });
    afterAll(() => service?.stop());

    async function enterKey(page: Page, key: string): Promise<void> {
      const dialog = page.getByRole('dialog');
      await dialog.getByLabel('Key').fill(key);
      await page.keyboard.press('Enter');
    }

    it('asks for a key, again for a wrong one, keeps it for the tab, and forgets it', async () => {
      const page = await open(service.url);
      await page.getByRole('dialog').getByText('This needs a valid API key.').waitFor();
      await enterKey(page, 'a-wrong-key');
      await page.getByRole('dialog').getByText('This needs a valid API key.').waitFor();
      // The wrong one is not sent again, which would lock out the address.
      expect(await page.evaluate('sessionStorage.length')).toBe(0);
      await enterKey(page, keys.all);
      await page.getByRole('button', { name: 'Forget key' }).waitFor();
      await page.reload();
      await choose(page, 'First photo', photos.person);
      await choose(page, 'Second photo', photos.personAgain);
      expect(await decision(page).textContent()).toBe('Match');

      // Another tab does not have it, and neither has any storage that outlives the tab.
      const other = await page.context().newPage();
      await other.goto(service.url);
      await other.getByRole('dialog').waitFor();
      expect(await page.evaluate('[localStorage.length, document.cookie]')).toEqual([0, '']);

      await page.getByRole('button', { name: 'Forget key' }).click();
      await page.getByRole('dialog').waitFor();
      expect(await page.evaluate('sessionStorage.length')).toBe(0);
      expect(await page.getByRole('region', { name: 'Result' }).count()).toBe(0);
    });

    it('enrolls, identifies and deletes with a key', async () => {
      const page = await open(`${service.url}/${GALLERY}`);
      await enterKey(page, keys.all);
      await choose(page, 'Photos of one person', photos.person);
      await page.getByLabel('Subject id').fill('grace');
      await page.getByRole('button', { name: 'Enroll', exact: true }).click();
      await page.locator('.rate', { hasText: 'grace: 1 of 1 photo added' }).waitFor();
      await choose(page, 'Photo of one or several people', photos.personAgain);
      await page.locator('.rate', { hasText: '1 face found, 1 recognized' }).waitFor();
      await page.getByRole('button', { name: 'Delete grace' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
      await page.getByText('No subjects yet.').waitFor();
    });

    it('says what a key is not allowed to do, and takes another one', async () => {
      const page = await open(`${service.url}/#/status`);
      await enterKey(page, keys.verifier);
      await page.getByText('Not shown: The API key does not have the permission “metrics”.').waitFor();
      await page.goto(service.url);
      await choose(page, 'First photo', photos.person);
      await choose(page, 'Second photo', photos.personAgain);
      expect(await decision(page).textContent()).toBe('Match');

      await page.goto(`${service.url}/${GALLERY}`);
      await page.getByText('The API key does not have the permission “read”.').first().waitFor();
      await choose(page, 'Photo of one or several people', photos.person);
      await page.getByRole('dialog').getByText('the permission “identify”').waitFor();
      await enterKey(page, keys.all);
      await page.locator('.rate', { hasText: '1 face found, 0 recognized' }).waitFor();
    });
  });

  describe('of a service that only verifies', () => {
    let service: RunningService;
    beforeAll(async () => {
      service = await startService({ FACE_FEATURES: 'verify', FACE_WORKER_COUNT: '1' });
    });
    afterAll(() => service?.stop());

    it('has no galleries, and compares the largest faces', async () => {
      const page = await open(`${service.url}/${GALLERY}`);
      expect(await page.getByRole('navigation').getByRole('link').allTextContents()).toEqual([
        'Verify',
        'Status',
        'Accuracy and limits',
      ]);
      await choose(page, 'First photo', photos.person);
      await choose(page, 'Second photo', photos.personAgain);
      expect(await decision(page).textContent()).toBe('Match');
      expect(await page.locator('.face.chosen rect').count()).toBe(2);
    });
  });
});

async function expectAnnounced(page: Page, text: RegExp): Promise<void> {
  await page.getByRole('status').filter({ hasText: text }).waitFor({ state: 'attached' });
}

/** In the page: box and size in pixels of the upright photo, and the color that is shown at the nose. */
const READ_DRAWING = `(async () => {
  const [image, svg, rect] = ['.photo img', '.photo svg', '.photo rect'].map((name) => document.querySelector(name));
  const nose = document.querySelectorAll('.photo circle')[2];
  await image.decode();
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const at = ['cx', 'cy'].map((name) => Math.round(nose.getAttribute(name)));
  return {
    box: ['x', 'y', 'width', 'height'].map((name) => Number(rect.getAttribute(name))),
    size: [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height],
    nose: [...context.getImageData(at[0], at[1], 1, 1).data],
  };
})()`;

/** The drawn face again: smaller, darker, and tilted. */
function otherPortrait(): Promise<Buffer> {
  return portrait()
    .png()
    .toBuffer()
    .then((upright) =>
      sharp(upright)
        .rotate(8, { background: '#8fa1a8' })
        .resize(420)
        .modulate({ brightness: 0.85 })
        .jpeg()
        .toBuffer(),
    );
}
